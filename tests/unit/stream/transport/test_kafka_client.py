"""librdkafka's errors and settings in our words, without a cluster."""

from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from stream.errors import ConfigError, Fenced, LogError, LogMisfit, LogUnavailable, OutputTooLarge, RecordsGone
from stream.transport.kafka import KafkaLog
from stream.transport.kafka_client import KafkaTopics, Settings, TopicFacts, Watcher, compare, describe, kafka_error
from stream.transport.kafka_reader import seq_of
from stream.transport.kafka_source import reader_settings
from stream.transport.kafka_writer import Writer, producer_settings

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


BROKE_OFF = KafkaError(
    KafkaError._AUTHENTICATION,
    "sasl_plaintext://a:1/bootstrap: SASL PLAIN mechanism handshake failed: Local: Broker transport failure: "
    "broker's supported mechanisms: (n/a) (after 0ms in state DOWN)",
)


def test_a_connection_that_broke_in_the_handshake_is_no_refusal() -> None:
    """One break, as of a broker that goes down: whatever fails later is an outage, not bad credentials."""
    watcher = Watcher()
    watcher(BROKE_OFF)
    assert watcher.refused is None
    error = Settings(GIVEN, "c").error(KafkaError(KafkaError._TIMED_OUT), "connecting", watcher)
    assert isinstance(error, LogUnavailable)


def test_a_broker_that_hangs_up_again_and_again_refuses_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six handshakes broken within seconds are told as a refusal; fewer, minutes apart, or long ago, they are outages."""
    now = [0.0]
    monkeypatch.setattr("stream.transport.kafka_client.time", SimpleNamespace(monotonic=lambda: now[0]))
    watcher = Watcher()
    for now[0] in (0.0, 300.0, 600.0, 600.1, 600.2, 600.3, 600.4):
        watcher(BROKE_OFF)
        assert watcher.refused is None
    now[0] = 600.5
    watcher(BROKE_OFF)
    assert watcher.refused is BROKE_OFF
    now[0] = 700.0
    assert watcher.refused is None


def test_a_refusal_may_lapse_while_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the time is up, the error is one of ours."""
    for limit in range(8):
        reads = iter([0.0] * (6 + limit) + [100.0] * 20)
        monkeypatch.setattr("stream.transport.kafka_client.time", SimpleNamespace(monotonic=reads.__next__))
        watcher = Watcher()
        for _ in range(6):
            watcher(BROKE_OFF)
        error = Settings(GIVEN, "c").error(KafkaError(KafkaError._TIMED_OUT), "connecting", watcher)
        assert isinstance(error, LogMisfit if limit else LogUnavailable)


def test_what_the_broker_itself_refuses_stays_refused() -> None:
    """A mechanism that it does not have, told at the same handshake: once is enough."""
    watcher = Watcher()
    watcher(
        KafkaError(KafkaError._AUTHENTICATION, "SASL X mechanism handshake failed: Broker: Unsupported SASL mechanism")
    )
    watcher(BROKE_OFF)
    assert watcher.refused is not None
    assert "Unsupported SASL mechanism" in watcher.refused.str()


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


@pytest.mark.parametrize(
    ("client", "wrong", "named"),
    [
        (Producer, {"message.timeout.ms": 300_000}, r"message\.timeout\.ms"),
        (Consumer, {"session.timeout.ms": 400_000}, r"session\.timeout\.ms"),
        (Consumer, {"fetch.message.max.bytes": 1 << 30}, r"fetch\.message\.max\.bytes.*1073741824"),
        (AdminClient, {"oauth_cb": "x"}, "oauth_cb"),
    ],
)
def test_whatever_client_is_made_a_wrong_setting_is_named(client: type, wrong: dict[str, object], named: str) -> None:
    """Also what librdkafka only refuses of a producer or a consumer, and what confluent-kafka refuses before."""
    own = {
        Producer: producer_settings("id", 60_000, 30.0),
        Consumer: reader_settings("group"),
        AdminClient: dict[str, object](),
    }
    settings = Settings({"bootstrap.servers": "127.0.0.1:1", **wrong}, "client")
    with pytest.raises(ConfigError, match=f"kafka: .*{named}") as refused:
        settings.make(client, Watcher(), own[client])
    assert refused.value.hint is not None


def test_a_task_that_cannot_make_its_producer_names_the_setting() -> None:
    """It ends as the operator's mistake, not as a failure of the program."""
    topics = KafkaTopics("e", None, "p", "a", "r", "j")
    settings = Settings({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300_000}, "client")
    writer = Writer(settings, topics, 0, transactional_id="x", transaction_timeout_ms=60_000, deadline_s=0.2)
    with pytest.raises(ConfigError, match=r"message\.timeout\.ms"):
        writer.fence()


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
