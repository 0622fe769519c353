"""Fresh topics on a real broker, logs over them, and what an independent reader (kafka-python) sees there."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, TopicPartition

from stream.records import OutputName
from stream.transport.base import Log
from stream.transport.kafka import KafkaLog, KafkaTopics

WAIT_S = 30.0


class KafkaPlace:
    """Topics of one pipeline, all with ``partitions`` partitions.

    Parameters
    ----------
    bootstrap
        A running broker.
    partitions
        Of every topic but the labels.
    label_partitions
        As ``partitions`` when None; 0 makes no labels topic.
    """

    def __init__(self, bootstrap: str, partitions: int = 1, label_partitions: int | None = None) -> None:
        self.bootstrap = bootstrap
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.partitions = partitions
        labels = None if label_partitions == 0 else f"{self.name}-labels"
        self.topics = KafkaTopics(
            f"{self.name}-events",
            labels,
            f"{self.name}-predictions",
            f"{self.name}-alarms",
            f"{self.name}-rejects",
            f"{self.name}-journal",
        )
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        counts = dict.fromkeys(self.topics.all(), partitions)
        if labels is not None and label_partitions is not None:
            counts[labels] = label_partitions
        for topic, count in counts.items():
            self.create(topic, count)
        self.logs: list[KafkaLog] = []
        deadline = time.monotonic() + WAIT_S
        while not set(counts) <= set(self.admin.list_topics(timeout=WAIT_S).topics):
            assert time.monotonic() < deadline, "the topics never came"

    def create(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(WAIT_S)

    def append(
        self, topic: str | None, values: Sequence[bytes | None], partition: int = 0, *, key: bytes | None = None
    ) -> None:
        """Acknowledged records."""
        assert topic is not None
        producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "enable.idempotence": True})
        for value in values:
            producer.produce(topic, value, key, partition)
        assert producer.flush(WAIT_S) == 0

    def log(self, *, kind: type[KafkaLog] = KafkaLog, **options: Any) -> KafkaLog:
        """One worker's log; closed at the end of the test."""
        settings = {"bootstrap.servers": self.bootstrap} | options.pop("settings", {})
        log = kind(settings, pipeline=self.name, topics=self.topics, **options)
        self.logs.append(log)
        return log

    def committed(self, topic: str, partition: int = 0) -> list[Any]:
        """Records of a partition as a reader with ``read_committed`` sees them."""
        place = TopicPartition(topic, partition)
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", enable_auto_commit=False, group_id=None
        )
        try:
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end = consumer.end_offsets([place])[place]
            records: list[Any] = []
            while consumer.position(place) < end:
                records += consumer.poll(timeout_ms=500).get(place, [])
            return records
        finally:
            consumer.close()

    def outputs(self, name: OutputName, partition: int = 0) -> list[tuple[int, bytes]]:
        """``seq`` and value."""
        records = self.committed(self.topics.output(name), partition)
        return [(int(dict(record.headers)["seq"]), record.value) for record in records]

    def close(self) -> None:
        for log in self.logs:
            log.close()


def own(log: Log, *tasks: int) -> None:
    """Wait until the group gave exactly these to a worker that had none."""
    have: set[int] = set()
    for _ in range(int(WAIT_S / 0.1)):
        change = log.assignment(0.1)
        have = (have - set(change.lost)) | set(change.gained)
        if have >= set(tasks):
            return
    raise AssertionError(f"the group gave {have}, not {tasks}")
