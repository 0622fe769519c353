"""Keyed records of files and feeds into topics, by kafka-python. Every send's answer is checked; no transaction rests on it.

Read admin.py for topics, and kafka_writer.py for what a task writes.
"""

import functools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self

from kafka import KafkaProducer
from kafka.partitioner.default import murmur2

from stream.errors import LogMisfit
from stream.transport.kafka_client import Settings, describe
from stream.transport.kafka_python import connected, said, translate

_IN_FLIGHT = 10_000


@functools.lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    """As Java's and librdkafka's murmur2 partitioners take it. Pure Python: 10 µs a key, so kept."""
    return int(murmur2(key)) & 0x7FFFFFFF


class Feeder:
    """Sends keyed records to topics: acknowledged by all replicas, in order per key, each answer checked.

    Parameters
    ----------
    settings
        By librdkafka's names.
    progress
        Called now and then with how many records are acknowledged.
    """

    def __init__(self, settings: Mapping[str, object], *, progress: Callable[[int], None] | None = None) -> None:
        self._ours = translate(settings) | {"client_id": "headrace-feeder"}
        self._settings = Settings(settings, "headrace-feeder")
        self._progress = progress
        self._waiting: deque[tuple[str, Any]] = deque()
        self._partitions: dict[str, int] = {}
        self.acknowledged = 0
        with connected(settings, self._ours) as make:
            self._producer = KafkaProducer(
                **self._ours,
                kafka_client=make,
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                batch_size=131_072,
                max_block_ms=10_000,
                allow_auto_create_topics=False,
            )

    def send(self, topic: str, key: bytes | None, value: bytes | None, *, timestamp_ms: int | None = None) -> None:
        """Queue one record; waits while too many are unanswered. Raises LogError when an earlier one was not taken."""
        count = self._partitions.get(topic) or self._count(topic)
        with said(self._ours, f"sending to {topic}"):
            partition = None if key is None else _hash(key) % count
            future = self._producer.send(topic, value, key, partition=partition, timestamp_ms=timestamp_ms)
        self._waiting.append((topic, future))
        if len(self._waiting) >= _IN_FLIGHT:
            self._settle(_IN_FLIGHT // 2)

    def _count(self, topic: str) -> int:
        found = describe(self._settings, [topic])
        if topic not in found:
            raise LogMisfit(f"there is no topic {topic}", "create it first: `headrace topics create CONFIG`")
        self._partitions[topic] = found[topic].partitions
        return self._partitions[topic]

    def _settle(self, down_to: int) -> None:
        """Wait for answers until only so many are open; every one is looked at."""
        while len(self._waiting) > down_to:
            topic, future = self._waiting.popleft()
            with said(self._ours, f"sending to {topic}, after {self.acknowledged} acknowledged records"):
                future.get(timeout=60)
            self.acknowledged += 1
            if self._progress is not None and self.acknowledged % 1000 == 0:
                self._progress(self.acknowledged)

    def flush(self) -> int:
        """Wait until everything is acknowledged; how many records that were. Raises LogError."""
        with said(self._ours, "sending"):
            self._producer.flush(timeout=60)
        self._settle(0)
        if self._progress is not None:
            self._progress(self.acknowledged)
        return self.acknowledged

    def close(self) -> None:
        """Flush and disconnect. Raises LogError when a record was not taken."""
        try:
            self.flush()
        finally:
            self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._producer.close(timeout=5)
