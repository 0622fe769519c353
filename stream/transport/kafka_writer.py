"""What a task writes: one transaction a batch, or acknowledged sends in order (``at_least_once``).

The producer is good until its first error; then only ``fence`` makes a new one, and the caller reads the journal in
between. Not here: whether a task is still ours (kafka.py) and what is written (runtime/). Read kafka_task.py next.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from stream.errors import Fenced, InDoubt, LogError, LogUnavailable, OutputTooLarge
from stream.records import OutputRecords, Outputs
from stream.transport.kafka_client import REFUSED, TIMED_OUT, Deadline, KafkaTopics, Settings, Watcher, kafka_error
from stream.transport.kafka_patience import Patience

Delivery: TypeAlias = Literal["exactly_once", "at_least_once"]

_MEMBERSHIP_LOST = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID}
_ABORT_S = 5.0
_OFFSETS_S = 3.0
"""Of a call that takes milliseconds. A broker that is only slow costs a recovery, which costs no results."""


def producer_settings(
    transactional_id: str | None, transaction_timeout_ms: int, deadline_s: float
) -> dict[str, object]:
    """Of a task's producer."""
    own: dict[str, object] = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # as Java and kafka-python; partitions are always named here
        "linger.ms": 5,  # a flush and a commit wait for nothing; with 0 the sender wakes for a few records: 0.4 µs each
        # Back to back, a transaction waits for the markers of the one before, 1 to 5 ms: librdkafka would look every 100.
        "retry.backoff.ms": 1,
        "retry.backoff.max.ms": 20,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 262_144,
    }
    if transactional_id is None:
        return own | {"message.timeout.ms": int(deadline_s * 1000)}
    return own | {"transactional.id": transactional_id, "transaction.timeout.ms": transaction_timeout_ms}


class Writer:
    """The producer of one task.

    Parameters
    ----------
    settings, topics
        As in KafkaLog.
    task
        The partition of journal and outputs.
    transactional_id
        None for ``at_least_once``.
    transaction_timeout_ms
        After this the broker ends an open transaction by itself.
    deadline_s
        How long a commit is tried.
    """

    def __init__(
        self,
        settings: Settings,
        topics: KafkaTopics,
        task: int,
        *,
        transactional_id: str | None,
        transaction_timeout_ms: int,
        deadline_s: float,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._task = task
        self._deadline_s = deadline_s
        self._transactions = transactional_id is not None
        self._own = producer_settings(transactional_id, transaction_timeout_ms, deadline_s)
        self._watcher = Watcher()
        self._producer: Producer | None = None
        self._failed: list[tuple[KafkaError, str]] = []
        self._patience = Patience()
        self._journaled: int | None = None  # where this producer wrote last

    def fence(self) -> None:
        """A new producer; with transactions, what any other with this id left open is aborted and that one fenced."""
        self.drop()
        self._watcher = Watcher()
        producer = self._settings.make(Producer, self._watcher, self._own)
        deadline = Deadline(self._deadline_s)
        while self._transactions:
            try:
                producer.init_transactions(deadline.left(1.0) or 0.1)
                break
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                with suppress(KafkaException):  # a fatal error is raised here once more
                    producer.flush(0)  # so that the watcher hears
                if not error.retriable() or deadline.passed or self._watcher.refused is not None:
                    raise self._settings.error(error, f"taking task {self._task}", self._watcher) from failure
        self._producer = producer

    def commit(
        self, entry: bytes, outputs: Outputs, offsets: Sequence[TopicPartition], group: Callable[[], object]
    ) -> int:
        """The journal entry's offset. ``group`` gives fresh metadata of the membership.

        Raises Fenced, InDoubt, OutputTooLarge, LogUnavailable; then the producer is gone.
        """
        return self._run(outputs, entry=entry, offsets=offsets, group=group)

    def emit(self, outputs: Outputs) -> None:
        """Outputs only. Raises as ``commit``."""
        if any(len(records) for records in outputs.values()):
            self._run(outputs)

    def _run(
        self,
        outputs: Outputs,
        *,
        entry: bytes | None = None,
        offsets: Sequence[TopicPartition] = (),
        group: Callable[[], object] | None = None,
    ) -> int:
        producer = self._producer
        if producer is None:
            raise Fenced(f"task {self._task} has no producer: it was never fenced, or failed since")
        deadline = Deadline(self._deadline_s)
        self._failed.clear()
        journaled = -1
        try:
            # (1 is the batch itself, folded before any transaction is open.)
            # 2. Begin; the inputs' offsets, with the membership: fences a stale one before it writes anything; positions
            # are read from the journal. First, because the broker refuses whatever comes until the markers of the last
            # transaction are written, and librdkafka tries offsets again after retry.backoff.ms, records after a fixed 20 ms.
            if self._transactions:
                producer.begin_transaction()
                if offsets and group is not None:
                    self._retry(lambda left: self._give(producer, offsets, group, left), deadline)
            # 3. The journal entry, acknowledged before any output.
            if entry is not None:
                journaled = self._journal(producer, entry, deadline)
                self._check_alone(journaled)
            # 4. The outputs, each with its seq.
            for name, records in outputs.items():
                self._produce(producer, self._topics.output(name), records, deadline)
            if not self._transactions:
                self._flush(producer, deadline, "outputs")
                return journaled
        except (KafkaException, SystemError) as failure:
            raise self._give_up(kafka_error(failure), entry, outputs) from failure
        except LogError:
            self.drop()
            raise
        # 5. Commit. Whatever fails from here on, only the journal knows.
        try:
            self._retry(producer.commit_transaction, deadline)
        except (KafkaException, SystemError) as failure:
            raise self._doubt(kafka_error(failure), entry, outputs) from failure
        return journaled

    def _give(
        self, producer: Producer, offsets: Sequence[TopicPartition], group: Callable[[], object], left: float
    ) -> None:
        """With patience: of all calls this is the one that may hang."""
        work = partial(producer.send_offsets_to_transaction, list(offsets), group(), left)
        self._patience.call(work, min(left, _OFFSETS_S), f"task {self._task}, giving offsets to the transaction")

    def _check_alone(self, journaled: int) -> None:
        """Without transactions nothing fences: that somebody else wrote shows in the offset, before an output is sent.

        Whose entries count then, ours or theirs, the journal says. Raises InDoubt.
        """
        before, self._journaled = self._journaled, journaled
        if not self._transactions and before is not None and journaled != before + 1:
            raise InDoubt(
                f"task {self._task}: somebody else wrote to the journal between offsets {before} and {journaled}"
            )

    def _journal(self, producer: Producer, entry: bytes, deadline: Deadline) -> int:
        reports: list[tuple[KafkaError | None, int]] = []

        def report(error: KafkaError | None, message: Message) -> None:
            reports.append((error, message.offset() or 0))

        producer.produce(self._topics.journal, entry, partition=self._task, on_delivery=report)
        self._flush(producer, deadline, "the journal entry")
        error, offset = reports[0]
        if error is not None:
            raise KafkaException(error)
        return offset

    def _produce(self, producer: Producer, topic: str, records: OutputRecords, deadline: Deadline) -> None:
        # Within a transaction a failed send fails the commit, so nothing needs a report of its own.
        report = None if self._transactions else self._reporter(topic)
        produce, task, first, further = producer.produce, self._task, records.first_seq, records.headers
        seqs = [b"%d" % seq for seq in range(first, first + len(records))]
        headers: dict[str, bytes] = {}
        start = 0
        while True:
            try:
                if further is not None:
                    for place in range(start, len(seqs)):
                        headers = {"seq": seqs[place], **further[place]}
                        produce(topic, records.values[place], records.keys[place], task, report, report, 0, headers)  # type: ignore[arg-type]
                    return
                # One dict for all, for it is copied at once; by position, nothing else in the loop: 0.6 µs, against 1.1 by
                # keyword with headers as a list.
                rest = zip(records.keys[start:], records.values[start:], seqs[start:], strict=True)
                for key, value, headers["seq"] in rest:
                    produce(topic, value, key, task, report, report, 0, headers)  # type: ignore[arg-type]
                return
            except BufferError:
                start = int(headers["seq"]) - first  # of the one that found no place
                producer.poll(0.01)
                if deadline.passed:
                    raise LogUnavailable(f"{topic}/{self._task}: the producer's queue stays full") from None

    def _reporter(self, topic: str) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._failed.append((error, topic))

        return report

    def _flush(self, producer: Producer, deadline: Deadline, what: str) -> None:
        """Wait until all that was sent is acknowledged."""
        while producer.flush(deadline.left(1.0)):
            if self._watcher.refused is not None or deadline.passed:
                error = self._watcher.refused or KafkaError(TIMED_OUT)
                raise self._settings.error(error, f"task {self._task}: {what} was not acknowledged", self._watcher)
        if self._failed:
            raise KafkaException(self._failed[0][0])

    def _retry(self, call: Callable[[float], object], deadline: Deadline) -> None:
        """Call again what librdkafka says may be called again, until the deadline."""
        while True:
            try:
                call(deadline.left() or 0.1)
            except KafkaException as failure:
                if not failure.args[0].retriable() or deadline.passed:
                    raise
            else:
                return

    def _give_up(self, error: KafkaError, entry: bytes | None, outputs: Outputs) -> LogError:
        """Something failed before the commit was asked for: end the transaction, and say what it was."""
        doing = f"task {self._task}, before the commit"
        ended = self._transactions and error.txn_requires_abort() and not error.fatal() and self._abort()
        try:
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                return self._too_large(entry, outputs)
            if error.code() in _MEMBERSHIP_LOST:
                return Fenced(f"{doing}: the group no longer knows this worker ({error.str()})")
            if ended and error.code() not in REFUSED:
                return InDoubt(f"{doing}: aborted ({error.str()})")
            return self._settings.error(error, doing, self._watcher)
        finally:
            self.drop()

    def _doubt(self, error: KafkaError, entry: bytes | None, outputs: Outputs) -> LogError:
        """The commit was asked for and not confirmed."""
        try:
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self._abort()
                return self._too_large(entry, outputs)
            known = self._settings.error(error, f"task {self._task}, at the commit")
            if isinstance(known, Fenced):
                return known
            ended = error.txn_requires_abort() and self._abort()
            if ended and error.code() in REFUSED:
                return known
            return InDoubt(f"task {self._task}: the commit was not confirmed ({error.str()})")
        finally:
            self.drop()

    def _abort(self) -> bool:
        producer = self._producer
        if producer is None:
            return False  # the task was taken away meanwhile, and closed by another thread
        try:
            producer.purge()
            producer.abort_transaction(_ABORT_S)
        except KafkaException:
            return False  # the next fence ends it
        return True

    def _too_large(self, entry: bytes | None, outputs: Outputs) -> LogError:
        """Which topic it is, from the topics' limits: a transaction's error does not name it."""
        sizes = {
            self._topics.output(name): max(map(len, records.values))
            for name, records in outputs.items()
            if len(records)
        }
        if entry is not None:
            sizes[self._topics.journal] = len(entry)
        limits = self._limits(list(sizes))
        over = [topic for topic in sizes if sizes[topic] + 70 > limits.get(topic, 1 << 62)] or list(sizes)
        said = ", ".join(
            f"{topic} (largest record {sizes[topic]} bytes, limit {limits.get(topic, '?')})" for topic in over
        )
        return OutputTooLarge(
            f"task {self._task}: a record is above the broker's limit: {said}",
            f"raise max.message.bytes on {' and '.join(over)} (and message.max.bytes under `kafka:`)",
        )

    def _limits(self, topics: list[str]) -> Mapping[str, int]:
        """``max.message.bytes`` of topics, as far as the cluster says."""
        admin = self._settings.make(AdminClient, Watcher(), {})
        futures = admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, topic) for topic in topics], request_timeout=5.0
        )
        limits: dict[str, int] = {}
        for resource, future in futures.items():
            try:
                limits[resource.name] = int(future.result()["max.message.bytes"].value)
            except KafkaException:
                continue  # the message then says "limit ?"
        return limits

    def drop(self) -> None:
        """Forget the producer and what it had not sent. Idempotent."""
        self._patience.close()
        producer, self._producer, self._journaled = self._producer, None, None
        if producer is not None:
            producer.purge()
