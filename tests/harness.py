"""A whole service in one process, for tests: the real step, worker and recovery over a log and a store in memory."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import orjson

from stream.build_fold import build_fold, lineage
from stream.checkpoints.base import CheckpointStore
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.records import OutputName
from stream.runtime.readings import TaskReadings
from stream.runtime.saves import Cadence
from stream.runtime.task import Task, TaskSettings
from stream.runtime.warm import Warm
from stream.runtime.worker import Worker
from stream.transport.memory import CRASH, Crash, MemoryBroker, MemoryLog

T = TypeVar("T")
KEY = b"k" * 32


class InlineHost:
    """No threads, no clock: work is done when it is submitted, and time passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    def submit(self, lane: str, work: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except Crash:
            raise
        except Exception as error:  # noqa: BLE001 - as a thread would hold it
            future.set_exception(error)
        return future

    def wait(self, futures: Iterable[Future[object]], timeout_s: float) -> None:
        self.now += max(timeout_s, 0.001)

    def close_lane(self, lane: str) -> None:
        pass


BASE: dict[str, Any] = {
    "name": "test",
    "events": {"topic": "events", "id": "id", "key": "card", "time": "time", "features": ["a", "b"]},
    "labels": {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "first"},
    "learners": {
        "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
    },
    "kafka": {"bootstrap.servers": "none"},
}


def config(**changes: Any) -> Config:
    """The base configuration with top-level sections replaced; None takes one out."""
    data = {**BASE, **changes}
    return Config.model_validate({key: value for key, value in data.items() if value is not None})


class Service:
    """A pipeline over one broker and one store, which outlive its workers."""

    def __init__(
        self, settings: Config, broker: MemoryBroker, store: CheckpointStore | None = None, **task_settings: Any
    ) -> None:
        self.config = settings
        self.broker = broker
        self.store = store if store is not None else MemoryStore()
        self.task_settings = task_settings
        self.readings: list[TaskReadings] = []
        self.warm: Warm | None = None

    def worker(self, *, tasks: Iterable[int] | None = None) -> Worker:
        topics = self.config.topics()
        broadcast = self.config.labels is not None and self.config.labels.partitioning == "broadcast"
        log = MemoryLog(
            self.broker, self.config.name, topics["events"], topics.get("labels"), broadcast=broadcast,
            tasks=None if tasks is None else list(tasks),
        )  # fmt: skip
        told = lineage(self.config, log.identity())
        host = InlineHost()

        def make(number: int) -> Task:
            readings = TaskReadings(number)
            self.readings.append(readings)
            checkpointer = Checkpointer(
                self.store, Signer(KEY), f"{self.config.name}/{number}", keep=3, on_unverified=readings.say, fork=False,
                monotonic=host.monotonic,
            )  # fmt: skip
            told_settings = dict(self.task_settings)
            cadence = Cadence(told_settings.pop("checkpoint_records", 100_000))
            settings = TaskSettings(**{"poll_wait_s": 0.0, "checkpoints": cadence, **told_settings})
            return Task(
                number, lambda: log.open(number), checkpointer, build_fold, told, host, settings, readings, self.warm
            )

        return Worker(log, make, host, ends=True)

    def run(self, crashes_max: int = 1000) -> int:
        """Work until everything is folded, starting again after each crash. Returns the crashes."""
        for crashes in range(crashes_max):
            try:
                self.worker().run()
            except Crash:
                continue
            return crashes
        raise AssertionError(f"still crashing after {crashes_max} times")

    def output(self, name: OutputName = "predictions", task: int = 0) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.raw(name, task)]

    def raw(self, name: OutputName = "predictions", task: int = 0) -> list[Any]:
        return self.broker.task(self.config.name, task).outputs[name]


def dumps(records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    return [orjson.dumps(record) for record in records]


__all__ = ["BASE", "CRASH", "Crash", "InlineHost", "MemoryBroker", "Service", "config", "dumps"]
