"""librdkafka, by confluent-kafka: as the worker uses it (stream/transport/kafka_writer.py)."""

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, libversion

from tests.clients.drivers import JOIN_S, POLL_MS, SESSION_MS, VERB_S, Tuning

QUIET = {"log_level": 0}
UNHEARD = logging.getLogger("tests.clients.librdkafka")
"""A fenced producer says so on standard error, whatever the level; here it is an answer like any other."""
UNHEARD.addHandler(logging.NullHandler())
UNHEARD.propagate = False


class Librdkafka:
    name = "librdkafka"
    sends_expire = True

    def version(self) -> str:
        return libversion()[0]

    def producer(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> "_Producer":
        return _Producer(bootstrap, transactional_id, tuning)

    def member(self, bootstrap: str, group: str, topic: str) -> "_Member":
        return _Member(bootstrap, group, topic)

    def read(self, bootstrap: str, topic: str, start: int, count: int, *, when_out_of_range: str) -> list[str]:
        reset = "error" if when_out_of_range == "stop" else when_out_of_range
        consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": reset,
             "enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": "read_committed", **QUIET}
        )  # fmt: skip
        try:
            consumer.assign([TopicPartition(topic, 0, start)])
            found: list[str] = []
            deadline = time.monotonic() + VERB_S
            while len(found) < count and time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    found.append(message.value().decode())
                elif error.code() == KafkaError._PARTITION_EOF:
                    break
                else:
                    raise KafkaException(error)
            return found
        finally:
            consumer.close()

    def told(self, error: BaseException) -> str:
        if not isinstance(error, KafkaException):
            return type(error).__name__
        known: KafkaError = error.args[0]
        flags = [
            ("fatal", known.fatal()),
            ("abort required", known.txn_requires_abort()),
            ("retriable", known.retriable()),
        ]
        said = ", ".join(name for name, is_set in flags if is_set)
        return f"{known.name()} ({said})" if said else known.name()


class _Producer:
    def __init__(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> None:
        self._wait_s = tuning.request_timeout_ms / 1000
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "acks": "all", "linger.ms": 0,
             "transaction.timeout.ms": tuning.transaction_timeout_ms,
             "socket.timeout.ms": min(tuning.request_timeout_ms, tuning.transaction_timeout_ms),
             "message.timeout.ms": min(tuning.send_timeout_ms, tuning.transaction_timeout_ms),
             "reconnect.backoff.max.ms": 1000, **QUIET},
            logger=UNHEARD,
        )  # fmt: skip

    def init(self) -> None:
        self._producer.init_transactions(VERB_S)

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, topic: str, value: str) -> Callable[[], None]:
        reports: list[KafkaError | None] = []
        self._producer.produce(topic, value, partition=0, on_delivery=lambda error, _: reports.append(error))

        def wait() -> None:
            while not reports:
                self._producer.poll(0.1)
            if reports[0] is not None:
                raise KafkaException(reports[0])

        return wait

    def offsets(self, topic: str, offset: int, member: object) -> None:
        self._producer.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], member, self._wait_s)

    def commit(self) -> None:
        self._producer.commit_transaction(self._wait_s)

    def abort(self) -> None:
        self._producer.abort_transaction(self._wait_s)

    def close(self) -> None:
        self._producer.purge()  # and it ends with its last reference, as the worker's does


class _Member:
    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
             "session.timeout.ms": SESSION_MS, **QUIET}
        )  # fmt: skip
        self._consumer.subscribe([topic])
        deadline = time.monotonic() + JOIN_S
        while not self._consumer.assignment():
            self._consumer.poll(POLL_MS / 1000)
            assert time.monotonic() < deadline, f"{group}: no partition was given"

    def proof(self) -> Any:
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        self._consumer.close()
