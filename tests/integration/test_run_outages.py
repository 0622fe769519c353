"""Redis or Kafka goes away while a worker runs: it costs time, never results."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import Run, Stream, end_all, equals_calm, fill, pipeline
from tests.servers import KafkaServer, RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis]
BATCH = 20


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    return fill(kafka, 3000)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def often(redis: RedisServer) -> dict[str, object]:
    return {"checkpoints": {"store": redis.url, "every": "200 events"}}


def test_without_redis_work_goes_on(stream: Stream, redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """Redis dies: answers and learning go on, the metrics say so; killed after it, a worker folds the whole journal again."""
    made = pipeline(stream, tmp_path, own_redis.url, **often(own_redis))
    first = Run(made.path)
    first.wait_until(lambda: first.metric("checkpoints_total") > 0)
    own_redis.kill()
    first.wait_until(lambda: first.metric("checkpoint_failures_total") > 0)
    assert first.ready()
    age_s = first.metric("checkpoint_age_seconds")
    first.folded(stream.total)
    first.wait_until(lambda: first.metric("checkpoint_age_seconds") > age_s > 0)
    assert first.ready()
    assert "checkpoint not saved: Redis at" in first.log
    first.kill()
    own_redis.start()  # empty
    second = Run(made.path)
    second.wait_until(second.ready)
    assert (
        second.metric("recovered_records_total") >= stream.total - 2 * BATCH
    )  # what was not committed is not recovered
    second.folded(stream.total)
    second.stop()
    equals_calm(made, redis_url)


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


def test_a_worker_starts_without_redis(stream: Stream, redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """A worker killed while Redis is away is replaced by one that folds the journal, and says why that takes longer."""
    made = pipeline(stream, tmp_path, own_redis.url, **often(own_redis))
    first = Run(made.path)
    first.wait_until(lambda: first.metric("checkpoints_total") > 0)
    own_redis.kill()
    first.kill()
    second = Run(made.path)
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


def test_the_broker_is_gone_for_seconds(redis_url: str, tmp_path: Path) -> None:
    """Kafka is killed and comes back: not ready meanwhile, then on by itself, with the outputs of an uninterrupted run."""
    with KafkaServer() as broker:
        stream = fill(broker.bootstrap, 3000)
        made = pipeline(stream, tmp_path, redis_url)
        run = Run(made.path)
        run.folded(stream.total // 4)
        assert run.ready()
        broker.kill()
        run.wait_until(lambda: not run.ready())
        time.sleep(5)
        assert run.page("/healthz")[0] == 200
        broker.start()
        run.wait_until(run.ready)
        run.folded(stream.total)
        run.stop()
        assert "is the log there?" in run.log
        equals_calm(made, redis_url)
