"""What a seed says of a pipeline: settings, and the records of each partition, as plain data. Read play.py next."""

import functools
import json
import random
from dataclasses import dataclass, field
from typing import Any

from stream.config import Config
from stream.transport.memory import MemoryBroker
from tests.harness import config, dumps

OWN = {"topic": "labels", "id": "id", "value": "y", "time": "time", "wait": "60s", "park": "20s"}
SOURCES: dict[str, dict[str, Any]] = {
    "first wins": {**OWN, "conflict": "first"},
    "last wins": {**OWN, "conflict": "last", "waiting_max": 15, "park_max": 3},
    "assumed": {**OWN, "assume": {"value": 0, "after": "25s"}, "wait": "70s"},
    "broadcast": {**OWN, "partitioning": "broadcast"},
    "field": {"field": "y", "delay": "15s"},
    "at once": {"field": "y"},
}
CHAIN = ["river.preprocessing.StandardScaler"]
MISBEHAVING = {
    "factory": "tests.unit.stream.pipeline.estimators:raises",
    "parameters": {"limit": 2.0, "score_limit": 2.6},
}
PROBLEMS: dict[str, dict[str, Any]] = {
    "binary": {
        "logistic": [*CHAIN, "river.linear_model.LogisticRegression"],
        "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
        "misbehaving": MISBEHAVING,
    },
    "regression": {"line": [*CHAIN, "river.linear_model.LinearRegression"]},
    "multiclass": {"bayes": "river.naive_bayes.GaussianNB"},
    "anomaly": {"trees": {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 10, "height": 3, "n_trees": 3}}},
}

WINDOWS: dict[int, list[dict[str, Any]]] = {
    0: [
        {
            "by": "card",
            "of": "a",
            "compute": ["count", "mean", "std", "max", "last"],
            "over": ["5s", "40s"],
            "late": "3s",
        }
    ],
    2: [{"by": "card", "of": "b", "compute": ["count", "sum"], "over": ["30s"], "tiles": 3, "present": False}],
}
LABEL_WINDOWS: dict[int, list[dict[str, Any]]] = {
    0: [{"by": "card", "of": {"label": {"lag": "5s"}}, "compute": ["count", "mean"], "over": ["20s"]}],
    2: [
        {
            "by": ["card", "id"],
            "of": {"label": None},
            "compute": ["count", "time_since"],
            "over": ["20s"],
            "partial": True,
        },
        {"by": "card", "of": {"label": None}, "compute": ["count", "mean"], "over": ["20s"], "tiles": 4},
    ],
}
"""By ``learn_errors_max``, so that what is drawn stays as it is."""

Values = list[bytes | None]


@functools.lru_cache(maxsize=64)
def _config(changes: str) -> Config:
    return config(**json.loads(changes))


@dataclass
class World:
    """Settings, and the records of each partition."""

    changes: dict[str, Any]
    """Of the base configuration (tests/harness.py)."""
    events: list[Values] = field(default_factory=list)
    labels: list[Values] = field(default_factory=list)

    @property
    def settings(self) -> Config:
        return _config(json.dumps(self.changes))

    def streams(self) -> dict[str, list[Values]]:
        """Topic to partitions."""
        labels = self.settings.labels
        own = labels is not None and labels.own_stream
        return {"events": self.events} | ({"labels": self.labels} if own else {})

    def broker(self) -> MemoryBroker:
        topics = self.streams()
        broker = MemoryBroker({name: len(partitions) for name, partitions in topics.items()})
        for name, partitions in topics.items():
            for number, values in enumerate(partitions):
                broker.append(name, values, partition=number)
        return broker


def truth(draw: random.Random, problem: str) -> object:
    return {"regression": draw.random(), "multiclass": draw.choice("xyzq")}.get(problem, draw.random() < 0.5)


def detector(draw: random.Random, learners: list[str]) -> dict[str, Any]:
    part = {"page_hinkley": {"threshold": draw.choice([1.0, 3.0]), "min_instances": 5, "rearm": draw.choice([0, 10])}}
    return {
        "signal": draw.choice(["error", "loss", "score", "label", {"feature": "a"}]),
        "detector": part,
        "response": draw.choice(["alarm", "reset"]),
        "learners": draw.sample(["champion", *learners], 1),
    }


def world(draw: random.Random, records: tuple[int, int] = (20, 90)) -> World:
    """Settings and streams."""
    problem = draw.choice(["binary", "binary", "binary", "regression", "multiclass", "anomaly"])
    source = draw.choice(list(SOURCES))
    labels = dict(SOURCES[source])
    if problem == "multiclass":
        labels |= {"new_classes": True, "classes_max": draw.choice([3, 10])}
        if source == "assumed":
            labels |= {"classes": ["x"], "assume": {"value": "x", "after": "25s"}}
    learners = PROBLEMS[problem]
    names = draw.sample(list(learners), draw.randint(1, len(learners)))
    if source == "assumed":
        labels |= {"exclude_if": {"field": "card", "equals": "c1"}}
        if "misbehaving" not in names and problem in {"binary", "regression"}:  # others take no weights
            labels |= {"assume": {**labels["assume"], "correction_weight": 3.0}}
    specs: dict[str, Any] = {name: learners[name] for name in names}
    if len(names) == 2:
        specs |= {
            "late": {"learn": specs[names[1]], "labels": {"after": "8s"}},
            "blend": {"blend": {"of": [names[0], "late"]}},
        }
    elif len(names) > 2:
        specs |= {"blend": {"learn": {"blend": {"of": names, "by": "stack"}}, "labels": {"within": "20s"}}}
    detectors = [detector(draw, names) for _ in range(draw.randrange(3))]
    errors_max = draw.choice([0, 2, 10])
    windows = WINDOWS.get(errors_max, []) + (LABEL_WINDOWS.get(errors_max, []) if problem != "multiclass" else [])
    made = World(
        {
            "problem": problem,
            "labels": labels,
            "learners": specs,
            "champion": "blend" if len(names) > 2 else names[0],
            "features": [{"window": window} for window in windows],
            "detectors": detectors,
            "learn_errors_max": errors_max,
            "time_jump_max": draw.choice(["10s", "1d"]),
            **({"metrics": {"top": 2}} if problem in {"binary", "anomaly"} and errors_max != 2 else {}),
        }
    )
    for number in range(draw.choice([1, 1, 2])):
        events, told = partition(draw, problem, number, draw.randrange(*records), in_field="field" in labels)
        made.events.append(events)
        made.labels.append(told)
    return made


def partition(draw: random.Random, problem: str, number: int, count: int, *, in_field: bool) -> tuple[Values, Values]:
    """Events, and labels in the order of their times, more or less."""
    events: list[dict[str, Any]] = []
    labels: list[tuple[int, dict[str, Any]]] = []
    gap_ms = draw.choice([1000, 1000, 1000, 12_000])  # the last one, above a jump of 10 s: stream time lags behind
    for i in range(count):
        time = gap_ms * i + draw.choice([0, 0, 0, 0, -3000, 1, 90_000 * (draw.random() < 0.1)])
        name = f"{number}-{i if draw.random() > 0.05 else max(i - 3, 0)}"
        one = {"id": name, "card": f"c{i % 3}", "time": time, "a": draw.gauss(0, 1), "b": draw.gauss(0, 1)}
        events.append({**one, "y": draw.choice([truth(draw, problem), None])} if in_field else one)
        for chance, delay in ((0.7, draw.randrange(20)), (0.2, draw.randrange(100)), (0.1, -draw.randrange(30))):
            if draw.random() < chance:
                due = time + 1000 * delay
                found = name if draw.random() > 0.05 else "nobody"
                labels.append((due + draw.choice([0, 0, 2000]), {"id": found, "y": truth(draw, problem), "time": due}))
    labels.sort(key=lambda pair: pair[0])
    return tuple(
        [draw.choice([None, b"{", b"\xff", value[:-1]]) if draw.random() < 0.04 else value for value in dumps(records)]
        for records in (events, [label for _, label in labels])
    )  # type: ignore[return-value]
