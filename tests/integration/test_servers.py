"""The servers that other tests rest on."""

import time

import redis
from confluent_kafka.admin import AdminClient

from tests.servers import RedisServer


def test_a_broker_answers(kafka: str) -> None:
    """The shared broker is real: it names itself."""
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers


def test_a_redis_answers(redis_url: str) -> None:
    """The shared Redis is real."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_a_redis_can_be_killed_and_started_again() -> None:
    """It comes back on the same port, empty: it keeps nothing on disk."""
    with RedisServer() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
        server.kill()
        time.sleep(0.01)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") is None
