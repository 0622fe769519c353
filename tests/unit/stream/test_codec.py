"""Bytes become columns: what is accepted, how a batch is held, what is not known."""

import doctest
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
    TimeField,
)
from tests.unit.stream.decoding import BINARY, CARD, GOOD, LIMITS, OPEN, changed, decode, labels, raw, records, why

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


def test_open_features_are_all_numbers_booleans_and_strings():
    """But id, key, time, label and what is excluded; null and nested ones are passed over; sorted by name."""
    event = {**GOOD, "z": 1, "b": 0.5, "no": None, "deep": {"x": 1}, "many": [1], "internal": 9}
    assert list(decode(event, spec=OPEN).rows[0].items()) == [
        ("amount", 12.0), ("b", 0.5), ("online", True), ("shop", "x"), ("z", 1.0),
    ]  # fmt: skip


def test_open_numbers_are_floats():
    """Whole numbers too."""
    assert type(decode({**GOOD, "z": 1}, spec=OPEN).rows[0]["z"]) is float


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
