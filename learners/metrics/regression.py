"""Metrics of regression: MAE, RMSE and R2, from four sums without rounding.

Not here: how the sums are kept (exact.py) and the recent labels' ring (ring.py). Read base.py before.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf, nan, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from learners.metrics.exact import UNIT_BITS, ExactSums, squares
from learners.metrics.ring import Ring

LARGE: Final = 1e150
"""Its square is still a float. A row further off than this does not count (``unscored``)."""


class RegressionMetrics:
    """Mean absolute error, root of the mean squared error, and the coefficient of determination.

    The sums are of ``|e|``, ``e**2``, ``y`` and ``y**2``, the last with exact squares: so R2 stays sound for values far
    from 0. R2 is NaN for fewer than two labels and where all are equal.

    Parameters
    ----------
    window : int
        Labels in the recent figures (16 bytes each).
    """

    codec = "pickle"

    def __init__(self, *, window: int = 10_000) -> None:
        self._sums = ExactSums(4)
        self._count = 0
        self._unscored = 0
        self._ring = Ring(window, "<f8", "<f8")

    @property
    def count(self) -> int:
        return self._count

    @property
    def unscored(self) -> int:
        return self._unscored

    def update(self, target: NDArray[np.float64], scores: NDArray[np.float64], previous: NDArray[np.float64]) -> None:
        """See ``Metrics.update``; ``scores`` is ``(n, 1)``."""
        score = scores[:, 0]
        corrects = previous == previous  # noqa: PLR0124 - not NaN, at half of isnan's price
        earlier = np.where(corrects, previous, target)
        counts = (np.abs(score) < LARGE) & (np.abs(target) < LARGE) & (np.abs(earlier) < LARGE)
        if not counts.all():
            self._unscored += int((~counts & ~corrects).sum())
            target, score, previous, corrects = target[counts], score[counts], previous[counts], corrects[counts]
        if not len(score):
            return
        self._sums.add(_terms(target, score))
        self._count += len(score)
        self._ring.put(target, score)
        if corrects.any():
            self._sums.add(_terms(previous[corrects], score[corrects]), -1)
            self._count -= int(corrects.sum())

    def all(self) -> dict[str, float]:
        return _figures(self._sums, self._count)

    def recent(self) -> dict[str, float]:
        target, score = self._ring.rows()
        sums = ExactSums(4)
        sums.add(_terms(target, score))
        return _figures(sums, len(target))

    def alive(self) -> Iterable[str]:
        return ("state",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every label changes the state
        yield (
            "state",
            {
                "sums": list(self._sums.totals),
                "count": self._count,
                "unscored": self._unscored,
                "ring": self._ring.state(),
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        state: Any = chunks["state"]
        self._sums.totals = list(state["sums"])
        self._count, self._unscored = state["count"], state["unscored"]
        self._ring.restore(state["ring"])


def _terms(target: NDArray[np.float64], score: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """What rows add to the four sums."""
    error = target - score
    return [np.abs(error), error * error, target, squares(target)]


def _figures(sums: ExactSums, n: int) -> dict[str, float]:
    absolute, squared, values, values_squared = sums.totals
    if not n:
        return {"mae": nan, "rmse": nan, "r2": nan}
    # n times the squares about the mean, in units of 2**(-2 * UNIT_BITS): exact, so nothing cancels.
    spread = (n * values_squared << UNIT_BITS) - values * values
    return {
        "mae": absolute / (n << UNIT_BITS),
        "rmse": sqrt(squared / (n << UNIT_BITS)),
        "r2": 1.0 - _ratio(n * squared << UNIT_BITS, spread) if n > 1 and spread > 0 else nan,
    }


def _ratio(a: int, b: int) -> float:
    try:
        return a / b
    except OverflowError:  # values that hardly differ, and errors beyond measure
        return inf
