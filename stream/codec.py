"""Bytes to columns: a batch of raw records becomes events or labels, each validated whole, or a Reject with its reason.

Of a key that stands twice in one object, the last counts. It is not the place where a record does anything. How the
columns are made stands in codec_columns.py, what a field may be in codec_rules.py, the way back in codec_outputs.py.
Read pipeline/step.py next.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from learners.rows import Row
from stream.codec_columns import ByRules, Parser, TypedEvents, TypedLabels, sift
from stream.codec_rules import LabelValue, event_reader, label_record_reader
from stream.codec_specs import EventSpec, LabelSpec, Limits, Target, TimeField
from stream.records import Records, Reject

__all__ = [
    "JSON",
    "NO_ROW",
    "NO_TIME",
    "EventDecoder",
    "EventSpec",
    "Events",
    "Format",
    "JsonFormat",
    "LabelDecoder",
    "LabelSpec",
    "LabelValue",
    "Labels",
    "Limits",
    "Target",
    "TimeField",
]

NO_TIME: Final = -(2**62)
"""Time of a reject or tombstone: before everything, so that a merge of inputs passes it at once."""

NO_ROW: Final[Row] = ()
"""Row of a reject or tombstone."""

_SAMPLE: Final = 1000
"""One record in so many is looked at for unknown fields."""

_UNKNOWN_MAX: Final = 1000
"""Names of unknown fields that are counted; further ones are not."""


def _shifted(places: dict[int, Reject], by: int) -> dict[int, Reject]:
    return {place + by: reject for place, reject in places.items()}


@dataclass(slots=True)
class Events:
    """Events of one input as aligned columns, in the order of their offsets.

    Where a record was refused or is a tombstone: id and key are "", the time is NO_TIME, the label None, the row NO_ROW.
    """

    ids: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The id where events have no key."""
    times_ms: list[int] = field(default_factory=list)
    """The record's timestamp where events have no time."""
    rows: list[Row] = field(default_factory=list)
    labels: list[LabelValue] | None = None
    """Labels that ride in the events, None where not known; None altogether when no field has them."""
    records: Records = field(default_factory=Records)
    rejects: dict[int, Reject] = field(default_factory=dict)
    """By index."""
    tombstones: set[int] = field(default_factory=set)
    delays_ms: list[int] | None = None
    """How long after each event its label is known, 0 in the place of a reject; None when no field says it."""

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, stop: int) -> "Events":
        start, stop, _ = slice(start, stop).indices(len(self.ids))
        return Events(
            self.ids[start:stop],
            self.keys[start:stop],
            self.times_ms[start:stop],
            self.rows[start:stop],
            None if self.labels is None else self.labels[start:stop],
            self.records.slice(start, stop),
            _shifted({at: why for at, why in self.rejects.items() if start <= at < stop}, -start),
            {at - start for at in self.tombstones if start <= at < stop},
            None if self.delays_ms is None else self.delays_ms[start:stop],
        )

    def extend(self, other: "Events") -> None:
        """Append the columns of ``other``, which come from the same decoder."""
        size = len(self.ids)
        if not size:
            self.labels = None if other.labels is None else []
            self.delays_ms = None if other.delays_ms is None else []
        if self.labels is not None and other.labels is not None:
            self.labels += other.labels
        if self.delays_ms is not None and other.delays_ms is not None:
            self.delays_ms += other.delays_ms
        self.ids += other.ids
        self.keys += other.keys
        self.times_ms += other.times_ms
        self.rows += other.rows
        self.records.extend(other.records)
        self.rejects.update(_shifted(other.rejects, size))
        self.tombstones.update(at + size for at in other.tombstones)


@dataclass(slots=True)
class Labels:
    """Labels of one input as aligned columns. Where a record was refused or is a tombstone: "", NO_TIME and None."""

    ids: list[str] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    """The record's timestamp where labels have no time."""
    values: list[LabelValue] = field(default_factory=list)
    """1.0 or 0.0 for binary problems and anomalies, a number for regression, the class for multiclass."""
    records: Records = field(default_factory=Records)
    rejects: dict[int, Reject] = field(default_factory=dict)
    tombstones: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, stop: int) -> "Labels":
        start, stop, _ = slice(start, stop).indices(len(self.ids))
        return Labels(
            self.ids[start:stop],
            self.times_ms[start:stop],
            self.values[start:stop],
            self.records.slice(start, stop),
            _shifted({at: why for at, why in self.rejects.items() if start <= at < stop}, -start),
            {at - start for at in self.tombstones if start <= at < stop},
        )

    def extend(self, other: "Labels") -> None:
        """Append the columns of ``other``."""
        size = len(self.ids)
        self.ids += other.ids
        self.times_ms += other.times_ms
        self.values += other.values
        self.records.extend(other.records)
        self.rejects.update(_shifted(other.rejects, size))
        self.tombstones.update(at + size for at in other.tombstones)


# --- the seam for formats ---------------------------------------------------------------------------------------


class DecodesEvents(Protocol):
    """Of one stream of events."""

    unknown_fields: dict[str, int]

    def decode(self, records: Records) -> Events: ...


class DecodesLabels(Protocol):
    """Of one stream of labels."""

    def decode(self, records: Records) -> Labels: ...


class Format(Protocol):
    """How records are written. Another format is another one of these; what follows the decoder is the same."""

    name: str

    def events(self, spec: EventSpec, limits: Limits, target: Target) -> DecodesEvents: ...

    def labels(self, spec: LabelSpec, limits: Limits, target: Target) -> DecodesLabels: ...


# --- decoders ---------------------------------------------------------------------------------------------------


class EventDecoder:
    """JSON objects to events.

    Parameters
    ----------
    spec : EventSpec
    limits : Limits
    target : Target

    Attributes
    ----------
    unknown_fields : dict of str to int
        In how many of the records looked at, one in a thousand, each field stood that has no meaning here. Of open
        features: those that hold an object or an array.

    Examples
    --------
    >>> from learners.rows import Feature
    >>> spec = EventSpec(id="id", features=(Feature("amount", "number"),))
    >>> decoder = EventDecoder(spec, Limits(), Target("binary"))
    >>> events = decoder.decode(Records([0, 1], [5, 6], [None, None], [b'{"id": 1, "amount": 2}', b'{"id": 2}']))
    >>> events.ids, events.rows, events.rejects[1].error
    (['1', ''], [(2.0,), ()], 'amount: required field missing')
    """

    def __init__(self, spec: EventSpec, limits: Limits, target: Target) -> None:
        self.unknown_fields: dict[str, int] = {}
        self._seen = 0
        self._spec = spec
        self._limits = limits
        self._read = event_reader(spec, limits, target)
        self._parser: Parser = TypedEvents.fitting(spec, limits, target) or ByRules(self._read, 6)
        self._known = {*spec.roles, *spec.exclude, *(feature.name for feature in spec.features or ())}
        self._any = msgspec.json.Decoder(dict[str, Any]).decode

    def decode(self, records: Records) -> Events:
        """All of them, aligned with ``records``, which the events keep."""
        size = len(records)
        sifted = sift(records.values, self._parser, self._limits, self._read)
        own = sifted.timed_by(records.timestamps_ms) if self._spec.time is None else None
        ids, keys, times, labels, rows, delays = sifted.columns
        times = times if own is None else own
        self._sample(records.values, sifted.rejects)
        return Events(
            sifted.aligned(ids, "", size),
            sifted.aligned(keys, "", size),
            sifted.aligned(times, NO_TIME, size),
            sifted.aligned(rows, NO_ROW, size),
            None if self._spec.label is None else sifted.aligned(labels, None, size),
            records,
            sifted.rejects,
            sifted.tombstones,
            None if self._spec.delay is None else sifted.aligned(delays, 0, size),
        )

    def _sample(self, values: Sequence[bytes | None], rejects: dict[int, Reject]) -> None:
        first = -self._seen % _SAMPLE
        self._seen += len(values)
        for place in range(first, len(values), _SAMPLE):
            value = values[place]
            if value is not None and place not in rejects:
                # A field that is skipped may hold what only a full decoder minds: then this record is no sample.
                with suppress(msgspec.MsgspecError):
                    self._count(self._any(value))

    def _count(self, fields: dict[str, Any]) -> None:
        is_open, counts = self._spec.features is None, self.unknown_fields
        for name in self._known.symmetric_difference(fields).difference(self._known) if fields else ():
            if (not is_open or isinstance(fields[name], dict | list)) and (
                name in counts or len(counts) < _UNKNOWN_MAX
            ):
                counts[name] = counts.get(name, 0) + 1


class LabelDecoder:
    """JSON objects of a labels topic to labels.

    Parameters
    ----------
    spec : LabelSpec
    limits : Limits
    target : Target

    Examples
    --------
    >>> decoder = LabelDecoder(LabelSpec(id="id", value="is_fraud"), Limits(), Target("binary"))
    >>> decoder.decode(Records([0], [5], [None], [b'{"id": "a", "is_fraud": true}'])).values
    [1.0]
    """

    def __init__(self, spec: LabelSpec, limits: Limits, target: Target) -> None:
        self._spec = spec
        self._limits = limits
        self._read = label_record_reader(spec, limits, target)
        self._parser: Parser = TypedLabels.fitting(spec, limits, target) or ByRules(self._read, 3)

    def decode(self, records: Records) -> Labels:
        """All of them, aligned with ``records``, which the labels keep."""
        size = len(records)
        sifted = sift(records.values, self._parser, self._limits, self._read)
        own = sifted.timed_by(records.timestamps_ms) if self._spec.time is None else None
        ids, times, values = sifted.columns
        times = times if own is None else own
        return Labels(
            sifted.aligned(ids, "", size),
            sifted.aligned(times, NO_TIME, size),
            sifted.aligned(values, None, size),
            records,
            sifted.rejects,
            sifted.tombstones,
        )


class JsonFormat:
    """A record is one JSON object in UTF-8."""

    name = "json"

    def events(self, spec: EventSpec, limits: Limits, target: Target) -> DecodesEvents:
        return EventDecoder(spec, limits, target)

    def labels(self, spec: LabelSpec, limits: Limits, target: Target) -> DecodesLabels:
        return LabelDecoder(spec, limits, target)


JSON: Final[Format] = JsonFormat()
