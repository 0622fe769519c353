"""Values to columns: the fast path of the codec, one typed decoder a record and a generated comprehension a batch.

Of a key that stands twice in one object, the last counts. What the decoder refuses goes to codec_diagnose.py for the
reason; where fields have two uses, or features are open, codec_rules.py reads the record instead. Read codec.py next.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress
from typing import Annotated, Any, Generic, Protocol, TypeAlias, TypeVar, cast

import msgspec

from learners.rows import Feature, Row
from stream.codec_diagnose import diagnose, guard
from stream.codec_rules import (
    BINARY,
    TIME_MS_MAX,
    TIME_MS_MIN,
    Fields,
    LabelValue,
    Refused,
    delay_reader,
    label_reader,
    text_reader,
    time_reader,
)
from stream.codec_specs import EventSpec, LabelSpec, Limits, Target
from stream.records import Reject

T = TypeVar("T")

Columns: TypeAlias = tuple[list[Any], ...]


class Parser(Protocol):
    """Parses one value, and turns many parsed ones into columns. Both raise: Refused, KeyError or msgspec's errors."""

    def parse(self, value: bytes, /) -> Any: ...

    def columns(self, parsed: list[Any]) -> Columns: ...


class ByRules(Generic[T]):
    """Reads each record by the rules in Python: for open features, and for fields with two uses. Slower."""

    def __init__(self, read: Callable[[Fields], T], width: int) -> None:
        self._read = read
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode
        self._width = width

    def parse(self, value: bytes, /) -> T:
        return self._read(self._decode(value))

    def columns(self, parsed: list[Any]) -> Columns:
        return tuple(map(list, zip(*parsed, strict=True))) if parsed else tuple([] for _ in range(self._width))


@dataclass(slots=True)
class Sifted:
    """What a batch of values became."""

    columns: Columns
    places: list[int]
    """Of each row of the columns, its index in the batch."""
    rejects: dict[int, Reject]
    tombstones: set[int]

    def aligned(self, column: list[T], filler: T, size: int) -> list[T]:
        """One cell for each record of the batch."""
        if len(self.places) == size:
            return column
        cells = [filler] * size
        for place, cell in zip(self.places, column, strict=True):
            cells[place] = cell
        return cells

    def timed_by(self, stamps_ms: Sequence[int]) -> list[int]:
        """Of records without a time of their own, the log's. A producer sets it to what it likes: one that is in no calendar
        is refused, as it would be in a field.
        """
        times = [stamps_ms[place] for place in self.places]
        if not times or TIME_MS_MIN <= min(times) <= max(times) <= TIME_MS_MAX:
            return times
        sound = [TIME_MS_MIN <= time <= TIME_MS_MAX for time in times]
        why = Reject("out_of_range", "decode", "the record's timestamp: not between the years 1 and 9999")
        wild = dict.fromkeys(compress(self.places, (not one for one in sound)), why)
        self.rejects = dict(sorted({**self.rejects, **wild}.items()))
        self.columns = tuple(list(compress(column, sound)) for column in self.columns)
        self.places = list(compress(self.places, sound))
        return list(compress(times, sound))


def sift(values: Sequence[bytes | None], parser: Parser, limits: Limits, read: Callable[[Fields], object]) -> Sifted:
    """Parse what is right, say of the rest what is wrong."""
    parse = parser.parse
    parsed: list[Any] = []
    places: list[int] = []
    rejects: dict[int, Reject] = {}
    tombstones: set[int] = set()
    small = min(limits.depth, limits.record_bytes, 5 * limits.width)
    if _are_plain(values, limits, small):
        # Nothing to look at before the parser does: 0.1 µs a record less. Those before one that it refuses stay parsed.
        with suppress(Refused, msgspec.MsgspecError, RecursionError):
            parsed.extend(map(parse, cast("Sequence[bytes]", values)))
        places.extend(range(len(parsed)))
    for place, value in enumerate(values[len(parsed) :], len(parsed)):
        if value is None:
            tombstones.add(place)
            continue
        try:
            if len(value) > small:
                guard(value, limits)
            if not value.isascii():
                value.decode()  # the parser does not look at the text of fields that it skips
            parsed.append(parse(value))
            places.append(place)
        except (Refused, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            rejects[place] = diagnose(value, limits, read, str(error))
    try:
        columns = parser.columns(parsed)
    except (Refused, KeyError):
        good = []
        for place, one in zip(places, parsed, strict=True):
            try:
                parser.columns([one])
                good.append((place, one))
            except (Refused, KeyError) as error:
                rejects[place] = diagnose(cast("bytes", values[place]), limits, read, str(error))
        places, parsed = [place for place, _ in good], [one for _, one in good]
        rejects = dict(sorted(rejects.items()))
        columns = parser.columns(parsed)
    return Sifted(columns, places, rejects, tombstones)


def _are_plain(values: Sequence[bytes | None], limits: Limits, small: int) -> bool:
    """Whether all are ASCII and pass the guard, and none is a tombstone."""
    try:
        for value in values:
            if len(value) > small:  # type: ignore[arg-type]
                guard(value, limits)  # type: ignore[arg-type]
        return all(map(bytes.isascii, values))  # type: ignore[arg-type]
    except (Refused, TypeError):
        return False


def _text_type(chars: int, least: int = 0) -> Any:
    return Annotated[str, msgspec.Meta(min_length=least, max_length=chars)]


def _feature_type(kind: str, limits: Limits) -> Any:
    if kind == "number":
        return Annotated[float, msgspec.Meta(ge=-limits.magnitude, le=limits.magnitude)]
    if kind == "key":
        return _text_type(limits.id_chars) | int
    return bool if kind == "boolean" else _text_type(limits.text_chars)


def _label_type(target: Target, limits: Limits) -> Any:
    if target.problem == "regression":
        return _feature_type("number", limits)
    return bool | int | str if target.problem == "multiclass" else bool | int | float | str


def _typed_decoder(types: dict[str, tuple[str, Any, bool]]) -> Callable[[bytes], Any] | None:
    """A decoder of objects with these attributes: JSON field, type, whether required. None when fields do not fit one.

    They do not where one field has two uses, or has a name that msgspec does not take.
    """
    names = [name for name, _, _ in types.values()]
    if len(set(names)) < len(names) or any(letter in '"\\' or letter < " " for name in names for letter in name):
        return None
    record = msgspec.defstruct(
        "Record",
        [
            (attribute, kind) if required else (attribute, kind | None, None)
            for attribute, (_, kind, required) in types.items()
        ],
        rename={attribute: name for attribute, (name, _, _) in types.items()},
        kw_only=True,
        gc=False,  # numbers, booleans and strings refer to nothing
    )
    return msgspec.json.Decoder(record).decode


def _tuple_maker(
    features: Sequence[Feature], attributes: Sequence[str], limits: Limits
) -> Callable[[list[Any]], list[Row]]:
    """A generated comprehension over attributes f0, f1, ...: 0.08 µs for 20 features."""
    cells = [
        f"(one.{name} if type(one.{name}) is not int else digits(one.{name})), "
        if feature.kind == "key"
        else f"one.{name}, "
        for feature, name in zip(features, attributes, strict=True)
    ]
    source = f"lambda parsed: [({''.join(cells)}) for one in parsed]"
    told = {"__builtins__": {}, "digits": text_reader("key", limits), "int": int, "type": type}
    return cast("Callable[[list[Any]], list[Row]]", eval(source, told))  # noqa: S307 - only names of ours enter


def _attributes(spec: EventSpec) -> list[str]:
    """Of each feature, the attribute that holds it: a key that is the event's own is parsed once."""
    own = {spec.id: "id"} | ({} if spec.key is None else {spec.key: "key"})
    return [
        own.get(feature.name, f"f{place}") if feature.kind == "key" else f"f{place}"
        for place, feature in enumerate(spec.features or ())
    ]


def _read_texts(raw: list[Any], read: Callable[[object], str]) -> list[str]:
    return raw if set(map(type, raw)) <= {str} else [one if type(one) is str else read(one) for one in raw]


def _read_times(raw: list[Any], read: Callable[[object], int], *, is_plain: bool) -> list[int]:
    """``is_plain``: a whole number needs no conversion."""
    if is_plain and set(map(type, raw)) == {int} and min(raw) >= TIME_MS_MIN and max(raw) <= TIME_MS_MAX:
        return raw
    return [read(one) for one in raw]


class TypedEvents:
    """Events of a closed layout: parse, then a column an attribute."""

    def __init__(self, parse: Callable[[bytes], Any], spec: EventSpec, limits: Limits, target: Target) -> None:
        self.parse = parse
        self._id = text_reader(spec.id, limits)
        self._key = None if spec.key is None else text_reader(spec.key, limits, may_be_empty=True)
        self._time = None if spec.time is None else time_reader(spec.time)
        self._is_plain = spec.time is not None and spec.time.unit == "ms"
        self._label = None if spec.label is None else _label_column(spec.label, limits, target)
        self._rows = _tuple_maker(spec.features or (), _attributes(spec), limits)
        self._delay = None if spec.delay is None else delay_reader(spec.delay)

    def columns(self, parsed: list[Any]) -> Columns:
        nothing = [None] * len(parsed)
        ids = _read_texts([one.id for one in parsed], self._id)
        return (
            ids,
            ids.copy() if self._key is None else _read_texts([one.key for one in parsed], self._key),
            nothing
            if self._time is None
            else _read_times([one.time for one in parsed], self._time, is_plain=self._is_plain),
            nothing if self._label is None else self._label([one.label for one in parsed]),
            self._rows(parsed),
            nothing if self._delay is None else [self._delay(one.delay) for one in parsed],
        )

    @classmethod
    def fitting(cls, spec: EventSpec, limits: Limits, target: Target) -> "TypedEvents | None":
        """None when records of this layout have to be read by the rules."""
        if spec.features is None:
            return None
        types: dict[str, tuple[str, Any, bool]] = {"id": (spec.id, _text_type(limits.id_chars, 1) | int, True)}
        if spec.key is not None:
            types["key"] = spec.key, _text_type(limits.id_chars) | int, True
        if spec.time is not None:
            types["time"] = spec.time.field, int | float | str, True
        if spec.label is not None:
            types["label"] = spec.label, _label_type(target, limits), False
        if spec.delay is not None:
            types["delay"] = spec.delay.field, int | float, True
        for name, feature in zip(_attributes(spec), spec.features, strict=True):
            types.setdefault(name, (feature.name, _feature_type(feature.kind, limits), feature.required))
        parse = _typed_decoder(types)
        return None if parse is None else cls(parse, spec, limits, target)


class TypedLabels:
    """Records of a labels topic: parse, then a column an attribute."""

    def __init__(self, parse: Callable[[bytes], Any], spec: LabelSpec, limits: Limits, target: Target) -> None:
        self.parse = parse
        self._id = text_reader(spec.id, limits)
        self._time = None if spec.time is None else time_reader(spec.time)
        self._is_plain = spec.time is not None and spec.time.unit == "ms"
        self._value = _label_column(spec.value, limits, target)

    def columns(self, parsed: list[Any]) -> Columns:
        return (
            _read_texts([one.id for one in parsed], self._id),
            [None] * len(parsed)
            if self._time is None
            else _read_times([one.time for one in parsed], self._time, is_plain=self._is_plain),
            self._value([one.value for one in parsed]),
        )

    @classmethod
    def fitting(cls, spec: LabelSpec, limits: Limits, target: Target) -> "TypedLabels | None":
        """None when records have to be read by the rules."""
        types: dict[str, tuple[str, Any, bool]] = {
            "id": (spec.id, _text_type(limits.id_chars, 1) | int, True),
            "value": (spec.value, _label_type(target, limits), True),
        }
        if spec.time is not None:
            types["time"] = spec.time.field, int | float | str, True
        parse = _typed_decoder(types)
        return None if parse is None else cls(parse, spec, limits, target)


def _label_column(name: str, limits: Limits, target: Target) -> Callable[[list[Any]], list[LabelValue]]:
    """For values of ``_label_type``, or None where a label is not known yet."""
    if target.problem == "regression":
        return lambda raw: raw  # the decoder has checked them
    if target.problem == "multiclass":
        read = label_reader(name, target, limits)
        return lambda raw: [None if one is None else read(one) for one in raw]
    known: dict[object, LabelValue] = {**BINARY, None: None}
    return lambda raw: [known[one] for one in raw]
