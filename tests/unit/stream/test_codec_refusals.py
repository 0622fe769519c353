"""Each record is validated whole, and what is refused says why (FAULTS.md, rows 1 to 9)."""

import json
import math

import pytest

from stream.codec import (
    EventSpec,
    Limits,
)
from tests.unit.stream.decoding import CARD, GOOD, OPEN, changed, decode, raw, why


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
