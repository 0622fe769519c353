"""One topic, read once from its beginning to its end as of now, with headers: for people who look into it.

Not how a task reads (kafka_source.py): no columns, no seeking, no reading on. In no group, committing nothing.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.transport.kafka_client import END, REQUEST_S, TIMED_OUT, Deadline, Settings, Watcher
from stream.transport.kafka_source import Aside, watermarks

_POLL_S = 0.05
_AT_ONCE = 500


class TopicRecord(NamedTuple):
    """A committed record with its place."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    """Of a name that stands twice, the last."""


def read_topic(given: Mapping[str, object], group: str, topic: str) -> Iterator[TopicRecord]:
    """All committed records, partition by partition in the order of their offsets, partitions interleaved.

    Takes what ``Aside.open`` takes and raises what it raises; LogUnavailable also when nothing comes for half a minute
    before the end.
    """
    settings, watcher, consumer, partitions = Aside.open(given, group, topic)
    try:
        marks = {
            partition: watermarks(settings, consumer, watcher, topic, partition) for partition in range(partitions)
        }
        left = {partition: high for partition, (low, high) in marks.items() if high > low}
        consumer.assign([TopicPartition(topic, partition, marks[partition][0]) for partition in left])
        yield from _until(settings, consumer, watcher, topic, left)
    except KafkaException as failure:
        raise settings.error(failure.args[0], f"reading {topic}", watcher) from failure
    finally:
        consumer.close()


def _until(
    settings: Settings, consumer: Consumer, watcher: Watcher, topic: str, left: dict[int, int]
) -> Iterator[TopicRecord]:
    """Records up to the ends in ``left``; a partition is done at its end, for the last offsets hold no record."""
    deadline = Deadline(REQUEST_S)
    while left:
        messages = consumer.consume(_AT_ONCE, _POLL_S)
        if messages:
            deadline = Deadline(REQUEST_S)
        elif deadline.passed or watcher.refused is not None:
            raise settings.error(KafkaError(TIMED_OUT), f"reading {topic}", watcher)
        for message in messages:
            partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
            if error is not None and error.code() != END:
                raise settings.error(error, f"reading {topic}/{partition}", watcher)
            if error is None and offset < left.get(partition, 0):
                yield _record(message, partition, offset)
            if error is not None or offset + 1 >= left.get(partition, 0):
                left.pop(partition, None)


def _record(message: Message, partition: int, offset: int) -> TopicRecord:
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    return TopicRecord(
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
        {name: value or b"" for name, value in headers},
    )
