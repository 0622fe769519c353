"""A fake of the client library: as much of ``confluent_kafka`` as stream/transport uses, over broker.py, without threads.

Errors are the real ``KafkaError`` with the flags that librdkafka 2.16 gives them. A call that would wait lets virtual
time pass. Before and after whatever a process asks of the broker the simulation is told (``Site``), so that it can end
the process there, freeze it, or spoil the request. ``installed`` puts all of it in the place of the real one.
"""

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple
from unittest import mock

from confluent_kafka import KafkaError

from tests.simulation.consumer import Consumer
from tests.simulation.producer import Producer
from tests.simulation.site import Client, failure


class Described(NamedTuple):
    topic_id: str
    partitions: Sequence[int]


class AdminClient(Client):
    """Asks for topics."""

    def poll(self, timeout: float = 0) -> int:
        self.broker.pass_time(timeout)
        return 0

    def describe_topics(self, topics: Any, request_timeout: float = 30.0) -> dict[str, "Future[Any]"]:
        futures: dict[str, Future[Any]] = {}
        there = self._reach(request_timeout, "describe")
        for name in topics.topic_names:
            future = futures[name] = Future()
            topic = self.broker.topics.get(name)
            if not there:
                future.set_exception(failure(KafkaError._TIMED_OUT, retriable=True))
            elif topic is None:
                future.set_exception(failure(KafkaError.UNKNOWN_TOPIC_OR_PART))
            else:
                future.set_result(Described(topic.id, range(len(topic.partitions))))
        return futures


class Patience:
    """In the place of the thread that can be left behind: no call of these clients hangs."""

    def call(self, work: Callable[[], object], timeout_s: float, doing: str) -> None:
        work()

    def close(self) -> None:
        """There is no thread."""


@contextlib.contextmanager
def installed(now: Callable[[], float]) -> Iterator[None]:
    """The fake in the place of the library, and virtual time in the place of the clock."""
    clock = types.SimpleNamespace(monotonic=now)
    names: dict[str, Mapping[str, Any]] = {
        "kafka": {"Consumer": Consumer},
        "kafka_client": {"AdminClient": AdminClient, "time": clock},
        "kafka_reader": {"Consumer": Consumer},
        "kafka_source": {"Consumer": Consumer},
        "kafka_writer": {"Producer": Producer, "AdminClient": AdminClient, "Patience": Patience},
    }
    with contextlib.ExitStack() as stack:
        for module, fakes in names.items():
            stack.enter_context(mock.patch.multiple(f"stream.transport.{module}", **fakes))
        yield
