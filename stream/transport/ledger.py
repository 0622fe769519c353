"""A directory of outputs with its commit file: whole batches or nothing, through crashes. Only files.py uses it.

``journal`` has a line per batch: CRC, what the directory holds as of then (positions of the inputs, bytes and records of
each output), and the journal's own record. Outputs are on disk before the line is. So whatever lies in an output behind
the lengths of the last whole line never happened, and recovery cuts it off. Nothing here knows what records mean.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from stream.errors import ConfigError, Fenced, InDoubt, JournalBroken, LogError, LogMisfit, LogUnavailable
from stream.records import OUTPUTS, OutputName, Positions
from stream.transport.base import JournalItem

JOURNAL = "journal"
LOCK = "lock"

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Place(msgspec.Struct, frozen=True):
    """What a directory holds once a line of its journal is there."""

    pipeline: str
    positions: Positions = ()
    bytes: dict[str, int] = {}
    """Length of each output."""
    records: dict[str, int] = {}
    """Lines of each output; the next record's ``seq``."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Place).decode


def output_path(directory: Path, name: OutputName) -> Path:
    return directory / f"{name}.jsonl"


def committed_lines(directory: Path, name: OutputName) -> Iterator[bytes]:
    """Lines of an output that a whole line of the journal vouches for, also while a worker writes.

    Raises JournalBroken.
    """
    journal = Journal(directory)
    journal.scan()
    left = journal.place.bytes.get(name, 0) if journal.place else 0
    if not left:
        return
    with output_path(directory, name).open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0:
                return
            yield line.removesuffix(b"\n")


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the output {path}: {error.strerror}", "name with `out:` a directory that this user may make and write"
        ) from error


class Lock:
    """Who owns a directory: one process at a time (flock), and in it the holder that asked last."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._fd: int | None = None
        self._holder: object = None

    def acquire(self, holder: object) -> None:
        """Make the directory where there is none.

        Raises
        ------
        Fenced
            Another process, or another log of this one, owns the directory.
        ConfigError
            There can be no such directory, or we may not write there.
        """
        if self._fd is None:
            with _ours(self._path.parent):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(fd, 32).decode(errors="replace").strip()
                os.close(fd)
                raise Fenced(
                    f"{self._path.parent} is owned by process {owner or 'unknown'}",
                    "stop that process, or give this pipeline another output directory",
                ) from None
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
            self._fd = fd
        self._holder = holder

    def check(self, holder: object) -> None:
        """Raises Fenced when ``holder`` does not own the directory (any more)."""
        if self._fd is None or self._holder is not holder:
            raise Fenced(f"{self._path.parent} is not owned by this log (any more)", "recover the task")
        try:
            same = self._path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            raise Fenced(f"{self._path} was removed while it was held", "let nobody clean a directory that is in use")

    def release(self, holder: object) -> None:
        if self._fd is not None and self._holder is holder:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing alone leaves it to a child that was forked meanwhile
            os.close(self._fd)
            self._fd = None
            self._holder = None


class Journal:
    """The lines of a commit file that are whole. Reads only, also while another process appends."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / JOURNAL
        self.place: Place | None = None
        self.end = 0
        """Bytes of whole lines."""
        self._starts: list[int] = []
        self._last = b""

    def __len__(self) -> int:
        return len(self._starts)

    def last(self) -> JournalItem | None:
        return JournalItem(len(self._starts) - 1, self._last) if self._starts else None

    def scan(self) -> None:
        """Take in what was appended. A torn last line counts as not there.

        Raises
        ------
        JournalBroken
            A line with others after it is damaged: it names the line.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.end)
            for line in file:
                parsed = _parse(line)
                if parsed is None:
                    if line.endswith(b"\n") and file.read(1):  # without line end it was the last when it was read
                        raise JournalBroken(
                            f"{self.path}: line {len(self._starts) + 1} is damaged",
                            "bring the file back from a copy, or start over with `headrace restart`",
                        )
                    return
                self.took(line, *parsed)

    def took(self, line: bytes, place: Place, entry: bytes) -> None:
        """``line`` stands at the end now."""
        self._starts.append(self.end)
        self.end += len(line)
        self.place = place
        self._last = entry

    def entries(self, start: int) -> Iterator[JournalItem]:
        """From line ``start`` to the end as of this call."""
        self.scan()
        return self._entries(max(start, 0), len(self._starts))

    def _entries(self, start: int, stop: int) -> Iterator[JournalItem]:
        if start >= stop:
            return
        with self.path.open("rb") as file:
            file.seek(self._starts[start])
            for number in range(start, stop):
                parsed = _parse(file.readline())
                if parsed is None:
                    raise JournalBroken(
                        f"{self.path}: line {number + 1} was changed", "bring the file back from a copy"
                    )
                yield JournalItem(number, parsed[1])


def _line(place: Place, entry: bytes) -> bytes:
    body = _encode(place) + b"\t" + entry
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> tuple[Place, bytes] | None:
    """None when the line is not whole."""
    body = line[9:-1]
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(body):
        return None
    place, _, entry = body.partition(b"\t")
    return _decode(place), entry


class Ledger:
    """Writes batches into a directory. To be used by the lock's holder only.

    Parameters
    ----------
    directory
        Made when it is not there.
    pipeline
        Whose directory it is. Another's is refused.
    """

    def __init__(self, directory: Path, pipeline: str) -> None:
        self.directory = directory
        self.pipeline = pipeline
        self.journal = Journal(directory)
        self.records: dict[OutputName, int] = dict.fromkeys(OUTPUTS, 0)
        """Lines that each output has now."""
        self._bytes: dict[OutputName, int] = dict.fromkeys(OUTPUTS, 0)
        self._fds: dict[str, int] = {}

    def scan(self) -> None:
        """Take in what the journal holds. Raises JournalBroken, LogMisfit."""
        self.journal.scan()
        place = self.journal.place
        if place is not None and place.pipeline != self.pipeline:
            raise LogMisfit(
                f"{self.directory} belongs to pipeline {place.pipeline}, not to {self.pipeline}",
                "give each pipeline an output directory of its own",
            )

    def recover(self) -> None:
        """Cut off what no whole line of the journal vouches for, and take stock.

        Raises
        ------
        JournalBroken
            The journal is damaged before its end, or an output is not what it was.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.scan()
        self._open(JOURNAL, self.journal.path)
        self._cut(JOURNAL, self.journal.end)
        place = self.journal.place or Place(self.pipeline)
        for name in OUTPUTS:
            path = output_path(self.directory, name)
            self._open(name, path)
            length, count = place.bytes.get(name, 0), place.records.get(name, 0)
            if os.fstat(self._fds[name]).st_size < length:
                length, count = _whole_lines(path)
            self._cut(name, length)
            if length and os.pread(self._fds[name], 1, length - 1) != b"\n":
                raise JournalBroken(
                    f"{path}: no line ends at byte {length}, where record {count} should: the file was changed",
                    "bring the file back from a copy, or start over with `headrace restart`",
                )
            self._bytes[name], self.records[name] = length, count
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def append(self, entry: bytes, lines: Mapping[OutputName, Sequence[bytes]], positions: Positions) -> int:
        """One batch: outputs on disk, then the line; its number.

        Raises
        ------
        LogUnavailable
            The disk refuses, and nothing of the batch is there.
        InDoubt
            The disk refuses, and whether the line is there shows only when it is read again.
        """
        if b"\n" in entry:
            raise LogError("a journal record with a line break cannot stand in a file of lines")
        self.add(lines)
        place = Place(self.pipeline, positions, dict(self._bytes), dict(self.records))  # type: ignore[arg-type]
        line = _line(place, entry)
        try:
            self._write(JOURNAL, line)
        except OSError as error:
            raise self._refused(error) from error
        self.journal.took(line, place, entry)
        return len(self.journal) - 1

    def add(self, lines: Mapping[OutputName, Sequence[bytes]]) -> None:
        """Lines at the end of outputs, on disk on return, but not vouched for yet. Raises LogUnavailable."""
        blocks = {name: b"\n".join(values) + b"\n" for name, values in lines.items() if values}
        for name, block in blocks.items():
            if block.count(b"\n") != len(lines[name]):
                raise LogError(f"{name}: a value with a line break cannot stand in a file of lines")
        try:
            for name, block in blocks.items():
                self._write(name, block)
        except OSError as error:
            raise self._refused(error) from error
        for name, block in blocks.items():
            self._bytes[name] += len(block)
            self.records[name] += len(lines[name])

    def check_added(self) -> None:
        """Raises JournalBroken when an output has the journal's count of records, but other bytes."""
        place = self.journal.place or Place(self.pipeline)
        for name in OUTPUTS:
            expected = place.bytes.get(name, 0)
            if self.records[name] == place.records.get(name, 0) and self._bytes[name] != expected:
                raise JournalBroken(
                    f"{output_path(self.directory, name)}: emitted again it has {self._bytes[name]} bytes, "
                    f"the journal says {expected}",
                    "code or configuration are not those of the first time: start over with `headrace restart`",
                )

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _open(self, name: str, path: Path) -> None:
        if name not in self._fds:
            with _ours(path):
                self._fds[name] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def _cut(self, name: str, length: int) -> None:
        if os.fstat(self._fds[name]).st_size > length:
            os.ftruncate(self._fds[name], length)
            os.fsync(self._fds[name])

    def _write(self, name: str, block: bytes) -> None:
        left = memoryview(block)
        while left:
            left = left[os.write(self._fds[name], left) :]
        _sync(self._fds[name])

    def _refused(self, error: OSError) -> LogError:
        """After a failed write: undo it; what is to be raised."""
        reason = f"{self.directory}: {error.strerror or error}"
        try:
            # The journal first: while its line may be there, its outputs have to be.
            self._cut(JOURNAL, self.journal.end)
            self.recover()
        except OSError:
            return InDoubt(f"{reason}; undoing it failed too", "free the disk; the journal decides on recovery")
        return LogUnavailable(reason, "nothing of the batch was written; free the disk")


def _whole_lines(path: Path) -> tuple[int, int]:
    """Bytes and number of a file's whole lines."""
    length = count = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                length += len(line)
                count += 1
    return length, count
