"""A log in memory, for tests and simulations: deterministic, no threads, no clock, and failures that are data.

A test writes ``CRASH`` between records, and says in ``broker.faults`` what goes wrong with which commit. The broker
outlives the logs over it, as a real one does: the runtime under test is dropped and started again on the same broker.
Not here: persistence. Read tests/conformance/test_transports.py for what it promises.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from stream.errors import Fenced, InDoubt, JournalBroken, LogMisfit, LogUnavailable, RecordsGone
from stream.records import OUTPUTS, Input, InputKind, OutputName, Outputs, Positions, Records, Span
from stream.transport.base import Assignment, Fetched, JournalItem
from stream.transport.spans import check_span


class Crash(BaseException):
    """The process ended here. Not an Exception: nothing that runs in the process may handle it."""


class CrashMarker:
    """Its one instance is ``CRASH``."""

    def __repr__(self) -> str:
        return "CRASH"


CRASH: Final = CrashMarker()
"""Among records: when ``poll`` comes here it raises Crash, once."""

Fault: TypeAlias = Literal[
    "lost_but_committed",
    "lost_not_committed",
    "lost_entry_only",
    "fenced",
    "unavailable",
    "crash_before",
    "crash_after",
]
"""What goes wrong with a commit: the answer is lost (committed, not, or the journal record without its outputs: FAULTS,
a delayed EndTxn); another owner comes between; no answer and nothing written; the process ends before or after it."""


class OutputRecord(NamedTuple):
    """One record of an output."""

    seq: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]


@dataclass(slots=True)
class Partition:
    """Records of one partition; ``crashes`` are offsets before which a marker stands."""

    records: Records = field(default_factory=Records)
    begin: int = 0
    end: int = 0
    crashes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class TaskStore:
    """What the broker keeps of one task."""

    journal: list[bytes] = field(default_factory=list)
    outputs: dict[OutputName, list[OutputRecord]] = field(default_factory=lambda: {name: [] for name in OUTPUTS})
    positions: Positions | None = None
    """Of the inputs, as last committed."""
    epoch: int = 0
    """Counts owners."""


class MemoryBroker:
    """Topics, journals and outputs.

    Parameters
    ----------
    topics
        Name to count of partitions.

    Attributes
    ----------
    faults
        Number of a commit (from 0, over all tasks, claims too) to what goes wrong with it.

    Examples
    --------
    >>> broker = MemoryBroker({"events": 1})
    >>> broker.append("events", [b"{}", CRASH, b"{}"])
    1
    >>> broker.faults[2] = "lost_but_committed"
    """

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        self.topics: dict[str, list[Partition]] = {}
        self.faults: dict[int, Fault] = {}
        self.commits = 0
        """Tried so far."""
        self._ids: dict[str, str] = {}
        self._created = 0
        self._tasks: dict[tuple[str, int], TaskStore] = {}
        for name, partitions in (topics or {}).items():
            self.create(name, partitions)

    def create(self, topic: str, partitions: int = 1) -> None:
        """A new topic, also in the place of one of that name; then it has another id."""
        self.topics[topic] = [Partition() for _ in range(partitions)]
        self._ids[topic] = f"memory-{self._created}"
        self._created += 1

    def append(
        self,
        topic: str,
        values: Sequence[bytes | CrashMarker | None],
        *,
        partition: int = 0,
        timestamps_ms: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> int:
        """Records and crash markers at a partition's end; the last record's offset.

        ``timestamps_ms`` and ``keys`` are aligned with ``values``; without them a record's time is its offset, its key None.
        """
        target = self._partition(topic, partition)
        for place, value in enumerate(values):
            if isinstance(value, CrashMarker):
                target.crashes.append(target.end)
                continue
            target.records.offsets.append(target.end)
            target.records.timestamps_ms.append(target.end if timestamps_ms is None else timestamps_ms[place])
            target.records.keys.append(None if keys is None else keys[place])
            target.records.values.append(value)
            target.end += 1
        return target.end - 1

    def skip(self, topic: str, count: int = 1, *, partition: int = 0) -> None:
        """A gap in the offsets, as transaction markers and compaction make."""
        self._partition(topic, partition).end += count

    def trim(self, topic: str, before: int, *, partition: int = 0) -> None:
        """Retention: records below offset ``before`` are gone."""
        target = self._partition(topic, partition)
        target.begin = before
        target.records = target.records.slice(bisect_left(target.records.offsets, before), len(target.records))

    def change(self, topic: str, offset: int, value: bytes | None, *, partition: int = 0) -> None:
        """A record's value becomes another: what a log must never do."""
        records = self._partition(topic, partition).records
        records.values[records.offsets.index(offset)] = value

    def task(self, pipeline: str, task: int = 0) -> TaskStore:
        """What is kept of a task: to look at, and to damage."""
        return self._tasks.setdefault((pipeline, task), TaskStore())

    def topic_id(self, topic: str) -> str:
        return self._ids[topic]

    def _partition(self, topic: str, partition: int) -> Partition:
        if topic not in self.topics or partition >= len(self.topics[topic]):
            raise LogMisfit(f"there is no {topic}/{partition}", "create the topic first")
        return self.topics[topic][partition]


class MemoryLog:
    """One worker's side of a log in memory.

    Parameters
    ----------
    broker
        Shared by all logs of a test.
    pipeline
        Name under which journal and outputs are kept.
    events, labels
        Topics; ``labels`` None when there are none.
    broadcast
        Every task reads all partitions of the labels, in place of its own.
    tasks
        Which tasks this worker owns at first; default all.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        pipeline: str,
        events: str,
        labels: str | None = None,
        *,
        broadcast: bool = False,
        tasks: Sequence[int] | None = None,
    ) -> None:
        for topic in (events, labels):
            if topic is not None and topic not in broker.topics:
                raise LogMisfit(f"there is no topic {topic}", "create the topic first")
        self._broker = broker
        self._pipeline = pipeline
        self._topics: list[tuple[InputKind, str]] = [("events", events)]
        if labels is not None:
            self._topics.append(("labels", labels))
        self._broadcast = broadcast
        partitions = len(broker.topics[events])
        if labels is not None and not broadcast and len(broker.topics[labels]) != partitions:
            raise LogMisfit(
                f"{events} has {partitions} partitions, {labels} has {len(broker.topics[labels])}",
                "give both the same number, or set `partitioning: broadcast`",
            )
        self._told: tuple[int, ...] = ()
        self._owned = tuple(range(partitions) if tasks is None else tasks)
        self._opened: list[MemoryTaskLog] = []

    def assign(self, tasks: Sequence[int]) -> None:
        """A rebalance: from now on this worker owns exactly these tasks."""
        self._owned = tuple(tasks)

    def assignment(self, timeout_s: float) -> Assignment:  # noqa: ARG002 (nothing to wait for)
        gained = tuple(task for task in self._owned if task not in self._told)
        lost = tuple(task for task in self._told if task not in self._owned)
        self._told = self._owned
        return Assignment(gained, lost)

    def open(self, task: int) -> "MemoryTaskLog":
        inputs = []
        for kind, topic in self._topics:
            everything = self._broadcast and kind == "labels"
            partitions = range(len(self._broker.topics[topic])) if everything else (task,)
            inputs += [Input(kind, topic, partition) for partition in partitions]
        opened = MemoryTaskLog(self._broker, self._broker.task(self._pipeline, task), tuple(inputs))
        self._opened.append(opened)
        return opened

    def identity(self) -> Mapping[str, object]:
        return {
            "topics": {topic: self._broker.topic_id(topic) for _, topic in self._topics},
            "partitions": len(self._broker.topics[self._topics[0][1]]),
        }

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self._opened.clear()


class MemoryTaskLog:
    """One task of a log in memory. See base.py for what each method promises.

    After a Crash every call but ``close`` raises Crash again: a process that ended does nothing more.
    """

    repeats = False

    def __init__(self, broker: MemoryBroker, store: TaskStore, inputs: tuple[Input, ...]) -> None:
        self.inputs = inputs
        self._broker = broker
        self._store = store
        self._partitions = [broker.topics[stream.topic][stream.partition] for stream in inputs]
        self._positions = list(self.start())
        self._held: frozenset[int] = frozenset()
        self._epoch = -1
        self._crashed = False

    def last(self) -> JournalItem | None:
        self._alive()
        journal = self._store.journal
        return JournalItem(len(journal) - 1, journal[-1]) if journal else None

    def entries(self, start: int) -> Iterator[JournalItem]:
        self._alive()
        first = max(start, 0)
        items = [JournalItem(first + place, value) for place, value in enumerate(self._store.journal[first:])]
        return iter(items)

    def fence(self) -> None:
        self._alive()
        self._store.epoch += 1
        self._epoch = self._store.epoch

    def start(self) -> Positions:
        return tuple(partition.begin for partition in self._partitions)

    def read(self, spans: Sequence[Span]) -> Sequence[Records]:
        self._alive()
        return [self._read(span) for span in spans]

    def _read(self, span: Span) -> Records:
        partition = self._partitions[span.input]
        where = f"{self.inputs[span.input].topic}/{self.inputs[span.input].partition}"
        if span.count and span.start < partition.begin:
            raise RecordsGone(f"{where} starts at {partition.begin}, offset {span.start} is needed", "start over")
        offsets = partition.records.offsets
        found = partition.records.slice(bisect_left(offsets, span.start), bisect_left(offsets, span.stop))
        return check_span(span, found, where)

    def seek(self, positions: Positions) -> None:
        self._alive()
        for stream, partition, position in zip(self.inputs, self._partitions, positions, strict=True):
            if not partition.begin <= position <= partition.end:
                raise RecordsGone(
                    f"{stream.topic}/{stream.partition} holds offsets {partition.begin} to {partition.end}, "
                    f"{position} is needed",
                    "start over",
                )
        self._positions = list(positions)

    def hold(self, inputs: set[int]) -> None:
        """``poll`` brings nothing of exactly these inputs until the next call."""
        self._held = frozenset(inputs)

    def poll(self, limit: int, timeout_s: float) -> Fetched:  # noqa: ARG002 (what is there is there)
        """Up to ``limit`` records of each input, none beyond a crash marker; a marker that stands next raises Crash."""
        self._alive()
        for place, partition in enumerate(self._partitions):
            crash = self._crash_at(place)
            if place not in self._held and crash is not None and crash <= self._next(place):
                partition.crashes.pop(0)
                self._crash()
        fetched = tuple(
            Records() if place in self._held else self._take(place, limit) for place in range(len(self.inputs))
        )
        at_end = tuple(self._left(place) == 0 for place in range(len(self.inputs)))
        return Fetched(fetched, at_end, tuple(map(self._next, range(len(self.inputs)))))

    def _take(self, place: int, limit: int) -> Records:
        partition = self._partitions[place]
        if self._positions[place] < partition.begin:
            raise RecordsGone(f"{self.inputs[place].topic} starts at {partition.begin}", "start over")
        offsets = partition.records.offsets
        first = bisect_left(offsets, self._positions[place])
        stop = first + limit
        crash = self._crash_at(place)
        if crash is not None:
            stop = min(stop, bisect_left(offsets, crash))
        taken = partition.records.slice(first, max(stop, first))
        if taken.offsets:
            self._positions[place] = taken.offsets[-1] + 1
        return taken

    def _next(self, place: int) -> int:
        """Offset of the next record, the end when there is none."""
        partition = self._partitions[place]
        at = bisect_left(partition.records.offsets, self._positions[place])
        return partition.records.offsets[at] if at < len(partition.records) else partition.end

    def _crash_at(self, place: int) -> int | None:
        """Before which record the next marker stands; markers already passed (by an earlier log) are spent."""
        partition = self._partitions[place]
        while partition.crashes and partition.crashes[0] < self._positions[place]:
            partition.crashes.pop(0)
        return partition.crashes[0] if partition.crashes else None

    def _left(self, place: int) -> int:
        offsets = self._partitions[place].records.offsets
        return len(offsets) - bisect_left(offsets, self._positions[place])

    def commit(self, entry: bytes, outputs: Outputs, positions: Positions) -> int:
        self._own()
        number = self._broker.commits
        self._broker.commits += 1
        fault = self._broker.faults.get(number)
        if fault == "crash_before":
            self._crash()
        if fault == "fenced":
            self._store.epoch += 1
            self._own()
        if fault == "unavailable":
            raise LogUnavailable(f"commit {number}: the broker does not answer")
        if fault != "lost_not_committed":
            self._check(outputs)
            self._store.journal.append(entry)
            self._store.positions = positions
            if fault != "lost_entry_only":
                self._add(outputs)
        if fault == "crash_after":
            self._crash()
        if fault is not None:
            raise InDoubt(f"commit {number}: the answer is lost", "read the journal")
        return len(self._store.journal) - 1

    def emit(self, outputs: Outputs) -> None:
        self._own()
        missing: Outputs = {name: output.after(self.last_seq()[name]) for name, output in outputs.items()}
        self._check(missing)
        self._add(missing)

    def _check(self, outputs: Outputs) -> None:
        for name, output in outputs.items():
            if len(output) and output.first_seq != len(self._store.outputs[name]):
                raise JournalBroken(
                    f"{name}: seq {output.first_seq} cannot follow {len(self._store.outputs[name])} records"
                )

    def _add(self, outputs: Outputs) -> None:
        for name, output in outputs.items():
            headers = output.headers if output.headers is not None else [{}] * len(output)
            rows = zip(output.keys, output.values, headers, strict=True)
            self._store.outputs[name] += [
                OutputRecord(output.first_seq + place, *row) for place, row in enumerate(rows)
            ]

    def last_seq(self) -> Mapping[OutputName, int]:
        self._alive()
        return {name: len(self._store.outputs[name]) - 1 for name in OUTPUTS}

    def lag(self) -> Mapping[str, int]:
        return {f"{stream.topic}/{stream.partition}": self._left(place) for place, stream in enumerate(self.inputs)}

    def close(self) -> None:
        """The epoch stays: a closed log has written nothing that it did not commit."""
        self._epoch = -1

    def _own(self) -> None:
        self._alive()
        if self._epoch != self._store.epoch:
            raise Fenced("another log owns the task now, or this one was not fenced", "recover the task")

    def _alive(self) -> None:
        if self._crashed:
            raise Crash

    def _crash(self) -> None:
        self._crashed = True
        raise Crash
