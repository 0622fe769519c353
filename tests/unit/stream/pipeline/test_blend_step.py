"""Blends and labels of some age in the step: a function of the log alone, and of the scores that were emitted."""

import math
import random

import pytest

from stream.build_fold import build_fold
from stream.errors import ConfigError
from stream.runtime.readings import TaskReadings
from tests.harness import config
from tests.simulation.lab import LABEL, Lab, canonical, dumped, event, label, load, settled
from tests.unit.stream.pipeline.test_moment import Curious
from tests.unit.stream.pipeline.test_state import DETECTORS, OWN, RULES, arrivals

LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
BAYES = "river.naive_bayes.GaussianNB"
WEAK = [LOGISTIC[0], {LOGISTIC[1]: {"l2": 0.1}}]


def blend(*of, **told):
    return {"blend": {"of": list(of), **told}}


CASES = {
    "fixed share": {"logistic": LOGISTIC, "bayes": BAYES, "answer": blend("logistic", "bayes")},
    "exponential": {
        "logistic": "learners.compiled.ScaledLogisticRegression", "bayes": BAYES,
        "answer": blend("logistic", "bayes", by="exponential", memory=20),
    },
    "stack": {"logistic": LOGISTIC, "weak": WEAK, "answer": blend("logistic", "weak", by="stack", memory=50)},
    "two speeds": {
        "quick": {"learn": LOGISTIC, "labels": {"within": "6s"}},
        "slow": {"learn": LOGISTIC, "labels": {"after": "6s"}},
        "answer": blend("quick", "slow", by="stack"),
    },
    "of blends": {
        "logistic": LOGISTIC, "bayes": BAYES, "inner": blend("logistic", "bayes"),
        "answer": {"learn": blend("inner", "bayes", by="exponential"), "labels": {"after": "2s"}},
    },
}  # fmt: skip
RESETS = [{**DETECTORS[0], "learners": ["logistic"]}, {**DETECTORS[0], "name": "all", "learners": ["answer"]}]


def lab(name, **more):
    learners = CASES[name]
    detectors = DETECTORS if "logistic" not in learners else RESETS
    return Lab(config(**{"learners": learners, "champion": "answer", "detectors": detectors, **more}))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rules", RULES)
def test_where_a_batch_is_cut_changes_no_byte(name, rules):
    """Labels that come late, twice, in conflict or are assumed; poison; resets of a member and of the blend."""
    steps, labels = arrivals(5), {**OWN, **RULES[rules]}
    whole = lab(name, labels=labels).feed(steps)
    for cut in (1, 7, 40):
        one = lab(name, labels=labels).feed(steps, cut)
        assert one.said == whole.said
        assert settled(one.fold) == settled(whole.fold)


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_state_goes_on_to_the_same_bytes(name):
    """Weights are a part of the checkpoint, and waiting rows keep the members' scores."""
    steps = arrivals(6)
    whole = lab(name).feed(steps, 10)
    first, second = lab(name).feed(steps[:80], 10), lab(name)
    second.fold = load(build_fold(first.lineage, first.inputs), dumped(first.fold))
    second._offsets = first._offsets
    second.feed(steps[80:], 10)
    assert first.said["predictions"] + second.said["predictions"] == whole.said["predictions"]
    assert canonical(dumped(second.fold)) == canonical(dumped(whole.fold))


def late_labels(seed=3, n=200):
    """Events and one label of each, in an order that delays mix up."""
    draw = random.Random(seed)
    steps = []
    for i in range(n):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        steps.append((i, event(i, i * 1000, a, b)))
        steps.append((i + draw.choice([0, 1, 30, 90]), label(i, 0, a - b > 0.5)))
    return [step for _, step in sorted(steps, key=lambda pair: pair[0])]


def test_it_is_the_mixture_of_the_scores_that_were_emitted():
    """Recomputed from the predictions alone: each label moves the weights by the losses of what was said at its event."""
    steps = late_labels()
    said = {one["id"]: one for one in lab("fixed share", detectors=[]).feed(steps, 13).output()}
    weights = {"logistic": 0.5, "bayes": 0.5}
    for which, record in steps:
        told = said[record["id"]]["challengers"]
        if which == LABEL:
            given = {name: told[name] if record["y"] else 1.0 - told[name] for name in weights}
            grown = {name: own * max(given[name], 1e-4) for name, own in weights.items()}
            total = sum(grown.values())
            weights = {name: 0.99 * own / total + 0.01 * (1.0 - own / total) for name, own in grown.items()}
        else:
            expected = sum(own * told[name] for name, own in weights.items())
            assert said[record["id"]]["score"] == pytest.approx(expected, abs=1e-12)


def test_beside_a_blend_its_members_are_what_they_were():
    """It learns from them, and they learn nothing from it."""
    steps = arrivals(7)
    without = {name: spec for name, spec in CASES["fixed share"].items() if name != "answer"}
    alone = Lab(config(learners=without)).feed(steps)
    both = lab("fixed share", detectors=[]).feed(steps)
    for one, other in zip(alone.output(), both.output(), strict=True):
        assert one["score"] == other["challengers"]["logistic"]
        assert one["challengers"]["bayes"] == other["challengers"]["bayes"]


def test_a_member_that_fails_is_left_out():
    """Its score is no number for some events: it is frozen, the blend goes on with the other."""
    learners = {
        "logistic": LOGISTIC,
        "misbehaving": {
            "factory": "tests.unit.stream.pipeline.estimators:raises",
            "parameters": {"score_limit": 1.5},
        },
        "answer": blend("logistic", "misbehaving"),
    }
    one = Lab(config(learners=learners, champion="answer")).feed(late_labels(), 11)
    assert "misbehaving" in one.fold.state.roles.frozen
    assert "answer" not in one.fold.state.roles.frozen
    told = one.output()
    assert len(told) == 200
    left_out = [o for o in told if o["challengers"]["misbehaving"] is None]
    assert left_out
    assert all(o["score"] == pytest.approx(o["challengers"]["logistic"]) for o in left_out)


@pytest.mark.parametrize(("learner", "kept"), [("logistic", True), ("answer", False)])
def test_a_reset_of_a_member_moves_no_weight_and_one_of_the_blend_makes_all_alike(learner, kept):
    """What a member lost or won before counts on, until its new scores have losses."""
    at_reset = []
    told = dict(DETECTORS[0], detector={"page_hinkley": {"threshold": 1.0, "min_instances": 5}}, learners=[learner])
    one = lab("fixed share", detectors=[told])
    for step in late_labels():
        before = one.fold.state.learners["answer"].weights
        one.feed([step])
        if one.said["alarms"] and not at_reset:
            at_reset.append((before, one.fold.state.learners["answer"].weights))
    ((before, after),) = at_reset
    assert before != {"logistic": 0.5, "bayes": 0.5}
    assert (after == {"logistic": 0.5, "bayes": 0.5}) is not kept


# --- changed configurations ---------------------------------------------------------------------------------------------------


def taken_over(change):
    former = lab("fixed share", detectors=[]).feed(late_labels(), 13)
    learners = {**CASES["fixed share"], **change}
    changed = Lab(config(learners=learners, champion="answer"))
    return former, changed, changed.fold.take_over(former.fold)


def test_weights_are_of_these_members():
    """A member that is another begins anew, and so does the blend; the other member is kept."""
    _, _, anew = taken_over({"logistic": WEAK})
    assert "learner/answer" in anew
    assert "learner/bayes" not in anew


def test_a_blend_of_the_same_members_goes_on():
    """Whatever else is added."""
    former, changed, anew = taken_over({"weak": WEAK})
    assert "learner/answer" not in anew
    assert changed.fold.state.learners["answer"].weights == former.fold.state.learners["answer"].weights


def test_labels_of_rows_that_a_new_member_never_saw_move_only_the_others():
    """Waiting rows have no score of it: it sleeps, and nothing fails."""
    former = lab("fixed share", detectors=[]).feed(late_labels()[:100], 13)
    learners = {**CASES["fixed share"], "weak": WEAK, "both": blend("weak", "bayes")}
    changed = Lab(config(learners=learners, champion="answer"))
    changed.fold.take_over(former.fold)
    changed._offsets = former._offsets
    changed.feed(late_labels()[100:], 13)
    assert not changed.fold.state.roles.frozen
    assert all(math.isfinite(one["challengers"]["both"]) for one in changed.output())


# --- looked at ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_reasons_add_up_to_the_score_that_was_emitted(name):
    """Exactly where the blend is a sum of what its members tell exactly, else by sampling; and they change no score."""
    steps = late_labels(n=60)
    bare = lab(name).feed(steps, 9).scores
    told = lab(name, predictions={"reasons": 9}).feed(steps, 9).output()
    assert [one["score"] for one in told] == bare
    exact = name in {"stack", "two speeds"}
    for one in told:
        total = one["reasons_base"] + sum(reason["contribution"] for reason in one["reasons"])
        if exact:
            assert (one["reasons_method"], one["reasons_of"]) == ("linear", "log_odds")
            total = 1 / (1 + math.exp(-total))
        else:
            assert (one["reasons_method"], one["reasons_of"]) == ("shapley_sampling", "probability")
        assert one["score"] == pytest.approx(total)


@pytest.mark.parametrize("name", ["fixed share", "stack", "of blends"])
def test_reasons_do_not_depend_on_where_a_batch_is_cut(name):
    """Members are seen as they stood when the event was scored."""
    steps = arrivals(8, 80)
    whole = lab(name, predictions={"reasons": 2}).feed(steps)
    for cut in (1, 7):
        assert lab(name, predictions={"reasons": 2}).feed(steps, cut).said == whole.said


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("cut", [1, 13, 10**9])
def test_the_moment_of_an_event_holds_the_blend_that_scored(name, cut):
    """With its members: asked again it says what was emitted, to the bit; what-if asks them, too."""
    steps = late_labels(n=80)
    said = lab(name, detectors=[]).feed(steps).output()
    one, witness = lab(name, detectors=[]), Curious(event="e60")
    for start in range(0, len(steps), cut):
        one.fold.step(one.batch(steps[start : start + cut]), witness)
    (moment,) = witness.moments
    scores = {learner: values[0] for learner, values in moment.scores().items()}
    assert scores == {"answer": said[60]["score"], **said[60]["challengers"]}
    changed = {learner: values[0] for learner, values in moment.what_if({"a": 9.0}).items()}
    assert changed["answer"] != scores["answer"]
    told = moment.explain("answer", pairs=3)
    assert told.base + sum(told.contributions.values()) == pytest.approx(told.value)


def test_a_worker_tells_what_members_weigh():
    """By blend and member, also of a blend that learns some labels only."""
    one, readings = lab("of blends", detectors=[]).feed(late_labels(), 13), TaskReadings(0)
    readings.tell(one.fold.state, {})
    assert {name: list(weights) for name, weights in readings.weights.items()} == {
        "inner": ["logistic", "bayes"], "answer": ["inner", "bayes"],
    }  # fmt: skip
    assert all(sum(weights.values()) == pytest.approx(1.0) for weights in readings.weights.values())


# --- labels of some age ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 17, 10**9])
def test_a_learner_of_quick_labels_is_one_that_never_got_the_late_ones(cut):
    """Its scores are those of a pipeline from whose labels those of another age were taken out."""
    steps = late_labels()
    now, ages = 0, {}
    for which, record in steps:
        if which == LABEL:
            ages[record["id"]] = now - int(record["id"][1:]) * 1000
        else:
            now = record["time"]
    quick = [step for step in steps if step[0] != LABEL or ages[step[1]["id"]] <= 6000]
    late = [step for step in steps if step[0] != LABEL or ages[step[1]["id"]] > 6000]
    assert 200 < len(quick) < 400 > len(late) > 200
    both = lab("two speeds", detectors=[]).feed(steps, cut).output()
    alone = {name: Lab(config()).feed(kept, cut).scores for name, kept in (("quick", quick), ("slow", late))}
    for name, scores in alone.items():
        assert [one["challengers"][name] for one in both] == scores


def test_what_is_assumed_has_an_age_like_every_label():
    """Silence after 25 s is no label within 6 s."""
    labels = {**OWN, **RULES["assumed"]}
    steps = [event(i, i * 1000, i % 3 - 1.0, i % 5 - 2.0) for i in range(120)]
    one = lab("two speeds", labels=labels, detectors=[]).feed(steps)
    quick, slow = (one.fold.state.learners[name].learner.model["LogisticRegression"] for name in ("quick", "slow"))
    assert (quick.intercept == 0.0, slow.intercept < 0.0) == (True, True)


# --- what is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learners", "words"),
    [
        ({"logistic": LOGISTIC, "answer": blend("logistic", "logistc")}, "there is no learner 'logistc'; did you mean"),
        ({"bayes": BAYES, "answer": blend("logistic", "bayes"), "logistic": LOGISTIC}, "'logistic', which must stand above"),
        ({"bayes": BAYES, "answer": blend("answer", "bayes")}, "'answer', which must stand above"),
        ({"answer": {"blend": ["a", "b"]}}, "a blend is `{blend: {of:"),
        ({"answer": {"blend": {"of": ["a"]}}}, "two learners or more"),
        ({"answer": {"blend": {"of": ["a", "a"]}}}, "has 'a' twice"),
        ({"answer": {"blend": {"of": ["a", "b"]}, "labels": {"within": "1h"}}}, "unknown key `labels` beside `blend`"),
        ({"quick": {"learn": LOGISTIC}}, "say which labels"),
        ({"quick": {"learn": LOGISTIC, "labels": {"before": "1h"}}}, "unknown key `before`"),
        ({"quick": {"learn": LOGISTIC, "labels": {"after": "2h", "within": "1h"}}}, "no label comes after 2h and within 1h"),
        ({"quick": {"learn": LOGISTIC, "labels": {"within": "soon"}}}, "expected a duration"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(learners, words):
    """When the configuration is read."""
    with pytest.raises(ValueError, match=words):
        config(learners=learners)


def test_labels_have_an_age_where_events_have_a_time():
    """A file without a clock counts events."""
    with pytest.raises(ValueError, match="learner quick: labels have an age where events have a time"):
        config(
            events={"file": "e.jsonl", "id": "id"}, labels={"field": "y", "delay": "2 events"}, kafka=None,
            learners={"quick": {"learn": LOGISTIC, "labels": {"within": "1h"}}},
        )  # fmt: skip


def test_parameters_that_do_not_fit_name_the_learner():
    """When it is built."""
    learners = {"logistic": LOGISTIC, "bayes": BAYES, "answer": blend("logistic", "bayes", share=2)}
    with pytest.raises(ConfigError, match="learner answer: blend: `share` is between 0 and 1, got 2"):
        Lab(config(learners=learners))


def test_an_anomaly_problem_has_no_blends():
    """Nothing is learned from labels there."""
    trees = {"river.anomaly.HalfSpaceTrees": {"seed": 1}}
    with pytest.raises(ValueError, match="an anomaly problem learns from events"):
        config(problem="anomaly", learners={"one": trees, "two": trees, "answer": blend("one", "two")})
