"""Ten thousand tampered checkpoints, none taken up; what is badly signed is never parsed. See checkpoints.py."""

import json
import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

import stream.checkpoints.heads
import stream.checkpoints.pickles
import stream.checkpoints.restored
from stream.checkpoints.base import CheckpointStore
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.files import FileStore
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.redis import RedisStore
from stream.errors import StoreUnavailable, Unverified
from tests.harness import Crash, Service, config
from tests.hostile.checkpoints import SIGNER, Stored, Tampered, _broker, genuine, tampered

COUNT = int(os.environ.get("HEADRACE_TAMPERED", "10000"))
PER_TEST = 1000
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.",
    "socket.connect",
    "exec",
    "compile",
    "import",
    "open",
    "ctypes.",
    "shutil.",
)


@dataclass
class Seen:
    """What of a checkpoint came to whom."""

    heads: list[bytes] = field(default_factory=list)
    pickles: list[bytes] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    armed: bool = False

    def clear(self) -> None:
        for each in (self.heads, self.pickles, self.given, self.done):
            each.clear()


@dataclass
class Untouched:
    """A part that tells when it is given a state."""

    name: str
    seen: Seen
    codec: str = "pickle"

    def load(self, chunks):
        self.seen.given.append(self.name)


SEEN = Seen()


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if SEEN.armed and event.startswith(FORBIDDEN):
        SEEN.done.append(f"{event} {arguments!r:.100}")


sys.addaudithook(_audit)


@pytest.fixture(scope="module")
def stored() -> list[Stored]:
    return genuine()


@pytest.fixture
def seen(monkeypatch):
    """Everything that parses tells what it was given."""
    SEEN.clear()
    decoder, loads, unpickler = (
        stream.checkpoints.heads._decoder,
        stream.checkpoints.pickles.loads,
        stream.checkpoints.pickles._Unpickler,
    )

    class Decoder:
        def decode(self, body):
            SEEN.heads.append(body)
            return decoder.decode(body)

    class Unpickler(unpickler):
        def load(self):
            assert SEEN.pickles, "unpickled behind the spy's back"
            SEEN.armed = True
            try:
                return super().load()
            finally:
                SEEN.armed = False

    def spied(data, *rest, **named):
        SEEN.pickles.append(data)
        return loads(data, *rest, **named)

    monkeypatch.setattr(stream.checkpoints.heads, "_decoder", Decoder())
    monkeypatch.setattr(stream.checkpoints.pickles, "_Unpickler", Unpickler)
    monkeypatch.setattr(stream.checkpoints.restored, "loads", spied)
    return SEEN


def untouched(stored: Stored, seen: Seen) -> list[tuple[str, Untouched]]:
    """Parts of the names that the checkpoint lists."""
    names = dict.fromkeys(chunk["part"] for chunk in json.loads(stored.body)["chunks"])
    return [(name, Untouched(name, seen)) for name in names]


def refused(store: CheckpointStore, stored: Stored, seen: Seen, said: list[str]) -> list[str]:
    """Try to take up what the store holds; the reasons for which it was refused. A checkpoint that is taken up fails."""
    reasons: list[str] = []
    parts = untouched(stored, seen)
    checkpointer = Checkpointer(store, SIGNER, stored.task, keep=3, on_unverified=said.append, fork=False)
    for restored in checkpointer.restore():
        with pytest.raises(Unverified) as caught:
            restored.load(parts)
        reasons.append(str(caught.value))
    return reasons


def hold(one: Tampered, original: list[Stored], seen: Seen, reasons: list[str], said: list[str]) -> None:
    """What must be so after a tampered checkpoint."""
    where = f"{one.kind} at the {one.wall}"
    assert len(said) == 1, where  # told once, in words
    assert "failed verification (key " in said[0], where
    assert not seen.given, where
    assert not seen.done, f"{where}: {seen.done}"
    pieces = {piece for each in original for piece in each.pieces.values()}
    if one.wall == "signature":
        assert not seen.heads, where
        assert not seen.pickles, where
    elif one.wall == "head":
        assert not seen.pickles, where
    elif one.wall == "digest":
        assert reasons, where
        assert set(seen.pickles) <= pieces, where
    else:
        assert reasons, where
        assert len(set(seen.pickles) - pieces) == 1, where


@pytest.mark.parametrize("first", range(0, COUNT, PER_TEST))
def test_none_of_ten_thousand_is_taken_up(first, stored, seen, tmp_path, monkeypatch):
    """Refused where it must be: nothing parsed before the signature, nothing called by a pickle, no part touched."""
    monkeypatch.chdir(tmp_path)
    kinds: Counter[str] = Counter()
    for seed in range(first, first + PER_TEST):
        one = tampered(seed, stored)
        store, said = MemoryStore(), []
        fill_memory(store, stored[0].task, one.stored)
        seen.clear()
        reasons = refused(store, stored[0], seen, said)
        hold(one, stored, seen, reasons, said)
        kinds[one.kind] += 1
    print(dict(kinds))
    assert len(kinds) > 20
    assert not list(tmp_path.iterdir())


def fill_memory(store: MemoryStore, task: str, one: Stored) -> None:
    assert store.advance(task, one.blob, token=1, position=1, digests=(), keep=1)
    store._tasks[task].pieces = dict(one.pieces)


def test_the_genuine_one_is_taken_up(stored, seen):
    """Otherwise refusals would say nothing."""
    store, said = MemoryStore(), []
    fill_memory(store, stored[0].task, stored[0])
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused(store, stored[0], seen, said)
    assert seen.given
    assert not seen.done
    assert not said


@pytest.mark.parametrize("seed", range(120))
def test_in_files_too(seed, stored, seen, tmp_path):
    """The same from a directory, whose files anybody may have written."""
    one = tampered(seed, stored)
    store, said, task = FileStore(tmp_path), [], stored[0].task
    store.put(task, dict.fromkeys(one.stored.pieces, b""))
    assert store.advance(task, one.stored.blob, token=1, position=1, digests=list(one.stored.pieces), keep=1)
    for path in (tmp_path / "test%2F0" / "pieces").iterdir():
        path.unlink()
    for digest, piece in one.stored.pieces.items():
        (tmp_path / "test%2F0" / "pieces" / digest).write_bytes(piece)
    hold(one, stored, seen, refused(store, stored[0], seen, said), said)


@pytest.mark.parametrize(
    "name",
    [
        "1x-1.head",
        "0-x.head",
        "00000000000000000009-.head",
        "9--9.head",
        "99999999999999999999999999-1.head",
        "7.head",
        "0x10-1.head",
        "5-5-5.head",
    ],
)
def test_a_file_with_an_odd_name_is_no_head(name, stored, tmp_path):
    """The directory's own checkpoint is still there, and can still be followed by another."""
    store, task = FileStore(tmp_path), stored[0].task
    store.put(task, stored[0].pieces)
    assert store.advance(task, stored[0].blob, token=1, position=10, digests=list(stored[0].pieces), keep=2)
    (tmp_path / "test%2F0" / "heads" / name).write_bytes(b"[]\nrubbish")
    assert stored[0].blob in list(store.heads(task))
    assert store.tasks() == [task]


def test_a_head_file_whose_list_is_no_json_lists_nothing(stored, tmp_path):
    """The first line is not signed; whatever it holds, the store goes on."""
    store, task = FileStore(tmp_path), stored[0].task
    store.put(task, stored[0].pieces)
    assert store.advance(task, stored[0].blob, token=1, position=1, digests=list(stored[0].pieces), keep=1)
    for line in (b"\xff\xfe", b"[" * 5000, b'{"a": 1}', b'["\xff"]', b'["../../x"]', b""):
        (path,) = (tmp_path / "test%2F0" / "heads").iterdir()
        path.write_bytes(line + b"\n" + stored[0].blob)
        at = int(path.name.partition("-")[0]) + 1
        store.put(task, stored[0].pieces)
        assert store.advance(task, stored[0].blob, token=1, position=at, digests=list(stored[0].pieces), keep=1)


# --- Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(redis_url):
    client = redis.Redis.from_url(redis_url)
    yield client
    client.delete(*[f"headrace:{{test/0}}:{name}" for name in ("heads", "needs", "tokens", "pins", "pieces")])
    client.close()


def _fill(server: redis.Redis, one: Stored, position: bytes = b"1") -> None:
    server.delete("headrace:{test/0}:heads", "headrace:{test/0}:pieces")
    server.hset("headrace:{test/0}:heads", mapping={position: one.blob})
    if one.pieces:
        server.hset("headrace:{test/0}:pieces", mapping=dict(one.pieces))


@pytest.mark.redis
def test_in_redis_too(redis_url, server, stored, seen):
    """Two hundred of them, as whoever has the server's password would write them."""
    store = RedisStore(redis_url)
    for seed in range(200):
        one, said = tampered(seed, stored), []
        _fill(server, one.stored)
        seen.clear()
        hold(one, stored, seen, refused(store, stored[0], seen, said), said)
    store.close()


_OTHER_TYPES = {
    "string": lambda server, key: server.set(key, b"x"),
    "list": lambda server, key: server.rpush(key, b"x"),
    "set": lambda server, key: server.sadd(key, b"x"),
    "sorted set": lambda server, key: server.zadd(key, {b"x": 1}),
    "stream": lambda server, key: server.xadd(key, {b"x": b"1"}),
}


@pytest.mark.redis
@pytest.mark.parametrize("kind", _OTHER_TYPES)
@pytest.mark.parametrize("name", ["heads", "pieces", "tokens", "needs", "pins"])
def test_keys_of_another_type_are_an_error_of_the_store(redis_url, server, stored, seen, name, kind):
    """Never a traceback: the store says what it does not do, or is not asked."""
    store, said = RedisStore(redis_url), []
    _fill(server, stored[0])
    key = f"headrace:{{test/0}}:{name}"
    server.delete(key)
    _OTHER_TYPES[kind](server, key)
    parts = untouched(stored[0], seen)
    checkpointer = Checkpointer(store, SIGNER, "test/0", keep=3, on_unverified=said.append, fork=False)
    told = []
    for ask in (
        lambda: [restored.load(parts) for restored in checkpointer.restore()],
        lambda: store.pins("test/0"),
        lambda: store.advance("test/0", b"x", token=1, position=9, digests=(), keep=1),
    ):
        try:
            ask()
        except StoreUnavailable as error:
            told.append(str(error))
    assert told
    assert all("WRONGTYPE" in one for one in told)
    assert isinstance(store.tasks(), list)
    store.close()


@pytest.mark.redis
@pytest.mark.parametrize(
    "position", [b"x", b"", b"1.5", b"\xff\xfe", b"1e3", b"9" * 5000, b"0x10", b" 7", b"-", b"1_000"]
)
def test_a_position_that_is_no_number_is_passed_over(redis_url, server, stored, seen, position):
    """The checkpoint beside it is still used."""
    store = RedisStore(redis_url)
    _fill(server, stored[0])
    server.hset("headrace:{test/0}:heads", mapping={position: b"rubbish"})
    assert stored[0].blob in list(store.heads("test/0"))
    assert "test/0" in store.tasks()
    assert store.advance("test/0", stored[0].blob, token=1, position=8, digests=(), keep=1)
    store.close()


@pytest.mark.redis
def test_keys_that_are_no_text_are_nobodys_tasks(redis_url, server, stored):
    """Somebody else's keys, or an attacker's, do not end a listing."""
    store = RedisStore(redis_url)
    _fill(server, stored[0])
    server.set(b"headrace:{\xff\xfe}:heads", b"x")
    try:
        assert "test/0" in store.tasks()
    finally:
        server.delete(b"headrace:{\xff\xfe}:heads")
        store.close()


# --- the whole service ------------------------------------------------------------------------------------------


def test_a_service_whose_checkpoints_were_all_tampered_with_says_the_same():
    """It folds from its journal instead: outputs as if nobody had touched the store."""
    import random  # noqa: PLC0415 - beside its use

    calm = Service(config(), _broker(random.Random(5), 60))
    calm.run()
    store = MemoryStore()
    service = Service(config(), _broker(random.Random(5), 60), store, checkpoint_records=10, batch_records=5)
    broker = service.broker
    broker.topics["events"][0].crashes.append(40)
    stored = genuine(records=60)
    for seed in range(8):
        for position, one in store._tasks["test/0"].heads.items() if store.tasks() else ():
            one.head = tampered(seed * 100 + position, stored).stored.blob
        with suppress(Crash):
            service.worker().run()
    assert [one.value for one in service.raw()] == [one.value for one in calm.raw()]


def test_nothing_is_where_the_tests_keep_their_own(tmp_path):
    """The canary's place: a bomb that worked would have made a file in the test's directory."""
    assert not Path("sprung").exists()
