"""Finding one event, and its label, by its id: a scan of an input, at the speed at which records are read.

No index is kept: it would cost every event a write, and be needed for one in a million. A record is looked at closely only
when the id's bytes stand in it. Whoever knows the offset (every prediction tells it) needs no search. Reads only.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import orjson

from stream.pipeline.fold import Fold
from stream.records import Input, Positions, Records, Reject
from stream.transport.base import TaskLog

LIMIT = 5000
POLL_S = 0.1
FOUND_MAX = 100
_PLAIN = re.compile(r"[\w.:@+-]+", re.ASCII)
"""Ids that nobody who writes JSON escapes."""

Tell = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A record of an input that is about the id."""

    input: Input
    offset: int
    timestamp_ms: int
    time_ms: int | None
    """Its own; None when it was refused."""
    value: float | str | None = None
    """Of a label."""
    refused: Reject | None = None


def events_of(log: TaskLog, fold: Fold, event: str, tell: Tell) -> list[Occurrence]:
    """Records of the events' input with this id, oldest first, ``FOUND_MAX`` at most; those that were refused as well."""

    def look(_: int, one: Records) -> Iterator[Occurrence]:
        events = fold.event_decoder.decode(one)
        if events.ids[0] == event:
            yield Occurrence(log.inputs[0], one.offsets[0], one.timestamps_ms[0], events.times_ms[0])
        elif 0 in events.rejects and _names(one.values[0], event):
            yield Occurrence(log.inputs[0], one.offsets[0], one.timestamps_ms[0], None, refused=events.rejects[0])

    return _scan(log, {0}, log.start(), event, look, tell, FOUND_MAX)


def label_of(log: TaskLog, fold: Fold, event: str, since: Positions, tell: Tell) -> Occurrence | None:
    """The first label for this id at or after these positions, in the inputs of labels."""
    decoder = fold.label_decoder
    which = {number for number, one in enumerate(log.inputs) if one.kind == "labels"}
    if decoder is None or not which:
        return None

    def look(number: int, one: Records) -> Iterator[Occurrence]:
        labels = decoder.decode(one)
        if labels.ids[0] == event and labels.values[0] is not None:
            yield Occurrence(
                log.inputs[number], one.offsets[0], one.timestamps_ms[0], labels.times_ms[0], labels.values[0]
            )

    start = tuple(max(low, position) for low, position in zip(log.start(), since, strict=True))
    return next(iter(_scan(log, which, start, event, look, tell, 1)), None)


def _scan(
    log: TaskLog, which: set[int], start: Positions, event: str,
    look: Callable[[int, Records], Iterator[Occurrence]], tell: Tell, limit: int,
) -> list[Occurrence]:  # fmt: skip
    found: list[Occurrence] = []
    needles = [orjson.dumps(event)[1:-1]]
    if not _PLAIN.fullmatch(event):
        needles = [b""]  # there are several ways to write it
    log.seek(start)
    log.hold(set(range(len(log.inputs))) - which)
    done, next_at = 0, list(start)
    while True:
        fetched = log.poll(LIMIT, POLL_S)
        for number in which:
            records = fetched.records[number]
            for index, value in enumerate(records.values):
                if value is not None and needles[0] in value:
                    found += look(number, records.slice(index, index + 1))
            done += len(records)
            if len(records):
                next_at[number] = records.offsets[-1] + 1
        read = sum(next_at[number] - start[number] for number in which)
        behind = sum(log.lag().get(f"{log.inputs[n].topic}/{log.inputs[n].partition}", 0) for n in which)
        tell(done, read / max(read + behind, 1))
        if len(found) >= limit or all(fetched.at_end[number] for number in which):
            return found[:limit]


def _names(value: bytes | None, event: str) -> bool:
    """Whether a record that was refused has this id somewhere on its first level; of no JSON, whether the text is in it."""
    try:
        told = msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return isinstance(told, dict) and any(str(one) == event for one in told.values())
