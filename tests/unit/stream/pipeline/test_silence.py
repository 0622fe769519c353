"""What silence is taken for, whom it says nothing of, and what a label that corrects it weighs."""

import random

import pytest
from river import linear_model, preprocessing

from stream.build_fold import build_fold
from stream.config import fold_config
from stream.errors import ConfigError
from tests.harness import BASE, config
from tests.simulation.lab import EVENT, Lab, canonical, dumped, event, label, load, settled
from tests.unit.stream.pipeline.test_state import DETECTORS, OWN, arrivals

COMPILED = {"logistic": "learners.compiled.ScaledLogisticRegression"}
BLOCKED = {"field": "status", "equals": "blocked"}


def labels(*, weight=1.0, exclude_if=None, **more):
    silence = {"value": False, "after": "20s", "correction_weight": weight}
    told = {**OWN, "wait": "60s", "park": "20s", "assume": silence, **more}
    return {**told, "exclude_if": exclude_if} if exclude_if else told


def features(*, status=None):
    named = ["a", "b", *([{"status": status}] if status else [])]
    return {**BASE["events"], "features": named}


def lab(*, weight=1.0, exclude_if=None, events=None, **more):
    return Lab(config(labels=labels(weight=weight, exclude_if=exclude_if), events=events or features(), **more))


# --- the weight of a correction -----------------------------------------------------------------------------------------------


def corrected(weight, n=60):
    """Every third event is positive, and said to be so thirty seconds later, when silence was taken for an answer."""
    steps, x = [], {i: {"a": i % 7 - 3.0, "b": i % 5 - 2.0} for i in range(n)}
    model, scores = preprocessing.StandardScaler() | linear_model.LogisticRegression(), []
    for i in range(n):
        if i >= 30 and (i - 30) % 3 == 0:
            steps.append(label(i - 30, 0))
            model.learn_one(x[i - 30], True, w=weight)
        if i >= 20:
            model.learn_one(x[i - 20], False)
        scores.append(model.predict_proba_one(x[i])[True])
        steps.append(event(i, i * 1000, **x[i]))
    return steps, scores


@pytest.mark.parametrize("learners", [None, COMPILED])
@pytest.mark.parametrize("weight", [1.0, 5.0, 0.5])
def test_a_correction_is_learned_with_its_weight_on_top_of_the_assumption(learners, weight):
    """As River does with ``w``; nothing is unlearned, and the assumption itself weighs 1."""
    steps, scores = corrected(weight)
    assert lab(weight=weight, **({"learners": learners} if learners else {})).feed(steps, 7).scores == scores


def test_a_label_that_replaces_another_weighs_one():
    """Only silence is corrected with a weight."""
    steps = []
    for i in range(40):
        steps.append(event(i, i * 1000, i % 7 - 3.0, i % 5 - 2.0))
        if i >= 2:
            steps += [label(i - 2, 0, False), label(i - 2, 0, i % 3 == 0)]
    plain, weighed = (
        Lab(config(labels=labels(weight=weight, conflict="last"))).feed(steps) for weight in (1.0, 9.0)
    )  # fmt: skip
    assert plain.counts["labels_replaced"] > 0
    assert plain.scores == weighed.scores


@pytest.mark.parametrize(
    "spec",
    [
        "river.naive_bayes.GaussianNB",
        {"river.forest.ARFClassifier": {"seed": 1}},
        {"learn": "river.naive_bayes.GaussianNB", "labels": {"after": "1h"}},
    ],
)
def test_a_learner_without_weights_is_refused(spec):
    """It would raise at the first correction, or pass the weight over without a word."""
    with pytest.raises(ConfigError, match="learner one learns without weights, and `correction_weight` is 5"):
        lab(weight=5.0, learners={"one": spec})
    lab(weight=1.0, learners={"one": spec})


# --- events of which silence says nothing ---------------------------------------------------------------------------------------


def blocked(number):
    return number % 4 == 1


def events_of(n, **more):
    return [
        event(i, i * 1000, i % 7 - 3.0, i % 5 - 2.0, status="blocked" if blocked(i) else "paid", **more)
        for i in range(n)
    ]


@pytest.mark.parametrize("events", [features(), features(status="text"), {**BASE["events"], "features": None}])
def test_the_silence_of_an_excluded_event_is_no_label(events):
    """A field that learners see, one that they do not, and open features: the model is that of the others' labels."""
    see_status = events["features"] is None or len(events["features"]) > 2
    learners = {"bayes": "river.naive_bayes.GaussianNB"} if not see_status else {
        "bayes": [{"river.compose.Select": ["a", "b"]}, "river.naive_bayes.GaussianNB"]
    }  # fmt: skip
    one = lab(exclude_if=BLOCKED, events=events, learners=learners).feed(events_of(100), 13)
    counted = next(iter(one.model.steps.values())) if hasattr(one.model, "steps") else one.model
    counted = one.model["GaussianNB"] if hasattr(one.model, "steps") else counted
    assumed = [i for i in range(80) if not blocked(i)]
    assert counted.class_counts == {False: len(assumed)}
    assert (one.counts["events_exempt"], one.counts["labels_assumed"]) == (25, 60)
    assert len(one.output()) == 100


def test_a_label_of_its_own_is_learned_and_is_no_correction():
    """Somebody looked after all: late, with weight 1, and nothing is replaced."""
    steps = [*events_of(50), label(1, 0, True)]
    weighed, plain = (lab(weight=weight, exclude_if=BLOCKED).feed(steps) for weight in (50.0, 1.0))
    assert (weighed.counts.get("labels_corrected", 0), weighed.counts["labels"]) == (0, 1)
    assert canonical(dumped(weighed.fold)) == canonical(dumped(plain.fold))
    without = lab(exclude_if=BLOCKED).feed(steps[:-1])
    assert weighed.model["LogisticRegression"].intercept > without.model["LogisticRegression"].intercept
    assert settled(weighed.fold) != settled(without.fold)


def test_its_wait_ends_like_any_other():
    """After ``wait`` it has no label, which is counted; one that comes then is late."""
    steps = [*events_of(100), label(21, 0, True)]
    one = lab(exclude_if=BLOCKED).feed(steps)
    assert one.reasons == ["label_late"]
    assert one.counts["events_unlabelled"] == len([i for i in range(40) if blocked(i)])


def test_excluded_events_are_not_measured_as_negatives():
    """Metrics cover the labels that there are."""
    one = lab(exclude_if=BLOCKED).feed(events_of(100))
    assert one.fold.state.metrics["logistic"].count == 60


@pytest.mark.parametrize("equals", [True, 2, 2.5, "2"])
def test_a_value_is_of_any_kind(equals):
    """And a boolean is no number."""
    steps = [event(i, i * 1000, status=equals) if i % 2 else event(i, i * 1000) for i in range(40)]
    one = lab(exclude_if={"field": "status", "equals": equals}).feed(steps)
    assert one.counts["events_exempt"] == 20


def arriving(seed):
    steps = arrivals(seed)
    draw = random.Random(seed)
    return [
        (which, {**value, "status": draw.choice(["blocked", "paid", "paid"])})
        if which == EVENT and isinstance(value, dict)
        else (which, value)
        for which, value in steps
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("learners", [None, COMPILED])
def test_where_a_batch_is_cut_changes_no_byte(seed, learners):
    """With corrections that weigh, and events of which silence says nothing."""
    more = {"detectors": DETECTORS, **({"learners": learners} if learners else {})}
    steps = arriving(seed)
    whole = lab(weight=4.0, exclude_if=BLOCKED, **more).feed(steps)
    assert whole.counts["labels_corrected"] > 0
    assert whole.counts["events_exempt"] > 0
    for cut in (1, 7, 40):
        one = lab(weight=4.0, exclude_if=BLOCKED, **more).feed(steps, cut)
        assert one.said == whole.said
        assert settled(one.fold) == settled(whole.fold)


@pytest.mark.parametrize("seed", range(3))
def test_a_loaded_state_goes_on_to_the_same_bytes(seed, monkeypatch):
    """Which events are excluded is remembered."""
    monkeypatch.setattr("stream.pipeline.waiting.BLOCK", 8)
    steps = arriving(seed)
    whole = lab(weight=4.0, exclude_if=BLOCKED).feed(steps, 10)
    for at in range(10, len(steps), 40):
        first, second = lab(weight=4.0, exclude_if=BLOCKED).feed(steps[:at], 10), lab()
        second.fold = load(build_fold(first.lineage, first.inputs), dumped(first.fold))
        second._offsets = first._offsets
        second.feed(steps[at:], 10)
        assert first.said["predictions"] + second.said["predictions"] == whole.said["predictions"]
        assert canonical(dumped(second.fold)) == canonical(dumped(whole.fold))


# --- settings --------------------------------------------------------------------------------------------------------------


def test_what_was_recorded_before_has_no_such_settings():
    """A lineage of before is that of a configuration that leaves them at their defaults."""
    told = config(labels=labels()).answers()["labels"]
    assert "exclude_if" not in told
    assert told["assume"] == {"value": False, "after": "20s"}
    changed = config(labels=labels(weight=2.0, exclude_if=BLOCKED))
    assert fold_config(changed.answers()).answers() == changed.answers()


def test_a_changed_setting_keeps_what_waits():
    """Where the field is a feature already: the weight is of corrections to come, and so is who is excluded."""
    events = features(status="text")
    learners = {"bayes": [{"river.compose.Select": ["a", "b"]}, {"river.linear_model.LogisticRegression": {}}]}
    former = lab(events=events, learners=learners).feed(events_of(30))
    changed = lab(events=events, learners=learners, exclude_if=BLOCKED, weight=3.0)
    assert changed.fold.take_over(former.fold) == []
    changed._offsets = former._offsets
    more = [event(100 + i, (30 + i) * 1000, status="blocked") for i in range(30)]
    changed.feed(more)
    assert changed.counts["labels_assumed"] == 30
    assert changed.counts["events_exempt"] == 30


@pytest.mark.parametrize(
    ("told", "events", "words"),
    [
        ({"field": "a", "equals": "blocked"}, features(), "'a' is a number, and 'blocked' is none"),
        ({"field": "status", "equals": 1}, features(status="boolean"), "'status' is a boolean, and 1 is none"),
        (BLOCKED, {**BASE["events"], "features": None, "exclude": ["status"]}, "'status' is not read while features are open"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_have_the_value_is_refused(told, events, words):
    """When it is built."""
    with pytest.raises(ConfigError, match=words):
        lab(exclude_if=told, events=events)


def test_there_must_be_an_assumption_to_exclude_from():
    """Without one silence says nothing of anybody."""
    with pytest.raises(ValueError, match="so it needs `assume`"):
        config(labels={**OWN, "exclude_if": BLOCKED})
