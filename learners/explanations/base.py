"""The types of an explanation: what each feature adds to one score, on a named scale, and who can tell it exactly.

An explanation is of a model *as it stands*, of one row, and changes neither. Not here: which event is explained, and when
(the step says so). Read explain.py next: it finds a way for every learner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from learners.base import Rows

Method: TypeAlias = Literal["linear", "tree_path", "shapley_sampling"]
"""linear: weight times value, exact. tree_path: Saabas (2014), exact. shapley_sampling: an estimate, additive all the same."""

Scale: TypeAlias = Literal["log_odds", "probability", "value", "log", "score"]
"""Of what is explained. log_odds: the score is ``1 / (1 + exp(-value))``; log: it is ``exp(value)``; else it is the value."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each feature adds: ``base + sum(contributions) == value``, but for rounding.

    Attributes
    ----------
    of
        The scale of the value, the base and the contributions.
    value
        What is explained: the model's own number, to the bit.
    base
        What is there before any feature is looked at: the intercept, the root of a tree, the mean over the background.
    contributions
        By feature, as it came (not as a chain made it): in the configured order, features without influence included.
    """

    method: Method
    of: Scale
    value: float
    base: float
    contributions: Mapping[str, float]

    def top(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` largest by absolute value; equal ones by name.

        Examples
        --------
        >>> Explanation("linear", "log_odds", 1.5, 0.0, {"b": -1.0, "c": 0.5, "a": 1.0}).top(2)
        [('a', 1.0), ('b', -1.0)]
        """
        contributions = self.contributions
        by_size = sorted([(-abs(contribution), name) for name, contribution in contributions.items()])
        return [(name, contributions[name]) for _, name in by_size[:count]]


@runtime_checkable
class Explains(Protocol):
    """What a learner may offer beside ``learners.base.Learner``: its own contributions, exact."""

    def explain(self, rows: Rows, row: int) -> Explanation | None:
        """Contributions to the score that the learner would give the row now. Changes nothing that answers depend on.

        None where there is no exact way for this model; ``learners.explanations.explain`` then has a general one.
        """
        ...
