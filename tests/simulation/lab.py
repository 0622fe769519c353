"""A fold without a service: records in, outputs out, and a state as plain values that can be compared.

Not a test. For the whole service (log, journal, checkpoints, worker) see tests/harness.py.
"""

import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.pipeline.batch import Batch
from stream.pipeline.fold import Fold
from stream.records import Input, Outputs, Records
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import Recovery
from stream.transport.memory import MemoryLog
from tests.harness import KEY, Service

EVENT, LABEL = 0, 1
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def event(number: object, time: int, a: float = 1.0, b: float = 0.0, **more: Any) -> tuple[int, dict[str, Any]]:
    return EVENT, {"id": f"e{number}", "card": "c", "time": time, "a": a, "b": b, **more}


def label(number: object, time: int, y: Any = True) -> tuple[int, dict[str, Any]]:
    return LABEL, {"id": f"e{number}", "y": y, "time": time}


Step = tuple[int, Mapping[str, Any] | bytes | None]
"""Which input, and the record: a dict is written as JSON."""


class Lab:
    """One task's fold, fed with records in the order in which they are given."""

    def __init__(self, settings: Config) -> None:
        own = settings.labels is not None and settings.labels.own_stream
        self.inputs = (Input("events", "events", 0), *([Input("labels", "labels", 0)] if own else []))
        self.lineage = lineage(settings, {"topics": {}, "partitions": 1})
        self.fold: Fold = build_fold(self.lineage, self.inputs)
        self.said: dict[str, list[tuple[int, bytes, bytes, dict[str, bytes]]]] = {
            "predictions": [], "alarms": [], "rejects": [],
        }  # fmt: skip
        self._offsets = [0] * len(self.inputs)

    def feed(self, steps: Sequence[Step], cut: int = 10**9) -> "Lab":
        """Fold the steps in batches of ``cut`` records."""
        for start in range(0, len(steps), cut):
            self._hear(self.fold.step(self.batch(steps[start : start + cut])))
        return self

    def flush(self, **arguments: Any) -> "Lab":
        """End the stream: what waits in its event is revealed."""
        self._hear(self.fold.flush(**arguments))
        return self

    def _hear(self, outputs: Outputs) -> None:
        for name, out in outputs.items():
            headers = out.headers or [{}] * len(out)
            rows = zip(out.keys, out.values, headers, strict=True)
            self.said[name] += [(out.first_seq + place, *row) for place, row in enumerate(rows)]

    def batch(self, steps: Sequence[Step]) -> Batch:
        records = [Records() for _ in self.inputs]
        order: list[int] = []
        for which, value in steps:
            into = records[which]
            into.offsets.append(self._offsets[which])
            into.timestamps_ms.append(self._offsets[which])
            into.keys.append(b"key-%d" % self._offsets[which])
            into.values.append(orjson.dumps(value) if isinstance(value, Mapping) else value)
            self._offsets[which] += 1
            if order and order[-2] == which:
                order[-1] += 1
            else:
                order += [which, 1]
        return Batch(self.fold.events(records[0]), tuple(self.fold.labels(part) for part in records[1:]), tuple(order))

    def output(self, name: str = "predictions") -> list[dict[str, Any]]:
        return [orjson.loads(value) for _, _, value, _ in self.said[name]]

    @property
    def scores(self) -> list[float]:
        return [one["score"] for one in self.output()]

    @property
    def reasons(self) -> list[str]:
        return [headers["reason"].decode() for *_, headers in self.said["rejects"]]

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.fold.state.clock.counts)

    @property
    def model(self) -> Any:
        return self.fold.state.learners[self.fold.state.roles.champion].model  # type: ignore[attr-defined]


def dumped(fold: Fold, since: int = -1) -> dict[tuple[str, str], object]:
    """(part, chunk) to content, through bytes, so that nothing is shared with the fold."""
    return {
        (name, chunk): pickle.loads(pickle.dumps(content))
        for name, part in fold.parts()
        for chunk, content in part.dump(since)
    }


def alive(fold: Fold) -> set[tuple[str, str]]:
    return {(name, chunk) for name, part in fold.parts() for chunk in part.alive()}


def load(fold: Fold, chunks: Mapping[tuple[str, str], object]) -> Fold:
    for name, part in fold.parts():
        part.load({chunk: pickle.loads(pickle.dumps(content)) for (of, chunk), content in chunks.items() if of == name})
    return fold


def canonical(value: object) -> object:
    """Nested tuples of plain values: two states are equal when these are. Floats by their bits, objects by attributes."""
    return _walk(value, {})


def _walk(value: object, seen: dict[int, tuple[int, object]]) -> object:
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, (float, np.generic)):
        return type(value).__name__, repr(value)
    if id(value) in seen:
        return "seen", seen[id(value)][0]
    seen[id(value)] = len(seen), value  # held: what is made on the way and let go would give its id to the next
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return type(value).__name__, tuple((_walk(k, seen), _walk(v, seen)) for k, v in value.items())
    if isinstance(value, (list, tuple, deque)):
        return type(value).__name__, tuple(_walk(one, seen) for one in value)
    if isinstance(value, (set, frozenset)):
        return "set", tuple(sorted(map(repr, value)))
    if isinstance(value, type) or callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__, tuple((k, _walk(v, seen)) for k, v in _attributes(value))


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    state: Any = value.__reduce_ex__(4)[2:]  # what pickling would keep, also of objects written in C
    for place, part in enumerate(state):
        if isinstance(part, Mapping):
            yield from sorted(part.items(), key=lambda item: str(item[0]))
        elif isinstance(part, Iterable) and not isinstance(part, (str, bytes)):
            yield str(place), list(part)
        else:
            yield str(place), part
    yield "made by", repr(value.__reduce_ex__(4)[1]) if not state or state[0] is None else ""


def recovered(service: Service, *, without_store: bool = False, task: int = 0) -> Fold:
    """The state of a service's task that nobody works on: folded from checkpoint and journal, saying nothing."""
    topics = service.config.topics()
    broadcast = service.config.labels is not None and service.config.labels.partitioning == "broadcast"
    log = MemoryLog(
        service.broker, service.config.name, topics["events"], topics.get("labels"), broadcast=broadcast
    )  # fmt: skip
    readings = TaskReadings(task)
    checkpointer = Checkpointer(
        service.store, Signer(KEY), f"{service.config.name}/{task}", keep=3, on_unverified=readings.say, fork=False,
        admitted=["tests"],
    )  # fmt: skip
    told = lineage(service.config, log.identity())
    recovery = Recovery(log.open(task), checkpointer, build_fold, told, readings, without_store=without_store)
    for _ in recovery.run():
        pass
    return recovery.fold


def settled(fold: Fold) -> dict[tuple[str, str], object]:
    """A fold's state by part and chunk, as it can be compared between runs that were cut, stopped and recovered in different places."""
    chunks = {(name, chunk): content for name, part in fold.parts() for chunk, content in part.dump(-1)}
    join: Any = chunks["join", "join"]
    # without the time at which to look again, which is only a shortcut
    chunks["join", "join"] = {**join, "places": join["places"][:3]}
    return {key: canonical(content) for key, content in chunks.items()}
