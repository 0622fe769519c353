"""Checkpoints in memory: for tests and simulations, and for runs whose state may go with the process.

Holds the same contract as redis.py and files.py; the shortest of the three, so read it to learn the contract.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from stream.checkpoints.base import Digest
from stream.errors import Unverified


@dataclass(slots=True)
class _Stored:
    head: bytes
    token: int
    digests: frozenset[Digest]


@dataclass(slots=True)
class _Task:
    heads: dict[int, _Stored] = field(default_factory=dict)
    """By position."""
    pins: dict[str, int] = field(default_factory=dict)
    pieces: dict[Digest, bytes] = field(default_factory=dict)


class MemoryStore:
    """A CheckpointStore in this process. One lock makes each call atomic."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._lock = Lock()

    def missing(self, task: str, digests: Iterable[Digest]) -> set[Digest]:
        with self._lock:
            return set(digests) - self._task(task).pieces.keys()

    def put(self, task: str, pieces: Mapping[Digest, bytes]) -> None:
        with self._lock:
            self._tasks.setdefault(task, _Task()).pieces.update(pieces)

    def advance(
        self, task: str, head: bytes, *, token: int, position: int, digests: Sequence[Digest], keep: int
    ) -> bool:
        with self._lock:
            stored = self._tasks.setdefault(task, _Task())
            if stored.heads:
                newest = max(stored.heads)
                if token < stored.heads[newest].token or position <= newest:
                    return False
            if not stored.pieces.keys() >= set(digests):
                return False
            stored.heads[position] = _Stored(head, token, frozenset(digests))
            kept = set(sorted(stored.heads, reverse=True)[: max(keep, 1)]) | set(stored.pins.values())
            stored.heads = {at: one for at, one in stored.heads.items() if at in kept}
            listed = frozenset[Digest]().union(*(one.digests for one in stored.heads.values()))
            stored.pieces = {digest: piece for digest, piece in stored.pieces.items() if digest in listed}
            return True

    def heads(self, task: str) -> Iterator[bytes]:
        with self._lock:
            heads = self._task(task).heads
            newest_first = [heads[position].head for position in sorted(heads, reverse=True)]
        return iter(newest_first)

    def get(self, task: str, digest: Digest) -> bytes:
        with self._lock:
            piece = self._task(task).pieces.get(digest)
        if piece is None:
            raise Unverified(f"piece {digest[:12]}… of {task} is not in memory")
        return piece

    def pin(self, task: str, position: int, name: str | None) -> None:
        with self._lock:
            stored = self._task(task)
            if position not in stored.heads:
                raise KeyError(position)
            if name is None:
                stored.pins = {pin: at for pin, at in stored.pins.items() if at != position}
            else:
                stored.pins[name] = position

    def pins(self, task: str) -> Mapping[str, int]:
        with self._lock:
            return dict(self._task(task).pins)

    def delete(self, task: str, position: int) -> None:
        with self._lock:
            stored = self._task(task)
            if position not in stored.heads:
                raise KeyError(position)
            if position in stored.pins.values():
                raise ValueError(f"the checkpoint at {position} of {task} is pinned")
            # Only what this head listed: other pieces may be on their way into the owner's next head.
            gone = stored.heads.pop(position).digests
            gone = gone.difference(*(one.digests for one in stored.heads.values()))
            stored.pieces = {digest: piece for digest, piece in stored.pieces.items() if digest not in gone}

    def clear(self, task: str) -> int:
        with self._lock:
            return len(self._tasks.pop(task, _Task()).heads)

    def tasks(self) -> Sequence[str]:
        with self._lock:
            return sorted(task for task, stored in self._tasks.items() if stored.heads)

    def close(self) -> None:
        """Nothing is held open; the content stays, as a server's would."""

    def _task(self, task: str) -> _Task:
        return self._tasks.get(task) or _Task()
