"""An alert budget: from which score on a prediction is positive, so that about so many alerts come in a day.

``prediction = score >= threshold``, and the threshold follows the stream: each event is decided by what came before it, in
stream time, once and for ever, and says the threshold that it was decided by. A fixed threshold needs none of this. Read
decide.py next.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isfinite, nextafter

import numpy as np
from numpy.typing import NDArray

MEDIAN_OF = 3


class Budget:
    """The threshold of one learner's scores.

    A period's *line* is the score of its ``count``-th best: of each event, or by key of each key's best event. The
    threshold is the median of the lines of the last ``median_of`` full periods (of two, the higher). So one odd day
    changes nothing, and a lasting change is followed after two.

    Once a period has had its ``count``, only what is better than the ``count``-th best of the period so far is positive. So
    of N that reach the threshold about ``count * (1 + ln(N / count))`` are positive (those that are among the best so far,
    in random order), and of equal scores the first ones.

    The first period began before the first event, so it draws no line. One with fewer events (or keys) than ``count`` draws
    it at its lowest. A gap in stream time has no periods.

    Parameters
    ----------
    count : int
        Alerts in a period, from 1 on.
    period_ms : int
        Periods start at its multiples since 1970 in stream time: days are UTC's.
    by_key : bool
        Two alerts of one key in a period are one.
    at_first : float
        The threshold until the first full period is over.
    median_of : int
        Periods that are remembered.
    most : int, optional
        A period's last alerts, whatever comes: from then on nothing is positive but what has a key that was.
    """

    codec = "pickle"

    def __init__(
        self, count: int, period_ms: int, *, by_key: bool, at_first: float = 0.5, median_of: int = MEDIAN_OF,
        most: int | None = None,
    ) -> None:  # fmt: skip
        self.at_first = at_first
        self._count = count
        self._period_ms = period_ms
        self._by_key = by_key
        self._median_of = median_of
        self._most = most
        self._period: int | None = None
        self._is_full = False
        """Whether the present period began after the first event."""
        self._lines: list[float] = []
        """Of full periods, the newest last."""
        self._best: list[tuple[float, str]] = []
        """Of the present period, ascending, ``count`` at most."""
        self._own: dict[str, float] = {}
        """By key, the scores in ``_best``."""
        self._alerted: dict[str, None] = {}
        """What was positive in the present period: keys, or numbers of events. Only where there is a ``most``."""
        self._draw()

    def decide(self, times_ms: Sequence[int], keys: Sequence[str], scores: Sequence[float]) -> NDArray[np.float64]:
        """The thresholds of events, in their order, ``(n,)``: infinite where nothing more may be positive.

        NaN where a score is not finite, which is no event here.

        Parameters
        ----------
        times_ms : sequence of int
            Stream time at each event: never falls.
        keys : sequence of str
        scores : sequence of float
        """
        told = []
        for time_ms, key, score in zip(times_ms, keys, scores, strict=True):
            if not isfinite(score):
                told.append(np.nan)
                continue
            if (period := time_ms // self._period_ms) != self._period:
                self._turn(period)
            told.append(self.threshold if self._most is None else self._held(score, key))
            if score > self._lowest:
                self._add(score, key)
        return np.array(told, np.float64)

    def _held(self, score: float, key: str) -> float:
        """Where there is a ``most``: the threshold, and note what is positive."""
        assert self._most is not None
        name = key if self._by_key else str(len(self._alerted))
        if name not in self._alerted:
            if len(self._alerted) >= self._most:
                return inf
            if score >= self.threshold:
                self._alerted[name] = None
        return self.threshold

    def _turn(self, period: int) -> None:
        """Another period begins."""
        if self._is_full:
            self._lines = [*self._lines, self._best[0][0]][-self._median_of :]
        self._is_full = self._period is not None
        self._period = period
        self._best, self._own, self._alerted = [], {}, {}
        self._draw()

    def _add(self, score: float, key: str) -> None:
        """A score above ``_lowest``."""
        if self._by_key:
            had = self._own.get(key)
            if had is not None:
                if score <= had:
                    return
                del self._best[bisect_left(self._best, (had, key))]
            self._own[key] = score
        else:
            key = ""
        if len(self._best) == self._count:
            _, gone = self._best.pop(0)
            self._own.pop(gone, None)
        insort(self._best, (score, key))
        self._draw()

    def _draw(self) -> None:
        """Find what the next event is decided by."""
        line = sorted(self._lines)[len(self._lines) // 2] if self._lines else self.at_first
        self._lowest = self._best[0][0] if len(self._best) == self._count else -inf
        """What the next score must exceed to be one of the best."""
        self.threshold = line if self._lowest < line else nextafter(self._lowest, inf)

    # --- as a part of the state -----------------------------------------------------------------------------------

    def alive(self) -> Iterable[str]:
        return ("budget",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        yield (
            "budget",
            {
                "period": self._period,
                "is_full": self._is_full,
                "lines": list(self._lines),
                "best": list(self._best),
                "alerted": list(self._alerted),
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        told = chunks["budget"]
        assert isinstance(told, dict)
        self._period, self._is_full, self._lines = told["period"], told["is_full"], list(told["lines"])
        self._best = [tuple(one) for one in told["best"]]
        self._own = {key: score for score, key in self._best} if self._by_key else {}
        self._alerted = dict.fromkeys(told["alerted"])
        self._draw()
