"""Hidden fields of events, such as the keys of windows: read as ids are, whichever way records are decoded."""

import json

import pytest

from learners.rows import Feature
from stream.codec import EventDecoder
from stream.codec_specs import EventSpec, Limits, Target, TimeField
from stream.records import Records


def decode(spec: EventSpec, *events: dict[str, object]):
    values = [json.dumps(event).encode() for event in events]
    records = Records(list(range(len(values))), [0] * len(values), [None] * len(values), values)
    return EventDecoder(spec, Limits(), Target("binary")).decode(records)


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
