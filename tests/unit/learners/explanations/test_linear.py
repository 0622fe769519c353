"""Linear models say exactly what each raw feature adds, whatever chain of scalers and encoders stands before them."""

import math
import random

import numpy as np
import pytest
from river import compose, linear_model, optim, preprocessing

from learners.compiled import ScaledLogisticRegression
from learners.conformance import synthetic
from learners.explanations.aside import Sample, asked
from learners.explanations.explain import explain
from learners.river import RiverLearner

NAMES = ("a", "b", "c")
LINKS = {
    "log_odds": lambda z: 0.0 if z < -30 else 1.0 if z > 30 else 1 / (1 + math.exp(-z)),
    "value": lambda z: z,
    "log": math.exp,
}


def scaled(final):
    return preprocessing.StandardScaler() | final


def encoded(final):
    return (
        (compose.Discard("wood") | preprocessing.MinMaxScaler())
        + (compose.SelectType(str) | preprocessing.OneHotEncoder())
    ) | final


CASES = {
    "logistic": ("binary", lambda: scaled(linear_model.LogisticRegression(l2=1e-3))),
    "logistic, bare": ("binary", linear_model.LogisticRegression),
    "logistic, adam": ("binary", lambda: scaled(linear_model.LogisticRegression(optim.Adam(0.01)))),
    "logistic, two scalers": ("binary", lambda: preprocessing.MaxAbsScaler() | scaled(linear_model.LogisticRegression())),
    "logistic, another loss": ("binary", lambda: scaled(linear_model.LogisticRegression(loss=optim.losses.BinaryFocalLoss()))),
    "perceptron": ("binary", lambda: scaled(linear_model.Perceptron())),
    "alma": ("binary", lambda: scaled(linear_model.ALMAClassifier())),
    "passive aggressive": ("binary", lambda: scaled(linear_model.PAClassifier())),
    "linear": ("regression", lambda: scaled(linear_model.LinearRegression())),
    "poisson": ("regression", lambda: scaled(linear_model.LinearRegression(loss=optim.losses.Poisson()))),
    "passive aggressive values": ("regression", lambda: scaled(linear_model.PARegressor())),
    "adaptive scaler": ("regression", lambda: preprocessing.AdaptiveStandardScaler() | linear_model.LinearRegression()),
    "robust scaler": ("regression", lambda: preprocessing.RobustScaler() | linear_model.LinearRegression()),
    "binarizer": ("binary", lambda: preprocessing.Binarizer() | linear_model.LogisticRegression()),
}  # fmt: skip


def rows(count=200, seed=1):
    draw = random.Random(seed)
    return [{name: draw.gauss(place, 1 + place) for place, name in enumerate(NAMES)} for _ in range(count)]


def taught(model, problem, xs):
    for place, x in enumerate(xs):
        truth = x["a"] - 0.3 * x["b"] + 0.1 * place % 2
        model.learn_one(x, truth > 0 if problem == "binary" else abs(truth) / 10)
    return RiverLearner(model, problem)


@pytest.mark.parametrize("name", CASES)
def test_base_and_contributions_add_up_to_the_score(name):
    """On the named scale; and the value is the model's own number, so its link gives the emitted score to the bit."""
    problem, build = CASES[name]
    xs = rows()
    learner = taught(build(), problem, xs[:150])
    for x in xs[150:]:
        told = learner.explain(Sample(NAMES, [x]), 0)
        assert told.method == "linear"
        assert told.base + sum(told.contributions.values()) == pytest.approx(told.value, abs=1e-9, rel=1e-9)
        assert LINKS[told.of](told.value) == asked(learner, NAMES, [x])[0, 0]


@pytest.mark.parametrize("name", CASES)
def test_a_contribution_is_what_its_feature_adds_alone(name):
    """By brute force: two rows that differ in one feature have values that differ by that contribution's difference only."""
    problem, build = CASES[name]
    xs = rows()
    learner = taught(build(), problem, xs[:150])
    for x, other in zip(xs[150:170], xs[170:190], strict=True):
        for name_ in NAMES:
            mixed = {**x, name_: other[name_]}
            one, two = (learner.explain(Sample(NAMES, [row]), 0) for row in (x, mixed))
            moved = two.contributions[name_] - one.contributions[name_]
            assert two.value - one.value == pytest.approx(moved, abs=1e-9)
            assert all(one.contributions[n] == two.contributions[n] for n in NAMES if n != name_)


def test_a_word_behind_an_encoder_is_told_of_its_feature():
    """Contributions have the names of raw features in their order; a word's is its own column's weight."""
    draw = random.Random(3)
    model = encoded(linear_model.LogisticRegression())
    xs = [{"a": draw.gauss(0, 1), "wood": draw.choice(["oak", "elm", "ash"]), "b": draw.random()} for _ in range(300)]
    for x in xs:
        model.learn_one(x, x["wood"] == "oak" or x["a"] > 1)
    learner = RiverLearner(model, "binary")
    told = learner.explain(Sample(("a", "wood", "b"), [xs[0]]), 0)
    weights = model["LogisticRegression"].weights
    assert list(told.contributions) == ["a", "wood", "b"]
    assert told.contributions["wood"] == weights[f"wood_{xs[0]['wood']}"]
    assert LINKS["log_odds"](told.value) == model.predict_proba_one(xs[0])[True]


def test_a_feature_that_is_discarded_adds_nothing():
    """It is told with nothing, not left out."""
    model = compose.Discard("b") | scaled(linear_model.LogisticRegression())
    learner = taught(model, "binary", rows())
    assert learner.explain(Sample(NAMES, [rows()[0]]), 0).contributions["b"] == 0.0


@pytest.mark.parametrize(
    "model",
    [
        preprocessing.Normalizer() | linear_model.LogisticRegression(),
        preprocessing.FeatureHasher(n_features=4, seed=1) | linear_model.LogisticRegression(),
        compose.FuncTransformer(dict) | linear_model.LogisticRegression(),
    ],
    ids=["norm", "hash", "function"],
)
def test_what_cannot_be_said_exactly_is_not_said(model):
    """Where features meet there is no exact explanation."""
    assert RiverLearner(model, "binary").explain(Sample(NAMES, [rows()[0]]), 0) is None


def test_words_that_collide_are_not_told():
    """`a` = "b_c" and `a_b` = "c" become one column of a one-hot encoder: whose it is nobody knows."""
    model = preprocessing.OneHotEncoder() | linear_model.LogisticRegression()
    x = {"a": "b_c", "a_b": "c"}
    model.learn_one(x, True)
    learner = RiverLearner(model, "binary")
    assert learner.explain(Sample(("a", "a_b"), [x]), 0) is None
    assert learner.explain(Sample(("a", "a_b"), [{"a": "b_c", "a_b": "d"}]), 0) is not None


def test_the_compiled_chain_says_what_rivers_says():
    """To the bit, also for rows with a missing feature."""
    load = synthetic("binary")
    river = RiverLearner(scaled(linear_model.LogisticRegression()), "binary")
    compiled = ScaledLogisticRegression()
    scores = np.full((len(load.rows), 1), np.nan)
    for learner in (compiled, river):
        learner.run(load.rows, load.program, 0, len(load.program), scores)
    xs = [*load.rows.dicts()[:40], {n: v for n, v in load.rows.dicts()[41].items() if n != load.rows.names[1]}]
    for place in range(len(xs)):
        sample = Sample(load.rows.names, xs)
        assert compiled.explain(sample, place) == river.explain(sample, place)


def test_an_infinite_sum_is_not_explained():
    """Its score is 1, but parts that add up to infinity are no reasons."""
    learner = taught(scaled(linear_model.LogisticRegression()), "binary", rows())
    learner.model["LogisticRegression"].intercept = math.inf
    sample = Sample(NAMES, [rows()[0]])
    assert asked(learner, NAMES, sample.dicts())[0, 0] == 1.0
    assert explain(learner, sample, 0, problem="binary", background=list, seed=0) is None


def test_a_compiled_chain_that_has_learned_nothing_explains_nothing():
    """Nothing contributes; the base is the intercept it began with."""
    told = ScaledLogisticRegression(intercept_init=0.5).explain(Sample(NAMES, [rows()[0]]), 0)
    assert (told.value, told.base, set(told.contributions.values())) == (0.5, 0.5, {0.0})
