"""Checkpoints in a directory: for one machine, for demos, for looking at. The same contract as redis.py.

::

    <directory>/<task, percent-encoded>/
        lock                                    flock: one change at a time, across processes
        pieces/<digest>                         bytes
        heads/<position>-<token>.head           a line of JSON (the digests), then the signed head
        pins.json                               names to positions

A file is written beside its place, fsynced, and renamed into it: a reader sees it whole or not at all. Pieces are on the
disk before the head that lists them, and the head before anything is pruned.
"""

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from stream.checkpoints.base import Digest
from stream.checkpoints.heads import is_digest
from stream.errors import StoreUnavailable, Unverified

_UNFINISHED: Final = ".unfinished-"
_HEAD_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{1,19})\.head")
_LOCK_POLL_S: Final = 0.01


class FileStore:
    """A CheckpointStore in a directory of a local file system (``flock`` and ``rename`` must be what they say).

    Parameters
    ----------
    directory : Path
        Made when it is not there.
    lock_timeout_s : float
        How long a call waits for another process's.
    """

    def __init__(self, directory: Path, *, lock_timeout_s: float = 10.0) -> None:
        self._directory = directory
        self._lock_timeout_s = lock_timeout_s

    def __repr__(self) -> str:
        return f"FileStore({str(self._directory)!r})"

    def missing(self, task: str, digests: Iterable[Digest]) -> set[Digest]:
        pieces = self._place(task) / "pieces"
        with self._errors(task):
            return {digest for digest in digests if not (pieces / digest).is_file()}

    def put(self, task: str, pieces: Mapping[Digest, bytes]) -> None:
        folder = self._place(task) / "pieces"
        with self._errors(task), self._locked(task):
            folder.mkdir(exist_ok=True)
            for digest, piece in pieces.items():
                if not is_digest(digest):
                    raise ValueError(f"not a digest: {digest!r}")
                _write(folder / digest, piece)
            _sync(folder)

    def advance(
        self, task: str, head: bytes, *, token: int, position: int, digests: Sequence[Digest], keep: int
    ) -> bool:
        place = self._place(task)
        with self._errors(task), self._locked(task):
            stored = _heads(place)
            if stored:
                newest = max(stored)
                if token < _token(stored[newest]) or position <= newest:
                    return False
            if self.missing(task, digests):
                return False
            folder = place / "heads"
            folder.mkdir(exist_ok=True)
            path = folder / f"{position:020d}-{token}.head"
            _write(path, msgspec.json.encode(list(digests)) + b"\n" + head)
            _sync(folder)
            stored[position] = path
            kept = set(sorted(stored, reverse=True)[: max(keep, 1)]) | set(_pins(place).values())
            for at in stored.keys() - kept:
                stored.pop(at).unlink()
            _prune(place, frozenset[Digest]().union(*map(_listed, stored.values())))
            return True

    def heads(self, task: str) -> Iterator[bytes]:
        with self._errors(task):
            stored = _heads(self._place(task))
        for position in sorted(stored, reverse=True):
            with self._errors(task):
                try:
                    content = stored[position].read_bytes()
                except FileNotFoundError:
                    continue  # pruned meanwhile
            yield content.partition(b"\n")[2]

    def get(self, task: str, digest: Digest) -> bytes:
        if is_digest(digest):
            with self._errors(task), suppress(FileNotFoundError):
                return (self._place(task) / "pieces" / digest).read_bytes()
        raise Unverified(f"piece {digest[:12]}… of {task} is not in {self._directory}")

    def pin(self, task: str, position: int, name: str | None) -> None:
        place = self._place(task)
        with self._errors(task), self._locked(task, KeyError(position)):
            if position not in _heads(place):
                raise KeyError(position)
            pins = _pins(place)
            if name is None:
                pins = {pin: at for pin, at in pins.items() if at != position}
            else:
                pins[name] = position
            _write(place / "pins.json", msgspec.json.encode(pins))
            _sync(place)

    def pins(self, task: str) -> Mapping[str, int]:
        with self._errors(task):
            return _pins(self._place(task))

    def delete(self, task: str, position: int) -> None:
        place = self._place(task)
        with self._errors(task), self._locked(task, KeyError(position)):
            stored = _heads(place)
            if position not in stored:
                raise KeyError(position)
            if position in _pins(place).values():
                raise ValueError(f"the checkpoint at {position} of {task} is pinned")
            # Only what this head listed: other pieces may be on their way into the owner's next head.
            gone = _listed(stored[position])
            stored.pop(position).unlink()
            for digest in gone.difference(*map(_listed, stored.values())):
                (place / "pieces" / digest).unlink(missing_ok=True)

    def clear(self, task: str) -> int:
        place = self._place(task)
        if not place.is_dir():
            return 0
        with self._errors(task), self._locked(task):
            removed = len(_heads(place))
            shutil.rmtree(place)
        return removed

    def tasks(self) -> Sequence[str]:
        with self._errors("*"):
            if not self._directory.is_dir():
                return []
            return sorted(unquote(place.name) for place in self._directory.iterdir() if _heads(place))

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _place(self, task: str) -> Path:
        if task in {"", ".", ".."}:
            raise ValueError(f"not a task's name: {task!r}")
        return self._directory / quote(task, safe="")

    @contextmanager
    def _locked(self, task: str, absent: Exception | None = None) -> Iterator[None]:
        """Hold the task's lock; make its directory, or raise ``absent`` when there is none."""
        place = self._place(task)
        if absent is None:
            place.mkdir(parents=True, exist_ok=True)
        elif not place.is_dir():
            raise absent
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + self._lock_timeout_s
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreUnavailable(f"{place} is locked by another process") from None
                    time.sleep(_LOCK_POLL_S)
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone leaves it to a child that was forked meanwhile
            os.close(descriptor)

    @contextmanager
    def _errors(self, task: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreUnavailable(f"the disk of {self._directory} is full (checkpoints of {task})") from error
            raise StoreUnavailable(f"checkpoints of {task} in {self._directory}: {error}") from error


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """A rename is on the disk when its directory is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _heads(place: Path) -> dict[int, Path]:
    folder = place / "heads"
    if not folder.is_dir():
        return {}
    return {int(found[1]): path for path in folder.iterdir() if (found := _HEAD_NAME.fullmatch(path.name))}


def _token(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _listed(path: Path) -> frozenset[Digest]:
    """Digests that a head file lists. One that is damaged lists none: it cannot be opened either."""
    try:
        return frozenset(filter(is_digest, msgspec.json.decode(path.read_bytes().partition(b"\n")[0], type=list[str])))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset()


def _pins(place: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((place / "pins.json").read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"{place / 'pins.json'} is damaged: {error}", hint="repair or remove it") from error


def _prune(place: Path, listed: frozenset[Digest]) -> None:
    """Remove pieces that no head lists, and what a crash left unfinished (the lock is held: nobody is writing).

    Also heads of no entry at all (position -1), as an empty start once left them: no reader takes them for heads.
    """
    folder = place / "pieces"
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in listed:
                path.unlink()
    for left in (f"{_UNFINISHED}*", "-*.head"):
        for path in (place / "heads").glob(left):
            path.unlink()
