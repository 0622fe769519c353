"""Faults 20 to 23: Redis away, full, wiped, replaced, rolled back; checkpoints tampered with; nothing left to start from.

The stream grows when a test says so, so that nothing depends on who is quicker. Labels ride in the events: one input, one order.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.faults.scene import EVERY, Growing, delete_before, set_config
from tests.integration.running import Pipeline, Run, wait_for
from tests.servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
RETENTION_S = 30


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def growing(kafka: str, redis_url: str, tmp_path: Path) -> Growing:
    return Growing(kafka, tmp_path, redis_url)


def heads(made: Pipeline) -> str:
    """The key of the hash of heads: entry number -> signed bytes."""
    return f"headrace:{{{made.name}/0}}:heads"


def recovered(run: Run) -> float:
    """How many records it had to fold again."""
    run.wait_until(run.ready)
    return run.metric("recovered_records_total")


def test_fault_20_without_redis_work_goes_on_until_records_would_be_lost(kafka: str, growing: Growing) -> None:
    """Redis refuses, or is full: all is answered and learned, ready, and the age of the checkpoint grows and is served.

    Before a third of the inputs' retention is over the worker stops, and a successor makes the outputs of a calm run.
    """
    set_config(kafka, {growing.stream.events: {"retention.ms": str(RETENTION_S * 1000)}})
    with RedisServer() as dead, RedisServer() as full:
        pipelines = [growing.pipeline(server.url) for server in (dead, full)]
        runs = [Run(made.path) for made in pipelines]
        growing.grow(200)
        for run in runs:
            run.wait_until(lambda run=run: run.metric("checkpoints_total") > 0)
        dead.kill()
        client = redis.Redis.from_url(full.url)
        client.config_set("maxmemory", "1")
        growing.grow(400)
        for run in runs:
            growing.folded(run)
            run.wait_until(lambda run=run: run.metric("checkpoint_failures_total") > 0)
            age_s = run.metric("checkpoint_age_seconds")
            run.wait_until(lambda run=run, age_s=age_s: run.metric("checkpoint_age_seconds") > age_s > 0)
            assert run.ready()
        for run, server, trouble in zip(runs, (dead, full), ("does not do", "is full"), strict=True):
            assert run.end() == 1
            assert f"checkpoint not saved: Redis at 127.0.0.1:{server.port}/0 {trouble}" in run.log
            told = run.log.partition("no checkpoint could be saved for ")[2]
            assert int(told.split()[0]) < RETENTION_S / 3
            assert "mend the checkpoint store, or raise retention.ms" in told
        dead.start()  # empty
        client.config_set("maxmemory", "0")
        client.close()
        for made in pipelines:
            run = Run(made.path)
            assert recovered(run) > 0
            growing.folded(run)
            run.stop()
        growing.check(*pipelines)


def test_fault_21_a_redis_wiped_failed_over_or_rolled_back_costs_only_time(
    growing: Growing, own_redis: RedisServer, tmp_path: Path
) -> None:
    """An older checkpoint or none: a recovery folds more, and the results are those of a calm run."""
    made = growing.pipeline(own_redis.url)
    client = redis.Redis.from_url(own_redis.url)
    run = Run(made.path)
    growing.saved(run, 2)
    client.save()
    shutil.copy(own_redis.directory / "dump.rdb", tmp_path / "old.rdb")

    # failed over: to a replica that has not heard of the newest checkpoints
    with RedisServer() as replica:
        copy = redis.Redis.from_url(replica.url)
        copy.replicaof("127.0.0.1", str(own_redis.port))
        wait_for(lambda: copy.hlen(heads(made)) >= 1)
        copy.replicaof("no", "one")
        copy.close()
        growing.saved(run, 2)
        run.kill()
        made.change(checkpoints={"store": replica.url, "every": f"{EVERY} events"})
        run = Run(made.path)
        assert 0 < recovered(run) < growing.count
        run.kill()

    # rolled back: the first store, as it was long ago
    client.close()
    own_redis.kill()
    shutil.copy(tmp_path / "old.rdb", own_redis.directory / "dump.rdb")
    own_redis.start()
    made.change(checkpoints={"store": own_redis.url, "every": "1_000_000 events"})
    run = Run(made.path)
    assert 0 < recovered(run) < growing.count
    growing.grow()
    growing.folded(run)

    # wiped while it runs, and killed
    with redis.Redis.from_url(own_redis.url) as wiped:
        wiped.flushall()
    run.kill()
    run = Run(made.path)
    assert recovered(run) > 4 * EVERY
    growing.folded(run)
    run.stop()
    growing.check(made)


def test_fault_22_a_checkpoint_that_does_not_verify_is_passed_over_loudly(
    growing: Growing, own_redis: RedisServer
) -> None:
    """Torn, tampered with, signed with another key: `… failed verification (key …); using …`, and the same results."""
    made = growing.pipeline(own_redis.url)
    run = Run(made.path)
    growing.saved(run, 4)
    run.stop()
    with redis.Redis.from_url(own_redis.url) as client:
        found: dict[bytes, bytes] = client.hgetall(heads(made))
        torn, tampered, foreign, usable = sorted(found, key=int, reverse=True)[:4]
        key = found[usable][4:12].decode()
        client.hset(heads(made), torn, found[torn][:-7])
        client.hset(heads(made), tampered, found[tampered].replace(b'"token":', b'"token":1', 1))
        client.hset(heads(made), foreign, found[foreign][:4] + b"0badc0de" + found[foreign][12:])
    run = Run(made.path)
    assert recovered(run) > 0
    said = f"a checkpoint of {made.name}/0 failed verification (key {key}…): "
    using = f"; using {usable.decode()}"
    run.wait_until(lambda: using in run.log)
    assert run.log.count(f"{said}its signature does not fit its bytes{using}") == 2
    assert f"{said}it was signed with key 0badc0de…{using}" in run.log
    growing.grow()
    growing.folded(run)
    run.stop()

    # a worker with another key passes over all of them
    run = Run(made.path, environment={"HEADRACE_CHECKPOINT_KEY": "ab" * 32})
    assert recovered(run) == growing.count
    run.wait_until(lambda: f"it was signed with key {key}…; no other checkpoint is left" in run.log)
    assert "ab" * 32 not in run.log
    run.stop()
    growing.check(made)


@pytest.mark.parametrize("left", ["none", "some"])
def test_fault_23_without_checkpoint_and_journal_it_stops(growing: Growing, own_redis: RedisServer, left: str) -> None:
    """No usable checkpoint and a journal that does not begin at its beginning: stop, say so, and name the command.

    Nothing is written; and the command starts over.
    """
    made = growing.pipeline(own_redis.url)
    growing.grow(300)
    run = Run(made.path)
    growing.folded(run)
    run.stop()
    before = made.outputs()
    made.forget_checkpoints()
    delete_before(growing.stream.kafka, made.config.topics()["journal"], 10 if left == "some" else -1)
    run = Run(made.path)
    assert run.end() == 1
    if left == "some":
        assert "cannot rebuild: no usable checkpoint, and the journal starts at entry " in run.log
        assert ", need 0" in run.log
    else:
        assert f"cannot rebuild: the journal {made.config.topics()['journal']}/0 is empty" in run.log
    assert "headrace restart CONFIG" in run.log
    assert made.outputs() == before
    if left == "none":
        return
    assert "starts over" in made.headrace("restart", "--yes")
    run = Run(made.path)
    growing.folded(run)
    run.stop()
    answers = made.outputs()["predictions"]
    assert [one.value for one in answers[300:]] == [one.value for one in answers[:300]]
    assert [int(one.headers["seq"]) for one in answers] == list(range(600))
