"""A learner that learns labels of some age only: the others change nothing at all, wherever ranges are cut."""

import numpy as np
import pytest
from river import linear_model, naive_bayes, preprocessing

from learners.aged import Aged
from learners.base import LABEL, LearnError, Program
from learners.compiled import ScaledLogisticRegression
from learners.conformance import synthetic
from learners.river import RiverLearner

LOAD = synthetic("binary")
AGES_MS = LOAD.program.time_ms - LOAD.rows.times_ms()[LOAD.program.row]


class Fragile(naive_bayes.GaussianNB):
    def learn_one(self, x, y):
        if x["number_0"] > 1.5:
            raise ArithmeticError("too large")
        super().learn_one(x, y)


class Unsure(naive_bayes.GaussianNB):
    def predict_proba_one(self, x):
        return {True: float("nan")} if x["number_0"] > 1.5 else super().predict_proba_one(x)


def river():
    return RiverLearner(preprocessing.StandardScaler() | linear_model.LogisticRegression(), "binary")


LEARNERS = {"river": river, "compiled": ScaledLogisticRegression}
BOUNDS = [(None, 10_000), (10_000, None), (3000, 20_000), (None, -1)]


def run(learner, *, cuts=10**9, program=LOAD.program):
    scores, at = np.full((len(LOAD.rows), 1), np.nan), 0
    while at < len(program):
        at += learner.run(LOAD.rows, program, at, min(at + cuts, len(program)), scores)
    return scores


def without(after_ms, within_ms):
    """The program without labels of other ages: what the learner must equal."""
    ages, low, high = AGES_MS, -1 if after_ms is None else after_ms, 10**12 if within_ms is None else within_ms
    other = (LOAD.program.op == LABEL) & ((ages <= low) | (ages > high))
    kept, program = np.flatnonzero(~other), LOAD.program
    columns = (program.op, program.row, program.time_ms, program.target, program.previous, program.weight)
    return Program(*(column[kept] for column in columns), program.classes)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_it_is_the_learner_that_never_saw_the_other_labels(learner, bounds):
    """To the bit, in ranges of any size; some labels are of the age and some are not."""
    expected = run(LEARNERS[learner](), program=without(*bounds))
    for cuts in (1, 7, 10**9):
        assert run(Aged(LEARNERS[learner](), *bounds), cuts=cuts).tobytes() == expected.tobytes()
    assert 0 < len(without(None, 10_000)) < len(LOAD.program)


def test_two_ages_share_every_label_out():
    """``within`` and ``after`` of the same time: each label is of exactly one of them."""
    labels = LOAD.program.op == LABEL
    quick, slow = (int((without(*bounds).op == LABEL).sum()) for bounds in BOUNDS[:2])
    assert quick + slow == labels.sum()


def test_a_failure_names_the_operation_of_the_whole_program():
    """A label that cannot be learned, behind labels that are passed over."""
    aged = Aged(RiverLearner(Fragile(), "binary"), 10_000, None)
    with pytest.raises(LearnError) as failure:
        run(aged)
    op = failure.value.operation
    assert LOAD.program.op[op] == LABEL
    assert LOAD.rows.dicts()[LOAD.program.row[op]]["number_0"] > 1.5
    assert AGES_MS[op] > 10_000


def test_a_score_that_is_not_finite_stops_at_its_event():
    """The operations done are counted in the whole program, those passed over included."""
    aged, scores = Aged(RiverLearner(Unsure(), "binary"), 10_000, None), np.full((len(LOAD.rows), 1), np.nan)
    done = aged.run(LOAD.rows, LOAD.program, 0, len(LOAD.program), scores)
    row = LOAD.program.row[done - 1]
    assert LOAD.rows.dicts()[row]["number_0"] > 1.5
    assert "nan" in aged.failure
    later = LOAD.program.row[done:][LOAD.program.op[done:] != LABEL]
    assert np.isnan(scores[later]).all()


def test_it_is_saved_copied_and_explained_as_the_learner_in_it():
    """It has no state of its own."""
    aged = Aged(river(), None, 10_000)
    run(aged)
    copy = aged.fresh()
    copy.load(dict(aged.dump(-1)))
    assert copy.explain(LOAD.rows, 5) == aged.learner.explain(LOAD.rows, 5)
    assert (copy.codec, copy.outputs, list(copy.alive())) == ("pickle", ("score",), ["model"])
    assert Aged(ScaledLogisticRegression(), None, 1).needs_matrix
