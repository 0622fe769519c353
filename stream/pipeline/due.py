"""Which waiting row falls due next, and when: by its place in the queue, or by a time of its own.

Rows that are all due equally long after they came, in stream time or in events, are due in their order: that is one
number. Where each says its own delay they are due by time, ties in the order in which they came. No rules about labels:
what is done with a row that is due is join.py's.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from stream.pipeline.rules import FOREVER, JoinRules
from stream.pipeline.waiting import WaitingRows

_BITS = 40
"""Of a row's number in an entry of the heap. Time and number are one whole number: 44 bytes a row, a pair takes 130."""
_NUMBER = (1 << _BITS) - 1


class Due:
    """The order in which rows fall due.

    The heap is a shortcut to what the rows themselves say (``WaitingRows.due_ms``), so it is not dumped but made again.
    """

    def __init__(self, rules: JoinRules, rows: WaitingRows) -> None:
        self._rows = rows
        self.after_ms = (rules.field_delay_ms or FOREVER) if rules.in_events else rules.assume_after_ms
        self._rides = rules.in_events and rules.field_delay_ms != 0
        self._heaped = rules.field_delays
        self._heap_max = 2 * rules.waiting_max
        self._heap: list[int] = []
        self.after_events = rules.field_delay_events
        self.next = 0
        """The first row of the queue."""

    @property
    def left(self) -> int:
        """Rows whose label rides in the event and has not fallen due; silence is not among them."""
        if not self._rides:
            return 0
        return len(self._heap) if self._heaped else self._rows.next - self.next

    @property
    def is_plain(self) -> bool:
        """Whether rows are due in their order, each the same time after it came, when its label rides in its event."""
        return self._rides and self.after_ms < FOREVER

    def wake_ms(self) -> int:
        """Stream time before which none falls due."""
        heap = (self._heap[0] >> _BITS) if self._heap else FOREVER
        if self.after_ms == FOREVER:
            return heap
        waiting = self.next < self._rows.next
        return min(heap, self._rows.seen_ms(self.next) + self.after_ms if waiting else FOREVER)

    @property
    def waits_to(self) -> int:
        """The first row whose wait no time ends: where events are counted, one that is not due yet."""
        return self._rows.next if self.after_events is None else self.next

    def add(self, number: int, due_ms: int, *, labelled: bool) -> None:
        """The row that was appended last is due at a time of its own, when it has a label."""
        self._rows.fall_due_at(due_ms)
        if labelled:
            heappush(self._heap, due_ms << _BITS | number)

    def by(self, now: int) -> Iterator[int]:
        """Rows that are due by a stream time, each gone from here when the next is asked for."""
        if self.after_ms < FOREVER:
            rows, bound = self._rows, now - self.after_ms
            while self.next < rows.next and rows.seen_ms(self.next) <= bound:
                yield self.next
                self.next += 1
        while self._heap and self._heap[0] >> _BITS <= now:
            yield heappop(self._heap) & _NUMBER

    def counted(self) -> Iterator[int]:
        """Rows that are due just before the event to come, where events are counted."""
        assert self.after_events is not None
        while self._rows.next - self.next >= self.after_events:
            yield self.next
            self.next += 1

    def rest(self, count: int) -> Iterator[tuple[int, int]]:
        """The next ``count`` rows, whenever they are due, and when that would be (where events are counted: when they came)."""
        rows = self._rows
        for _ in range(count):
            if self._heaped:
                key = heappop(self._heap)
                yield key & _NUMBER, key >> _BITS
            else:
                yield self.next, rows.seen_ms(self.next) + (self.after_ms if self.after_ms < FOREVER else 0)
                self.next += 1

    def begin_at(self, first: int) -> None:
        """Rows before this one are no longer here."""
        self.next = max(self.next, first)
        if len(self._heap) > self._heap_max:
            self._heap = [key for key in self._heap if key & _NUMBER >= first]
            heapify(self._heap)

    def load(self, first: int, waiting: Iterator[int]) -> None:
        """Go on with the queue from ``first``, and with these rows where each is due at a time of its own."""
        self.next = first
        self._heap = [self._rows.due_ms(number) << _BITS | number for number in waiting] if self._heaped else []
        heapify(self._heap)
