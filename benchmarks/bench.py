"""What a benchmark is given and what it gives: a place to work, servers, sizes, and figures with their goals."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import feed
from benchmarks.machine import ROOT, CoreTime, cores, move, on_cores
from tests.servers import KafkaServer, RedisServer

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    name: str
    what: str
    result: str
    goal: str = ""
    met: bool | None = None
    disturbed: bool = False
    """Neighbours had too much of the core for a verdict."""


Sense: TypeAlias = Literal["at least", "at most"]


def judged(name: str, what: str, value: float, goal: float, sense: Sense, *, text: str, unit: str = "") -> Figure:
    met = value >= goal if sense == "at least" else value <= goal
    return Figure(name, what, text, f"{'≥' if sense == 'at least' else '≤'} {goal:g}{unit}", met)


@dataclass(slots=True)
class Timing:
    """Of some events: how long, and who had the core under test meanwhile."""

    events: int
    seconds: float
    cpu_s: float
    foreign_s: float = 0.0
    """In which the core worked for processes that are none of ours."""
    idle_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds in each stage; empty when not asked for."""

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def own_rate(self) -> float:
        """As if the others had not been there."""
        return self.events / (self.seconds - self.foreign_s)

    @property
    def foreign(self) -> float:
        """Share of the time that others had the core."""
        return self.foreign_s / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time an event."""
        return self.cpu_s / self.events * 1e6

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(
            self.events + other.events, self.seconds + other.seconds, self.cpu_s + other.cpu_s,
            self.foreign_s + other.foreign_s, self.idle_s + other.idle_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a process under test."""

    at: float
    cpu_s: float
    core: CoreTime

    def until(self, later: "Mark", events: int) -> Timing:
        seconds, own_s = later.at - self.at, later.cpu_s - self.cpu_s
        foreign_s = max(later.core.busy_s - self.core.busy_s - own_s, 0.0)
        return Timing(events, seconds, own_s, min(foreign_s, seconds - 1e-9), later.core.idle_s - self.core.idle_s)


@dataclass(slots=True)
class Bench:
    """Shared by the benchmarks of one run. Servers start when the first one asks."""

    directory: Path
    stack: ExitStack
    quick: bool = False
    rounds: int = 3
    said: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    _kafka: KafkaServer | None = None
    _redis: RedisServer | None = None
    _events: dict[int, str] = field(default_factory=dict)

    @property
    def under_test(self) -> list[int]:
        """The core of the process under test: the last one. Empty where processes cannot be pinned."""
        return self._all[-1:] if len(self._all) > 1 else []

    @property
    def serving(self) -> list[int]:
        """All the others."""
        return self._all[:-1] if len(self._all) > 1 else []

    @property
    def core(self) -> int:
        """The number of the core under test; -1 where there is none."""
        return self._all[-1] if len(self._all) > 1 else -1

    _all: list[int] = field(default_factory=cores)

    @property
    def bootstrap(self) -> str:
        if self._kafka is None:
            self.said("starting a broker")
            self._kafka = self.stack.enter_context(KafkaServer())
        return self._kafka.bootstrap

    @property
    def redis_url(self) -> str:
        if self._redis is None:
            self._redis = self.stack.enter_context(RedisServer())
        return self._redis.url

    def spread(self) -> None:
        """From here on broker and this program may use every core, for what is not about one core's throughput."""
        assert self._kafka is not None
        for pid in (self._kafka.pid, os.getpid()):
            move(pid, self._all)

    def topics(self, *topics: str) -> None:
        """Make them, with one partition each."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
            made.result(WAIT_S)

    def events_file(self, count: int) -> Path:
        path = self.directory / f"events-{count}.jsonl"
        return path if path.exists() else feed.write_lines(path, count)

    def events_topic(self, count: int) -> str:
        """A topic with these events."""
        if count not in self._events:
            topic = f"events-{count}"
            self.topics(topic)
            producer = Producer(
                {"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 20, "enable.idempotence": True}
            )
            for line in self._lines(count):
                while True:
                    try:
                        producer.produce(topic, line, partition=0)
                        break
                    except BufferError:
                        producer.poll(0.05)
            if producer.flush(WAIT_S):
                raise TimeoutError(f"the broker did not take {count} events in {WAIT_S} s")
            self._events[count] = topic
        return self._events[count]

    def _lines(self, count: int) -> Iterator[bytes]:
        with self.events_file(count).open("rb") as file:
            for line in file:
                yield line[:-1]

    def child(self, module: str, *arguments: str, patience_s: float = 600.0) -> Any:
        """A module run in a process of its own on the core under test: the JSON that it prints."""
        command = [sys.executable, "-m", module, *arguments]
        with on_cores(self.under_test):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            told, _ = process.communicate(timeout=patience_s)
        finally:
            process.kill()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return orjson.loads(told)

    def new_name(self, kind: str) -> str:
        """Of a pipeline: nobody else's."""
        return f"{kind}-{uuid.uuid4().hex[:8]}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and the range when there are several."""
    told = f"{median(values):.{digits}f}"
    return told if len(values) == 1 else f"{told} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
