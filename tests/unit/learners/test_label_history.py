"""A classifier that sees the labels before."""

import random

import pytest
from river import base, linear_model

from learners.label_history import LabelHistory
from tests.harness import config
from tests.simulation.lab import Lab, event


class Recorder(base.Classifier):
    """Keeps what it is shown, and answers nothing."""

    def __init__(self):
        self.scored = []
        self.learned = []

    def predict_proba_one(self, x):
        self.scored.append(x)
        return {}

    def learn_one(self, x, y):
        self.learned.append(x)


def shown(labels, delay, **history):
    """What the classifier is shown: at the scoring of each event, and at its learning."""
    model = LabelHistory(Recorder(), delay=delay, **history)
    for number in range(len(labels) + delay):
        if number >= delay:
            model.learn_one({"n": number - delay}, labels[number - delay])
        if number < len(labels):
            model.predict_proba_one({"n": number})
    return model.classifier.scored, model.classifier.learned


def expected(labels, number, delay):
    """From the whole list of labels, of which those up to ``number - delay`` are known."""
    known = [float(label) for label in labels[: max(number - delay + 1, 0)]]
    means = {f"label_mean_{size}": sum(known[-size:]) / len(known[-size:]) if known else 0.5 for size in (3, 7)}
    return {
        "n": number,
        "label_1": known[-1] if known else 0.5,
        "label_2": known[-2] if len(known) > 1 else 0.5,
        **means,
        "label_ago_5": float(labels[number - 5]) if number >= 5 else 0.5,
        "label_ago_9": float(labels[number - 9]) if number >= 9 else 0.5,
    }


@pytest.mark.parametrize("delay", [1, 2, 5])
def test_an_event_is_learned_with_the_features_that_it_was_scored_with(delay: int):
    """Though newer labels have come since: nothing leaks. They are those of a plain list of all labels."""
    rng = random.Random(delay)
    labels = [rng.random() < 0.4 for _ in range(300)]
    scored, learned = shown(labels, delay, last=2, mean=[3, 7], ago=[5, 9])
    assert scored == learned == [expected(labels, number, delay) for number in range(300)]


def test_what_is_remembered_is_bounded():
    """However many labels come."""
    model = LabelHistory(Recorder(), last=1, mean=[4], ago=[6], delay=2)
    sizes = set()
    for number in range(1000):
        model.learn_one({}, number % 3 == 0)
        sizes.add(len(model._sums))
    assert max(sizes) <= 2 * (1 + 6 + 2 + 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"delay": 0}, "delay is 1 event or more"),
        ({"last": -1}, "last 0 labels or more"),
        ({"mean": [3, 0]}, "a mean is of one label or more, not of 0"),
        ({"ago": [1], "delay": 2}, "the label of 1 events ago is not known yet"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict, words: str):
    """With the reason."""
    with pytest.raises(ValueError, match=words):
        LabelHistory(Recorder(), **settings)


def test_in_the_engine_scores_are_those_of_a_plain_loop_with_the_same_delay():
    """From a configuration, with labels two events late: each score equals a plain loop over the same wrapper."""
    rng = random.Random(1)
    rows = [({"a": rng.gauss(0, 1), "b": 0.0}, rng.random() < 0.5) for _ in range(200)]
    part = {
        "learners.label_history.LabelHistory": {
            "classifier": {"river.linear_model.LogisticRegression": {}},
            "last": 2,
            "mean": [5],
            "ago": [3],
            "delay": 2,
        }
    }
    events = [event(n, n, y=y, a=x["a"]) for n, (x, y) in enumerate(rows)]
    one, emitted = Lab(config(labels={"field": "y", "delay": "2 events"}, learners={"main": part})), []

    class Seen:
        def saw(self, batch, arranged, scores, changes):
            emitted.extend(scores["main"][: arranged.events, 0].tolist())

    one.fold.step(one.batch(events), Seen())
    model = LabelHistory(linear_model.LogisticRegression(), last=2, mean=[5], ago=[3], delay=2)
    theirs = []
    for number, (x, _) in enumerate(rows):
        if number >= 2:
            model.learn_one(*rows[number - 2])
        theirs.append(model.predict_proba_one(x)[True])
    assert emitted == theirs
