"""Servers that tests share, started when the first test asks. See servers.py.

``HEADRACE_TEST_KAFKA=host:port`` and ``HEADRACE_TEST_REDIS=redis://...`` name running ones instead. A server that does
not start fails its tests: nothing is skipped.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # tests/servers.py is imported as tests.servers

from tests.servers import KafkaServer, RedisServer


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
