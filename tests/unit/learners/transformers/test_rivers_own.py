"""What the documentation says of River's own classes (0.26.1): which serve as they are, and why others have one of ours."""

from typing import Any

import pytest
from river import compose, feature_extraction, preprocessing, stats

from learners.conformance import FeatureKind, check, synthetic
from learners.transformers import Select
from stream.checkpoints.pickles import dumps, loads
from stream.parts import build_learner

KINDS: dict[str, FeatureKind] = {"amount": "number", "known": "boolean", "wood": "text"}
LOGISTIC = "river.linear_model.LogisticRegression"
NUMBERS = {"river.compose.Discard": ["wood"]}

SERVE: dict[str, list[Any]] = {
    "all features hashed": [{"river.preprocessing.FeatureHasher": {"n_features": 32, "seed": 1}}, LOGISTIC],
    "some features left out": [NUMBERS, "river.preprocessing.StandardScaler", LOGISTIC],
    "known categories": [
        {"river.preprocessing.OneHotEncoder": {"categories": {"wood": ["amber", "dune"], "known": [True], "amount": []}}}, LOGISTIC,
    ],
    "scaled by recent values": [NUMBERS, {"river.preprocessing.AdaptiveStandardScaler": {"fading_factor": 0.1}}, LOGISTIC],
    "scaled by quantiles": [NUMBERS, "river.preprocessing.RobustScaler", LOGISTIC],
    "products": [NUMBERS, "river.feature_extraction.PolynomialExtender", LOGISTIC],
}  # fmt: skip


@pytest.mark.parametrize("name", SERVE)
def test_these_serve_as_they_are(name):
    """Every promise of a learner is kept, and a checkpoint brings them back."""
    one, again = (build_learner(SERVE[name], "binary") for _ in range(2))
    load = synthetic("binary", KINDS)
    assert check(one, "binary", load, again=again) == []
    ((_, content),) = one.dump(-1)
    assert repr(loads(dumps(content))) == repr(content)


def test_rivers_hasher_mixes_numbers_with_categories():
    """With one column everything meets in it; ours passes the number by."""
    x = {"amount": 100.0, "wood": "amber"}
    (mixed,) = preprocessing.FeatureHasher(1, seed=1, alternate_sign=False).transform_one(x).values()
    assert mixed == 101.0


def test_rivers_imputers_fill_none_and_not_an_absent_key():
    """In rows of the service a missing feature is absent."""
    previous = preprocessing.PreviousImputer()
    previous.learn_one({"a": 1.0})
    assert previous.transform_one({"b": 2.0}) == {"b": 2.0}
    with pytest.raises(KeyError):
        preprocessing.StatImputer(("a", stats.Mean())).transform_one({"b": 2.0})


def test_rivers_one_hot_encoder_has_no_bound():
    """A column for every value ever learned."""
    encoder = preprocessing.OneHotEncoder()
    for number in range(1000):
        encoder.learn_one({"id": str(number)})
    assert len(encoder.transform_one({"id": "new"})) == 1001


def test_rivers_encoder_of_known_categories_knows_no_other_features():
    """So it stands behind a selection; there its columns are those listed, and an unknown value has zeros."""
    encoder = preprocessing.OneHotEncoder({"wood": ["amber", "dune"]})
    with pytest.raises(KeyError):
        encoder.transform_one({"wood": "amber", "amount": 9.5})
    chain = Select("wood") | encoder
    assert [chain.transform_one({"wood": wood, "amount": 9.5}) for wood in ("dune", "elm")] == [
        {"wood_amber": 0, "wood_dune": 1},
        {"wood_amber": 0, "wood_dune": 0},
    ]


def test_rivers_target_aggregate_grows_with_predictions():
    """A category that is asked for is kept, for ever; a row without it raises."""
    aggregate = feature_extraction.TargetAgg(by="wood", how=stats.BayesianMean(0.1, 10))
    for number in range(1000):
        aggregate.transform_one({"wood": str(number)})
    assert len(aggregate._groups) == 1000
    with pytest.raises(KeyError):
        aggregate.transform_one({})


def test_rivers_selection_raises_where_a_feature_is_missing():
    """And its order is a set's (tests/conformance/test_learners.py: two processes differ)."""
    assert isinstance(compose.Select("b", "a").keys, set)
    with pytest.raises(KeyError):
        compose.Select("a").transform_one({"b": 1.0})
