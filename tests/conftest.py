"""Servers that tests share, started when the first test asks. See servers.py.

``HEADRACE_TEST_KAFKA=host:port`` and ``HEADRACE_TEST_REDIS=redis://...`` name running ones instead. A server that does
not start fails its tests: nothing is skipped.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # tests/servers.py is imported as tests.servers

from tests.servers import KafkaServer, RedisServer

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

    from tests.kafka_place import KafkaPlace


hypothesis.settings.register_profile(  # a busy machine is no finding
    "ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ours")


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python 3.0.12 reads its protocol's schemas with deprecated functions, at import."""
    config.addinivalue_line("filterwarnings", r"ignore:(read|open)_text is deprecated:DeprecationWarning")


WITH_SERVERS = tuple(f"tests/{name}/" for name in ("campaign", "clients", "faults", "integration"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "LoadScopeScheduling":
    """``make test`` has two processes: each folder of tests that need servers stays in one; other files go to who is free."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (not there when a test runs by itself)

    class ByServers(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in WITH_SERVERS if nodeid.startswith(folder)), nodeid.partition("::")[0])

    return ByServers(config, log)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """``bootstrap.servers`` of a real broker. Topic names must be the test's own."""
    named = os.environ.get("HEADRACE_TEST_KAFKA")
    if named:
        yield named
        return
    with KafkaServer() as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis's URL. Keys must be the test's own."""
    named = os.environ.get("HEADRACE_TEST_REDIS")
    if named:
        yield named
        return
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def ended() -> Iterator[None]:
    """Every worker that a test started and did not stop ends with it."""
    from tests.integration.running import end_all  # noqa: PLC0415 (most tests start none)

    yield
    end_all()


@pytest.fixture
def kafka_log_factory(kafka: str) -> "Iterator[Callable[..., KafkaPlace]]":
    """Makes fresh topics: ``place = kafka_log_factory(partitions=2)``, then ``place.append(...)`` and ``place.log()``."""
    from tests.kafka_place import KafkaPlace  # noqa: PLC0415 (most tests need no Kafka client)

    places: list[KafkaPlace] = []

    def make(partitions: int = 1, label_partitions: int | None = None) -> KafkaPlace:
        places.append(KafkaPlace(kafka, partitions, label_partitions))
        return places[-1]

    yield make
    for place in places:
        place.close()
