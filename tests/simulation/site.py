"""Where a fake client lives: the process that it is in, its way to the broker, and what its messages and errors are.

Read clients.py before, producer.py and consumer.py next.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.broker import Broker, Stored

_FLAGS = {"fatal": False, "retriable": False, "txn_requires_abort": False}
NETWORK_S = 0.0005
"""Of a request and its answer."""


class Site(Protocol):
    """The process in which a client lives, and what befalls it."""

    broker: Broker
    dead: bool
    deaf_until: float

    def touch(self, what: str) -> str | None:
        """Something is about to happen, or has just happened. May raise Crash. Returns what shall go wrong."""
        ...

    def cut_off_until(self) -> float:
        """When this process reaches the broker again."""
        ...

    def draw(self, limit: int) -> int:
        """From 0 to below ``limit``; what the simulation lets happen by chance."""
        ...

    def alive(self) -> bool:
        """Whether its background threads run."""
        ...

    def beside(self) -> None:
        """A call takes its time: other threads may get on with their work meanwhile."""
        ...

    def begins(self, name: str) -> None:
        """A transaction of this id is begun."""
        ...


class Here:
    """Whose code runs now."""

    site: Site | None = None


def here() -> Site:
    assert Here.site is not None, "a client was made outside of any process"
    return Here.site


def kafka_error(code: int, reason: str = "", **flags: bool) -> KafkaError:
    return KafkaError(code, reason or KafkaError(code).str(), **{**_FLAGS, **flags})


def failure(code: int, reason: str = "", **flags: bool) -> KafkaException:
    return KafkaException(kafka_error(code, reason, **flags))


class Message:
    """A record, or the sign of an end or of an error."""

    __slots__ = ("_error", "_partition", "_stored", "_topic")

    def __init__(self, topic: str, partition: int, stored: Stored, error: KafkaError | None = None) -> None:
        self._topic, self._partition, self._stored, self._error = topic, partition, stored, error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._stored.offset

    def key(self) -> bytes | None:
        return self._stored.key

    def value(self) -> bytes | None:
        return self._stored.value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._stored.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._stored.timestamp_ms


class Client:
    """What all have: a process, its way to the broker, and the settings' callback for errors."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.site = here()
        self.broker = self.site.broker
        self._settings = dict(settings)
        self._error_cb: Callable[[KafkaError], None] = settings.get("error_cb", lambda _: None)

    def _reach(self, timeout_s: float, then: str) -> bool:
        """Wait for the broker; whether it was there in time. ``then`` names the touch before the request."""
        until = self.site.cut_off_until()
        if until > self.broker.now:
            self._error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all brokers are down"))
            if until - self.broker.now > timeout_s:
                self.broker.pass_time(timeout_s)
                self.site.touch("waited in vain")
                return False
            self.broker.pass_time(until - self.broker.now)
        self.site.touch(then)
        self.broker.pass_time(NETWORK_S)
        self.broker.request()
        return True


class GroupMetadata(NamedTuple):
    group: str
    member: str
    generation: int
