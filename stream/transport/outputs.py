"""What stands in an output, read back in order beside a worker that may be writing: of one task, from a ``seq`` on.

For those who compare (replay/audit.py) or look one record up (replay/explain.py). Kafka's half is in kafka_outputs.py, files
are here. Nothing is written, and no group joined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from stream.records import OutputName, OutputRecords
from stream.transport.files import reject_line
from stream.transport.ledger import JOURNAL, Journal, output_path

SEQ = "seq"


class Said(NamedTuple):
    """One record, as it stands in an output or as it should."""

    seq: int | None
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    """Without ``seq``."""


@dataclass(slots=True)
class Stretch:
    """Records that follow one another in an output, as aligned columns."""

    offsets: list[int] = field(default_factory=list)
    seqs: list[int | None] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    headers: list[dict[str, bytes]] = field(default_factory=list)
    """Without ``seq``."""

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, start: int, stop: int | None = None) -> "Stretch":
        return Stretch(
            self.offsets[start:stop], self.seqs[start:stop], self.keys[start:stop], self.values[start:stop],
            self.headers[start:stop],
        )  # fmt: skip

    def extend(self, other: "Stretch") -> None:
        self.offsets += other.offsets
        self.seqs += other.seqs
        self.keys += other.keys
        self.values += other.values
        self.headers += other.headers

    def at(self, index: int) -> Said:
        return Said(self.seqs[index], self.keys[index], self.values[index], self.headers[index])


class OutputReader(Protocol):
    """One task's side of one output."""

    where: str
    """Topic and partition, or file."""
    end: int
    """As of when it was opened: records from this offset on came later."""
    trimmed: bool
    """Whether records of its beginning were deleted (retention)."""

    def seek(self, seq: int) -> None:
        """``take`` goes on at, or somewhat before, the record with this ``seq``."""
        ...

    def take(self, limit: int, wait_s: float = 0.0) -> Stretch:
        """Up to about ``limit`` of the next records; at the end wait so long for one more. Empty: there is none."""
        ...

    def form(self, out: OutputRecords) -> Stretch:
        """How these records are to stand here; without offsets."""
        ...

    def close(self) -> None: ...


class FileOutput:
    """The lines of an output in a directory, as far as its journal vouches for them; ``seq`` is a line's number.

    Keys are not kept in files, and headers stand in a reject's line: only values are there to be compared.

    Parameters
    ----------
    directory
        With the journal of a pipeline, or with copies of outputs alone: then all whole lines count.
    """

    trimmed = False

    def __init__(self, directory: Path, name: OutputName) -> None:
        self._path = output_path(directory, name)
        self.where = str(self._path)
        self._name = name
        self._journal = Journal(directory) if (directory / JOURNAL).exists() else None
        self._file: BinaryIO | None = None
        self._line = 0
        self._bytes = 0
        self._vouched: int | None = None
        self._refresh()
        self.end = self._count()

    def _refresh(self) -> None:
        if self._journal is not None:
            self._journal.scan()
            place = self._journal.place
            self._vouched = place.bytes.get(self._name, 0) if place else 0

    def _count(self) -> int:
        if self._journal is not None:
            return self._journal.place.records.get(self._name, 0) if self._journal.place else 0
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            return sum(1 for line in file if line.endswith(b"\n"))

    def seek(self, seq: int) -> None:
        self._line = self._bytes = 0
        self.close()
        while self._line < seq and len(self.take(min(seq - self._line, 10_000))):
            pass

    def take(self, limit: int, wait_s: float = 0.0) -> Stretch:  # noqa: ARG002 - what is vouched for is there
        if self._vouched is not None and self._bytes >= self._vouched:
            self._refresh()
        if self._file is None:
            if not self._path.exists():
                return Stretch()
            self._file = self._path.open("rb")
            self._file.seek(self._bytes)
        lines: list[bytes] = []
        for line in islice(self._file, limit):
            self._bytes += len(line)
            if not line.endswith(b"\n") or (self._vouched is not None and self._bytes > self._vouched):
                self._bytes -= len(line)
                self.close()  # the rest may come still
                break
            lines.append(line[:-1])
        first, self._line = self._line, self._line + len(lines)
        numbers = list(range(first, self._line))
        return Stretch(numbers, list(numbers), [b""] * len(lines), lines, [{}] * len(lines))

    def form(self, out: OutputRecords) -> Stretch:
        values = out.values
        if self._name == "rejects":
            headers = out.headers if out.headers is not None else [{}] * len(out)
            values = [reject_line(*reject) for reject in zip(out.keys, out.values, headers, strict=True)]
        return formed(out.first_seq, [b""] * len(out), values, [{}] * len(out))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def formed(first_seq: int, keys: list[bytes], values: list[bytes], headers: list[dict[str, bytes]]) -> Stretch:
    """A stretch that is to stand in an output."""
    return Stretch([], list(range(first_seq, first_seq + len(values))), keys, values, headers)
