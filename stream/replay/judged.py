"""A run's predictions.parquet as columns: what was said, what was true, and when. By columns, numbers and codes, no objects.

Not here: how good it was (measures.py), in which groups (groups.py). results.py says what the columns are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.errors import HeadraceError
from stream.replay.measures import Binary, Judge, Multiclass, Regression
from stream.replay.results import PREDICTIONS, Run

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

CHALLENGER: Final = "challengers."
THRESHOLD: Final = "threshold"
THRESHOLDS: Final = "thresholds."
SEGMENT: Final = "segment."


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts as numbers: ``names[codes[i]]``; -1 where there is none."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]


@dataclass(slots=True)
class Said:
    """What one learner said, ``(n,)`` each. What is not finite is not judged."""

    role: str
    scores: Floats
    """Binary, anomaly, regression; of multiclass the score of the true class, NaN where it is not known."""
    decided: NDArray[np.int64] | None = None
    """Multiclass: index into the classes, -1 where none."""
    has_scores: bool = True
    thresholds: Floats | None = None
    """What scores were held against; None: the run's threshold, which is one for all."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One run's events from ``score_from`` on. Arrays of shape ``(n,)``, in the order of the file."""

    run: Run
    time_ms: NDArray[np.int64]
    key: Coded
    label: Floats
    """NaN where none; binary and anomaly: 0 or 1; multiclass: index into the classes."""
    assumed: NDArray[np.bool_]
    delay_ms: Floats
    """From event to label; NaN where none."""
    learners: dict[str, Said]
    """The champion first."""
    classes: tuple[str, ...]
    segments: dict[str, Coded | Floats]
    """Further columns by their names: ``segment.<name>``."""
    known_ms: Floats
    """Of each name of ``key``, when a first positive label of it came, assumed ones apart; infinity where none did."""
    ids: Any
    """Arrow's, for pairing with another run; None when they were not asked for."""
    warm_up: int
    """Events before ``score_from``."""

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def champion(self) -> str:
        return next(iter(self.learners))

    def can_judge(self, learner: str) -> NDArray[np.bool_]:
        """Whether each event has a label and this learner's score."""
        said = self.learners[learner]
        known = np.isfinite(self.label)
        if self.run.problem == "multiclass":
            assert said.decided is not None
            return known & (said.decided >= 0)
        if self.run.problem == "binary":
            return known & (said.scores >= 0.0) & (said.scores <= 1.0)
        return known & np.isfinite(said.scores)

    def positive(self, learner: str) -> NDArray[np.bool_]:
        """Of every event, labelled or not, whether this learner's answer is yes. Binary and anomaly only."""
        said = self.learners[learner]
        held = self.run.threshold if said.thresholds is None else said.thresholds
        assert held is not None
        with np.errstate(invalid="ignore"):
            return np.asarray(said.scores >= held)

    def judge(self, learner: str, places: NDArray[np.int64]) -> Judge:
        """Over these events, which it can judge."""
        said, label = self.learners[learner], self.label[places]
        if self.run.problem == "regression":
            return Regression(label, said.scores[places])
        if self.run.problem == "multiclass":
            assert said.decided is not None
            right = said.scores[places] if said.has_scores else None
            return Multiclass(label.astype(np.int64), said.decided[places], right, classes=len(self.classes))
        held = self.run.threshold if said.thresholds is None else said.thresholds[places]
        assert held is not None
        return Binary(label > 0.5, said.scores[places], threshold=held, probabilities=self.run.problem == "binary")


def read(run: Run, *, ids: bool = True) -> Judged:
    """Read what a run left behind, with ``ids`` if it is to be paired. Raises HeadraceError when it is something else."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - a heavy import, only where files are read

    path = run.path / PREDICTIONS
    if not path.exists():
        raise HeadraceError(f"{path}: no predictions are there", "the backtest did not end; start it again to go on")
    with pq.ParquetFile(path, read_dictionary=["key"]) as file:
        names = file.schema_arrow.names
        expected = {"id", "key", "time", "score", "prediction", "label", "label_time", "assumed", "model"}
        missing = (expected | ({THRESHOLD} if run.threshold is None else set())) - set(names)
        if missing:
            raise HeadraceError(
                f"{path}: the column {sorted(missing)[0]!r} is missing", "write it with `headrace backtest`"
            )
        metadata = file.schema_arrow.metadata or {}
        champion = _champion(file)
        unread = {"task", "model"} if run.problem == "multiclass" else {"task", "model", "scores", "prediction"}
        table = file.read(columns=[name for name in names if name not in (unread if ids else {*unread, "id"})])
    time_ms, key = _whole(table["time"], 0), _coded(table["key"])
    known_ms = _known(table, key, run)
    kept = time_ms >= run.score_from_ms if run.score_from_ms is not None else np.ones(len(time_ms), dtype=bool)
    warm_up = int(len(kept) - np.count_nonzero(kept))
    if warm_up:
        import pyarrow as pa  # noqa: PLC0415

        table, time_ms, key = table.filter(pa.array(kept)), time_ms[kept], Coded(key.codes[kept], key.names)
    classes = tuple(json.loads(metadata.get(b"classes", b"[]")))
    label, classes = _labels(table, run, classes)
    label_ms = _whole(table["label_time"], -1)
    return Judged(
        run,
        time_ms,
        key,
        label,
        _whole(table["assumed"], 0).astype(bool) & np.isfinite(label),
        np.where(np.isfinite(label), (label_ms - time_ms).astype(np.float64), np.nan),
        _learners(table, run, champion, label, classes),
        classes,
        {name.removeprefix(SEGMENT): _segment(table[name]) for name in names if name.startswith(SEGMENT)},
        known_ms,
        table["id"] if ids else None,
        warm_up,
    )


def _known(table: "pa.Table", key: Coded, run: Run) -> Floats:
    """See ``Judged.known_ms``; events before ``score_from`` count too."""
    known_ms = np.full(len(key.names), np.inf)
    if run.problem in {"binary", "anomaly"}:
        found = (_floats(table["label"]) > 0.5) & ~_whole(table["assumed"], 0).astype(bool) & (key.codes >= 0)
        came_ms = _whole(table["label_time"], 0).astype(np.float64)
        np.minimum.at(known_ms, key.codes[found], came_ms[found])
    return known_ms


def _champion(file: Any) -> str:
    """The learner's name in the first row."""
    for batch in file.iter_batches(batch_size=1, columns=["model"]):
        return str(batch["model"][0].as_py() or "").rpartition("@")[0] or "champion"
    return "champion"


def _learners(table: "pa.Table", run: Run, champion: str, label: Floats, classes: tuple[str, ...]) -> dict[str, Said]:
    """The champion, then the challengers in the file's order. Of multiclass challengers whose classes are not told, none."""
    learners = {}
    if run.problem == "multiclass":
        scores = table["scores"] if "scores" in table.column_names else None
        learners[champion] = _said_classes("champion", scores, table["prediction"], label, classes)
    else:
        learners[champion] = Said("champion", _floats(table["score"]), thresholds=_thresholds(table, run, THRESHOLD))
    for name in table.column_names:
        if not name.startswith(CHALLENGER):
            continue
        column, own = table[name], name.removeprefix(CHALLENGER)
        own = own if own not in learners else f"{own} (challenger)"
        if run.problem != "multiclass":
            held = _thresholds(table, run, f"{THRESHOLDS}{name.removeprefix(CHALLENGER)}")
            learners[own] = Said("challenger", _floats(column), thresholds=held)
        elif _is_list(column):
            learners[own] = _said_classes("challenger", column, None, label, classes)
        elif _is_text(column):
            learners[own] = _said_classes("challenger", None, column, label, classes)
    return learners


def _thresholds(table: "pa.Table", run: Run, name: str) -> Floats | None:
    return _floats(table[name]) if run.threshold is None and run.problem != "regression" else None


def _said_classes(
    role: str, scores: Any | None, prediction: Any | None, label: Floats, classes: tuple[str, ...]
) -> Said:
    right, decided = np.full(len(label), np.nan), np.full(len(label), -1)
    if scores is not None:
        matrix = _matrix(scores, len(classes))
        rows = np.flatnonzero(np.isfinite(label))
        right[rows] = np.nan_to_num(matrix[rows, label[rows].astype(np.int64)], nan=0.0)
        some = np.isfinite(matrix).any(axis=1)
        decided[some] = np.nanargmax(matrix[some], axis=1)
    if prediction is not None:
        decided = _into(_coded(prediction), classes)
    return Said(role, right, decided, has_scores=scores is not None)


def _labels(table: "pa.Table", run: Run, classes: tuple[str, ...]) -> tuple[Floats, tuple[str, ...]]:
    """Labels as numbers, and the classes: those that the file names, then any that it met."""
    if run.problem != "multiclass":
        return _floats(table["label"]), ()
    label, said = _coded(table["label"]), _coded(table["prediction"])
    classes = tuple(dict.fromkeys((*classes, *sorted({*label.names, *said.names}))))
    numbers = _into(label, classes)
    return np.where(numbers >= 0, numbers, np.nan).astype(np.float64), classes


def _into(column: Coded, classes: Sequence[str]) -> NDArray[np.int64]:
    place = {name: i for i, name in enumerate(classes)}
    own = np.array([place.get(name, -1) for name in column.names] + [-1], dtype=np.int64)
    return own[column.codes]


def _matrix(column: Any, width: int) -> Floats:
    """Lists as rows, ``(n, width)``; NaN beyond their ends and where there is none."""
    import pyarrow.compute as pc  # noqa: PLC0415

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    matrix = np.full((len(lengths), width), np.nan)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    inside = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    matrix[rows, inside] = _floats(pc.list_flatten(column))
    return matrix


def _floats(column: Any) -> Floats:
    """Numbers or booleans; null is NaN."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    array: Floats = column.cast(pa.float64()).to_numpy()
    return array


def _whole(column: Any, missing: int) -> NDArray[np.int64]:
    """Whole numbers, times in milliseconds or booleans."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz))
    array: NDArray[np.int64] = pc.fill_null(column.cast(pa.int64()), missing).to_numpy()
    return array


def _coded(column: Any) -> Coded:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(whole.type):
        whole = pc.dictionary_encode(whole)
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    codes = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Coded(codes, tuple(str(name) for name in whole.dictionary.to_pylist()))


def _segment(column: Any) -> Coded | Floats:
    return _coded(column) if _is_text(column) else _floats(column)


def _is_text(column: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(column: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))
