"""An input that somebody else delivers, made whole: what is missing between deliveries is read from Kafka.

Faust fetches and hands over (faust.py); it may skip, repeat and begin elsewhere than asked. A ``Tap`` holds what came, an
``Inflow`` gives it to the task: from the journal's position on, each record once, in the order of the log.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Protocol

from stream.records import Input, Records
from stream.transport.kafka_source import Source

UNREAD_MAX = 20_000
"""Records of a partition that wait for their task before no more of it should be fetched."""
STALL_S = 5.0
"""So long nothing may be delivered of a partition that is not read to its end; then it is read from Kafka."""


class Delivered(Protocol):
    """A record as it was delivered (Faust's Message)."""

    offset: int
    timestamp: float
    """In seconds; None when it has none."""
    key: bytes | None
    value: bytes | None

    def ack(self, consumer: Any) -> bool: ...


class Tap:
    """One partition: what was delivered of it and is not committed, in the order of the log.

    Who delivers calls ``offer`` and ``release``, the worker's thread the rest.
    """

    def __init__(self) -> None:
        self.next = 0
        """The offset that the task wants next."""
        self.full = False
        self._held: list[Delivered] = []
        self._unread = 0
        self._guard = threading.Lock()

    def offer(self, message: Delivered) -> int:
        """Take it in; what came before is dropped. Returns how many are not read yet."""
        with self._guard:
            if not self._held or message.offset > self._held[-1].offset:
                self._held.append(message)
            return len(self._held) - self._unread

    @property
    def unread(self) -> int:
        return len(self._held) - self._unread

    def seek(self, position: int) -> None:
        with self._guard:
            self.next, self._unread = position, 0

    def gap(self) -> int | None:
        """The offset up to which records are missing before the next one that is here."""
        with self._guard:
            self._skip()
            waits = self._unread < len(self._held)
            return self._held[self._unread].offset if waits and self._held[self._unread].offset > self.next else None

    def take(self, limit: int) -> Records:
        """Records from ``next`` on, without a gap."""
        with self._guard:
            self._skip()
            run = self._held[self._unread : self._unread + limit]
            if not run or run[0].offset != self.next:
                return Records()
            if run[-1].offset - self.next != len(run) - 1:
                run = run[: next(i for i, message in enumerate(run) if message.offset != self.next + i)]
            self._unread += len(run)
            self.next = run[-1].offset + 1
        return Records(
            [message.offset for message in run],
            [-1 if message.timestamp is None else round(message.timestamp * 1000) for message in run],
            [message.key for message in run],
            [message.value for message in run],
        )

    def _skip(self) -> None:
        while self._unread < len(self._held) and self._held[self._unread].offset < self.next:
            self._unread += 1

    def release(self, position: int) -> list[Delivered]:
        """Let go of what stands before ``position``."""
        with self._guard:
            count = bisect_left(self._held, position, key=lambda message: message.offset)
            done = self._held[:count]
            del self._held[:count]
            self._unread = max(self._unread - count, 0)
        return done


class Inflow:
    """One input of a task, whole and in order.

    Parameters
    ----------
    one, tap : Input, Tap
        The partition, and what is delivered of it.
    position : int
        The offset of the first record that the task wants.
    high : callable
        The partition's end when it was last fetched from, None when not yet; from memory.
    resume : callable
        Says that there is room again in the tap.
    read : callable
        Opens a consumer of the partition at an offset.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self,
        one: Input,
        tap: Tap,
        position: int,
        *,
        high: Callable[[], int | None],
        resume: Callable[[], None],
        read: Callable[[int], Source],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._partition = one.partition
        self._tap = tap
        self._high = high
        self._resume = resume
        self._read = read
        self._monotonic = monotonic
        self._source: Source | None = None
        self._until = 0
        self._cleared = 0  # up to here Kafka was read and had nothing more
        self._moved_at = monotonic()
        self.from_kafka = 0
        """Records that were not delivered and were read from Kafka."""
        tap.seek(position)

    @property
    def next(self) -> int:
        """Every record before it was taken, or is none."""
        return max(self._tap.next, self._cleared)

    @property
    def lag(self) -> int:
        """Records known to be there and not yet taken."""
        return max((self._high() or 0) - self.next, 0)

    @property
    def at_end(self) -> bool:
        high = self._high()
        return high is not None and self._source is None and not self._tap.unread and self.next >= high

    def take(self, limit: int) -> Records:
        """What is there. Raises RecordsGone, LogUnavailable."""
        if self._source is not None:
            return self._fill(self._source, limit)
        records, now = self._tap.take(limit), self._monotonic()
        if self._tap.full and self._tap.unread < UNREAD_MAX // 2:
            self._tap.full = False
            self._resume()
        if len(records) or self.at_end:
            self._moved_at = now
            return records
        gap = self._tap.gap()
        if gap is not None:
            self._fill_up_to(gap)
        elif now - self._moved_at > STALL_S and (high := self._high()) is not None:
            self._fill_up_to(high)
        return records

    def _fill_up_to(self, until: int) -> None:
        self._until = until
        self._source = self._read(self._tap.next)

    def _fill(self, source: Source, limit: int) -> Records:
        records = source.take(limit, 0.0).get(self._partition, Records())
        records = records.slice(0, bisect_left(records.offsets, self._until))
        if records.offsets:
            self._tap.next = records.offsets[-1] + 1
            self.from_kafka += len(records)
        if source.next[self._partition] >= self._until or source.at_end[self._partition]:
            self.close()
            self._cleared, self._moved_at = self._until, self._monotonic()
            if self._tap.gap() == self._until:  # no record stands between: a marker, or compaction
                self._tap.next = self._until
        return records

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
