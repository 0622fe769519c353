"""What a team finds that looks at the best ``k`` keys of each day: card precision, as labels come.

Like base.py's metrics it judges scores that were emitted, but by day and key, so it is told of events as well as of labels. A
backtest has the same measure over whole files (stream/replay/details.py), and a test holds the two equal.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Final

DAY_MS: Final = 86_400_000
KNOWN_MAX: Final = 1_000_000
"""Keys known as positive, at most; the first ones go."""


@dataclass(slots=True)
class _Day:
    """One day (in UTC) that labels may still be coming for."""

    best: list[tuple[float, str]] = field(default_factory=list)
    """The best keys with their scores, ascending, ``k`` at most."""
    own: dict[str, float] = field(default_factory=dict)
    """By key, the scores in ``best``."""
    positives: dict[str, int] = field(default_factory=dict)
    """By key, positive events of the day."""


class Finds:
    """Precision of the best ``k`` keys of a day that were not known before it.

    A key's score is the highest of its events of the day. It is a find when one of them turns out positive within
    ``wait_ms`` after the day; a key of which no such label comes is none. Keys of which a positive label had come before the day
    began are left out: they have been dealt with. So Le Borgne et al. (2022), *Reproducible Machine Learning for Credit Card
    Fraud Detection*, chapter 4, with labels as they come in the place of a fixed delay. Days are those of the events' own
    times, in UTC, and count when they are over and waited for. Of equal scores at the end of the list the first one stays.

    The state is ``k`` keys and the positives of each day that is open, and the keys that are known.

    Parameters
    ----------
    k : int
        How many keys can be looked at a day, from 1 on.
    by : str
        The keys' field, for whoever tells of events and labels.
    wait_ms : int
        How long after a day its labels are waited for.

    Examples
    --------
    >>> finds = Finds(1, wait_ms=DAY_MS)
    >>> nan = float("nan")
    >>> finds.follow([False, False], [5, 6], ["a", "b"], [0.2, 0.9], [nan, nan], [False, False], [5, 6])
    >>> finds.follow([True], [5], ["a"], [1.0], [nan], [False], [DAY_MS])
    >>> finds.turn(2 * DAY_MS)
    >>> finds.all()["precision"], finds.all()["ceiling"]
    (0.0, 1.0)
    """

    codec = "pickle"

    def __init__(self, k: int, by: str = "key", *, wait_ms: int) -> None:
        self.by = by
        self._k, self._wait_ms = k, wait_ms
        self._days: dict[int, _Day] = {}
        self._known_ms: dict[str, int] = {}
        self._found = self._shown = self._possible = self._count = 0
        self._last: tuple[int, int, int] = (0, 0, 0)

    # Where a batch is cut changes nothing: each event and label is judged by stream time at its place in the log. A day is over
    # for it when that has reached the day's end, whether or not ``turn`` has been called since.

    def follow(
        self,
        is_label: Sequence[bool],
        times_ms: Sequence[int],
        keys: Sequence[str],
        values: Sequence[float],
        previous: Sequence[float],
        assumed: Sequence[bool],
        now_ms: Sequence[int],
    ) -> None:
        """Events and labels in the order of the log.

        Parameters
        ----------
        is_label : (n,)
            Else it is an event.
        times_ms, keys : (n,)
            The event's own, also of a label.
        values : (n,)
            The score that was emitted, without which (NaN) an event does not count; or the label.
        previous, assumed : (n,)
            Of labels: see ``learners.metrics.base.Metrics.update``; silence makes no key known.
        now_ms : (n,)
            Stream time at each.
        """
        known_ms, day, begins_ms, end_ms = self._known_ms, 0, 0, self._end_ms(0)
        for label, time_ms, key, value, before, silent, now in zip(
            is_label, times_ms, keys, values, previous, assumed, now_ms, strict=True
        ):
            if time_ms // DAY_MS != day:
                day = time_ms // DAY_MS
                begins_ms, end_ms = day * DAY_MS, self._end_ms(day)
            if label:
                change = (value > 0.5) - (before > 0.5)
                if value > 0.5 and not silent:
                    self._know(key, now)
                if change and now < end_ms:
                    positives = self._day(day).positives
                    positives[key] = positives.get(key, 0) + change
            elif now < end_ms and isfinite(value):
                open_ = self._day(day)
                if len(open_.best) == self._k and value <= open_.best[0][0]:
                    continue
                if known_ms and known_ms.get(key, begins_ms) < begins_ms:
                    continue
                self._list(open_, key, value)

    def turn(self, now_ms: int) -> None:
        """Days that have been waited for are counted. After each batch, with its last stream time."""
        for day in sorted(self._days):
            if now_ms < self._end_ms(day):
                continue
            over, begins_ms = self._days.pop(day), day * DAY_MS
            if not over.best:
                continue
            hit = {
                key
                for key, count in over.positives.items()
                if count > 0 and self._known_ms.get(key, begins_ms) >= begins_ms
            }
            self._last = sum(key in hit for key in over.own), len(over.best), min(len(hit), self._k)
            self._found, self._shown, self._possible = (
                old + more for old, more in zip((self._found, self._shown, self._possible), self._last, strict=True)
            )
            self._count += 1

    def _end_ms(self, day: int) -> int:
        return (day + 1) * DAY_MS + self._wait_ms

    def _day(self, day: int) -> _Day:
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = _Day()
        return found

    def _know(self, key: str, now_ms: int) -> None:
        if key in self._known_ms:
            return
        self._known_ms[key] = now_ms
        if len(self._known_ms) > KNOWN_MAX:
            self.turn(now_ms)  # days that are over are counted with what was known then
            del self._known_ms[next(iter(self._known_ms))]

    def _list(self, day: _Day, key: str, score: float) -> None:
        """A score above the lowest of the list, or a list that is not full."""
        had = day.own.get(key)
        if had is not None:
            if score <= had:
                return
            del day.best[bisect_left(day.best, (had, key))]
        elif len(day.best) == self._k:
            _, gone = day.best.pop(0)
            del day.own[gone]
        day.own[key] = score
        insort(day.best, (score, key))

    def all(self) -> dict[str, float]:
        """``precision``, its ``ceiling`` (of somebody who knows the labels), and ``days``: over all days that count."""
        return {**_figures(self._found, self._shown, self._possible), "days": float(self._count)}

    def recent(self) -> dict[str, float]:
        """Of the last day that counts."""
        return {**_figures(*self._last), "days": float(min(self._count, 1))}

    # --- as a part of the state -----------------------------------------------------------------------------------

    def alive(self) -> Iterable[str]:
        return ("finds",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every event may change it
        yield (
            "finds",
            {
                "days": {day: (list(one.best), dict(one.positives)) for day, one in sorted(self._days.items())},
                "known": dict(self._known_ms),
                "totals": (self._found, self._shown, self._possible, self._count),
                "last": self._last,
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        told: Any = chunks["finds"]
        self._days = {
            day: _Day([tuple(one) for one in best], {key: score for score, key in best}, dict(positives))
            for day, (best, positives) in told["days"].items()
        }
        self._known_ms = dict(told["known"])
        self._found, self._shown, self._possible, self._count = told["totals"]
        self._last = tuple(told["last"])


def _figures(found: int, shown: int, possible: int) -> dict[str, float]:
    return {"precision": found / shown if shown else nan, "ceiling": possible / shown if shown else nan}
