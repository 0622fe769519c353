"""Detectors in the fold: what they see, when an alarm is known, and the exact place of a response.

The oracle is the loop that one would write by hand: record by record, with the reset where the alarm is.
"""

from functools import cache

import numpy as np
import pytest
from river import linear_model, preprocessing

from detectors.names import make
from tests.harness import config
from tests.simulation.lab import EVENT, Lab, event, label

N = 1500
CUTS = [1, 37, 500, 4000]
LABELS = {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "first", "wait": "10d"}


@cache
def drifting(delay):
    """Steps: labels ``delay`` events after theirs; the concept turns round twice."""
    generator = np.random.default_rng(delay)
    a, b = generator.normal(size=(2, N))
    a[900:] += 3.0
    truth = (a - 3.0 * (np.arange(N) >= 900) + b > 0) ^ (np.arange(N) // 500 == 1)
    steps = []
    for i in range(N):
        if i >= delay > 0:
            steps.append(label(i - delay, i, bool(truth[i - delay])))
        steps.append(event(i, i, float(a[i]), float(b[i]), y=bool(truth[i])))
        if delay == 0:
            steps.append(label(i, i, bool(truth[i])))
    return steps


def fresh():
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def by_hand(steps, signal, name, parameters):
    """(scores, alarms): each alarm is (event, before, after)."""
    detector, model, features, emitted, alarms = make(name, parameters), fresh(), {}, {}, []
    for which, record in steps:
        known = record["id"]
        value = None
        if which == EVENT:
            features[known] = {"a": record["a"], "b": record["b"]}
            emitted[known] = model.predict_proba_one(features[known])[True]
            value = {"score": emitted[known], "feature": record["a"]}.get(signal)
        elif signal == "error":
            value = float((emitted[known] >= 0.5) != record["y"])
        elif signal == "label":
            value = float(record["y"])
        if which != EVENT:
            model.learn_one(features[known], record["y"])
        for finding in detector.watch(np.array([value])) if value is not None else ():
            if finding.level == "alarm":
                alarms.append((known, finding.before, finding.after))
                model = fresh()
    return list(emitted.values()), alarms


def folded(steps, detectors, cut):
    return Lab(config(detectors=detectors, labels=LABELS, time_jump_max="100d")).feed(steps, cut)


SIGNALS = {
    "error": ("adwin", {"delta": 0.05}),
    "label": ("page_hinkley", {"threshold": 8.0, "rearm": 100}),
    "score": ("page_hinkley", {"threshold": 8.0, "rearm": 100}),
    "feature": ("page_hinkley", {"threshold": 20.0, "rearm": 100}),
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("delay", [0, 50, 900])
def test_a_reset_is_where_a_loop_by_hand_would_do_it(signal, delay):
    """Scores and alarms equal the loop's to the bit, wherever batches are cut."""
    name, parameters = SIGNALS[signal]
    scores, alarms = by_hand(drifting(delay), signal, name, parameters)
    spec = {
        "signal": {"feature": "a"} if signal == "feature" else signal, "detector": {name: parameters}, "response": "reset",
    }  # fmt: skip
    if delay < 900:
        assert alarms
    said = []
    for cut in CUTS:
        one = folded(drifting(delay), [spec], cut)
        assert one.scores == scores
        assert [(alarm["event"], alarm["before"], alarm["after"]) for alarm in one.output("alarms")] == alarms
        said.append(one.said)
    assert all(other == said[0] for other in said)


def test_an_alarm_says_what_where_and_how_much():
    """Detector, signal, the event at which it was known, stream time, position, levels and what was reset."""
    spec = {"signal": "error", "detector": {"adwin": {"delta": 0.05, "direction": "up"}}, "response": "reset"}
    one = folded(drifting(50), [spec], 500)
    alarm = one.output("alarms")[0]
    assert (alarm["detector"], alarm["signal"], alarm["level"], alarm["kind"]) == (
        "adwin-error",
        "error",
        "alarm",
        "change",
    )
    assert (alarm["response"], alarm["learners"]) == ("reset", ["logistic"])
    assert alarm["before"] < 0.35
    assert alarm["after"] > 0.5
    position = alarm["records"]
    (_, newest_event), (which, record) = drifting(50)[position - 2 : position]
    assert (which, record["id"], newest_event["time"]) == (1, alarm["event"], alarm["time"])


def test_a_response_alarm_changes_nothing():
    """It only says so: the scores are those without any detector."""
    watched = folded(drifting(50), [{"signal": "error", "detector": {"adwin": {"delta": 0.05}}}], 37)
    assert watched.output("alarms")
    assert watched.scores == folded(drifting(50), [], 500).scores
    assert all(alarm["learners"] == [] for alarm in watched.output("alarms"))


@pytest.mark.parametrize("cut", CUTS)
def test_detectors_of_all_signals_together_do_not_depend_on_cuts(cut):
    """Resets by one that sees scores, by one that sees errors, and alarms of others in between."""
    detectors = [
        {"signal": "score", "detector": {"page_hinkley": {"threshold": 8.0}}, "response": "reset"},
        {"signal": "error", "detector": {"adwin": {"delta": 0.1}}, "response": "reset"},
        {"signal": "loss", "detector": {"adwin": {"delta": 0.1}}},
        {"signal": "error", "detector": "ddm"},
        {"signal": {"feature": "a"}, "detector": {"kswin": {"seed": 3}}},
        {"signal": "error", "detector": "hddm_w", "response": "reset"},
        {"signal": "label", "detector": {"page_hinkley": {"threshold": 8.0}}, "response": "reset"},
    ]
    one, other = folded(drifting(50), detectors, cut), folded(drifting(50), detectors, 113)
    assert one.said == other.said
    assert len({alarm["detector"] for alarm in one.output("alarms")}) > 3


def test_a_reset_of_a_challenger_leaves_the_champion():
    """Only the named learners begin anew."""
    pair = {"logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]}
    pair["bayes"] = "river.naive_bayes.GaussianNB"
    spec = {"signal": "error", "detector": {"adwin": {"delta": 0.05}}, "response": "reset", "learners": ["bayes"]}
    settings = {"labels": LABELS, "time_jump_max": "100d", "learners": pair}
    with_reset = Lab(config(detectors=[spec], **settings)).feed(drifting(50), 500)
    without = Lab(config(**settings)).feed(drifting(50), 500)
    assert with_reset.scores == without.scores
    told = [[p["challengers"]["bayes"] for p in one.output()] for one in (with_reset, without)]
    assert told[0] != told[1]
