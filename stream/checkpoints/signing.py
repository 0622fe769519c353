"""Signatures over heads: what the network may not change. Not encryption: a checkpoint can be read by who reads the store.

A sealed blob is ``HRC1``, the key's id (8 hexadecimal digits), the HMAC-SHA256 (32 bytes), the body. The id stands in
front so that a wrong key is named instead of guessed at. There is no unsigned fallback. Read heads.py next.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Final

from stream.errors import ConfigError, Unverified

KEY_BYTES: Final = 32
KEY_VARIABLE: Final = "HEADRACE_CHECKPOINT_KEY"
_MAGIC: Final = b"HRC1"
_ID_CHARS: Final = 8
_MAC_BYTES: Final = 32
_BODY_START: Final = len(_MAGIC) + _ID_CHARS + _MAC_BYTES
_KEY_WORDS: Final = f"a key is {KEY_BYTES} bytes: 64 hexadecimal digits, or base64 (try: openssl rand -hex 32)"


class Signer:
    """Signs and verifies with one key. The key is in no representation, message or pickle of it.

    Parameters
    ----------
    key : bytes
        32 bytes.

    Examples
    --------
    >>> signer = Signer(bytes(32))
    >>> signer.verify(signer.sign(b"head"))
    b'head'
    >>> signer
    Signer(key_id='66687aad')
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"the checkpoint key has {len(key)} bytes", hint=_KEY_WORDS)
        self._key = key
        self.key_id = hashlib.sha256(key).hexdigest()[:_ID_CHARS]

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer holds a secret and is not pickled")

    def sign(self, body: bytes) -> bytes:
        """The body with the key's id and its signature in front."""
        return b"".join((_MAGIC, self.key_id.encode(), self._mac(body), body))

    def verify(self, blob: bytes, what: str = "checkpoint") -> bytes:
        """The body of a blob that this key signed.

        Raises
        ------
        Unverified
            Torn, tampered with, or made with another key. ``what`` is named in the message.
        """
        if len(blob) < _BODY_START or not blob.startswith(_MAGIC):
            raise Unverified(f"{what} failed verification (key {self.key_id}…): it is torn, or not a signed checkpoint")
        made_with = blob[len(_MAGIC) : len(_MAGIC) + _ID_CHARS]
        if made_with != self.key_id.encode():
            theirs = made_with.decode() if re.fullmatch(rb"[0-9a-f]{8}", made_with) else "unreadable"
            raise Unverified(
                f"{what} failed verification (key {self.key_id}…): it was signed with key {theirs}…",
                hint=f"give the key that signed it as checkpoints: {{key_file: ...}} or {KEY_VARIABLE}",
            )
        body = blob[_BODY_START:]
        if not hmac.compare_digest(blob[len(_MAGIC) + _ID_CHARS : _BODY_START], self._mac(body)):
            raise Unverified(f"{what} failed verification (key {self.key_id}…): its signature does not fit its bytes")
        return body

    def _mac(self, body: bytes) -> bytes:
        mac = hmac.new(self._key, _MAGIC + self.key_id.encode(), hashlib.sha256)
        mac.update(body)
        return mac.digest()


def load_key(key_file: Path | None, environment: str | None, generate_at: Path) -> bytes:
    """The key from the file, else from the environment's value, else generated once and kept at ``generate_at``.

    Parameters
    ----------
    key_file : Path or None
        32 raw bytes, or text as in the environment.
    environment : str or None
        The value of ``HEADRACE_CHECKPOINT_KEY``: 64 hexadecimal digits or base64.
    generate_at : Path
        Where a generated key is kept, with mode 0600; read when it is there.

    Raises
    ------
    ConfigError
        Not readable, not writable, or not a key. What it holds instead is never shown.
    """
    if key_file is not None:
        return _read_key(key_file)
    if environment:
        return _parse_key(environment.encode(), KEY_VARIABLE)
    if not generate_at.exists():
        _generate(generate_at)
    return _read_key(generate_at)


def _read_key(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the checkpoint key {path}: {error.strerror}") from error
    return content if len(content) == KEY_BYTES else _parse_key(content, str(path))


def _parse_key(text: bytes, where: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text.decode()) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        # Without the cause: it would show a part of what may be a secret.
        raise ConfigError(f"{where} does not hold a checkpoint key", hint=_KEY_WORDS) from None
    return key


def _generate(path: Path) -> None:
    """Complete under another name, then linked: of two workers that start at once, one's key is everybody's."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(unfinished, path)
            except FileExistsError:
                return  # another worker was first; its key is read
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot keep a generated checkpoint key at {path}: {error.strerror}",
            hint=f"give one as checkpoints: {{key_file: ...}} or {KEY_VARIABLE}",
        ) from error
