"""Thresholds that follow the scores, in a fold: told, kept, measured and watched as they were emitted, however it is cut."""

import random

import numpy as np
import pytest

from stream.build_fold import build_fold
from stream.codec_outputs import DetailedPrediction
from stream.config import fold_config
from stream.pipeline.budget import Budget
from stream.pipeline.watch import error
from stream.runtime.readings import TaskReadings
from tests.harness import config
from tests.simulation.lab import Lab, dumped, event, label, load, settled

ALERTS = {"alerts": "3 per 20s", "per": "key", "at_first": 0.6, "median_of": 2}
LEARNERS = {
    "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
    "bayes": "river.naive_bayes.GaussianNB",
}
RESET = {
    "signal": "error",
    "detector": {"page_hinkley": {"threshold": 2.0, "min_instances": 5, "rearm": 9}},
    "response": "reset",
}
OWN = {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "last", "wait": "60s", "park": "20s"}
SOURCES = {"own": OWN, "at once": {"field": "y"}, "delayed": {"field": "y", "delay": "15s"}}


def lab(source="own", threshold=None, learners=LEARNERS, **changes):
    return Lab(
        config(labels=SOURCES[source], learners=learners, predictions={"threshold": threshold or ALERTS}, **changes)
    )


def steps_of(source, seed, n=200):
    """Events of few cards, some of them late or twice; labels with them, or up to a minute later."""
    draw, steps, later = random.Random(seed), [], []
    for i in range(n):
        time = 1000 * i - draw.choice([0, 0, 0, 5000])
        a, card = draw.gauss(0, 1), f"c{draw.randrange(12)}"
        truth = a + draw.gauss(0, 1) > 1
        more = {} if source == "own" else {"y": truth}
        steps.append(event(i if draw.random() > 0.05 else max(i - 2, 0), time, a, draw.gauss(0, 1), card=card, **more))
        if source == "own":
            later.append((i + draw.randrange(60), label(i, time, truth)))
            steps += [step for due, step in later if due == i]
    return steps


def thresholds_of(told, scores):
    """What a budget by itself says of predictions."""
    budget = Budget(3, 20_000, by_key=True, at_first=0.6, median_of=2)
    times = np.maximum.accumulate([one["time"] for one in told]).tolist()
    return budget.decide(times, [one["key"] for one in told], scores)


@pytest.mark.parametrize("detectors", [[], [{**RESET, "response": "alarm"}], [RESET], [{**RESET, "signal": "score"}]])
@pytest.mark.parametrize("source", SOURCES)
def test_where_it_is_cut_changes_nothing(source, detectors):
    """The same outputs and the same state, in batches of any size, also when it is dumped and loaded on the way."""
    steps = steps_of(source, 1)
    whole = lab(source, detectors=detectors).feed(steps)
    for size in (1, 7, 60):
        cut = lab(source, detectors=detectors)
        for at in range(0, len(steps), size):
            cut.feed(steps[at : at + size])
            if at % 3 == 0:
                cut.fold = load(build_fold(cut.lineage, cut.inputs), dumped(cut.fold))
        assert cut.said == whole.said
        assert settled(cut.fold) == settled(whole.fold)
    if detectors:
        assert whole.said["alarms"]


def test_a_prediction_tells_what_it_was_held_against():
    """That of the budget, fed with all scores before it; and from there on yes or no follows."""
    one = lab().feed(steps_of("own", 2), 30)
    told = one.output()
    expected = thresholds_of(told, [one["score"] for one in told])
    assert [one["threshold"] for one in told] == expected.tolist()
    assert all(one["prediction"] == (one["score"] >= one["threshold"]) for one in told)
    assert {one["prediction"] for one in told} == {True, False}
    assert len(set(expected.tolist())) > 10
    assert list(told[0]) == [
        name for name in DetailedPrediction.__struct_fields__ if name in {*told[0], "threshold", "challengers"}
    ]


@pytest.mark.parametrize("source", ["at once", "delayed"])
def test_metrics_count_what_was_emitted(source):
    """The champion's are of its emitted answers, however late the label; a challenger's of a budget of its own."""
    steps = steps_of(source, 3)
    one = lab(source).feed(steps, 30).flush()
    told = one.output()
    truths = {value["id"]: value["y"] for _, value in reversed(steps)}
    truth = np.array([truths[each["id"]] for each in told])
    challenger = [each["challengers"]["bayes"] for each in told]
    answers = {
        "logistic": np.array([each["prediction"] for each in told]),
        "bayes": np.array(challenger) >= thresholds_of(told, challenger),
    }
    for name, positive in answers.items():
        figures = one.fold.state.metrics[name].all()
        assert figures["accuracy"] == pytest.approx((positive == truth).mean())
        assert figures["precision"] == pytest.approx(truth[positive].mean())
        assert figures["recall"] == pytest.approx(positive[truth].mean())
        assert (truth & positive).any()


def test_the_error_is_of_the_emitted_answer():
    """Each score against its own threshold."""
    scores, target = np.array([[0.4], [0.4], [0.4], [np.nan]]), np.array([1.0, 1.0, 0.0, 1.0])
    wrong = error("binary", np.array([0.3, 0.5, 0.5, np.nan]), target, scores)
    assert wrong[:3].tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(wrong[3])


def test_a_state_that_goes_on_under_a_budget():
    """Its thresholds begin; learners and what waits go on, held against the first threshold where none was kept."""
    steps = steps_of("own", 4)
    before = Lab(config(labels=OWN, learners=LEARNERS)).feed(steps[:150])
    after = lab()
    begun = after.fold.take_over(before.fold)
    assert begun == ["metrics/logistic", "metrics/bayes", "threshold/logistic", "threshold/bayes"]
    after._offsets = before._offsets
    after.feed(steps[150:])
    assert {one["threshold"] for one in after.output()[:3]} == {0.6}
    assert after.fold.state.metrics["logistic"].count > 100
    again = lab()
    assert again.fold.take_over(after.fold) == []
    assert settled(again.fold)[("threshold/bayes", "budget")] == settled(after.fold)[("threshold/bayes", "budget")]
    other = lab(threshold={**ALERTS, "alerts": "4 per 20s"})
    assert set(other.fold.take_over(after.fold)) == set(begun)


def test_a_learner_that_comes_begins_its_budget():
    """What waits keeps the thresholds of the one that stays."""
    steps = steps_of("own", 5)
    before = lab(learners={"logistic": LEARNERS["logistic"]}).feed(steps[:100])
    after = lab()
    begun = after.fold.take_over(before.fold)
    assert begun == ["roles", "learner/bayes", "metrics/bayes", "threshold/bayes"]
    whole = lab(learners={"logistic": LEARNERS["logistic"]}).feed(steps)
    after._offsets = before._offsets
    after.feed(steps[100:])
    assert after.fold.state.metrics["logistic"].all() == whole.fold.state.metrics["logistic"].all()
    assert [one["threshold"] for one in before.output() + after.output()] == [
        one["threshold"] for one in whole.output()
    ]


def test_a_fixed_threshold_leaves_state_and_answers_as_they_were():
    """No part, no field, no other answers; a cost is a fixed one."""
    fixed = Lab(config(labels=OWN, predictions={"threshold": 0.2}))
    cost = Lab(config(labels=OWN, predictions={"threshold": {"cost": {"false_positive": 1, "false_negative": 4}}}))
    for one in (fixed, cost):
        assert one.fold.plan.threshold == 0.2
        assert not [name for name, _ in one.fold.parts() if name.startswith("threshold")]
        assert "threshold" not in one.feed(steps_of("own", 6)).output()[0]
    assert fixed.said["predictions"] == cost.said["predictions"]
    assert config().answers()["predictions"] == {"threshold": 0.5}


def test_the_settings_come_back_from_a_journal():
    """As they were, with every default."""
    answers = config(predictions={"threshold": {"alerts": "100 per 1d"}}).answers()
    assert answers["predictions"] == {
        "threshold": {"alerts": "100 per day", "per": "event", "at_first": 0.5, "median_of": 3, "most": None}
    }
    assert fold_config(answers).answers() == answers
    cost = {"threshold": {"cost": {"false_positive": 1.0, "false_negative": 50.0}}}
    assert fold_config(config(predictions=cost).answers()).answers()["predictions"] == cost


def test_nothing_more_is_told_as_null():
    """After the most of a period there is no number that a score could reach."""
    one = lab(threshold={**ALERTS, "most": 3}).feed(steps_of("own", 8), 7)
    ended = [told for told in one.output() if told["threshold"] is None]
    assert len(ended) > 5
    assert not any(told["prediction"] for told in ended)
    whole = lab(threshold={**ALERTS, "most": 3}).feed(steps_of("own", 8))
    assert whole.said == one.said
    assert settled(whole.fold) == settled(one.fold)


def test_the_threshold_of_now_is_read():
    """Of each learner: what the next event will be held against."""
    steps, readings = steps_of("own", 9), TaskReadings(0)
    before, after = lab().feed(steps), lab().feed([*steps, event(999, 199_000)])
    readings.tell(before.fold.state, {})
    assert after.output()[-1]["threshold"] == readings.thresholds["logistic"]
    assert readings.thresholds["bayes"] != readings.thresholds["logistic"]


def test_an_anomaly_has_a_budget_too():
    """Its scores are no probabilities."""
    trees = {"trees": {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 10, "height": 3, "n_trees": 3}}}
    one = lab(learners=trees, problem="anomaly").feed(steps_of("own", 7))
    assert {each["prediction"] for each in one.output()} == {True, False}
