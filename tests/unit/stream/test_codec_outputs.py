"""Predictions, alarms and rejects have one form on the wire."""

import hashlib
import json
import math

import pytest

from stream.codec import Limits
from stream.codec_outputs import Alarm, Reason, Reasons, encode_alarm, encode_predictions, reject_headers, reject_value
from stream.records import Input, Reject

SOURCE = Input("events", "transactions", 3)


def encode(**changes):
    columns = {
        "ids": ["e1", "e2"],
        "keys": ["c1", "c2"],
        "times_ms": [5, 6],
        "scores": [0.1, None],
        "predictions": [False, None],
        "models": ["logistic@1", "logistic@2"],
        "source": SOURCE,
        "offsets": [40, 42],
        **changes,
    }
    return encode_predictions(**columns)


def test_a_prediction():
    """Fields in their order, null where there is no score."""
    place = b'"event":{"topic":"transactions","partition":3,"offset":%d}}'
    assert encode() == [
        b'{"id":"e1","key":"c1","time":5,"score":0.1,"prediction":false,"model":"logistic@1",' + place % 40,
        b'{"id":"e2","key":"c2","time":6,"score":null,"prediction":null,"model":"logistic@2",' + place % 42,
    ]


def test_classes_and_challengers():
    """Scores stand before the prediction, challengers after the model."""
    (first, _) = encode(
        classes=("x", "y"), class_scores=[[0.25, 0.75]] * 2, challengers={"b": [1.5, None], "a": [2, 3]}
    )
    assert first == (
        b'{"id":"e1","key":"c1","time":5,"score":0.1,"scores":{"x":0.25,"y":0.75},"prediction":false,'
        b'"model":"logistic@1","challengers":{"b":1.5,"a":2},"event":{"topic":"transactions","partition":3,"offset":40}}'
    )


def test_reasons():
    """They stand after the model, the largest first; a score that could not be explained has none."""
    reasons = [
        Reasons([Reason("amount", -1.5), Reason("hour", 0.25)], "linear", "log_odds", 0.5),
        Reasons([], "", "", None),
    ]
    first, second = encode(reasons=reasons)
    assert first == (
        b'{"id":"e1","key":"c1","time":5,"score":0.1,"prediction":false,"model":"logistic@1",'
        b'"reasons":[{"feature":"amount","contribution":-1.5},{"feature":"hour","contribution":0.25}],'
        b'"reasons_method":"linear","reasons_of":"log_odds","reasons_base":0.5,'
        b'"event":{"topic":"transactions","partition":3,"offset":40}}'
    )
    assert b'"reasons":[],"reasons_method":"","reasons_of":"","reasons_base":null,' in second


@pytest.mark.parametrize("more", [{"classes": ("x",), "class_scores": [[1.0]] * 2}, {"challengers": {"a": [1.0, 2.0]}}])
def test_what_a_pipeline_does_not_have_is_absent(more):
    """No empty scores, no empty challengers."""
    told = json.loads(encode(**more)[0])
    assert ("scores" in told, "challengers" in told) == ("classes" in more, "challengers" in more)


@pytest.mark.parametrize("score", [0.1 + 0.2, 5e-324, 1 / 3, 1e22, 123456789.123456789])
def test_scores_are_written_to_the_bit(score):
    """Reading a score gives the same float64."""
    assert json.loads(encode(scores=[score, 0.0])[0])["score"] == score


def test_what_is_not_finite_is_null():
    """A number that JSON does not have never reaches a topic."""
    assert b'"score":null' in encode(scores=[math.nan, 0.0])[0]


def test_columns_must_be_aligned():
    """A column that is too short is a broken invariant."""
    with pytest.raises(ValueError, match="shorter"):
        encode(offsets=[1])


def test_an_alarm():
    """Fields in their order."""
    alarm = Alarm("adwin", "error", "alarm", "e1", 5, 100, 0.1, math.nan, "reset", ["logistic"])
    assert encode_alarm(alarm) == (
        b'{"detector":"adwin","signal":"error","level":"alarm","event":"e1","time":5,"records":100,"before":0.1,'
        b'"after":null,"response":"reset","learners":["logistic"],"detail":"","kind":"change"}'
    )


def test_the_headers_of_a_reject():
    """Why and where, as text."""
    headers = reject_headers(Reject("schema", "decode", "amount: é"), SOURCE, 40, 5, "abc")
    assert headers == {
        "reason": b"schema",
        "stage": b"decode",
        "error": "amount: é".encode(),
        "topic": b"transactions",
        "partition": b"3",
        "offset": b"40",
        "timestamp": b"5",
        "lineage": b"abc",
    }


def test_an_error_is_bounded_and_encodable():
    """A field's name may be very long, or half a surrogate pair."""
    error = reject_headers(Reject("schema", "decode", "\ud800" + "x" * 5000), SOURCE, 0, 0, "")["error"]
    assert error.startswith(b"\\ud800x")
    assert len(error) < 1100


def test_a_reject_keeps_the_bytes():
    """As they were; none of a tombstone."""
    assert reject_value(b"\xff", SOURCE, 1, Limits()) == b"\xff"
    assert reject_value(None, SOURCE, 1, Limits()) == b""


def test_a_large_record_is_referred_to():
    """By its place, size and SHA-256."""
    assert json.loads(reject_value(b"x" * 11, SOURCE, 7, Limits(record_bytes=10))) == {
        "topic": "transactions",
        "partition": 3,
        "offset": 7,
        "bytes": 11,
        "sha256": hashlib.sha256(b"x" * 11).hexdigest(),
    }
