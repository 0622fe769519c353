"""Which of River's models say themselves what each feature adds, exactly; every other is asked by sampling (shapley.py)."""

from collections.abc import Callable
from math import log
from typing import Any, TypeAlias

from river import compose

from learners.calibration import Platt, PriorCorrection
from learners.explanations.base import Explanation
from learners.explanations.chains import split
from learners.explanations.linear import linear
from learners.explanations.trees import tree_path

Explain: TypeAlias = Callable[[dict[str, Any]], Explanation | None]


def own_explanation(model: Any) -> Explain | None:
    """The exact explanation of a row by a chain or estimator of River; None when there is none."""
    steps, final = split(model)
    if type(final) in {Platt, PriorCorrection}:
        inside = own_explanation(compose.Pipeline(*steps, final.classifier) if steps else final.classifier)
        return None if inside is None else _calibrated(final, inside)
    return linear(model) or tree_path(model)


def _calibrated(final: Platt | PriorCorrection, inside: Explain) -> Explain:
    """A straight line over log odds stretches what each feature adds, and moves the base."""

    def explain(x: dict[str, Any]) -> Explanation | None:
        told = inside(x)
        if told is None or told.of != "log_odds":
            return None
        if isinstance(final, Platt):
            slope, offset = final.parameters
            if abs(told.value) > log(1.0 / final.clip - 1.0):
                return None
        else:
            slope, offset = 1.0, -log(final.divisor)
        contributions = {name: slope * added for name, added in told.contributions.items()}
        return Explanation(
            told.method, "log_odds", slope * told.value + offset, slope * told.base + offset, contributions
        )

    return explain
