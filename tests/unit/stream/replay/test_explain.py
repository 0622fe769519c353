"""A decision is shown as it was made, whatever was folded to get there, and nothing is changed by asking."""

import msgspec
import pytest

from stream.checkpoints.memory import MemoryStore
from stream.errors import ConfigError
from stream.replay.explain import Explain, Explained, answer_of, changes_of
from stream.replay.search import events_of
from tests.harness import MemoryBroker, Service, config, dumps
from tests.unit.stream.replay.past import HOUR, MemoryOutput, readers, service, travel, write

LEARNERS = {
    "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
    "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
}
COUNT = 120


@pytest.fixture(scope="module")
def done() -> Service:
    return service(COUNT, learners=LEARNERS)


def explained(of: Service, offset: int, *, seen=None, store: bool = True) -> Explained:
    outputs = seen or readers(of)
    return Explain(0, travel(of, store=store), outputs.__getitem__, lambda records, share: None).at(offset)


def offsets(of: Service) -> list[int]:
    """Of the events that were answered."""
    return [one["event"]["offset"] for one in of.output()]


def test_every_decision_comes_back(done: Service) -> None:
    """Wherever in an entry an event stands, before and after checkpoints: the prediction is the emitted one, byte by byte."""
    assert len(offsets(done)) == COUNT
    begun = set()
    for seq, offset in enumerate(offsets(done)):
        told = explained(done, offset)
        assert (told.outcome, told.seq, told.differs) == ("scored", seq, False)
        assert told.prediction == told.emitted.value == done.raw()[seq].value
        said = done.output()[seq]
        score, answer = answer_of(told.moment, told.moment.scores()["logistic"], told.thresholds["logistic"])
        assert (score, answer) == (said["score"], said["prediction"])
        assert float(told.moment.scores()["tree"][0]) == said["challengers"]["tree"]
        assert said["model"] == f"logistic@{told.records}"
        begun.add(told.begun)
    assert len(begun) > 2


def test_the_way_there_does_not_matter(done: Service) -> None:
    """From a checkpoint and from the journal's start the same is told."""
    offset = offsets(done)[-3]
    near, far = explained(done, offset), explained(done, offset, store=False)
    assert (near.begun, near.folded) != (far.begun, far.folded)
    for one in (near, far):
        one.begun, one.folded, one.age = "", 0, None
        one.moment = None
        one.explanations = {
            "logistic": one.explanations["logistic"]
        }  # the tree's are compared with rows that were folded
    assert near == far


def test_reasons_add_up(done: Service) -> None:
    """Each learner's contributions and base are its value; methods are named."""
    told = explained(done, offsets(done)[90])
    assert {name: one.method for name, one in told.explanations.items()}["logistic"] == "linear"
    for why in told.explanations.values():
        assert why.base + sum(why.contributions.values()) == pytest.approx(why.value)


def test_an_emitted_prediction_that_is_another_is_told(done: Service) -> None:
    """One changed byte is a difference."""
    records = list(done.raw())
    records[50] = records[50]._replace(value=records[50].value.replace(b"logistic", b"logistik"))
    outputs = readers(done) | {"predictions": MemoryOutput(records)}
    assert explained(done, offsets(done)[50], seen=outputs).differs
    assert not explained(done, offsets(done)[51], seen=outputs).differs


def test_an_emitted_prediction_may_be_gone(done: Service) -> None:
    """Retention deleted it: then there is nothing to compare with."""
    told = explained(done, offsets(done)[5], seen=readers(done, predictions=40))
    assert (told.outcome, told.emitted, told.differs) == ("scored", None, False)


def test_a_duplicate_says_so(done: Service) -> None:
    """The second record of an id was dropped."""
    told = explained(done, 6)  # e5 stands at 5 and at 6
    assert (told.outcome, told.id) == ("duplicate", "e5")
    assert told.moment is None


def test_a_refused_record_says_why(done: Service) -> None:
    """With the reason that stands in the rejects."""
    told = explained(done, 9)
    assert b"bad7" in told.raw
    assert (told.outcome, told.refused.reason) == ("refused", "schema")


def test_what_is_not_there_is_told(done: Service) -> None:
    """Beyond the journal's end, and where no record stands."""
    end = travel(done).end().positions[0]
    assert explained(done, end).outcome == "waiting"
    made = service(20)
    made.broker.skip("events")
    write(made.broker, 20, 30)
    made.run()
    hole = next(o for o in range(100) if o not in made.broker.topics["events"][0].records.offsets)
    assert explained(made, hole).outcome == "absent"


def test_the_label_that_came_since(done: Service) -> None:
    """Of a record of its own: its value, its time and its place; the newest events have none yet."""
    for number in (0, 30, COUNT - 11):
        label = explained(done, offsets(done)[number]).label
        assert (label.value, label.how, label.time_ms) == (number % 4 < 2, "a record", (number + 10) * HOUR)
        assert (label.where, label.offset) == ("labels/0", number)
    assert explained(done, offsets(done)[COUNT - 5]).label is None


def test_a_label_that_was_there_before() -> None:
    """It waited for its event, and met it at once."""
    made = service(10)
    made.broker.append("labels", dumps([{"id": "e20", "y": True, "time": 12 * HOUR}]))
    write(made.broker, 10, 30)
    made.run()
    label = explained(made, offsets(made)[20]).label
    assert (label.value, label.how, label.time_ms) == (True, "met at once", 20 * HOUR)


def test_a_label_in_the_event() -> None:
    """It is told, due or not."""
    made = service(0, labels={"field": "y", "delay": "3h"})
    rows = [{"id": f"e{i}", "card": "c", "time": i * HOUR, "a": 1.0, "b": 2.0, "y": i % 2 == 0} for i in range(10)]
    made.broker.append("events", dumps(rows))
    made.run()
    assert [explained(made, offset).label.value for offset in (4, 9)] == [True, False]


@pytest.mark.parametrize("batch", [7, 200])
def test_a_label_of_the_same_step_is_one_that_came_later(batch: int) -> None:
    """Only a label that the event's own record brings met it at once; where batches are cut does not show."""
    broker = MemoryBroker({"events": 1, "labels": 1})
    write(broker, 0, 100)
    one = Service(config(), broker, MemoryStore(), batch_records=batch, checkpoint_records=40)
    one.run()
    found = explained(one, 20, store=False)
    assert found.label is not None
    assert found.label == explained(service(100), 20).label


def test_the_age_of_a_model(done: Service) -> None:
    """Records applied and stream time since it began; when it last learned."""
    told = explained(done, offsets(done)[60])
    assert told.age.records == told.records
    assert told.age.stream_ms == 60 * HOUR
    assert told.age.learned_ms == 59 * HOUR  # the label of event 50 goes before this event, which moves the clock
    assert told.age.learned_records == 0


def test_a_reset_makes_a_model_young() -> None:
    """A response let it begin anew: its age counts from there."""
    detector = {
        "signal": {"feature": "a"}, "detector": {"page_hinkley": {"threshold": 5, "min_instances": 10}}, "response": "reset"
    }  # fmt: skip
    made = service(COUNT, detectors=[detector])
    told = explained(made, offsets(made)[-1])
    alarm = [one for one in made.output("alarms") if one["records"] <= told.records][-1]
    assert alarm["response"] == "reset"
    assert told.age.records == told.records - alarm["records"]
    assert told.age.stream_ms == told.moment.time_ms - alarm["time"]
    assert alarm["event"] in told.age.since


def test_what_if_changes_nothing(done: Service) -> None:
    """Another score on the same model; the journal, the store and what is emitted stay."""
    before = (list(done.broker.task("test").journal), list(done.raw()), list(done.store.heads("test/0")))
    told = explained(done, offsets(done)[100])
    first = told.moment.scores()
    other = told.moment.what_if(changes_of(told.moment, ["a=9", "b=0"]))
    assert other["logistic"][0] != first["logistic"][0]
    assert told.moment.what_if(changes_of(told.moment, [f"a={told.moment.features['a']}"])) == first
    assert told.moment.scores() == first
    assert before == (done.broker.task("test").journal, done.raw(), list(done.store.heads("test/0")))


@pytest.mark.parametrize(
    ("word", "says"),
    [("c=1", "no feature 'c'"), ("a", "NAME=VALUE"), ("a=much", "finite number"), ("a=nan", "finite number")],
)
def test_a_wrong_what_if_is_refused(done: Service, word: str, says: str) -> None:
    """Another feature, another kind, or no value."""
    with pytest.raises(ConfigError, match=says):
        changes_of(explained(done, offsets(done)[3]).moment, [word])


def found(of: Service, event: str) -> list[tuple[int, bool]]:
    journey = travel(of)
    return [
        (one.offset, one.refused is not None)
        for one in events_of(journey.log, journey.fresh(), event, lambda n, s: None)
    ]


def test_an_event_is_found_by_its_id(done: Service) -> None:
    """Its first record and its duplicates; those that were refused; others whose ids contain it are not it."""
    assert found(done, "e5") == [(5, False), (6, False)]
    assert found(done, "bad7") == [(9, True)]
    assert found(done, "e") == []
    for seq in range(0, COUNT, 7):
        assert found(done, f"e{seq}")[0][0] == offsets(done)[seq]


def test_an_id_may_be_written_in_many_ways() -> None:
    """Numbers are ids, and what JSON may escape is found all the same."""
    made = service(0)
    rows = [
        b'{"id": 17, "card": "c", "time": 0, "a": 1, "b": 2}', b'{"id": "caf\\u00e9/1", "card": "c", "time": 1, "a": 1, "b": 2}',
        '{"id": "café/2", "card": "c", "time": 1, "a": 1, "b": 2}'.encode(),
    ]  # fmt: skip
    made.broker.append("events", rows)
    made.run()
    assert [found(made, one) for one in ("17", "café/1", "café/2")] == [[(0, False)], [(1, False)], [(2, False)]]


def test_anomalies_and_classes_and_numbers_are_answered() -> None:
    """The answer of every kind of problem is what was emitted."""
    regression = service(60, problem="regression", learners={"one": "river.linear_model.LinearRegression"}, labels=None)
    told = explained(regression, offsets(regression)[40])
    said = msgspec.json.decode(told.prediction)
    assert answer_of(told.moment, told.moment.scores()["one"], told.thresholds["one"]) == (
        said["score"],
        said["prediction"],
    )
    classes = service(
        60, problem="multiclass", learners={"one": "river.naive_bayes.GaussianNB"},
        labels={"topic": "labels", "id": "id", "value": "y", "time": "time", "classes": ["false", "true"]},
    )  # fmt: skip
    told = explained(classes, offsets(classes)[40])
    said = msgspec.json.decode(told.prediction)
    assert answer_of(told.moment, told.moment.scores()["one"], told.thresholds["one"]) == (
        said["score"],
        said["prediction"],
    )
    assert told.label.value == "true"


def test_a_threshold_that_follows_the_stream_is_that_of_the_moment() -> None:
    """It decides the answer again, and a challenger's by its own."""
    threshold = {"alerts": "3 per 10h", "at_first": 0.6, "median_of": 1}
    made = service(COUNT, learners=LEARNERS, predictions={"threshold": threshold})
    held = set()
    for offset in offsets(made)[5::9]:
        told = explained(made, offset)
        assert (told.outcome, told.differs) == ("scored", False)
        said = msgspec.json.decode(told.prediction)
        assert told.thresholds["logistic"] == said["threshold"]
        score, answer = answer_of(told.moment, told.moment.scores()["logistic"], said["threshold"])
        assert (score, answer) == (said["score"], said["prediction"])
        held.add((said["threshold"], told.thresholds["tree"]))
    assert len(held) > 5
