"""A Redis of our own, and what a real one does that no other store does: fill up, evict, forget scripts, ask for a password."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from stream.checkpoints.embedded import EmbeddedRedis
from stream.checkpoints.heads import digest_of
from stream.checkpoints.redis import CONNECTIONS_MAX, RedisStore
from stream.errors import ConfigError, StoreUnavailable

pytestmark = pytest.mark.redis

TASK = "fraud/0"
PIECE = b"piece\0\r\n"
DIGEST = digest_of(PIECE)


@pytest.fixture
def server(tmp_path):
    with EmbeddedRedis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def admin(server):
    client = redis.Redis.from_url(server.url)
    yield client
    client.close()


@pytest.fixture
def store(server):
    made = RedisStore(server.url)
    yield made
    made.close()


def save(store, position):
    store.put(TASK, {DIGEST: PIECE})
    return store.advance(TASK, b"head %d" % position, token=1, position=position, digests=[DIGEST], keep=3)


def test_our_own_server_is_fit(store):
    """Nothing to refuse, nothing to warn of."""
    assert store.verify() == ()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_evicts_is_refused(store, admin, policy):
    """It would say OK and drop a checkpoint. The words to mend it are there."""
    admin.config_set("maxmemory-policy", policy)
    with pytest.raises(ConfigError, match=policy) as caught:
        store.verify()
    assert "CONFIG SET maxmemory-policy noeviction" in caught.value.hint


def test_volatile_eviction_is_fine(store, admin):
    """Checkpoints have no time to live."""
    admin.config_set("maxmemory-policy", "volatile-lru")
    assert store.verify() == ()


def test_a_policy_is_found_where_config_is_denied(store, admin, server):
    """Managed servers deny CONFIG; INFO says it too. Where both are denied: a warning."""
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.acl_setuser("some", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
    admin.acl_setuser("few", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config", "-info"])
    some, few = (RedisStore(server.url, username=name, password="x") for name in ("some", "few"))
    with pytest.raises(ConfigError, match="allkeys-lru"):
        some.verify()
    (warning,) = few.verify()
    assert "does not say its maxmemory-policy" in warning
    some.close()
    few.close()


def test_a_full_server_is_unavailable_and_unchanged(store, admin):
    """Neither a put nor an advance goes half-way."""
    save(store, 1)
    admin.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="is full"):
        store.put(TASK, {digest_of(b"more"): b"more"})
    with pytest.raises(StoreUnavailable, match="is full"):
        store.advance(TASK, b"head 2", token=1, position=2, digests=[DIGEST], keep=1)
    assert list(store.heads(TASK)) == [b"head 1"]
    admin.config_set("maxmemory", "0")
    assert save(store, 2)


def test_a_server_that_forgot_the_scripts_is_told_again(store, admin):
    """After a restart or SCRIPT FLUSH."""
    save(store, 1)
    admin.script_flush()
    assert save(store, 2)


def test_all_keys_of_a_task_share_a_slot(store, admin):
    """One hash tag: what a cluster asks of a script."""
    save(store, 1)
    store.pin(TASK, 1, "release")
    keys = admin.keys("*")
    assert len(keys) == 5
    assert all(key.startswith(b"headrace:{fraud/0}:") for key in keys)


def test_pieces_that_are_deleted_leave_no_key(store, admin):
    """A task whose last head is deleted leaves nothing."""
    save(store, 1)
    store.delete(TASK, 1)
    assert admin.keys("*") == []


def test_a_password_is_not_shown(store, admin, server):
    """A refused one: the endpoint, not the secret."""
    admin.config_set("requirepass", "right")
    wrong = RedisStore(server.url, password="wrong-secret")
    with pytest.raises(StoreUnavailable, match=r"redis\.sock") as caught:
        wrong.tasks()
    assert "wrong-secret" not in str(caught.value)
    wrong.close()
    admin.close()
    named = redis.Redis.from_url(server.url, password="right")
    named.config_set("requirepass", "")
    named.close()


def test_a_frozen_server_is_given_up(server):
    """Answers have a time limit."""
    store = RedisStore(server.url, timeout_s=0.1)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="Timeout"):
            save(store, 1)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert save(store, 1)
    store.close()


def test_state_outlives_the_server(tmp_path):
    """Stopped and started again in the same directory."""
    for position in (1, 2):
        with EmbeddedRedis(tmp_path / "redis") as server:
            store = RedisStore(server.url)
            assert save(store, position)
            heads = list(store.heads(TASK))
            store.close()
    assert heads == [b"head 2", b"head 1"]


def test_a_directory_has_one_user(server):
    """A second is told so."""
    with pytest.raises(StoreUnavailable, match="another process uses"):
        EmbeddedRedis(server.directory)


def test_stopping_ends_the_process(tmp_path):
    """By its pid, and twice is no harm."""
    server = EmbeddedRedis(tmp_path / "redis")
    pid = server.pid
    server.stop()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_a_crash_left_is_taken_over(tmp_path):
    """Its parent was killed; the next one finds it by its socket, and ends it in the end."""
    first = EmbeddedRedis(tmp_path / "redis")
    os.close(first._lock)  # what the kernel does for a parent that is killed
    first._lock = -1
    with EmbeddedRedis(tmp_path / "redis") as second:
        assert second.pid == first.pid
    assert first._process is not None
    assert first._process.wait(10) == 0


def test_a_long_path_is_no_trouble(tmp_path):
    """Sockets have short names; the state is where it was asked for, also the second time."""
    directory = tmp_path / ("long" * 30)
    for position in (1, 2):
        with EmbeddedRedis(directory) as server:
            store = RedisStore(server.url)
            assert save(store, position)
            store.close()


def test_a_server_that_does_not_start_says_why(tmp_path):
    """Its last words are in the message, and nothing keeps running."""
    directory = tmp_path / "redis"
    directory.mkdir()
    (directory / "appendonly.aof").write_bytes(b"not an append-only file at all")
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"does not start: .*append only file"):
        EmbeddedRedis(directory)
    assert time.monotonic() - started < 10
    (directory / "appendonly.aof").unlink()
    EmbeddedRedis(directory).stop()


def test_many_tasks_save_at_once(store):
    """More threads than there are connections: each waits for one, and none is refused."""
    together = threading.Barrier(4 * CONNECTIONS_MAX)

    def work(number):
        together.wait(30)
        for _ in range(20):
            store.put(f"fraud/{number}", {DIGEST: PIECE})
        return store.missing(f"fraud/{number}", [DIGEST])

    with ThreadPoolExecutor(together.parties) as pool:
        assert list(pool.map(work, range(together.parties))) == [set()] * together.parties


def socket_of(server):
    return Path(redis.ConnectionPool.from_url(server.url).connection_kwargs["path"])


def test_a_master_that_was_demoted_is_left(store, server, admin, tmp_path):
    """It refuses one write; the next one goes to whoever has its address then, over a new connection."""
    save(store, 1)
    with EmbeddedRedis(tmp_path / "other") as other:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
            store.put(TASK, {digest_of(b"x"): b"x"})
        socket_of(other).replace(socket_of(server))
        store.put(TASK, {DIGEST: PIECE})
        assert store.missing(TASK, [DIGEST]) == set()
