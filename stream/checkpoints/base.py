"""The types at which checkpoints meet the rest: a part of the state, and a store of heads and chunks.

State is a tree of named *parts*; a part is named chunks; the bytes of a chunk are cut into pieces of at most 1 MiB,
stored under their digest; a signed *head* lists them. Only what changed is written. Read snapshot.py, then redis.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from stream.records import Positions

Digest: TypeAlias = str
"""BLAKE2b-256 of a piece, in hexadecimal."""

PIECE_BYTES_MAX = 1 << 20


class Part(Protocol):
    """A named piece of state that shares no objects with others. Learners, detectors, stages, join, metrics fit."""

    codec: str
    """"pickle" (through an unpickler that admits only listed modules) or "bytes"."""

    def alive(self) -> Iterable[str]:
        """Names of the chunks that make up the state now."""
        ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        """Chunks changed after the task's record number ``since`` (-1: all); bytes or an object, as ``codec`` says."""
        ...

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        ...


class ChunkEntry(msgspec.Struct, frozen=True):
    """One chunk in a head: its part, its name, and its pieces in order."""

    part: str
    name: str
    codec: str
    pieces: tuple[Digest, ...]
    size: int
    """Bytes in all."""


class Head(msgspec.Struct, frozen=True):
    """What a checkpoint says of itself; signed before it is stored, verified before it is parsed."""

    task: str
    """``<pipeline>/<task number>``."""
    entry_number: int
    """Of the last journal record that the state holds."""
    journal_offset: int
    """Of the same."""
    token: int
    positions: Positions
    records: int
    """Records folded."""
    stream_time_ms: int
    saved_ms: int
    """Wall time of the save; nothing depends on it."""
    lineage: dict[str, object]
    chunks: tuple[ChunkEntry, ...]


class CheckpointStore(Protocol):
    """Pieces and signed heads of tasks. Synchronous. Raises StoreUnavailable. Blobs are opaque to it."""

    def missing(self, task: str, digests: Iterable[Digest]) -> set[Digest]:
        """Which of these pieces the store does not have."""
        ...

    def put(self, task: str, pieces: Mapping[Digest, bytes]) -> None:
        """Store pieces. They live until an ``advance`` that no longer needs them."""
        ...

    def advance(
        self, task: str, head: bytes, *, token: int, position: int, digests: Sequence[Digest], keep: int
    ) -> bool:
        """Make ``head`` the newest, and prune in the same atomic step.

        Refused (False, nothing changed) unless ``(token, position)`` is newer than the newest head's (token not
        smaller, position larger) and every piece of ``digests`` is there. The newest ``keep`` heads and the pinned
        ones stay; pieces that no head lists go.
        """
        ...

    def heads(self, task: str) -> Iterator[bytes]:
        """Signed heads, newest first, pinned ones included."""
        ...

    def get(self, task: str, digest: Digest) -> bytes:
        """One piece. Raises Unverified when it is not there."""
        ...

    def pin(self, task: str, position: int, name: str | None) -> None:
        """Keep the head at this position under a name; None lets it go again. Raises KeyError."""
        ...

    def pins(self, task: str) -> Mapping[str, int]:
        """Names to positions."""
        ...

    def delete(self, task: str, position: int) -> None:
        """Remove one head (and pieces that nothing else needs). Raises KeyError; refuses a pinned one with ValueError."""
        ...

    def clear(self, task: str) -> int:
        """Remove everything of a task, pinned and unreadable heads too: its journal begins anew. Returns the heads removed."""
        ...

    def tasks(self) -> Sequence[str]:
        """Tasks that have a head."""
        ...

    def close(self) -> None: ...
