"""The only clock that the step knows: stream time, with a guard against one wild value; and what has been counted.

The same guard decides whose turn it is among a task's inputs (``turns``, used by runtime/merge.py), so how far each input
has come is a part of the state: a recovered task must take its inputs in the order in which it would have taken them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.codec import NO_TIME
from stream.records import OUTPUTS, OutputName

NEVER = -(2**62)
"""Stream time before the first event."""
ANY_JUMP = 2**63 - 1
"""As ``jump_max_ms``: no time is wild, not even the first one, which comes after ``NEVER``."""
DOUBT_MAX = 1000
"""Records without a time that a leap waits behind for one that confirms it: what is not sure is kept in memory."""


class Reach(NamedTuple):
    """How far the times of an input have come, and the time beyond it that the next record must confirm."""

    time_ms: int = NEVER
    leap_ms: int | None = None
    passed: int = 0
    """Records without a time since that leap."""


class Turns(NamedTuple):
    """When it is each record's turn, never falling; ``sure`` of them are so whatever follows. And the reach after all."""

    times_ms: NDArray[np.int64]
    sure: int
    reach: Reach


def turns(times_ms: Sequence[int], reach: Reach, jump_max_ms: int) -> Turns:
    """The turns of records that follow one another in one input which has come to ``reach``.

    A record's turn is the largest time of its input so far, because inputs keep their order. A time more than
    ``jump_max_ms`` beyond that counts only when the next record leaps as well and is not as far below it; else it is wild,
    and its record goes with the one before it, or with the next one when that leaps. The first record of all is a leap.
    Until that is known nothing from it on is sure, and its turn is its own time. Records without a time are passed over,
    ``DOUBT_MAX`` of them at most: then the leap is wild.
    """
    given = np.array(times_ms, np.int64)
    largest = np.maximum.accumulate(np.concatenate([[reach.time_ms], given]))
    if reach.leap_ms is None and not (np.diff(largest) > jump_max_ms).any():
        return Turns(largest[1:], len(given), Reach(int(largest[-1])))
    now, leap, leapt_at, passed = reach.time_ms, reach.leap_ms, 0, reach.passed
    out = given
    for place, time in enumerate(times_ms):
        if time == NO_TIME:
            passed += 1
            leap = None if passed >= DOUBT_MAX else leap
        elif time <= now + jump_max_ms:
            now, leap = max(now, time), None
        else:
            if leap is not None:
                now = leap if leap <= time + jump_max_ms else time
                out[leapt_at:place] = now
            leap, leapt_at, passed = (time, place, 0) if time > now + jump_max_ms else (None, 0, 0)
            now = now if leap is not None else max(now, time)
        out[place] = now
    if leap is None:
        return Turns(out, len(out), Reach(now))
    out[leapt_at:] = leap
    return Turns(out, leapt_at, Reach(now, leap, passed))


class Clock:
    """Records folded, stream time, the next ``seq`` of each output, and counts of what was dropped or seen.

    Stream time is the largest event time seen, but a leap of more than ``jump_max_ms`` is believed only when the next
    event leaps as well (then up to the smaller of the two): one wild value must not make every waiting event expire.
    """

    codec = "pickle"

    def __init__(self, jump_max_ms: int) -> None:
        self.jump_max_ms = jump_max_ms
        self.records = 0
        self.stream_time_ms = NEVER
        self.next_seq: dict[OutputName, int] = dict.fromkeys(OUTPUTS, 0)
        self.counts: Counter[str] = Counter()
        self.reaches: list[Reach] = []
        """Of each of several inputs; of one there is no order to keep."""
        self._leap_ms: int | None = None

    def see(self, time_ms: int) -> int:
        """Take notice of an event's time. Returns the stream time now."""
        now = self.stream_time_ms
        if now == NEVER or now < time_ms <= now + self.jump_max_ms:
            self.stream_time_ms = time_ms
            self._leap_ms = None
        elif time_ms <= now:
            self._leap_ms = None
        else:
            self.counts["time_leaps"] += 1
            if self._leap_ms is not None:
                self.stream_time_ms = min(self._leap_ms, time_ms)
            self._leap_ms = time_ms if time_ms > self.stream_time_ms + self.jump_max_ms else None
        return self.stream_time_ms

    def follow(self, inputs: Sequence[Sequence[int]]) -> None:
        """Take notice of the times of all records of a batch, input by input."""
        if len(inputs) > 1:
            before = self.reaches or [Reach()] * len(inputs)
            self.reaches = [
                turns(times_ms, reach, self.jump_max_ms).reach if len(times_ms) else reach
                for times_ms, reach in zip(inputs, before, strict=True)
            ]

    def alive(self) -> Iterable[str]:
        return ("clock",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        yield (
            "clock",
            {
                "records": self.records,
                "stream_time_ms": self.stream_time_ms,
                "next_seq": dict(self.next_seq),
                "counts": dict(self.counts),
                "leap_ms": self._leap_ms,
                "reaches": [tuple(reach) for reach in self.reaches],
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        told = chunks["clock"]
        assert isinstance(told, dict)
        self.records = told["records"]
        self.stream_time_ms = told["stream_time_ms"]
        self.next_seq = dict(told["next_seq"])
        self.counts = Counter(told["counts"])
        self._leap_ms = told["leap_ms"]
        self.reaches = [Reach(*reach) for reach in told["reaches"]]
