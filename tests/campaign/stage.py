"""The campaign's stage: a broker, a Redis, two workers with a bad network each, and an eye on the journal.

What stands here is the real thing, each part a process of its own; only the network is ours (proxy.py). The journal is
read from beside the proxies, so what the eye sees is what was committed. Not here: what goes wrong (faults.py), and
whether the results are right (oracle.py).
"""

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import redis
from confluent_kafka import Consumer, TopicPartition

from stream.records import OUTPUTS, Claim, Entry, decode_journal
from tests.campaign.inputs import fill
from tests.campaign.proxy import Proxy
from tests.integration.running import Pipeline, Run, Stream, create_topics, delete_topic
from tests.servers import KafkaServer, RedisServer

WORKERS = 2
PARTITIONS = 2
SESSION_S = 3.0
TRANSACTION_S = 6.0
PAST_EVERY_TIMEOUT_S = 8.0
HEAL_S = 60.0
BATCHES = (10, 20, 40)
"""Records of a batch, drawn for each round: small, so that a stream lasts some minutes. Results do not depend on it."""
NEVER = (
    "Traceback",
    "does not replay",
    "follows entry",
    "records were lost",
    "but the journal leads only to",
    " again (next is",
)
"""What no worker may say when it ends."""
KEY = {"HEADRACE_CHECKPOINT_KEY": "5a" * 32}


class Stage:
    """Servers and inputs, for as long as the campaign lasts."""

    def __init__(self, events: int) -> None:
        self._closing = contextlib.ExitStack()
        self.directory = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="headrace-campaign-")))
        self.kafka_links = [self._closing.enter_context(Proxy()) for _ in range(WORKERS)]
        self.redis_links = [self._closing.enter_context(Proxy()) for _ in range(WORKERS)]
        self.kafka = KafkaServer(
            {"transaction.state.log.segment.bytes": "1048576"}, proxy_ports=[link.port for link in self.kafka_links]
        )
        self.redis = RedisServer(["--appendonly", "yes", "--appendfsync", "everysec"])
        try:
            self._closing.enter_context(self.kafka)
            self._closing.enter_context(self.redis)
            for link, port in zip(self.kafka_links, self.kafka.proxied_ports, strict=True):
                link.upstream = port
            for link in self.redis_links:
                link.upstream = self.redis.port
            self.stream, self.events = fill(self.kafka.bootstrap, events, PARTITIONS, f"s{uuid.uuid4().hex[:6]}")
            self.kafka.restart()  # so that a later kill -9 finds the inputs flushed, and the broker is back soon
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    def calm_weather(self) -> None:
        for link in (*self.kafka_links, *self.redis_links):
            link.clear()

    def mend(self) -> None:
        """Servers up and answering, fair weather: after a round that ended in the middle of a fault."""
        self.calm_weather()
        for server in (self.kafka, self.redis):
            if server.running:
                server.thaw()
            else:
                server.start()

    def links(self, towards: str, worker: int) -> list[Proxy]:
        """Of ``kafka``, ``redis``, or both names in one text."""
        found = {"kafka": self.kafka_links[worker], "redis": self.redis_links[worker]}
        return [link for name, link in found.items() if name in towards]

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    def redis_again(self, chance: random.Random) -> str:
        """Start a dead Redis: with what it had, with what it had long ago, or with nothing. Says which."""
        now, aged = self.redis.directory / "appendonlydir", self.redis.directory / "aged"
        how = chance.choice(["kept", "empty", "rolled back"] if aged.exists() else ["kept", "empty"])
        fresh = self.redis.directory / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        if now.exists():
            shutil.copytree(now, fresh)
        if how != "kept":
            shutil.rmtree(now, ignore_errors=True)
        if how == "rolled back":
            shutil.copytree(aged, now)
        if fresh.exists() and (how != "rolled back"):
            shutil.rmtree(aged, ignore_errors=True)
            fresh.rename(aged)
        self.redis.start()
        return how


def settings(name: str, stream: Stream, kafka: str, store: str) -> dict[str, Any]:
    """A pipeline over the stream."""
    return {
        "name": name,
        "events": {"topic": stream.events, "id": "id", "key": "card", "time": "time", "features": ["amount", "hour"]},
        "labels": {"topic": stream.labels, "id": "id", "value": "fraud", "time": "time"},
        "features": [
            {"window": {"by": "card", "of": "amount", "compute": ["count", "mean", "std"], "over": ["1h", "1d"]}},
            {"window": {"by": "card", "of": {"label": None}, "compute": ["count", "mean"], "over": ["1d"]}},
        ],
        "learners": {"logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]},
        "detectors": [
            {"signal": "error", "detector": {"adwin": {"delta": 0.002}}, "response": "reset"},
            {"signal": "score", "detector": {"page_hinkley": {"threshold": 5}}},
        ],
        "checkpoints": {"store": store, "every": "3000 events", "keep": 4},
        "kafka": {"bootstrap.servers": kafka, "session.timeout.ms": int(SESSION_S * 1000)},
        "transaction_timeout": f"{TRANSACTION_S:g}s",
        "batch": {"records": BATCHES[-1]},
        "serve": False,
    }


class Ended(RuntimeError):
    """A worker ended by itself in a way that no operator should see."""


class Service:
    """One pipeline of the stage, its two workers, and what is known of its journal.

    Attributes
    ----------
    said_at_end : list of str
        Why workers ended by themselves: the last thing they wrote.
    """

    def __init__(self, stage: Stage, batch: int = BATCHES[-1]) -> None:
        self.stage = stage
        self.batch = batch
        self.name = f"c{uuid.uuid4().hex[:6]}"
        self.directory = stage.directory / self.name
        self.directory.mkdir()
        self.pipelines = [
            self._pipeline(
                f"worker-{number}",
                stage.kafka_links[number].address,
                self._redis(stage, number),
                batch={"records": batch},
            )
            for number in range(WORKERS)
        ]
        config = self.pipelines[0].config
        create_topics(stage.kafka.bootstrap, dict.fromkeys([config.topics()[what] for what in (*OUTPUTS, "journal")], PARTITIONS))  # fmt: skip
        self.workers: list[Run | None] = [None] * WORKERS
        self.said_at_end: list[str] = []
        self.eye = Eye(stage.kafka.bootstrap, config.topics()["journal"], stage.stream.counts)

    @staticmethod
    def _redis(stage: Stage, number: int) -> str:
        return f"redis://{stage.redis_links[number].address}/0"

    def _pipeline(self, name: str, kafka: str, store: str, **changes: object) -> Pipeline:
        path = self.directory / f"{name}.yaml"
        path.write_text(json.dumps(settings(self.name, self.stage.stream, kafka, store) | changes, indent=2))
        return Pipeline(path, self.stage.stream, self.name)

    def beside(self, **changes: object) -> Pipeline:
        """The pipeline as seen without the bad network."""
        stage = self.stage
        return self._pipeline("beside", stage.kafka.bootstrap, stage.redis.url, **changes)

    # Workers

    def start(self, number: int) -> None:
        assert self.workers[number] is None
        self.workers[number] = Run(self.pipelines[number].path, environment=KEY)

    def kill(self, number: int) -> None:
        """Kill -9; ``tend`` starts it again."""
        worker, self.workers[number] = self.workers[number], None
        if worker is not None:
            worker.kill()

    def owner(self, task: int) -> int | None:
        """Which worker owns a task, as far as the journal tells."""
        for number, worker in enumerate(self.workers):
            if worker is not None and self.eye.owners[task].endswith(f"/{worker.process.pid}"):
                return number
        return None

    def tend(self) -> None:
        """Look at the journal; start workers that are not there, as whoever runs a service does."""
        self.eye.look(0.05)
        for number, worker in enumerate(self.workers):
            if worker is not None and worker.process.poll() is not None:
                self._ended(worker)
                self.workers[number] = None
            if self.workers[number] is None:
                self.start(number)

    def _ended(self, worker: Run) -> None:
        code, log = worker.process.returncode, worker.log
        lines = [line for line in log.splitlines() if line.strip()]
        self.said_at_end.append(f"exit {code}: {' / '.join(lines[-2:])}")
        if code < 0 or any(word in log for word in NEVER):
            raise Ended(f"exit {code}\n{log[-5000:]}")

    def tend_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tend()

    def tend_until(self, what: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not what():
            if time.monotonic() > until:
                return False
            self.tend()
        return True

    def finish(self) -> None:
        """Fold what is left, with large batches and without faults."""
        for worker in self.workers:
            if worker is not None:
                worker.signal(signal.SIGCONT)
                worker.process.terminate()
        for worker in self.workers:
            if worker is not None and worker.end(60) != 0:
                self._ended(worker)
        self.workers = [None] * WORKERS
        until = time.monotonic() + 300
        for _ in range(20):
            self.eye.look(0.05)  # what they committed last
        if not self.eye.left:
            return
        last = Run(self.beside(batch={"records": 5000}).path, environment=KEY)
        while self.eye.left:
            self.eye.look(0.05)
            if last.process.poll() is not None or time.monotonic() > until:
                raise Ended(f"the rest was not folded\n{last.log[-5000:]}")
        last.stop()

    def close(self) -> None:
        for number in range(WORKERS):
            self.kill(number)
        self.eye.close()

    def forget(self) -> None:
        """Its topics and files: the next round has its own."""
        for what in (*OUTPUTS, "journal"):
            delete_topic(self.stage.kafka.bootstrap, self.beside().config.topics()[what])
        shutil.rmtree(self.directory, ignore_errors=True)


class Eye:
    """Reads the journal as it is committed: who owns each task, how far it is, when it last got further.

    Raises AssertionError when entries do not follow one another: the first divergence that can be seen.
    """

    def __init__(self, kafka: str, journal: str, counts: tuple[int, ...]) -> None:
        self._counts = counts
        tasks = len(counts)
        self.owners = [""] * tasks
        self.folded = [0] * tasks
        self.progressed_ms = [0] * tasks
        """When the newest entry was written, by the clock of this machine."""
        self.entries = [0] * tasks
        self.claims = [0] * tasks
        self._consumer = Consumer({
            "bootstrap.servers": kafka, "group.id": f"eye-{journal}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.wait.max.ms": 50, "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200, "log_level": 0, "auto.offset.reset": "earliest",
        })  # fmt: skip
        self._consumer.assign([TopicPartition(journal, task, 0) for task in range(tasks)])

    def look(self, timeout_s: float) -> None:
        for message in self._consumer.consume(1000, timeout_s):
            if message.error() is not None:
                continue  # the broker is away; it reconnects by itself
            task, record = message.partition(), decode_journal(message.value() or b"")
            if isinstance(record, Claim):
                self.owners[task] = record.worker
                self.claims[task] += 1
                continue
            assert isinstance(record, Entry)
            assert record.number == self.entries[task], (
                f"task {task}: entry {record.number} at journal offset {message.offset()} follows {self.entries[task] - 1}"
            )
            self.entries[task] += 1
            self.folded[task] = sum(record.positions)
            self.progressed_ms[task] = message.timestamp()[1]

    def left_of(self, task: int) -> int:
        """Records that are not folded yet."""
        return self._counts[task] - self.folded[task]

    @property
    def left(self) -> int:
        return sum(map(self.left_of, range(len(self._counts))))

    def progressed_since(self, wall_ms: float) -> bool:
        """Whether every task that has work left committed some that it began after this time."""
        tasks = range(len(self._counts))
        return all(self.progressed_ms[task] > wall_ms or not self.left_of(task) for task in tasks)

    def close(self) -> None:
        self._consumer.close()


@contextlib.contextmanager
def service(stage: Stage) -> Iterator[Service]:
    made = Service(stage)
    try:
        yield made
    finally:
        made.close()


def wall_ms() -> float:
    return time.time() * 1000


os.environ.setdefault(*next(iter(KEY.items())))  # the oracle reads checkpoints too
