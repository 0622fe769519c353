"""One stored checkpoint, opened: its head is verified; its parts are fetched, verified and decoded before any is touched.

All or nothing: a torn piece raises Unverified while every part is still as it was, and the checkpoint before it is tried.
What the head says bounds what is read (sizes, digests; nothing is compressed, so nothing can swell).
"""

from collections.abc import Container, Iterable

from stream.checkpoints.base import PIECE_BYTES_MAX, CheckpointStore, ChunkEntry, Digest, Head, Part
from stream.checkpoints.heads import NO_CHUNK, digest_of
from stream.checkpoints.pickles import loads
from stream.errors import CheckpointError, Unverified


class Restored:
    """A checkpoint whose head is verified. Made by ``Checkpointer.restore``.

    Attributes
    ----------
    head : Head
    failure : str
        Why ``load`` raised Unverified, else empty.
    damaged : set of str
        Digests of pieces that were absent or not what they should be.
    """

    def __init__(self, head: Head, store: CheckpointStore, admitted: frozenset[str], key_id: str) -> None:
        self.head = head
        self.failure = ""
        self.damaged: set[Digest] = set()
        self._store = store
        self._admitted = admitted
        self._key_id = key_id

    def __str__(self) -> str:
        return f"checkpoint entry {self.head.entry_number} of {self.head.task}"

    def load(self, parts: Iterable[tuple[str, Part]], only: Container[str] | None = None) -> None:
        """Give every part its state.

        Parameters
        ----------
        parts : iterable of (str, Part)
            Fresh ones.
        only : container of str, optional
            Names of the parts to load; the others stay as they are. Default: all, and the head must hold no other.

        Raises
        ------
        Unverified
            A piece is absent, torn or tampered with, or a pickle names what is not admitted. No part was touched.
        CheckpointError
            Parts and head do not fit one another (no part was touched), or a part cannot take up its state.
        """
        wanted = [(name, part) for name, part in parts if only is None or name in only]
        by_part: dict[str, list[ChunkEntry]] = {}
        for entry in self.head.chunks:
            by_part.setdefault(entry.part, []).append(entry)
        self._check_fit([name for name, _ in wanted], by_part, whole=only is None)
        try:
            contents = [
                {entry.name: self._chunk(entry) for entry in by_part[name] if entry.name != NO_CHUNK}
                for name, _ in wanted
            ]
        except Unverified as error:
            self.failure = f"{self} failed verification (key {self._key_id}…): {error.message}"
            raise Unverified(self.failure, error.hint) from error
        for (name, part), chunks in zip(wanted, contents, strict=True):
            try:
                part.load(chunks)
            except Exception as error:
                raise CheckpointError(
                    f"part {name} cannot take up its state from {self}: {type(error).__name__}: {error}"
                ) from error

    def _check_fit(self, wanted: list[str], by_part: dict[str, list[ChunkEntry]], *, whole: bool) -> None:
        absent = [name for name in wanted if name not in by_part]
        if absent:
            raise CheckpointError(f"{self} has no state of part {', '.join(absent)}")
        spare = by_part.keys() - wanted if whole else ()
        if spare:
            raise CheckpointError(f"{self} has state of {', '.join(sorted(spare))}, which nothing takes up")

    def _chunk(self, entry: ChunkEntry) -> object:
        data = b"".join(self._piece(entry, digest) for digest in entry.pieces)
        if len(data) != entry.size:
            raise Unverified(f"chunk {entry.name} of part {entry.part} has {len(data)} bytes, not {entry.size}")
        if entry.codec == "bytes":
            return data
        try:
            return loads(data, self._admitted)
        except Unverified as error:
            raise Unverified(f"part {entry.part}, chunk {entry.name}: {error.message}", error.hint) from error

    def _piece(self, entry: ChunkEntry, digest: Digest) -> bytes:
        where = f"piece {digest[:12]}… of part {entry.part}, chunk {entry.name}"
        try:
            piece = self._store.get(self.head.task, digest)
        except Unverified as error:
            self.damaged.add(digest)
            raise Unverified(f"{where} is not there", error.hint) from error
        if len(piece) > PIECE_BYTES_MAX or digest_of(piece) != digest:
            self.damaged.add(digest)
            raise Unverified(f"{where} is not what was stored ({len(piece)} bytes)")
        return piece
