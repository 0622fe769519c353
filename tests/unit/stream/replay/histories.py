"""Small histories on files with everything in them, and what a live service says of them."""

import functools
import random
from pathlib import Path
from typing import Any

import orjson

from stream.build import open_service
from stream.config import Config
from stream.replay import backtest as replay
from stream.transport.ledger import committed_lines

START_MS = 1_600_000_000_000
LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
LINEAR = ["river.preprocessing.StandardScaler", "river.linear_model.LinearRegression"]
TREE: dict[str, Any] = {"river.tree.HoeffdingTreeClassifier": {"grace_period": 20}}
ANOMALY: dict[str, Any] = {"river.anomaly.HalfSpaceTrees": {"n_trees": 5, "height": 4, "window_size": 20, "seed": 1}}
backtest = functools.partial(replay.backtest, report=False)
"""Drawing a page takes longer than the rest; it has tests of its own."""
CLASSES = ("red", "green", "blue")


def write(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([(one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in records]))
    return path


def history(directory: Path, count: int = 600, *, problem: str = "binary", seed: int = 1) -> None:
    """``events.jsonl`` and ``labels.jsonl``: late, early, missing, double and contradicting labels, refused records."""
    rng = random.Random(seed)
    events: list[Any] = []
    labels: list[tuple[int, dict[str, Any]]] = []
    for number in range(count):
        time_ms = START_MS + number * 60_000 - (rng.randrange(300_000) if rng.random() < 0.05 else 0)
        a, b = rng.gauss(0, 1), rng.gauss(0, 1) * (100 if number > count // 2 else 1)
        kind = int((a > 0) + (b > 1))
        truth: Any = {"multiclass": CLASSES[kind], "regression": a + b}.get(problem, a + rng.gauss(0, 0.3) > 0)
        other: Any = {"multiclass": CLASSES[0], "regression": 1.0}.get(problem, False)
        event = {"id": f"e{number}", "card": f"c{number % 7}", "time": time_ms, "a": a, "b": b, "y": truth}
        events.append(event)
        if rng.random() < 0.03:
            events.append({**event, "time": time_ms + 1})
        if rng.random() < 0.03:
            events.append(
                rng.choice([b"{", orjson.dumps({"id": "bad"}), orjson.dumps({**event, "id": "x", "a": None})])
            )
        if rng.random() < 0.8:
            known_ms = time_ms + rng.choice([-120_000, 1000, 3_600_000, 7_200_000])
            labels.append((known_ms, {"id": f"e{number}", "y": truth, "time": known_ms}))
            if rng.random() < 0.1:
                again_ms = known_ms + 600_000
                labels.append((again_ms, {"id": f"e{number}", "y": rng.choice([truth, other]), "time": again_ms}))
    labels.append((START_MS, {"id": "nobody", "y": False if problem == "binary" else None, "time": START_MS}))
    write(directory / "events.jsonl", events)
    write(directory / "labels.jsonl", [label for _, label in sorted(labels, key=lambda pair: pair[0])])


def settings(directory: Path, problem: str = "binary", *, own_stream: bool = True, **changes: Any) -> dict[str, Any]:
    """Of a pipeline on such a history; sections that are None are left out."""
    learner = {"regression": LINEAR, "multiclass": TREE, "anomaly": ANOMALY}.get(problem, LOGISTIC)
    labels: dict[str, Any] = {"field": "y", "delay": "1h"}
    if own_stream:
        labels = {
            "file": str(directory / "labels.jsonl"), "id": "id", "value": "y", "time": "time", "conflict": "last",
            "wait": "3h", "park": "1h",
        }  # fmt: skip
    if problem == "multiclass":
        labels |= {"classes": ["green"], "new_classes": True, "classes_max": 5}
    data = {
        "name": "test",
        "problem": problem,
        "events": {
            "file": str(directory / "events.jsonl"), "id": "id", "key": "card", "time": "time", "features": ["a", "b"],
        },
        "labels": labels,
        "learners": {"main": learner},
        "detectors": [{"signal": {"feature": "b"}, "detector": {"page_hinkley": {"threshold": 20}}}],
        "out": str(directory / "out"),
        "checkpoints": {"store": str(directory / "checkpoints")},
        "serve": False,
        **changes,
    }  # fmt: skip
    return {key: value for key, value in data.items() if value is not None}


def live(data: dict[str, Any], directory: Path) -> dict[str, list[bytes]]:
    """What the service says: lines of its outputs."""
    config = Config.model_validate(data).at(directory / "test.yaml")
    with open_service(config, say=lambda _: None) as service:
        service.worker.run()
    out = config.path(config.out)
    return {name: list(committed_lines(out, name)) for name in ("predictions", "alarms", "rejects")}
