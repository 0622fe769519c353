"""Learners that raise or answer no number: skipped, frozen, told, and never at the cost of another record or learner.

FAULTS.md, rows 18 and 19. A learner that raises loses the task's state, so these run the whole service.
"""

import functools

import orjson
import pytest

import tests.harness
from stream.checkpoints.checkpointer import Checkpointer
from stream.errors import ConfigError
from stream.records import Entry, decode_journal
from stream.transport.memory import MemoryBroker
from tests.harness import Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled
from tests.unit.stream.pipeline.estimators import Raises

N = 60
FACTORY = "tests.unit.stream.pipeline.estimators:raises"
LOGISTIC = "river.linear_model.LogisticRegression"


@pytest.fixture(autouse=True)
def _admit_tests(monkeypatch):
    """Checkpoints may hold the estimators of this module, as an operator admits those of his own modules."""
    monkeypatch.setattr(tests.harness, "Checkpointer", functools.partial(Checkpointer, admitted=["tests"]))


def misbehaving(**parameters):
    return {"factory": FACTORY, "parameters": parameters}


def run(learners, *, poison=(), faults=(), **more):
    """Events whose labels come three hours later; at ``poison`` their feature a is 1000 + number."""
    task = {name: more.pop(name) for name in ("batch_records", "checkpoint_records") if name in more}
    events = [
        {
            "id": f"e{i}",
            "card": "c",
            "time": i * HOUR,
            "a": 1000.0 + i if i in poison else i % 7 - 3.0,
            "b": i % 3 - 1.0,
        }
        for i in range(N)
    ]
    labels = [{"id": f"e{i}", "y": i % 4 < 2, "time": (i + 3) * HOUR} for i in range(N)]
    broker = MemoryBroker({"events": 1, "labels": 1})
    broker.append("events", dumps(events))
    broker.append("labels", dumps(labels))
    broker.faults = dict(faults)
    service = Service(
        config(learners=learners, **more), broker, **{"batch_records": 10, "checkpoint_records": 25, **task}
    )
    service.run()
    return service


def plain(poison=(), limit=100.0, frozen_after=10**9):
    """The loop that the service must equal: a label that cannot be learned is passed over."""
    model, scores, errors = Raises().model, [], 0
    xs = [{"a": 1000.0 + i if i in poison else i % 7 - 3.0, "b": i % 3 - 1.0} for i in range(N)]
    for i in range(N):
        if i >= 3 and errors < frozen_after:
            if xs[i - 3]["a"] > limit:
                errors += 1
            else:
                model.learn_one(xs[i - 3], (i - 3) % 4 < 2)
        scores.append(model.predict_proba_one(xs[i])[True])
    return scores


def skips(service):
    entries = [e for v in service.broker.task("test").journal if isinstance(e := decode_journal(v), Entry)]
    return [skip for entry in entries for skip in entry.skips]


@pytest.mark.parametrize("batch_records", [1, 7, 10, 500])
@pytest.mark.parametrize(
    "faults", [{}, {3: "crash_after", 5: "lost_entry_only", 8: "crash_before", 11: "lost_but_committed"}]
)
def test_a_label_that_cannot_be_learned_harms_no_other_record(batch_records, faults):
    """The half changed state is dropped; scores are those of a loop that passes those labels over."""
    service = run({"champion_": misbehaving()}, poison={5, 23, 24}, batch_records=batch_records, faults=faults)
    assert [p["score"] for p in service.output()] == plain({5, 23, 24})
    assert [(skip.event, skip.learner) for skip in skips(service)] == [(f"e{i}", "champion_") for i in (5, 23, 24)]
    assert all("cannot learn" in skip.error for skip in skips(service))


def test_a_label_that_cannot_be_learned_is_refused():
    """Reject learn_error with the label's own bytes, and the learner, the event and the error in its words."""
    service = run({"champion_": misbehaving()}, poison={5})
    (reject,) = service.raw("rejects")
    assert orjson.loads(reject.value)["id"] == "e5"
    assert reject.headers["reason"] == b"learn_error"
    assert reject.headers["stage"] == b"learn"
    assert reject.headers["topic"] == b"labels"
    assert reject.headers["error"] == b"champion_ at event e5: ArithmeticError: cannot learn 1005.0"


@pytest.mark.parametrize("batch_records", [1, 10, 500])
def test_a_champion_that_fails_too_often_is_frozen(batch_records):
    """After ``learn_errors_max`` it learns no more, answers on, and an alarm says so once."""
    service = run({"champion_": misbehaving()}, poison={5, 9, 12, 30}, learn_errors_max=2, batch_records=batch_records)
    assert [p["score"] for p in service.output()] == plain({5, 9, 12, 30}, frozen_after=2)
    assert len(service.raw("rejects")) == 2
    (alarm,) = service.output("alarms")
    assert (alarm["kind"], alarm["response"], alarm["learners"]) == ("frozen", "freeze", ["champion_"])
    assert alarm["event"] == "e9"
    assert "cannot learn 1009.0" in alarm["detail"]


@pytest.mark.parametrize("batch_records", [1, 7, 500])
def test_a_challenger_that_fails_is_frozen_at_once_and_costs_the_champion_nothing(batch_records):
    """The champion's answers are as if it were alone; the record is no reject; the alarm names the challenger."""
    pair = {"good": LOGISTIC, "bad": misbehaving()}
    service = run(pair, poison={5, 23}, batch_records=batch_records)
    alone = run({"good": LOGISTIC}, poison={5, 23}, batch_records=batch_records)
    assert [p["score"] for p in service.output()] == [p["score"] for p in alone.output()]
    assert service.raw("rejects") == []
    assert [(alarm["kind"], alarm["learners"], alarm["event"]) for alarm in service.output("alarms")] == [
        ("frozen", ["bad"], "e5")
    ]
    assert all(p["challengers"]["bad"] is not None for p in service.output())


@pytest.mark.parametrize("score", ["nan", "inf", "raise"])
@pytest.mark.parametrize("batch_records", [1, 7, 500])
def test_a_score_that_is_no_number_is_refused_and_freezes(score, batch_records):
    """Reject predict_error with the event's bytes; the learner learns no more; one alarm; the other answers stand."""
    learner = misbehaving(limit=1e9, score_limit=100.0, score=score)
    service = run({"champion_": learner}, poison={20, 40}, batch_records=batch_records)
    assert [p["id"] for p in service.output()] == [f"e{i}" for i in range(N) if i not in {20, 40}]
    assert [orjson.loads(reject.value)["id"] for reject in service.raw("rejects")] == ["e20", "e40"]
    assert {reject.headers["reason"] for reject in service.raw("rejects")} == {b"predict_error"}
    (alarm,) = service.output("alarms")
    assert (alarm["kind"], alarm["event"], alarm["learners"]) == ("frozen", "e20", ["champion_"])
    scores = plain({20, 40}, limit=1e9)
    assert [p["score"] for p in service.output()][:20] == scores[:20]
    assert recovered(service).state.learners["champion_"].model.learned == 18


def test_a_challenger_without_a_number_is_told_as_null():
    """The champion's prediction goes out; the challenger's score is null there, and it is frozen."""
    pair = {"good": LOGISTIC, "bad": misbehaving(limit=1e9, score_limit=100.0)}
    service = run(pair, poison={20})
    assert [p["challengers"]["bad"] is None for p in service.output()] == [i == 20 for i in range(N)]
    assert [alarm["learners"] for alarm in service.output("alarms")] == [["bad"]]
    assert service.raw("rejects") == []


@pytest.mark.parametrize("batch_records", [1, 7, 500])
def test_where_batches_are_cut_and_what_crashes_changes_nothing(batch_records):
    """Two learners that fail in every way, with resets that thaw them: the same outputs and state."""
    both = {
        "one": misbehaving(score_limit=1020.0),
        "two": misbehaving(limit=1010.0, score_limit=1030.0, score="raise"),
    }
    detector = {"page_hinkley": {"threshold": 1.0, "min_instances": 5, "rearm": 5}}
    more = {
        "detectors": [{"signal": "error", "detector": detector, "response": "reset", "learners": ["one", "two"]}],
        "poison": {4, 8, 9, 15, 22, 33, 35, 36, 41, 44, 50, 52},
        "learn_errors_max": 3,
    }
    calm = run(both, **more)
    storm = run(
        both, batch_records=batch_records, checkpoint_records=11,
        faults=dict(zip(range(2, 60, 3), ["crash_after", "lost_entry_only", "crash_before"] * 7, strict=False)),
        **more,
    )  # fmt: skip
    for name in ("predictions", "alarms", "rejects"):
        assert storm.raw(name) == calm.raw(name)
    assert {alarm["kind"] for alarm in calm.output("alarms")} == {"change", "frozen"}
    assert settled(recovered(storm)) == settled(recovered(calm)) == settled(recovered(calm, without_store=True))


@pytest.mark.parametrize("batch_records", [1, 7, 500])
def test_an_anomaly_detector_that_raises_is_skipped_at_its_event(batch_records):
    """It learns at the event: the event is scored, the record is a reject learn_error, and the rest is unharmed."""
    spec = {"factory": "tests.unit.stream.pipeline.estimators:gauss"}
    service = run({"gauss": spec}, poison={30}, problem="anomaly", batch_records=batch_records)
    assert len(service.output()) == N
    (reject,) = service.raw("rejects")
    assert (orjson.loads(reject.value)["id"], reject.headers["reason"]) == ("e30", b"learn_error")
    assert recovered(service).state.learners["gauss"].model.learned == N - 1


def test_a_factory_that_does_not_fit_is_the_operators_mistake():
    """Said when the fold is built, naming the learner."""
    with pytest.raises(ConfigError, match="learner champion_"):
        run({"champion_": misbehaving(limits=3)})
