"""Bytes become columns, each record validated whole; what is refused says why (FAULTS.md, rows 1 to 9)."""

import doctest
import json
import math

import pytest

from learners.rows import Feature
from stream import codec
from stream.codec import (
    JSON,
    NO_ROW,
    NO_TIME,
    EventDecoder,
    Events,
    EventSpec,
    LabelDecoder,
    LabelSpec,
    Limits,
    Target,
    TimeField,
)
from stream.records import Records

BINARY = Target("binary")
CARD = EventSpec(
    id="id",
    key="card",
    time=TimeField("at"),
    features=(Feature("amount", "number"), Feature("online", "boolean", required=False), Feature("shop", "text")),
    label="fraud",
)
GOOD = {"id": "e1", "card": 7, "at": 1527811200000, "amount": 12, "online": True, "shop": "x", "fraud": 1}
LIMITS = Limits(width=20, depth=10, record_bytes=1000, text_chars=8, id_chars=10)


def records(*values):
    raw = [value if value is None or isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    return Records(list(range(len(raw))), [5000 + n for n in range(len(raw))], [None] * len(raw), raw)


def decode(*values, spec=CARD, limits=LIMITS, target=BINARY):
    return EventDecoder(spec, limits, target).decode(records(*values))


def labels(*values, spec=None, target=BINARY):
    spec = spec or LabelSpec("id", "y", TimeField("at"))
    return LabelDecoder(spec, LIMITS, target).decode(records(*values))


def why(value, **settings):
    """Reason and error of the one record, which is refused."""
    reject = decode(value, **settings).rejects[0]
    assert reject.stage == "decode"
    return reject.reason, reject.error


def changed(**fields):
    return {name: value for name, value in {**GOOD, **fields}.items() if value is not ...}


def raw(text, **fields):
    """GOOD with the amount written as ``text``."""
    return json.dumps(changed(amount="AMOUNT", **fields)).replace('"AMOUNT"', text).encode()


# --- what is accepted -------------------------------------------------------------------------------------------


def test_an_event_as_columns():
    """Id and key are text, the time is milliseconds, numbers are float64, the label is 0 or 1."""
    events = decode(GOOD)
    assert (events.ids, events.keys, events.times_ms) == (["e1"], ["7"], [1527811200000])
    assert [(type(value), value) for value in events.rows[0]] == [(float, 12.0), (bool, True), (str, "x")]
    assert events.labels == [1.0]


def test_without_key_the_id():
    """The key is the id where none is configured."""
    events = decode({"id": 3}, spec=EventSpec("id", features=()))
    assert (events.ids, events.keys, events.rows) == (["3"], ["3"], [()])


def test_without_time_the_records_timestamp():
    """The time is the record's where none is configured."""
    assert decode({"id": 3}, {}, {"id": 4}, spec=EventSpec("id", features=())).times_ms == [5000, NO_TIME, 5002]


@pytest.mark.parametrize("missing", [..., None])
def test_an_optional_feature_may_be_missing_or_null(missing):
    """Both are None in the row."""
    assert decode(changed(online=missing)).rows == [(12.0, None, "x")]


@pytest.mark.parametrize("missing", [..., None])
def test_a_label_in_the_event_may_be_missing_or_null(missing):
    """It is not known yet."""
    assert decode(changed(fraud=missing)).labels == [None]


def test_no_label_field_no_labels():
    """Labels are None altogether."""
    assert decode({"id": 3}, spec=EventSpec("id", features=())).labels is None


def test_the_last_of_two_values_counts():
    """Of a key that stands twice."""
    assert decode(raw('1, "amount": 2')).rows[0][0] == 2.0


def test_the_order_of_fields_changes_nothing():
    """The bytes' order is not the features' order."""
    assert decode(dict(reversed(GOOD.items()))).rows == decode(GOOD).rows


def test_the_sign_of_zero_is_kept():
    """-0.0 stays -0.0."""
    assert math.copysign(1, decode(raw("-0.0")).rows[0][0]) == -1


def test_field_names_may_be_anything():
    """Quotes, spaces, Python words and names of attributes are field names like others."""
    names = ("class", "f1", 'a "b"', "\\", "\n", "é", "", "id")
    spec = EventSpec("f0", features=tuple(Feature(name, "number") for name in names))
    events = decode({"f0": "a", **dict(zip(names, range(8), strict=True))}, spec=spec)
    assert events.rows == [tuple(map(float, range(8)))]


@pytest.mark.parametrize("role", ["id", "card", "at", "fraud"])
def test_a_field_may_have_two_uses(role):
    """The key may be a feature too."""
    spec = EventSpec("id", "card", TimeField("at"), (Feature(role, "text"), Feature("amount", "number")), label="fraud")
    event = {"id": "1", "card": "c", "at": "20180601", "fraud": "1", "amount": 2}
    assert decode(event, spec=spec).rows == [(event[role], 2.0)]
    assert why({**event, "amount": "2"}, spec=spec) == ("schema", "amount: expected number, got string")


# --- open features ----------------------------------------------------------------------------------------------

OPEN = EventSpec("id", "card", TimeField("at"), None, exclude=("internal",), label="fraud")


def test_open_features_are_all_numbers_booleans_and_strings():
    """But id, key, time, label and what is excluded; null and nested ones are passed over; sorted by name."""
    event = {**GOOD, "z": 1, "b": 0.5, "no": None, "deep": {"x": 1}, "many": [1], "internal": 9}
    assert list(decode(event, spec=OPEN).rows[0].items()) == [
        ("amount", 12.0), ("b", 0.5), ("online", True), ("shop", "x"), ("z", 1.0),
    ]  # fmt: skip


def test_open_numbers_are_floats():
    """Whole numbers too."""
    assert type(decode({**GOOD, "z": 1}, spec=OPEN).rows[0]["z"]) is float


# --- times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "time_ms"),
    [
        (TimeField("at"), 1527811200123, 1527811200123),
        (TimeField("at"), 1527811200123.6, 1527811200124),
        (TimeField("at", unit="s"), 1527811200, 1527811200000),
        (TimeField("at", unit="s"), 1527811200.123, 1527811200123),
        (TimeField("at", unit="us"), 1527811200123999, 1527811200123),
        (TimeField("at"), -1, -1),
        (TimeField("at"), "2018-06-01T00:00:00Z", 1527811200000),
        (TimeField("at"), "2018-06-01 00:00:00", 1527811200000),
        (TimeField("at"), "2018-06-01", 1527811200000),
        (TimeField("at"), "2018-06-01T02:00:00.1239+02:00", 1527811200123),
        (TimeField("at", zone="Europe/Amsterdam"), "2018-06-01T02:00:00", 1527811200000),
        (TimeField("at", zone="Europe/Amsterdam"), "2018-06-01T00:00:00Z", 1527811200000),
        (TimeField("at", zone="Europe/Amsterdam"), "2018-10-28T02:30:00", 1540686600000),
        (TimeField("at"), "1969-12-31T23:59:59.9999", -1),
        (TimeField("at"), "0001-01-01", -62135596800000),
        (TimeField("at"), 253402300799999, 253402300799999),
    ],
)
def test_times(field, value, time_ms):
    """Numbers in their unit, ISO 8601 with and without an offset, in a zone; alone and beside another way of writing."""
    spec = EventSpec("id", time=field, features=())
    assert decode({"id": 1, "at": value}, spec=spec).times_ms == [time_ms]
    assert decode({"id": 1, "at": value}, {"id": 2, "at": "1970-01-01Z"}, spec=spec).times_ms[0] == time_ms


@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        ("yesterday", "schema", "at: not an ISO 8601 time"),
        ("", "schema", "at: not an ISO 8601 time"),
        ("now", "schema", "at: not an ISO 8601 time"),
        (253402300800000, "out_of_range", "at: not between the years 1 and 9999 (unit: ms)"),
        (-(10**30), "out_of_range", "at: not between the years 1 and 9999 (unit: ms)"),
        (1e308, "out_of_range", "at: not between the years 1 and 9999 (unit: ms)"),
        (True, "schema", "at: expected number or string, got boolean"),
        (None, "schema", "at: expected number or string, got null"),
        (..., "schema", "at: required field missing"),
    ],
)
def test_times_that_are_none(value, reason, error):
    """Each is refused with its reason, and the records beside it are not."""
    events = decode(GOOD, changed(at=value), GOOD)
    assert [(at, reject.reason, reject.error) for at, reject in events.rejects.items()] == [(1, reason, error)]
    assert events.ids == ["e1", "", "e1"]


def test_an_unknown_zone_is_refused_at_once():
    """Not when the first record comes."""
    with pytest.raises(KeyError):
        EventDecoder(EventSpec("id", time=TimeField("at", zone="Mars/Olympus")), LIMITS, BINARY)


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", [CARD, OPEN, EventSpec("id", "id", None, CARD.features)], ids=["typed", "open", "rules"]
)
@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        (b"", "decode", "not JSON at byte 0: expecting value"),
        (b'{"id": "e1", "a": tru}', "decode", "not JSON at byte 18: expecting value"),
        ('{"é": 1, }'.encode(), "decode", "not JSON at byte 10"),
        (b'{"id": "e1"} x', "decode", "not JSON at byte 13: extra data"),
        (b'{"id": "\xff"}', "decode", "not UTF-8 at byte 8"),
        (json.dumps(GOOD).encode()[:-1] + b', "unknown": "\xff"}', "decode", "not UTF-8 at byte"),
        (json.dumps(GOOD).encode()[:-1] + b', "unknown": "\\ud800"}', "decode", "half a surrogate pair"),
        (b"\xef\xbb\xbf{}", "decode", "not JSON at byte 0"),
        (b"[1]", "schema", "expected object, got array"),
        (b"null", "schema", "expected object, got null"),
        (changed(id=...), "schema", "id: required field missing"),
        (changed(id=""), "schema", "id: empty"),
        (changed(id=1.5), "schema", "id: expected string or integer, got number"),
        (changed(id=True), "schema", "id: expected string or integer, got boolean"),
        (changed(id="x" * 11), "out_of_range", "id: more than 10 characters"),
        (changed(id=10**10), "out_of_range", "id: more than 10 characters"),
        (raw("1e16"), "out_of_range", "amount: magnitude above 1e+15"),
        (raw("-1000000000000001"), "out_of_range", "amount: magnitude above 1e+15"),
        (raw("1" * 300), "out_of_range", "amount: magnitude above 1e+15"),
        (raw("NaN"), "non_finite", "amount: not a finite number"),
        (raw("-Infinity"), "non_finite", "amount: not a finite number"),
        (raw("1e999"), "non_finite", "amount: not a finite number"),
        (raw("1" * 400), "non_finite", "amount: not a finite number"),
        (raw("1", unknown=[math.nan]), "non_finite", "NaN is not a finite number"),
        (changed(shop="x" * 9), "out_of_range", "shop: more than 8 characters"),
        (raw("[" * 10 + "1" + "]" * 10), "too_deep", "more than 10 levels"),
        (raw("[" * 400), "too_deep", "more than 10 levels"),
        (changed(**{f"f{n}": n for n in range(14)}), "too_wide", "more than 20 fields"),
        (b" " * 1001, "too_large", "1001 bytes, the limit is 1000"),
    ],
)  # fmt: skip
def test_every_way_of_decoding_refuses_alike(spec, value, reason, error):
    """The typed decoder, open features and the rules give the same reason."""
    rejects = decode(value, spec=spec).rejects
    assert rejects[0].reason == reason
    assert error in rejects[0].error


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"amount": "12"}, "amount: expected number, got string"),
        ({"amount": True}, "amount: expected number, got boolean"),
        ({"amount": None}, "amount: expected number, got null"),
        ({"amount": ...}, "amount: required field missing"),
        ({"online": 1}, "online: expected boolean, got number"),
        ({"shop": 1}, "shop: expected string, got number"),
        ({"shop": {}}, "shop: expected string, got object"),
        ({"card": None}, "card: expected string or integer, got null"),
        ({"fraud": [1]}, "fraud: expected true, false, 1 or 0, got array"),
    ],
)
def test_wrong_types_and_missing_fields(fields, error):
    """The error names the field, what was expected and what came."""
    assert why(changed(**fields)) == ("schema", error)


def test_a_wrong_value_that_is_overwritten_is_refused():
    """A key that stands twice is checked twice by the typed decoder; there is a reason all the same."""
    reason, error = why(raw('"x", "amount": 2'))
    assert (reason, "amount" in error) == ("schema", True)


def test_an_empty_key_is_a_key():
    """Only an id must not be empty."""
    assert decode(changed(card="")).keys == [""]


def test_wide_nested_objects_are_one_field():
    """Width counts the record's own fields; a colon in a string is none."""
    assert not decode(changed(unknown={f"f{n}": n for n in range(30)}, text=":" * 30)).rejects


def test_brackets_in_strings_are_not_levels():
    """Neither are quotes that are escaped."""
    assert not decode(changed(unknown='[{"' * 30)).rejects


def test_many_escaped_quotes_cost_one_pass():
    """An unterminated string of a megabyte is refused in linear time (a quadratic scan would not return)."""
    value = b'{"id": "' + b'\\"' * 400_000 + b":" * 6000
    assert decode(value, limits=Limits()).rejects[0].reason == "decode"


def test_nesting_up_to_the_limit_is_accepted():
    """Five hundred levels are within what the parsers take."""
    value = raw("1")[:-1] + b', "unknown": ' + b"[" * 499 + b"]" * 499 + b"}"
    assert not decode(value, limits=Limits()).rejects


def test_limits_that_the_parsers_do_not_take_are_refused():
    """The reason must not depend on how deep the caller's stack is."""
    with pytest.raises(ValueError, match="between 1 and 500"):
        Limits(depth=501)


# --- batches ----------------------------------------------------------------------------------------------------


def test_rejects_and_tombstones_keep_their_place():
    """Columns stay aligned with the records."""
    events = decode(GOOD, None, b"x", changed(id="e2", fraud=..., at="1970-01-01"))
    assert events.ids == ["e1", "", "", "e2"]
    assert events.keys == ["7", "", "", "7"]
    assert events.times_ms == [1527811200000, NO_TIME, NO_TIME, 0]
    assert events.labels == [1.0, None, None, None]
    assert events.rows[1:3] == [NO_ROW, NO_ROW]
    assert (events.tombstones, list(events.rejects)) == ({1}, [2])


@pytest.mark.parametrize("cut", range(6))
def test_slices_joined_again_are_the_whole(cut):
    """Slice and extend keep columns, records, rejects and tombstones."""
    whole = decode(GOOD, None, b"x", changed(id="e2"), None)
    joined = Events()
    joined.extend(whole.slice(0, cut))
    joined.extend(whole.slice(cut, 99))
    assert joined == whole


def test_slices_of_labels_joined_again_are_the_whole():
    """The same for labels."""
    whole = labels({"id": "a", "y": 1, "at": 1}, None, b"x", {"id": 2, "y": 0, "at": "1970-01-01"})
    first = whole.slice(0, 2)
    first.extend(whole.slice(2, 4))
    assert first == whole
    assert whole.ids == ["a", "", "", "2"]


def test_no_records():
    """An empty poll is an empty batch."""
    assert len(decode()) == 0
    assert len(labels()) == 0


def test_a_batch_of_rejects_only():
    """Nothing right in it."""
    assert decode(b"x", b"y").ids == ["", ""]


# --- labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "value", "label"),
    [
        (BINARY, True, 1.0),
        (BINARY, 0, 0.0),
        (BINARY, "1", 1.0),
        (BINARY, "false", 0.0),
        (BINARY, 1.0, 1.0),
        (Target("anomaly"), False, 0.0),
        (Target("regression"), 3, 3.0),
        (Target("regression"), -2.5, -2.5),
        (Target("multiclass", ("3", "true", "x")), 3, "3"),
        (Target("multiclass", ("3", "true", "x")), True, "true"),
        (Target("multiclass", ("3", "true", "x")), "x", "x"),
        (Target("multiclass", (), open_classes=True), "new", "new"),
    ],
)
def test_labels(target, value, label):
    """What a label may be, by problem; in a record of its own and in the event."""
    (read,) = labels({"id": 1, "y": value, "at": 7}, target=target).values
    assert (type(read), read) == (type(label), label)
    assert decode(changed(fraud=value), target=target).labels == [label]


@pytest.mark.parametrize(
    ("target", "value", "reason"),
    [
        (BINARY, 2, "label_domain"),
        (BINARY, "maybe", "label_domain"),
        (BINARY, 0.5, "label_domain"),
        (BINARY, [], "schema"),
        (BINARY, None, "schema"),
        (BINARY, ..., "schema"),
        (Target("regression"), "3", "schema"),
        (Target("regression"), True, "schema"),
        (Target("regression"), 1e300, "out_of_range"),
        (Target("multiclass", ("x",)), "y", "label_domain"),
        (Target("multiclass", ("x",)), 1.5, "schema"),
        (Target("multiclass", (), open_classes=True), "", "label_domain"),
        (Target("multiclass", (), open_classes=True), "x" * 11, "label_domain"),
    ],
)
def test_labels_that_are_none(target, value, reason):
    """Refused with the reason, and the records beside it are not."""
    record = {name: one for name, one in {"id": 1, "y": value, "at": 7}.items() if one is not ...}
    good = {"regression": 1, "multiclass": target.classes[0] if target.classes else "x"}.get(target.problem, 1)
    read = labels({"id": 2, "y": good, "at": 7}, record, target=target)
    assert [(at, reject.reason) for at, reject in read.rejects.items()] == [(1, reason)]
    assert read.ids == ["2", ""]


def test_labels_without_time_have_the_records():
    """The record's timestamp."""
    assert labels({"id": 1, "y": 1}, spec=LabelSpec("id", "y")).times_ms == [5000]


def test_a_label_that_is_its_own_id():
    """Fields with two uses work in labels too."""
    assert labels({"id": 1}, spec=LabelSpec("id", "id")).values == [1.0]


# --- unknown fields ---------------------------------------------------------------------------------------------


def test_unknown_fields_are_counted_on_a_sample():
    """The first of every thousand records, over all batches."""
    decoder = EventDecoder(CARD, LIMITS, BINARY)
    for _ in range(3):
        decoder.decode(records(*[{**GOOD, "extra": 1}] * 700))
    assert decoder.unknown_fields == {"extra": 3}


def test_nested_fields_are_unknown_to_open_features():
    """Objects and arrays are what an open layout passes over."""
    decoder = JSON.events(OPEN, LIMITS, BINARY)
    decoder.decode(records({**GOOD, "deep": {}, "internal": [], "new": 1}))
    assert decoder.unknown_fields == {"deep": 1}


def test_the_examples_run():
    """Those in the docstrings."""
    assert doctest.testmod(codec).failed == 0


@pytest.mark.parametrize("stamp", [2**63 - 1, -(2**62), -(2**63), 253_402_300_800_000])
def test_a_timestamp_that_is_in_no_calendar_is_refused_where_it_is_the_time(stamp):
    """A producer sets it to any 64 bits; a field with such a time would be refused too."""
    records = Records(
        [0, 1, 2, 3], [5, stamp, 6, stamp], [None] * 4, [b'{"id": 1, "y": 1}', b'{"id": 2, "y": 1}', b"{", None]
    )
    events = EventDecoder(EventSpec(id="id", features=()), Limits(), Target("binary")).decode(records)
    labels = LabelDecoder(LabelSpec(id="id", value="y"), Limits(), Target("binary")).decode(records)
    for decoded in (events, labels):
        assert decoded.ids == ["1", "", "", ""]
        assert decoded.times_ms == [5, NO_TIME, NO_TIME, NO_TIME]
        assert [reject.reason for reject in decoded.rejects.values()] == ["out_of_range", "decode"]
        assert decoded.tombstones == {3}
