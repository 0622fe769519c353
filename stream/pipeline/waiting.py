"""Storage of rows that are remembered: flat columns of marks, and blocks of features that never change once full.

No rules: join.py decides what a mark means and when a row leaves. A row number is dense and never used again. Blocks
are cut by row number, not by batch, so that the state does not depend on how batches were cut; a full block is arrays
(310 bytes a row with twenty features, against 2.2 kB as dicts) and is written to a checkpoint once.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.rows import Layout, Packed, Row
from stream.pipeline.batch import extend

BLOCK = 4096
"""Rows in a block."""


class Taken(NamedTuple):
    """Rows taken from storage, in the order asked for."""

    rows: list[Row]
    scores: NDArray[np.float64]
    computed: NDArray[np.float64]


class Block:
    """Features of ``BLOCK`` consecutive rows: a list while it grows, packed when it is full."""

    __slots__ = ("_computed", "_packed", "_rows", "_scores", "stamp")

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._packed: Packed | None = None
        self._scores: list[NDArray[np.float64]] = []
        self._computed: list[NDArray[np.float64]] = []
        self.stamp = -1

    def __len__(self) -> int:
        return len(self._rows) if self._packed is None else len(self._packed)

    def extend(
        self, layout: Layout, rows: list[Row], scores: NDArray[np.float64], computed: NDArray[np.float64]
    ) -> None:
        self._rows += rows
        self._scores.append(scores)
        self._computed.append(computed)
        if len(self._rows) == BLOCK:
            self._packed = layout.pack(self._rows)
            self._rows = []

    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and computed features of all rows."""
        if len(self._scores) > 1:
            self._scores = [np.concatenate(self._scores)]
            self._computed = [np.concatenate(self._computed)]
        return self._scores[0], self._computed[0]

    def suit(self, former: "Columns", columns: "Columns") -> None:
        """Lay out the numbers for others; see ``WaitingRows.suit``."""
        scores, computed = self.numbers()
        self._scores = [_laid_out(scores, former.scores, columns.scores)]
        self._computed = [_laid_out(computed, former.computed, columns.computed)]

    def take(self, indices: list[int]) -> list[Row]:
        return [self._rows[index] for index in indices] if self._packed is None else self._packed.take(indices)

    def dump(self, layout: Layout) -> dict[str, object]:
        packed = layout.pack(self._rows) if self._packed is None else self._packed
        scores, computed = self.numbers()
        return {"rows": packed.tables(), "scores": scores, "computed": computed}

    @classmethod
    def load(cls, layout: Layout, told: object) -> "Block":
        assert isinstance(told, dict)
        block, packed = cls(), layout.packed_from(told["rows"])
        if len(packed) == BLOCK:
            block._packed = packed
        else:
            block._rows = packed.take(list(range(len(packed))))
        block._scores, block._computed = [told["scores"]], [told["computed"]]
        block.stamp = 0
        return block


class Columns(NamedTuple):
    """What rows are kept with: learners, and feature stages, in their order, and how many columns each has."""

    scores: Mapping[str, int]
    computed: Mapping[str, int]


def _laid_out(old: NDArray[np.float64], former: Mapping[str, int], widths: Mapping[str, int]) -> NDArray[np.float64]:
    """Columns by name in another order; NaN where there were none."""
    new = np.full((len(old), sum(widths.values())), np.nan)
    starts = dict(zip(former, accumulate(former.values(), initial=0), strict=False))
    column = 0
    for name, width in widths.items():
        if name in former:
            both = min(width, former[name])
            new[:, column : column + both] = old[:, starts[name] : starts[name] + both]
        column += width
    return new


class WaitingRows:
    """Rows by number: id, event time, the stream time at which each was seen, status and truth; and their features."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._base = 0  # row number of the first remembered in the flat columns; a multiple of BLOCK
        self._ids: list[str] = []
        self._times_ms = array("q")
        self._seen_ms = array("q")
        self._status = bytearray()
        self._truth = array("d")
        self._due_ms = array("q")  # empty, or as long as the others
        self._blocks: dict[int, Block] = {}
        self._first = 0  # the first that counts; what lies before is deleted in bulk
        self._kept = 0  # row number of the next whose features come
        self._stamped_to = 0
        self._touched: set[int] = set()
        self._stamps: dict[int, int] = {}
        self.next = 0

    def append(self, event: str, time_ms: int, seen_ms: int, status: int, truth: float) -> int:
        """Returns the row's number."""
        number = self.next
        self.next = number + 1
        self._ids.append(event)
        self._times_ms.append(time_ms)
        self._seen_ms.append(seen_ms)
        self._status.append(status)
        self._truth.append(truth)
        return number

    def fall_due_at(self, due_ms: int) -> None:
        """When the row that was appended last is due; to be told of every row or of none."""
        self._due_ms.append(due_ms)

    def extend(
        self, events: list[str], times_ms: NDArray[np.int64], status: int, truths: NDArray[np.float64] | None
    ) -> None:
        """Append rows that were seen at their own times, all with one status."""
        count = len(events)
        self.next += count
        self._ids += events
        extend(self._times_ms, times_ms)
        extend(self._seen_ms, times_ms)
        self._status += bytes([status]) * count
        extend(self._truth, truths if truths is not None else np.full(count, np.nan))

    def id(self, number: int) -> str:
        return self._ids[number - self._base]

    def time_ms(self, number: int) -> int:
        """The event's own time."""
        return self._times_ms[number - self._base]

    def seen_ms(self, number: int) -> int:
        """Stream time when the event came; never decreases with the number."""
        return self._seen_ms[number - self._base]

    def due_ms(self, number: int) -> int:
        return self._due_ms[number - self._base]

    def marked(self, number: int) -> tuple[int, float]:
        """Status and truth."""
        return self._status[number - self._base], self._truth[number - self._base]

    def mark(self, number: int, status: int, truth: float) -> None:
        self._status[number - self._base] = status
        self._truth[number - self._base] = truth
        self._touched.add(number // BLOCK)

    def seen_by(self, start: int, seen_ms: int) -> int:
        """The first row from ``start`` on that was seen after a stream time."""
        return bisect_right(self._seen_ms, seen_ms, start - self._base) + self._base

    def label(
        self, start: int, stop: int, former: int, status: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Mark the rows in ``[start, stop)`` of a ``former`` status that carry a truth: their numbers, times, truths."""
        cut = slice(start - self._base, stop - self._base)
        truths = np.array(self._truth[cut], np.float64)
        own_ms, seen_ms = np.array(self._times_ms[cut], np.int64), np.array(self._seen_ms[cut], np.int64)
        marks = np.frombuffer(self._status[cut], np.uint8).copy()
        carry = ~np.isnan(truths) & (marks == former)
        marks[carry] = status
        self._status[cut] = marks.tobytes()
        if start < stop:
            self._touched.update(range(start // BLOCK, -(-stop // BLOCK)))
        return np.arange(start, stop)[carry], own_ms[carry], seen_ms[carry], truths[carry]

    # --- features ---------------------------------------------------------------------------------------------

    def keep(self, rows: list[Row], scores: NDArray[np.float64], computed: NDArray[np.float64]) -> None:
        """Features of the rows appended since the last call, in order; cut at the blocks' limits."""
        done = 0
        while done < len(rows):
            number, inside = divmod(self._kept, BLOCK)
            stop = min(done + BLOCK - inside, len(rows))
            block = self._blocks.setdefault(number, Block())
            block.extend(self._layout, rows[done:stop], scores[done:stop], computed[done:stop])
            self._touched.add(number)
            block.stamp = -1
            self._kept += stop - done
            done = stop

    def suit(self, former: Columns, columns: Columns) -> None:
        """Learners and features are others from here on: each row keeps what it was scored with of those that stay.

        What is new is NaN.
        """
        for block in self._blocks.values():
            block.suit(former, columns)

    def take(self, numbers: list[int]) -> Taken:
        """Rows whose features are still kept."""
        if not numbers:
            return Taken([], np.empty((0, 0)), np.empty((0, 0)))
        rows: list[Row] = []
        scores, computed = [], []
        for which, group in groupby(numbers, lambda number: number // BLOCK):
            indices = [number % BLOCK for number in group]
            block = self._blocks[which]
            rows += block.take(indices)
            all_scores, all_computed = block.numbers()
            scores.append(all_scores[indices])
            computed.append(all_computed[indices])
        return Taken(rows, np.concatenate(scores), np.concatenate(computed))

    def drop_before(self, features: int, ids: int) -> None:
        """Features of rows before ``features`` and everything of rows before ``ids`` are no longer needed."""
        while self._blocks and (first := next(iter(self._blocks))) < features // BLOCK:
            del self._blocks[first]
        self._first = ids // BLOCK * BLOCK
        dead = self._first - self._base
        if dead > max(BLOCK, len(self._ids) // 4):
            for column in (self._ids, self._times_ms, self._seen_ms, self._status, self._truth, self._due_ms):
                del column[:dead]
            self._base += dead
            for gone in [number for number in self._stamps if number < self._base // BLOCK]:
                del self._stamps[gone]

    # --- as a part of the state ---------------------------------------------------------------------------------

    def stamp(self, records: int) -> None:
        """What was touched since the last call was touched by record number ``records``."""
        if self.next > self._stamped_to:
            self._touched.update(range(self._stamped_to // BLOCK, (self.next - 1) // BLOCK + 1))
        self._stamped_to = self.next
        for number in self._touched:
            self._stamps[number] = records
            if (block := self._blocks.get(number)) is not None and block.stamp == -1:
                block.stamp = records
        self._touched.clear()

    def _numbers(self) -> range:
        return range(self._first // BLOCK, -(-self.next // BLOCK))

    def alive(self) -> Iterable[str]:
        yield "places"
        for number in self._numbers():
            yield f"marks/{number}"
        for number in self._blocks:
            yield f"features/{number}"

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        yield "places", {"first": self._first, "next": self.next, "kept": self._kept}
        for number in self._numbers():
            if self._stamps.get(number, 0) > since:
                start = number * BLOCK - self._base
                cut = slice(start, start + BLOCK)
                told: dict[str, object] = {
                    "ids": self._ids[cut],
                    "times_ms": np.array(self._times_ms[cut], np.int64),
                    "seen_ms": np.array(self._seen_ms[cut], np.int64),
                    "status": bytes(self._status[cut]),
                    "truth": np.array(self._truth[cut], np.float64),
                }
                if self._due_ms:
                    told["due_ms"] = np.array(self._due_ms[cut], np.int64)
                yield f"marks/{number}", told
        for number, block in self._blocks.items():
            if block.stamp > since:
                yield f"features/{number}", block.dump(self._layout)

    def load(self, chunks: Mapping[str, object]) -> None:
        self.__init__(self._layout)  # type: ignore[misc]
        places = chunks["places"]
        assert isinstance(places, dict)
        self._base = self._first = places["first"]
        self.next, self._kept = places["next"], places["kept"]
        self._stamped_to = self.next
        for number in self._numbers():
            told = chunks[f"marks/{number}"]
            assert isinstance(told, dict)
            self._ids += told["ids"]
            self._times_ms.extend(told["times_ms"].tolist())
            self._seen_ms.extend(told["seen_ms"].tolist())
            self._status += told["status"]
            self._truth.extend(told["truth"].tolist())
            if "due_ms" in told:
                self._due_ms.extend(told["due_ms"].tolist())
        for name in sorted((n for n in chunks if n.startswith("features/")), key=lambda n: int(n.split("/")[1])):
            self._blocks[int(name.split("/")[1])] = Block.load(self._layout, chunks[name])
