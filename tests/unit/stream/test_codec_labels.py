"""Times and labels: every way of writing them, and what is none."""

import pytest

from stream.codec import (
    NO_TIME,
    EventDecoder,
    EventSpec,
    LabelDecoder,
    LabelSpec,
    Limits,
    Target,
    TimeField,
)
from stream.records import Records
from tests.unit.stream.decoding import BINARY, GOOD, LIMITS, changed, decode, labels

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
