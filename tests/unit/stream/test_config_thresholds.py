"""A threshold as a number, as what mistakes cost, or as a number of alerts: what is read, and what is refused."""

import doctest

import pytest
from pydantic import ValidationError

from stream import config_thresholds
from stream.config_thresholds import AlertRate
from tests.harness import BASE, config


@pytest.mark.parametrize(
    ("text", "count", "period_ms", "canonical"),
    [
        ("100 per day", 100, 86_400_000, "100 per day"),
        ("1_000 per week", 1000, 604_800_000, "1_000 per week"),
        ("5 per 24h", 5, 86_400_000, "5 per day"),
        ("5 per 90s", 5, 90_000, "5 per 1m30s"),
        ("1 per hour", 1, 3_600_000, "1 per hour"),
    ],
)
def test_rates_are_read_as_people_write_them(text, count, period_ms, canonical):
    """A number and a unit or a duration; written again in one way."""
    rate = AlertRate.parse(text)
    assert (rate.count, rate.period_ms, str(rate)) == (count, period_ms, canonical)
    assert AlertRate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    "text", ["100", "100 a day", "0 per day", "-1 per day", "1.5 per day", "1 per 0s", "1 per moon", 100]
)
def test_what_is_no_rate(text):
    """Refused, with what was expected."""
    with pytest.raises(ValueError, match="number of alerts"):
        AlertRate.parse(text)


def test_a_cost_is_the_threshold_at_which_both_mistakes_cost_the_same():
    """At that probability an alert and silence are expected to cost alike."""
    p = config(
        predictions={"threshold": {"cost": {"false_positive": 1, "false_negative": 50}}}
    ).predictions.fixed_threshold
    assert p == pytest.approx(1 / 51)
    assert (1 - p) * 1 == pytest.approx(p * 50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": {"threshold": 1.5}}, "less than or equal to 1"),
        ({"predictions": {"threshold": "high"}}, "valid number"),
        ({"predictions": {"threshold": {"cost": {"false_positive": 0, "false_negative": 1}}}}, "greater than 0"),
        ({"predictions": {"threshold": {"cost": {"false_positive": 1}}}}, "false_negative"),
        ({"predictions": {"threshold": {"alerts": "many"}}}, "expected a number of alerts"),
        ({"predictions": {"threshold": {"alerts": "1 per day", "per": "card"}}}, "'event' or 'key'"),
        ({"predictions": {"threshold": {"alerts": "9 per day", "most": 8}}}, "must not be less than `alerts`"),
        ({"predictions": {"threshold": {"alert": "1 per day"}}}, "alerts"),
        (
            {"predictions": {"threshold": {"alerts": "1 per day"}}, "problem": "regression"},
            "for binary and anomaly problems; this one is regression",
        ),
        (
            {"predictions": {"threshold": {"cost": {"false_positive": 1, "false_negative": 1}}}, "problem": "anomaly"},
            "held against probabilities; this problem is anomaly",
        ),
        (
            {
                "predictions": {"threshold": {"alerts": "1 per day", "per": "key"}},
                "events": {name: value for name, value in BASE["events"].items() if name != "key"},
            },
            "needs `events: {key: …}`",
        ),
    ],
)
def test_what_is_refused(changes, message):
    """Each with its reason."""
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_the_examples_run():
    """Those in the docstrings."""
    assert doctest.testmod(config_thresholds).failed == 0
