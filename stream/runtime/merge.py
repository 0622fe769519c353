"""The order in which a task applies its records: of the heads of its inputs, the one with the smallest time.

Labels go first on ties. An input that is empty is waited for, unless it is read to its end. Once a batch is journaled
its order is a fact, so this decides only what happens live; replay reads the order from the journal. No clock, no I/O.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from stream.codec import Events, Labels
from stream.pipeline.batch import Batch
from stream.records import Entry, Positions, Records, Span
from stream.transport.base import Fetched
from stream.transport.spans import values_crc


class Decoders(Protocol):
    """What turns a task's raw records into columns."""

    def events(self, records: Records) -> Events: ...

    def labels(self, records: Records) -> Labels: ...


class Taken(NamedTuple):
    """A batch, and where it was taken from."""

    batch: Batch
    spans: tuple[Span, ...]
    positions: Positions


class Merge:
    """Buffers decoded records of each input and takes batches from them in order.

    Parameters
    ----------
    decoders : Decoders
    inputs : int
        How many inputs the task has: events first.
    positions : Positions
        Where each begins.
    hold_at : int
        An input with this many records buffered need not be read further for now.
    """

    def __init__(self, decoders: Decoders, inputs: int, positions: Positions, hold_at: int) -> None:
        self._decoders = decoders
        self._buffers: list[Events | Labels] = [decoders.events(Records())]
        self._buffers += [decoders.labels(Records()) for _ in range(inputs - 1)]
        self._times = [np.empty(0, np.int64) for _ in range(inputs)]
        self._at_end = [False] * inputs
        self._positions = list(positions)
        self._hold_at = hold_at

    def add(self, fetched: Fetched) -> None:
        """Take in what a poll brought."""
        for which, (records, at_end) in enumerate(zip(fetched.records, fetched.at_end, strict=True)):
            self._at_end[which] = at_end
            if not records:
                continue
            decoded = self._decoders.events(records) if which == 0 else self._decoders.labels(records)
            times = np.maximum.accumulate(np.array(decoded.times_ms, np.int64))
            buffer = self._buffers[which]
            if len(buffer):
                # a later record is not applied before an earlier one of its input: its turn comes with the largest time
                times = np.concatenate([self._times[which], np.maximum(times, self._times[which][-1])])
                buffer.extend(decoded)  # type: ignore[arg-type]
            else:
                self._buffers[which] = decoded
            self._times[which] = times

    def decode_with(self, decoders: Decoders) -> None:
        """From now on; what is buffered stays as it is, for decoders of one lineage decode alike."""
        self._decoders = decoders

    @property
    def at_end(self) -> bool:
        """Whether every input is read to its end and taken."""
        return all(self._at_end) and not self.ready()

    def full(self, limit: int) -> bool:
        """Whether every input has a whole batch buffered."""
        return all(len(buffer) >= limit for buffer in self._buffers)

    def ready(self) -> bool:
        """Whether there may be something to take already."""
        return any(len(buffer) for buffer in self._buffers)

    def hold(self) -> set[int]:
        """Inputs that are far ahead of the others: not to be read for now."""
        return {which for which, buffer in enumerate(self._buffers) if len(buffer) >= self._hold_at}

    def take(self, limit: int) -> Taken | None:
        """The next batch of at most ``limit`` records, None while there is nothing that is sure to be next."""
        order = self._order(limit)
        if not order:
            return None
        counts = [0] * len(self._buffers)
        for which, count in zip(order[::2], order[1::2], strict=True):
            counts[which] += count
        parts = [self._cut(which, count) for which, count in enumerate(counts)]
        spans = tuple(span_of(which, part.records) for which, part in enumerate(parts) if len(part))
        for span in spans:
            self._positions[span.input] = span.stop
        events, *labels = parts
        return Taken(Batch(events, tuple(labels), order), spans, tuple(self._positions))  # type: ignore[arg-type]

    def _cut(self, which: int, count: int) -> Events | Labels:
        buffer = self._buffers[which]
        if count == len(buffer):
            self._buffers[which] = buffer.slice(count, count)
            self._times[which] = self._times[which][count:]
            return buffer
        head = buffer.slice(0, count)
        self._buffers[which] = buffer.slice(count, len(buffer))
        self._times[which] = self._times[which][count:]
        return head

    def _order(self, limit: int) -> list[int]:
        """Alternating input and count, of the records that may be applied now."""
        if len(self._buffers) == 1:
            count = min(limit, len(self._buffers[0]))
            return [0, count] if count else []
        # labels stand before events, so that a stable sort puts them first on ties
        inputs = [*range(1, len(self._buffers)), 0]
        owner = np.concatenate([np.full(min(len(self._times[which]), limit), which) for which in inputs])
        times = np.concatenate([self._times[which][:limit] for which in inputs])
        merged = owner[np.argsort(times, kind="stable")][:limit]
        for which in inputs:
            if not self._at_end[which] and len(self._times[which]) <= limit:
                mine = np.flatnonzero(merged == which)
                if len(mine) == len(self._times[which]):  # it runs out within: nothing after its last is sure
                    merged = merged[: mine[-1] + 1 if len(mine) else 0]
        if not len(merged):
            return []
        edges = np.flatnonzero(np.diff(merged)) + 1
        starts = np.concatenate([[0], edges])
        lengths = np.diff(np.concatenate([starts, [len(merged)]]))
        return np.stack([merged[starts], lengths], axis=1).ravel().tolist()


def span_of(which: int, records: Records) -> Span:
    """What the journal says of the records taken from one input."""
    return Span(which, records.offsets[0], records.offsets[-1] + 1, len(records), values_crc(records.values))


def batch_of(decoders: Decoders, entry: Entry, records: Sequence[Records], inputs: int) -> Batch:
    """The batch that an entry of the journal tells of, from its records."""
    by_input = {span.input: part for span, part in zip(entry.spans, records, strict=True)}
    labels = tuple(decoders.labels(by_input.get(which, Records())) for which in range(1, inputs))
    return Batch(decoders.events(by_input.get(0, Records())), labels, entry.order, entry.skips)
