"""The rules for one record's fields, in plain Python: what each may be, and why a record is refused.

This is the slow and exact statement of what codec.py does fast. It reads records whose layout no typed decoder fits, and
codec_diagnose.py asks it for the reason when the fast path refuses one. Pure. Read codec_diagnose.py, then codec.py.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias
from zoneinfo import ZoneInfo

from learners.base import Value
from learners.rows import Feature, Row
from stream.codec_specs import DelayField, EventSpec, LabelSpec, Limits, Target, TimeField

Fields: TypeAlias = Mapping[str, Any]
LabelValue: TypeAlias = float | str | None

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
TIME_MS_MIN: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MILLISECOND
TIME_MS_MAX: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MILLISECOND

BINARY: Final[Mapping[object, float]] = {1: 1.0, 0: 0.0, "1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0}
"""Labels of binary problems. True is 1 here, as in any dict."""


class Refused(Exception):
    """A record breaks a rule. Turned into a Reject before it leaves the codec."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason
        self.error = error


class ReadEvent(NamedTuple):
    """One event's parts. ``time_ms`` is None when no field has it."""

    id: str
    key: str
    time_ms: int | None
    label: LabelValue
    row: Row
    delay_ms: int | None
    """None when no field has it."""


class ReadLabel(NamedTuple):
    """One label's parts."""

    id: str
    time_ms: int | None
    value: float | str


KINDS: Final = {
    dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null",
}  # fmt: skip


def _wrong(field: str, expected: str, value: object) -> NoReturn:
    raise Refused("schema", f"{field}: expected {expected}, got {KINDS[type(value)]}")


def _take(fields: Fields, field: str) -> Any:
    try:
        return fields[field]
    except KeyError:
        raise Refused("schema", f"{field}: required field missing") from None


def _number(field: str, value: float, magnitude: float) -> float:
    if -magnitude <= value <= magnitude:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("non_finite", f"{field}: not a finite number")
    raise Refused("out_of_range", f"{field}: magnitude above {magnitude:g}")


def text_reader(field: str, limits: Limits, *, may_be_empty: bool = False) -> Callable[[object], str]:
    """For ids and keys: a string, or an integer, which becomes its decimal digits."""

    def read(value: object) -> str:
        if type(value) is int:
            value = str(value)
        if type(value) is not str:
            _wrong(field, "string or integer", value)
        if not value and not may_be_empty:
            raise Refused("schema", f"{field}: empty")
        if len(value) > limits.id_chars:
            raise Refused("out_of_range", f"{field}: more than {limits.id_chars} characters")
        return value

    return read


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def time_reader(field: TimeField) -> Callable[[object], int]:
    """To milliseconds since 1970. Parts of a millisecond are cut off, of a fractional number rounded.

    Raises
    ------
    zoneinfo.ZoneInfoNotFoundError, ValueError
        When there is no such time zone; at once, not when a record comes.
    """
    zone, name = _zone(field.zone), field.field
    multiply, divide = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000)}[field.unit]

    def read(value: object) -> int:
        if type(value) is str:
            try:
                moment = datetime.fromisoformat(value)
                time_ms = ((moment if moment.tzinfo else moment.replace(tzinfo=zone)) - EPOCH) // MILLISECOND
            except (ValueError, OverflowError):
                raise Refused("schema", f"{name}: not an ISO 8601 time") from None
        elif type(value) is int:
            time_ms = value * multiply // divide
        elif type(value) is float:
            if not math.isfinite(value):
                raise Refused("non_finite", f"{name}: not a finite number")
            time_ms = round(value * multiply / divide) if abs(value) < 1e300 else TIME_MS_MAX + 1
        else:
            _wrong(name, "number or string", value)
        if not TIME_MS_MIN <= time_ms <= TIME_MS_MAX:
            raise Refused("out_of_range", f"{name}: not between the years 1 and 9999 (unit: {field.unit})")
        return time_ms

    return read


def delay_reader(delay: DelayField) -> Callable[[object], int]:
    """To milliseconds, rounded."""
    name, longest = delay.field, delay.max_ms / delay.unit_ms

    def read(value: object) -> int:
        if type(value) is not int and type(value) is not float:
            _wrong(name, "number", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused("non_finite", f"{name}: not a finite number")
        if not 0 <= value <= longest:
            raise Refused(
                "out_of_range", f"{name}: not between 0 and {longest:g}, as long as an event waits for its label"
            )
        return round(value * delay.unit_ms)

    return read


def _class_reader(field: str, target: Target, limits: Limits) -> Callable[[object], str]:
    classes = frozenset(target.classes)

    def read(value: object) -> str:
        if type(value) is bool:
            value = "true" if value else "false"
        elif type(value) is int:
            value = str(value)
        elif type(value) is not str:
            _wrong(field, "string, integer or boolean", value)
        if not value or len(value) > limits.id_chars:
            raise Refused("label_domain", f"{field}: a class has 1 to {limits.id_chars} characters")
        if value not in classes and not target.open_classes:
            raise Refused("label_domain", f"{field}: unknown class {value[:40]!r}")
        return value

    return read


def label_reader(field: str, target: Target, limits: Limits) -> Callable[[object], float | str]:
    """What a label may be, by problem. None is not a label."""
    if target.problem == "multiclass":
        return _class_reader(field, target, limits)

    def read_number(value: object) -> float:
        if type(value) is not int and type(value) is not float:
            _wrong(field, "number", value)
        return _number(field, value, limits.magnitude)

    def read_binary(value: object) -> float:
        if value is None or isinstance(value, list | dict):
            _wrong(field, "true, false, 1 or 0", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused("non_finite", f"{field}: not a finite number")
        if value not in BINARY:
            raise Refused("label_domain", f"{field}: not true, false, 1 or 0: {str(value)[:40]!r}")
        return BINARY[value]

    return read_number if target.problem == "regression" else read_binary


def feature_reader(feature: Feature, limits: Limits) -> Callable[[object], Value | None]:
    """What a feature of a closed layout may be. A null is a missing value."""
    name, kind = feature.name, feature.kind
    read_key = text_reader(name, limits, may_be_empty=True)

    def read(value: object) -> Value | None:
        if value is None and not feature.required:
            return None
        if kind == "key":
            return read_key(value)
        if kind == "number":
            if type(value) is not int and type(value) is not float:
                _wrong(name, "number", value)
            return _number(name, value, limits.magnitude)
        if kind == "boolean":
            return value if type(value) is bool else _wrong(name, "boolean", value)
        return _text(name, value, limits) if type(value) is str else _wrong(name, "string", value)

    return read


def _text(name: str, value: str, limits: Limits) -> str:
    if len(value) > limits.text_chars:
        raise Refused("out_of_range", f"{name}: more than {limits.text_chars} characters")
    return value


def _open_row(fields: Fields, taken: frozenset[str], limits: Limits) -> dict[str, Value]:
    """Every number, boolean and string, sorted by name: the order of the record's bytes changes nothing."""
    magnitude, row = limits.magnitude, {}
    for name in sorted(fields):
        if name in taken:
            continue
        value = fields[name]
        kind = type(value)
        if kind is float and -magnitude <= value <= magnitude:
            row[name] = value
        elif kind is int or kind is float:
            row[name] = _number(name, value, magnitude)
        elif kind is str:
            row[name] = _text(name, value, limits)
        elif kind is bool:
            row[name] = value
    return row


def event_reader(spec: EventSpec, limits: Limits, target: Target) -> Callable[[Fields], ReadEvent]:
    """Reads one event whole, or raises Refused. A label that is null or missing is no error: it is not known yet."""
    read_id = text_reader(spec.id, limits)
    key, read_key = spec.key, text_reader(spec.key or "", limits, may_be_empty=True)
    time, label, delay = spec.time, spec.label, spec.delay
    read_time = None if time is None else time_reader(time)
    read_delay = None if delay is None else delay_reader(delay)
    read_label = label_reader(label or "", target, limits)
    features = [(feature, feature_reader(feature, limits)) for feature in spec.features or ()]
    taken = frozenset((*spec.roles, *spec.exclude))

    def read(fields: Fields) -> ReadEvent:
        identity = read_id(_take(fields, spec.id))
        known = None if label is None else fields.get(label)
        return ReadEvent(
            identity,
            identity if key is None else read_key(_take(fields, key)),
            None if time is None or read_time is None else read_time(_take(fields, time.field)),
            None if known is None else read_label(known),
            _open_row(fields, taken, limits)
            if spec.features is None
            else tuple(
                [
                    one(_take(fields, feature.name) if feature.required else fields.get(feature.name))
                    for feature, one in features
                ]
            ),
            None if delay is None or read_delay is None else read_delay(_take(fields, delay.field)),
        )

    return read


def label_record_reader(spec: LabelSpec, limits: Limits, target: Target) -> Callable[[Fields], ReadLabel]:
    """Reads one record of a labels topic whole, or raises Refused."""
    read_id, read_value = text_reader(spec.id, limits), label_reader(spec.value, target, limits)
    time = spec.time
    read_time = None if time is None else time_reader(time)

    def read(fields: Fields) -> ReadLabel:
        return ReadLabel(
            read_id(_take(fields, spec.id)),
            None if time is None or read_time is None else read_time(_take(fields, time.field)),
            read_value(_take(fields, spec.value)),
        )

    return read
