"""librdkafka's errors and settings in our words, without a cluster."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from stream.errors import ConfigError, Fenced, LogError, LogMisfit, LogUnavailable, OutputTooLarge, RecordsGone
from stream.transport.kafka import KafkaLog
from stream.transport.kafka_client import KafkaTopics, Settings, TopicFacts, Watcher, compare, describe, kafka_error
from stream.transport.kafka_reader import seq_of
from stream.transport.kafka_writer import producer_settings

GIVEN = {
    "bootstrap.servers": "a:1,b:2",
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
    "sasl.password": "hunter2",
    "enable.auto.commit": True,
}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._FENCED, Fenced),
        (KafkaError.INVALID_PRODUCER_EPOCH, Fenced),
        (KafkaError.UNKNOWN_MEMBER_ID, Fenced),
        (KafkaError.SASL_AUTHENTICATION_FAILED, LogMisfit),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, LogMisfit),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, LogMisfit),
        (KafkaError._AUTO_OFFSET_RESET, RecordsGone),
        (KafkaError.MSG_SIZE_TOO_LARGE, OutputTooLarge),
        (KafkaError._ALL_BROKERS_DOWN, LogUnavailable),
        (KafkaError._TIMED_OUT, LogUnavailable),
    ],
)
def test_every_error_says_what_failed(code: int, kind: type[LogError]) -> None:
    """A class of ours, and what was being done."""
    error = Settings(GIVEN, "c").error(KafkaError(code), "reading t/0")
    assert type(error) is kind
    assert error.message.startswith("reading t/0")


def test_a_timeout_after_a_refused_login_is_the_refusal() -> None:
    """Calls only time out; the reason came on the side."""
    watcher = Watcher()
    watcher(KafkaError(KafkaError._AUTHENTICATION, "bad password"))
    error = Settings(GIVEN, "c").error(KafkaError(KafkaError._TIMED_OUT), "connecting", watcher)
    assert isinstance(error, LogMisfit)
    assert "a:1,b:2 (sasl_ssl, PLAIN)" in str(error)
    assert "hunter2" not in str(error)


def test_what_the_protocol_rests_on_wins() -> None:
    """An operator's setting never turns on automatic commits; everything else reaches the client."""
    made = Settings(GIVEN, "c").client(Watcher(), {"enable.auto.commit": False})
    assert made["enable.auto.commit"] is False
    assert made["sasl.password"] == "hunter2"


def test_a_fatal_error_is_found_beneath_a_system_error() -> None:
    """confluent-kafka calls reports back with the fatal exception pending; any other SystemError stays one."""
    fatal = KafkaException(KafkaError(KafkaError._FENCED, fatal=True))
    broken = SystemError("returned a result with an exception set")
    broken.__cause__ = fatal
    assert kafka_error(broken).code() == KafkaError._FENCED
    with pytest.raises(SystemError):
        kafka_error(SystemError("something else"))


def test_outputs_without_a_seq_are_nobodys() -> None:
    """A foreign record in an output topic has no seq."""
    assert seq_of(Message(headers=[("reason", b"x"), ("seq", b"42")])) == 42
    assert seq_of(Message(headers=None)) is None


def test_topics_without_labels() -> None:
    """A pipeline whose labels ride in the events has five topics."""
    topics = KafkaTopics("e", None, "p", "a", "r", "j")
    assert topics.all() == ("e", "p", "a", "r", "j")
    assert [topics.output(name) for name in ("predictions", "alarms", "rejects")] == ["p", "a", "r"]


def test_only_exactly_once_has_a_transactional_id() -> None:
    """at_least_once stays idempotent."""
    assert "transactional.id" not in producer_settings(None, 60_000, 30.0)
    assert producer_settings(None, 60_000, 30.0)["enable.idempotence"] is True
    assert producer_settings("g-0", 60_000, 30.0)["transactional.id"] == "g-0"


@pytest.mark.parametrize("wrong", [{"batch.num.mesages": 3}, {"acks": "banana"}])
def test_a_wrong_setting_is_the_operators_mistake(wrong: dict[str, object]) -> None:
    """A name that librdkafka does not know, or a value: refused with the name, before anybody is connected to."""
    settings = Settings({"bootstrap.servers": "127.0.0.1:1", **wrong}, "client")
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        describe(settings, ["events"])


def test_a_session_timeout_with_a_unit_is_the_operators_mistake() -> None:
    """By the digits alone, as librdkafka reads it, a worker that is silent for 10 ms would lose its tasks."""
    topics = KafkaTopics("e", None, "p", "a", "r", "j")
    with pytest.raises(ConfigError, match=r"session\.timeout\.ms is a number of milliseconds, not '10s'"):
        KafkaLog({"bootstrap.servers": "127.0.0.1:1", "session.timeout.ms": "10s"}, pipeline="p", topics=topics)


def test_topics_are_compared_by_id_and_partitions() -> None:
    """The same: nothing happens. One that is absent is no difference: who reads it hears of it."""
    was = {"events": TopicFacts("a", 2), "labels": TopicFacts("b", 2)}
    compare(was, was)
    compare(was, {"events": was["events"]})
    with pytest.raises(LogMisfit, match="events was recreated"):
        compare(was, {**was, "events": TopicFacts("c", 2)})
    with pytest.raises(LogMisfit, match="labels had 2 partitions, now 3"):
        compare(was, {**was, "labels": TopicFacts("b", 3)})
