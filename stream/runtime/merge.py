"""The order in which a task applies its records: of the heads of its inputs, the one with the smallest time.

Labels go first on ties. An input that is empty is waited for, unless it is read to its end. One wild time does not hold up
its input (``turns`` in pipeline/clock.py). Once a batch is journaled its order is a fact, so this decides only what happens
live; replay reads the order from the journal. No clock, no I/O.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from stream.codec import Events, Labels
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.clock import ANY_JUMP, Reach, turns
from stream.records import Entry, Positions, Records, Span
from stream.transport.base import Fetched
from stream.transport.spans import span_of


class Decoders(Protocol):
    """What turns a task's raw records into columns."""

    def events(self, records: Records) -> Events: ...

    def labels(self, records: Records) -> Labels: ...


class Taken(NamedTuple):
    """A batch, and where it was taken from."""

    batch: Batch | RawBatch
    spans: tuple[Span, ...]
    positions: Positions


class Merge:
    """Buffers decoded records of each input and takes batches from them in order.

    Of a single input there is no order to find: its records stay raw.

    Parameters
    ----------
    decoders : Decoders
    positions : Positions
        Where each of the task's inputs begins: events first.
    hold_at : int
        An input with this many records buffered need not be read further for now.
    reaches : sequence of Reach
        How far each input had come by then; empty: none of them had begun.
    jump_max_ms : int
        A time that is further than this beyond its input's, and alone with it, is wild.
    """

    def __init__(
        self,
        decoders: Decoders,
        positions: Positions,
        hold_at: int,
        reaches: Sequence[Reach] = (),
        jump_max_ms: int = ANY_JUMP,
    ) -> None:
        inputs = len(positions)
        self._decoders = decoders
        self._single = inputs == 1
        self._buffers: list[Events | Labels | Records] = [Records() if self._single else decoders.events(Records())]
        self._buffers += [decoders.labels(Records()) for _ in range(inputs - 1)]
        self._turns = [np.empty(0, np.int64) for _ in range(inputs)]
        self._sure = [0] * inputs  # of the buffered records, those whose turn no later one can change
        self._reaches = list(reaches) or [Reach()] * inputs  # after the sure ones
        self._jump_max_ms = jump_max_ms
        self._at_end = [False] * inputs
        self._positions = list(positions)
        self._passed = positions
        self._hold_at = hold_at

    def add(self, fetched: Fetched) -> None:
        """Take in what a poll brought."""
        self._passed = fetched.passed or self._passed
        for which, (records, at_end) in enumerate(zip(fetched.records, fetched.at_end, strict=True)):
            self._at_end[which] = at_end
            if not records:
                continue
            new = records if self._single else self._decoded(which, records)
            if len(self._buffers[which]):
                self._buffers[which].extend(new)  # type: ignore[arg-type]
            else:
                self._buffers[which] = new
            if not self._single:
                self._order_new(which)

    def _decoded(self, which: int, records: Records) -> Events | Labels:
        return self._decoders.events(records) if which == 0 else self._decoders.labels(records)

    def _order_new(self, which: int) -> None:
        """Give their turns to the records that have none yet that is sure."""
        sure, times_ms = self._sure[which], self._buffers[which].times_ms  # type: ignore[union-attr]
        new = turns(times_ms[sure:], self._reaches[which], self._jump_max_ms)
        self._turns[which] = np.concatenate([self._turns[which][:sure], new.times_ms])
        self._sure[which] = sure + new.sure
        if new.sure:
            self._reaches[which] = new.reach if new.sure == len(new.times_ms) else Reach(new.reach.time_ms)

    def decode_with(self, decoders: Decoders) -> None:
        """From now on; what is buffered stays as it is, for decoders of one lineage decode alike."""
        self._decoders = decoders

    @property
    def at_end(self) -> bool:
        """Whether every input is read to its end and taken."""
        return all(self._at_end) and not self.ready()

    def full(self, limit: int) -> bool:
        """Whether every input has a whole batch buffered."""
        return all(self._decided(which) >= limit for which in range(len(self._buffers)))

    def ready(self) -> bool:
        """Whether there may be something to take already."""
        return any(len(buffer) for buffer in self._buffers)

    @property
    def buffered(self) -> int:
        """Records that are here and not taken."""
        return sum(map(len, self._buffers))

    @property
    def positions(self) -> Positions:
        """Up to where each input is taken: the next record's offset, or up to where it is read when none waits."""
        return tuple(
            _records(buffer).offsets[0] if len(buffer) else max(at, passed)
            for at, buffer, passed in zip(self._positions, self._buffers, self._passed, strict=True)
        )

    def hold(self) -> set[int]:
        """Inputs that are far ahead of the others: not to be read for now."""
        return {which for which in range(len(self._buffers)) if self._decided(which) >= self._hold_at}

    def _decided(self, which: int) -> int:
        """Of the buffered records, those whose turn is known: at its input's end that of the last one is its own time."""
        return len(self._buffers[which]) if self._at_end[which] or self._single else self._sure[which]

    def take(self, limit: int) -> Taken | None:
        """The next batch of at most ``limit`` records, None while there is nothing that is sure to be next."""
        order = self._order(limit)
        if not order:
            return None
        counts = [0] * len(self._buffers)
        for which, count in zip(order[::2], order[1::2], strict=True):
            counts[which] += count
        parts = [self._cut(which, count) for which, count in enumerate(counts)]
        records = [_records(part) for part in parts]
        spans = tuple(span_of(which, part.offsets[0], part) for which, part in enumerate(records) if len(part))
        for span in spans:
            self._positions[span.input] = span.stop
        events, *labels = parts
        batch = RawBatch(events) if isinstance(events, Records) else Batch(events, tuple(labels), order)  # type: ignore[arg-type]
        return Taken(batch, spans, self.positions)

    def _cut(self, which: int, count: int) -> Events | Labels | Records:
        if not self._single:
            self._pass(which, count)
        buffer = self._buffers[which]
        if count == len(buffer):
            self._buffers[which] = buffer.slice(count, count)
            return buffer
        head = buffer.slice(0, count)
        self._buffers[which] = buffer.slice(count, len(buffer))
        return head

    def _pass(self, which: int, count: int) -> None:
        """The turns of so many records are over."""
        buffer, sure = self._buffers[which], self._sure[which]
        if count > sure:  # taken at the end, unconfirmed: the next record confirms it, or not
            times_ms = buffer.times_ms[sure:count]  # type: ignore[union-attr]
            self._reaches[which] = turns(times_ms, self._reaches[which], self._jump_max_ms).reach
        self._sure[which] = max(sure - count, 0)
        self._turns[which] = self._turns[which][count:]

    def _order(self, limit: int) -> list[int]:
        """Alternating input and count, of the records that may be applied now."""
        if self._single:
            count = min(limit, len(self._buffers[0]))
            return [0, count] if count else []
        # labels stand before events, so that a stable sort puts them first on ties
        inputs = [*range(1, len(self._buffers)), 0]
        sizes = {which: min(self._decided(which), limit) for which in inputs}
        owner = np.repeat(inputs, list(sizes.values()))
        times = np.concatenate([self._turns[which][:size] for which, size in sizes.items()])
        merged = owner[np.argsort(times, kind="stable")][:limit]
        for which, size in sizes.items():
            if not self._at_end[which] and size == self._decided(which):
                mine = np.flatnonzero(merged == which)
                if len(mine) == size:  # it runs out within: nothing after its last is sure
                    merged = merged[: mine[-1] + 1 if len(mine) else 0]
        if not len(merged):
            return []
        edges = np.flatnonzero(np.diff(merged)) + 1
        starts = np.concatenate([[0], edges])
        lengths = np.diff(np.concatenate([starts, [len(merged)]]))
        return np.stack([merged[starts], lengths], axis=1).ravel().tolist()


def _records(buffer: Events | Labels | Records) -> Records:
    return buffer if isinstance(buffer, Records) else buffer.records


def batch_of(decoders: Decoders, entry: Entry, records: Sequence[Records], inputs: int) -> Batch | RawBatch:
    """The batch that an entry of the journal tells of, from its records."""
    by_input = {span.input: part for span, part in zip(entry.spans, records, strict=True)}
    if inputs == 1:
        return RawBatch(by_input.get(0, Records()), entry.skips)
    labels = tuple(decoders.labels(by_input.get(which, Records())) for which in range(1, inputs))
    return Batch(decoders.events(by_input.get(0, Records())), labels, entry.order, entry.skips)
