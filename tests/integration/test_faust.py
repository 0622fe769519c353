"""The example's Faust app on a real Kafka: the worker's bytes, also killed, also with two apps, and moved to the worker."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from stream.build import open_service
from stream.config import load
from stream.feeds.fraud import FraudFeed

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/faust_fraud.yaml"
WAIT_S = 180.0


class Place:
    """A feed's topics, filled, and pipelines over it that write to topics of their own."""

    def __init__(self, kafka: str, directory: Path, partitions: int = 1, days: int = 20, customers: int = 220) -> None:
        self.kafka = kafka
        self.directory = directory
        self.partitions = partitions
        self.stream = f"faust-{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
        self._create(f"{self.stream}-transactions", f"{self.stream}-labels")
        feed = FraudFeed(days, 3, customers=customers)
        settings = {"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 20}
        producer = Producer(settings | {"enable.idempotence": True})  # or a new partition reorders its first records
        self.events = 0
        for kind, record in feed.records():
            topic = f"{self.stream}-{'transactions' if kind == 'event' else 'labels'}"
            producer.produce(topic, orjson.dumps(record), str(record["customer"]).encode())
            self.events += kind == "event"
            producer.poll(0)
        assert producer.flush(60) == 0

    def _create(self, *topics: str) -> None:
        made = self.admin.create_topics(
            [NewTopic(t, self.partitions, 1, config={"retention.ms": "-1"}) for t in topics]
        )
        for future in made.values():
            future.result(30)

    def pipeline(self, name: str) -> dict[str, str]:
        """The environment in which the example is the pipeline ``name`` over this feed."""
        name = f"{self.stream}-{name}"
        self._create(*(f"{name}-{what}" for what in ("predictions", "alarms", "rejects", "journal")))
        return os.environ | {
            "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "HEADRACE_CHECKPOINT_KEY": "ab" * 32,
            "HEADRACE_NAME": name, "HEADRACE_GROUP": name, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": self.kafka, "HEADRACE_SERVE": "false",
            "HEADRACE_EVENTS__TOPIC": f"{self.stream}-transactions", "HEADRACE_LABELS__TOPIC": f"{self.stream}-labels",
            "HEADRACE_CHECKPOINTS__STORE": str(self.directory / f"{name}-checkpoints"),
            "HEADRACE_CHECKPOINTS__EVERY": "3000 events", "HEADRACE_BATCH__RECORDS": "500",
        }  # fmt: skip

    def output(self, pipeline: dict[str, str], what: str = "predictions") -> list[list[tuple[bytes, bytes, int]]]:
        """Of each partition key, value and ``seq`` of every record, in order."""
        topic = f"{pipeline['HEADRACE_NAME']}-{what}"
        consumer = Consumer({
            "bootstrap.servers": self.kafka, "group.id": f"read-{uuid.uuid4().hex}", "enable.partition.eof": True,
            "isolation.level": "read_committed", "enable.auto.commit": False,
        })  # fmt: skip
        found: list[list[tuple[bytes, bytes, int]]] = [[] for _ in range(self.partitions)]
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(self.partitions)])
        ended: set[int] = set()
        try:
            while len(ended) < self.partitions:
                for message in consumer.consume(10_000, 0.2):
                    if message.error() is not None:
                        ended.add(message.partition())
                    else:
                        seq = int(dict(message.headers())["seq"])
                        found[message.partition()].append((message.key(), message.value(), seq))
        finally:
            consumer.close()
        return found

    def written(self, pipeline: dict[str, str]) -> int:
        """About how many predictions there are, repeated ones too."""
        ends = {
            TopicPartition(f"{pipeline['HEADRACE_NAME']}-predictions", partition): OffsetSpec.latest()
            for partition in range(self.partitions)
        }
        return sum(future.result(10).offset for future in self.admin.list_offsets(ends).values())

    def answered(self, pipeline: dict[str, str]) -> bool:
        """Whether every event has a prediction."""
        if self.written(pipeline) < self.events:
            return False
        return sum(len({seq for _, _, seq in records}) for records in self.output(pipeline)) == self.events

    def by_worker(self, pipeline: dict[str, str]) -> None:
        """The pipeline by Headrace's own worker, until every event is answered."""
        config = load(EXAMPLE, pipeline)
        with open_service(config) as service:
            thread = threading.Thread(target=service.worker.run)
            thread.start()
            try:
                self.wait(lambda: self.answered(pipeline), thread.is_alive)
            finally:
                service.worker.stop()
                thread.join(60)

    @contextmanager
    def by_faust(self, pipeline: dict[str, str], until) -> "Iterator[subprocess.Popen[bytes]]":
        """The example app as a user starts it; the body runs when it is ready and ``until()`` holds."""
        log = self.directory / f"faust-{uuid.uuid4().hex[:6]}.log"
        command = [sys.executable, "-m", "faust", "-A", "examples.faust_app", "worker", "--without-web", "-l", "info"]
        with log.open("ab") as out:
            app = subprocess.Popen(command, cwd=self.directory, env=pipeline, stdout=out, stderr=out)
        try:
            self.wait(lambda: b"[^Worker]: Ready" in log.read_bytes(), lambda: app.poll() is None, log)
            self.wait(until, lambda: app.poll() is None, log)
            yield app
        except BaseException:
            print(log.read_text(errors="replace")[-6000:])
            raise
        finally:
            app.kill()
            app.wait()

    def wait(self, done, alive, log: Path | None = None) -> None:
        deadline = time.monotonic() + WAIT_S
        while not done():
            said = log.read_text(errors="replace")[-6000:] if log is not None else ""
            assert alive(), f"it ended by itself\n{said}"
            assert time.monotonic() < deadline, f"too slow\n{said}"
            time.sleep(0.02)


def stop(app: "subprocess.Popen[bytes]") -> int:
    app.send_signal(signal.SIGTERM)
    return app.wait(60)


def once(records: list[tuple[bytes, bytes, int]]) -> list[tuple[bytes, bytes]]:
    """Key and value in the order of ``seq``; a repeated record must be the same bytes."""
    first: dict[int, tuple[bytes, bytes]] = {}
    for key, value, seq in records:
        assert first.setdefault(seq, (key, value)) == (key, value), f"seq {seq} was repeated with other bytes"
    assert sorted(first) == list(range(len(first)))
    return [first[seq] for seq in sorted(first)]


def test_same_bytes_as_the_worker(kafka, tmp_path):
    """The same topics, late labels of their own: predictions and alarms of the Faust app are the worker's, each once."""
    place = Place(kafka, tmp_path)
    worker, faust = place.pipeline("worker"), place.pipeline("faust")
    place.by_worker(worker)
    with place.by_faust(faust, lambda: place.answered(faust)) as app:
        assert stop(app) == 0
    assert place.events > 5000
    for what in ("predictions", "alarms", "rejects"):
        assert place.output(faust, what) == place.output(worker, what), what


def test_killed_in_the_middle(kafka, tmp_path):
    """Kill -9, thrice, and started again: every event has a prediction, what repeats is identical, all is the worker's."""
    place = Place(kafka, tmp_path, customers=900)
    worker, faust = place.pipeline("worker"), place.pipeline("faust")
    place.by_worker(worker)
    for share in (0.2, 0.4, 0.6):
        least = max(share * place.events, place.written(faust))
        with place.by_faust(faust, lambda least=least: place.written(faust) > least) as app:
            app.kill()
        assert not place.answered(faust), "killed too late to say anything"
    with place.by_faust(faust, lambda: place.answered(faust)) as app:
        assert stop(app) == 0
    assert once(place.output(faust)[0]) == once(place.output(worker)[0])
    assert once(place.output(faust, "alarms")[0]) == once(place.output(worker, "alarms")[0])


def test_rebalance(kafka, tmp_path):
    """A second app joins in the middle and leaves by kill -9: every prediction is the worker's, of each partition."""
    place = Place(kafka, tmp_path, partitions=3, customers=900)
    worker, faust = place.pipeline("worker"), place.pipeline("faust")
    place.by_worker(worker)
    with place.by_faust(faust, lambda: place.written(faust) > 0.1 * place.events) as first:
        least = place.written(faust) + 0.2 * place.events
        with place.by_faust(faust, lambda: place.written(faust) > least) as second:
            second.kill()
        place.wait(lambda: place.answered(faust), lambda: first.poll() is None)
        assert stop(first) == 0
    for theirs, ours in zip(place.output(faust), place.output(worker), strict=True):
        assert once(theirs) == once(ours)


def test_moves_to_the_worker(kafka, tmp_path):
    """A pipeline goes on under `headrace run` where the Faust app left it: one journal, one seq."""
    place = Place(kafka, tmp_path, customers=900)
    worker, faust = place.pipeline("worker"), place.pipeline("faust")
    place.by_worker(worker)
    with place.by_faust(faust, lambda: place.written(faust) > 0.3 * place.events) as app:
        assert stop(app) == 0
    assert not place.answered(faust), "nothing was left for the worker"
    place.by_worker(faust)
    assert once(place.output(faust)[0]) == once(place.output(worker)[0])
