"""What is already in Kafka, read once from exact places: journal, newest outputs, records of spans.

Each question has consumers of its own that live as long as the answer takes. The end to read to is asked of a
``read_uncommitted`` client once the task is fenced (then nothing is open any more), and reading is done at the sign of
the partition's end at or past it: the last record never stands at the end, a transaction's marker follows it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream.errors import LogUnavailable, RecordsGone
from stream.records import Input, OutputName, Records, Span
from stream.transport.base import JournalItem
from stream.transport.kafka_client import END, REQUEST_S, START_OVER, TIMED_OUT, Deadline, Settings, Watcher
from stream.transport.kafka_source import Source, out_of_range, reader_settings, watermarks
from stream.transport.spans import check_span

_BACK = (64, 1024, 16_384, 262_144, 1 << 62)  # how far behind the end the newest record is looked for
_STAGED = 20_000  # records of a partition that are read ahead while another one's are awaited
_SLICE = 5_000


class Reader:
    """Reads of one task's partitions.

    Parameters
    ----------
    settings, group
        As in KafkaLog.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group

    def bounds(self, topic: str, partition: int, *, committed: bool) -> tuple[int, int]:
        """First offset and end; with ``committed`` the end stops before the first open transaction."""
        watcher = Watcher()
        consumer = self._settings.make(Consumer, watcher, reader_settings(self._group, committed=committed))
        try:
            return watermarks(self._settings, consumer, watcher, topic, partition)
        finally:
            consumer.close()

    def entries(self, topic: str, partition: int, start: int, *, fenced: bool) -> Iterator[JournalItem]:
        """Committed records from ``start`` (-1: the first) to the end as of this call."""
        low, end = self.bounds(topic, partition, committed=not fenced)
        first = low if start == -1 else start
        if not low <= first <= end:
            raise out_of_range(topic, partition, first, low, end)
        return self._items(topic, partition, first, end)

    def _items(self, topic: str, partition: int, start: int, end: int) -> Iterator[JournalItem]:
        for message in self._until(topic, partition, start, end):
            yield JournalItem(message.offset() or 0, message.value() or b"")

    def newest(
        self, topic: str, partition: int, *, fenced: bool, accept: Callable[[Message], bool] = lambda _: True
    ) -> Message | None:
        """The last committed record that is accepted, None when there is none."""
        low, end = self.bounds(topic, partition, committed=not fenced)
        stop = end
        for back in _BACK:
            start = max(low, end - back)
            found = None
            for message in self._until(topic, partition, start, stop):
                if accept(message):
                    found = message
            if found is not None or start == low:
                return found
            stop = start
        return None

    def _until(self, topic: str, partition: int, start: int, end: int) -> Iterator[Message]:
        """Committed records at offsets in ``[start, end)``."""
        if start >= end:
            return
        watcher = Watcher()
        consumer = self._settings.make(Consumer, watcher, reader_settings(self._group))
        try:
            consumer.assign([TopicPartition(topic, partition, start)])
            deadline = Deadline(REQUEST_S)
            while True:
                first = consumer.poll(0.05)
                messages = [] if first is None else [first, *consumer.consume(_SLICE, 0)]
                for message in messages:
                    error, offset = message.error(), message.offset() or 0
                    if error is None:
                        if offset >= end:
                            return
                        yield message
                    elif error.code() != END:
                        raise self._settings.error(error, f"reading {topic}/{partition} from offset {start}", watcher)
                    elif offset >= end:
                        return
                if messages:
                    deadline = Deadline(REQUEST_S)
                elif watcher.refused is not None or deadline.passed:
                    quiet = watcher.refused or KafkaError(TIMED_OUT)
                    raise self._settings.error(quiet, f"reading {topic}/{partition} up to offset {end}", watcher)
        finally:
            consumer.close()


class Rereader:
    """The records of spans again: consecutive calls go on where the last one stopped.

    Parameters
    ----------
    settings, group
        As in KafkaLog.
    inputs
        Of the task.
    """

    def __init__(self, settings: Settings, group: str, inputs: Sequence[Input]) -> None:
        self._settings = settings
        self._group = group
        self._inputs = inputs
        self._sources: dict[str, Source] = {}
        self._staged: dict[int, Records] = {}
        self._cursor: dict[int, int] = {}
        self._place = {(one.topic, one.partition): place for place, one in enumerate(inputs)}

    def read(self, spans: Sequence[Span]) -> Sequence[Records]:
        """Raises RecordsGone, LogUnavailable."""
        for span in spans:
            # So that a topic is opened once with all its partitions.
            self._cursor.setdefault(span.input, span.start)
        return [self._read(span) for span in spans]

    def _move(self, span: Span) -> None:
        """A new consumer for the span's topic: this input from the span's start, the others from where they are."""
        topic = self._inputs[span.input].topic
        self._cursor[span.input] = span.start
        if topic in self._sources:
            self._sources.pop(topic).close()
        starts = {}
        for place, one in enumerate(self._inputs):
            if one.topic == topic and place in self._cursor:
                starts[one.partition] = self._cursor[place]
                self._staged[place] = Records()
        self._sources[topic] = Source(self._settings, self._group, topic, starts)

    def _jumps(self, span: Span) -> bool:
        one = self._inputs[span.input]
        source = self._sources.get(one.topic)
        if source is None or one.partition not in source.next or self._cursor[span.input] != span.start:
            return True
        # An end that was reached in an earlier recovery may have moved since: it is to be heard anew.
        return source.at_end[one.partition] and len(self._staged[span.input]) < span.count

    def _read(self, span: Span) -> Records:
        """Count decides how far: what stands at the end of a span may be a marker, never a record."""
        if not span.count:
            return Records()
        one = self._inputs[span.input]
        if self._jumps(span):
            self._move(span)
        source, staged = self._sources[one.topic], self._staged[span.input]
        deadline = Deadline(REQUEST_S)
        while len(staged) < span.count and not (staged.offsets and staged.offsets[-1] >= span.stop):
            if source.at_end[one.partition]:
                break
            if self._fill(source, one.partition):
                deadline = Deadline(REQUEST_S)
            elif deadline.passed:
                raise LogUnavailable(
                    f"{one.topic}/{one.partition}: nothing came after offset {source.next[one.partition]}"
                )
        wanted = staged.slice(0, span.count)
        if wanted.offsets and (wanted.offsets[0] < span.start or wanted.offsets[-1] >= span.stop):
            inside = sum(span.start <= offset < span.stop for offset in wanted.offsets)
            raise RecordsGone(
                f"{one.topic}/{one.partition}: offsets {span.start} to {span.stop} held {span.count} records when they "
                f"were applied, now {inside}",
                f"bring the records back, or {START_OVER}",
            )
        self._staged[span.input] = staged.slice(span.count, len(staged))
        self._cursor[span.input] = span.stop
        return check_span(span, wanted, f"{one.topic}/{one.partition}")

    def _fill(self, source: Source, wanted: int) -> bool:
        """Take what is there, for whichever input of the topic; hold back those that are far ahead of the ``wanted`` one."""
        taken = source.take(_SLICE, 0.05)
        for partition, records in taken.items():
            self._staged[self._place[source.topic, partition]].extend(records)
        if len(source.partitions) > 1:
            ahead = {p for p in source.partitions if len(self._staged[self._place[source.topic, p]]) > _STAGED}
            source.pause(ahead - {wanted})
        return bool(taken)

    def close(self) -> None:
        for source in self._sources.values():
            source.close()
        self._sources.clear()
        self._staged.clear()
        self._cursor.clear()


def seq_of(message: Message) -> int | None:
    """The header ``seq`` of an output."""
    headers = message.headers()
    value = dict(headers).get("seq") if headers else None
    return None if value is None else int(value)


def newest_seq(
    reader: Reader, topics: Mapping[OutputName, str], partition: int, *, fenced: bool
) -> dict[OutputName, int]:
    """Of each output (name to topic), the largest committed ``seq`` in the partition; -1 when there was never one.

    An output whose records were all deleted by retention is left out: they were there, nobody knows how many.
    """
    found: dict[OutputName, int] = {}
    for name, topic in topics.items():
        message = reader.newest(topic, partition, fenced=fenced, accept=lambda one: seq_of(one) is not None)
        if message is not None:
            found[name] = seq_of(message) or 0
        elif reader.bounds(topic, partition, committed=not fenced)[0] == 0:
            found[name] = -1
    return found
