"""A head to signed bytes and back. Verified before it is parsed, and checked before anybody uses what it says.

Not where heads are kept: that is a store's. Read restored.py next.
"""

import hashlib
import re
from typing import Final

import msgspec

from stream.checkpoints.base import PIECE_BYTES_MAX, ChunkEntry, Digest, Head
from stream.checkpoints.signing import Signer
from stream.errors import CheckpointError, Unverified

HEAD_BYTES_MAX: Final = 16 << 20
"""16 MiB list some 200,000 pieces: 200 GB of state."""

CODECS: Final = ("pickle", "bytes")
NO_CHUNK: Final = ""
"""A head lists chunks; an entry with this name says that its part was there and had none."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Head)
_digest = re.compile(r"[0-9a-f]{64}")


def digest_of(piece: bytes) -> Digest:
    """BLAKE2b-256, in hexadecimal."""
    return hashlib.blake2b(piece, digest_size=32).hexdigest()


def content_digest(head: Head) -> str:
    """BLAKE2b-128 of all that a checkpoint holds, in hexadecimal: equal for equal states, wherever and whenever saved."""
    held = sorted((chunk.part, chunk.name, chunk.codec, chunk.pieces) for chunk in head.chunks)
    return hashlib.blake2b(msgspec.json.encode(held), digest_size=16).hexdigest()


def is_digest(text: str) -> bool:
    """Whether this can be a digest, and so is safe as a file's name."""
    return _digest.fullmatch(text) is not None


def seal_head(head: Head, signer: Signer) -> bytes:
    """Signed bytes. Raises CheckpointError when they are more than a reader would accept."""
    body = _encoder.encode(head)
    if len(body) > HEAD_BYTES_MAX:
        raise CheckpointError(f"the head of checkpoint entry {head.entry_number} of {head.task} has {len(body)} bytes")
    return signer.sign(body)


def open_head(blob: bytes, signer: Signer, task: str) -> Head:
    """The head in signed bytes. Raises Unverified, saying of which task and with which key."""
    what = f"a checkpoint of {task}"
    if len(blob) > HEAD_BYTES_MAX + 1024:
        raise Unverified(f"{what} failed verification (key {signer.key_id}…): its head has {len(blob)} bytes")
    body = signer.verify(blob, what)
    try:
        head = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unverified(
            f"{what} failed verification (key {signer.key_id}…): its head is malformed: {error}"
        ) from error
    if head.task != task:
        raise Unverified(f"{what} failed verification (key {signer.key_id}…): it is a checkpoint of {head.task!r}")
    seen: set[tuple[str, str]] = set()
    for chunk in head.chunks:
        if (chunk.part, chunk.name) in seen or not _is_sound(chunk):
            raise Unverified(
                f"checkpoint entry {head.entry_number} of {task} failed verification (key {signer.key_id}…): "
                f"chunk {chunk.name!r} of part {chunk.part!r} is malformed"
            )
        seen.add((chunk.part, chunk.name))
    return head


def _is_sound(chunk: ChunkEntry) -> bool:
    expected = -(-chunk.size // PIECE_BYTES_MAX)  # pieces are full but the last, and nothing is compressed
    return (
        chunk.size >= 0
        and chunk.codec in CODECS
        and len(chunk.pieces) == expected
        and all(map(is_digest, chunk.pieces))
    )
