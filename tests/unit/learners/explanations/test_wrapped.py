"""Wrappers of classifiers explain by what is inside: as it is, or stretched as their map stretches it."""

import math
import random

import pytest
from river import imblearn, linear_model, preprocessing, tree

from learners.calibration import Beta, Platt, PriorCorrection
from learners.explanations.aside import Sample, asked
from learners.imbalance import ClassWeight, UnderSampler
from learners.losses import Focal
from learners.river import RiverLearner

NAMES = ("a", "b")


def logistic(**parameters):
    return linear_model.LogisticRegression(**parameters)


def scaled(final):
    return preprocessing.StandardScaler() | final


EXACT = {
    "platt": lambda: scaled(Platt(logistic())),
    "platt around a chain": lambda: Platt([preprocessing.StandardScaler(), logistic()]),
    "platt alone": lambda: Platt(logistic()),
    "platt around a sampler": lambda: scaled(Platt(UnderSampler(logistic(), positive_share=0.5, seed=1))),
    "correction of weights": lambda: scaled(PriorCorrection(ClassWeight(logistic(), {"true": 20}))),
    "correction around a chain": lambda: PriorCorrection([preprocessing.StandardScaler(), logistic()], factor=9),
    "weights": lambda: scaled(ClassWeight(logistic(), "balanced")),
    "sampler around a chain": lambda: UnderSampler(
        [preprocessing.StandardScaler(), logistic()], positive_share=0.5, seed=1
    ),
    "hard sampling": lambda: scaled(imblearn.HardSamplingClassifier(logistic(), size=20, p=0.1, seed=1)),
    "focal loss": lambda: scaled(logistic(loss=Focal())),
}
SAMPLED = {
    "beta": lambda: scaled(Beta(logistic())),
    "platt around a tree": lambda: Platt(tree.HoeffdingTreeClassifier(leaf_prediction="mc")),
}


def taught(model):
    learner = RiverLearner(model, "binary")
    draw = random.Random(3)
    xs = [{"a": draw.gauss(0, 1), "b": draw.gauss(5, 2)} for _ in range(600)]
    for x in xs:
        learner.model.learn_one(x, x["a"] - 0.2 * x["b"] + draw.gauss(0, 1) > 0.5)
    return learner, xs


@pytest.mark.parametrize("name", EXACT)
def test_contributions_add_up_to_the_score(name):
    """On the scale of the log odds of the score that is emitted, and no sampling is needed."""
    learner, xs = taught(EXACT[name]())
    rows = Sample(NAMES, xs[:20])
    for place, score in enumerate(asked(learner, NAMES, xs[:20])[:, 0].tolist()):
        told = learner.explain(rows, place)
        assert (told.method, told.of) == ("linear", "log_odds")
        assert told.base + math.fsum(told.contributions.values()) == pytest.approx(told.value)
        assert 1.0 / (1.0 + math.exp(-told.value)) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("name", SAMPLED)
def test_what_is_no_straight_line_has_no_exact_explanation(name):
    """It is left to sampling."""
    learner, xs = taught(SAMPLED[name]())
    assert learner.explain(Sample(NAMES, xs[:1]), 0) is None


def test_a_clipped_score_has_no_exact_explanation():
    """At the clip the score is not on the line."""
    learner, _ = taught(Platt(logistic(), clip=0.2))
    far = [{"a": 50.0, "b": -50.0}]
    assert learner.explain(Sample(NAMES, far), 0) is None
