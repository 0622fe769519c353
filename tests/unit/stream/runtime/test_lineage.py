"""A changed configuration on old state: stopped with the difference, or accepted, journaled and folded like a record."""

import pytest

from stream.checkpoints.memory import MemoryStore
from stream.errors import LineageChanged, RecordsGone, StoreUnavailable
from stream.transport.base import JournalItem
from stream.transport.memory import MemoryBroker, MemoryTaskLog
from tests.harness import Service, config, dumps
from tests.simulation.lab import HOUR, canonical, dumped, recovered, settled

N = 40
LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
BAYES = "river.naive_bayes.GaussianNB"
TREE = {"river.tree.HoeffdingTreeClassifier": {"grace_period": 5}}
LABELS = {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "last"}


def write(broker, first, last):
    """Events, and their labels ten events later."""
    events = [
        {"id": f"e{i}", "card": "c", "time": i * HOUR, "a": (i * 37 % 11) - 5.0, "b": float(i % 3)}
        for i in range(first, last)
    ]
    labels = [
        {"id": f"e{i}", "y": i % 4 < 2, "time": i * HOUR + 10 * HOUR} for i in range(max(first - 10, 0), last - 10)
    ]
    broker.append("events", dumps(events))
    broker.append("labels", dumps(labels))


class Story:
    """One broker and store, and configurations one after the other."""

    def __init__(self, **task):
        self.broker, self.store, self.task = MemoryBroker({"events": 1, "labels": 1}), MemoryStore(), task
        self.written = 0

    def run(self, *, accept=False, more=N, **changes):
        if more:
            write(self.broker, self.written, self.written + more)
            self.written += more
        task = {"batch_records": 7, "checkpoint_records": 30, "accept_lineage": accept, **self.task}
        self.service = Service(config(**changes), self.broker, self.store, **task)
        self.service.run()
        return self.service

    @property
    def messages(self):
        return [message for readings in self.service.readings for message in readings.messages]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"learners": {"logistic": [*LOGISTIC[:1], {LOGISTIC[1]: {"l2": 0.1}}]}}, "    learners.logistic"),
        ({"labels": {**LABELS, "conflict": "first", "wait": "3d"}}, "    labels.wait"),
        ({"predictions": {"threshold": 0.7}}, "    predictions.threshold: 0.5 -> 0.7"),
        ({"events": {"topic": "events", "id": "id", "key": "card", "time": "time", "features": ["a"]}}, "features"),
    ],
)
def test_a_changed_setting_stops_and_is_named(changes, names):
    """With its old and new value, and what to do."""
    story = Story()
    story.run()
    journal = len(story.broker.task("test").journal)
    with pytest.raises(LineageChanged, match=names) as stopped:
        story.run(**changes)
    assert "--accept-lineage" in stopped.value.hint
    assert len(story.broker.task("test").journal) == journal


def test_a_recreated_topic_stops_even_where_changes_are_accepted():
    """Its offsets mean other records: only starting over helps."""
    story = Story()
    story.run()
    story.broker.create("events")
    with pytest.raises(LineageChanged, match=r"log\.topics\.events: 'memory-0' -> 'memory-2'") as stopped:
        story.run(more=0, accept=True)
    assert "restart" in stopped.value.hint


def test_a_setting_that_changes_no_answer_needs_no_consent():
    """How much is folded between two commits, for instance."""
    story = Story()
    story.run()
    story.run(batch={"records": 3})
    assert len(story.service.output()) == 2 * N


def trim(monkeypatch, begin):
    """Retention: journal records before offset ``begin`` are gone."""

    def entries(self, start):
        if 0 <= start < begin:
            raise RecordsGone(f"needs {start}, holds from {begin}", "")
        first = max(start, begin)
        return iter([JournalItem(first + place, value) for place, value in enumerate(self._store.journal[first:])])

    monkeypatch.setattr(MemoryTaskLog, "entries", entries)


@pytest.fixture
def trimmed(monkeypatch):
    """A story whose journal has lost the claim of its last entry, and has a checkpoint after it."""
    story = Story(checkpoint_records=1)
    story.run()
    trim(monkeypatch, 3)
    return story


def test_without_the_claim_the_checkpoint_tells_what_changed(trimmed):
    """The start stops before it claims; the old settings still go on, and so does the change once it is accepted."""
    changed = {"learners": {"logistic": LOGISTIC, "bayes": BAYES}}
    journal = trimmed.broker.task("test").journal
    before = len(journal)
    with pytest.raises(LineageChanged, match=r"learners: with|learners\.bayes"):
        trimmed.run(more=0, **changed)
    with pytest.raises(LineageChanged, match=r"learners: with|learners\.bayes"):
        trimmed.run(more=0, **changed)
    assert len(journal) == before
    trimmed.run()
    alone = Story(checkpoint_records=1)
    alone.run()
    alone.run()
    assert trimmed.service.raw() == alone.service.raw()
    alone.run()
    trimmed.run(accept=True, **changed)
    assert [p["score"] for p in trimmed.service.output()] == [p["score"] for p in alone.service.output()]
    assert any("begun anew: " in message and "learner/bayes" in message for message in trimmed.messages)


def test_without_the_claim_a_change_may_be_accepted_at_once(trimmed):
    """What is unchanged keeps its state."""
    alone = Story(checkpoint_records=1)
    alone.run()
    alone.run()
    trimmed.run(accept=True, learners={"logistic": LOGISTIC, "bayes": BAYES})
    assert [p["score"] for p in trimmed.service.output()] == [p["score"] for p in alone.service.output()]


def test_without_the_claim_other_inputs_are_refused_and_no_checkpoint_is_removed(trimmed):
    """A topic that was made again is no journal that is gone."""
    trimmed.broker.create("events")
    with pytest.raises(LineageChanged, match=r"log\.topics\.events: 'memory-0' -> 'memory-2'"):
        trimmed.run(more=0, accept=True)
    assert len(list(trimmed.store.heads("test/0"))) == 3


def test_without_claim_and_checkpoint_nothing_is_claimed(trimmed):
    """Both ways back are gone."""
    before = len(trimmed.broker.task("test").journal)
    trimmed.store.clear("test/0")
    with pytest.raises(RecordsGone, match="no usable checkpoint, and the journal starts at entry 2"):
        trimmed.run(more=0)
    assert len(trimmed.broker.task("test").journal) == before


def test_a_checkpoint_of_an_earlier_claim_does_not_tell_what_stands(monkeypatch):
    """What followed it is deleted, so no recovery can begin with it either."""
    story = Story(checkpoint_records=1)
    story.run()
    earlier, story.store = story.store, MemoryStore()
    story.run(accept=True, learners={"logistic": LOGISTIC, "bayes": BAYES})
    story.store, journal = earlier, story.broker.task("test").journal
    before = len(journal)
    trim(monkeypatch, before - 1)
    with pytest.raises(RecordsGone, match="no usable checkpoint"):
        story.run(more=0)
    assert len(journal) == before


def test_without_the_claim_a_store_that_is_away_is_waited_for(trimmed, monkeypatch):
    """Nothing is claimed meanwhile, however long it takes."""
    answers, claims = trimmed.store.heads, len(trimmed.broker.task("test").journal)
    asked = []

    def heads(task):
        asked.append(len(trimmed.broker.task("test").journal))
        if len(asked) < 40:
            raise StoreUnavailable("no answer")
        return answers(task)

    monkeypatch.setattr(trimmed.store, "heads", heads)
    trimmed.run()
    assert asked[:40] == [claims] * 40
    assert len(trimmed.service.output()) == 2 * N


def model_of(service, name="logistic"):
    return canonical(dict(recovered(service).state.learners[name].dump(-1)))


def test_an_unchanged_learner_keeps_its_state():
    """With a challenger beside it from the middle on it scores as if it had always been alone."""
    alone, changed = Story(), Story()
    alone.run()
    changed.run()
    alone.run()
    changed.run(accept=True, learners={"logistic": LOGISTIC, "bayes": BAYES})
    assert [p["score"] for p in changed.service.output()] == [p["score"] for p in alone.service.output()]
    assert model_of(changed.service) == model_of(alone.service)
    assert any("begun anew: " in message and "learner/bayes" in message for message in changed.messages)


def test_a_changed_learner_begins_anew():
    """It knows nothing of before, and learns the labels of events that wait."""
    story = Story()
    story.run()
    service = story.run(accept=True, learners={"logistic": BAYES})
    first = service.output()[N]
    assert first["score"] == 0.0
    assert "learner/logistic" in story.messages[-1]
    assert service.output()[-1]["score"] > 0.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"logistic": LOGISTIC}, {"bayes": BAYES, "logistic": LOGISTIC}),
        ({"logistic": LOGISTIC, "bayes": BAYES}, {"bayes": BAYES, "logistic": LOGISTIC}),
        ({"bayes": BAYES, "tree": TREE, "logistic": LOGISTIC}, {"logistic": LOGISTIC}),
        ({"bayes": BAYES, "logistic": LOGISTIC}, {"tree": TREE, "logistic": LOGISTIC}),
    ],
    ids=["one more before it", "another order", "two fewer", "another beside it"],
)
def test_waiting_events_keep_the_scores_of_learners_that_stay(before, after):
    """Their labels are measured against what that learner said of them, in whichever column it stood and stands."""
    story, alone = Story(), Story()
    story.run(learners=before, champion="logistic")
    service = story.run(accept=True, learners=after, champion="logistic")
    alone.run()
    alone.run()
    metrics = recovered(service).state.metrics["logistic"], recovered(alone.service).state.metrics["logistic"]
    assert metrics[0].count == metrics[1].count == 2 * N - 10
    assert metrics[0].all() == metrics[1].all()
    new = next((name for name in after if name not in before), None)
    if new is not None:
        assert recovered(service).state.metrics[new].unscored == 10


def test_an_accepted_change_is_folded_again_by_every_recovery():
    """From the journal alone, over both configurations, the same state as from the checkpoints."""
    story = Story()
    story.run()
    story.run(accept=True, learners={"bayes": BAYES, "logistic": LOGISTIC}, champion="bayes")
    service = story.run(accept=True, learners={"logistic": LOGISTIC, "tree": TREE})
    assert settled(recovered(service)) == settled(recovered(service, without_store=True))
    assert {p["model"].partition("@")[0] for p in service.output()[N : 2 * N]} == {"bayes"}


def test_crashes_around_an_accepted_change_change_nothing():
    """The claim that accepts it is committed once or twice; the state is the same."""
    calm, storm = Story(), Story()
    for story in (calm, storm):
        story.run()
        if story is storm:
            story.broker.faults = {
                story.broker.commits + at: fault
                for at, fault in enumerate(["crash_before", "crash_after", "lost_but_committed", "crash_after"])
            }
        story.run(accept=True, learners={"bayes": BAYES, "logistic": LOGISTIC})
    assert storm.service.raw() == calm.service.raw()
    assert settled(recovered(storm.service)) == settled(recovered(calm.service))


def test_an_assumption_may_be_added_to_a_stream_that_had_none(monkeypatch):
    """Rows that still wait fall due under the new rule; those that are long gone do not."""
    monkeypatch.setattr("stream.pipeline.waiting.BLOCK", 4)
    story = Story()
    short = {**LABELS, "wait": "5h", "park": "1h"}
    story.run(labels=short)
    service = story.run(accept=True, labels={**short, "assume": {"value": False, "after": "4h"}})
    fold = recovered(service, without_store=True)
    assert (
        fold.state.clock.counts["labels_assumed"] == N + 1
    )  # those of the last five hours, and of all but the last four after
    assert settled(fold) == settled(recovered(service))


def test_a_shorter_wait_holds_for_those_that_wait_already():
    """It does not begin with the next event only."""
    story = Story()
    story.run(labels={**LABELS, "wait": "30d"})
    assert recovered(story.service).state.join.waiting == N
    service = story.run(more=1, accept=True, labels={**LABELS, "wait": "5h"})
    assert recovered(service).state.join.waiting == 5


def test_a_frozen_learner_that_stays_remains_frozen_and_one_that_begins_anew_learns():
    """The operator mended it: that is why it was changed."""
    one, other = (recovered(Story().run(learners={"logistic": LOGISTIC, "bayes": BAYES})) for _ in "ab")
    one.state.roles.frozen = {"logistic": "broken", "bayes": "broken"}
    one.state.roles.learn_errors = {"logistic": 3, "bayes": 1}
    other.specifications["learner/bayes"] = "another"
    assert "learner/bayes" in other.take_over(one)
    assert other.state.roles.frozen == {"logistic": "broken"}
    assert other.state.roles.learn_errors == {"logistic": 3}


CLASSES = {"topic": "labels", "id": "id", "value": "y", "time": "time", "new_classes": True}


@pytest.mark.parametrize(("most", "begins_anew"), [(2, False), (40, False), (1, True)])
def test_another_number_of_classes(most, begins_anew):
    """More room: everything goes on, in wider rows. Less than there are already: everything begins anew."""
    story = Story()
    learners = {"bayes": BAYES}
    story.run(problem="multiclass", labels={**CLASSES, "classes_max": 3}, learners=learners)
    service = story.run(accept=True, problem="multiclass", labels={**CLASSES, "classes_max": most}, learners=learners)
    assert ("learner/bayes" in story.messages[-1]) is begins_anew
    assert len(service.output()) == 2 * N
    fold = recovered(service)
    assert fold.state.roles.frozen == {}
    assert fold.state.metrics["bayes"].count == (2 * N - 10 if not begins_anew else pytest.approx(20, abs=10))


def test_classes_stay_known_where_only_the_waiting_begins_anew():
    """Learners that are kept know them by name, and their indices are the join's."""
    before = {"field": "y", "delay": "0s", "new_classes": True}
    broker = MemoryBroker({"events": 1})
    store = MemoryStore()
    task = {"batch_records": 7, "accept_lineage": True}
    for labels, start in ((before, 0), ({**before, "delay": "2h"}, N)):
        events = [
            {"id": f"e{i}", "card": "c", "time": i * HOUR, "a": i % 5.0, "b": 1.0, "y": "xyz"[i % 3]}
            for i in range(start, start + N)
        ]
        broker.append("events", dumps(events))
        settings = config(problem="multiclass", labels=labels, learners={"bayes": BAYES})
        service = Service(settings, broker, store, **task)
        service.run()
    assert len(service.output()) == 2 * N
    assert set(service.output()[N]["scores"]) == {"x", "y", "z"}
    assert dumped(recovered(service))["roles", "roles"]["frozen"] == {}
