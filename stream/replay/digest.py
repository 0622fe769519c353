"""One short value for all that an output says: two replays said the same bytes when their digests are equal.

Not the digest of a file: how outputs lie in topics or files differs, what they say does not.
"""

from hashlib import blake2b
from struct import Struct
from typing import TypedDict

from stream.records import OUTPUTS, OutputName, OutputRecords, Outputs

DIGEST_BYTES = 16
_LENGTH = Struct("<Q")
BLOCK = 1000
"""Records that are digested together. What a replay must remember to go on is a digest and at most so many records."""


class DigestState(TypedDict):
    """Where a digest stands between two records."""

    records: int
    chain: bytes
    pending: bytes


class OutputDigest:
    """Of one task's output, in the order of ``seq``: each record's key and value, and for rejects its headers by name.

    A BLAKE2b of 16 bytes; every piece is preceded by its length (8 bytes, little endian), absent keys and values count as
    empty. The header ``seq`` is not a part of it: that it is dense is what the order says. Each ``BLOCK`` records, from the
    first one that was added, are digested with the digest of those before them in front, so that a replay that was killed
    can go on.

    Examples
    --------
    >>> digest = OutputDigest()
    >>> digest.add(OutputRecords(0, [b"c1"], [b"{}"]))
    >>> digest.records, digest.hex
    (1, '041716eb56c6553be861cba903119af8')
    """

    def __init__(self, state: DigestState | None = None) -> None:
        self.records = 0 if state is None else state["records"]
        self._chain = b"" if state is None else state["chain"]
        self._pending = [] if state is None else [state["pending"]]

    def add(self, out: OutputRecords) -> None:
        """What is said next."""
        start = 0
        while start < len(out):
            stop = min(start + BLOCK - self.records % BLOCK, len(out))
            self._pending.append(_framed(out, start, stop))
            self.records += stop - start
            start = stop
            if not self.records % BLOCK:
                self._chain, self._pending = self._closed(), []

    def _closed(self) -> bytes:
        return blake2b(b"".join((self._chain, *self._pending)), digest_size=DIGEST_BYTES).digest()

    @property
    def hex(self) -> str:
        """Of all that was added so far, 32 hexadecimal digits."""
        return self._closed().hex()

    def state(self) -> DigestState:
        """For one that goes on from here."""
        return {"records": self.records, "chain": self._chain, "pending": b"".join(self._pending)}


def _framed(out: OutputRecords, start: int, stop: int) -> bytes:
    """Records as they enter the digest."""
    pieces: list[bytes] = [b""] * (2 * (stop - start))
    pieces[::2], pieces[1::2] = out.keys[start:stop], out.values[start:stop]
    if out.headers is not None:
        records = zip(pieces[::2], pieces[1::2], out.headers[start:stop], strict=True)
        pieces = [piece for key, value, own in records for piece in (key, value, *headers_in_order(own))]
    framed = [b""] * (2 * len(pieces))
    framed[::2], framed[1::2] = map(_LENGTH.pack, map(len, pieces)), pieces
    return b"".join(framed)


def headers_in_order(headers: dict[str, bytes]) -> list[bytes]:
    """Names and values of a record's headers as they enter the digest: sorted by name, ``seq`` left out."""
    return [piece for name in sorted(headers) if name != "seq" for piece in (name.encode(), headers[name])]


class Digests:
    """Of one task, a digest for each output."""

    def __init__(self, states: dict[OutputName, DigestState] | None = None) -> None:
        self.of = {name: OutputDigest(None if states is None else states[name]) for name in OUTPUTS}

    def add(self, outputs: Outputs) -> None:
        """What a batch said."""
        for name, out in outputs.items():
            if len(out):
                self.of[name].add(out)

    def states(self) -> dict[OutputName, DigestState]:
        return {name: one.state() for name, one in self.of.items()}

    def told(self) -> dict[str, dict[str, object]]:
        """For people and JSON: of each output its records and its digest."""
        return {name: {"records": one.records, "digest": one.hex} for name, one in self.of.items()}
