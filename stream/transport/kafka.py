"""Kafka as a log, on librdkafka: which tasks this worker owns, and what binds them to the cluster.

One *membership* consumer per worker subscribes to the events topic only, never fetches, and says which partitions are
ours; each task reads with consumers of its own, assigned by hand, so nothing but the group decides who works and
nothing but the journal decides from where. Not here: topics and groups as an operator sees them (admin.py). Read
kafka_task.py next, then kafka_writer.py for the five steps of a commit.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream.errors import ConfigError, Fenced, LogMisfit
from stream.records import Input
from stream.transport.base import Assignment
from stream.transport.kafka_client import (
    REQUEST_S,
    Deadline,
    KafkaTopics,
    Settings,
    TopicFacts,
    TopicWatch,
    Watcher,
    compare,
    describe,
)
from stream.transport.kafka_task import KafkaTaskLog
from stream.transport.kafka_writer import Delivery, Writer

__all__ = ["KafkaLog", "KafkaTaskLog", "KafkaTopics"]

_SLICE_S = 0.05  # librdkafka waits out a poll after it called back, so polls are short


class KafkaLog:
    """One worker's side of Kafka.

    Parameters
    ----------
    settings
        librdkafka's, by its own names: ``bootstrap.servers``, SASL, TLS. Every client gets them.
    pipeline
        Its name; names the group and the clients.
    topics
        All must exist, with the same number of partitions (labels too, unless ``partitioning`` is broadcast).
    partitioning
        copartitioned: task *p* reads labels partition *p*. broadcast: every task reads all labels.
    delivery
        at_least_once: no transactions; repeated outputs are bit-identical, see DESIGN.
    group
        Default ``headrace-<pipeline>``.
    transaction_timeout_ms
        After this the broker ends an open transaction of a worker that went silent.
    commit_deadline_s
        How long a commit is tried before LogUnavailable or InDoubt.
    session_timeout_ms
        After this silence the group gives this worker's tasks to others. Default: what the settings say, else 10 s
        (librdkafka's 45 s would be the takeover time).
    request_timeout_s
        How long the questions about topics may go unanswered.

    Raises
    ------
    LogMisfit
        A topic is missing, partition counts differ, or Kafka refuses us.
    LogUnavailable
        Nobody answers.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        *,
        pipeline: str,
        topics: KafkaTopics,
        partitioning: Literal["copartitioned", "broadcast"] = "copartitioned",
        delivery: Delivery = "exactly_once",
        group: str | None = None,
        transaction_timeout_ms: int = 60_000,
        commit_deadline_s: float = 30.0,
        session_timeout_ms: int | None = None,
        request_timeout_s: float = REQUEST_S,
    ) -> None:
        self.topics = topics
        self.partitioning = partitioning
        self.delivery = delivery
        self.pipeline = pipeline
        self.group = group or f"headrace-{pipeline}"
        self.settings = Settings(settings, f"headrace-{pipeline}")
        self._transaction_timeout_ms = transaction_timeout_ms
        self._commit_deadline_s = commit_deadline_s
        self._session_timeout_ms = _session_ms(settings) if session_timeout_ms is None else session_timeout_ms
        self._request_timeout_s = request_timeout_s
        self._facts = self._describe()
        self.partitions = self._facts[topics.events].partitions
        self._check_counts()
        self._watcher = Watcher()
        self._topics_watch = TopicWatch(self.settings, self._facts)
        self._member: Consumer | None = None
        self._closed = False
        # Written by the rebalance callbacks (main thread), read by tasks' threads.
        self._guard = threading.Lock()
        self._owned: set[int] = set()
        self._told: set[int] = set()
        self._lost: set[int] = set()

    # Which tasks are ours

    def assignment(self, timeout_s: float) -> Assignment:
        """A task that is in both was lost and came back: what was open of it is void.

        Raises LogMisfit when Kafka refuses us, or a topic was recreated or got other partitions.
        """
        self._topics_watch.look()
        member = self._membership()
        deadline = Deadline(timeout_s)
        while True:
            message = member.poll(deadline.left(_SLICE_S))
            if message is not None and (error := message.error()) is not None and not error.retriable():
                self._complain(KafkaException(error))
            if (refused := self._watcher.refused) is not None:
                self._complain(KafkaException(refused))
            change = self._changes()
            if change.gained or change.lost or deadline.passed:
                return change

    def _complain(self, failure: KafkaException) -> None:
        """Raise what ends a worker; an outage does not: the membership goes on trying by itself."""
        error = self.settings.error(failure.args[0], f"group {self.group}, topic {self.topics.events}", self._watcher)
        if isinstance(error, LogMisfit):
            raise error from failure

    def _changes(self) -> Assignment:
        with self._guard:
            lost = self._lost & self._told
            kept = self._told - lost
            gained = self._owned - kept
            self._told = set(self._owned)
            self._lost.clear()
        return Assignment(tuple(sorted(gained)), tuple(sorted(lost)))

    def _membership(self) -> Consumer:
        if self._member is None:
            if self._closed:
                raise Fenced("this worker has left its group")
            own = {
                "group.id": self.group,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": self._session_timeout_ms,
                # Members hear of a rebalance with a heartbeat: with librdkafka's 3 s a handover took 9 s.
                "heartbeat.interval.ms": min(1000, max(self._session_timeout_ms // 4, 100)),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "latest",
                "queued.max.messages.kbytes": 1024,
            }
            self._member = self.settings.make(Consumer, self._watcher, own)
            self._member.subscribe(
                [self.topics.events], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
        return self._member

    def _on_assign(self, member: Consumer, partitions: Sequence[TopicPartition]) -> None:
        # At an offset of our own and paused: nothing is asked for and nothing fetched.
        member.incremental_assign([TopicPartition(one.topic, one.partition, 0) for one in partitions])
        member.pause([TopicPartition(one.topic, one.partition) for one in partitions])
        with self._guard:
            self._owned |= {one.partition for one in partitions}

    def _on_revoke(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        with self._guard:
            gone = {one.partition for one in partitions}
            self._owned -= gone
            self._lost |= gone

    def owns(self, task: int) -> bool:
        """Whether the group gave us this task, as far as we were told. From any thread."""
        with self._guard:
            return task in self._owned

    def group_metadata(self) -> object:
        """The membership as it is now, for a transaction. From any thread."""
        member = self._member
        if member is None:
            raise Fenced("this worker is in no group")
        try:
            return member.consumer_group_metadata()
        except RuntimeError:  # closed in the meantime
            raise Fenced("this worker has left its group") from None

    def tell_offsets(self, offsets: Sequence[TopicPartition]) -> None:
        """Leave offsets in the group for lag tools, in the background; nothing rests on them."""
        member = self._member
        if member is not None and offsets:
            try:
                member.commit(offsets=list(offsets), asynchronous=True)
            except (KafkaException, RuntimeError):
                return  # the next batch tells newer ones

    # What tasks are made of

    def open(self, task: int) -> KafkaTaskLog:
        if not 0 <= task < self.partitions:
            self.check_topics()  # it says what became of them
            raise LogMisfit(f"{self.topics.events} has {self.partitions} partitions; there is no task {task}")
        writer = Writer(
            self.settings,
            self.topics,
            task,
            transactional_id=self.transactional_id(task) if self.delivery == "exactly_once" else None,
            transaction_timeout_ms=self._transaction_timeout_ms,
            deadline_s=self._commit_deadline_s,
        )
        return KafkaTaskLog(self, task, self._inputs(task), writer)

    def transactional_id(self, task: int) -> str:
        """Static per task: a successor's ``fence`` ends what this one left open, of whatever group that one is."""
        return f"headrace-{self.pipeline}-{task}"

    def _inputs(self, task: int) -> tuple[Input, ...]:
        events = Input("events", self.topics.events, task)
        if self.topics.labels is None:
            return (events,)
        own = (task,) if self.partitioning == "copartitioned" else range(self._facts[self.topics.labels].partitions)
        return (events, *(Input("labels", self.topics.labels, partition) for partition in own))

    def identity(self) -> Mapping[str, object]:
        """Ids as of the start of this worker; ``fence`` checks that they are still the same."""
        ids = {topic: self._facts[topic].id for topic in self.topics.all()}
        counts: dict[str, object] = {"topics": ids, "partitions": self.partitions}
        if self.topics.labels is not None and self.partitioning == "broadcast":
            counts["label_partitions"] = self._facts[self.topics.labels].partitions
        return counts

    def _describe(self) -> dict[str, TopicFacts]:
        names = self.topics.all()
        facts = describe(self.settings, names, self._request_timeout_s)
        missing = [name for name in names if name not in facts]
        if missing:
            raise LogMisfit(
                f"topics are missing: {', '.join(missing)}", "create them with `headrace topics create CONFIG`"
            )
        return facts

    def _check_counts(self) -> None:
        free = {self.topics.labels} if self.partitioning == "broadcast" else set()
        wrong = [
            f"{name} has {facts.partitions}"
            for name, facts in self._facts.items()
            if facts.partitions != self.partitions and name not in free
        ]
        if wrong:
            labels = self.topics.labels
            only_labels = len(wrong) == 1 and labels is not None and self._facts[labels].partitions != self.partitions
            raise LogMisfit(
                f"partition counts differ: {self.topics.events} has {self.partitions}, {', '.join(wrong)}",
                "a task is one partition of every topic: make the counts equal (`headrace topics check CONFIG` says how)"
                + (", or set `labels: {partitioning: broadcast}`" if only_labels else ""),
            )

    def check_topics(self) -> None:
        """Raises LogMisfit when a topic was recreated or got other partitions since this worker started."""
        compare(self._facts, self._describe())

    def close(self) -> None:
        self._closed = True
        member, self._member = self._member, None
        if member is not None:
            member.close()
        with self._guard:
            self._owned.clear()


def _session_ms(settings: Mapping[str, object]) -> int:
    """Raises ConfigError: librdkafka itself would take ``10s`` for 10 ms."""
    told = str(settings.get("session.timeout.ms", 10_000))
    if not (told.isascii() and told.isdigit()):
        raise ConfigError(f"kafka: session.timeout.ms is a number of milliseconds, not {told!r}")
    return int(told)
