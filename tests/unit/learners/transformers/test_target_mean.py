"""Target encoding against the plain formula, its forgetting and its bound."""

import random

import pytest

from learners.transformers import TargetMean


def encoded(encoder, word):
    return encoder.transform_one({"w": word}).get("w_target")


def stream(count=500, seed=4):
    generator = random.Random(seed)
    for _ in range(count):
        word = generator.choice("aabbbcdefgh")
        yield word, generator.random() < {"a": 0.9, "b": 0.1}.get(word, 0.4)


def test_it_is_the_blend_of_the_category_and_of_all():
    """(n m + weight M) / (n + weight), over all labels so far; an unseen category has the mean of all."""
    encoder, told = TargetMean("w", weight=7.0), []
    for word, y in stream():
        encoder.learn_one({"w": word}, y)
        told.append((word, y))
        overall = sum(y for _, y in told) / len(told)
        own = [y for other, y in told if other == word]
        assert encoded(encoder, word) == pytest.approx((sum(own) + 7.0 * overall) / (len(own) + 7.0), abs=1e-12)
        assert encoded(encoder, "unseen") == overall


def test_with_a_half_life_old_labels_count_less():
    """Each label weighs 0.5 ** (labels since / half-life), in its category and in the mean of all."""
    encoder, told = TargetMean("w", weight=3.0, half_life=20.0), []
    for word, y in stream(200):
        encoder.learn_one({"w": word}, y)
        told.append((word, y))
        weights = [0.5 ** ((len(told) - 1 - at) / 20.0) for at in range(len(told))]
        pairs = list(zip(told, weights, strict=True))
        overall = sum(w * y for (_, y), w in pairs) / sum(weights)
        for asked in (word, "c"):
            own = [(w * y, w) for (other, y), w in pairs if other == asked]
            total, count = sum(one for one, _ in own), sum(one for _, one in own)
            assert encoded(encoder, asked) == pytest.approx((total + 3.0 * overall) / (count + 3.0), abs=1e-12)


def test_a_category_that_is_long_silent_returns_to_the_mean():
    """Its labels count nothing after many half-lives; no number overflows."""
    encoder = TargetMean("w", half_life=1.0)
    encoder.learn_one({"w": "a"}, 1.0)
    for _ in range(3000):
        encoder.learn_one({"w": "b"}, 0.25)
    assert encoded(encoder, "a") == pytest.approx(0.25)


def test_before_the_first_label_and_without_a_category_there_is_no_encoding():
    """Missing in, missing out; the labels of such rows count in the mean of all."""
    encoder = TargetMean("w")
    assert encoder.transform_one({"w": "a", "amount": 2.0}) == {"amount": 2.0}
    encoder.learn_one({"amount": 2.0}, True)
    assert encoder.transform_one({"amount": 2.0}) == {"amount": 2.0}
    assert encoder.transform_one({"w": None}) == {}
    assert encoded(encoder, "a") == 1.0


def test_the_category_learned_longest_ago_is_forgotten():
    """The bound holds, and learning a category again keeps it."""
    encoder = TargetMean("w", weight=1.0, categories_max=3)
    for word in "abcad":
        encoder.learn_one({"w": word}, True)
    encoder.learn_one({}, False)
    overall = 5 / 6
    assert list(encoder._tallies["w"]) == ["c", "a", "d"]
    assert encoded(encoder, "b") == overall
    assert encoded(encoder, "a") == pytest.approx((2 + overall) / 3)


def test_values_of_a_regression_and_the_share_of_a_class():
    """A label is a number, a boolean, or one of several classes that is named."""
    values, share = TargetMean("w", weight=0.0), TargetMean("w", weight=0.0, label="high")
    for value, name in ((3.0, "low"), (5.0, "high"), (10.0, "high"), (2.0, "low")):
        values.learn_one({"w": "a"}, value)
        share.learn_one({"w": "a"}, name)
    assert (encoded(values, "a"), encoded(share, "a")) == (5.0, 0.5)
    assert encoded(values, "unseen") == 5.0


@pytest.mark.parametrize("y", [None, "high"])
def test_a_label_that_is_no_number_raises(y):
    """Of several classes one is to be named."""
    with pytest.raises(TypeError, match="name one as `label`"):
        TargetMean("w").learn_one({"w": "a"}, y)


def test_transforming_learns_nothing():
    """An unseen category leaves no trace (River's TargetAgg keeps one)."""
    encoder = TargetMean("w")
    encoder.learn_one({"w": "a"}, True)
    for word in "bcdef":
        encoder.transform_one({"w": word})
    assert list(encoder._tallies["w"]) == ["a"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"weight": -1.0}, "`weight`"),
        ({"weight": float("nan")}, "`weight`"),
        ({"half_life": 0.0}, "`half_life`"),
        ({"categories_max": 0}, "`categories_max`"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters, words):
    """When the chain is built."""
    with pytest.raises(ValueError, match=words):
        TargetMean("w", **parameters)
