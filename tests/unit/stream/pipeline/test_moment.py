"""The moment of an event: the model that scored it, whatever came before and after in its batch; and asking changes nothing."""

import numpy as np
import pytest

from learners.explanations.background import Background
from stream.build_fold import build_fold
from stream.pipeline.moment import row_of
from tests.harness import config
from tests.simulation.lab import Lab, canonical, dumped, event, label

LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
LEARNERS = {"logistic": LOGISTIC, "bayes": "river.naive_bayes.GaussianNB"}
ANOMALY = ["river.preprocessing.MinMaxScaler", {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 20}}]
RESET = {"signal": "error", "detector": {"page_hinkley": {"threshold": 1.0, "min_instances": 3}}, "response": "reset"}
ON_SCORE = {**RESET, "signal": "score", "detector": {"page_hinkley": {"threshold": 0.5, "min_instances": 5}}}


class Curious:
    """Asks for one event, by id or by offset."""

    def __init__(self, **wanted):
        self.wanted = wanted
        self.moments = []

    def asks(self, batch, arranged):
        return row_of(batch, arranged, **self.wanted)

    def at_event(self, moment):
        self.moments.append(moment)

    def saw(self, batch, arranged, scores, changes):
        pass


def steps(n=80):
    told = []
    for i in range(n):
        told.append(event(i, i * 1000, (i * 7 % 11) - 5.0, (i * 5 % 7) - 3.0))
        if i >= 3:
            told.append(label(i - 3, i * 1000, (i * 7 % 11) > 4))
    return told


def lab(**changes):
    return Lab(config(**{"learners": LEARNERS, **changes}))


CONFIGURATIONS = {
    "plain": {},
    "reset on error": {"detectors": [RESET]},
    "reset on score": {"detectors": [ON_SCORE]},
    "anomaly": {"problem": "anomaly", "learners": {"trees": ANOMALY}},
    "reasons": {"predictions": {"reasons": 2}},
}


def at(one, steps, cut, **wanted):
    """Fold everything; the moment, and the lab."""
    witness = Curious(**wanted)
    for start in range(0, len(steps), cut):
        one.fold.step(one.batch(steps[start : start + cut]), witness)
    return witness.moments


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("cut", [1, 13, 10**9])
def test_the_moment_holds_the_model_that_scored(name, cut):
    """Its scores are those that were emitted, to the bit, and its position is the prediction's, wherever batches are cut."""
    said = lab(**CONFIGURATIONS[name]).feed(steps()).output()
    for number in (0, 1, 40, 79):
        (moment,) = at(lab(**CONFIGURATIONS[name]), steps(), cut, event=f"e{number}")
        told = said[number]
        scores = {learner: values[0] for learner, values in moment.scores().items()}
        assert scores == {moment.champion: told["score"], **told.get("challengers", {})}
        assert told["model"] == f"{moment.champion}@{moment.records}"
        assert moment.features == {"a": (number * 7 % 11) - 5.0, "b": (number * 5 % 7) - 3.0}
        assert (moment.event, moment.time_ms, moment.number) == (f"e{number}", number * 1000, number)


def test_it_is_found_by_the_offset_of_its_record_too():
    """Offsets count in the events' input."""
    (moment,) = at(lab(), steps(), 10, offset=41)
    assert moment.event == "e41"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_being_asked_changes_neither_answers_nor_state(name):
    """A fold with a curious witness says the same and ends in the same state."""
    plain, watched = lab(**CONFIGURATIONS[name]), lab(**CONFIGURATIONS[name])
    plain.feed(steps(), 13)
    witness, said = Curious(event="e40"), []
    for start in range(0, len(steps()), 13):
        outputs = watched.fold.step(watched.batch(steps()[start : start + 13]), witness)
        said += outputs["predictions"].values
        for moment in witness.moments:
            before = canonical(dumped(watched.fold))
            moment.scores()
            for learner in moment.learners:
                assert moment.explain(learner, pairs=3) is not None
            moment.what_if({"a": 1e6, "b": None})
            assert canonical(dumped(watched.fold)) == before
        witness.moments.clear()
    assert said == [value for _, _, value, _ in plain.said["predictions"]]
    assert canonical(dumped(watched.fold)) == canonical(dumped(plain.fold))


def test_every_learner_is_explained_additively():
    """The linear one exactly, the other by sampling, both up to the emitted score."""
    (moment,) = at(lab(), steps(), 13, event="e60")
    linear, sampled = moment.explain("logistic"), moment.explain("bayes")
    assert (linear.method, sampled.method) == ("linear", "shapley_sampling")
    assert 1 / (1 + np.exp(-linear.value)) == pytest.approx(moment.scores()["logistic"][0])
    assert sampled.value == moment.scores()["bayes"][0]
    for told in (linear, sampled):
        assert told.base + sum(told.contributions.values()) == pytest.approx(told.value)


def test_a_background_of_the_folds_own_serves_where_the_state_has_none():
    """Time travel sets one on the state that it folds; it takes in what is folded, and changes no answer."""
    bare, given = lab(), lab()
    given.fold.state.background = Background()
    (without,), (with_it,) = at(bare, steps(), 13, event="e60"), at(given, steps(), 13, event="e60")
    assert (len(without.background), len(with_it.background)) == (0, 60)
    assert without.scores() == with_it.scores()
    assert with_it.explain("bayes").contributions != without.explain("bayes").contributions


def test_what_if_is_what_the_model_would_have_said():
    """The same as an event with that value would have got in that place."""
    changed = steps()
    place = next(i for i, (_, value) in enumerate(changed) if value["id"] == "e50" and "a" in value)
    changed[place] = event(50, 50_000, 20.0, (50 * 5 % 7) - 3.0)
    (moment,) = at(lab(), steps(), 13, event="e50")
    told = lab().feed(changed).output()[50]
    assert moment.what_if({"a": 20.0})["logistic"][0] == told["score"]
    assert moment.what_if({"a": 20.0})["bayes"][0] == told["challengers"]["bayes"]
    assert moment.what_if({}) == moment.scores()


def test_what_if_of_an_unknown_feature_is_refused():
    """With the names that there are."""
    (moment,) = at(lab(), steps(), 13, event="e50")
    with pytest.raises(ValueError, match="no feature 'amount'; there are a, b"):
        moment.what_if({"amount": 20.0})


def test_an_event_that_is_not_scored_has_no_moment():
    """A duplicate is none; neither is one that never came."""
    assert at(lab(), steps(), 13, event="nobody") == []
    twice = [*steps(), event(5, 90_000)]
    assert [moment.number for moment in at(lab(), twice, 13, event="e5")] == [5]
    assert len(at(lab(), twice, 10**9, offset=80)) == 0


def test_a_witness_without_questions_is_asked_nothing():
    """`saw` alone is a witness."""

    class Seer:
        def saw(self, batch, arranged, scores, changes):
            self.rows = arranged.events

    one, seer = lab(), Seer()
    one.fold.step(one.batch(steps()), seer)
    assert seer.rows == 80


def test_the_compiled_learner_is_explained_at_the_moment():
    """As River's chain is, to the bit."""
    compiled = {"logistic": "learners.compiled.ScaledLogisticRegression"}
    (ours,), (rivers,) = (at(lab(learners=one), steps(), 13, event="e60") for one in (compiled, {"logistic": LOGISTIC}))
    assert ours.explain("logistic") == rivers.explain("logistic")


def test_a_fold_is_built_without_a_background_unless_reasons_are_asked_for():
    """A state without reasons has the parts that it always had."""
    parts = [name for name, _ in lab().fold.parts()]
    assert "background" not in parts
    one = lab(predictions={"reasons": 1})
    assert [name for name, _ in build_fold(one.lineage, one.inputs).parts()] == [*parts, "background"]
