"""Hidden fields of events, such as the keys of windows: read as ids are, whichever way records are decoded."""

import json

import pytest

from learners.rows import Feature
from stream.codec import EventDecoder
from stream.codec_specs import EventSpec, Limits, Target, TimeField
from stream.records import Records


def decode(spec: EventSpec, *events: dict[str, object], limits: Limits | None = None):
    values = [json.dumps(event).encode() for event in events]
    records = Records(list(range(len(values))), [0] * len(values), [None] * len(values), values)
    return EventDecoder(spec, limits or Limits(), Target("binary")).decode(records)


def spec(*hidden: Feature, twice: bool = False) -> EventSpec:
    """``twice``: the time is a feature too, so that records are read by the rules."""
    features = (Feature("at", "number"),) if twice else (Feature("amount", "number"),)
    return EventSpec("id", "card", TimeField("at"), (*features, *hidden))


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("value", "text"), [("c1", "c1"), (17, "17"), (-3, "-3"), ("", "")])
def test_a_key_is_text_or_the_digits_of_a_whole_number(twice: bool, value: object, text: str) -> None:
    """The event's own key, its id and other fields alike."""
    told = spec(*(Feature(name, "key", hidden=True) for name in ("card", "terminal", "id")), twice=twice)
    events = decode(told, {"id": 5, "card": value, "terminal": value, "amount": 1.0, "at": 7})
    assert events.rows == [(7.0 if twice else 1.0, text, text, "5")]
    assert events.keys == [text]


@pytest.mark.parametrize("twice", [False, True])
def test_a_missing_key_is_refused_unless_it_need_not_be_there(twice: bool) -> None:
    """With the field's name in the reason."""
    required = spec(Feature("terminal", "key", hidden=True), twice=twice)
    optional = spec(Feature("terminal", "key", required=False, hidden=True), twice=twice)
    event = {"id": "a", "card": "c", "amount": 1.0, "at": 7}
    assert decode(required, event).rejects[0].error == "terminal: required field missing"
    assert (
        decode(required, {**event, "terminal": 1.5}).rejects[0].error
        == "terminal: expected string or integer, got number"
    )
    assert decode(optional, event).rows[0][-1] is None
    assert decode(optional, {**event, "terminal": None}).rows[0][-1] is None


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("field", ["id", "card", "terminal"])
@pytest.mark.parametrize("digits", [513, 4000])
def test_a_whole_number_is_no_longer_than_a_text_may_be(twice: bool, field: str, digits: int) -> None:
    """``id_chars`` binds an id, a key and the key of a window however they are written."""
    told = spec(Feature("terminal", "key", hidden=True), twice=twice)
    event = {"id": "a", "card": "c", "terminal": "t", "amount": 1.0, "at": 7}
    refused = decode(told, {**event, field: int("9" * digits)}, event)
    assert list(refused.rejects) == [0]
    assert field in refused.rejects[0].error


@pytest.mark.parametrize("twice", [False, True])
def test_a_whole_number_as_long_as_a_text_may_be_is_a_key(twice: bool) -> None:
    """The limit is counted in characters, the sign among them."""
    told = spec(Feature("terminal", "key", hidden=True), twice=twice)
    event = {"id": "a", "card": "c", "amount": 1.0, "at": 7}
    decoded = decode(told, {**event, "terminal": 12345}, {**event, "terminal": -12345}, limits=Limits(id_chars=5))
    assert decoded.rows[0][-1] == "12345"
    assert decoded.rejects[1].error == "terminal: more than 5 characters"
