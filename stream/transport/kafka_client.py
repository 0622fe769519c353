"""What every librdkafka client here needs: names of topics, settings, and librdkafka's errors in our words.

Clients never block for ever: each call has a deadline, and what librdkafka says on the side (bad credentials, all
brokers down) is kept by a ``Watcher``, so that a call that only timed out can say why. Read kafka.py next.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from stream.errors import (
    RESHARD,
    ConfigError,
    Fenced,
    LogError,
    LogMisfit,
    LogUnavailable,
    OutputTooLarge,
    RecordsGone,
)
from stream.records import OutputName

REQUEST_S = 30.0
"""How long a question to the cluster may go unanswered before LogUnavailable."""

WATCH_S = 5.0
"""How often topics are looked at while a worker runs."""

START_OVER = "start over with `headrace restart CONFIG`"

_BREAKS = 6
_BREAKS_S = 10.0
"""So many breaks within so long are a refusal: librdkafka 2.16 tries again after 25 ms, then at most after a second."""

Client = TypeVar("Client")


class _Whisper:
    """librdkafka's own log, as debugging material: what matters of it comes back as an error from a call."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("headrace.kafka")

    def log(self, _: int, message: str, *details: object) -> None:
        self._logger.debug(message, *details)


_logger = _Whisper()


@dataclass(frozen=True, slots=True)
class KafkaTopics:
    """The topics of one pipeline. All have the same number of partitions (labels too, unless they are broadcast)."""

    events: str
    labels: str | None
    predictions: str
    alarms: str
    rejects: str
    journal: str

    def output(self, name: OutputName) -> str:
        topic: str = getattr(self, name)
        return topic

    def all(self) -> tuple[str, ...]:
        labels = () if self.labels is None else (self.labels,)
        return (self.events, *labels, self.predictions, self.alarms, self.rejects, self.journal)


class TopicFacts(NamedTuple):
    """What a cluster says of a topic."""

    id: str
    partitions: int


# librdkafka's own codes start with an underscore; they are public.
END: int = KafkaError._PARTITION_EOF  # noqa: SLF001
TIMED_OUT: int = KafkaError._TIMED_OUT  # noqa: SLF001
ALL_DOWN: int = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
REFUSED = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001
    KafkaError._SSL,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_UNKNOWN = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
}
_FENCED = {
    KafkaError._FENCED,  # noqa: SLF001
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
}


class Watcher:
    """Keeps what librdkafka says on the side about one client (its ``error_cb``).

    A connection that broke within the SASL handshake comes as refused credentials too. Once, that is an outage; several
    times within seconds it is a broker that hangs up on us, until that is over.
    """

    def __init__(self) -> None:
        self.down: KafkaError | None = None
        self._refused: KafkaError | None = None
        self._breaks: deque[tuple[float, KafkaError]] = deque(maxlen=_BREAKS)

    @property
    def refused(self) -> KafkaError | None:
        """Why Kafka refuses us, None when it does not."""
        if self._refused is None and len(self._breaks) == _BREAKS and time.monotonic() < self._breaks[0][0] + _BREAKS_S:
            return self._breaks[-1][1]
        return self._refused

    def __call__(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION and "failed: Local: " in error.str():  # noqa: SLF001
            self._breaks.append((time.monotonic(), error))
        elif error.code() in REFUSED:
            self._refused = error
        elif error.code() == ALL_DOWN:
            self.down = error


class Settings:
    """librdkafka settings of one pipeline, as every client gets them.

    Parameters
    ----------
    given
        The operator's: ``bootstrap.servers``, SASL, TLS and what else they like. What the protocol rests on wins.
    client_id
        How brokers see these clients in their logs and quotas.
    """

    def __init__(self, given: Mapping[str, object], client_id: str) -> None:
        self._given = dict(given)
        self._common = {
            "client.id": client_id,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,  # the default of 10 s would be added to every outage
        }

    def client(self, watcher: Watcher, own: Mapping[str, object]) -> dict[str, Any]:
        """For the constructor of one client; ``own`` wins over what the operator gave."""
        return {**self._common, **self._given, **own, "error_cb": watcher, "logger": _logger}

    def make(self, client: Callable[[dict[str, Any]], Client], watcher: Watcher, own: Mapping[str, object]) -> Client:
        """A client of this class. Raises ConfigError where librdkafka refuses a setting: its name, its value, or two together."""
        try:
            return client(self.client(watcher, own))
        except (KafkaException, TypeError, ValueError) as failure:
            said = failure.args[0].str() if isinstance(failure, KafkaException) else str(failure)
            raise ConfigError(f"kafka: {said.strip()}", "settings have librdkafka's names and values") from failure

    @property
    def endpoint(self) -> str:
        """Where and how clients log in, for messages; no secret in it."""
        servers = self._given.get("bootstrap.servers", "")
        protocol = str(self._given.get("security.protocol", "plaintext")).lower()
        mechanism = self._given.get("sasl.mechanism") or self._given.get("sasl.mechanisms")
        return f"{servers} ({protocol}{f', {mechanism}' if mechanism and 'sasl' in protocol else ''})"

    def error(self, error: KafkaError, doing: str, watcher: Watcher | None = None) -> LogError:
        """Our error for librdkafka's. ``doing`` says what failed and where; anything unknown is LogUnavailable."""
        code = error.code()
        if code == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            return LogMisfit(
                f"{doing}: the brokers allow only shorter transactions",
                "lower `transaction_timeout:`, or raise transaction.max.timeout.ms on the brokers",
            )
        if (error.fatal() and code not in REFUSED) or code in _FENCED:
            return Fenced(f"{doing}: somebody else owns this task now ({error.str()})")
        if watcher is not None and (refused := watcher.refused) is not None:
            error, code = refused, refused.code()
        if code in REFUSED:
            return LogMisfit(
                f"{doing}: Kafka at {self.endpoint} refuses us: {error.str()}",
                "check the SASL and TLS settings under `kafka:`, and the user's rights",
            )
        if code in _UNKNOWN:
            return LogMisfit(
                f"{doing}: the topic was deleted, or lost partitions ({error.str()})",
                f"bring it back with its records, or {START_OVER}",
            )
        if code in OUT_OF_RANGE:
            return RecordsGone(f"{doing}: {error.str()}", START_OVER)
        if code == KafkaError.MSG_SIZE_TOO_LARGE:
            return OutputTooLarge(f"{doing}: {error.str()}", "raise max.message.bytes on the topic")
        return LogUnavailable(
            f"{doing}: Kafka at {self.endpoint} does not answer: {error.str()}", "is it up, and is that its address?"
        )


def kafka_error(failure: KafkaException | SystemError) -> KafkaError:
    """What failed. Raises ``failure`` again when it is not Kafka's.

    confluent-kafka 2.16 raises a fatal error inside a poll and then still calls delivery reports back, with that exception
    pending: whatever the report calls then raises SystemError, caused by the fatal one.
    """
    cause = failure.__cause__ if isinstance(failure, SystemError) else failure
    if not isinstance(cause, KafkaException):
        raise failure
    error: KafkaError = cause.args[0]
    return error


class Deadline:
    """A moment by which something must be done."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, at_most: float = float("inf")) -> float:
        """Seconds that remain, never negative."""
        return min(max(self._at - time.monotonic(), 0.0), at_most)

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._at


def knock(settings: Settings, timeout_s: float = 5.0) -> None:
    """Say why a cluster cannot be talked to, when it cannot. Raises ConfigError, LogMisfit, LogUnavailable."""
    watcher = Watcher()
    admin = settings.make(AdminClient, watcher, {})
    deadline = Deadline(timeout_s)
    while True:
        try:
            admin.list_topics(timeout=deadline.left(0.5) or 0.1)
        except KafkaException as failure:
            admin.poll(0)  # so that the watcher hears
            if watcher.refused is not None or deadline.passed:
                raise settings.error(failure.args[0], "connecting", watcher) from failure
        else:
            return


def describe(settings: Settings, topics: Sequence[str], timeout_s: float = REQUEST_S) -> dict[str, TopicFacts]:
    """Ids and partition counts of topics; those that do not exist are left out.

    Raises
    ------
    ConfigError
        librdkafka does not know a setting, or not that value of it.
    LogMisfit, LogUnavailable
    """
    watcher = Watcher()
    admin = settings.make(AdminClient, watcher, {})
    deadline = Deadline(timeout_s)
    found: dict[str, TopicFacts] = {}
    futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=max(timeout_s, 1.0))
    for topic, future in futures.items():
        try:
            # In slices: the client says why it cannot connect only to somebody who polls.
            while not future.done() and not deadline.passed and watcher.refused is None:
                admin.poll(0.01)
            description = future.result(timeout=0 if not future.done() else None)
        except KafkaException as failure:
            if failure.args[0].code() not in _UNKNOWN:
                raise settings.error(failure.args[0], f"asking for topic {topic}", watcher) from failure
        except TimeoutError:
            raise settings.error(KafkaError(TIMED_OUT), f"asking for topic {topic}", watcher) from None
        else:
            found[topic] = _facts(description)
    return found


def _facts(description: Any) -> TopicFacts:
    return TopicFacts(str(description.topic_id), len(description.partitions))


def compare(former: Mapping[str, TopicFacts], now: Mapping[str, TopicFacts]) -> None:
    """Raise LogMisfit when one of the topics is another one, or has other partitions."""
    for name, facts in now.items():
        if facts.id != former[name].id:
            raise LogMisfit(f"topic {name} was recreated (id {former[name].id}, now {facts.id})", START_OVER)
        if facts.partitions != former[name].partitions:
            raise LogMisfit(
                f"topic {name} had {former[name].partitions} partitions, now {facts.partitions}",
                f"{RESHARD}; make all topics of the pipeline that wide (`headrace topics check CONFIG`) and {START_OVER}",
            )


class TopicWatch:
    """Asks now and then whether topics are still the same, and never waits for the answer.

    A consumer does not notice: in a topic that was recreated and has grown past its position it reads on, without what
    stands before. What was applied meanwhile is in the journal, so the next start says so too.

    Parameters
    ----------
    settings
        As in KafkaLog.
    facts
        Of each topic, as they should be.
    """

    def __init__(self, settings: Settings, facts: Mapping[str, TopicFacts]) -> None:
        self._facts = facts
        self._admin = settings.make(AdminClient, Watcher(), {})
        self._asked: dict[str, Future[Any]] = {}
        self._next = Deadline(WATCH_S)

    def look(self) -> None:
        """Cheap; to be called often. Raises LogMisfit."""
        if self._asked:
            self._admin.poll(0)
            if all(future.done() for future in self._asked.values()):
                asked, self._asked, self._next = self._asked, {}, Deadline(WATCH_S)
                # An error is no answer: who reads or writes the topic hears of it.
                compare(self._facts, {t: _facts(f.result()) for t, f in asked.items() if f.exception() is None})
        elif self._next.passed:
            self._asked = self._admin.describe_topics(TopicCollection(list(self._facts)), request_timeout=REQUEST_S)
