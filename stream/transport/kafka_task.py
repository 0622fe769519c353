"""One task's side of Kafka. It only divides the work: kafka_source.py polls, kafka_reader.py reads again, kafka_writer.py writes.

``poll``, ``hold``, ``seek`` and ``lag`` belong to the main thread, ``commit`` and ``emit`` to the task's: they share no client
but the membership, which librdkafka guards itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from confluent_kafka import Message, TopicPartition

from stream.errors import Fenced, LogError, RecordsGone
from stream.records import OUTPUTS, Input, OutputName, Outputs, Positions, Records, Span
from stream.transport.base import Fetched, JournalItem
from stream.transport.kafka_client import START_OVER, Deadline
from stream.transport.kafka_reader import Reader, Rereader, newest_seq
from stream.transport.kafka_source import Source, out_of_range
from stream.transport.kafka_writer import Writer

if TYPE_CHECKING:
    from stream.transport.kafka import KafkaLog

_TURN_S = 0.002  # how long one topic is waited for before the other one is looked at


class KafkaTaskLog:
    """See base.py for what each method promises. Made by ``KafkaLog.open``."""

    def __init__(self, log: "KafkaLog", task: int, inputs: tuple[Input, ...], writer: Writer) -> None:
        self.inputs = inputs
        self.repeats = log.delivery == "at_least_once"
        self._log = log
        self._task = task
        self._writer = writer
        self._reader = Reader(log.settings, log.group)
        self._rereader = Rereader(log.settings, log.group, inputs)
        self._fenced = False
        self._sources: list[Source] = []
        self._of_source: list[tuple[int, ...]] = []  # of each source, the places of its inputs
        self._held: frozenset[int] = frozenset()
        self._failure: LogError | None = None

    # Journal and outputs

    def last(self) -> JournalItem | None:
        journal = self._log.topics.journal
        message: Message | None = self._reader.newest(journal, self._task, fenced=self._fenced)
        if message is not None:
            return JournalItem(message.offset() or 0, message.value() or b"")
        low, _ = self._reader.bounds(journal, self._task, committed=not self._fenced)
        if low > 0:  # not new: what was done so far would be done again
            raise RecordsGone(
                f"cannot rebuild: the journal {journal}/{self._task} is empty, its records before offset {low} were deleted",
                START_OVER,
            )
        return None

    def entries(self, start: int) -> Iterator[JournalItem]:
        return self._reader.entries(self._log.topics.journal, self._task, start, fenced=self._fenced)

    def last_seq(self) -> Mapping[OutputName, int]:
        topics: dict[OutputName, str] = {name: self._log.topics.output(name) for name in OUTPUTS}
        return newest_seq(self._reader, topics, self._task, fenced=self._fenced)

    def fence(self) -> None:
        """Raises Fenced when no longer assigned, LogMisfit when a topic was recreated."""
        self._check_assigned()
        self._log.check_topics()
        self._writer.fence()
        self._fenced = True

    def commit(self, entry: bytes, outputs: Outputs, positions: Positions) -> int:
        self._check_assigned()
        offsets = self._offsets(positions)
        place = self._writer.commit(entry, outputs, offsets, self._log.group_metadata)
        if self._log.delivery == "at_least_once":
            self._log.tell_offsets(offsets)
        return place

    def emit(self, outputs: Outputs) -> None:
        self._check_assigned()
        self._writer.emit(outputs)

    def _check_assigned(self) -> None:
        if not self._log.owns(self._task):
            raise Fenced(f"task {self._task} is not assigned to this worker")

    def _offsets(self, positions: Positions) -> list[TopicPartition]:
        """Broadcast labels have no place in the group: every task reads all of them, each at its own position."""
        shared = self._log.partitioning == "broadcast"
        return [
            TopicPartition(one.topic, one.partition, position)
            for one, position in zip(self.inputs, positions, strict=True)
            if not (shared and one.kind == "labels")
        ]

    # Inputs

    def start(self) -> Positions:
        return tuple(self._reader.bounds(one.topic, one.partition, committed=True)[0] for one in self.inputs)

    def read(self, spans: Sequence[Span]) -> Sequence[Records]:
        return self._rereader.read(spans)

    def seek(self, positions: Positions) -> None:
        for one, position in zip(self.inputs, positions, strict=True):
            low, high = self._reader.bounds(one.topic, one.partition, committed=False)
            if not low <= position <= high:
                self._log.check_topics()
                raise out_of_range(one.topic, one.partition, position, low, high)
        self._close_sources()
        self._rereader.close()
        self._failure = None
        for topic in dict.fromkeys(one.topic for one in self.inputs):
            places = tuple(place for place, one in enumerate(self.inputs) if one.topic == topic)
            starts = {self.inputs[place].partition: positions[place] for place in places}
            self._sources.append(Source(self._log.settings, self._log.group, topic, starts))
            self._of_source.append(places)
        self.hold(self._held)

    def hold(self, inputs: AbstractSet[int]) -> None:
        """``poll`` brings nothing of exactly these inputs until the next call: the caller has enough of them.

        A topic all of whose inputs are held is not looked at, and its queue stays bounded; single partitions of a
        broadcast topic are paused (which throws away what was fetched of them).
        """
        self._held = frozenset(inputs)
        for source, places in zip(self._sources, self._of_source, strict=True):
            held = self._held.intersection(places)
            if len(held) < len(places) and len(places) > 1:
                source.pause({self.inputs[place].partition for place in held})

    def poll(self, limit: int, timeout_s: float) -> Fetched:
        """Up to ``limit`` records of each topic; returns as well when an input is found to be at its end."""
        self._rereader.close()  # who polls has read again what he wanted, also where no seek followed
        records: dict[int, Records] = {}
        asked = [
            pair for pair in zip(self._sources, self._of_source, strict=True) if not self._held.issuperset(pair[1])
        ]
        deadline = Deadline(timeout_s)
        before = self._ends()
        wait_s = 0.0  # the first round only looks
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        while asked and self._failure is None:
            for source, places in asked:
                try:
                    taken = source.take(limit, wait_s)
                except LogError as failure:
                    if isinstance(failure, RecordsGone):
                        self._log.check_topics()  # a topic that was recreated says so in other words
                    if not records:
                        raise
                    self._failure = failure  # first what was taken from the other topic
                    break
                for place in places:
                    brought = taken.get(self.inputs[place].partition)
                    if brought is not None:
                        records[place] = brought
                if taken and wait_s:
                    break  # who waited long enough for one looks at all again in the next poll
            if records or self._ends() != before or deadline.passed:
                break
            wait_s = deadline.left(timeout_s if len(asked) == 1 else _TURN_S)
        brought_all = tuple(records.get(place) or Records() for place in range(len(self.inputs)))
        return Fetched(brought_all, self._ends(), self._passed())

    def _ends(self) -> tuple[bool, ...]:
        ends = [False] * len(self.inputs)
        for source, places in zip(self._sources, self._of_source, strict=True):
            for place in places:
                ends[place] = source.at_end[self.inputs[place].partition]
        return tuple(ends)

    def _passed(self) -> Positions:
        passed = [0] * len(self.inputs)
        for source, places in zip(self._sources, self._of_source, strict=True):
            for place in places:
                passed[place] = source.next[self.inputs[place].partition]
        return tuple(passed)

    def lag(self) -> Mapping[str, int]:
        behind: dict[str, int] = {}
        for source in self._sources:
            for partition in source.partitions:
                behind[f"{source.topic}/{partition}"] = max(source.high[partition] - source.next[partition], 0)
        return behind

    def _close_sources(self) -> None:
        for source in self._sources:
            source.close()
        self._sources.clear()
        self._of_source.clear()

    def close(self) -> None:
        self._close_sources()
        self._rereader.close()
        self._writer.drop()
