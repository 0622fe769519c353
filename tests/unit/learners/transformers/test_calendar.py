"""The calendar of a zone: the batch function, the transformer and Python's own clock of that zone agree."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from learners.features.calendar import CALENDAR, calendar_features, check_calendar, local_minutes
from learners.transformers import Calendar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Half hours, quarters, summer time in both halves of the year, a change of half an hour, a day that was left out, years of war.
ZONES = ("UTC", "Europe/Amsterdam", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York",
         "Pacific/Apia", "Africa/Monrovia", "America/St_Johns")  # fmt: skip


def ms(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def told_by_python(time_ms: int, zone: str, night: tuple[int, int]) -> list[float]:
    local = (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone))
    day = (local.hour * 60 + local.minute) / 1440 * 2 * math.pi
    week = ((local.weekday() * 24 + local.hour) * 60 + local.minute) / 10080 * 2 * math.pi
    hours = {(night[0] + step) % 24 for step in range((night[1] - night[0]) % 24)}
    return [
        local.hour, local.weekday(), local.weekday() >= 5, local.hour in hours,
        math.sin(day), math.cos(day), math.sin(week), math.cos(week),
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("night", [(22, 6), (0, 7), (23, 24)])
def test_it_is_what_a_clock_there_says(zone, night):
    """500 times from 1900 to 2100, against Python's own conversion."""
    times = np.random.default_rng(1).integers(ms("1900-01-01"), ms("2100-01-01"), 500)
    found = calendar_features(times, zone, CALENDAR, night)
    expected = [told_by_python(time, zone, night) for time in times.tolist()]
    np.testing.assert_allclose(found, np.array(expected, float), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Europe/Amsterdam", "2026-03-29T01:00:00"),
        ("Europe/Amsterdam", "2026-10-25T01:00:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00"),
        ("Asia/Kathmandu", "1985-12-31T18:30:00"),
        ("Africa/Monrovia", "1972-01-07T00:44:30"),
        ("Pacific/Apia", "2011-12-30T10:00:00"),
    ],
)
def test_a_change_of_the_clock_counts_from_its_millisecond(zone, at):
    """Also one in the middle of an hour."""
    times = ms(at) + np.array([-3_600_000, -60_000, -1, 0, 1, 60_000, 3_600_000])
    found = calendar_features(times, zone, ["hour", "weekday", "hour_sin"])
    expected = np.array([told_by_python(time, zone, (22, 6)) for time in times.tolist()])[:, [0, 1, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    offsets = (local_minutes(times, zone) - local_minutes(times, "UTC")) % 10080
    assert offsets[2] != offsets[3]


def test_where_a_batch_is_cut_changes_no_bit():
    """Times in any order, whole and one by one."""
    times = np.random.default_rng(2).integers(ms("2020-01-01"), ms("2027-01-01"), 300)
    whole = calendar_features(times, "Europe/Paris", CALENDAR)
    parts = np.vstack([calendar_features(times[at : at + 1], "Europe/Paris", CALENDAR) for at in range(300)])
    assert whole.tobytes() == parts.tobytes()
    assert whole.shape == (300, len(CALENDAR))


def test_no_times_give_no_rows():
    """An empty batch has the right shape."""
    assert calendar_features(np.array([], np.int64), "Europe/Paris", ["night", "hour"]).shape == (0, 2)


def test_times_beyond_every_calendar_still_have_an_hour():
    """The first and last times that an event may have, and what no event has."""
    times = np.array([ms("0001-01-01"), ms("9999-12-31T23:59:59"), -(2**62), 2**62])
    assert np.isfinite(calendar_features(times, "Asia/Tokyo", CALENDAR)).all()
    assert calendar_features(times[:1], "UTC", ["hour", "weekday"]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("zone", "compute", "night", "words"),
    [
        ("Europe/Amsterdm", ["hour"], (22, 6), "'Europe/Amsterdm' is not a time zone"),
        ("../etc/passwd", ["hour"], (22, 6), "is not a time zone"),
        ("UTC", ["hours"], (22, 6), "no calendar feature 'hours'; there are hour, weekday"),
        ("UTC", [], (22, 6), "got none"),
        ("UTC", ["hour", "hour"], (22, 6), "named once each"),
        ("UTC", ["night"], (6, 6), "two different hours"),
        ("UTC", ["night"], (22, 25), "two different hours"),
        ("UTC", ["night"], (22,), "two different hours"),
    ],
)
def test_what_cannot_be_computed_is_refused(zone, compute, night, words):
    """By the check before any event, and by the function."""
    with pytest.raises(ValueError, match=words):
        check_calendar(zone, compute, night)
    with pytest.raises(ValueError, match=words):
        calendar_features(np.array([0]), zone, compute, night)


@pytest.mark.parametrize("zone", ZONES)
def test_the_transformer_says_the_same_to_the_bit(zone):
    """Of milliseconds in a feature, of seconds, of a datetime and of its text."""
    times = np.random.default_rng(3).integers(ms("1960-01-01"), ms("2090-01-01"), 100) // 1000 * 1000
    expected = [dict(zip([f"t_{name}" for name in CALENDAR], row, strict=True))
                for row in calendar_features(times, zone, CALENDAR).tolist()]  # fmt: skip
    by_ms, by_s = (Calendar("t", zone, CALENDAR, unit=unit) for unit in ("ms", "s"))
    moments = [EPOCH + timedelta(milliseconds=time) for time in times.tolist()]
    assert [by_ms.transform_one({"t": float(time)}) for time in times] == expected
    assert [by_s.transform_one({"t": time / 1000}) for time in times.tolist()] == expected
    assert [by_ms.transform_one({"t": moment}) for moment in moments] == expected
    assert [by_ms.transform_one({"t": moment.isoformat()}) for moment in moments] == expected


def test_a_time_without_an_offset_is_local():
    """A naive datetime or text is what a clock of the zone said."""
    night = Calendar("t", "America/New_York", ["hour"])
    assert night.transform_one({"t": datetime(2026, 7, 1, 23, 30)}) == {"t_hour": 23.0}  # noqa: DTZ001
    assert night.transform_one({"t": "2026-07-01T23:30:00"}) == {"t_hour": 23.0}
    assert night.transform_one({"t": "2026-07-01T23:30:00Z"}) == {"t_hour": 19.0}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 1e300, -1e16, "yesterday", ""])
def test_what_is_no_time_has_no_calendar(value):
    """It is missing like every feature that cannot be computed; the other features stay."""
    assert Calendar("t", "Asia/Tokyo").transform_one({"t": value, "a": 1.0}) == {"a": 1.0}
    assert Calendar("t").transform_one({"a": 1.0}) == {"a": 1.0}


def test_the_time_itself_is_kept_when_asked_for():
    """In its place, before what was computed."""
    assert list(Calendar("t", keep=True).transform_one({"t": 0.0, "a": 1.0})) == [
        "t", "a", "t_hour", "t_weekday", "t_night",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"unit": "h"}, "`unit`"),
        ({"zone": "Nowhere"}, "time zone"),
        ({"compute": "dusk"}, "dusk"),
        ({"night": [1, 1]}, "night"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters, words):
    """When the chain is built."""
    with pytest.raises(ValueError, match=words):
        Calendar("t", **parameters)
