"""Runs as a backtest leaves them, made from arrays: for tests of what judges them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from learners.base import Problem
from stream.replay.results import ALARMS, PREDICTIONS, REJECTS, Run

START_MS = 1_736_121_600_000  # Monday, 6 January 2025
DAY_MS = 86_400_000
TIME = pa.timestamp("ms", "UTC")


def write(
    path: Path,
    *,
    score: Sequence[Any],
    label: Sequence[Any],
    time_ms: Sequence[int] | None = None,
    key: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    prediction: Sequence[Any] | None = None,
    challengers: Mapping[str, Any] | None = None,
    delay_ms: int = 7 * DAY_MS,
    assumed: Sequence[bool] | None = None,
    scores: Any = None,
    classes: Sequence[str] = (),
    further: Mapping[str, Any] | None = None,
    alarms: Sequence[Mapping[str, Any]] = (),
    rejects: Sequence[Mapping[str, Any]] = (),
    problem: Problem = "binary",
    name: str = "one",
    **run: Any,
) -> Run:
    """Files of a run with these columns; a NaN or None is a null. An event an hour where no times are given."""
    n = len(score)
    path.mkdir(parents=True, exist_ok=True)
    times = np.asarray(START_MS + 3_600_000 * np.arange(n) if time_ms is None else time_ms, np.int64)
    if problem in ("binary", "anomaly"):
        labels = pa.array([None if one is None else bool(one) for one in label], pa.bool_())
    else:
        labels = pa.array(label, pa.string() if problem == "multiclass" else pa.float64(), from_pandas=True)
    said = pa.array(np.asarray(score, np.float64), pa.float64(), from_pandas=True)
    columns = {
        "task": pa.array(np.zeros(n, np.int32)),
        "id": pa.array([f"e{i}" for i in range(n)] if ids is None else ids, pa.string()),
        "key": pa.array(["k"] * n if key is None else key, pa.string()),
        "time": pa.array(times, pa.int64()).cast(TIME),
        "score": said,
        "prediction": pa.array(prediction) if prediction is not None else said,
        "label": labels,
        "label_time": pa.array([None if unknown else int(t) + delay_ms for t, unknown in zip(times, labels.is_null().to_pylist(), strict=True)], pa.int64()).cast(TIME),
        "assumed": pa.array([False] * n if assumed is None else assumed, pa.bool_()),
        "model": pa.array([f"logistic@{i}" for i in range(n)]),
    }  # fmt: skip
    if scores is not None:
        columns["scores"] = pa.array(scores, pa.list_(pa.float64()))
    for other, values in (challengers or {}).items():
        columns[f"challengers.{other}"] = pa.array(np.asarray(values, np.float64), from_pandas=True)
    for other, values in (further or {}).items():
        columns[other] = pa.array(values)
    table = pa.table(columns).replace_schema_metadata({"classes": json.dumps(list(classes))} if classes else None)
    pq.write_table(table, path / PREDICTIONS)
    for file, lines in ((ALARMS, alarms), (REJECTS, rejects)):
        (path / file).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return Run(name, problem, path, **run)


def scores_of(positive: Any, skill: float, rng: np.random.Generator) -> Any:
    """Probabilities that separate the classes by ``skill`` standard deviations, calibrated when ``skill`` is."""
    z = rng.normal(size=len(positive)) + skill * np.asarray(positive)
    rate = float(np.mean(positive))
    logit = skill * z - skill**2 / 2 + np.log(rate / (1 - rate))
    return 1.0 / (1.0 + np.exp(-logit))
