"""The state at one moment as a stream of frames: serialised here and now, or by a forked child while the stream goes on.

The child (a copy on write of the whole process) does one thing: it writes frames into a pipe, and ends with ``os._exit``.
It logs nothing, takes no lock, runs no exit handler; a thread of the parent reads the pipe and stores what comes
(checkpointer.py). Both ways give the same bytes. Frames are not compressed: a piece is as long in the store as here.
"""

import fcntl
import gc
import io
import os
import select
import signal
import struct
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final, NoReturn, Protocol, TypeAlias

import msgspec

from stream.checkpoints.base import PIECE_BYTES_MAX, ChunkEntry, Part
from stream.checkpoints.heads import CODECS, NO_CHUNK
from stream.checkpoints.pickles import dumps
from stream.errors import CheckpointError

Clock: TypeAlias = Callable[[], float]
"""Seconds from any beginning."""
Known: TypeAlias = Mapping[tuple[str, str], ChunkEntry]
"""(part, chunk) to what the last stored head says of it."""

_PIPE_BYTES: Final = 1 << 20
_HEADER_BYTES_MAX: Final = 64 << 20
_F_SETPIPE_SZ: Final = 1031
_CHILD_NICE: Final = 5
"""Where child and stream share a core, the stream gets three quarters of it and not half."""
_fork_lock = Lock()
"""Held while a pipe's far end is open in the parent: another thread's child must not inherit it."""


class PartFrame(msgspec.Struct, tag="part", frozen=True):
    """A part begins; its chunks that changed follow."""

    name: str
    codec: str
    alive: tuple[str, ...]


class ChunkFrame(msgspec.Struct, tag="chunk", frozen=True):
    """A chunk; ``size`` bytes follow."""

    name: str
    size: int


class EndFrame(msgspec.Struct, tag="end", frozen=True):
    """The last frame: how long serialising took (without writing), or why it failed."""

    seconds: float
    error: str


Frame: TypeAlias = PartFrame | ChunkFrame | EndFrame
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[PartFrame | ChunkFrame | EndFrame] = msgspec.msgpack.Decoder(
    PartFrame | ChunkFrame | EndFrame
)
_length = struct.Struct("<I")


class Source(Protocol):
    """Where a snapshot's frames come from."""

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes. Raises CheckpointError when there are fewer."""
        ...

    def close(self) -> None:
        """Let everything go, whether read to its end or not."""
        ...


@dataclass(slots=True)
class Snapshot:
    """The state after ``records`` records; what changed since ``since`` is in the stream, the rest is in ``known``."""

    source: Source
    forked: bool
    records: int
    since: int
    known: Known
    seconds: float = 0.0
    """How long serialising took; known when the frames are read."""

    def frames(self) -> Iterator[tuple[PartFrame | ChunkFrame, Iterator[bytes]]]:
        """Each frame with its bytes in pieces of at most 1 MiB, to be used before the next is asked for.

        Raises
        ------
        CheckpointError
            The child died, took too long, or says that a part cannot be serialised.
        """
        while True:
            (size,) = _length.unpack(self.source.read(_length.size))
            if size > _HEADER_BYTES_MAX:
                raise CheckpointError(f"a snapshot's frame has a header of {size} bytes")
            frame = _decoder.decode(self.source.read(size))
            if isinstance(frame, EndFrame):
                if frame.error:
                    raise CheckpointError(f"the state cannot be serialised: {frame.error}")
                self.seconds = frame.seconds
                return
            yield frame, _pieces(self.source, frame.size if isinstance(frame, ChunkFrame) else 0)

    def discard(self) -> None:
        """End and reap the child when there is one. A snapshot that is not saved must be discarded; twice is no harm."""
        self.source.close()


def snapshot_inline(
    parts: Iterable[tuple[str, Part]], records: int, since: int, known: Known, clock: Clock
) -> Snapshot:
    """Serialise now, on the caller's time. Raises CheckpointError when a part cannot be serialised."""
    buffer = io.BytesIO()
    seconds = _serialise(parts, since, clock, buffer.write)
    return Snapshot(_Memory(buffer), forked=False, records=records, since=since, known=known, seconds=seconds)


def snapshot_forked(
    parts: Iterable[tuple[str, Part]], records: int, since: int, known: Known, clock: Clock, timeout_s: float
) -> Snapshot:
    """Fork, and return: the child serialises. ``timeout_s`` bounds its life. Raises CheckpointError if it cannot fork."""
    # Python 3.12 warns of a fork beside threads: the child here takes no lock that a thread could hold.
    warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning, module=__name__)
    with _fork_lock, _signals_held():
        try:
            near, far = os.pipe()
        except OSError as error:
            raise CheckpointError(f"cannot open a pipe to take a checkpoint: {error}") from error
        try:
            pid = os.fork()
        except OSError as error:
            os.close(near)
            os.close(far)
            raise CheckpointError(f"cannot fork to take a checkpoint: {error}") from error
        if pid == 0:
            _child(near, far, parts, since, clock)
        os.close(far)
    with suppress(OSError):  # Linux only, and bounded by a setting of the system
        fcntl.fcntl(near, _F_SETPIPE_SZ, _PIPE_BYTES)
    source = _Pipe(pid, near, time.monotonic() + timeout_s)
    return Snapshot(source, forked=True, records=records, since=since, known=known)


def _serialise(parts: Iterable[tuple[str, Part]], since: int, clock: Clock, write: Callable[[bytes], object]) -> float:
    """Write every frame; return the seconds that it took to make them, without the writing."""

    def send(frame: Frame) -> None:
        header = _encoder.encode(frame)
        write(_length.pack(len(header)) + header)

    seconds = 0.0
    started = clock()
    for name, part in parts:
        if part.codec not in CODECS:
            raise CheckpointError(f"part {name} has codec {part.codec!r}; there are {', '.join(CODECS)}")
        send(PartFrame(name, part.codec, tuple(part.alive())))
        for chunk, content in part.dump(since):
            data = _encode(name, chunk, part.codec, content)
            seconds += clock() - started
            send(ChunkFrame(chunk, len(data)))
            write(data)
            started = clock()
    seconds += clock() - started
    send(EndFrame(seconds, ""))
    return seconds


def _encode(part: str, chunk: str, codec: str, content: object) -> bytes:
    if chunk == NO_CHUNK:
        raise CheckpointError(f"part {part} has a chunk without a name")
    if codec == "pickle":
        try:
            return dumps(content)
        except CheckpointError as error:
            raise CheckpointError(f"part {part}, chunk {chunk}: {error.message}", error.hint) from error
    if not isinstance(content, bytes):
        raise CheckpointError(f"part {part}, chunk {chunk}: codec bytes, but it is a {type(content).__name__}")
    return content


def _child(near: int, far: int, parts: Iterable[tuple[str, Part]], since: int, clock: Clock) -> NoReturn:
    """The forked process, to its end. It must never return into the parent's code, whatever happens."""
    try:
        gc.disable()  # a collection would touch, and so copy, every page
        with suppress(OSError):
            os.nice(_CHILD_NICE)
        _reset_signals()
        os.close(near)  # or the parent's death would not be noticed

        def write(data: bytes) -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(far, rest) :]

        with suppress(OSError):  # the parent is gone, or does not want it any more
            try:
                _serialise(parts, since, clock, write)
            except OSError:
                raise
            except BaseException as error:  # noqa: BLE001 — told to the parent, which raises it
                text = error.message if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
                header = _encoder.encode(EndFrame(0.0, text or "?"))
                write(_length.pack(len(header)) + header)
    finally:
        os._exit(0)  # no exit handlers, no flushing of the parent's buffers


def _reset_signals() -> None:
    """The parent's handlers stop the parent's loop; here TERM ends the child, and the terminal's ^C is not for it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@contextmanager
def _signals_held() -> Iterator[None]:
    """No signal reaches this thread meanwhile: one that came just after the fork would run its handler in the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pieces(source: Source, size: int) -> Iterator[bytes]:
    for start in range(0, size, PIECE_BYTES_MAX):
        yield source.read(min(PIECE_BYTES_MAX, size - start))


class _Memory:
    """The frames of a snapshot taken in line."""

    def __init__(self, buffer: io.BytesIO) -> None:
        buffer.seek(0)
        self._buffer = buffer

    def read(self, size: int) -> bytes:
        data = self._buffer.read(size)
        if len(data) < size:
            raise CheckpointError("a snapshot ends early")
        return data

    def close(self) -> None:
        self._buffer.close()


class _Pipe:
    """The frames of a child, which lives no longer than this. Read by one thread."""

    def __init__(self, pid: int, descriptor: int, deadline: float) -> None:
        self._pid = pid
        self._descriptor = descriptor
        self._deadline = deadline
        self._buffer = bytearray()
        os.set_blocking(descriptor, False)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def read(self, size: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < size:
            rest = self._deadline - time.monotonic()
            if rest <= 0 or not self._poll.poll(rest * 1000):
                raise CheckpointError("the child that serialises the state took too long")
            try:
                data = os.read(self._descriptor, _PIPE_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise CheckpointError("the child that serialises the state died")
            buffer += data
        taken = bytes(memoryview(buffer)[:size])
        del buffer[:size]
        return taken

    def close(self) -> None:
        if self._pid:
            pid, self._pid = self._pid, 0
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # still our child, so the number is nobody else's
            with suppress(ChildProcessError):  # where the embedding process ignores SIGCHLD
                os.waitpid(pid, 0)
            os.close(self._descriptor)
