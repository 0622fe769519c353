"""Which events are looked at together: slices of stream time, days, hours, keys, named segments. Codes with names.

Not here: what is measured of them (measures.py).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.replay.judged import Coded, Judged

Ints = NDArray[np.int64]

DAY_MS: Final = 86_400_000
_LAST_S: Final = 253_402_300_799  # of the year 9999
SLICES: Final = 40
DAYS_MIN, DAYS_MAX = 14, 130
"""A stream of so many days is shown by day; a shorter or longer one in SLICES equal slices."""

UNITS_MIN, UNITS_MAX = 14, 400
UNITS: Final = tuple(
    (name, ms)
    for name, ms in (
        ("second", 1000), ("10 seconds", 10_000), ("minute", 60_000), ("5 minutes", 300_000), ("15 minutes", 900_000),
        ("hour", 3_600_000), ("3 hours", 10_800_000), ("6 hours", 21_600_000), ("12 hours", 43_200_000),
        ("day", DAY_MS), ("week", 7 * DAY_MS), ("4 weeks", 28 * DAY_MS), ("52 weeks", 364 * DAY_MS),
    )
)  # fmt: skip
"""Of what blocks are made: the day if there are enough and not too many of them, else what comes nearest."""

_KEYS_SHOWN: Final = 8
_KEY_SHARE_MIN: Final = 0.01
_VALUES_SHOWN: Final = 10
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS: Final = 4


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of a run's events. A code of -1 is in no group."""

    name: str
    codes: NDArray[np.integer]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """Stream time in pieces: piece ``i`` is ``[edges_ms[i], edges_ms[i + 1])``."""

    edges_ms: Ints
    by_day: bool

    def __len__(self) -> int:
        return len(self.edges_ms) - 1

    def codes(self, time_ms: Ints) -> Ints:
        if self.by_day:
            days: Ints = (time_ms - self.edges_ms[0]) // DAY_MS
            return days
        return np.clip(np.searchsorted(self.edges_ms, time_ms, side="right") - 1, 0, len(self) - 1)


def slices(start_ms: int, end_ms: int) -> Slices:
    """Of a stream whose first and last events are at these times."""
    first, last = start_ms // DAY_MS, end_ms // DAY_MS
    if DAYS_MIN <= last - first + 1 <= DAYS_MAX:
        return Slices(np.arange(first, last + 2) * DAY_MS, by_day=True)
    count = min(SLICES, end_ms - start_ms + 1)
    return Slices(np.linspace(start_ms, end_ms + 1, count + 1).astype(np.int64), by_day=False)


def unit_of(start_ms: int, end_ms: int) -> tuple[str, int]:
    """What blocks are made of: its name, and its length in milliseconds."""
    day = [name for name, _ in UNITS].index("day")
    count = {ms: end_ms // ms - start_ms // ms + 1 for _, ms in UNITS}
    if count[DAY_MS] >= UNITS_MIN:
        fitting = [unit for unit in UNITS[day:] if count[unit[1]] <= UNITS_MAX]
        return fitting[0] if fitting else UNITS[-1]
    fitting = [unit for unit in UNITS[:day] if count[unit[1]] >= UNITS_MIN]
    return fitting[-1] if fitting else UNITS[0]


def segments(judged: Judged) -> Iterator[Groups]:
    """Hours, weekdays, keys, whether the label is silence, and the segments that the file names."""
    hours = judged.time_ms // 3_600_000 % 24
    spans = [f"{hour:02} to {hour + _HOURS:02} h" for hour in range(0, 24, _HOURS)]
    if _several(hours):
        yield Groups("hour of day (UTC)", hours // _HOURS, tuple(spans))
    weekdays = (judged.time_ms // DAY_MS + 3) % 7  # 1970 began on a Thursday
    if _several(weekdays):
        yield Groups("weekday (UTC)", weekdays, _WEEKDAYS)
    if len(judged.key.names) > 1:
        yield _keys(judged.key)
    if _several(judged.assumed):
        yield Groups("label", judged.assumed.astype(np.int64), ("came", "silence, assumed"))
    for name, column in judged.segments.items():
        yield _values(name, column) if isinstance(column, Coded) else _quantiles(name, column)


def _several(values: NDArray[np.generic]) -> bool:
    return bool(len(values)) and bool((values != values[0]).any())


def _keys(key: Coded) -> Groups:
    """The largest keys by name where they are large, else keys by how many events they have."""
    counts = np.bincount(key.codes[key.codes >= 0], minlength=len(key.names))
    order = np.argsort(-counts, kind="stable")
    if counts[order[0]] >= _KEY_SHARE_MIN * len(key.codes):
        return _largest("key", key, order[:_KEYS_SHOWN])
    edges = np.unique(np.quantile(np.repeat(counts, counts), (0.25, 0.5, 0.75), method="inverted_cdf").astype(np.int64))
    group = np.searchsorted(edges, counts, side="left")
    bounds = [0, *edges.tolist(), int(counts.max())]
    names = [f"keys with {_span(low + 1, high)} events" for low, high in itertools.pairwise(bounds)]
    return Groups("activity of the key", np.append(group, -1)[key.codes], tuple(names))


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _largest(name: str, column: Coded, largest: Ints) -> Groups:
    own = np.full(len(column.names) + 1, len(largest))
    own[largest] = np.arange(len(largest))
    own[-1] = -1
    others = len(column.names) - len(largest)
    names = [column.names[i] for i in largest.tolist()]
    return Groups(name, own[column.codes], (*names, f"{others:,} others") if others else tuple(names))


def _values(name: str, column: Coded) -> Groups:
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.names))
    return _largest(name, column, np.argsort(-counts, kind="stable")[:_VALUES_SHOWN])


def _quantiles(name: str, values: NDArray[np.float64]) -> Groups:
    """Numbers by their quintiles; few distinct ones by themselves."""
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) <= _VALUES_SHOWN:
        codes = np.where(np.isfinite(values), np.searchsorted(distinct, values), -1)
        return Groups(name, codes, tuple(f"{value:g}" for value in distinct.tolist()))
    edges = np.unique(np.quantile(known, (0.2, 0.4, 0.6, 0.8)))
    codes = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)
    texts = [f"{edge:.4g}" for edge in edges.tolist()]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
    return Groups(name, codes, (f"up to {texts[0]}", *between, f"above {texts[-1]}"))


def blocks_of(time_ms: Sequence[int] | Ints, unit_ms: int) -> tuple[Ints, int]:
    """Each event's unit, dense over those that hold events, in the order of time; and how many there are."""
    units = np.asarray(time_ms, dtype=np.int64) // unit_ms
    if not len(units):
        return units, 0
    first = int(units.min())
    met = np.bincount(units - first) > 0 if int(units.max()) - first <= 10 * len(units) + 10_000 else None
    if met is None:  # one event far from all others
        _, dense = np.unique(units, return_inverse=True)
        return dense.astype(np.int64), int(dense.max()) + 1
    return (np.cumsum(met) - 1)[units - first], int(met.sum())


def day_text(time_ms: int) -> str:
    """ISO 8601, in UTC, to the second."""
    at = datetime.fromtimestamp(min(time_ms // 1000, _LAST_S), UTC)
    return at.replace(tzinfo=None).isoformat() + "Z"
