"""From what the passes left to the files that a person opens: predictions, alarms, rejects. As results.py says they are.

Row groups have a fixed size, whatever parts there were: the same replay gives the same bytes, interrupted or not.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from learners.base import Problem
from stream.replay.columns import read_parts
from stream.replay.durable import flushed
from stream.replay.results import ALARMS, PREDICTIONS, REJECTS

GROUP_ROWS = 1 << 17
_UTC = pa.timestamp("ms", "UTC")
_LABEL = np.dtype([("value", "<f8"), ("time", "<i8"), ("kind", "u1")])
_TRUE, _SILENT = 1, 2


class Shape:
    """Of a configuration, what decides how its columns look. Without a ``threshold`` each prediction has its own."""

    def __init__(self, problem: Problem, champion: str, learners: Sequence[str], threshold: float | None) -> None:
        self.problem = problem
        self.champion = champion
        self.challengers = [name for name in learners if name != champion]
        self.threshold = threshold

    @property
    def answer(self) -> pa.DataType:
        """Of a prediction and a label."""
        return {"regression": pa.float64(), "multiclass": pa.string()}.get(self.problem, pa.bool_())

    def schema(self, classes: Sequence[str]) -> pa.Schema:
        fields = [
            ("task", pa.int32()), ("id", pa.string()), ("key", pa.string()), ("time", _UTC), ("score", pa.float64()),
            ("prediction", self.answer),
        ]  # fmt: skip
        fields += [("threshold", pa.float64())] if self.threshold is None else []
        fields += [("scores", pa.list_(pa.float64()))] if self.problem == "multiclass" else []
        fields += [("label", self.answer), ("label_time", _UTC), ("assumed", pa.bool_()), ("model", pa.string())]
        fields += [(f"challengers.{name}", pa.float64()) for name in self.challengers]
        fields += [(f"thresholds.{name}", pa.float64()) for name in self.challengers if self.threshold is None]
        told = {"classes": orjson.dumps(list(classes))} if self.problem == "multiclass" else {}
        return pa.schema(fields, told)


class Left:
    """What a pass left of one task and one configuration."""

    def __init__(self, task: int, directory: Path, state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.task = task
        self.directory = directory
        self.columns = state["at"]["columns"]
        self.facts = facts


def write_outcome(path: Path, shape: Shape, left: Sequence[Left]) -> None:
    """The files of one configuration, of all its tasks, into ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    # classes that tasks took up by themselves may stand in another order: those of the first task, then further ones
    classes = list(dict.fromkeys(name for one in left for name in one.facts["classes"]))
    schema = shape.schema(classes)

    def write(file: BinaryIO) -> None:
        with parquet.ParquetWriter(
            file, schema, compression="zstd", compression_level=1, use_dictionary=["key"], write_statistics=["time"]
        ) as writer:
            for table in _grouped(_tables(shape, one, schema, classes) for one in left):
                writer.write_table(table, row_group_size=GROUP_ROWS)

    _whole(path / PREDICTIONS, write)
    for name in (ALARMS, REJECTS):
        _whole(path / name, lambda file, name=name: _copy(file, [one.directory / name for one in left]))


def _whole(path: Path, write: Any) -> None:
    """The file, or nothing."""
    beside = path.with_name(f".{path.name}.unfinished")
    with beside.open("wb") as file:
        write(file)
        flushed(file)
    beside.replace(path)


def _copy(file: BinaryIO, sources: Sequence[Path]) -> None:
    for source in sources:
        with source.open("rb") as lines:
            shutil.copyfileobj(lines, file)


def _grouped(tables: Iterator[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Tables of ``GROUP_ROWS`` rows each, but for the last one."""
    held: list[pa.Table] = []
    rows = 0
    for task in tables:
        for table in task:
            held.append(table)
            rows += len(table)
            while rows >= GROUP_ROWS:
                whole = pa.concat_tables(held)
                yield whole.slice(0, GROUP_ROWS).combine_chunks()
                held, rows = [whole.slice(GROUP_ROWS)], rows - GROUP_ROWS
    if rows:
        yield pa.concat_tables(held).combine_chunks()


def _tables(shape: Shape, left: Left, schema: pa.Schema, classes: Sequence[str]) -> Iterator[pa.Table]:
    """A task's rows, part after part, with their labels."""
    own = left.facts["classes"]
    labels = _labels(left)
    row = 0
    for part in read_parts(left.directory, "events", left.columns["parts"]):
        known = labels[row : row + len(part)]
        row += len(part)
        columns = _answers(shape, part, own, classes)
        columns |= {
            "task": pa.array(np.full(len(part), left.task, np.int32)),
            "id": part["id"],
            "key": part["key"],
            "time": part["time"].cast(_UTC),
            "label": _labels_as(shape, known["value"], own, known["kind"] == 0),
            "label_time": pa.array(known["time"], pa.int64(), mask=known["kind"] == 0).cast(_UTC),
            "assumed": pa.array(known["kind"] == _SILENT),
            "model": pc.binary_join_element_wise(shape.champion, part["applied"].cast(pa.string()), "@"),
        }
        for name in shape.challengers:
            columns[f"challengers.{name}"] = _finite(part[f"score:{name}"])
            if shape.threshold is None:
                columns[f"thresholds.{name}"] = _finite(part[f"threshold:{name}"])
        yield pa.table([columns[name] for name in schema.names], schema=schema)
    assert row == left.columns["rows"]


def _labels(left: Left) -> NDArray[np.void]:
    """The last label of each row. In a file: there may be more rows than memory holds."""
    rows = left.columns["rows"]
    if not rows:
        return np.zeros(0, _LABEL)
    path = left.directory / "labels"
    path.unlink(missing_ok=True)
    labels = np.memmap(path, _LABEL, "w+", shape=(rows,))
    for part in read_parts(left.directory, "labels", left.columns["parts"]):
        at = part["row"].to_numpy()
        labels["value"][at] = part["value"].to_numpy()
        labels["time"][at] = part["time"].to_numpy()
        labels["kind"][at] = np.where(part["assumed"].to_numpy(), _SILENT, _TRUE)
    return labels


def _finite(column: pa.ChunkedArray) -> pa.Array:
    values = column.to_numpy()
    return pa.array(values, mask=~np.isfinite(values))


def _answers(shape: Shape, part: pa.Table, own: Sequence[str], classes: Sequence[str]) -> dict[str, pa.Array]:
    values = part[f"score:{shape.champion}"].to_numpy()
    score = pa.array(values, mask=~np.isfinite(values))
    if shape.problem == "regression":
        return {"score": score, "prediction": score}
    if shape.problem != "multiclass":
        own_held = None if shape.threshold is not None else part[f"threshold:{shape.champion}"]
        held = shape.threshold if own_held is None else own_held.to_numpy()
        answers = {"score": score, "prediction": pa.array(values >= held, mask=~np.isfinite(values))}
        return answers if own_held is None else answers | {"threshold": _finite(own_held)}
    best = part["class"].to_numpy()
    return {
        "score": score,
        "prediction": _named(best, own, ~np.isfinite(values) | (best < 0)),
        "scores": _scores(part, own, classes),
    }


def _scores(part: pa.Table, own: Sequence[str], classes: Sequence[str]) -> pa.Array:
    """Of each event a list: the scores of the classes that were known, in the order of ``classes``."""
    width = sum(name.startswith("scores:") for name in part.column_names)
    matrix = np.column_stack([part[f"scores:{place}"].to_numpy() for place in range(width)])
    known = part["known"].to_numpy()
    if list(own) != list(classes):  # another task took them up in another order: every list has a place for all
        spread = np.full((len(matrix), len(classes)), np.nan)
        spread[:, [classes.index(name) for name in own]] = matrix[:, : len(own)]
        matrix, known = spread, np.full(len(matrix), len(classes))
    inside = np.arange(matrix.shape[1]) < known[:, None]
    flat = matrix[inside]
    offsets = np.concatenate([[0], np.cumsum(known)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, mask=~np.isfinite(flat)))


def _named(index: NDArray[np.integer[Any]], names: Sequence[str], absent: NDArray[np.bool_]) -> pa.Array:
    indices = pa.array(np.where(absent, 0, index).astype(np.int32), mask=absent)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string())).cast(pa.string())


def _labels_as(shape: Shape, values: NDArray[np.float64], own: Sequence[str], absent: NDArray[np.bool_]) -> pa.Array:
    if shape.problem == "multiclass":
        return _named(values.astype(np.int64), own, absent)
    return pa.array(values if shape.problem == "regression" else values != 0.0, mask=absent)
