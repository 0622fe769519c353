"""The simulator's Kafka against a real one: the same scenes, the same answers. tests/simulation/broker.py is the fake."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.simulation import clients
from tests.simulation.broker import Broker
from tests.simulation.site import Here

WAIT_S = 30.0


class Alone:
    """A process that nothing befalls (see ``site.Site``)."""

    dead = False
    deaf_until = 0.0

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def touch(self, what: str) -> str | None:
        return None

    def cut_off_until(self) -> float:
        return 0.0

    def draw(self, limit: int) -> int:
        return limit - 1

    def alive(self) -> bool:
        return True

    def beside(self) -> None:
        pass

    def begins(self, name: str) -> None:
        """Anybody may."""


class Stand:
    """A fresh topic of two partitions on either Kafka, and clients for it."""

    def __init__(self, library: Any, bootstrap: str, make: Callable[[str], None]) -> None:
        self.library = library
        self.topic = f"fake-{uuid.uuid4().hex[:10]}"
        self.bootstrap = bootstrap
        make(self.topic)

    def producer(self, name: str | None = "a", timeout_ms: int = 60_000) -> Any:
        settings: dict[str, Any] = {"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 0}
        if name is None:
            return self.library.Producer(settings)
        settings |= {"transactional.id": f"{self.topic}-{name}", "transaction.timeout.ms": timeout_ms}
        made = self.library.Producer(settings)
        made.init_transactions(WAIT_S)
        return made

    def consumer(self, *, committed: bool = True, group: str | None = None) -> Any:
        level = "read_committed" if committed else "read_uncommitted"
        return self.library.Consumer(
            {
                "bootstrap.servers": self.bootstrap, "log_level": 0, "group.id": group or self.topic,
                "isolation.level": level, "enable.partition.eof": True, "auto.offset.reset": "error",
                "enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 6000,
            }
        )  # fmt: skip

    def send(self, producer: Any, *values: bytes, partition: int = 0) -> list[tuple[int | None, int]]:
        """Error and offset of each, as its report says."""
        told: list[tuple[int | None, int]] = []

        def report(error: KafkaError | None, message: Any) -> None:
            told.append((None if error is None else error.code(), message.offset()))

        for value in values:
            producer.produce(self.topic, value, partition=partition, on_delivery=report)
        producer.flush(WAIT_S)
        return told

    def read(
        self, *, committed: bool = True, start: int = 0, partition: int = 0
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Offset and value of each record up to the sign of the end, and the offset of that sign."""
        consumer = self.consumer(committed=committed)
        consumer.assign([TopicPartition(self.topic, partition, start)])
        found: list[tuple[int, bytes]] = []
        try:
            for _ in range(600):
                message = consumer.poll(0.1)
                if message is None:
                    continue
                if message.error() is None:
                    found.append((message.offset(), message.value()))
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    return found, message.offset()
        finally:
            consumer.close()
        raise AssertionError("the end never came")

    def marks(self, *, committed: bool = True) -> tuple[int, int]:
        consumer = self.consumer(committed=committed)
        try:
            return consumer.get_watermark_offsets(TopicPartition(self.topic, 0), timeout=WAIT_S)  # type: ignore[no-any-return]
        finally:
            consumer.close()

    def member(self) -> Any:
        """A consumer that has all partitions of the topic through its group."""
        member = self.consumer(group=f"{self.topic}-group")
        owned: list[TopicPartition] = []

        def assigned(one: Any, places: list[TopicPartition]) -> None:
            one.incremental_assign([TopicPartition(place.topic, place.partition, 0) for place in places])
            one.pause(places)
            owned.extend(places)

        member.subscribe([self.topic], on_assign=assigned, on_revoke=lambda *_: None, on_lost=lambda *_: None)
        deadline = time.monotonic() + WAIT_S
        while not owned and time.monotonic() < deadline:
            member.poll(0.1)
        assert len(owned) == 2
        return member


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.kafka)])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    if request.param == "fake":
        broker = Broker({})
        Here.site = Alone(broker)
        yield Stand(clients, "fake", lambda topic: broker.create(topic, 2))
        Here.site = None
        return
    bootstrap = request.getfixturevalue("kafka")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def create(topic: str) -> None:
        admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(WAIT_S)
        deadline = time.monotonic() + WAIT_S
        while topic not in admin.list_topics(timeout=WAIT_S).topics:
            assert time.monotonic() < deadline

    yield Stand(confluent_kafka, bootstrap, create)


def flags(failure: KafkaException) -> tuple[str, bool, bool, bool]:
    error: KafkaError = failure.args[0]
    return error.name(), error.fatal(), error.retriable(), error.txn_requires_abort()


def test_a_marker_takes_an_offset(stand: Stand) -> None:
    """Records of two transactions: a gap lies between them, and the end stands behind the last marker."""
    producer = stand.producer()
    for values in ((b"1", b"2"), (b"3",)):
        producer.begin_transaction()
        stand.send(producer, *values)
        producer.commit_transaction(WAIT_S)
    assert stand.read() == ([(0, b"1"), (1, b"2"), (3, b"3")], 5)
    assert stand.marks() == (0, 5)


def test_aborted_records_are_passed_over(stand: Stand) -> None:
    """A committed reader sees what stands behind them; an uncommitted one sees them too."""
    producer = stand.producer()
    producer.begin_transaction()
    stand.send(producer, b"never")
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    stand.send(producer, b"yes")
    producer.commit_transaction(WAIT_S)
    assert stand.read() == ([(2, b"yes")], 4)
    assert stand.read(committed=False) == ([(0, b"never"), (2, b"yes")], 4)


def test_a_committed_reader_stops_before_what_is_open(stand: Stand) -> None:
    """At the last stable offset, which is also its watermark; the uncommitted one goes on to the end."""
    producer, other = stand.producer("a"), stand.producer(None)
    stand.send(other, b"before")
    producer.begin_transaction()
    stand.send(producer, b"open")
    stand.send(other, b"behind")
    assert stand.read() == ([(0, b"before")], 1)
    assert stand.read(committed=False) == ([(0, b"before"), (1, b"open"), (2, b"behind")], 3)
    assert (stand.marks(), stand.marks(committed=False)) == ((0, 1), (0, 3))
    producer.abort_transaction(WAIT_S)


def test_a_successor_ends_what_was_left_open(stand: Stand) -> None:
    """After ``init_transactions`` nothing of that id is open any more, and the end no longer moves."""
    first = stand.producer()
    first.begin_transaction()
    stand.send(first, b"open")
    stand.producer()
    assert stand.read() == ([], 2)
    assert stand.marks() == (0, 2)


def test_a_fenced_producer_fails_for_good(stand: Stand) -> None:
    """Its next send and its commit are fatal; nothing of it is ever seen."""
    zombie = stand.producer()
    heir = stand.producer()
    zombie.begin_transaction()
    with pytest.raises((KafkaException, SystemError)) as raised:
        stand.send(zombie, b"void")
    failure = raised.value.__cause__ if isinstance(raised.value, SystemError) else raised.value
    assert flags(failure) == ("_FENCED", True, False, False)  # type: ignore[arg-type]
    with pytest.raises(KafkaException) as again:
        zombie.commit_transaction(WAIT_S)
    assert again.value.args[0].fatal()
    heir.begin_transaction()
    stand.send(heir, b"mine")
    heir.commit_transaction(WAIT_S)
    assert [value for _, value in stand.read()[0]] == [b"mine"]


def test_offsets_of_a_member_are_committed_with_the_transaction(stand: Stand) -> None:
    """And not before."""
    member, producer = stand.member(), stand.producer()
    producer.begin_transaction()
    stand.send(producer, b"1")
    producer.send_offsets_to_transaction([TopicPartition(stand.topic, 0, 7)], member.consumer_group_metadata(), WAIT_S)
    producer.commit_transaction(WAIT_S)
    assert stand.read() == ([(0, b"1")], 2)
    member.close()


def test_who_left_the_group_is_refused(stand: Stand) -> None:
    """Offsets with metadata of a membership that is over: abort required, not fatal; the next transaction goes through."""
    member, producer = stand.member(), stand.producer()
    metadata = member.consumer_group_metadata()
    member.close()
    producer.begin_transaction()
    stand.send(producer, b"1")
    with pytest.raises(KafkaException) as raised:
        producer.send_offsets_to_transaction([TopicPartition(stand.topic, 0, 7)], metadata, WAIT_S)
    assert flags(raised.value) == ("UNKNOWN_MEMBER_ID", False, False, True)
    with pytest.raises(KafkaException) as refused:
        producer.commit_transaction(WAIT_S)
    assert refused.value.args[0].txn_requires_abort()
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    stand.send(producer, b"2")
    producer.commit_transaction(WAIT_S)
    assert [value for _, value in stand.read()[0]] == [b"2"]


def test_an_older_generation_is_refused(stand: Stand) -> None:
    """The group has moved on since the metadata was asked for: abort required."""
    member, producer = stand.member(), stand.producer()
    metadata = member.consumer_group_metadata()
    second = stand.consumer(group=f"{stand.topic}-group")
    came: list[Any] = []
    second.subscribe(
        [stand.topic], on_assign=lambda one, places: came.extend(places), on_revoke=lambda *_: None,
        on_lost=lambda *_: None,
    )  # fmt: skip
    deadline = time.monotonic() + WAIT_S
    while not came and time.monotonic() < deadline:
        member.poll(0.1)
        second.poll(0.1)
    producer.begin_transaction()
    with pytest.raises(KafkaException) as raised:
        producer.send_offsets_to_transaction([TopicPartition(stand.topic, 0, 7)], metadata, WAIT_S)
    assert flags(raised.value) == ("ILLEGAL_GENERATION", False, False, True)
    second.close()
    member.close()


def test_an_empty_transaction_leaves_no_trace(stand: Stand) -> None:
    """No record, no marker."""
    producer = stand.producer()
    producer.begin_transaction()
    producer.commit_transaction(WAIT_S)
    assert stand.read() == ([], 0)


def test_a_second_begin_is_refused(stand: Stand) -> None:
    """One transaction at a time; not fatal."""
    producer = stand.producer()
    producer.begin_transaction()
    with pytest.raises(KafkaException) as raised:
        producer.begin_transaction()
    assert flags(raised.value) == ("_STATE", False, False, False)


def test_a_transaction_that_took_too_long_is_aborted(stand: Stand) -> None:
    """By the coordinator, by itself; its producer is fenced."""
    producer = stand.producer(timeout_ms=1000)
    producer.begin_transaction()
    stand.send(producer, b"slow")
    if stand.library is clients:
        producer.broker.pass_time(30)
    deadline = time.monotonic() + 60
    while stand.read()[1] == 0 and time.monotonic() < deadline:
        time.sleep(1)
    with pytest.raises(KafkaException) as raised:
        producer.commit_transaction(WAIT_S)
    assert raised.value.args[0].fatal()
    assert stand.read() == ([], 2)


def test_an_offset_that_is_not_there_is_an_error(stand: Stand) -> None:
    """Behind the end: no silent reset."""
    consumer = stand.consumer()
    consumer.assign([TopicPartition(stand.topic, 0, 99)])
    message = None
    for _ in range(300):
        message = consumer.poll(0.1)
        if message is not None:
            break
    consumer.close()
    assert message is not None
    assert message.error().code() == KafkaError._AUTO_OFFSET_RESET


def test_the_mark_of_the_last_fetch_is_the_high_watermark(stand: Stand) -> None:
    """Also for a committed reader that had to stop before an open transaction."""
    producer, other = stand.producer("a"), stand.producer(None)
    stand.send(other, b"before")
    producer.begin_transaction()
    stand.send(producer, b"open")
    consumer = stand.consumer()
    place = TopicPartition(stand.topic, 0, 0)
    consumer.assign([place])
    for _ in range(300):
        message = consumer.poll(0.1)
        if message is not None and message.error() is not None:
            break
    assert consumer.get_watermark_offsets(place, cached=True)[1] == 2
    consumer.close()
    producer.abort_transaction(WAIT_S)


def test_a_report_names_offset_and_no_error(stand: Stand) -> None:
    """Offsets as they are in the log."""
    producer = stand.producer()
    producer.begin_transaction()
    assert stand.send(producer, b"1", b"2") == [(None, 0), (None, 1)]
    producer.commit_transaction(WAIT_S)
    producer.begin_transaction()
    assert stand.send(producer, b"3") == [(None, 3)]
    producer.abort_transaction(WAIT_S)
