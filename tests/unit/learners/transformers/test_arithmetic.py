"""Ratios, differences, flags of what is missing, and a selection: nothing is learned, and what has no value is absent."""

import math

import numpy as np
import pytest
from river import linear_model, preprocessing

from learners.features.stages import LARGEST
from learners.transformers import Difference, Missing, Ratio, Select


@pytest.mark.parametrize(
    ("x", "column"),
    [
        ({"a": 6.0, "b": 4.0}, {"a_per_b": 1.5}),
        ({"a": -6.0, "b": 4.0}, {"a_per_b": -1.5}),
        ({"a": 0.0, "b": 4.0}, {"a_per_b": 0.0}),
        ({"a": True, "b": 4.0}, {"a_per_b": 0.25}),
        ({"a": 6.0, "b": 0.0}, {}),
        ({"a": 6.0, "b": -0.0}, {}),
        ({"a": 6.0, "b": False}, {}),
        ({"a": 6.0}, {}),
        ({"b": 4.0}, {}),
        ({"a": None, "b": 4.0}, {}),
        ({"a": 6.0, "b": math.nan}, {}),
        ({"a": 1e308, "b": 1e-308}, {}),
        ({"a": 1.0, "b": 1e-170}, {}),
        ({"a": -1e101, "b": 1.0}, {}),
        ({"a": LARGEST, "b": 1.0}, {"a_per_b": LARGEST}),
        ({"a": math.inf, "b": 4.0}, {}),
        ({}, {}),
    ],
)
def test_a_ratio_is_there_when_it_is_a_number_that_learners_can_take(x, column):
    """Missing operands, zero denominators and what is beyond LARGEST leave no column; the operands stay as they are."""
    assert repr(Ratio("a", "b").transform_one(x)) == repr({**x, **column})


@pytest.mark.parametrize(
    ("x", "column"),
    [
        ({"a": 6.0, "b": 4.0}, {"a_minus_b": 2.0}),
        ({"a": 6.0, "b": 0.0}, {"a_minus_b": 6.0}),
        ({"a": True, "b": 4.0}, {"a_minus_b": -3.0}),
        ({"a": 6.0}, {}),
        ({"b": 4.0}, {}),
        ({"a": None, "b": 4.0}, {}),
        ({"a": 1e308, "b": -1e308}, {}),
        ({"a": 1e170, "b": 1.0}, {}),
        ({"a": 0.0, "b": 1e101}, {}),
        ({"a": LARGEST, "b": 0.0}, {"a_minus_b": LARGEST}),
    ],
)
def test_a_difference_is_there_when_it_is_a_number_that_learners_can_take(x, column):
    """Missing operands and what is beyond LARGEST leave no column; the operands stay as they are."""
    assert Difference("a", "b").transform_one(x) == {**x, **column}


def test_several_columns_stand_in_the_order_of_their_parameters():
    """One step gives a column for each denominator, by the names that it is given."""
    ratio = Ratio("a", ["c", "b"], name=["by_c", "by_b"])
    assert list(ratio.transform_one({"a": 8.0, "b": 2.0, "c": 4.0}).items())[3:] == [("by_c", 2.0), ("by_b", 4.0)]
    difference = Difference("a", ["c", "b"])
    assert list(difference.transform_one({"a": 8.0, "b": 2.0, "c": 4.0}))[3:] == ["a_minus_c", "a_minus_b"]


@pytest.mark.parametrize("kind", [Ratio, Difference])
def test_a_default_stands_for_what_is_missing(kind):
    """With a default every row has the column, as a float."""
    (value,) = kind("a", "b", name="new", default=-1).transform_one({}).values()
    assert (value, type(value)) == (-1.0, float)


def test_one_tiny_denominator_does_not_end_a_scaler():
    """The square of 1e170 is no number, and neither was any score of the chain from there on."""
    model = Ratio("a", "b") | preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for place in range(40):
        model.learn_one({"a": 1.0 + place, "b": 1e-170 if place == 20 else 2.0}, place % 2 == 0)
    assert math.isfinite(model.predict_proba_one({"a": 1.0, "b": 2.0})[True])


@pytest.mark.parametrize("kind", [Ratio, Difference])
def test_a_feature_of_the_columns_name_is_replaced(kind):
    """Also where there is no value: an old one would be taken for the new."""
    assert kind("a", "b", name="new").transform_one({"new": 7.0, "a": 1.0}) == {"a": 1.0}
    assert kind("a", "b", name="new").transform_one({"new": 7.0, "a": 1.0, "b": 1.0})["new"] != 7.0


@pytest.mark.parametrize("kind", [Ratio, Difference])
def test_text_is_a_mistake_and_named(kind):
    """A text in place of a number raises, and the message holds the name and not the value."""
    with pytest.raises(TypeError, match=r"the feature b is text where a number is needed$"):
        kind("a", "b").transform_one({"a": 1.0, "b": "secret"})


@pytest.mark.parametrize("kind", [Ratio, Difference])
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"name": ["one", "two"]}, "2 names for 1 columns"),
        ({"name": "a"}, "a is one of the operands"),
        ({"default": math.nan}, "`default` is a finite number"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(kind, parameters, words):
    """As many names as columns, new ones, and a default that is a number."""
    with pytest.raises(ValueError, match=words):
        kind("a", "b", **parameters)


@pytest.mark.parametrize(("of", "to"), [("", "b"), (["a"], "b"), ("a", []), ("a", ["b", "b"]), ("a", [1])])
def test_names_are_texts_and_different(of, to):
    """A list in place of a name, no name, a number, the same name twice."""
    with pytest.raises(ValueError, match="name"):
        Ratio(of, to)


@pytest.mark.parametrize(
    "transformer", [Ratio("a", "b"), Difference("a", "b"), Missing("c"), Select("b", "a")], ids=str
)
def test_the_row_that_came_is_not_changed(transformer):
    """Rows are shared by all learners."""
    x = {"a": 6.0, "b": 4.0}
    transformer.learn_one(x)
    assert transformer.transform_one(x) is not x
    assert x == {"a": 6.0, "b": 4.0}


@pytest.mark.parametrize("value", [None, math.nan, np.float64("nan")])
def test_what_is_missing_is_flagged(value):
    """An absent key, None and NaN are missing; zero, False and an empty text are not."""
    flags = Missing(["a", "b", "c", "d", "e"])
    x = {"a": value, "c": 0.0, "d": False, "e": ""}
    assert list(flags.transform_one(x).items())[4:] == [
        ("a_missing", 1.0), ("b_missing", 1.0), ("c_missing", 0.0), ("d_missing", 0.0), ("e_missing", 0.0),
    ]  # fmt: skip


def test_a_selection_has_the_order_of_its_names():
    """Whatever the row's order; a feature that is missing stays absent."""
    assert list(Select("b", "z", "a").transform_one({"a": 1.0, "c": 2.0, "b": "x"}).items()) == [("b", "x"), ("a", 1.0)]


def test_a_selection_names_each_feature_once():
    """No name, and a name twice."""
    with pytest.raises(ValueError, match="feature's name"):
        Select()
    with pytest.raises(ValueError, match="names a feature twice"):
        Select("a", "a")
