"""What is missing is filled, what is wild is clipped; both from what was learned before."""

import math
import random

import numpy as np
import pytest

from learners.transformers import Clip, Fill


def test_a_mean_is_that_of_all_values_learned():
    """Rows without the feature, with None, NaN or an infinity do not count."""
    fill, values = Fill("a"), []
    for value in (3.0, None, 5.0, math.nan, 100.0, math.inf, True):
        fill.learn_one({} if value is None else {"a": value})
        if value is not None and math.isfinite(value):
            values.append(value)
        assert fill.transform_one({})["a"] == pytest.approx(np.mean(values))
    assert fill.transform_one({"a": 7.0}) == {"a": 7.0}


def test_the_last_value_is_the_one_learned_last():
    """Also of text; transforming is not learning."""
    fill = Fill("a", how="last")
    for value in ("x", "y", None):
        fill.learn_one({"a": value})
    fill.transform_one({"a": "z"})
    assert fill.transform_one({"a": None}) == {"a": "y"}


@pytest.mark.parametrize(
    ("how", "start"), [("mean", 2), ("last", 2), ("value", 2), ("last", "unknown"), ("value", False)]
)
def test_before_anything_is_learned_the_given_value_is_used(how, start):
    """Whole numbers as floats, as all numbers of a row are."""
    (value,) = Fill("a", how=how, value=start).transform_one({}).values()
    assert value == start
    assert type(value) is (float if start == 2 else type(start))


def test_without_a_given_value_the_feature_stays_missing_at_first():
    """None and NaN are taken out: an absent key is how a missing feature is written."""
    assert Fill(["a", "b"]).transform_one({"a": None, "b": math.nan, "c": 1.0}) == {"c": 1.0}


def test_a_given_value_never_changes():
    """With ``how: value`` nothing is learned."""
    fill = Fill("a", how="value", value=-1.0)
    fill.learn_one({"a": 50.0})
    assert fill.transform_one({}) == {"a": -1.0}


def test_a_start_is_no_part_of_the_mean():
    """The first value learned is the mean."""
    fill = Fill("a", value=1000.0)
    fill.learn_one({"a": 4.0})
    assert fill.transform_one({}) == {"a": 4.0}


def test_filled_features_stand_behind_the_others_in_their_order():
    """Whichever are missing."""
    fill = Fill(["c", "a"], how="value", value=0.0)
    assert list(fill.transform_one({"z": 1.0})) == ["z", "c", "a"]
    assert list(fill.transform_one({"a": 1.0, "z": 1.0})) == ["a", "z", "c"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"how": "median"}, "`how` is one of mean, last, value"),
        ({"how": "value"}, "needs a `value`"),
        ({"value": math.nan}, "finite"),
    ],
)
def test_parameters_of_fill_that_do_not_fit_are_refused(parameters, words):
    """When the chain is built."""
    with pytest.raises(ValueError, match=words):
        Fill("a", **parameters)


def test_the_mean_of_a_text_is_a_mistake():
    """It is named."""
    with pytest.raises(TypeError, match="the feature a is text, which has no mean"):
        Fill("a").learn_one({"a": "x"})


@pytest.mark.parametrize("window", [None, 1500])
def test_clipped_numbers_lie_between_the_quantiles(window):
    """Close to the exact ones of what was learned, on both sides; numbers within are not touched."""
    generator, values = random.Random(1), []
    clip = Clip("a", low=0.05, high=0.95, window=window)
    for _ in range(5000):
        values.append(generator.gauss(50.0, 10.0))
        clip.learn_one({"a": values[-1]})
    low, high = np.quantile(values if window is None else values[-window:], [0.05, 0.95])
    assert clip.transform_one({"a": -1e9})["a"] == pytest.approx(low, abs=0.5)
    assert clip.transform_one({"a": 1e9})["a"] == pytest.approx(high, abs=0.5)
    assert clip.transform_one({"a": 51.5, "b": 1e9}) == {"a": 51.5, "b": 1e9}


def test_a_window_forgets():
    """Behind a change of scale the bounds follow; those of all values hardly do."""
    clips = [Clip("a", window=window) for window in (None, 200)]
    for number in range(2000):
        for clip in clips:
            clip.learn_one({"a": number % 10 + (1000.0 if number >= 1700 else 0.0)})
    long, short = (clip.transform_one({"a": 5.0})["a"] for clip in clips)
    assert (long, short) == (5.0, 1000.0)


def test_nothing_is_clipped_before_the_warm_up():
    """The bounds of a few values say little."""
    clip = Clip("a", warm_up=5)
    for number in range(4):
        clip.learn_one({"a": float(number)})
    assert clip.transform_one({"a": 1e9}) == {"a": 1e9}
    clip.learn_one({"a": 4.0})
    assert clip.transform_one({"a": 1e9})["a"] <= 4.0


def test_one_side_may_be_open():
    """Amounts are clipped above only."""
    clip = Clip("a", low=None, high=0.9, warm_up=5)
    for number in range(100):
        clip.learn_one({"a": float(number)})
    assert clip.transform_one({"a": -1e9}) == {"a": -1e9}
    assert clip.transform_one({"a": 1e9})["a"] < 100.0


def test_missing_and_infinite_values_are_not_learned():
    """A quantile's markers would never recover."""
    clip = Clip(["a", "b"], warm_up=5)
    for value in (1.0, 2.0, math.nan, None, math.inf, -math.inf, 3.0, 4.0, 5.0):
        clip.learn_one({"a": value})
    assert 1.0 <= clip.transform_one({"a": math.inf})["a"] <= 5.0
    assert clip.transform_one({"b": 1e9}) == {"b": 1e9}
    assert clip.transform_one({}) == {}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"low": 0.0}, "shares between 0 and 1"),
        ({"high": 1.5}, "shares between 0 and 1"),
        ({"low": 0.9, "high": 0.1}, "below"),
        ({"low": None, "high": None}, "nothing is clipped"),
        ({"warm_up": 4}, "`warm_up`"),
        ({"window": 50}, "`window`"),
    ],
)
def test_parameters_of_clip_that_do_not_fit_are_refused(parameters, words):
    """When the chain is built."""
    with pytest.raises(ValueError, match=words):
        Clip("a", **parameters)
