"""Which part of a history is replayed: times and offsets, made into positions, and the ends found on the way.

A range is a stretch of each input as it lies in the log, so that another may go on where it ends, not a record twice: it
begins at the first record of a time at or after ``from_ms``, and ends before the first at or after ``to_ms``. A record
counts there only when the next one that has a time says so too: a single wild time neither begins nor ends anything.
Times of labels are their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from stream.codec import NO_TIME, Events, Labels
from stream.records import Input, Positions, Records
from stream.runtime.merge import Decoders
from stream.transport.base import Fetched

LOOK = 5000
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Range:
    """What an operator asks for. Offsets count in the input of events."""

    from_ms: int | None = None
    to_ms: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    late_labels: bool = True
    """Whether labels from the end on are applied still, after the last event, so that it may be judged."""


class Bounds(msgspec.Struct, frozen=True):
    """Of one task: where its inputs begin and end."""

    start: Positions
    stop: tuple[int | None, ...]
    """None: where nothing is left."""
    events_to_ms: int | None = None
    labels_to_ms: int | None = None
    size_to: Positions = ()
    """How far inputs reach, where anybody knows: only to say how much is done."""


class Reads(Protocol):
    """Of a ``TaskLog``, what only reads inputs."""

    inputs: tuple[Input, ...]

    def start(self) -> Positions: ...

    def seek(self, positions: Positions) -> None: ...

    def hold(self, inputs: set[int]) -> None: ...

    def poll(self, limit: int, timeout_s: float) -> Fetched: ...

    def close(self) -> None: ...


class Ends:
    """Cuts what is polled where each input ends; decodes for the merge what it had to decode for that.

    Parameters
    ----------
    decoders : Decoders
    bounds : Bounds
    positions : Positions
        Where polling begins.
    """

    def __init__(self, decoders: Decoders, bounds: Bounds, positions: Positions) -> None:
        self._decoders = decoders
        self._stop = bounds.stop
        self._to_ms = [bounds.events_to_ms, *[bounds.labels_to_ms] * (len(positions) - 1)]
        self._waiting = [Records() for _ in positions]  # the last record, when only the next one says whether it counts
        self._decoded: list[tuple[Records, Events | Labels]] = []  # of the last poll
        stops = zip(positions, bounds.stop, strict=True)
        self.over = {which for which, (at, stop) in enumerate(stops) if stop is not None and at >= stop}
        """Inputs of which nothing more is wanted."""
        self._ended = [which in self.over for which in range(len(positions))]

    @property
    def all_over(self) -> bool:
        return all(self._ended)

    def cut(self, fetched: Fetched) -> Fetched:
        """What of it lies before the ends."""
        self._decoded.clear()
        parts = [
            self._cut(which, records, at_end=at_end)
            for which, (records, at_end) in enumerate(zip(fetched.records, fetched.at_end, strict=True))
        ]
        return Fetched(tuple(parts), tuple(self._ended))

    def _cut(self, which: int, records: Records, *, at_end: bool) -> Records:
        if which in self.over:
            return Records()
        stop, to_ms = self._stop[which], self._to_ms[which]
        if stop is not None and records.offsets and records.offsets[-1] >= stop - 1:
            records = before(records, stop)
            at_end = True
            self.over.add(which)
        self._ended[which] = at_end
        return records if to_ms is None else self._before_time(which, records, to_ms, at_end=at_end)

    def _before_time(self, which: int, records: Records, to_ms: int, *, at_end: bool) -> Records:
        if len(waiting := self._waiting[which]):
            waiting.extend(records)
            records, self._waiting[which] = waiting, Records()
        columns = self._decoders.events(records) if which == 0 else self._decoders.labels(records)
        found, sure = first_at(columns.times_ms, to_ms)
        if found is not None and sure:
            self._ended[which] = True
            self.over.add(which)
        elif found is not None and not at_end:
            self._waiting[which] = records.slice(found, len(records))
        else:
            found = None
        if found is not None:
            records, columns = records.slice(0, found), columns.slice(0, found)
        self._decoded.append((records, columns))
        return records

    def events(self, records: Records) -> Events:
        """As Decoders."""
        known = self._known(records)
        return known if isinstance(known, Events) else self._decoders.events(records)

    def labels(self, records: Records) -> Labels:
        """As Decoders."""
        known = self._known(records)
        return known if isinstance(known, Labels) else self._decoders.labels(records)

    def _known(self, records: Records) -> Events | Labels | None:
        return next((columns for own, columns in self._decoded if own is records), None)


def before(records: Records, stop: int) -> Records:
    """Those of a smaller offset."""
    last = len(records)
    while last and records.offsets[last - 1] >= stop:
        last -= 1
    return records if last == len(records) else records.slice(0, last)


def first_at(times_ms: Sequence[int], bound_ms: int) -> tuple[int | None, bool]:
    """The index of the first time at or after a bound whose successor is as well; and whether its successor is there.

    Examples
    --------
    >>> first_at([1, 9, 2, 7, 8], 5), first_at([1, 9], 5), first_at([1, 9, 2], 5)
    ((3, True), (1, False), (None, False))
    """
    former = None
    for index, time_ms in enumerate(times_ms):
        if time_ms == NO_TIME:
            continue
        if time_ms < bound_ms:
            former = None
        elif former is not None:
            return former, True
        else:
            former = index
    return former, False


def resolve(
    log: Reads, span: Range, decoders: Decoders, *, stop: tuple[int | None, ...], size_to: Positions = ()
) -> Bounds:
    """A task's bounds. Reads up to where the range begins. Raises as reading does."""
    start = list(log.start())
    from_ms, labels_to_ms = span.from_ms, None if span.late_labels else span.to_ms
    ends = list(stop)
    if span.from_offset is not None:
        start[0] = max(start[0], span.from_offset)
        from_ms = _time_of(log, start, decoders) if span.from_offset and len(start) > 1 else None
    if span.to_offset is not None:
        end = min(span.to_offset, 2**62 if ends[0] is None else ends[0])
        if not span.late_labels and len(start) > 1:
            labels_to_ms = _time_of(log, [end, *start[1:]], decoders)
        ends[0] = end
    if from_ms is not None:
        first = 0 if span.from_offset is None else 1
        start[first:] = [_begins(log, start, which, from_ms, decoders) for which in range(first, len(start))]
    ends = [None if end is None else max(end, begun) for end, begun in zip(ends, start, strict=True)]
    return Bounds(tuple(start), tuple(ends), span.to_ms, labels_to_ms, size_to)


def _time_of(log: Reads, positions: Sequence[int], decoders: Decoders) -> int | None:
    """Of the first event from there on that has a time."""
    log.seek(tuple(positions))
    log.hold(set(range(1, len(positions))))
    while True:
        fetched = log.poll(LOOK, POLL_S)
        if len(records := fetched.records[0]):
            times = (time_ms for time_ms in decoders.events(records).times_ms if time_ms != NO_TIME)
            if (found := next(times, None)) is not None:
                return found
        if fetched.at_end[0]:
            return None


def _begins(log: Reads, positions: Sequence[int], which: int, from_ms: int, decoders: Decoders) -> int:
    """The first offset of an input from which times are at or after ``from_ms``."""
    log.seek(tuple(positions))
    log.hold(set(range(len(positions))) - {which})
    waiting = Records()
    at = positions[which]
    while True:
        fetched = log.poll(LOOK, POLL_S)
        records, at_end = fetched.records[which], fetched.at_end[which]
        waiting.extend(records)
        columns = decoders.events(waiting) if which == 0 else decoders.labels(waiting)
        found, sure = first_at(columns.times_ms, from_ms)
        if found is not None and (sure or at_end):
            return waiting.offsets[found]
        if waiting.offsets:
            at = waiting.offsets[-1] + 1
        waiting = Records() if found is None else waiting.slice(found, len(waiting))
        if at_end:
            return at
