"""What a replay's witness writes down: a row an event and a line a label, as columns, into parts on the disk.

Rows are numbered as the join numbers them: dense over the accepted events of the task. A label names its event's row, so
that nothing is looked up by id. Columns are kept in memory for ``PART_ROWS`` rows at most, then written as an Arrow file;
outcome.py makes the final files of the parts. It changes nothing of what it sees. Read pipeline/batch.py before.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from learners.base import EVENT, LABEL
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.fold import Fold
from stream.pipeline.watch import Change
from stream.replay.durable import flushed

PART_ROWS = 1 << 16


class ColumnsState(TypedDict):
    """How much of a task's columns is written."""

    parts: int
    rows: int
    labels: int


class Columns:
    """Of one task and one configuration: the witness of its fold.

    Parameters
    ----------
    fold : Fold
        Whose steps it sees.
    directory : Path
        For the parts; made when it is not there. Parts behind ``state`` are removed: they never happened.
    state : ColumnsState, optional
        Of columns that go on.
    """

    def __init__(self, fold: Fold, directory: Path, state: ColumnsState | None = None) -> None:
        self._state = fold.state
        self._plan = fold.plan
        self._assumes = fold.state.join.rules.assume is not None
        self._directory = directory
        self.parts, self.rows, self.labels = (state["parts"], state["rows"], state["labels"]) if state else (0, 0, 0)
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob("*.arrow*"):
            if int(path.name.partition(".")[0].partition("-")[2]) >= self.parts:
                path.unlink()
        self._clear()

    def _clear(self) -> None:
        self._labels_written = self.labels
        self._ids: list[str] = []
        self._keys: list[str] = []
        self._times_ms: list[int] = []
        self._arrays: dict[str, list[NDArray[np.generic]]] = {"applied": []}
        self._label_arrays: dict[str, list[NDArray[np.generic]]] = {"row": [], "value": [], "time": [], "assumed": []}

    # --- what a step found --------------------------------------------------------------------------------------

    def saw(
        self,
        batch: Batch,
        arranged: Arranged,
        scores: Mapping[str, NDArray[np.float64]],
        changes: Sequence[Change],  # noqa: ARG002 - alarms are outputs
    ) -> None:
        """As ``Witness.saw``: before the step's records are counted."""
        op = arranged.program.op
        if arranged.events:
            self._saw_events(batch, arranged, scores, op == EVENT)
        ops = np.flatnonzero(op == LABEL)
        if len(ops):
            self._saw_labels(arranged, ops)
        if len(self._ids) >= PART_ROWS or self.labels - self._labels_written >= PART_ROWS:
            self.write_part()

    def _saw_events(
        self, batch: Batch, arranged: Arranged, scores: Mapping[str, NDArray[np.float64]], events: NDArray[np.bool_]
    ) -> None:
        own, accepted = batch.events, arranged.draft.accepted
        assert arranged.first_row == self.rows
        self.rows += arranged.events
        if len(accepted) == len(own):
            self._ids += own.ids
            self._keys += own.keys
            self._times_ms += own.times_ms
        else:
            self._ids += [own.ids[index] for index in accepted]
            self._keys += [own.keys[index] for index in accepted]
            self._times_ms += [own.times_ms[index] for index in accepted]
        # of each event, the records that were applied before its own
        applied = np.array(arranged.draft.cause, np.int64)[events] + self._state.clock.records
        self._arrays["applied"].append(applied)
        for name in self._state.learners:
            self._add(f"score:{name}", self._told(scores[name][: arranged.events]))
        for name, thresholds in arranged.thresholds.items():
            self._add(f"threshold:{name}", thresholds[: arranged.events].copy())
        if self._plan.problem == "multiclass":
            self._saw_classes(arranged, scores[self._state.roles.champion][: arranged.events])

    def _told(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """One number an event, as emitted: the largest of the classes that are known."""
        if self._plan.problem != "multiclass":
            return own[:, 0].copy()
        largest: NDArray[np.float64] = np.where(np.isnan(own), -np.inf, own).max(axis=1)
        return largest

    def _saw_classes(self, arranged: Arranged, own: NDArray[np.float64]) -> None:
        known = np.where(np.isnan(own), -np.inf, own)
        best = known.argmax(axis=1)
        # a model that knows no class yet gives all of them 0
        self._add("class", np.where(known[np.arange(len(own)), best] > 0, best, -1))
        grown = arranged.draft.grown
        before = len(self._state.join.classes) - len(grown)
        self._add("known", before + np.searchsorted(grown, np.arange(len(own)), side="right"))
        for place in range(own.shape[1]):
            self._add(f"scores:{place}", own[:, place].copy())

    def _add(self, name: str, values: NDArray[np.generic]) -> None:
        self._arrays.setdefault(name, []).append(values)

    def _saw_labels(self, arranged: Arranged, ops: NDArray[np.intp]) -> None:
        program, draft = arranged.program, arranged.draft
        row = program.row[ops].astype(np.int64)
        number = row + arranged.first_row
        if draft.old:
            old = np.fromiter(draft.old, np.int64, len(draft.old))
            waited = row >= arranged.events
            number[waited] = old[row[waited] - arranged.events]
        silent = np.zeros(len(ops), np.bool_)
        if self._assumes:
            origin = draft.origin
            silent[:] = [op in origin and origin[op] is None for op in ops.tolist()]
        self.labels += len(ops)
        told = {"row": number, "value": program.target[ops], "time": program.time_ms[ops], "assumed": silent}
        for name, values in told.items():
            self._label_arrays[name].append(values)

    # --- parts ----------------------------------------------------------------------------------------------------

    def write_part(self) -> None:
        """What is in memory, on to the disk."""
        if not self._ids and not self._label_arrays["row"]:
            return
        if self._ids:
            columns: dict[str, pa.Array] = {
                "id": pa.array(self._ids, pa.string()),
                "key": pa.array(self._keys, pa.string()),
                "time": pa.array(np.array(self._times_ms, np.int64)),
            }
            columns |= {name: pa.array(np.concatenate(values)) for name, values in self._arrays.items()}
            _write(self._path("events", self.parts), columns)
        if self._label_arrays["row"]:
            labels = {name: pa.array(np.concatenate(values)) for name, values in self._label_arrays.items()}
            _write(self._path("labels", self.parts), labels)
        self.parts += 1
        self._clear()

    def state(self) -> ColumnsState:
        """After ``write_part``."""
        return {"parts": self.parts, "rows": self.rows, "labels": self.labels}

    def _path(self, kind: str, number: int) -> Path:
        return part_path(self._directory, kind, number)


def part_path(directory: Path, kind: str, number: int) -> Path:
    return directory / f"{kind}-{number:06d}.arrow"


def read_parts(directory: Path, kind: str, parts: int) -> Iterator[pa.Table]:
    """The parts of a kind, ``events`` or ``labels``, in order. A part may hold only one of them."""
    for number in range(parts):
        path = part_path(directory, kind, number)
        if path.exists():
            with pa.memory_map(str(path)) as source:
                yield pa.ipc.open_file(source).read_all()


def _write(path: Path, columns: Mapping[str, pa.Array]) -> None:
    table = pa.table(dict(columns))
    with path.open("wb") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        flushed(file)
