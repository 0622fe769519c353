"""An alert budget by itself: how many alerts, after a drift too, and that nothing but what came before decides."""

import math

import numpy as np
import pytest

from stream.pipeline.budget import Budget

DAY = 86_400_000


def days(rng, each, count, *, shift=0.0, cards=10**9):
    """(times, keys, scores) of some days with ``each`` events: logistic scores, shifted in the logit."""
    times = np.sort(rng.integers(0, DAY, (count, each)), axis=1) + DAY * np.arange(count)[:, None]
    scores = 1 / (1 + np.exp(3 - shift - rng.normal(size=count * each)))
    return times.ravel().tolist(), [f"c{card}" for card in rng.integers(0, cards, count * each)], scores.tolist()


def after(first, then):
    """One stretch of days behind another."""
    start = (first[0][-1] // DAY + 1) * DAY
    return first[0] + [time + start for time in then[0]], first[1] + then[1], first[2] + then[2]


def alerts(budget, stream, *, by_key):
    """Of each day: events, or keys, that were predicted positive."""
    times, keys, scores = stream
    positive = np.array(scores) >= budget.decide(times, keys, scores)
    told = {}
    for time, key, place, yes in zip(times, keys, range(len(times)), positive, strict=True):
        told.setdefault(time // DAY, set()).update([key if by_key else place] if yes else [])
    return [len(told[day]) for day in sorted(told)]


@pytest.mark.parametrize("by_key", [False, True])
def test_the_budget_is_kept(by_key):
    """Of days that are alike each has about the budget, from the second full day on."""
    stream = days(np.random.default_rng(1), 2000, 20, cards=400)
    told = alerts(Budget(50, DAY, by_key=by_key), stream, by_key=by_key)
    assert 40 <= np.mean(told[2:]) <= 55
    assert max(told[2:]) <= 70
    assert min(told[2:]) >= 25


@pytest.mark.parametrize("shift", [-2.0, 2.0])
def test_a_lasting_change_is_followed_after_two_days(shift):
    """All scores rise: the first days have more, but by far not all. They fall: fewer. From the third day on it is as before."""
    rng = np.random.default_rng(2)
    stream = after(days(rng, 2000, 10), days(rng, 2000, 10, shift=shift))
    told = alerts(Budget(50, DAY, by_key=False), stream, by_key=False)
    assert 40 <= np.mean(told[12:]) <= 60
    for changed in told[10:12]:
        assert 100 < changed <= 50 * (1 + math.log(2000 / 50)) * 1.2 if shift > 0 else changed < 10


def test_one_odd_day_changes_nothing_afterwards():
    """A day of tenfold traffic, or of none but a few events, does not move the threshold of the day after."""
    rng = np.random.default_rng(3)
    for odd in (20_000, 3):
        calm = after(days(rng, 2000, 5), days(rng, 2000, 1))
        stream = after(after(days(rng, 2000, 5), days(rng, odd, 1)), days(rng, 2000, 1))
        usual = Budget(50, DAY, by_key=False).decide(*calm)[-2000]
        unusual = Budget(50, DAY, by_key=False).decide(*stream)[-2000]
        assert abs(unusual - usual) < 0.05


def test_where_it_is_cut_changes_nothing():
    """Decided one by one, in pieces, or at once; saved and loaded between: the same thresholds, the same state."""
    times, keys, scores = days(np.random.default_rng(4), 300, 6, cards=60)
    scores = np.round(scores, 2).tolist()  # with ties
    whole = Budget(10, DAY, by_key=True)
    expected = whole.decide(times, keys, scores)
    for size in (1, 7, 500):
        budget, told = Budget(10, DAY, by_key=True), []
        for start in range(0, len(times), size):
            told += budget.decide(*(column[start : start + size] for column in (times, keys, scores))).tolist()
            if start % 3 == 0:
                fresh = Budget(10, DAY, by_key=True)
                fresh.load(dict(budget.dump(-1)))
                budget = fresh
        assert told == expected.tolist()
        assert dict(budget.dump(-1)) == dict(whole.dump(-1))


def test_an_event_is_decided_by_what_came_before_it():
    """Its own score, and later ones, do not change its threshold."""
    times, keys, scores = days(np.random.default_rng(5), 100, 4)
    told = Budget(5, DAY, by_key=False).decide(times, keys, scores)
    for place in (50, 150, 250, 350):
        other = scores[:place] + [0.999] * (len(scores) - place)
        assert (
            Budget(5, DAY, by_key=False).decide(times, keys, other)[: place + 1].tolist() == told[: place + 1].tolist()
        )


def test_of_equal_scores_the_first_are_positive():
    """All the same score: the budget, each day, and not one more."""
    times, keys, _ = days(np.random.default_rng(6), 100, 4)
    for score in (0.0, 0.7, 1.0):
        told = alerts(Budget(5, DAY, by_key=False, at_first=0.0), (times, keys, [score] * len(times)), by_key=False)
        assert told == [5, 5, 5, 5]


def test_a_key_costs_its_alert_once():
    """One card that is suspicious all day long leaves the budget to others."""
    times = list(range(0, 4 * DAY, DAY // 1000))
    keys = ["loud" if place % 2 else f"c{place // 2 % 50}" for place in range(len(times))]
    scores = [0.99 if key == "loud" else 0.1 + 0.01 * int(key[1:]) for key in keys]
    stream = times, keys, scores
    assert alerts(Budget(5, DAY, by_key=True), stream, by_key=True)[2:] == [5, 5]
    assert alerts(Budget(5, DAY, by_key=False), stream, by_key=True)[2:] == [1, 1]


def test_the_threshold_of_a_day_is_the_median_of_the_lines_before():
    """The first day is no full one; then the day before, the higher of two, the median of the last three."""
    lines = [0.5, 0.3, 0.6, 0.2, 0.9, 0.1]
    times = [day * DAY + minute for day in range(7) for minute in (1, 2, 3)]
    scores = [score for line in [*lines, 0.0] for score in (line + 0.05, line, line - 0.05)]
    told = Budget(2, DAY, by_key=False, at_first=0.4).decide(times, [""] * len(times), scores)
    assert told[::3].tolist() == [0.4, 0.4, 0.3, 0.6, 0.3, 0.6, 0.2]


def test_fewer_than_the_budget_are_all_alerts():
    """A day of fewer events than the budget says: as low as they were."""
    times = [day * DAY + minute for day in range(3) for minute in (1, 2, 3)]
    told = Budget(100, DAY, by_key=False).decide(times, [""] * 9, [0.2, 0.1, 0.3] * 3)
    assert told[-3:].tolist() == [0.1] * 3


@pytest.mark.parametrize("by_key", [False, True])
def test_there_is_an_end(by_key):
    """After the most that a period may have nothing is positive, however the scores rise; keys that were remain so."""
    rng = np.random.default_rng(7)
    stream = after(days(rng, 2000, 5, cards=500), days(rng, 2000, 5, shift=3.0, cards=500))
    free, bound = Budget(50, DAY, by_key=by_key), Budget(50, DAY, by_key=by_key, most=80)
    assert max(alerts(free, stream, by_key=by_key)) > 100
    told = alerts(bound, stream, by_key=by_key)
    assert max(told) == 80
    assert min(told[2:]) > 20


def test_where_it_ends_does_not_depend_on_where_it_is_cut():
    """Who was positive is saved as well."""
    times, keys, scores = days(np.random.default_rng(8), 300, 4, cards=60)
    whole, cut = (Budget(10, DAY, by_key=True, most=12, at_first=0.0) for _ in range(2))
    expected = whole.decide(times, keys, scores)
    assert np.isinf(expected).any()
    told = []
    for start in range(0, len(times), 7):
        told += cut.decide(*(column[start : start + 7] for column in (times, keys, scores))).tolist()
        fresh = Budget(10, DAY, by_key=True, most=12, at_first=0.0)
        fresh.load(dict(cut.dump(-1)))
        cut = fresh
    assert told == expected.tolist()
    assert dict(cut.dump(-1)) == dict(whole.dump(-1))


def test_a_score_that_is_no_number_is_passed_over():
    """It has no threshold and is not counted."""
    told = Budget(1, DAY, by_key=False, at_first=0.5).decide([1, 2, 3], ["", "", ""], [math.nan, 0.6, 0.7])
    assert np.isnan(told[0])
    assert told[1:].tolist() == [0.5, math.nextafter(0.6, 1)]
