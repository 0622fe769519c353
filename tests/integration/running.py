"""`headrace run` as an operator meets it: inputs on a real broker, workers as processes, what they said and what they left.

A ``Stream`` is input topics, filled before any worker starts, so that the order of records is a fact; a ``Pipeline`` is a
configuration over one, with outputs of its own; a ``Run`` is a worker. ``calm_outputs`` is what an uninterrupted run
says, to compare with. Everything is made up from a seed.
"""

import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from stream.build import open_log, open_store, signing_key, task_name
from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.config import Config, load
from stream.pipeline.state import PipelineState
from stream.records import OUTPUTS, Input, decode_journal

HEADRACE = str(Path(sys.executable).parent / "headrace")
WAIT_S = 90.0
MINUTE_MS = 60_000
BEGIN_MS = 1_600_000_000_000
LABEL_DELAY_MS = 300 * MINUTE_MS


# --- inputs ---------------------------------------------------------------------------------------------------------------


class Stream(NamedTuple):
    """Input topics with all their records."""

    kafka: str
    name: str
    partitions: int
    counts: tuple[int, ...]
    """Records, of events and labels together, by partition."""

    @property
    def events(self) -> str:
        return f"{self.name}-events"

    @property
    def labels(self) -> str:
        return f"{self.name}-labels"

    @property
    def total(self) -> int:
        return sum(self.counts)


def feed(events: int, seed: int = 1) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Events, a minute apart, each with its label, which is told five hours later. Half-way the fraudsters change their ways."""
    chance = random.Random(seed)
    for number in range(events):
        at, fraud = BEGIN_MS + number * MINUTE_MS, chance.random() < 0.3
        high = fraud if number < events // 2 else not fraud
        amount = round(chance.lognormvariate(4.0 if high else 3.0, 0.4), 2)
        event = {"id": f"e{number}", "card": f"c{chance.randrange(50)}", "time": at, "amount": amount}
        event["hour"] = float(at // (60 * MINUTE_MS) % 24)
        yield event, {"id": event["id"], "fraud": fraud, "time": at + LABEL_DELAY_MS}


def create_topics(kafka: str, partitions: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
    topics = [NewTopic(topic, count, 1, config={"retention.ms": "-1", **(config or {})}) for topic, count in partitions.items()]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    for future in admin.create_topics(topics).values():
        future.result(30)


def delete_topic(kafka: str, topic: str) -> None:
    """Gone when this returns."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    admin.delete_topics([topic])[topic].result(30)
    wait_for(lambda: topic not in admin.list_topics(timeout=5).topics)


def send(kafka: str, records: Iterator[tuple[str, bytes | None, bytes | None, int]]) -> None:
    """(topic, key, value, partition), each acknowledged, in order: also where a new partition has no leader yet."""
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 10, "log_level": 0, "enable.idempotence": True})
    for topic, key, value, partition in records:
        producer.produce(topic, value, key, partition)
        producer.poll(0)
    assert producer.flush(60) == 0


def fill(kafka: str, events: int, *, partitions: int = 1, label_partitions: int | None = None) -> Stream:
    """New input topics with a feed in them. Labels of ``label_partitions`` lie anywhere: for `broadcast`."""
    name = f"s{uuid.uuid4().hex[:8]}"
    own = label_partitions is not None
    create_topics(kafka, {f"{name}-events": partitions, f"{name}-labels": label_partitions or partitions})
    counts = [0] * partitions

    def records() -> Iterator[tuple[str, bytes | None, bytes | None, int]]:
        for event, label in feed(events):
            key = event["card"].encode()
            place = zlib.crc32(key) % partitions
            counts[place] += 2 if not own else 1
            yield f"{name}-events", key, json.dumps(event).encode(), place
            where = zlib.crc32(event["id"].encode()) % label_partitions if label_partitions else place
            yield f"{name}-labels", key, json.dumps(label).encode(), where

    send(kafka, records())
    if own:
        counts = [count + events for count in counts]
    return Stream(kafka, name, partitions, tuple(counts))


# --- pipelines --------------------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """An output as a reader sees it."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]

    @property
    def told(self) -> dict[str, Any]:
        """Its value, decoded."""
        told: dict[str, Any] = json.loads(self.value or b"")
        return told


def said(message: Message) -> Said:
    return Said(message.key(), message.value(), {k: v for k, v in message.headers() or () if k != "lineage"})


class Pipeline(NamedTuple):
    """A configuration file over a stream, and what is committed to its topics."""

    path: Path
    stream: Stream
    name: str

    @property
    def config(self) -> Config:
        return load(self.path, {})

    def change(self, **settings: object) -> None:
        """Other values for these settings; None takes one away."""
        told = json.loads(self.path.read_text()) | settings
        self.path.write_text(json.dumps({name: value for name, value in told.items() if value is not None}, indent=2))

    def headrace(self, *words: str, code: int | None = 0) -> str:
        """`headrace WORDS CONFIG`: what it said."""
        done = subprocess.run(
            [HEADRACE, *words, str(self.path)], check=False, capture_output=True, text=True, timeout=WAIT_S
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, said
        return said

    def outputs(self, partition: int = 0, *, read_committed: bool = True) -> dict[str, list[Said]]:
        """Of each output, what was said. The digest of the lineage, which holds topic ids, is left out."""
        topics = {name: self.config.topics()[name] for name in OUTPUTS}
        found = committed_of(self.stream.kafka, list(topics.values()), partition, read_committed=read_committed)
        return {name: [said(message) for message in found[topic]] for name, topic in topics.items()}

    def journal(self, partition: int = 0) -> list[Any]:
        """Decoded, in order."""
        found = committed(self.stream.kafka, self.config.topics()["journal"], partition)
        return [decode_journal(message.value() or b"") for message in found]

    def final_state(self, task: int = 0) -> PipelineState:
        """What the newest checkpoint holds: what a successor starts from."""
        return final_state(self.config, task)

    def checkpoints(self, task: int = 0) -> int:
        with open_store(self.config) as store:
            return sum(1 for _ in store.heads(task_name(self.config, task)))

    def forget_checkpoints(self) -> None:
        with open_store(self.config) as store:
            for task in range(self.stream.partitions):
                store.clear(task_name(self.config, task))


def pipeline(stream: Stream, directory: Path, store: str, **changes: object) -> Pipeline:
    """A new one, with its topics. Small batches, so that a stream lasts some seconds."""
    name = f"p{uuid.uuid4().hex[:8]}"
    settings: dict[str, object] = {
        "name": name,
        "events": {"topic": stream.events, "id": "id", "key": "card", "time": "time", "features": ["amount", "hour"]},
        "labels": {"topic": stream.labels, "id": "id", "value": "fraud", "time": "time"},
        "learners": {"logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]},
        "detectors": [{"signal": "error", "detector": {"adwin": {"delta": 0.002}}}],
        "checkpoints": {"store": store, "every": "1000 events"},
        "kafka": {"bootstrap.servers": stream.kafka},
        "batch": {"records": 20},
        "serve": {"port": 0},
    }
    path = directory / name / "pipeline.yaml"
    path.parent.mkdir()
    settings |= changes
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}, indent=2))
    made = Pipeline(path, stream, name)
    config = made.config
    create_topics(stream.kafka, {config.topics()[what]: stream.partitions for what in (*OUTPUTS, "journal")})
    return made


# --- workers ----------------------------------------------------------------------------------------------------------------


class Run:
    """One `headrace run`, from its start to its end."""

    program: tuple[str, ...] = (HEADRACE,)

    def __init__(self, config: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.config = config
        self._output = config.parent / f"run-{uuid.uuid4().hex[:6]}.log"
        command = [*self.program, "run", str(config), *arguments]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        _started.append(self)

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._output.read_text(errors="replace")

    def kill(self) -> None:
        """At once, as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, timeout_s: float = WAIT_S) -> int:
        """Wait for it to end by itself; its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        """SIGTERM, which must do."""
        self.process.terminate()
        assert self.end(60) == 0, self.log[-3000:]

    def wait_until(self, what: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Until it is so, while the worker lives."""
        deadline = time.monotonic() + timeout_s
        while not what():
            assert self.process.poll() is None, f"the worker ended: {self.log[-3000:]}"
            assert time.monotonic() < deadline, f"too slow: {self.log[-3000:]}\n{self.page('/metrics')[1][-6000:]}"
            time.sleep(0.03)

    # What it serves

    @property
    def url(self) -> str | None:
        words = self.log.partition("health and metrics on ")[2].split()
        return words[0] if words else None

    def page(self, path: str) -> tuple[int, str]:
        """Status and text; 0 while it does not serve."""
        if self.url is None:
            return 0, ""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def samples(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Everything under /metrics: name (without `headrace_`) -> labels -> value."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(self.page("/metrics")[1]):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                found.setdefault(sample.name.removeprefix("headrace_"), {})[labels] = sample.value
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all samples that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(value for has, value in self.samples().get(name, {}).items() if wanted <= set(has))

    def tasks(self) -> set[int]:
        """Tasks that are at work here."""
        return {int(dict(labels)["task"]) for labels, value in self.samples().get("running", {}).items() if value}

    def ready(self) -> bool:
        return self.page("/readyz")[0] == 200

    def folded(self, records: int) -> None:
        """Wait until as many records are folded, over all its tasks."""
        self.wait_until(lambda: self.metric("records_total") >= records)


_started: list[Run] = []


def end_all() -> None:
    """Kill what a test left running."""
    while _started:
        run = _started.pop()
        if run.process.poll() is None:
            run.signal(signal.SIGCONT)
            run.kill()


def wait_for(what: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.05)


def folded_by(runs: list[Run]) -> int:
    """Records folded, over all tasks of several workers."""
    told: dict[str, float] = {}
    for run in runs:
        for labels, value in run.samples().get("records_total", {}).items():
            task = dict(labels)["task"]
            told[task] = max(told.get(task, 0.0), value)
    return int(sum(told.values()))


# --- what is left -----------------------------------------------------------------------------------------------------------


def committed(kafka: str, topic: str, partition: int = 0, *, read_committed: bool = True) -> list[Message]:
    """Every record of a partition, in order, as librdkafka reads them."""
    return committed_of(kafka, [topic], partition, read_committed=read_committed)[topic]


def committed_of(
    kafka: str, topics: Sequence[str], partition: int, *, read_committed: bool = True
) -> dict[str, list[Message]]:
    """The same, of several topics at once."""
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": f"read-{uuid.uuid4().hex}", "enable.partition.eof": True,
        "isolation.level": "read_committed" if read_committed else "read_uncommitted", "enable.auto.commit": False,
        "fetch.wait.max.ms": 20, "log_level": 0,
    })  # fmt: skip
    consumer.assign([TopicPartition(topic, partition, 0) for topic in topics])
    found: dict[str, list[Message]] = {topic: [] for topic in topics}
    ended: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    try:
        while len(ended) < len(topics):
            assert time.monotonic() < deadline, f"{topics} were not read to their ends in time"
            for message in [consumer.poll(0.2), *consumer.consume(10_000, 0)]:
                if message is None:
                    continue
                if message.error() is not None:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    ended.add(message.topic())
                else:
                    found[message.topic()].append(message)
    finally:
        consumer.close()
    return found


def final_state(config: Config, task: int = 0) -> PipelineState:
    """The state that the newest checkpoint holds."""
    inputs = [Input("events", "-", task), Input("labels", "-", task)]
    with open_store(config) as store, contextlib.closing(open_log(config)) as log:
        checkpointer = Checkpointer(
            store, Signer(signing_key(config)), task_name(config, task), keep=1, on_unverified=print
        )
        fold = build_fold(lineage(config, log.identity()), inputs)
        next(checkpointer.restore()).load(fold.parts())
        return fold.state


def learned(state: PipelineState) -> tuple[int, dict[str, str]]:
    """Of a state, what tells whether two are the same: records folded and every metric, as text, for NaN is not itself."""
    return state.clock.records, {name: repr(metrics.all()) for name, metrics in state.metrics.items()}


class Calm(NamedTuple):
    """What an uninterrupted run said and knew, by partition."""

    outputs: list[dict[str, list[Said]]]
    learned: list[tuple[int, dict[str, str]]]


@functools.cache
def calm(stream: Stream, store: str) -> Calm:
    """An uninterrupted run over the stream, in other batches than the tests'."""
    with tempfile.TemporaryDirectory() as directory:
        alone = pipeline(stream, Path(directory), store, batch={"records": 5000})
        run = Run(alone.path)
        run.folded(stream.total)
        run.stop()
        tasks = range(stream.partitions)
        return Calm([alone.outputs(task) for task in tasks], [learned(alone.final_state(task)) for task in tasks])


def equals_calm(made: Pipeline, store: str) -> None:
    """Every partition's outputs, bit for bit with their ``seq``, are those of the uninterrupted run; so is the final state."""
    expected = calm(made.stream, store)
    for task in range(made.stream.partitions):
        outputs = made.outputs(task)
        for name in OUTPUTS:
            assert outputs[name] == expected.outputs[task][name], f"{name} of partition {task} differ"
        assert learned(made.final_state(task)) == expected.learned[task]
