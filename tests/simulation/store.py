"""A checkpoint store that tears, forgets, goes back, answers stale and is away, as one process sees it; see play.py."""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from stream.checkpoints.base import Digest
from stream.checkpoints.memory import MemoryStore
from stream.errors import StoreUnavailable


class Diverged(AssertionError):
    """A promise is broken."""


def need(holds: object, what: str) -> None:
    """Raises Diverged."""
    if not holds:
        raise Diverged(what)


Touch = Callable[[str], str | None]


class Shelf(MemoryStore):
    """The server: one for all processes."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self._remembered: object = {}

    def wipe(self) -> None:
        self._tasks.clear()

    def remember(self) -> None:
        """As a replica or a backup would."""
        self._remembered = copy.deepcopy(self._tasks)

    def go_back(self) -> None:
        """To what was remembered: a failover, a restore."""
        self._tasks = copy.deepcopy(self._remembered)  # type: ignore[assignment]

    def evict(self, which: int) -> bool:
        """One piece disappears."""
        pieces = [(task, digest) for task, stored in self._tasks.items() for digest in stored.pieces]
        if pieces:
            task, digest = pieces[which % len(pieces)]
            del self._tasks[task].pieces[digest]
        return bool(pieces)

    def swap(self) -> None:
        """What was stored of one task stands under the name of another, as after a restore by hand."""
        if len(names := sorted(self._tasks)) > 1:
            one, other = names[:2]
            self._tasks[one], self._tasks[other] = self._tasks[other], self._tasks[one]

    def rot(self, which: int) -> bool:
        """One piece or head is torn or flipped."""
        heads = [one for stored in self._tasks.values() for one in stored.heads.values()]
        pieces = [(stored.pieces, digest) for stored in self._tasks.values() for digest in stored.pieces]
        if which % 3 == 0 and heads:
            head = heads[which % len(heads)]
            head.head = misled(head.head, which)
            return True
        if pieces:
            of, digest = pieces[which % len(pieces)]
            of[digest] = spoiled(of[digest], which)
        return bool(pieces)


def spoiled(blob: bytes, which: int) -> bytes:
    """Cut, or with one bit changed."""
    if which % 2:
        return blob[: which % max(len(blob), 1)]
    at = which % max(len(blob), 1)
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] if blob else b"?"


def misplaced(head: bytes) -> bytes:
    """A head that can be read and names another place: the last digit of its entry's number is changed."""
    return re.sub(
        rb'("entry_number":\d*)(\d)', lambda told: told[1] + (b"2" if told[2] == b"1" else b"1"), head, count=1
    )


def misled(head: bytes, which: int) -> bytes:
    """A head that still can be read, with one digit changed; or one that cannot."""
    digits = [at for at, byte in enumerate(head) if chr(byte).isdigit()]
    if which % 2 or not digits:
        return spoiled(head, which)
    at = digits[which % len(digits)]
    return head[:at] + (b"1" if head[at : at + 1] != b"1" else b"2") + head[at + 1 :]


class Access:
    """A CheckpointStore: one process's client of the shelf."""

    def __init__(self, shelf: Shelf, touch: Touch, check_head: Callable[[str, bytes], None]) -> None:
        self._shelf = shelf
        self._touch = touch
        self._check_head = check_head

    def _ask(self, what: str) -> str | None:
        wrong = self._touch(f"store {what}")
        if self._shelf.away or wrong in {"away", "full"}:
            raise StoreUnavailable(f"{what}: away")
        return wrong

    def _answer(self, what: str, wrong: str | None) -> None:
        self._touch(f"store {what} done")
        if wrong == "unanswered":
            raise StoreUnavailable(f"{what}: the answer is lost")

    def _pieces(self, task: str) -> set[Digest]:
        return set(self._shelf._task(task).pieces)

    def _heads(self, task: str) -> dict[int, tuple[int, frozenset[Digest]]]:
        """Position to token and pieces."""
        return {at: (one.token, one.digests) for at, one in self._shelf._task(task).heads.items()}

    def _check(
        self, task: str, position: int, token: int, digests: Sequence[Digest],
        before: Mapping[int, tuple[int, frozenset[Digest]]], pieces: set[Digest],
    ) -> None:  # fmt: skip
        """The contract of ``advance`` (checkpoints/base.py), where it said that it was done."""
        after, there = self._heads(task), self._pieces(task)
        need(max(after) == position and all(at < position for at in before), "the newest checkpoint moved back")
        newest = before[max(before)][0] if before else token
        need(token >= newest, "an older owner's checkpoint was accepted")
        need(there.issuperset(digests), "a checkpoint was accepted that lacks pieces")
        for at, (_, listed) in after.items():
            need(at == position or there >= listed & pieces, "pieces of a checkpoint that is kept were pruned")

    def missing(self, task: str, digests: Iterable[Digest]) -> set[Digest]:
        self._ask("missing")
        return self._shelf.missing(task, digests)

    def put(self, task: str, pieces: Mapping[Digest, bytes]) -> None:
        wrong = self._ask("put")
        if wrong == "torn":
            pieces = {digest: spoiled(piece, 3 + 2 * place) for place, (digest, piece) in enumerate(pieces.items())}
        elif wrong == "some":
            pieces = dict(list(pieces.items())[::2])
        if wrong != "lost":
            before = self._pieces(task)
            self._shelf.put(task, pieces)
            need(before <= self._pieces(task), "a put took pieces away")
        self._answer("put", wrong)

    def advance(
        self, task: str, head: bytes, *, token: int, position: int, digests: Sequence[Digest], keep: int
    ) -> bool:
        wrong = self._ask("advance")
        self._check_head(task, head)
        stored = spoiled(head, 7) if wrong == "torn" else head
        if wrong == "lost":
            done = True
        else:
            before, pieces = self._heads(task), self._pieces(task)
            done = self._shelf.advance(task, stored, token=token, position=position, digests=digests, keep=keep)
            if done:
                self._check(task, position, token, digests, before, pieces)
        self._answer("advance", wrong)
        return done

    def heads(self, task: str) -> Iterator[bytes]:
        wrong = self._ask("heads")
        heads = list(self._shelf.heads(task))
        if wrong == "crossed":
            return (head for other in self._shelf.tasks() if other != task for head in self._shelf.heads(other))
        if wrong == "misplaced":
            return map(misplaced, heads)
        return iter(heads[1:] if wrong == "stale" else heads)

    def get(self, task: str, digest: Digest) -> bytes:
        wrong = self._ask("get")
        piece = self._shelf.get(task, digest)
        return spoiled(piece, 5) if wrong == "torn" else piece

    def pin(self, task: str, position: int, name: str | None) -> None:
        self._shelf.pin(task, position, name)

    def pins(self, task: str) -> Mapping[str, int]:
        return self._shelf.pins(task)

    def delete(self, task: str, position: int) -> None:
        self._shelf.delete(task, position)

    def clear(self, task: str) -> int:
        return self._shelf.clear(task)

    def tasks(self) -> Sequence[str]:
        return self._shelf.tasks()

    def close(self) -> None:
        """Nothing is held open."""
