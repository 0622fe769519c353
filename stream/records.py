"""What flows: raw records in, outputs out, and the journal between them. Types only; what a record does is in pipeline/.

Raw records travel as columns, never as an object each. Read codec.py next, then pipeline/step.py.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from stream.errors import JournalBroken

InputKind: TypeAlias = Literal["events", "labels"]
OutputName: TypeAlias = Literal["predictions", "alarms", "rejects"]
OUTPUTS: tuple[OutputName, ...] = ("predictions", "alarms", "rejects")

Positions: TypeAlias = tuple[int, ...]
"""Of each of a task's inputs, in order, the offset of the next record."""


class Input(msgspec.Struct, frozen=True):
    """One partition that a task reads. ``topic`` is a Kafka topic or the name of a file stream."""

    kind: InputKind
    topic: str
    partition: int


@dataclass(slots=True)
class Records:
    """Raw records of one input, as aligned columns in the order of their offsets (which may have gaps)."""

    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    """None is a tombstone."""

    def __len__(self) -> int:
        return len(self.offsets)

    def slice(self, start: int, stop: int) -> "Records":
        return Records(
            self.offsets[start:stop], self.timestamps_ms[start:stop], self.keys[start:stop], self.values[start:stop]
        )

    def extend(self, other: "Records") -> None:
        self.offsets += other.offsets
        self.timestamps_ms += other.timestamps_ms
        self.keys += other.keys
        self.values += other.values


class Span(msgspec.Struct, frozen=True, array_like=True):
    """The records that a batch took from one input: offsets in ``[start, stop)``, ``count`` of them, CRC-32 of their values."""

    input: int
    start: int
    stop: int
    count: int
    crc: int


class Skip(msgspec.Struct, frozen=True, array_like=True):
    """A learner does not learn this event's label, because it raised there once."""

    input: int
    offset: int
    """Of the record whose application made the learner learn."""
    event: str
    learner: str
    error: str


class Reject(msgspec.Struct, frozen=True):
    """Why a record was refused."""

    reason: str
    """decode, schema, non_finite, out_of_range, too_wide, too_deep, too_large, label_late, label_orphan, ..."""
    stage: Literal["decode", "join", "predict", "learn"]
    error: str


class Origin(msgspec.Struct, frozen=True):
    """The state of a backtest that a journal begins with (a warm start)."""

    digest: str
    """Of all that the state holds."""
    records: int
    """That were folded into it."""
    stream_time_ms: int


class Claim(msgspec.Struct, frozen=True, tag="claim"):
    """A journal record: a worker took the task here. Its offset in the journal is the *token*."""

    number: int
    """Dense over all records of the task's journal that count."""
    worker: str
    positions: Positions
    lineage: dict[str, object]
    accepted: bool = False
    """The operator accepted that the lineage changed here."""
    next_seq: dict[str, int] = {}
    """In the first claim of a journal: where each output goes on. Outputs may be older than the journal, after a restart."""
    origin: Origin | None = None
    """In the first claim of a journal that did not begin with nothing learned; its entries then number from 1."""


class Entry(msgspec.Struct, frozen=True, tag="batch"):
    """A journal record: these records were applied, in this order."""

    number: int
    token: int
    spans: tuple[Span, ...]
    order: tuple[int, ...]
    """Alternating: input, how many of its records, input, how many, ..."""
    positions: Positions
    """After the batch."""
    first_seq: dict[str, int]
    """Of each output, the ``seq`` of this batch's first record."""
    skips: tuple[Skip, ...] = ()


JournalRecord: TypeAlias = Claim | Entry

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Claim | Entry] = msgspec.json.Decoder(Claim | Entry)


def encode_journal(record: JournalRecord) -> bytes:
    """To the bytes that stand in the journal."""
    return _encoder.encode(record)


def decode_journal(value: bytes) -> JournalRecord:
    """From the bytes of the journal. Raises JournalBroken."""
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise JournalBroken(
            f"a record of the journal is none of ours: {error}", "did somebody else write to it, or a newer Headrace?"
        ) from error


@dataclass(slots=True)
class OutputRecords:
    """What one batch says to one output, as aligned columns; record ``i`` has the header ``seq`` = ``first_seq + i``."""

    first_seq: int
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    headers: list[dict[str, bytes]] | None = None
    """Further headers (rejects have them); else None."""

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, other: "OutputRecords") -> None:
        """Append what is said next: ``other`` goes on where this ends."""
        self.keys += other.keys
        self.values += other.values
        if self.headers is not None and other.headers is not None:
            self.headers += other.headers

    def after(self, seq: int) -> "OutputRecords":
        """Only the records whose ``seq`` is greater."""
        drop = min(max(seq + 1 - self.first_seq, 0), len(self.values))
        return OutputRecords(
            self.first_seq + drop,
            self.keys[drop:],
            self.values[drop:],
            None if self.headers is None else self.headers[drop:],
        )


Outputs: TypeAlias = dict[OutputName, OutputRecords]
