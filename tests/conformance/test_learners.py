"""Every River family that Headrace is said to run, through ``RiverLearner``, under the conformance checks.

Run as a script it prints the digests of all learners: the test starts it under three PYTHONHASHSEEDs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from river import (
    anomaly,
    compose,
    ensemble,
    facto,
    forest,
    imblearn,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    rules,
    tree,
)

from learners.base import Learner, Problem
from learners.calibration import Beta, Platt, PriorCorrection
from learners.conformance import CLASSES, NUMBERS, FeatureKind, Workload, check, digest, synthetic
from learners.explanations.base import Explanation
from learners.imbalance import ClassWeight, OverSampler, Sampler, UnderSampler
from learners.label_history import LabelHistory
from learners.losses import Focal
from learners.river import RiverLearner
from learners.transformers import Calendar, Clip, Difference, Fill, Hash, Missing, OneHot, Ratio, Select, TargetMean

COUNTS: Mapping[str, FeatureKind] = {f"count_{index}": "count" for index in range(4)}
MIXED: Mapping[str, FeatureKind] = {"amount": "number", "known": "boolean", "wood": "text"}


class Case(NamedTuple):
    problem: Problem
    build: Callable[[], Any]
    features: Mapping[str, FeatureKind] | None = None

    def learner(self) -> Learner:
        return RiverLearner(self.build(), self.problem, len(CLASSES) if self.problem == "multiclass" else 1)

    def workload(self) -> Workload:
        return synthetic(self.problem, self.features) if self.features else synthetic(self.problem)


def scaled(estimator: Any) -> Any:
    return preprocessing.StandardScaler() | estimator


def categories() -> Any:
    encoded = compose.Select("wood", "known") | preprocessing.OneHotEncoder()
    return (compose.Select("amount") | preprocessing.StandardScaler()) + encoded


CASES: dict[str, Case] = {
    "logistic_sgd": Case("binary", lambda: scaled(linear_model.LogisticRegression(optim.SGD(0.05), l2=1e-3))),
    "logistic_adam": Case("binary", lambda: scaled(linear_model.LogisticRegression(optim.Adam(0.01)))),
    "logistic_l1": Case("binary", lambda: scaled(linear_model.LogisticRegression(l1=1e-3))),
    "logistic_categories": Case("binary", lambda: categories() | linear_model.LogisticRegression(), MIXED),
    "passive_aggressive": Case("binary", lambda: scaled(linear_model.PAClassifier())),
    "perceptron": Case("binary", lambda: scaled(linear_model.Perceptron())),
    "alma": Case("binary", lambda: scaled(linear_model.ALMAClassifier())),
    "gaussian_bayes": Case("binary", naive_bayes.GaussianNB),
    "multinomial_bayes": Case("binary", naive_bayes.MultinomialNB, COUNTS),
    "bernoulli_bayes": Case("binary", naive_bayes.BernoulliNB, COUNTS),
    "hoeffding_tree": Case("binary", lambda: tree.HoeffdingTreeClassifier(grace_period=30)),
    "hoeffding_tree_categories": Case("binary", lambda: tree.HoeffdingTreeClassifier(grace_period=30), MIXED),
    "adaptive_tree": Case("binary", lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=30, seed=1)),
    "fast_tree": Case("binary", lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=30)),
    "adaptive_forest": Case("binary", lambda: forest.ARFClassifier(n_models=5, grace_period=20, seed=1)),
    "mondrian_forest": Case("binary", lambda: forest.AMFClassifier(n_estimators=5, seed=1)),
    "leveraging_bagging": Case(
        "binary", lambda: ensemble.LeveragingBaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=3, seed=1)
    ),
    "adwin_bagging": Case(
        "binary", lambda: ensemble.ADWINBaggingClassifier(scaled(linear_model.LogisticRegression()), n_models=3, seed=1)
    ),
    "ada_boost": Case(
        "binary", lambda: ensemble.AdaBoostClassifier(tree.HoeffdingTreeClassifier(), n_models=3, seed=1)
    ),
    "random_patches": Case("binary", lambda: ensemble.SRPClassifier(n_models=3, seed=1)),
    "voting": Case(
        "binary", lambda: ensemble.VotingClassifier([scaled(linear_model.PAClassifier()), naive_bayes.GaussianNB()])
    ),
    "neighbours_lazy": Case("binary", lambda: neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=100))),
    "factorisation": Case("binary", lambda: scaled(facto.FMClassifier(seed=1))),
    "platt": Case("binary", lambda: scaled(Platt(linear_model.LogisticRegression(), memory=100))),
    "platt_around_a_chain": Case("binary", lambda: Platt([preprocessing.StandardScaler(), naive_bayes.GaussianNB()])),
    "beta": Case("binary", lambda: scaled(Beta(linear_model.LogisticRegression(), memory=None))),
    "beta_of_trees": Case("binary", lambda: Beta(forest.ARFClassifier(n_models=3, grace_period=20, seed=1))),
    "class_weights": Case("binary", lambda: scaled(ClassWeight(linear_model.LogisticRegression(), {"true": 50}))),
    "class_weights_balanced": Case("binary", lambda: ClassWeight(tree.HoeffdingTreeClassifier(20), "balanced")),
    "class_weights_of_classes": Case("multiclass", lambda: ClassWeight(tree.HoeffdingTreeClassifier(20), {"high": 5})),
    "under_sampler": Case(
        "binary", lambda: scaled(PriorCorrection(UnderSampler(linear_model.LogisticRegression(), 0.5, seed=1)))
    ),
    "over_sampler": Case("binary", lambda: scaled(OverSampler(naive_bayes.GaussianNB(), 0.5, seed=1))),
    "sampler": Case("binary", lambda: scaled(Sampler(linear_model.LogisticRegression(), 0.5, seed=1, rate=0.5))),
    "hard_sampling": Case(
        "binary",
        lambda: scaled(imblearn.HardSamplingClassifier(linear_model.LogisticRegression(), size=20, p=0.1, seed=1)),
    ),
    "focal_loss": Case("binary", lambda: scaled(linear_model.LogisticRegression(loss=Focal()))),
    "label_history": Case(
        "binary",
        lambda: scaled(LabelHistory(linear_model.LogisticRegression(), last=2, mean=[3, 7], ago=[5], delay=2)),
    ),
    "softmax": Case("multiclass", lambda: scaled(linear_model.SoftmaxRegression())),
    "one_vs_rest": Case(
        "multiclass", lambda: scaled(multiclass.OneVsRestClassifier(linear_model.LogisticRegression()))
    ),
    "forest_of_classes": Case("multiclass", lambda: forest.ARFClassifier(n_models=3, grace_period=20, seed=1)),
    "bayes_of_classes": Case("multiclass", naive_bayes.GaussianNB),
    "linear": Case("regression", lambda: scaled(linear_model.LinearRegression())),
    "bayesian_linear": Case("regression", lambda: scaled(linear_model.BayesianLinearRegression())),
    "passive_aggressive_values": Case("regression", lambda: scaled(linear_model.PARegressor())),
    "hoeffding_tree_values": Case("regression", lambda: tree.HoeffdingTreeRegressor(grace_period=30)),
    "adaptive_tree_values": Case("regression", lambda: tree.HoeffdingAdaptiveTreeRegressor(grace_period=30, seed=1)),
    "adaptive_forest_values": Case("regression", lambda: forest.ARFRegressor(n_models=3, grace_period=20, seed=1)),
    "mondrian_forest_values": Case("regression", lambda: forest.AMFRegressor(n_estimators=3, seed=1)),
    "rules": Case("regression", lambda: rules.AMRules(n_min=30)),
    "scaled_target": Case(
        "regression", lambda: scaled(preprocessing.TargetStandardScaler(linear_model.LinearRegression()))
    ),
    # Our transformers in chains; in rows with holes: tests/unit/learners/transformers/test_chains.py.
    "ratios_clipped": Case(
        "binary",
        lambda: (
            Select(*NUMBERS)
            | Clip("number_0", warm_up=20)
            | Ratio("number_0", ["number_1", "number_2"])
            | Difference("number_3", "number_4")
            | scaled(linear_model.LogisticRegression())
        ),
    ),
    "filled": Case(
        "binary",
        lambda: compose.Discard("wood") | Missing("age") | Fill("age", value=30) | naive_bayes.GaussianNB(),
        MIXED,
    ),
    "calendar": Case(
        "regression", lambda: Calendar("count_0", unit="s") | scaled(linear_model.LinearRegression()), COUNTS
    ),
    "one_hot": Case(
        "binary", lambda: OneHot(["wood", "known"], min_count=20) | scaled(linear_model.LogisticRegression()), MIXED
    ),
    "hashed": Case("binary", lambda: Hash(["wood", "known"], columns=4) | linear_model.LogisticRegression(), MIXED),
    "hashed_by_river": Case(
        "binary", lambda: preprocessing.FeatureHasher(16, seed=1) | linear_model.LogisticRegression(), MIXED
    ),
    "target_mean": Case(
        "binary", lambda: TargetMean(["wood", "known"], half_life=60) | scaled(linear_model.LogisticRegression()), MIXED
    ),
    "target_mean_forest": Case(
        "multiclass",
        lambda: TargetMean("wood", label="high") | forest.ARFClassifier(n_models=3, grace_period=20, seed=1),
        MIXED,
    ),
    "half_space_trees": Case(
        "anomaly", lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1, window_size=50)
    ),
    "one_class_svm": Case("anomaly", lambda: scaled(anomaly.OneClassSVM())),
    "local_outliers": Case("anomaly", lambda: anomaly.LocalOutlierFactor(n_neighbors=5)),
}


# River 0.26.1: what is refused, and by which check.
GRAPH: Mapping[str, int] = {"warm_up": 80}
UNSTABLE: dict[str, Case] = {
    # Select keeps its names as a set and gives them in the set's order: sums differ in the last bit.
    "selected": Case("binary", lambda: compose.Select(*NUMBERS) | scaled(linear_model.LogisticRegression())),
    "unseeded_graph": Case("binary", lambda: neighbors.KNNClassifier(engine=neighbors.SWINN(**GRAPH))),
    # Its classes are a set of texts, and votes are summed in the order of the set.
    "neighbours_of_classes": Case(
        "multiclass", lambda: neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=100))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_river_estimator_keeps_every_promise(name: str):
    """Cuts, predictions between, saves, loads, copies and late labels change no bit of a score."""
    case = CASES[name]
    assert check(case.learner(), case.problem, case.workload(), again=case.learner()) == []


def digests() -> dict[str, str]:
    cases = {**CASES, **UNSTABLE}
    return {name: digest(case.learner(), case.problem, case.workload()) for name, case in cases.items()}


def test_scores_are_the_same_in_every_process_whatever_its_hash_seed():
    """Three processes under three PYTHONHASHSEEDs print the same digests, but for those of the learners known as unstable."""
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "4711")
    ]
    first, second, third = (json.loads(process.communicate(timeout=200)[0]) for process in processes)
    unstable = {name for name in first if not first[name] == second[name] == third[name]}
    assert unstable == UNSTABLE.keys()


def test_the_neighbours_with_their_default_graph_are_refused_with_the_reason():
    """River's KNNClassifier builds an unseeded random graph: it is refused before two processes can disagree."""
    learner = RiverLearner(neighbors.KNNClassifier(), "binary")
    assert check(learner, "binary") == ["KNNClassifier.engine.seed is not set: no two processes would answer alike"]


def test_the_neighbours_with_a_seeded_graph_are_refused_because_a_search_draws_random_numbers():
    """SWINN starts each search at a random node, so a prediction changes the answer to the next one."""
    problems = check(RiverLearner(neighbors.KNNClassifier(engine=neighbors.SWINN(seed=1, **GRAPH)), "binary"), "binary")
    assert [problem.split(" (")[0] for problem in problems] == [
        "predicting changes later answers",
        "predicting twice gives two answers",
        "explaining changes what it saves",
        "explaining changes later answers",
    ]


def test_two_builds_of_an_unseeded_learner_are_seen_to_differ():
    """Beside the missing seed, the scores themselves differ once the graph is used."""
    case = UNSTABLE["unseeded_graph"]
    problems = check(case.learner(), "binary", again=case.learner())
    assert any(problem.startswith("built a second time it gives other scores") for problem in problems)


class Shared(RiverLearner):
    """Its copies are itself."""

    def fresh(self):
        return self


class PerRun(RiverLearner):
    """Learns something each time that it is called, whatever the range."""

    def run(self, rows, program, start, stop, scores, *, learn=True):
        self.model.learn_one(rows.dicts()[0], True)
        return super().run(rows, program, start, stop, scores, learn=learn)


class Forgetful(RiverLearner):
    """Does not take up what it saved."""

    def load(self, chunks):
        del chunks


class Boastful(RiverLearner):
    """Says that it has a chunk more than it saves."""

    def alive(self):
        return ("model", "more")


class Deaf(RiverLearner):
    """Passes over every label."""

    def run(self, rows, program, start, stop, scores, *, learn=True):
        del learn
        return super().run(rows, program, start, stop, scores, learn=False)


class Hasty(RiverLearner):
    """Answers anything but a number."""

    def run(self, rows, program, start, stop, scores, *, learn=True):
        done = super().run(rows, program, start, stop, scores, learn=learn)
        scores[:] = np.inf
        return done


class Boasting(RiverLearner):
    """Its contributions do not add up."""

    def explain(self, rows, row):
        return Explanation("linear", "probability", 0.5, 0.0, {"number_0": 0.25})


class Elsewhere(RiverLearner):
    """It explains another number than its score."""

    def explain(self, rows, row):
        return Explanation("linear", "probability", 7.0, 7.0, {})


class Swayed(RiverLearner):
    """Learns from being asked why."""

    def explain(self, rows, row):
        self.model.learn_one(rows.dicts()[row], True)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Boasting, "row 0: base and contributions are 0.25, and what they explain is 0.5"),
        (Elsewhere, "row 0: it explains 7, and the score is ["),
        (Swayed, "explaining changes what it saves"),
        (Swayed, "explaining changes later answers"),
        (Shared, "a fresh copy of a learner that has learned gives other scores"),
        (Shared, "it shares state with its fresh copy"),
        (PerRun, "where a range is cut changes the scores"),
        (PerRun, "predicting changes later answers"),
        (Forgetful, "after a save and a load it goes on otherwise"),
        (Boastful, "after a save it goes on otherwise: ValueError: it saves the chunks ['model']"),
        (Deaf, "it learns nothing from labels that come later than their event"),
        (Hasty, "predicting stopped at operation"),
    ],
)
def test_a_broken_promise_is_found(broken: type[RiverLearner], words: str):
    """Learners that break one promise each are told so in words."""
    problems = check(broken(naive_bayes.GaussianNB(), "binary"), "binary")
    assert any(problem.startswith(words) for problem in problems), problems


def test_an_estimator_that_raises_is_named_with_its_operation():
    """A chain without an encoder meets text."""
    case = Case("binary", lambda: scaled(linear_model.LogisticRegression()), MIXED)
    assert check(case.learner(), "binary", case.workload()) == [
        "learning raised at operation 3 of 605: TypeError: unsupported operand type(s) for -: 'str' and 'float'"
    ]


if __name__ == "__main__":
    print(json.dumps(digests()))
