"""Categories as columns: one-hot with rare ones together, and hashed."""

import math
import random

import pytest
from river import preprocessing

from learners.transformers import Hash, OneHot


def learned(encoder, words):
    for word in words:
        encoder.learn_one({"w": word})
    return encoder


def columns(encoder, word):
    return encoder.transform_one({"w": word})


def test_a_category_gets_its_column_with_the_row_that_makes_it_frequent():
    """Before that it is rare, and an unseen one as well."""
    encoder = OneHot("w", min_count=3)
    seen = []
    for word in "abaaab":
        learned(encoder, word)
        seen.append(columns(encoder, word))
    assert seen == [
        {"w_rare": 1.0},
        {"w_rare": 1.0},
        {"w_rare": 1.0},
        {"w_rare": 0.0, "w=a": 1.0},
        {"w_rare": 0.0, "w=a": 1.0},
        {"w_rare": 1.0, "w=a": 0.0},
    ]
    assert columns(encoder, "never") == {"w_rare": 1.0, "w=a": 0.0}


def test_columns_stand_in_the_order_in_which_they_became_frequent():
    """Whatever the order of rows and of hashes."""
    encoder = learned(OneHot("w", min_count=2), ["z", "b", "a", "a", "z", "b"])
    assert list(columns(encoder, "q")) == ["w_rare", "w=a", "w=z", "w=b"]


def test_a_missing_feature_has_zeros_only():
    """It is not rare; ``Missing`` tells it apart."""
    encoder = learned(OneHot("w", min_count=1), "a")
    assert [encoder.transform_one(x) for x in ({}, {"w": None}, {"w": float("nan")})] == [
        {"w_rare": 0.0, "w=a": 0.0}
    ] * 3


def test_without_zeros_only_the_ones_are_written():
    """One column a feature."""
    encoder = learned(OneHot("w", min_count=1, zeros=False), "ab")
    assert [columns(encoder, word) for word in "abc"] == [{"w=a": 1.0}, {"w=b": 1.0}, {"w_rare": 1.0}]
    assert encoder.transform_one({"other": 2.0}) == {"other": 2.0}


def test_there_are_never_more_columns_than_allowed():
    """Those that came first keep theirs; the counts of others are given up."""
    encoder = learned(OneHot("w", min_count=2, columns_max=3), [word for word in "abcdefg" for _ in range(5)])
    assert columns(encoder, "e") == {"w_rare": 1.0, "w=a": 0.0, "w=b": 0.0, "w=c": 0.0}
    assert encoder._counts == {"w": {}}


def test_the_state_is_bounded_whatever_comes():
    """Twenty thousand categories, each of them once, beside a frequent one that still gets its column."""
    encoder = OneHot("w", min_count=50, candidates_max=100)
    for number in range(20_000):
        learned(encoder, [f"id-{number}"])
        if number % 20 == 0:
            learned(encoder, ["frequent"])
    assert len(encoder._counts["w"]) <= 100
    assert list(columns(encoder, "x")) == ["w_rare", "w=frequent"]


def test_counts_are_too_low_by_no_more_than_misra_and_gries_promise():
    """By at most the number of values divided by one more than the places, and never too high."""
    generator = random.Random(5)
    words = [str(int(generator.paretovariate(0.7))) for _ in range(5000)]
    encoder = learned(OneHot("w", min_count=10**9, candidates_max=40), words)
    truth = {word: words.count(word) for word in set(words)}
    kept = encoder._counts["w"]
    assert all(0 <= truth[word] - kept.get(word, 0) <= len(words) / 41 for word in truth)


def test_several_features_have_their_columns_apart():
    """The same word in two features is two categories; a number and a boolean are categories too."""
    encoder = OneHot(["w", "n", "f"], min_count=1)
    x = {"w": "1", "n": 1.0, "f": True, "rest": 2.5}
    encoder.learn_one(x)
    assert encoder.transform_one(x) == {
        "rest": 2.5, "w_rare": 0.0, "n_rare": 0.0, "f_rare": 0.0, "w=1": 1.0, "n=1": 1.0, "f=true": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (17.0, "17"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (math.inf, "inf"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        ("", ""),
    ],
)
def test_a_category_has_a_short_name(value, name):
    """Whole numbers as such, however they came; a record's numbers are all floats."""
    assert learned(OneHot("w", min_count=1, zeros=False), [value]).transform_one({"w": value}) == {f"w={name}": 1.0}


def test_what_is_encoded_can_stay():
    """For another step behind."""
    assert OneHot("w", keep=True).transform_one({"w": "a"}) == {"w": "a", "w_rare": 1.0}
    assert Hash("w", columns=2, keep=True, zeros=False).transform_one({"w": "a"})["w"] == "a"


def test_long_texts_are_cut():
    """A record may be large, and a category's name stays in the state."""
    encoder = learned(OneHot("w", min_count=1), ["x" * 5000])
    assert columns(encoder, "x" * 5001) == {"w_rare": 0.0, "w=" + "x" * 200: 1.0}


@pytest.mark.parametrize(
    "parameters", [{"min_count": 0}, {"columns_max": 0}, {"candidates_max": 0}, {"min_count": 2.5}, {"min_count": True}]
)
def test_bounds_are_whole_numbers_above_zero(parameters):
    """Refused when the chain is built."""
    with pytest.raises(ValueError, match="is a whole number of at least 1"):
        OneHot("w", **parameters)


def test_hashing_passes_other_features_and_has_its_number_of_columns():
    """A thousand merchants in eight columns, in a fixed order, each by one of them."""
    hasher = Hash("w", columns=8, prefix="m")
    names = ["amount", *(f"m_{place}" for place in range(8))]
    used = set()
    for number in range(1000):
        x = hasher.transform_one({"w": f"merchant-{number}", "amount": 9.5})
        assert list(x) == names
        (place,) = [name for name in names[1:] if x[name]]
        used.add((place, x[place]))
    assert len(used) == 16


def test_hashing_is_rivers_own():
    """Column and sign are those of River's FeatureHasher for the same feature alone."""
    hasher, river = Hash("w", columns=64, seed=3, zeros=False), preprocessing.FeatureHasher(64, seed=3)
    for word in ("amber", "beech", "17", "Ünïcode"):
        assert columns(hasher, word) == {
            f"hash_{place}": value for place, value in river.transform_one({"w": word}).items()
        }


def test_hashing_without_signs_adds_up():
    """Two features that meet in the only column."""
    assert Hash(["w", "v"], columns=1, signed=False).transform_one({"w": "a", "v": "b"}) == {"hash_0": 2.0}
    assert Hash(["w", "v"], columns=1, signed=False).transform_one({"v": "b"}) == {"hash_0": 1.0}


def test_another_seed_gives_other_columns():
    """And the same seed the same."""
    first, same, other = ([Hash("w", columns=1024, seed=seed, zeros=False).transform_one({"w": word}) for word in "abcdef"]
                          for seed in (0, 0, 1))  # fmt: skip
    assert first == same != other


@pytest.mark.parametrize("parameters", [{"columns": 0}, {"seed": None}, {"seed": -1}])
def test_hashing_needs_columns_and_a_seed(parameters):
    """Without a seed no two processes would agree."""
    with pytest.raises(ValueError, match="is a whole number of at least"):
        Hash("w", **parameters)
