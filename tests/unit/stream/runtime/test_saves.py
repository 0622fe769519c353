"""What becomes of saves that fail: how long they may, and that nothing of them stays in memory."""

import contextlib
import gc
import weakref
from collections import deque
from types import SimpleNamespace

import pytest

from stream.checkpoints.checkpointer import Saved
from stream.errors import CheckpointError, JournalBroken, LogUnavailable, StoreUnavailable
from stream.records import decode_journal
from stream.runtime.host import ThreadHost
from stream.runtime.readings import TaskReadings
from stream.runtime.refold import Place
from stream.runtime.saves import Cadence, Mark, Saves
from stream.runtime.task import Task
from tests.harness import InlineHost

MARK = Mark(Place(3, (0,), 5), 1, {}, None)


class Pieces(list):
    """Can be watched."""


class Failing:
    """A checkpointer whose saves come to nothing."""

    saved_records = -1

    def __init__(self, *, refused):
        self.refused = refused
        self.taken = []

    def take(self, parts, records):
        snapshot = Pieces([b"piece"])
        self.taken.append(weakref.ref(snapshot))
        return snapshot

    def save(self, snapshot, **_):
        if not self.refused:
            raise StoreUnavailable("down")
        return Saved(advanced=False, **dict.fromkeys(set(Saved.__annotations__) - {"advanced"}, 0))


def fold(records=10):
    state = SimpleNamespace(clock=SimpleNamespace(records=records, stream_time_ms=0))
    return SimpleNamespace(state=state, parts=tuple)


@pytest.mark.parametrize("refused", [True, False])
def test_saves_that_are_refused_for_too_long_stop_the_worker_as_those_that_fail_do(refused):
    """A store that holds a checkpoint of a later place takes none of ours, and the way back is deleted meanwhile."""
    host = InlineHost()
    saves = Saves(Failing(refused=refused), Cadence(1, None, 100.0), host, "save", TaskReadings(0))
    saves.recovered(None)
    for second in range(100):
        saves.consider(fold(10 + second), MARK)
        host.now += 1.0
    host.now += 1.0
    with pytest.raises(CheckpointError, match="no checkpoint could be saved for 101 s"):
        saves.consider(fold(200), MARK)


class Threads(ThreadHost):
    """Real threads, and a clock that is set."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def threads():
    """Nothing is collected as long as they are in use."""
    host = Threads()
    gc.disable()
    yield host
    gc.enable()
    for lane in list(host._lanes):
        host.close_lane(lane)


def through(life):
    """To its end, and keeps nothing of what it yields."""
    deque(life, maxlen=0)


def test_what_a_failed_save_held_is_let_go_at_once(threads):
    """Without waiting for a collection, which an idle worker does not come to."""
    checkpointer = Failing(refused=False)
    saves = Saves(checkpointer, Cadence(1, None, None), threads, "save", TaskReadings(0))
    saves.recovered(None)
    for count in range(20):
        saves.consider(fold(10 + count), MARK)
        through(saves.settle())
        threads.now += 10.0
    assert len(checkpointer.taken) == 20
    assert sum(one() is not None for one in checkpointer.taken) <= 1


def test_what_failed_work_held_is_let_go_at_once(threads):
    """A takeover that fails leaves no producer behind, with its threads and sockets."""
    task = object.__new__(Task)
    task.number, task._host = 0, threads
    held = []

    def work():
        pieces = Pieces([b"producer"])
        held.append(weakref.ref(pieces))
        raise LogUnavailable("nobody answers")

    for _ in range(5):
        with contextlib.suppress(LogUnavailable):
            through(task._call(work))
    assert sum(one() is not None for one in held) <= 1


@pytest.mark.parametrize("value", [b"", b"\0", b"{}", b'{"type":"reshard"}'])
def test_a_record_that_is_none_of_ours_is_said_in_words(value):
    """A tombstone, somebody else's bytes, or a record of a newer version in the journal."""
    with pytest.raises(JournalBroken, match="none of ours"):
        decode_journal(value)
