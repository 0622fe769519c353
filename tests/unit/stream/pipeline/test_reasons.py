"""Reasons in predictions: a function of the log alone, of the model that scored, and nothing at all where none are asked for."""

import functools
import math

import numpy as np
import orjson
import pytest

import tests.harness
from learners.river import RiverLearner
from stream.build_fold import build_fold
from stream.checkpoints.checkpointer import Checkpointer
from stream.config import fold_config
from stream.transport.memory import MemoryBroker
from tests.harness import Service, config, dumps
from tests.simulation.lab import HOUR, Lab, canonical, dumped, event, label, load, settled
from tests.unit.stream.pipeline.test_state import DETECTORS, arrivals

LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
FOREST = {"river.forest.ARFClassifier": {"n_models": 2, "grace_period": 10, "seed": 1}}
ANOMALY = [
    "river.preprocessing.MinMaxScaler",
    {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 20, "n_trees": 3}},
]
CASES = {
    "linear": {"learners": {"logistic": LOGISTIC, "bayes": "river.naive_bayes.GaussianNB"}, "detectors": DETECTORS},
    "compiled": {"learners": {"logistic": "learners.compiled.ScaledLogisticRegression"}, "detectors": DETECTORS},
    "forest": {"learners": {"forest": FOREST}},
    "anomaly": {"problem": "anomaly", "learners": {"trees": ANOMALY}},
}  # fmt: skip
CLASSES = {
    "problem": "multiclass",
    "learners": {"bayes": "river.naive_bayes.GaussianNB"},
    "labels": {"topic": "labels", "id": "id", "value": "y", "time": "time", "new_classes": True},
}


def lab(name, reasons=2, **more):
    return Lab(config(**{**CASES[name], "predictions": {"reasons": reasons}, **more}))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_where_a_batch_is_cut_changes_no_byte(name, seed):
    """Labels that come late, twice, in conflict; poison; resets in the middle: predictions and state are the same."""
    steps = arrivals(seed, 60 if name == "forest" else 120)
    whole = lab(name).feed(steps)
    for cut in (1, 7, 40):
        one = lab(name).feed(steps, cut)
        assert one.said == whole.said
        assert settled(one.fold) == settled(whole.fold)


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_state_goes_on_to_the_same_bytes(name):
    """The background is a part of it."""
    steps = arrivals(3, 90)
    whole = lab(name).feed(steps, 10)
    first, second = lab(name).feed(steps[:70], 10), lab(name)
    second.fold = load(build_fold(first.lineage, first.inputs), dumped(first.fold))
    second._offsets = first._offsets
    second.feed(steps[70:], 10)
    assert first.said["predictions"] + second.said["predictions"] == whole.said["predictions"]
    assert canonical(dumped(second.fold)) == canonical(dumped(whole.fold))


@pytest.mark.parametrize("name", CASES)
def test_beside_their_reasons_predictions_are_what_they_were(name):
    """Asking why changes no score, no alarm and no learner."""
    steps = arrivals(4, 90)
    asked, silent = lab(name).feed(steps, 20), lab(name, reasons=0).feed(steps, 20)
    bare = [{k: v for k, v in one.items() if not k.startswith("reasons")} for one in asked.output()]
    assert bare == silent.output()
    assert asked.said["alarms"] == silent.said["alarms"]
    assert [(seq, value) for seq, _, value, _ in asked.said["rejects"]] == [
        (seq, value) for seq, _, value, _ in silent.said["rejects"]
    ]  # their headers name the lineage
    state = canonical(dumped(asked.fold))
    without = {key: value for key, value in dumped(asked.fold).items() if key[0] != "background"}
    assert canonical(without) == canonical(dumped(silent.fold))
    assert state != canonical(without)


def steps_of(n):
    told = []
    for i in range(n):
        told.append(event(i, i * 1000, (i * 7 % 11) - 5.0, (i * 5 % 7) - 3.0))
        if i >= 3:
            told.append(label(i - 3, i * 1000, (i * 7 % 11) > 4))
    return told


def test_all_reasons_and_the_base_add_up_to_the_score():
    """As many as there are features; on the scale that the prediction names."""
    for one in lab("linear", reasons=9).feed(steps_of(60)).output():
        total = one["reasons_base"] + sum(reason["contribution"] for reason in one["reasons"])
        assert (one["reasons_method"], one["reasons_of"]) == ("linear", "log_odds")
        assert 1 / (1 + math.exp(-total)) == pytest.approx(one["score"])
    for one in lab("forest", reasons=9).feed(steps_of(60)).output():
        total = one["reasons_base"] + sum(reason["contribution"] for reason in one["reasons"])
        assert (one["reasons_method"], one["reasons_of"]) == ("shapley_sampling", "probability")
        assert total == pytest.approx(one["score"])


def test_the_largest_come_first_and_no_more_than_asked_for():
    """By absolute value."""
    for one in lab("linear", reasons=1).feed(steps_of(60)).output()[10:]:
        (reason,) = one["reasons"]
        assert list(reason) == ["feature", "contribution"]
    for one in lab("linear", reasons=2).feed(steps_of(60)).output():
        sizes = [abs(reason["contribution"]) for reason in one["reasons"]]
        assert sizes == sorted(sizes, reverse=True)


def test_a_label_right_before_an_event_is_in_its_reasons_and_one_right_after_is_not():
    """The model explained is the one that scored, though both labels are of the same batch."""
    one = lab("linear", reasons=2)
    history = steps_of(40)
    steps = [*history, label(38, 40_000, True), event("x", 40_000, 3.0, 2.0), label(39, 40_000, True)]
    told = one.feed(steps).output()[-1]
    by_hand = lab("linear", reasons=0).feed([*history, label(38, 40_000, True)])
    model = by_hand.fold.state.learners["logistic"].model
    z = model["StandardScaler"].transform_one({"a": 3.0, "b": 2.0})
    weights = model["LogisticRegression"].weights
    assert {r["feature"]: r["contribution"] for r in told["reasons"]} == {f: weights[f] * z[f] for f in z}
    assert told["reasons_base"] == model["LogisticRegression"].intercept


def test_of_several_classes_the_predicted_one_is_explained():
    """Also while classes are still coming."""
    steps = []
    for i in range(60):
        steps.append(event(i, i * 1000, float(i % 3), (i * 5 % 7) / 7))
        if i >= 2:
            steps.append(label(i - 2, i * 1000, ["x", "y", "z"][(i - 2) % 3] if i > 20 else "x"))
    said = Lab(config(**CLASSES, predictions={"reasons": 9})).feed(steps, 7).output()
    assert [list(one["scores"]) for one in (said[5], said[-1])] == [["x"], ["x", "y", "z"]]
    for one in said:
        total = one["reasons_base"] + sum(reason["contribution"] for reason in one["reasons"])
        assert total == pytest.approx(one["score"])


class Unsure(RiverLearner):
    """Has no finite score for a negative a."""

    def run(self, rows, program, start, stop, scores, *, learn=True):
        done = super().run(rows, program, start, stop, scores, learn=learn)
        for op in range(start, start + done):
            if program.op[op] == 0 and rows.dicts()[program.row[op]]["a"] < 0:
                scores[program.row[op]] = np.nan
                return op - start + 1
        return done


def test_a_score_that_is_not_finite_has_no_reasons_and_harms_no_other():
    """It is refused as ever; others, before and after it, have theirs."""
    one = lab("linear", reasons=2, learners={"unsure": "river.naive_bayes.GaussianNB"}, detectors=[])
    learner = one.fold.state.learners["unsure"]
    one.fold.state.learners["unsure"] = Unsure(learner.model, "binary")
    steps = [event(i, i * 1000, -1.0 if i in (5, 6, 19) else float(i)) for i in range(20)]
    said = one.feed(steps, 9).output()
    assert one.reasons == ["predict_error"] * 3
    assert [told["id"] for told in said] == [f"e{i}" for i in range(20) if i not in (5, 6, 19)]
    assert all(told["reasons_method"] == "shapley_sampling" for told in said[:5])


def test_crashes_and_failing_labels_change_no_byte(monkeypatch):
    """The whole service: recovered from checkpoints and journal, with labels that cannot be learned, predictions are equal."""
    monkeypatch.setattr(tests.harness, "Checkpointer", functools.partial(Checkpointer, admitted=["tests"]))
    events = [
        {
            "id": f"e{i}",
            "card": "c",
            "time": i * HOUR,
            "a": 1000.0 + i if i in {5, 23} else i % 7 - 3.0,
            "b": i % 3 - 1.0,
        }
        for i in range(60)
    ]
    labels = [{"id": f"e{i}", "y": i % 4 < 2, "time": (i + 3) * HOUR} for i in range(60)]
    raises = {"raises": {"factory": "tests.unit.stream.pipeline.estimators:raises", "parameters": {}}}

    def run(faults, batch):
        broker = MemoryBroker({"events": 1, "labels": 1})
        broker.append("events", dumps(events))
        broker.append("labels", dumps(labels))
        broker.faults = dict(faults)
        settings = config(learners=raises, predictions={"reasons": 2})
        service = Service(settings, broker, batch_records=batch, checkpoint_records=25)
        service.run()
        return [record.value for record in service.raw()]

    calm = run({}, 500)
    assert all(orjson.loads(value)["reasons"] for value in calm)
    assert run({3: "crash_after", 5: "lost_entry_only", 8: "crash_before", 11: "lost_but_committed"}, 7) == calm


def test_the_setting_is_in_the_answers_only_when_it_is_used():
    """Journals that were written before hold none, and are this configuration's still."""
    assert config().answers()["predictions"] == {"threshold": 0.5}
    assert config(predictions={"reasons": 0}).answers() == config().answers()
    asked = config(predictions={"reasons": 3}).answers()
    assert asked["predictions"] == {"threshold": 0.5, "reasons": 3}
    assert fold_config(asked).predictions.reasons == 3
    assert fold_config(config().answers()).predictions.reasons == 0


def test_asking_for_reasons_later_keeps_everything_else():
    """`--accept-lineage`: learners, metrics and what waits go on; only the background begins."""
    before = lab("linear", reasons=0).feed(steps_of(40))
    after = lab("linear", reasons=3)
    assert after.fold.take_over(before.fold) == ["background"]
