"""A checkpointer's parts and store to try it with, and how they are saved and loaded. Its fixtures are in conftest.py."""

from collections.abc import Iterator, Mapping

from stream.checkpoints.base import PIECE_BYTES_MAX
from stream.checkpoints.memory import MemoryStore
from stream.errors import StoreUnavailable, Unverified

KEY = bytes(range(32))
TASK = "fraud/0"


class Table:
    """A part: named values, each stamped with the record that changed it last."""

    def __init__(self, codec="pickle", **values):
        self.codec = codec
        self.values = dict(values)
        self.stamps = dict.fromkeys(values, 0)

    def set(self, name, value, record):
        self.values[name], self.stamps[name] = value, record

    def alive(self):
        return list(self.values)

    def dump(self, since) -> Iterator[tuple[str, object]]:
        for name, value in self.values.items():
            if self.stamps[name] > since:
                yield name, value

    def load(self, chunks: Mapping[str, object]):
        self.values = dict(chunks)


class Store(MemoryStore):
    """Memory, with faults to order and an account of what was put."""

    def __init__(self):
        super().__init__()
        self.put_names: list[set[str]] = []
        self.puts_fail = False
        self.advances_fail = False

    def put(self, task, pieces):
        if self.puts_fail:
            raise StoreUnavailable("down")
        self.put_names.append(set(pieces))
        super().put(task, pieces)

    def advance(self, task, head, **rest):
        if self.advances_fail:
            raise StoreUnavailable("down")
        return super().advance(task, head, **rest)

    def damage(self, digest):
        self._tasks[TASK].pieces[digest] = b"torn"

    def lose(self, digest):
        del self._tasks[TASK].pieces[digest]

    def replace_head(self, position, blob):
        self._tasks[TASK].heads[position].head = blob


def save(checkpointer, parts, records, *, entry=None, token=1):
    """Take and save, with the entry's number equal to the records."""
    return store_it(checkpointer, checkpointer.take(parts.items(), records), entry=entry, token=token)


def store_it(checkpointer, snapshot, *, entry=None, token=1):
    records = snapshot.records
    return checkpointer.save(
        snapshot, entry_number=records if entry is None else entry, journal_offset=records + 7, token=token,
        positions=(records, 2), records=records, stream_time_ms=5, saved_ms=6, lineage={"code": "1"},
    )  # fmt: skip


def load(checkpointer, parts):
    """As a recovery does it: the newest that can be used. Its entry's number, or None."""
    for restored in checkpointer.restore():
        try:
            restored.load(parts.items())
        except Unverified:
            continue
        checkpointer.adopt(restored)
        return restored.head.entry_number
    return None


def state():
    return {
        "model": Table(weights={"a": 1.5}, bias=0.25),
        "rows": Table("bytes", first=b"x" * (2 * PIECE_BYTES_MAX + 5), second=b""),
        "empty": Table(),
    }


def blank():
    return {"model": Table(), "rows": Table("bytes"), "empty": Table(left="over")}


def values(parts):
    return {name: part.values for name, part in parts.items()}
