"""An explanation for every learner: its own where it has one (``Explains``), Shapley values by sampling where it has none."""

from collections.abc import Callable, Sequence
from math import isfinite

from learners.base import Learner, Problem, Rows, Value
from learners.explanations.base import Explanation
from learners.explanations.shapley import shapley

PAIRS_QUICK = 5
"""Pairs of orders for each prediction that is emitted with reasons: with twenty features 200 predictions more."""
PAIRS_FULL = 100
"""For one event that somebody asks about: the whole background, each row once."""


def explain(
    learner: Learner,
    rows: Rows,
    row: int,
    *,
    problem: Problem,
    background: Callable[[], Sequence[dict[str, Value]]],
    seed: int,
    pairs: int = PAIRS_QUICK,
    classes: Sequence[str] = (),
) -> Explanation | None:
    """What each feature adds to the score that the learner would give the row now.

    Parameters
    ----------
    background, seed, pairs
        See ``shapley``; a learner that explains itself needs none of them, and the background is not asked for.
    classes
        The program's, for multiclass problems.

    Returns
    -------
    Explanation or None
        None where there is no finite score to explain, or predicting raises.
    """
    try:
        own = getattr(learner, "explain", None)  # Explains; isinstance takes longer than a linear model's explanation
        if own is not None and (told := own(rows, row)) is not None:
            return told if isfinite(told.value) else None  # a sigmoid makes a score of an infinite sum
        x = rows.dicts()[row]
        return shapley(
            learner, rows.names, x, background(), problem=problem, seed=seed, pairs=pairs, classes=classes
        )  # fmt: skip
    except Exception:  # noqa: BLE001 (an estimator raises anything; the score of this row says what is wrong)
        return None
