"""A warm start: a journal that begins with what a history left goes on as if there had been one journal."""

import orjson
import pytest

from stream.build_fold import build_fold, lineage_digest
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.errors import JournalBroken, RecordsGone
from stream.records import Input
from stream.runtime.refold import first_claim
from stream.runtime.warm import Warm
from stream.transport.memory import MemoryLog
from tests.harness import KEY, Crash, MemoryBroker, Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled

N = 80
HALF = 40


def feed(broker, start, stop):
    events = [{"id": f"e{i}", "card": "c", "time": i * HOUR, "a": i % 7 - 3.0, "b": i % 3 - 1.0} for i in range(N)]
    broker.append("events", dumps(events[start:stop]))
    broker.append("labels", dumps({"id": f"e{i}", "y": i % 4 < 2, "time": (i + 3) * HOUR} for i in range(start, stop)))


def service(broker, *, name="test", warm=None, **changes):
    one = Service(config(name=name, **changes), broker, batch_records=10, checkpoint_records=1000)
    one.warm = warm
    return one


def history():
    """A broker with half of the stream, and the state after it."""
    broker = MemoryBroker({"events": 1, "labels": 1})
    feed(broker, 0, HALF)
    former = service(broker, name="history")
    former.run()
    return broker, warm_of(former)


def warm_of(former):
    checkpointer = Checkpointer(former.store, Signer(KEY), "history/0", keep=3, on_unverified=pytest.fail, fork=False)
    restored = next(iter(checkpointer.restore()))
    return Warm(restored, "history", restored.head.positions)


def values(one):
    return {name: [(r.key, r.value) for r in one.raw(name)] for name in ("predictions", "alarms", "rejects")}


def whole():
    """What one service says and knows of everything, and how much of it before the second half."""
    broker, _ = history()
    one = service(broker)
    one.run()
    said = {name: len(records) for name, records in values(one).items()}
    feed(broker, HALF, N)
    one.run()
    return values(one), settled(recovered(one)), said


def recovered_lineage(one):
    return first_claim(MemoryLog(one.broker, "test", "events", "labels").open(0)).lineage


def without_seq(state):
    """Each service counts its outputs for itself."""
    kind, clock = state["clock", "clock"]
    assert kind == "dict"
    return {**state, ("clock", "clock"): [(key, value) for key, value in clock if key != "next_seq"]}


def test_a_warm_start_goes_on_as_if_there_had_been_no_break():
    """Not a record twice, none left out: outputs and state are those of one service over both halves."""
    broker, warm = history()
    feed(broker, HALF, N)
    one = service(broker, warm=warm)
    one.run()
    expected, state, said = whole()
    assert values(one) == {name: records[said[name] :] for name, records in expected.items()}
    assert without_seq(settled(recovered(one))) == without_seq(state)


@pytest.mark.parametrize("touch", range(1, 12))
def test_a_crash_changes_nothing(touch):
    """Wherever the first worker ends: also between the claim and the first checkpoint."""
    broker, warm = history()
    feed(broker, HALF, N)
    one = service(broker, warm=warm)
    broker.faults = {broker.commits + touch // 2: "crash_after" if touch % 2 else "crash_before"}
    one.run()
    expected, state, said = whole()
    assert values(one) == {name: records[said[name] :] for name, records in expected.items()}
    assert without_seq(settled(recovered(one))) == without_seq(state)


def test_the_state_is_a_checkpoint_at_once():
    """From then on the directory is not needed, and the option may stay or go."""
    broker, warm = history()
    one = service(broker, warm=warm)
    one.run()
    feed(broker, HALF, N)
    one.warm = None
    one.run()
    expected, _, said = whole()
    assert values(one) == {name: records[said[name] :] for name, records in expected.items()}
    one.warm = warm
    one.run()


def test_without_checkpoints_the_directory_is_asked_for():
    """The journal says what it began with; the bare start would be another model."""
    broker, warm = history()
    feed(broker, HALF, N)
    one = service(broker, warm=warm)
    one.run()
    said, state = values(one), settled(recovered(one))
    one.store, one.warm = MemoryStore(), None
    with pytest.raises(RecordsGone, match=r"state .* of a backtest") as caught:
        one.run()
    assert "--warm-start" in caught.value.hint
    one.warm = warm
    one.run()
    assert (values(one), settled(recovered(one))) == (said, state)


def test_a_journal_that_began_otherwise_is_refused():
    """A warm start is a beginning; it never replaces what a service has learned."""
    broker, warm = history()
    cold = service(broker)
    cold.run()
    cold.warm = warm
    with pytest.raises(JournalBroken, match="began with nothing learned"):
        cold.run()


def test_checkpoints_of_an_emptied_journal_are_not_overlooked():
    """An empty journal beside checkpoints was emptied: a warm start must not hide that."""
    broker, warm = history()
    one = service(broker)
    one.run()
    again = service(MemoryBroker({"events": 1, "labels": 1}), warm=warm)
    again.store = one.store
    with pytest.raises(JournalBroken, match="never ran"):
        again.run()


def test_another_configuration_keeps_what_fits():
    """Learners whose settings are unchanged keep what history taught them; others begin anew, and it is said."""
    broker, warm = history()
    feed(broker, HALF, N)
    before = config().model_dump(mode="json")["learners"]
    name = next(iter(before))
    changed = before | {"other": "river.naive_bayes.GaussianNB"}
    one = service(broker, warm=warm, learners=changed, champion=name)
    one.run()
    scores = [answer["score"] for answer in one.output()]
    expected, _, said = whole()
    assert scores == [orjson.loads(value)["score"] for _, value in expected["predictions"][said["predictions"] :]]
    assert any("begun anew: " in message and "learner/other" in message for message in one.readings[0].messages)


def test_crash_is_what_the_faults_raise():
    """The parameters above do end the worker."""
    broker, warm = history()
    feed(broker, HALF, N)
    broker.faults = {broker.commits + 1: "crash_after"}
    with pytest.raises(Crash):
        service(broker, warm=warm).worker().run()


def test_the_fold_is_of_the_service_and_not_of_the_history():
    """Rejects name the lineage; before and after a restart, and in an audit, it is the journal's own."""
    broker, warm = history()
    one = service(broker, warm=warm)
    one.run()
    told = {**recovered_lineage(one), "log": {"topics": "others"}}
    fold, anew = warm.fold(build_fold, told, [Input("events", "events", 0), Input("labels", "labels", 0)])
    assert anew == []
    assert fold.plan.lineage == lineage_digest(told)
    assert fold.state.clock.records == warm.origin.records
