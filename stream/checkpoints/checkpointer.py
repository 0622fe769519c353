"""One task's checkpoints: take the state, save it, get it back. When to do so is the runtime's to decide.

``take`` is called between two batches and returns at once; ``save`` waits for the store, in another thread; ``restore``
gives the stored ones, newest first. Only chunks that changed since the last *stored* checkpoint are written. One take
and its save at a time. Read snapshot.py for the fork, restored.py for the way back.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from stream.checkpoints.base import CheckpointStore, ChunkEntry, Digest, Head, Part
from stream.checkpoints.heads import NO_CHUNK, digest_of, open_head, seal_head
from stream.checkpoints.restored import Restored
from stream.checkpoints.signing import Signer
from stream.checkpoints.snapshot import Clock, PartFrame, Snapshot, snapshot_forked, snapshot_inline
from stream.errors import CheckpointError, Unverified
from stream.records import Positions

__all__ = ["Checkpointer", "Restored", "Saved", "Snapshot"]

BATCH_BYTES_MAX: Final = 8 << 20
"""What is held in memory between the child and the store."""


@dataclass(slots=True, frozen=True)
class Saved:
    """What a save did."""

    advanced: bool
    """False: a newer checkpoint is there, made by another owner; nothing was changed."""
    bytes_written: int
    bytes_total: int
    pieces_written: int
    pieces_total: int
    forked: bool
    serialise_s: float
    """Of processor time."""
    seconds: float
    """Of the save in all, serialising included."""


@dataclass(slots=True, frozen=True)
class _Base:
    """What the newest checkpoint that we know to be stored holds."""

    records: int = -1
    chunks: Mapping[tuple[str, str], ChunkEntry] = field(default_factory=dict)


@dataclass(slots=True)
class _Tally:
    """Pieces on their way into the store."""

    waiting: dict[Digest, bytes] = field(default_factory=dict)
    waiting_bytes: int = 0
    bytes_written: int = 0
    pieces_written: int = 0


class Checkpointer:
    """Snapshots of one task into a store and out of it.

    Parameters
    ----------
    store : CheckpointStore
    signer : Signer
    task : str
        ``<pipeline>/<task number>``.
    keep : int
        How many checkpoints stay, beside the pinned ones.
    on_unverified : callable
        Told, in words for people, of each stored checkpoint that had to be passed over.
    admitted : iterable of str
        Module prefixes that pickles may name beyond River's and ours: the user's own.
    fork : bool, optional
        Whether a child may serialise. Default: where the system has ``fork`` (not on macOS, whose libraries refuse it).
    inline_ms : float
        Serialising that took less processor time than this last time is done in line.
    monotonic : callable
        Seconds; decides nothing, only for the figures in ``Saved``.
    processor_time : callable
        Seconds that the calling thread was at work; decides nothing but where to serialise. By the clock on the wall, a busy
        machine would make a millisecond's work look like one to fork for, which costs ten or twenty.
    child_timeout_s : float
        How long a child may live, its pieces' way into the store included.
    """

    def __init__(
        self,
        store: CheckpointStore,
        signer: Signer,
        task: str,
        *,
        keep: int,
        on_unverified: Callable[[str], None],
        admitted: Iterable[str] = (),
        fork: bool | None = None,
        inline_ms: float = 20.0,
        monotonic: Clock = time.monotonic,
        processor_time: Clock = time.thread_time,
        child_timeout_s: float = 300.0,
    ) -> None:
        self._store = store
        self._signer = signer
        self._task = task
        self._keep = keep
        self._on_unverified = on_unverified
        self._admitted = frozenset(admitted)
        self._fork = hasattr(os, "fork") and sys.platform != "darwin" if fork is None else fork
        self._inline_s = inline_ms / 1000
        self._monotonic = monotonic
        self._processor_time = processor_time
        self._child_timeout_s = child_timeout_s
        self._base = _Base()
        self._damaged: set[Digest] = set()
        # A whole dump and one of changes cost differently, so each is judged by the last of its own kind; changes, as long as
        # there were none, by the whole.
        self._cost_s: dict[bool, float] = {}

    @property
    def saved_records(self) -> int:
        """Records folded in the newest checkpoint known to be stored; -1: none, so the next is whole."""
        return self._base.records

    def take(self, parts: Iterable[tuple[str, Part]], records: int) -> Snapshot:
        """The state as it is now, after ``records`` records. Returns before a child has serialised it.

        Raises
        ------
        CheckpointError
            A part cannot be serialised, or the system cannot fork. A child's troubles are raised by ``save``.
        """
        base = self._base
        whole = base.records < 0
        clock, cost_s = self._processor_time, self._cost_s.get(whole, self._cost_s.get(True, self._inline_s))
        if self._fork and cost_s >= self._inline_s:
            return snapshot_forked(parts, records, base.records, base.chunks, clock, self._child_timeout_s)
        snapshot = snapshot_inline(parts, records, base.records, base.chunks, clock)
        self._cost_s[whole] = snapshot.seconds
        return snapshot

    def save(
        self,
        snapshot: Snapshot,
        *,
        entry_number: int,
        journal_offset: int,
        token: int,
        positions: Positions,
        records: int,
        stream_time_ms: int,
        saved_ms: int,
        lineage: dict[str, object],
    ) -> Saved:
        """Store a snapshot whose batch is committed, and discard it. Blocks: for a thread beside the stream's.

        Raises
        ------
        ValueError
            ``records`` is not what the snapshot was taken at.
        CheckpointError
            The child died or took too long, or the store lost pieces. The next save holds all that this one would have.
        StoreUnavailable
            The store does not answer or is full. The same.
        """
        started = self._monotonic()
        tally = _Tally()
        try:
            if records != snapshot.records:
                raise ValueError(f"a snapshot after {snapshot.records} records is not one after {records}")
            chunks = self._store_chunks(snapshot, tally)
        finally:
            snapshot.discard()
        self._cost_s[snapshot.since < 0] = snapshot.seconds
        head = Head(
            task=self._task,
            entry_number=entry_number,
            journal_offset=journal_offset,
            token=token,
            positions=positions,
            records=records,
            stream_time_ms=stream_time_ms,
            saved_ms=saved_ms,
            lineage=lineage,
            chunks=tuple(chunks.values()),
        )
        digests = tuple(dict.fromkeys(digest for chunk in head.chunks for digest in chunk.pieces))
        advanced = self._store.advance(
            self._task,
            seal_head(head, self._signer),
            token=token,
            position=entry_number,
            digests=digests,
            keep=self._keep,
        )
        if advanced:
            self._base = _Base(snapshot.records, chunks)
        else:
            self._check_present(digests)
        return Saved(
            advanced=advanced,
            bytes_written=tally.bytes_written,
            bytes_total=sum(chunk.size for chunk in head.chunks),
            pieces_written=tally.pieces_written,
            pieces_total=len(digests),
            forked=snapshot.forked,
            serialise_s=snapshot.seconds,
            seconds=self._monotonic() - started + (0.0 if snapshot.forked else snapshot.seconds),
        )

    def restore(self) -> Iterator[Restored]:
        """Stored checkpoints, newest first, each with its head verified. Ask for the next when one's ``load`` fails.

        What was saved before is forgotten: unless one is adopted, the next save is whole.

        Raises
        ------
        StoreUnavailable
        """
        self.forget()
        failures: list[str] = []
        for blob in self._store.heads(self._task):
            try:
                head = open_head(blob, self._signer, self._task)
            except Unverified as error:
                failures.append(error.message)
                continue
            self._report(failures, f"using {head.entry_number}")
            restored = Restored(head, self._store, self._admitted, self._signer.key_id)
            yield restored
            self._damaged |= restored.damaged
            failures = [restored.failure] if restored.failure else []
        self._report(failures, "no other checkpoint is left")

    def heads(self) -> Iterator[Head]:
        """Of the stored checkpoints whose heads verify, newest first: only to look at. Raises StoreUnavailable."""
        for blob in self._store.heads(self._task):
            with suppress(Unverified):
                yield open_head(blob, self._signer, self._task)

    def adopt(self, restored: Restored) -> None:
        """Go on from a checkpoint that was loaded: the next save holds only what changed since."""
        head = restored.head
        self._base = _Base(head.records, {(chunk.part, chunk.name): chunk for chunk in head.chunks})

    def remove(self, restored: Restored) -> bool:
        """Delete one that can never be used again, so that newer ones can take its place. False: it is pinned.

        Raises
        ------
        StoreUnavailable
        """
        try:
            self._store.delete(self._task, restored.head.entry_number)
        except KeyError:
            pass  # somebody else did
        except ValueError:
            return False
        return True

    def forget(self) -> None:
        """The next save is whole: for a state that is not the one saved before with changes, but another."""
        self._base = _Base()

    def _report(self, failures: list[str], then: str) -> None:
        for failure in failures:
            self._on_unverified(f"{failure}; {then}")

    def _store_chunks(self, snapshot: Snapshot, tally: _Tally) -> dict[tuple[str, str], ChunkEntry]:
        """Store what the snapshot brings; return an entry for every chunk that is alive, in a fixed order."""
        parts: list[PartFrame] = []
        fresh: dict[tuple[str, str], ChunkEntry] = {}
        for frame, pieces in snapshot.frames():
            if isinstance(frame, PartFrame):
                if any(part.name == frame.name for part in parts):
                    raise CheckpointError(f"two parts of {self._task} are called {frame.name}")
                parts.append(frame)
                continue
            part = parts[-1]
            digests = tuple(self._add_piece(piece, tally) for piece in pieces)
            fresh[part.name, frame.name] = ChunkEntry(part.name, frame.name, part.codec, digests, frame.size)
        self._flush(tally)
        chunks: dict[tuple[str, str], ChunkEntry] = {}
        for part in parts:
            for name in part.alive:
                key = (part.name, name)
                entry = fresh.get(key) or snapshot.known.get(key)
                if entry is None or entry.codec != part.codec:
                    raise CheckpointError(f"part {part.name} says that chunk {name} is alive, but never gave it")
                chunks[key] = entry
            if not part.alive:
                chunks[part.name, NO_CHUNK] = ChunkEntry(part.name, NO_CHUNK, part.codec, (), 0)
        self._check_present(digest for key, entry in chunks.items() if key not in fresh for digest in entry.pieces)
        return chunks

    def _add_piece(self, piece: bytes, tally: _Tally) -> Digest:
        digest = digest_of(piece)
        if digest not in tally.waiting:
            if tally.waiting_bytes + len(piece) > BATCH_BYTES_MAX:
                self._flush(tally)
            tally.waiting[digest] = piece
            tally.waiting_bytes += len(piece)
        return digest

    def _flush(self, tally: _Tally) -> None:
        """Put what the store lacks; a piece that was found damaged is put again although it is there."""
        waiting, tally.waiting, tally.waiting_bytes = tally.waiting, {}, 0
        if not waiting:
            return
        pieces: dict[Digest, bytes] = {}
        try:
            lacking = self._store.missing(self._task, waiting) | (self._damaged & waiting.keys())
            if lacking:
                pieces = {digest: piece for digest, piece in waiting.items() if digest in lacking}
                self._store.put(self._task, pieces)
                self._damaged -= lacking
                tally.pieces_written += len(pieces)
                tally.bytes_written += sum(map(len, pieces.values()))
        finally:
            waiting.clear()  # an error holds this frame as long as it is held itself
            pieces.clear()

    def _check_present(self, digests: Iterable[Digest]) -> None:
        """A store that was wiped, rolled back, or pruned by a former owner: start over with everything."""
        lost = self._store.missing(self._task, digests)
        if lost:
            self.forget()
            raise CheckpointError(
                f"the checkpoint store lost {len(lost)} pieces of {self._task}", hint="the next checkpoint is whole"
            )
