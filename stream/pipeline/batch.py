"""What the step is given, and what the join makes of it. Types only; join.py fills them."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LABEL, Program
from learners.rows import Frame
from stream.codec import Events, Labels
from stream.pipeline.parking import IncomingLabel
from stream.records import Records, Reject, Skip

UNKNOWN = float("nan")
AT_END = -1
"""As the position of a record that brings something about: none did, the stream has ended."""


@dataclass(slots=True)
class Batch:
    """Decoded records of one task in the order in which they are applied. Where a batch is cut changes nothing."""

    events: Events
    labels: tuple[Labels, ...]
    """One for each labels input."""
    order: Sequence[int]
    """Alternating: input, how many of its records, input, how many, ..."""
    skips: tuple[Skip, ...] = ()
    flush: int = 0
    """At a finite stream's end: how many waiting labels are revealed before their time (``ending``)."""
    _starts: list[tuple[int, int, int]] = field(default_factory=list)
    """(position, input, index) at which each run begins; made on first use."""

    @classmethod
    def ending(cls, flush: int, time_ms: int, skips: tuple[Skip, ...] = ()) -> "Batch":
        """No records, but labels that are revealed because a finite stream has ended, as if it went on.

        What follows from them has the place of a record that there is not: offset -1 of the events, at ``time_ms``.
        """
        return cls(Events(records=Records([-1], [time_ms], [None], [None])), (), (), skips, flush)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(input, start, stop) of each run of records, indices into that input's columns."""
        cursors = [0] * (1 + len(self.labels))
        for which, count in zip(self.order[::2], self.order[1::2], strict=True):
            yield which, cursors[which], cursors[which] + count
            cursors[which] += count

    def cut(self, size: int) -> Iterator["Batch"]:
        """The same records in order, in batches of at most ``size``."""
        if sum(self.order[1::2]) <= size:
            yield self
            return
        begun = [0] * (1 + len(self.labels))
        done, order, held = list(begun), [], 0
        for which, _, stop in self.runs():
            while done[which] < stop:
                taken = min(stop - done[which], size - held)
                order += [which, taken]
                held += taken
                done[which] += taken
                if held == size:
                    yield self._part(begun, done, order)
                    begun, order, held = list(done), [], 0
        if order:
            yield self._part(begun, done, order)

    def _part(self, begun: Sequence[int], done: Sequence[int], order: Sequence[int]) -> "Batch":
        labels = zip(self.labels, begun[1:], done[1:], strict=True)
        return Batch(
            self.events.slice(begun[0], done[0]), tuple(part.slice(*cut) for part, *cut in labels), order, self.skips
        )

    def place(self, position: int) -> tuple[int, int]:
        """(input, index into its columns) of the batch's record number ``position``."""
        if position == AT_END and self.flush:
            return 0, 0
        if not self._starts:
            at = 0
            for which, start, stop in self.runs():
                self._starts.append((at, which, start))
                at += stop - start
        if not 0 <= position < sum(self.order[1::2]):
            raise IndexError(position)
        at, which, start = self._starts[bisect_right(self._starts, position, key=lambda run: run[0]) - 1]
        return which, start + position - at

    def records(self, which: int) -> Records:
        """The raw records of an input."""
        return self.events.records if which == 0 else self.labels[which - 1].records


@dataclass(slots=True)
class RawBatch:
    """Records of a task whose only input is events. There is no order to find, so they are decoded where they are folded."""

    records: Records
    skips: tuple[Skip, ...] = ()

    @property
    def order(self) -> Sequence[int]:
        """As a Batch's."""
        return 0, len(self.records)

    def cut(self, size: int) -> Iterator[Records]:
        """The same records in order, in parts of at most ``size``; one that is empty when there are none."""
        for start in range(0, max(len(self.records), 1), size):
            yield self.records.slice(start, start + size)


def extend(column: "array[int] | array[float]", values: NDArray[Any]) -> None:
    """Append them all."""
    column.frombytes(np.asarray(values, column.typecode).tobytes())


@dataclass(slots=True)
class Refusal:
    """A record that is refused, with all that is needed to write it to the rejects."""

    cause: int
    """Position in the batch of the record at which it was refused."""
    input: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    why: Reject


@dataclass(slots=True)
class Draft:
    """A program while it is being written. Rows of earlier batches are negative: ``-1 - index into old``.

    Columns that take a value at a time as a list does, and many from NumPy at once: 0.3 µs an event less than lists.
    """

    op: bytearray = field(default_factory=bytearray)
    row: "array[int]" = field(default_factory=lambda: array("i"))
    time_ms: "array[int]" = field(default_factory=lambda: array("q"))
    target: "array[float]" = field(default_factory=lambda: array("d"))
    previous: "array[float]" = field(default_factory=lambda: array("d"))
    cause: "array[int]" = field(default_factory=lambda: array("q"))
    """Of each operation, the position in the batch of the record that brought it about."""
    accepted: list[int] = field(default_factory=list)
    """Indices into the batch's events of those that are scored: the first rows."""
    old: dict[int, int] = field(default_factory=dict)
    """Row numbers of earlier batches -> index into old."""
    origin: dict[int, IncomingLabel | None] = field(default_factory=dict)
    """Of label operations whose label is not in its event's record: the label; None when it fell due."""
    ages_ms: list[int] = field(default_factory=list)
    """Of each first label that came, the stream time since its event's."""
    grown: list[int] = field(default_factory=list)
    """Of each class that was new in the batch, the first of the accepted events that comes after it."""
    refusals: list[Refusal] = field(default_factory=list)
    weights: dict[int, float] = field(default_factory=dict)
    """Of label operations that weigh something else than 1."""

    def event(self, now: int, cause: int) -> None:
        self.op.append(EVENT)
        self.row.append(len(self.accepted))
        self.time_ms.append(now)
        self.target.append(UNKNOWN)
        self.previous.append(UNKNOWN)
        self.cause.append(cause)

    def clean_run(
        self, events: range, times_ms: NDArray[np.int64], position: int, targets: NDArray[np.float64] | None
    ) -> None:
        """Events one after the other, each with its label right behind it where there are ``targets``."""
        count, each, row = len(events), 1 if targets is None else 2, len(self.accepted)
        column = np.full(count * each, UNKNOWN)
        extend(self.previous, column)
        if targets is not None:
            column[1::2] = targets
            self.ages_ms += [0] * count
        extend(self.target, column)
        self.op += bytes([EVENT, LABEL][:each]) * count
        extend(self.row, np.arange(row, row + count).repeat(each))
        extend(self.time_ms, times_ms.repeat(each))
        extend(self.cause, np.arange(position, position + count).repeat(each))
        self.accepted += events

    def delayed_run(
        self, events: range, times_ms: NDArray[np.int64], position: int, rows: NDArray[np.int64],
        targets: NDArray[np.float64], before: NDArray[np.intp],
    ) -> None:  # fmt: skip
        """Events one after the other, and labels of ``rows`` that fall due, each just before the event of that index."""
        count, begun = np.arange(len(events)), len(self.op)
        at_label = before + np.arange(len(before))
        at_event = count + np.searchsorted(before, count, side="right")
        size = len(count) + len(before)
        op, row, cause = np.empty(size, np.uint8), np.empty(size, np.int64), np.empty(size, np.int64)
        column = np.full(size, UNKNOWN)
        extend(self.previous, column)
        op[at_event], row[at_event], cause[at_event] = EVENT, len(self.accepted) + count, count
        op[at_label], row[at_label], cause[at_label], column[at_label] = LABEL, rows, before, targets
        self.op += op.tobytes()
        extend(self.row, row)
        extend(self.time_ms, times_ms[cause])
        extend(self.target, column)
        extend(self.cause, position + cause)
        self.origin.update(dict.fromkeys((begun + at_label).tolist()))
        self.accepted += events

    def label(self, row: int, now: int, cause: int, target: float, previous: float = UNKNOWN) -> None:
        self.op.append(LABEL)
        self.row.append(row)
        self.time_ms.append(now)
        self.target.append(target)
        self.previous.append(previous)
        self.cause.append(cause)

    def refuse(self, label: IncomingLabel, cause: int, why: Reject) -> None:
        """A label that came earlier, or comes now."""
        self.refusals.append(
            Refusal(cause, label.input, label.offset, label.timestamp_ms, label.key, label.record, why)
        )

    def refuse_record(self, which: int, records: Records, index: int, cause: int, why: Reject) -> None:
        """A record of this batch."""
        place = records.offsets[index], records.timestamps_ms[index], records.keys[index], records.values[index]
        self.refusals.append(Refusal(cause, which, *place, why))

    def program(self, classes: Sequence[str]) -> Program:
        row, weight = np.array(self.row, np.int32), np.ones(len(self.op))
        weight[list(self.weights)] = list(self.weights.values())
        return Program(
            op=np.array(self.op, np.uint8),
            row=np.where(row < 0, len(self.accepted) - 1 - row, row).astype(np.int32) if self.old else row,
            time_ms=np.array(self.time_ms, np.int64),
            target=np.array(self.target, np.float64),
            previous=np.array(self.previous, np.float64),
            weight=weight,
            classes=classes,
        )


@dataclass(slots=True)
class Arranged:
    """A batch as a program over rows: the accepted events first, then waiting events whose labels came."""

    program: Program
    rows: Frame
    events: int
    """How many of the rows are this batch's."""
    draft: Draft
    first_row: int
    """Row number of the first event."""
    old_scores: NDArray[np.float64]
    """What the waiting rows were scored with, ``(n_old, all columns of scores)``."""
    old_computed: NDArray[np.float64]
    """The waiting rows' computed features, ``(n_old, n_computed)``."""
    old_ids: list[str]
    thresholds: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of each learner that has a budget, by row, the threshold that decides; of events, once they are scored."""
