"""What a directory adds to the contract: crashes half-way, damage, locks."""

import errno
import fcntl
import os
import signal

import pytest

from stream.checkpoints.files import FileStore
from stream.checkpoints.heads import digest_of
from stream.errors import StoreUnavailable, Unverified

TASK = "fraud/0"


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "checkpoints", lock_timeout_s=0.03)


def save(store, position, *pieces):
    named = {digest_of(piece): piece for piece in pieces}
    store.put(TASK, named)
    return store.advance(TASK, b"head %d" % position, token=1, position=position, digests=list(named), keep=2)


def folder(store):
    return store._directory / "fraud%2F0"


def test_it_outlives_the_process(store, tmp_path):
    """Another store on the same directory has the same checkpoints."""
    save(store, 1, b"piece")
    other = FileStore(tmp_path / "checkpoints")
    assert (other.tasks(), list(other.heads(TASK))) == ([TASK], [b"head 1"])
    assert other.get(TASK, digest_of(b"piece")) == b"piece"


def test_what_a_crash_left_unfinished_is_not_seen_and_goes(store):
    """A file that was never renamed is no piece and no head; the next advance removes it."""
    save(store, 1, b"piece")
    leftovers = [
        folder(store) / "pieces" / f".unfinished-{digest_of(b'x')}",
        folder(store) / "heads" / f".unfinished-{2:020d}-1.head",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    assert list(store.heads(TASK)) == [b"head 1"]
    save(store, 3, b"piece")
    assert not any(path.exists() for path in leftovers)


def test_heads_of_no_entry_are_not_seen_and_go(store):
    """Once every start that applied nothing left one, at position -1; nobody could list or prune them."""
    save(store, 0, b"piece")
    left = [folder(store) / "heads" / f"{-1:020d}-{token}.head" for token in range(3)]
    for path in left:
        path.write_bytes(b"[]\nhead")
    assert list(store.heads(TASK)) == [b"head 0"]
    save(store, 1, b"piece")
    assert sorted(path.name for path in (folder(store) / "heads").iterdir()) == [f"{at:020d}-1.head" for at in (0, 1)]


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]"])
def test_a_damaged_head_is_handed_on_to_be_refused(store, content):
    """It still counts as one, so that its failing is noticed, and blocks nothing."""
    save(store, 1, b"one")
    save(store, 2, b"two")
    (path,) = (folder(store) / "heads").glob("*2-1.head")
    path.write_bytes(content)
    assert len(list(store.heads(TASK))) == 2
    assert save(store, 3, b"three")


def test_a_held_lock_is_waited_for_only_so_long(store):
    """Another process that hangs in the middle of a change does not hang us."""
    save(store, 1)
    descriptor = os.open(folder(store) / "lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="locked"):
            save(store, 2)
    finally:
        os.close(descriptor)


def test_a_full_disk_is_said(store, monkeypatch):
    """The message says so, with the directory; nothing half-written stays."""
    save(store, 1)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="is full"):
        save(store, 2, b"piece")
    assert list((folder(store) / "pieces").iterdir()) == []


@pytest.mark.parametrize("digest", ["../lock", "..", "", "A" * 64, "0" * 63])
def test_a_digest_is_no_path(store, digest):
    """What is no digest is neither read nor written."""
    save(store, 1)
    with pytest.raises(Unverified):
        store.get(TASK, digest)
    with pytest.raises(ValueError, match="not a digest"):
        store.put(TASK, {digest: b"x"})


@pytest.mark.parametrize("task", ["..", ".", ""])
def test_a_task_is_no_path(store, task):
    """Slashes are encoded; these cannot be."""
    with pytest.raises(ValueError, match="not a task"):
        store.put(task, {})


def test_a_directory_that_is_a_file(tmp_path):
    """The operating system's reason is in the message."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="fraud/0"):
        FileStore(tmp_path / "file").put(TASK, {digest_of(b"x"): b"x"})


def test_a_child_that_was_forked_under_the_lock_does_not_keep_it(store):
    """Who holds the lock lets it go, whoever else has its descriptor by then."""
    with store._locked(TASK):
        child = os.fork()
        if not child:
            signal.pause()
            os._exit(0)
    try:
        store.put(TASK, {digest_of(b"piece"): b"piece"})
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
