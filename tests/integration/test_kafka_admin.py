"""The control plane against a real broker, with librdkafka as the witness of what kafka-python did."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from stream.errors import LogMisfit, LogUnavailable, OutputTooLarge
from stream.transport.admin import ControlPlane
from stream.transport.feeder import Feeder
from tests.kafka_place import KafkaPlace, own
from tests.servers import SASL_USER, KafkaServer

pytestmark = pytest.mark.kafka

Factory = Callable[..., KafkaPlace]


def uses(place: KafkaPlace) -> dict[str, str]:
    names = ("events", "labels", "predictions", "alarms", "rejects", "journal")
    return {use: getattr(place.topics, use) for use in names}


def read_all(place: KafkaPlace, topic: str, partitions: int) -> list[list[tuple[bytes | None, bytes | None]]]:
    consumer = Consumer({"bootstrap.servers": place.bootstrap, "group.id": "witness", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    taken: list[list[tuple[bytes | None, bytes | None]]] = [[] for _ in range(partitions)]
    ended = 0
    while ended < partitions:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ended += 1
        else:
            taken[message.partition()].append((message.key(), message.value()))
    consumer.close()
    return taken


def test_both_clients_see_the_same_topic(kafka_log_factory: Factory) -> None:
    """Partitions and id, as librdkafka writes them."""
    place = kafka_log_factory(partitions=3)
    log = place.log()
    with ControlPlane({"bootstrap.servers": place.bootstrap}) as plane:
        found = plane.describe([*place.topics.all(), "nobody-made-this"])
    assert {name: info.id for name, info in found.items()} == log.identity()["topics"]
    assert {info.partitions for info in found.values()} == {3}


def test_ensure_creates_outputs_and_journal_that_are_missing(kafka_log_factory: Factory) -> None:
    """With the events' partition count; the journal is kept for ever; a second time there is nothing to do."""
    place = kafka_log_factory(partitions=2)
    topics = {use: name if use in {"events", "labels"} else f"{name}-2" for use, name in uses(place).items()}
    with ControlPlane({"bootstrap.servers": place.bootstrap}) as plane:
        assert plane.ensure(topics) == [topics[use] for use in ("predictions", "alarms", "rejects", "journal")]
        assert plane.ensure(topics) == []
        found = plane.describe(list(topics.values()))
        assert plane.check_pipeline(topics) == []
    assert {info.partitions for info in found.values()} == {2}
    assert found[topics["journal"]].retention_ms == -1


def test_ensure_never_makes_the_events(kafka_log_factory: Factory) -> None:
    """How many models there are is not for us to guess."""
    place = kafka_log_factory()
    with (
        ControlPlane({"bootstrap.servers": place.bootstrap}) as plane,
        pytest.raises(LogMisfit, match="there is no topic"),
    ):
        plane.ensure(uses(place) | {"events": "nobody-made-this"})


def test_creating_what_exists_is_said(kafka_log_factory: Factory) -> None:
    """It is never taken for ours."""
    place = kafka_log_factory()
    with (
        ControlPlane({"bootstrap.servers": place.bootstrap}) as plane,
        pytest.raises(LogMisfit, match="exists already"),
    ):
        plane.create(place.topics.events, 1)


def test_a_journal_with_retention_is_a_problem(kafka_log_factory: Factory) -> None:
    """The default of seven days would forget what recovery needs."""
    place = kafka_log_factory()
    with ControlPlane({"bootstrap.servers": place.bootstrap}) as plane:
        assert [line for line in plane.check_pipeline(uses(place)) if "retention.ms=-1" in line]


def test_lag_and_members_of_a_working_group(kafka_log_factory: Factory) -> None:
    """The worker, its partition, and what it has not taken."""
    place = kafka_log_factory()
    place.append(place.topics.events, [b"x"] * 10)
    log = place.log()
    own(log, 0)
    task = log.open(0)
    task.fence()
    task.commit(b"claim", {}, (4, 0))
    with ControlPlane({"bootstrap.servers": place.bootstrap}) as plane:
        assert plane.group_lag(log.group) == {f"{place.topics.events}/0": 6, f"{place.topics.labels}/0": 0}
        (member,) = plane.members(log.group)
    assert member.partitions == (f"{place.topics.events}/0",)
    assert member.client_id == f"headrace-{place.name}"


def test_an_unknown_group_has_neither(kafka: str) -> None:
    """A pipeline that never ran."""
    with ControlPlane({"bootstrap.servers": kafka}) as plane:
        assert plane.group_lag("nobody") == {}
        assert plane.members("nobody") == []


def test_the_feeder_partitions_as_librdkafka_does(kafka_log_factory: Factory) -> None:
    """A key is in the same partition whoever sent it, so labels meet their events."""
    place = kafka_log_factory(partitions=4)
    keys = [b"customer-%d" % number for number in range(300)]
    progress: list[int] = []
    with Feeder({"bootstrap.servers": place.bootstrap}, progress=progress.append) as feeder:
        for key in keys:
            feeder.send(place.topics.events, key, b"event")
    assert progress[-1] == 300
    other = Producer({"bootstrap.servers": place.bootstrap, "partitioner": "murmur2_random"})
    for key in keys:
        other.produce(str(place.topics.labels), b"label", key)
    assert other.flush(30) == 0
    events, labels = (read_all(place, str(topic), 4) for topic in (place.topics.events, place.topics.labels))
    assert [[key for key, _ in part] for part in events] == [[key for key, _ in part] for part in labels]


def test_the_feeder_sends_many_in_order(kafka_log_factory: Factory) -> None:
    """More than may be open at once."""
    place = kafka_log_factory()
    with Feeder({"bootstrap.servers": place.bootstrap}) as feeder:
        for number in range(25_000):
            feeder.send(place.topics.events, b"k", b"%d" % number)
        assert feeder.flush() == 25_000
    (taken,) = read_all(place, place.topics.events, 1)
    assert [int(value or b"") for _, value in taken] == list(range(25_000))


def test_the_feeder_says_what_was_not_taken(kafka_log_factory: Factory) -> None:
    """A record above the limit fails the feed; it never passes in silence."""
    place = kafka_log_factory()
    feeder = Feeder({"bootstrap.servers": place.bootstrap})
    with pytest.raises(OutputTooLarge, match=place.topics.events), feeder:
        feeder.send(place.topics.events, b"k", b"x" * 3_000_000)


def test_the_feeder_makes_no_topics(kafka: str) -> None:
    """A misspelt name is said."""
    with pytest.raises(LogMisfit, match="no topic nobody-made-this"), Feeder({"bootstrap.servers": kafka}) as feeder:
        feeder.send("nobody-made-this", b"k", b"x")


def test_nobody_there_is_unavailable() -> None:
    """Within seconds, with the address."""
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1 "):
        ControlPlane({"bootstrap.servers": "127.0.0.1:1"})


def test_a_wrong_password_is_refused_without_showing_it() -> None:
    """As the data plane says it."""
    with KafkaServer() as server, pytest.raises(LogMisfit) as raised:
        ControlPlane(
            {
                "bootstrap.servers": server.bootstrap_sasl,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": SASL_USER,
                "sasl.password": "hunter2",
            }
        )
    assert server.bootstrap_sasl in str(raised.value)
    assert "hunter2" not in str(raised.value)
