"""Redis goes away while a worker runs: it costs time, never results. The table of faults has further scenes: tests/faults."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import Run, Stream, equals_calm, pipeline
from tests.servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def often(redis: RedisServer) -> dict[str, object]:
    return {"checkpoints": {"store": redis.url, "every": "200 events"}}


def test_redis_comes_back_empty(stream: Stream, redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """Redis is wiped: the next checkpoint is whole again, so a successor starts from it."""
    made = pipeline(stream, tmp_path, own_redis.url, **often(own_redis))
    first = Run(made.path)
    first.wait_until(lambda: first.metric("checkpoints_total") > 0)
    own_redis.kill()
    own_redis.start()
    first.folded(stream.total)
    first.stop()
    second = Run(made.path)
    second.wait_until(second.ready)
    assert second.metric("recovered_records_total") == 0
    second.stop()
    equals_calm(made, redis_url)


def test_a_frozen_redis_holds_nobody_up(stream: Stream, redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """Redis answers nothing for a while: all is answered and learned meanwhile; afterwards checkpoints are saved again."""
    made = pipeline(stream, tmp_path, own_redis.url, **often(own_redis))
    first = Run(made.path)
    first.wait_until(lambda: first.metric("checkpoints_total") > 0)
    own_redis.freeze()
    first.folded(stream.total)
    assert first.ready()
    own_redis.thaw()
    first.stop()
    equals_calm(made, redis_url)


class Impatient(Run):
    """A worker that gives up on Redis after some seconds instead of a minute."""

    code = (
        "import functools, sys, stream.build as build; from stream.cli.main import main; "
        "build.TaskSettings = functools.partial(build.TaskSettings, store_patience=5); sys.exit(main())"
    )
    program = (sys.executable, "-c", code)


def test_a_worker_starts_without_redis(stream: Stream, redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """A worker killed while Redis is away is replaced by one that folds the journal, and says why that takes longer."""
    made = pipeline(stream, tmp_path, own_redis.url, **often(own_redis))
    first = Run(made.path)
    first.wait_until(lambda: first.metric("checkpoints_total") > 0)
    own_redis.kill()
    first.kill()
    second = Impatient(made.path)
    second.folded(stream.total)
    assert "Redis at" in second.log
    own_redis.start()
    second.stop()
    equals_calm(made, redis_url)


def test_a_redis_that_drops_checkpoints_is_refused(stream: Stream, tmp_path: Path) -> None:
    """`allkeys-*` eviction stops a worker at its start, with the setting to use."""
    with RedisServer(["--maxmemory-policy", "allkeys-lru"]) as wrong:
        run = Run(pipeline(stream, tmp_path, wrong.url).path)
        assert run.end() == 2
        assert "maxmemory-policy allkeys-lru" in run.log
        assert "CONFIG SET maxmemory-policy noeviction" in run.log
