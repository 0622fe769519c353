"""How many events have their label by now, and how old labels are when they come.

Figures of a task, not of a learner. Not here: how good scores were (base.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 4  # sixteen bins an octave: a quantile is within 1/32 of the age
_SHIFT: Final = 52 - _BITS
_FLOOR: Final = (1023 << _BITS) - 1  # bin 1 begins at 1 ms; bin 0 is 0 ms
_BINS: Final = 46 << _BITS  # up to 2**46 ms, two thousand years


class Coverage:
    """Events, labels, and label ages: event time to label, in milliseconds. Whole numbers only.

    Examples
    --------
    >>> coverage = Coverage()
    >>> coverage.update(4, np.array([1000, 3000]))
    >>> coverage.all()["share"], coverage.all()["age_mean_ms"]
    (0.5, 2000.0)
    """

    codec = "pickle"

    def __init__(self) -> None:
        self._events = 0
        self._labelled = 0
        self._age_total = 0
        self._ages = np.zeros(_BINS, dtype=np.int64)

    def update(self, events: int, ages_ms: NDArray[np.int64]) -> None:
        """Count events seen, and labels by their age.

        Parameters
        ----------
        events : int
            New events.
        ages_ms : (n,)
            Of each first label of an event (a correction is no further label); below 0, for a label that was known
            before its event, counts as 0.
        """
        self._events += events
        if not len(ages_ms):
            return
        ages = np.maximum(ages_ms, 0)
        self._labelled += len(ages)
        self._age_total += sum(ages.tolist())  # Python's integers do not overflow
        places = (ages.astype(np.float64).view(np.int64) >> _SHIFT) - _FLOOR
        np.add.at(self._ages, np.minimum(np.maximum(places, 0), _BINS - 1), 1)

    def all(self) -> dict[str, float]:
        """``events``, ``labelled``, ``share``, ``age_mean_ms``, ``age_p50_ms``, ``age_p99_ms`` (these two within 3 %)."""
        n = self._labelled
        return {
            "events": float(self._events),
            "labelled": float(n),
            "share": n / self._events if self._events else nan,
            "age_mean_ms": self._age_total / n if n else nan,
            "age_p50_ms": self._quantile(0.5),
            "age_p99_ms": self._quantile(0.99),
        }

    def _quantile(self, share: float) -> float:
        if not self._labelled:
            return nan
        place = int(np.searchsorted(np.cumsum(self._ages), ceil(share * self._labelled)))
        if place == 0:
            return 0.0
        octave, step = divmod(place - 1, 1 << _BITS)
        return 2.0**octave * (1.0 + (step + 0.5) / (1 << _BITS))

    def alive(self) -> Iterable[str]:
        return ("state",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every event changes the state
        yield "state", (self._events, self._labelled, self._age_total, self._ages.tolist())

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        state: Any = chunks["state"]
        self._events, self._labelled, self._age_total, ages = state
        self._ages = np.array(ages, dtype=np.int64)
