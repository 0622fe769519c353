"""The events of the benchmarks and the configurations that read them. Seeded; the same bytes in every run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

START_MS = 1_527_811_200_000
RIVER = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
COMPILED = "learners.compiled.ScaledLogisticRegression"
CHUNK = 50_000


def names(features: int) -> list[str]:
    return [f"feature_{place}" for place in range(features)]


def lines(count: int, *, features: int = 20, step_ms: int = 1) -> Iterator[bytes]:
    """Events as JSON: id, key, time, numbers of six decimals, and a label that follows from them but for noise."""
    rng = np.random.default_rng(7)
    slopes = rng.normal(size=features)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        xs = rng.normal(size=(size, features)).round(6)
        truth = (xs @ slopes + rng.normal(size=size) > 0).tolist()
        own = names(features)
        for place, (row, label) in enumerate(zip(xs.tolist(), truth, strict=True), start):
            head = {"id": f"e{place}", "key": f"c{place % 1000}", "time": START_MS + step_ms * place}
            yield orjson.dumps({**head, **dict(zip(own, row, strict=True)), "label": int(label)})


def write_lines(path: Path, count: int, *, features: int = 20, step_ms: int = 1) -> Path:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines(count, features=features, step_ms=step_ms))
    return path


def config(name: str, *, features: int = 20, learner: Any = None, **sections: Any) -> dict[str, Any]:
    """A pipeline on these events: ADWIN on the error, prequential metrics, label in the event, known at once."""
    source = sections.pop("source")
    return {
        "name": name,
        "problem": "binary",
        "events": {**source, "id": "id", "key": "key", "time": "time", "features": names(features)},
        "labels": {"field": "label"},
        "learners": {"logistic": RIVER if learner is None else learner},
        "detectors": [{"signal": "error", "detector": "adwin"}],
        "batch": {"records": 5000},
        **sections,
    }


def write_config(directory: Path, told: dict[str, Any]) -> Path:
    """JSON is YAML."""
    path = directory / f"{told['name']}.yaml"
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return path
