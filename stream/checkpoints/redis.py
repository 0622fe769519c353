"""Checkpoints in Redis: what a worker needs back after a crash, where every worker can reach it.

Five hashes a task under one hash tag (``headrace:{fraud/0}:heads`` ...), and three Lua scripts that change them in one
step each: advance.lua tells the story. Synchronous on purpose: a cancelled asynchronous call of redis-py has shifted
replies, so the runtime gives this client a thread of its own. Redis keeps a cache of the log here: losing it costs time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from itertools import islice
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from stream.checkpoints.base import Digest
from stream.errors import ConfigError, StoreUnavailable, Unverified

CONNECTIONS_MAX: Final = 8
_ASK_COUNT: Final = 1000
_PREFIX: Final = "headrace:"
_POSITION_DIGITS_MAX: Final = 19


class RedisStore:
    """A CheckpointStore in Redis 5 or newer.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it.
    username, password : str, optional
        Override those of the URL, so that the secret need not stand in it.
    timeout_s : float
        Of connecting and of each answer. A call is not retried: the next checkpoint is the retry.

    Raises
    ------
    ConfigError
        When the URL is not one. Nothing is connected yet: see ``verify``.
    """

    def __init__(
        self, url: str, *, username: str | None = None, password: str | None = None, timeout_s: float = 5.0
    ) -> None:
        options: dict[str, Any] = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "max_connections": CONNECTIONS_MAX,
            "timeout": timeout_s,  # who finds all connections in use waits for one
            "protocol": 2,  # 3 begins with a command that Redis 5 does not know
            "decode_responses": False,
            "retry": Retry(NoBackoff(), 0),
        }
        try:
            pool = redis.BlockingConnectionPool.from_url(url, **options)
        except ValueError:
            hint = "redis://host:port/0, rediss://host:port/0 or unix:///path/to/socket?db=0"
            # without the cause: of a password that is not quoted it shows a part
            raise ConfigError("checkpoints: {store: ...} is not a Redis URL", hint=hint) from None
        known = pool.connection_kwargs
        known.update({k: v for k, v in (("username", username), ("password", password)) if v is not None})
        self._secret = str(known.get("password") or "")
        place = known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
        self.endpoint = f"{place}/{known.get('db') or 0}"
        self._client = redis.Redis(connection_pool=pool)
        here = files("stream.checkpoints")
        self._advance, self._delete, self._pin = (
            self._client.register_script((here / f"{name}.lua").read_text("utf-8"))
            for name in ("advance", "delete", "pin")
        )

    def __repr__(self) -> str:
        return f"RedisStore({self.endpoint})"

    def verify(self) -> tuple[str, ...]:
        """Refuse a server that would drop checkpoints while it says OK. Returns warnings for people.

        Raises
        ------
        ConfigError
            The eviction policy is ``allkeys-*``, or the server does not accept our user and password.
        StoreUnavailable
            It does not answer.
        """
        try:
            with self._errors("CONFIG GET"):
                policy = self._eviction_policy()
        except StoreUnavailable as error:
            if isinstance(error.__cause__, AuthenticationError):
                raise ConfigError(
                    f"Redis at {self.endpoint} refuses our user and password", "check them in `checkpoints: {store: …}`"
                ) from error.__cause__
            raise
        if policy is None:
            unknown = f"Redis at {self.endpoint} does not say its maxmemory-policy (CONFIG and INFO are denied): "
            return (unknown + "see that it is noeviction or volatile-*, or checkpoints may be dropped in silence",)
        if policy.startswith("allkeys"):
            raise ConfigError(
                f"Redis at {self.endpoint} has maxmemory-policy {policy}: when it is full it drops checkpoints",
                hint="redis-cli CONFIG SET maxmemory-policy noeviction (and the same in redis.conf); volatile-* works too",
            )
        return ()

    def missing(self, task: str, digests: Iterable[Digest]) -> set[Digest]:
        key = _keys(task)[4]
        wanted = iter(dict.fromkeys(digests))
        absent: set[Digest] = set()
        with self._errors("HEXISTS"):
            while some := list(islice(wanted, _ASK_COUNT)):
                pipeline = self._client.pipeline(transaction=False)
                for digest in some:
                    pipeline.hexists(key, digest)
                absent.update(digest for digest, there in zip(some, pipeline.execute(), strict=True) if not there)
        return absent

    def put(self, task: str, pieces: Mapping[Digest, bytes]) -> None:
        if pieces:
            with self._errors("HSET"):
                self._client.hset(_keys(task)[4], mapping=cast("Any", pieces))

    def advance(
        self, task: str, head: bytes, *, token: int, position: int, digests: Sequence[Digest], keep: int
    ) -> bool:
        with self._errors("advance"):
            arguments: list[bytes | int | str] = [head, token, position, max(keep, 1), "".join(digests)]
            return bool(self._advance(keys=_keys(task), args=arguments) == 1)

    def heads(self, task: str) -> Iterator[bytes]:
        key = _keys(task)[0]
        with self._errors("HKEYS"):
            fields = cast("list[bytes]", self._client.hkeys(key))
        positions = sorted((int(field) for field in fields if _is_position(field)), reverse=True)
        for position in positions:
            with self._errors("HGET"):
                head = cast("bytes | None", self._client.hget(key, str(position)))
            if head is not None:  # else pruned meanwhile
                yield head

    def get(self, task: str, digest: Digest) -> bytes:
        with self._errors("HGET"):
            piece = cast("bytes | None", self._client.hget(_keys(task)[4], digest))
        if piece is None:
            raise Unverified(f"piece {digest[:12]}… of {task} is not in Redis at {self.endpoint}")
        return piece

    def pin(self, task: str, position: int, name: str | None) -> None:
        with self._errors("pin"):
            done = self._pin(keys=_keys(task), args=[position] if name is None else [position, name])
        if not done:
            raise KeyError(position)

    def pins(self, task: str) -> Mapping[str, int]:
        with self._errors("HGETALL"):
            pins = cast("dict[bytes, bytes]", self._client.hgetall(_keys(task)[3]))
        return {name.decode(errors="replace"): int(at) for name, at in pins.items() if _is_position(at)}

    def delete(self, task: str, position: int) -> None:
        with self._errors("delete"):
            done = self._delete(keys=_keys(task), args=[position])
        if done == 0:
            raise KeyError(position)
        if done == -1:
            raise ValueError(f"the checkpoint at {position} of {task} is pinned")

    def clear(self, task: str) -> int:
        keys = _keys(task)
        with self._errors("DEL"), self._client.pipeline(transaction=True) as both:
            both.hlen(keys[0])
            both.delete(*keys)
            removed, _ = both.execute()
        return int(removed)

    def tasks(self) -> Sequence[str]:
        start, end = f"{_PREFIX}{{", "}:heads"
        with self._errors("SCAN"):
            keys = set(self._client.scan_iter(match=f"{_PREFIX}{{*{end}", count=_ASK_COUNT))
        found = [key.decode(errors="replace") for key in keys]
        return sorted(key[len(start) : -len(end)] for key in found if "\ufffd" not in key)

    def close(self) -> None:
        self._client.close()
        self._client.connection_pool.disconnect()

    def _eviction_policy(self) -> str | None:
        """From CONFIG, which managed servers often deny; else from INFO."""
        try:
            policy: object = cast("dict[Any, Any]", self._client.config_get("maxmemory-policy")).get("maxmemory-policy")
        except (NoPermissionError, ResponseError):
            try:
                policy = cast("dict[Any, Any]", self._client.info("memory")).get("maxmemory_policy")
            except (NoPermissionError, ResponseError):
                return None
        return policy.decode() if isinstance(policy, bytes) else policy if isinstance(policy, str) else None

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Every error of the client as StoreUnavailable with the endpoint, and never with the password."""
        try:
            yield
        except (RedisError, OSError) as error:
            text = str(error)
            if isinstance(error, ReadOnlyError):  # it was the master once; who is it now is asked anew
                self._client.connection_pool.disconnect()
            if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in text:
                raise StoreUnavailable(
                    f"Redis at {self.endpoint} is full ({doing})", hint="raise its maxmemory, or keep fewer checkpoints"
                ) from error
            if self._secret:
                text = text.replace(self._secret, "***")
            raise StoreUnavailable(
                f"Redis at {self.endpoint} does not do {doing}: {type(error).__name__}: {text}"
            ) from error


def _is_position(field: bytes) -> bool:
    """Whoever can write to the server can write anything else too, which is then not ours."""
    return field.isdigit() and len(field) <= _POSITION_DIGITS_MAX


def _keys(task: str) -> list[str]:
    """Heads, needs, tokens, pins, pieces: in the order of the scripts' KEYS."""
    if not task or "{" in task or "}" in task:
        raise ValueError(f"a task's name is not empty and has no braces: {task!r}")
    return [f"{_PREFIX}{{{task}}}:{name}" for name in ("heads", "needs", "tokens", "pins", "pieces")]
