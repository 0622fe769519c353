"""kafka-python: as the control plane and the producers' tools use it (stream/transport/kafka_python.py)."""

import time
from collections.abc import Callable
from typing import Any

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from tests.clients.drivers import JOIN_S, POLL_MS, SESSION_MS, VERB_S, Tuning


class KafkaPython:
    name = "kafka-python"
    sends_expire = True

    def version(self) -> str:
        return str(kafka.__version__)

    def producer(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> "_Producer":
        return _Producer(bootstrap, transactional_id, tuning)

    def member(self, bootstrap: str, group: str, topic: str) -> "_Member":
        return _Member(bootstrap, group, topic)

    def read(self, bootstrap: str, topic: str, start: int, count: int, *, when_out_of_range: str) -> list[str]:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            auto_offset_reset="none" if when_out_of_range == "stop" else when_out_of_range,
        )  # fmt: skip
        place = TopicPartition(topic, 0)
        try:
            consumer.assign([place])
            consumer.seek(place, start)
            end = consumer.end_offsets([place])[place]
            found: list[str] = []
            deadline = time.monotonic() + VERB_S
            while len(found) < count and consumer.position(place) < end and time.monotonic() < deadline:
                found += [record.value.decode() for record in consumer.poll(timeout_ms=500).get(place, [])]
            return found[:count]
        finally:
            consumer.close()

    def told(self, error: BaseException) -> str:
        retriable = isinstance(error, KafkaError) and error.retriable
        return f"{type(error).__name__} (retriable)" if retriable else type(error).__name__


class _Producer:
    def __init__(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, transactional_id=transactional_id, acks="all", linger_ms=0,
            transaction_timeout_ms=tuning.transaction_timeout_ms, request_timeout_ms=tuning.request_timeout_ms,
            delivery_timeout_ms=max(tuning.send_timeout_ms, tuning.request_timeout_ms),
            reconnect_backoff_max_ms=1000,
        )  # fmt: skip

    def init(self) -> None:
        self._producer.init_transactions()

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, topic: str, value: str) -> Callable[[], None]:
        future = self._producer.send(topic, value.encode(), partition=0)
        return lambda: future.get(timeout=VERB_S)

    def offsets(self, topic: str, offset: int, member: object) -> None:
        self._producer.send_offsets_to_transaction(
            {TopicPartition(topic, 0): OffsetAndMetadata(offset, "", -1)}, member
        )

    def commit(self) -> None:
        self._producer.commit_transaction()

    def abort(self) -> None:
        self._producer.abort_transaction()

    def close(self) -> None:
        self._producer.close(timeout=0)


class _Member:
    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._consumer = KafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
            session_timeout_ms=SESSION_MS, heartbeat_interval_ms=SESSION_MS // 4,
        )  # fmt: skip
        deadline = time.monotonic() + JOIN_S
        while not self._consumer.assignment():
            self._consumer.poll(timeout_ms=POLL_MS)
            assert time.monotonic() < deadline, f"{group}: no partition was given"

    def proof(self) -> Any:
        return self._consumer.group_metadata()

    def close(self) -> None:
        self._consumer.close()
