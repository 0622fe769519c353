"""Which of River's models say themselves what each feature adds, exactly; every other is asked by sampling (shapley.py)."""

from collections.abc import Callable
from typing import Any, TypeAlias

from learners.explanations.base import Explanation
from learners.explanations.linear import linear
from learners.explanations.trees import tree_path

Explain: TypeAlias = Callable[[dict[str, Any]], Explanation | None]


def own_explanation(model: Any) -> Explain | None:
    """The exact explanation of a row by a chain or estimator of River; None when there is none."""
    return linear(model) or tree_path(model)
