"""The contract of every checkpoint store: forward only, the newest kept, pins survive, nothing lost and nothing left."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.checkpoints.base import CheckpointStore
from stream.checkpoints.files import FileStore
from stream.checkpoints.heads import digest_of
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.redis import RedisStore
from stream.errors import Unverified

KEEP = 3
_runs = itertools.count()


@pytest.fixture(params=["memory", "files", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CheckpointStore]:
    made: CheckpointStore
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "files":
        made = FileStore(tmp_path / "checkpoints")
    else:
        made = RedisStore(request.getfixturevalue("redis_url"))
    yield made
    made.close()


@pytest.fixture
def task() -> str:
    """A name that no other test uses."""
    return f"contract-{os.getpid()}-{next(_runs)}/0"


@pytest.fixture
def save(store: CheckpointStore, task: str) -> Callable[..., bool]:
    """Put pieces and advance a head that lists them."""

    def save(position: int, *pieces: bytes, token: int = 1, head: bytes | None = None, keep: int = KEEP) -> bool:
        named = {digest_of(piece): piece for piece in pieces}
        store.put(task, named)
        head = b"head %d" % position if head is None else head
        return store.advance(task, head, token=token, position=position, digests=list(named), keep=keep)

    return save


def test_a_head_comes_back_as_it_was(store, task, save):
    """Heads are opaque bytes: zeros, line ends and all."""
    head = bytes(range(256)) + b"\r\n\n\0"
    assert save(1, head=head)
    assert list(store.heads(task)) == [head]


@pytest.mark.parametrize("piece", [b"", b"\0\r\n" * 7, bytes(range(256)) * 4096], ids=["empty", "binary", "1 MiB"])
def test_a_piece_comes_back_as_it_was(store, task, piece):
    """Pieces are opaque bytes up to a MiB."""
    store.put(task, {digest_of(piece): piece})
    assert store.get(task, digest_of(piece)) == piece


def test_missing_names_exactly_what_was_not_put(store, task):
    """``missing`` is the difference between what is asked for and what is there."""
    there, absent = digest_of(b"there"), digest_of(b"absent")
    store.put(task, {there: b"there"})
    assert store.missing(task, [there, absent, absent]) == {absent}


def test_missing_takes_more_than_one_request_holds(store, task):
    """Thousands of digests are asked for in one call."""
    digests = [digest_of(b"%d" % number) for number in range(2500)]
    store.put(task, {digests[2400]: b"2400"})
    assert store.missing(task, iter(digests)) == set(digests) - {digests[2400]}


def test_putting_nothing_is_nothing(store, task):
    """An empty put is no error and makes no task."""
    store.put(task, {})
    assert task not in store.tasks()


def test_a_piece_put_again_replaces_a_damaged_one(store, task):
    """Who finds a torn piece repairs it by putting it again."""
    digest = digest_of(b"whole")
    store.put(task, {digest: b"torn"})
    store.put(task, {digest: b"whole"})
    assert store.get(task, digest) == b"whole"


def test_an_unknown_piece_is_unverified(store, task, save):
    """A piece that is not there makes its checkpoint unusable, not the store unavailable."""
    save(1, b"piece")
    with pytest.raises(Unverified, match="piece"):
        store.get(task, digest_of(b"another"))


def test_a_piece_belongs_to_its_task(store, task, save):
    """Tasks share nothing: pruning one never touches another."""
    save(1, b"piece")
    assert store.missing(task + "1", [digest_of(b"piece")]) == {digest_of(b"piece")}


@pytest.mark.parametrize(
    ("token", "position", "advanced"),
    [(5, 11, True), (6, 11, True), (5, 10, False), (5, 9, False), (6, 10, False), (6, 9, False), (4, 11, False)],
)
def test_only_forward(store, task, save, token, position, advanced):
    """After token 5 at position 10: the token not smaller, the position larger, or nothing changes."""
    save(10, b"old", token=5)
    assert save(position, b"new", token=token, head=b"new") is advanced
    assert next(iter(store.heads(task))) == (b"new" if advanced else b"head 10")


def test_positions_are_numbers(store, task, save):
    """Position 10 is after 9 (and not before it, as text is), also beyond 32 bits."""
    assert [save(position) for position in (9, 10, 2**40, 2**40 + 1)] == [True] * 4
    assert list(store.heads(task)) == [b"head %d" % (2**40 + 1), b"head %d" % 2**40, b"head 10"]


def test_a_head_without_its_pieces_is_refused(store, task, save):
    """A head is a promise that its pieces are there."""
    save(1, b"one")
    assert not store.advance(task, b"x", token=1, position=2, digests=[digest_of(b"never put")], keep=KEEP)
    assert list(store.heads(task)) == [b"head 1"]


def test_a_refused_advance_prunes_nothing(store, task, save):
    """A zombie's refused advance must not take pieces that the owner put for its next head."""
    save(1, b"one", token=2)
    store.put(task, {digest_of(b"owner's next"): b"owner's next"})
    assert not save(2, b"zombie's", token=1)
    assert store.missing(task, [digest_of(b"owner's next"), digest_of(b"one")]) == set()


def test_a_zombies_pieces_go_at_the_next_advance(store, task, save):
    """What no head lists does not stay for ever."""
    save(1, b"one", token=2)
    assert not save(2, b"zombie's", token=1)
    save(2, b"two", token=2)
    assert store.missing(task, [digest_of(b"zombie's")]) == {digest_of(b"zombie's")}


def test_the_newest_are_kept_newest_first(store, task, save):
    """``keep`` heads stay."""
    for position in range(1, 8):
        save(position)
    assert list(store.heads(task)) == [b"head 7", b"head 6", b"head 5"]


def test_keeping_less_than_one_keeps_one(store, task, save):
    """A store that just advanced is never empty."""
    save(1, keep=0)
    save(2, keep=0)
    assert list(store.heads(task)) == [b"head 2"]


def test_pruning_is_exact(store, task, save):
    """After an advance the pieces are those that a kept head lists: none less, none more."""
    for position in range(1, 8):
        save(position, b"shared", b"%d" % position, b"%d" % (position // 2))
    kept = {b"shared", b"5", b"6", b"7", b"2", b"3"}
    pieces = {b"shared", *(b"%d" % number for number in range(8))}
    assert store.missing(task, map(digest_of, pieces)) == set(map(digest_of, pieces - kept))


def test_a_pinned_head_outlives_the_newest(store, task, save):
    """A pin keeps a head, and its pieces, beside the newest ``keep``."""
    save(1, b"first")
    store.pin(task, 1, "release")
    for position in range(2, 8):
        save(position)
    assert list(store.heads(task)) == [b"head 7", b"head 6", b"head 5", b"head 1"]
    assert store.get(task, digest_of(b"first")) == b"first"


def test_a_pin_let_go_goes_at_the_next_advance(store, task, save):
    """Unpinned, a head is as old as it is."""
    save(1, b"first")
    store.pin(task, 1, "release")
    for position in range(2, 6):
        save(position)
    store.pin(task, 1, None)
    save(6)
    assert list(store.heads(task)) == [b"head 6", b"head 5", b"head 4"]
    assert store.missing(task, [digest_of(b"first")])


def test_letting_one_go_keeps_the_others(store, task, save):
    """Unpinning names one checkpoint."""
    save(1)
    save(2)
    store.pin(task, 1, "one")
    store.pin(task, 2, "two")
    store.pin(task, 1, None)
    assert store.pins(task) == {"two": 2}


def test_pins_are_listed(store, task, save):
    """Names to positions; one head may have two names."""
    save(1)
    save(2)
    store.pin(task, 1, "before ✈")
    store.pin(task, 2, "a")
    store.pin(task, 2, "b")
    assert store.pins(task) == {"before ✈": 1, "a": 2, "b": 2}


def test_a_name_moves(store, task, save):
    """Pinning another head under a name lets the former go."""
    save(1)
    save(2)
    store.pin(task, 1, "release")
    store.pin(task, 2, "release")
    assert store.pins(task) == {"release": 2}


@pytest.mark.parametrize("name", ["release", None])
def test_pinning_what_is_not_there(store, task, save, name):
    """KeyError with the position, for an unknown position and for an unknown task."""
    with pytest.raises(KeyError, match="2"):
        store.pin(task, 2, name)
    save(1)
    with pytest.raises(KeyError, match="2"):
        store.pin(task, 2, name)


def test_delete_takes_only_what_nothing_else_needs(store, task, save):
    """Shared pieces stay, and so do pieces on their way into the owner's next head."""
    save(1, b"shared", b"only one's")
    save(2, b"shared")
    store.put(task, {digest_of(b"next"): b"next"})
    store.delete(task, 1)
    assert list(store.heads(task)) == [b"head 2"]
    names = [b"shared", b"only one's", b"next"]
    assert store.missing(task, map(digest_of, names)) == {digest_of(b"only one's")}


def test_after_deleting_the_newest_the_one_before_is_it(store, task, save):
    """Rolling back by hand: the fold comes past the same positions again."""
    save(1)
    save(5)
    store.delete(task, 5)
    assert save(3)


def test_delete_refuses_a_pinned_head(store, task, save):
    """ValueError, and it stays."""
    save(1)
    store.pin(task, 1, "release")
    with pytest.raises(ValueError, match="pinned"):
        store.delete(task, 1)
    assert list(store.heads(task)) == [b"head 1"]


def test_deleting_what_is_not_there(store, task, save):
    """KeyError, for an unknown position and for an unknown task."""
    with pytest.raises(KeyError):
        store.delete(task, 1)
    save(1)
    with pytest.raises(KeyError):
        store.delete(task, 2)


def test_tasks_are_those_with_a_head(store, task, save):
    """Pieces alone make no task; a deleted last head ends it."""
    store.put(task + "7", {digest_of(b"piece"): b"piece"})
    save(1)
    mine = [name for name in store.tasks() if name.startswith(task)]
    store.delete(task, 1)
    assert mine == [task]
    assert task not in store.tasks()


def test_an_unknown_task_is_empty(store, task):
    """No heads, no pins, no error."""
    assert list(store.heads(task)) == []
    assert store.pins(task) == {}


def test_heads_pruned_while_they_are_read_are_passed_over(store, task, save):
    """A reader beside the owner sees whole heads only, and does not fall over."""
    for position in (1, 2, 3):
        save(position)
    reading = store.heads(task)
    assert next(reading) == b"head 3"
    for position in (4, 5, 6):
        save(position)
    assert set(reading) <= {b"head 2", b"head 1"}


def test_clear_leaves_nothing_of_the_task_and_everything_of_others(store, task, save):
    """After clear a journal may begin anew: smaller tokens and positions are new again, pins are gone."""
    other = f"{task}-other"
    store.put(other, {digest_of(b"other"): b"other"})
    assert store.advance(other, b"head", token=1, position=1, digests=[digest_of(b"other")], keep=KEEP)
    assert save(7, b"seven", token=5)
    store.pin(task, 7, "kept")
    assert save(8, b"eight", token=5)
    assert store.clear(task) == 2
    assert list(store.heads(task)) == []
    assert store.pins(task) == {}
    assert save(1, b"one", token=0)
    assert list(store.heads(other)) == [b"head"]
    assert store.clear(f"{task}-never") == 0
