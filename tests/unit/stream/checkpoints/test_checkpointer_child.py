"""The child that serialises: it may die, hang or raise, runs none of its parent's handlers, and is always reaped."""

import atexit
import os
import signal
import threading

import pytest

from stream.errors import CheckpointError, StoreUnavailable
from tests.unit.stream.checkpoints.saving import TASK, Table, save, state


class Trap(Table):
    """Does something on its way to being dumped."""

    def __init__(self, act, **values):
        super().__init__(**values)
        self.act = act

    def dump(self, since):
        yield from super().dump(since)
        self.act()


@pytest.fixture
def no_child(monkeypatch):
    """Call it to see that every child of the test is gone and reaped; others' children are not touched."""
    pids, fork = [], os.fork

    def recorded():
        pid = fork()
        pids.append(pid)
        return pid

    def check():
        assert pids
        for pid in pids:
            with pytest.raises(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    monkeypatch.setattr(os, "fork", recorded)
    return check


def test_a_child_that_dies(make, store, no_child):
    """CheckpointError, nothing stored, nothing left behind; the next save is complete."""
    checkpointer = make(fork=True)
    with pytest.raises(CheckpointError, match="died"):
        save(checkpointer, {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGKILL), a=1)}, 10)
    assert list(store.heads(TASK)) == []
    no_child()
    assert save(checkpointer, state(), 20).advanced


def test_a_child_that_hangs(make, no_child):
    """It is killed when its time is over, and reaped."""
    with pytest.raises(CheckpointError, match="too long"):
        save(make(fork=True, child_timeout_s=0.05), {"model": Trap(signal.pause, a=1)}, 10)
    no_child()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RuntimeError("odd")], ids=repr)
def test_a_child_never_returns_into_the_parents_code(make, error, no_child):
    """Whatever a part raises there, it is told to the parent, by name."""

    def act():
        raise error

    with pytest.raises(CheckpointError, match=type(error).__name__):
        save(make(fork=True), {"model": Trap(act, a=1)}, 10)
    no_child()


def test_a_child_runs_no_exit_handler(make, tmp_path):
    """Those are the parent's."""
    handler = (tmp_path / "ran").touch
    atexit.register(handler)
    try:
        save(make(fork=True), state(), 10)
    finally:
        atexit.unregister(handler)
    assert not (tmp_path / "ran").exists()


def test_a_child_does_not_run_the_parents_signal_handlers(make):
    """TERM ends it silently, where the parent's handler would have stopped the parent's loop in its copy."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"handled"))
    try:
        with pytest.raises(CheckpointError, match="died"):
            save(make(fork=True), {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGTERM), a=1)}, 10)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_terminals_interrupt_is_not_for_the_child(make):
    """^C goes to the whole process group; the parent's last checkpoint is saved all the same."""
    assert save(make(fork=True), {"model": Trap(lambda: os.kill(os.getpid(), signal.SIGINT), a=1)}, 10).advanced


def test_a_discarded_snapshot_leaves_nothing(make, no_child):
    """A batch that was not committed: its snapshot goes, with its child; twice is no harm."""
    snapshot = make(fork=True).take(state().items(), 10)
    snapshot.discard()
    snapshot.discard()
    no_child()


def test_a_failing_store_ends_the_child(make, store, no_child):
    """The error is the store's, and the child is reaped."""
    store.puts_fail = True
    with pytest.raises(StoreUnavailable):
        save(make(fork=True), state(), 10)
    no_child()


def test_fork_beside_busy_threads(make):
    """Other threads hold locks and allocate; the child does not care."""
    done, lock = threading.Event(), threading.Lock()

    def busy():
        while not done.is_set():
            with lock:
                sorted(str(number) for number in range(500))

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        checkpointer = make(fork=True, inline_ms=0)
        for records in range(1, 15):
            assert save(checkpointer, {"model": Table(a=records)}, records).forked
    finally:
        done.set()
        for thread in threads:
            thread.join()
