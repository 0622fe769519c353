"""What the codec is told: which fields mean what, and what is refused. Plain frozen types, no settings object.

codec_rules.py says what these mean for one record, codec.py applies them to columns; read codec_rules.py next.
"""

from typing import Final, Literal

import msgspec

from learners.base import Problem
from learners.rows import Feature

DEPTH_MAX: Final = 500
"""The deepest nesting that every parser here takes without meeting Python's recursion limit of 1000."""


class TimeField(msgspec.Struct, frozen=True):
    """Where a record's own time stands, and how it is written.

    A number counts ``unit`` since 1970-01-01T00:00Z. A string is ISO 8601 as ``datetime.fromisoformat`` reads it, with 'T'
    or a space; without an offset it is local time in ``zone`` (of an hour that happens twice: the first).
    """

    field: str
    zone: str = "UTC"
    unit: Literal["s", "ms", "us"] = "ms"


class DelayField(msgspec.Struct, frozen=True):
    """Where an event says how long after it its label is known: a number of units, finite and not negative."""

    field: str
    unit_ms: int = 1
    max_ms: int = 2**53
    """A longer one is refused."""


class EventSpec(msgspec.Struct, frozen=True):
    """Fields of an event. ``features`` None: every number, boolean and string that is not named elsewhere here."""

    id: str
    key: str | None = None
    time: TimeField | None = None
    features: tuple[Feature, ...] | None = None
    exclude: tuple[str, ...] = ()
    """Of open features, the fields that are none."""
    label: str | None = None
    """The label rides in the event."""
    delay: DelayField | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Fields that are not there to be features: id, key, time, label, delay, as far as they are named."""
        time = None if self.time is None else self.time.field
        delay = None if self.delay is None else self.delay.field
        return tuple(name for name in (self.id, self.key, time, self.label, delay) if name is not None)


class LabelSpec(msgspec.Struct, frozen=True):
    """Fields of a label."""

    id: str
    value: str
    time: TimeField | None = None


class Limits(msgspec.Struct, frozen=True):
    """What is too much. Lengths of text are in characters."""

    magnitude: float = 1e15
    """Of a number: one 1e308 ruins a scaler, and whole numbers stay exact below 9e15."""
    width: int = 1000
    """Fields of a record."""
    depth: int = DEPTH_MAX
    """Levels of nesting; the record itself is one."""
    record_bytes: int = 1_000_000
    text_chars: int = 1024
    """Of a feature."""
    id_chars: int = 512
    """Of an id, a key or a class."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= DEPTH_MAX:
            raise ValueError(f"depth is {self.depth}; it must be between 1 and {DEPTH_MAX}")
        if not 0 < self.magnitude < float("inf"):
            raise ValueError(f"magnitude is {self.magnitude}; it must be positive and finite")


class Target(msgspec.Struct, frozen=True):
    """What labels may be."""

    problem: Problem
    classes: tuple[str, ...] = ()
    """Of a multiclass problem, as text."""
    open_classes: bool = False
    """Labels may bring new classes."""
