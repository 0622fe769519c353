"""Faults 18 and 19: a learner that raises, and one that answers no number."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.records import Entry
from tests.faults.scene import reject_of, stream_of, why, without_topic
from tests.integration.running import Pipeline, Run, feed, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
COUNT, ODD = 700, 350
TWINS = (340, 360, 690)
"""Events with the same features: before the odd one, and after it. Labels come after three hundred others."""
TOTAL = 2 * COUNT

MODULE = '''
"""Learners that do well but for one amount."""

from river import linear_model


class Raising(linear_model.LogisticRegression):
    def learn_one(self, x, y):
        if x["amount"] == 666:
            raise ArithmeticError("no such amount")
        super().learn_one(x, y)


class Blind(linear_model.LogisticRegression):
    def predict_proba_one(self, x):
        if x["amount"] == 666:
            return {False: float("nan"), True: float("nan")}
        return super().predict_proba_one(x)


def raising():
    return Raising()


def blind():
    return Blind()
'''


class Bench:
    """Pipelines whose only learner is one of the module's, and workers that find the module."""

    def __init__(self, kafka: str, redis: str, directory: Path) -> None:
        self._kafka, self._redis, self._directory = kafka, redis, directory
        (directory / "faulty.py").write_text(MODULE)

    def pipeline(self, factory: str, *, labelled: bool = True) -> Pipeline:
        """Over the feed, with one odd event; its label, where not ``labelled``, is another's whose event never comes."""
        told = list(feed(COUNT))
        for place in TWINS:
            told[place][0].update(amount=50.0, hour=1.0)
        told[ODD][0]["amount"] = 666.0
        events = [json.dumps(one).encode() for one, _ in told]
        told[ODD][1]["id"] = f"e{ODD}" if labelled else "nobody"
        labels = [json.dumps(truth).encode() for _, truth in told]
        return pipeline(
            stream_of(self._kafka, events, labels), self._directory, self._redis,
            learners={"own": {"factory": f"faulty:{factory}"}}, checkpoints={"store": self._redis, "every": "50 events"},
        )  # fmt: skip

    def run(self, made: Pipeline) -> Run:
        run = Run(made.path, environment={"PYTHONPATH": str(self._directory)})
        run.folded(TOTAL)
        return run


@pytest.fixture
def bench(kafka: str, redis_url: str, tmp_path: Path) -> Bench:
    return Bench(kafka, redis_url, tmp_path)


def predictions(made: Pipeline) -> list[Any]:
    return [without_topic(one.told) for one in made.outputs()["predictions"]]


def test_fault_18_a_learner_that_raises_costs_one_label(bench: Bench) -> None:
    """The state is recovered without the record, skipped in the journal, reject `learn_error`; and so it stays.

    Every answer is, to the bit, that of a stream in which the label never came.
    """
    made, without = bench.pipeline("raising"), bench.pipeline("raising", labelled=False)
    run, other = bench.run(made), bench.run(without)
    found = reject_of(made.outputs(), made.stream.labels, ODD)
    assert found.value is not None
    assert json.loads(found.value)["id"] == f"e{ODD}"
    reason, stage, error = why(found)
    assert (reason, stage) == ("learn_error", "learn")
    assert f"own at event e{ODD}" in error
    assert "ArithmeticError: no such amount" in error
    assert run.metric("rejects_total", reason="learn_error") == 1
    assert run.metric("recoveries_total") == 2
    assert f"learner own raised at event e{ODD}" in run.log
    assert "the state is recovered without it" in run.log
    (skip,) = [skip for entry in made.journal() if isinstance(entry, Entry) for skip in entry.skips]
    assert (skip.event, skip.learner, skip.offset) == (f"e{ODD}", "own", ODD)
    run.stop()
    other.stop()
    assert predictions(made) == predictions(without)
    assert len(predictions(made)) == COUNT
    made.forget_checkpoints()
    said = made.outputs()
    again = bench.run(made)
    again.wait_until(again.ready)
    assert again.metric("recovered_records_total") == TOTAL
    again.stop()
    assert "raised at event" not in again.log
    assert made.outputs() == said


def test_fault_19_a_prediction_that_is_no_number_is_a_reject_and_freezes_the_learner(bench: Bench) -> None:
    """Not emitted as a number: reject `predict_error`; the learner learns no more, which an alarm and a gauge tell."""
    made = bench.pipeline("blind")
    run = bench.run(made)
    run.wait_until(lambda: run.metric("learner_frozen", learner="own") == 1)
    said = made.outputs()
    found = reject_of(said, made.stream.events, ODD)
    assert found.value is not None
    assert json.loads(found.value)["id"] == f"e{ODD}"
    assert why(found) == ("predict_error", "predict", "the score of own is not a finite number")
    assert run.metric("rejects_total", reason="predict_error") == 1
    answered = [one.told for one in said["predictions"]]
    assert [one["id"] for one in answered] == [f"e{number}" for number in range(COUNT) if number != ODD]
    assert all(isinstance(one["score"], float) for one in answered)
    (alarm,) = [one.told for one in said["alarms"] if one.told["kind"] == "frozen"]
    assert (alarm["event"], alarm["response"], alarm["learners"]) == (f"e{ODD}", "freeze", ["own"])
    assert "nan" in alarm["detail"]
    scores = {one["id"]: one["score"] for one in answered}
    before, *after = (scores[f"e{place}"] for place in TWINS)
    assert before != after[0] == after[1], "a frozen learner's answers to the same question are the same"
    run.stop()
