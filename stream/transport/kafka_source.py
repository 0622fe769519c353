"""One consumer over one topic's partitions, from exact offsets: what comes in, as columns.

It is in no group: partitions are assigned by hand, so a new position is a new ``Source`` and nothing fetched before can
leak into it. It never resets an offset by itself. Read kafka_task.py next.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream.errors import LogError, LogMisfit, RecordsGone
from stream.records import Records
from stream.transport.kafka_client import END, OUT_OF_RANGE, REQUEST_S, START_OVER, Settings, Watcher, describe

_QUEUE_KIB = 32_768  # librdkafka's fetched records per consumer; it may overshoot by one response (fetch.max.bytes)


def reader_settings(group: str, *, committed: bool = True) -> dict[str, object]:
    """Of a consumer that is assigned by hand and commits nothing. It never joins ``group``; ACLs know the name."""
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "check.crcs": True,  # 326-byte records: not measurable beside the fetch (hardware CRC-32C)
        "fetch.wait.max.ms": 20,  # until the end behind a marker is known; an idle task costs 1 % of a core
        "fetch.error.backoff.ms": 50,
        "fetch.queue.backoff.ms": 5,  # the default leaves a full queue unfed for a second
        "fetch.max.bytes": 16 << 20,
        "queued.max.messages.kbytes": _QUEUE_KIB,
    }


class Aside(NamedTuple):
    """A consumer beside the pipeline's: of one topic, in no group, not assigned yet."""

    settings: Settings
    watcher: Watcher
    consumer: Consumer
    partitions: int

    @classmethod
    def open(cls, given: Mapping[str, object], group: str, topic: str, *, needs: str = "") -> "Aside":
        """The caller closes the consumer.

        Parameters
        ----------
        given : mapping
            librdkafka's settings.
        group : str
            Named to brokers with access lists; never joined.
        needs : str
            What is missing where there is no such topic; by default the topic.

        Raises
        ------
        LogMisfit
            There is no such topic, or Kafka refuses us.
        LogUnavailable, ConfigError
        """
        settings = Settings(given, group)
        facts = describe(settings, [topic]).get(topic)
        if facts is None:
            raise missing(needs or f"topic {topic}")
        watcher = Watcher()
        consumer = settings.make(Consumer, watcher, reader_settings(group))
        return cls(settings, watcher, consumer, facts.partitions)


def missing(what: str) -> LogMisfit:
    return LogMisfit(f"there is no {what}", "headrace topics create CONFIG makes a pipeline's topics")


class Source:
    """Committed records of some partitions of one topic, from given offsets on.

    Parameters
    ----------
    settings, group
        As in KafkaLog.
    topic
        Its name.
    starts
        Partition to the offset of the first record wanted. A position is never taken from a group.

    Attributes
    ----------
    next
        Per partition, up to where it is read: every record before was taken, or is none (a marker, an aborted one).
    at_end
        Per partition, whether it was read to its end when the cluster was last heard.
    high
        Per partition, its high watermark when last heard, else its start: from memory.
    """

    def __init__(self, settings: Settings, group: str, topic: str, starts: Mapping[int, int]) -> None:
        self.topic = topic
        self.partitions = tuple(starts)
        self.next = dict(starts)
        self.at_end = dict.fromkeys(starts, False)
        self.high = dict(starts)
        self._paused: frozenset[int] = frozenset()
        self._failure: LogError | None = None
        self._settings = settings
        self._watcher = Watcher()
        self._places = {partition: TopicPartition(topic, partition) for partition in starts}
        self._consumer = settings.make(Consumer, self._watcher, reader_settings(group))
        self._consumer.assign([TopicPartition(topic, partition, start) for partition, start in starts.items()])

    def take(self, limit: int, timeout_s: float) -> dict[int, Records]:
        """What is there, up to ``limit`` records, waiting up to ``timeout_s`` for the first sign of anything.

        A sign may also be that a partition is read to its end: then the result is empty and ``at_end`` changed.
        Raises RecordsGone, LogMisfit, LogUnavailable; after the last one it may be called again.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        messages: list[Message] = []
        if timeout_s > 0:
            # consume() would wait its whole timeout for a full batch; poll() returns with the first record.
            first = self._consumer.poll(timeout_s)
            if first is None:
                self._check_connection()
                return {}
            messages.append(first)
        messages += self._consumer.consume(max(limit - len(messages), 1), 0)
        if not messages:
            self._check_connection()
            return {}
        self._watcher.down = None
        taken = self._columns(messages)
        if not taken and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return taken

    def _check_connection(self) -> None:
        """Say once that nobody answers; the consumer itself goes on trying."""
        down, self._watcher.down = self._watcher.down, None
        if (error := self._watcher.refused or down) is not None:
            raise self._settings.error(error, f"reading {self.topic}", self._watcher)

    def _columns(self, messages: list[Message]) -> dict[int, Records]:
        good = [message for message in messages if message.error() is None]
        ended = self._signs(messages) if len(good) < len(messages) else set()
        if not good:
            return {}
        if len(self.partitions) == 1:
            taken = {self.partitions[0]: _records(good)}
        else:
            split: dict[int, list[Message]] = {}
            for message in good:
                split.setdefault(message.partition() or 0, []).append(message)
            taken = {partition: _records(own) for partition, own in split.items()}
        for partition, records in taken.items():
            after = records.offsets[-1] + 1
            self.next[partition] = max(self.next[partition], after)  # a sign may have told of more
            self.high[partition] = max(self._high(partition), after)
            # At the mark: known sooner than by the sign, which takes another, empty fetch.
            self.at_end[partition] = partition in ended or after >= self.high[partition]
        return taken

    def _signs(self, messages: list[Message]) -> set[int]:
        """Partitions whose end was reached behind their last record; and errors, raised after the records before them."""
        ended: set[int] = set()
        for message in messages:
            error, partition = message.error(), message.partition() or 0
            if error is None:
                ended.discard(partition)
            elif error.code() == END:
                ended.add(partition)
                self.at_end[partition] = True
                self.next[partition] = max(self.next[partition], message.offset() or 0)
                self.high[partition] = max(self.high[partition], self.next[partition])
            elif error.code() in OUT_OF_RANGE:
                self._failure = self._gone(partition)
            else:
                self._failure = self._settings.error(error, f"reading {self.topic}/{partition}", self._watcher)
        return ended

    def _gone(self, partition: int) -> LogError:
        try:
            low, high = self._consumer.get_watermark_offsets(self._places[partition], timeout=5.0)
        except KafkaException:
            return RecordsGone(f"{self.topic}/{partition}: no record at offset {self.next[partition]}", START_OVER)
        return out_of_range(self.topic, partition, self.next[partition], low, high)

    def _high(self, partition: int) -> int:
        """The high watermark of the last fetch; librdkafka's memory, no request."""
        marks = self._consumer.get_watermark_offsets(self._places[partition], cached=True)
        return self.high[partition] if marks is None else marks[1]

    def pause(self, partitions: AbstractSet[int]) -> None:
        """Bring nothing from exactly these partitions until the next call."""
        wanted = frozenset(partitions)
        if wanted == self._paused:
            return
        self._consumer.resume([self._places[partition] for partition in self._paused - wanted])
        self._consumer.pause([self._places[partition] for partition in wanted - self._paused])
        self._paused = wanted

    def close(self) -> None:
        self._consumer.close()


def _records(messages: Sequence[Message]) -> Records:
    """Columns, by four passes: cheaper than one object a record."""
    return Records(
        [message.offset() for message in messages],  # type: ignore[misc]
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        [message.value() for message in messages],
    )


def out_of_range(topic: str, partition: int, position: int, low: int, high: int) -> RecordsGone:
    return RecordsGone(
        f"{topic}/{partition}: needs the record at offset {position}, but the topic holds {low} to {high}", START_OVER
    )


def watermarks(settings: Settings, consumer: Consumer, watcher: Watcher, topic: str, partition: int) -> tuple[int, int]:
    """First offset and end of a partition, asked of the cluster. Raises LogMisfit, LogUnavailable."""
    try:
        marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_S)
    except KafkaException as failure:
        consumer.poll(0)  # so that the watcher hears
        raise settings.error(failure.args[0], f"asking for the offsets of {topic}/{partition}", watcher) from failure
    assert marks is not None
    return marks
