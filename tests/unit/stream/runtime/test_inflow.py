"""Deliveries with holes, repeats and stalls: the task gets each record once, in the order of the log."""

from dataclasses import dataclass

import pytest

from stream.records import Input, Records
from stream.runtime.inflow import STALL_S, UNREAD_MAX, Inflow, Tap

ONE = Input("events", "t", 3)


@dataclass
class Message:
    offset: int
    timestamp: float | None = 1.5
    key: bytes | None = b"k"

    @property
    def value(self) -> bytes:
        return b"%d" % self.offset

    def ack(self, consumer) -> bool:
        return True


class KafkaHas:
    """A consumer of partition 3 over given offsets, a few at a time."""

    def __init__(self, offsets, start, at_once=2):
        self._left = [offset for offset in offsets if offset >= start]
        self._at_once = at_once
        self.next = {3: start}
        self.at_end = {3: False}
        self.closed = False

    def take(self, limit, timeout_s):
        now, self._left = self._left[: self._at_once], self._left[self._at_once :]
        self.at_end[3] = not self._left
        if not now:
            return {}
        self.next[3] = now[-1] + 1
        return {3: Records(now, [0] * len(now), [None] * len(now), [b"%d" % offset for offset in now])}

    def close(self):
        self.closed = True


class Place:
    """An inflow at position 0 over a log that holds ``offsets``."""

    def __init__(self, offsets, position=0):
        self.offsets = offsets
        self.now = 0.0
        self.high = offsets[-1] + 1 if offsets else 0
        self.sources = []
        self.resumed = 0
        self.tap = Tap()
        self.inflow = Inflow(
            ONE,
            self.tap,
            position,
            high=lambda: self.high,
            resume=self._resume,
            read=self._read,
            monotonic=lambda: self.now,
        )

    def _resume(self):
        self.resumed += 1

    def _read(self, start):
        self.sources.append(KafkaHas(self.offsets, start))
        return self.sources[-1]

    def deliver(self, *offsets):
        for offset in offsets:
            self.tap.offer(Message(offset))

    def read(self, limit=100, times=20):
        taken = []
        for _ in range(times):
            taken += self.inflow.take(limit).offsets
        return taken


@pytest.mark.parametrize(
    ("delivered", "position"),
    [
        (range(10), 0),
        ([*range(4), *range(10)], 0),  # again from the start
        ([0, 1, 2, 6, 7, 8, 9], 0),  # a hole
        ([5, 6, 7, 8, 9], 0),  # begins too late
        (range(10), 4),  # begins too early
        ([0, 3, 5, 7, 9], 0),  # all but every second one
    ],
)
def test_whatever_is_delivered_each_record_comes_once_and_in_order(delivered, position):
    """Repeats are dropped, holes are read from Kafka."""
    place = Place(list(range(10)), position)
    place.deliver(*delivered)
    assert place.read(limit=3) == list(range(position, 10))
    assert place.inflow.at_end


def test_a_hole_without_records_is_passed():
    """Offsets that hold no record (a transaction's marker, compaction) are asked for once, then passed."""
    place = Place([0, 1, 4, 5])
    place.deliver(0, 1, 4, 5)
    assert place.read() == [0, 1, 4, 5]
    assert len(place.sources) == 1
    assert place.sources[0].closed


def test_what_is_never_delivered_is_read_after_a_while():
    """A partition that is not at its end and brings nothing is read from Kafka, but not at once."""
    place = Place(list(range(5)))
    place.deliver(0, 1)
    assert place.read() == [0, 1]
    assert not place.inflow.at_end
    place.now = STALL_S + 1
    assert place.read() == [2, 3, 4]
    assert place.inflow.at_end
    assert place.inflow.from_kafka == 3


def test_a_marker_at_the_end_does_not_keep_the_end_away():
    """The last offset may hold no record at all."""
    place = Place([0, 1])
    place.high = 3
    place.deliver(0, 1)
    assert place.read() == [0, 1]
    assert not place.inflow.at_end
    place.now = STALL_S + 1
    assert place.read() == []
    assert place.inflow.at_end
    assert place.inflow.lag == 0


def test_an_input_of_which_nothing_is_known_is_not_at_its_end():
    """Before the first fetch an empty input must be waited for."""
    place = Place([])
    place.high = None
    assert place.read() == []
    assert not place.inflow.at_end
    place.high = 0
    assert place.inflow.at_end


def test_released_is_what_stands_before_the_position():
    """Only committed messages are acknowledged, read or not, each once."""
    place = Place(list(range(6)))
    place.deliver(*range(6))
    assert place.read(limit=2, times=2) == [0, 1, 2, 3]
    assert [message.offset for message in place.tap.release(3)] == [0, 1, 2]
    assert place.tap.release(3) == []
    assert place.read() == [4, 5]


def test_seek_reads_again_what_is_not_committed():
    """A task that recovers within the same assignment goes on at the journal's position."""
    place = Place(list(range(6)))
    place.deliver(*range(6))
    assert len(place.read()) == 6
    place.tap.release(2)
    place.tap.seek(2)
    assert place.read() == [2, 3, 4, 5]
    assert not place.sources


def test_resumes_when_half_empty():
    """Fetching goes on when the task has read half of what filled the tap."""
    place = Place(list(range(UNREAD_MAX)))
    place.deliver(*range(UNREAD_MAX))
    place.tap.full = True
    place.read(limit=UNREAD_MAX // 4, times=2)
    assert place.resumed == 0
    place.read(limit=UNREAD_MAX // 4, times=2)
    assert place.resumed == 1


def test_columns():
    """Milliseconds, -1 for no time; keys and values as they are."""
    tap = Tap()
    tap.offer(Message(0, timestamp=1_700_000_000.123))
    tap.offer(Message(1, timestamp=None, key=None))
    records = tap.take(10)
    assert records.timestamps_ms == [1_700_000_000_123, -1]
    assert records.keys == [b"k", None]
    assert records.values == [b"0", b"1"]
