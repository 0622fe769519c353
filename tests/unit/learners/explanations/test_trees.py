"""Trees and forests whose leaves answer their counts say what each split on the way changes, up to the score."""

import random

import pytest
from river import forest, metrics, preprocessing, tree

from learners.explanations.aside import Sample, asked
from learners.river import RiverLearner

NAMES = ("a", "b", "wood")
MC = {"grace_period": 30, "delta": 0.05, "tau": 0.2, "leaf_prediction": "mc"}
MEAN = {"grace_period": 30, "delta": 0.05, "tau": 0.2, "leaf_prediction": "mean"}


def of_values(**more):
    return forest.ARFRegressor(**{"n_models": 4, "seed": 1, "aggregation_method": "mean", **MEAN, **more})


CASES = {
    "tree": ("binary", lambda: tree.HoeffdingTreeClassifier(**MC)),
    "binary splits": ("binary", lambda: tree.HoeffdingTreeClassifier(binary_split=True, **MC)),
    "forest": ("binary", lambda: forest.ARFClassifier(n_models=5, seed=1, **MC)),
    "forest, plain vote": ("binary", lambda: forest.ARFClassifier(n_models=5, seed=1, disable_weighted_vote=True, **MC)),
    "forest, by log loss": ("binary", lambda: forest.ARFClassifier(n_models=5, seed=1, metric=metrics.LogLoss(), **MC)),
    "values": ("regression", lambda: tree.HoeffdingTreeRegressor(**MEAN)),
    "forest of values": ("regression", of_values),
    "forest of values, plain mean": ("regression", lambda: of_values(disable_weighted_vote=True)),
}  # fmt: skip


def rows(count=700, seed=1, missing=0.0):
    draw = random.Random(seed)
    drawn = [
        {"a": draw.gauss(0, 1), "b": draw.gauss(0, 1), "wood": draw.choice(["oak", "elm", "ash"])} for _ in range(count)
    ]
    return [{name: value for name, value in x.items() if draw.random() >= missing} for x in drawn]


def taught(model, problem, xs):
    for x in xs:
        truth = 1.0 * (x.get("a", 0.0) > 0.3) + (x.get("wood") == "oak") + 0.1 * x.get("b", 0.0)
        model.learn_one(x, truth > 0.5 if problem == "binary" else truth)
    return RiverLearner(model, problem)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("taught_rows", [0, 1, 25, 700])
def test_base_and_contributions_add_up_to_the_score(name, taught_rows):
    """With nothing learned, with a single leaf, grown; also of rows in which a feature is missing or a word is new."""
    problem, build = CASES[name]
    learner = taught(build(), problem, rows()[:taught_rows])
    for x in [*rows(60, 2), *rows(40, 3, missing=0.4), {"a": 1.0, "b": 0.0, "wood": "yew"}]:
        told = learner.explain(Sample(NAMES, [x]), 0)
        assert told.method == "tree_path"
        assert told.base + sum(told.contributions.values()) == pytest.approx(told.value, abs=1e-12)
        assert told.value == asked(learner, NAMES, [x])[0, 0]


@pytest.mark.parametrize("name", ["tree", "forest", "values", "forest of values"])
def test_a_grown_tree_names_the_features_that_it_splits_on(name):
    """What decides the truth contributes; the base does not depend on the row."""
    problem, build = CASES[name]
    learner = taught(build(), problem, rows())
    told = [learner.explain(Sample(NAMES, [x]), 0) for x in rows(50, 2)]
    assert len({round(one.base, 12) for one in told}) == 1
    assert all(any(abs(one.contributions[feature]) > 0.05 for one in told) for feature in ("a", "wood"))


def test_a_node_is_worth_what_the_leaves_below_it_hold():
    """Not what stood there when it split: the base of a tree is the rate of truth in its leaves, counted by hand."""
    learner = taught(tree.HoeffdingTreeClassifier(**MC), "binary", rows())
    stats = [leaf.stats for leaf in learner.model._root.iter_leaves()]
    held = sum(one.get(True, 0.0) for one in stats) / sum(sum(one.values()) for one in stats)
    told = learner.explain(Sample(NAMES, rows(1, 2)), 0)
    assert told.base == pytest.approx(held)
    assert len(stats) > 2


def test_splits_on_a_scaled_feature_have_the_raw_ones_name():
    """Scalers keep names."""
    model = preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(**MC)
    xs = [{name: x[name] for name in ("a", "b")} for x in rows()]
    told = taught(model, "binary", xs).explain(Sample(("a", "b"), [xs[0]]), 0)
    assert told.contributions["a"] != 0.0
    assert list(told.contributions) == ["a", "b"]


@pytest.mark.parametrize(
    ("problem", "model"),
    [
        ("binary", tree.HoeffdingTreeClassifier(leaf_prediction="nba")),
        ("binary", tree.HoeffdingAdaptiveTreeClassifier(leaf_prediction="mc", seed=1)),
        ("binary", forest.ARFClassifier(seed=1)),
        ("binary", preprocessing.OneHotEncoder() | tree.HoeffdingTreeClassifier(**MC)),
        ("regression", tree.HoeffdingTreeRegressor()),
        ("regression", of_values(aggregation_method="median")),
    ],
    ids=["naive bayes leaves", "alternate trees", "default forest", "encoded", "model leaves", "median"],
)
def test_what_no_path_adds_up_to_is_left_to_sampling(problem, model):
    """Leaves with models of their own, several leaves for one row, a median."""
    assert taught(model, problem, []).explain(Sample(NAMES, rows(1)), 0) is None
