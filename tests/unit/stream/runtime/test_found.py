"""Cases that were found on the way and had no test of their own (docs/guarantees.md, "Bugs found on the way").

Each failed before its repair. Those that a rule's own test holds are there: test_faults.py, test_lineage.py, test_join.py.
"""

import functools
from types import SimpleNamespace

import orjson
import pytest

import tests.harness
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.restored import Restored
from stream.checkpoints.signing import Signer
from stream.errors import CheckpointError, JournalBroken, RecordsGone
from stream.records import OUTPUTS, Claim, Entry, encode_journal
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import newest_claim
from stream.runtime.saves import Cadence, Mark, Saves
from stream.transport.base import JournalItem
from stream.transport.kafka import KafkaLog
from stream.transport.kafka_client import KafkaTopics, TopicFacts
from stream.transport.memory import MemoryBroker, MemoryTaskLog
from tests.harness import KEY, Crash, InlineHost, Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled

N = 60


def service(faults, **changes):
    """Events with labels three hours later, batches of ten, a checkpoint every 25 records."""
    events = [{"id": f"e{i}", "card": "c", "time": i * HOUR, "a": i % 7 - 3.0, "b": i % 3 - 1.0} for i in range(N)]
    broker = MemoryBroker({"events": 1, "labels": 1})
    broker.append("events", dumps(events))
    broker.append("labels", dumps({"id": f"e{i}", "y": i % 4 < 2, "time": (i + 3) * HOUR} for i in range(N)))
    broker.faults = dict(faults)
    return Service(config(**changes), broker, batch_records=10, checkpoint_records=25)


@functools.cache
def calm():
    one = service({})
    one.run()
    return one.raw(), settled(recovered(one))


def crashed():
    """A service that ended behind a checkpoint, with entries after it."""
    one = service({11: "crash_after"})
    with pytest.raises(Crash):
        one.worker().run()
    return one


def check(one):
    said, state = calm()
    assert one.raw() == said
    assert settled(recovered(one)) == state


class Journal:
    """The end of a journal whose begin was deleted."""

    def __init__(self, begin, records, *, tells):
        self._items = [JournalItem(begin + place, encode_journal(record)) for place, record in enumerate(records)]
        self._tells = tells

    def last(self):
        return self._items[-1]

    def entries(self, start):
        if self._tells and 0 <= start < self._items[0].offset:
            raise RecordsGone(f"the journal starts at {self._items[0].offset}", "")
        return (item for item in self._items if item.offset >= start)


@pytest.mark.parametrize("tells", [True, False])
def test_no_other_claim_is_taken_for_one_that_was_deleted(tells):
    """The claim of the newest entry is gone: then it is not known, whatever stands behind it."""
    entry = Entry(3, token=5, spans=(), order=(), positions=(0,), first_seq={})
    other = Claim(3, "somebody else", (0,), {"answers": "others"})
    assert newest_claim(Journal(7, [other, entry], tells=tells)) is None


def test_a_checkpoint_that_does_not_fit_is_passed_over(monkeypatch):
    """It verifies, but holds parts that nothing here takes up: the one before is used."""
    one = crashed()
    load, refused = Restored.load, []

    def misfit(self, parts):
        if not refused:
            refused.append(self)
            raise CheckpointError(f"{self} has state of another, which nothing takes up")
        load(self, parts)

    monkeypatch.setattr(Restored, "load", misfit)
    one.run()
    monkeypatch.undo()
    assert any("using an older one" in message for message in one.readings[-1].messages)
    check(one)


def service_restarted(store, records):
    """Another journal and other topics under the same name, as after a restart, with so many records of their own."""
    one = service({})
    anew = MemoryBroker({"events": 1, "labels": 1})
    anew._ids = {topic: f"{identity}-anew" for topic, identity in one.broker._ids.items()}
    for topic, parts in one.broker.topics.items():
        anew.append(topic, parts[0].records.values[:records])
    one.broker, one.store = anew, store
    return one


def test_a_store_from_before_a_restart_is_passed_over():
    """Its checkpoints are of a journal that is gone; they are removed, or their later places would bar every new one."""
    former = service({})
    former.run()
    one = service_restarted(MemoryStore(), 30)
    one.run()
    said, state = one.raw(), settled(recovered(one))
    one.store = former.store
    one.run()
    assert one.raw() == said
    assert settled(recovered(one)) == state
    assert any("a journal that is gone" in message for message in one.readings[-1].messages)
    heads = Checkpointer(one.store, Signer(KEY), "test/0", keep=3, on_unverified=pytest.fail, fork=False).restore()
    assert [restored.head.records for restored in heads] == [recovered(one).state.clock.records]


def test_a_journal_that_was_emptied_is_not_taken_for_a_restart():
    """Without any entry of its own nothing tells it from one that was deleted: the worker stops and says so."""
    former = service({})
    former.run()
    one = service_restarted(former.store, 30)
    with pytest.raises(JournalBroken, match="acknowledged records were lost"):
        one.run()
    with pytest.raises(JournalBroken, match="acknowledged records were lost"):
        one.run()  # although there is a claim now


def test_the_entry_of_a_checkpoint_itself_is_not_needed(monkeypatch):
    """The journal may begin right after it."""
    one = crashed()
    checkpointer = Checkpointer(one.store, Signer(KEY), "test/0", keep=3, on_unverified=pytest.fail, fork=False)
    held = next(iter(checkpointer.restore())).head.journal_offset
    entries = MemoryTaskLog.entries

    def trimmed(self, start):
        if 0 <= start <= held:
            raise RecordsGone(f"the journal starts at {held + 1}", "")
        return entries(self, start)

    monkeypatch.setattr(MemoryTaskLog, "entries", trimmed)
    one.run()
    monkeypatch.undo()
    check(one)


def test_outputs_that_retention_emptied_are_not_said_again(monkeypatch):
    """A log that no longer knows what was said last leaves an output out: everything of it was said."""
    one = crashed()
    emitted = []
    with monkeypatch.context() as patch:
        patch.setattr(MemoryTaskLog, "last_seq", lambda _: {})
        patch.setattr(MemoryTaskLog, "emit", lambda _, outputs: emitted.append(outputs))
        one.run()
    assert emitted == []
    check(one)


def test_the_age_of_a_checkpoint_survives_a_start():
    """One that was taken up is as old as its head says, so a worker that starts again and again notices too."""
    host = InlineHost()
    host.now = 1000.0
    readings = TaskReadings(0)
    saves = Saves(None, Cadence(), host, "save", readings)
    saves.recovered(saved_ms=400_000)
    assert readings.checkpoint_at == 400.0
    saves.recovered(saved_ms=None)
    assert readings.checkpoint_at == 1000.0


class Still:
    """A worker whose store takes nothing in; how much is folded and saved is told."""

    def __init__(self, *, folded: int, saved: int) -> None:
        self.state = SimpleNamespace(clock=SimpleNamespace(records=folded, stream_time_ms=0))
        self.parts = tuple
        self.saved_records = saved

    def take(self, *_):
        raise CheckpointError("full")

    def saves(self, host, saved_ms, age_max_s=300.0):
        one = Saves(self, Cadence(1, age_max_s=age_max_s), host, "save", TaskReadings(0))
        one.recovered(saved_ms)
        return one


@pytest.mark.parametrize(
    ("away_s", "goes_on_s"), [(0, 3000), (2900, 3000), (3100, 2900), (5000, 1000), (5900, 300), (10**6, 300)]
)
def test_how_long_saves_may_fail_after_a_start(away_s, goes_on_s):
    """It counts from where this worker could have saved, as long as its checkpoint is not twice as old as may be.

    So one that was away for long is not ended by its first failure, and one that starts again and again notices.
    """
    host, still = InlineHost(), Still(folded=20, saved=10)
    begun = host.now = 2.0e6
    saves = still.saves(host, saved_ms=int((begun - away_s) * 1000), age_max_s=3000.0)
    while host.now <= begun + goes_on_s:
        saves.consider(still, Mark(None, 0, {}, None))
        host.now += 5.0
    with pytest.raises(CheckpointError, match=f"no checkpoint could be saved for {away_s + goes_on_s + 5} s"):
        saves.consider(still, Mark(None, 0, {}, None))


def test_recoveries_within_a_worker_win_no_time():
    """However often it recovers, it stops as one that never did."""
    host, still = InlineHost(), Still(folded=20, saved=10)
    begun = host.now = 2.0e6
    saves = still.saves(host, saved_ms=int(begun * 1000), age_max_s=1080.0)

    def recover_again_and_again():
        for second in range(0, 12_000, 5):
            host.now = begun + second
            if second % 280 == 0:
                saves.recovered(int(begun * 1000))
            saves.consider(still, Mark(None, 0, {}, None))

    with pytest.raises(CheckpointError, match="for 1085 s"):
        recover_again_and_again()


def test_a_worker_that_starts_again_and_again_stops_for_a_checkpoint_that_is_too_old():
    """Its age does not begin anew with each start, as long as there is something that it does not hold."""
    host, still = InlineHost(), Still(folded=20, saved=10)
    host.now = 1000.0

    def start_again_and_again():
        for second in range(5, 12_000, 5):
            host.now = 1000.0 + second
            if second % 400 == 5:
                saves = still.saves(host, saved_ms=1_000_000, age_max_s=3000.0)
            saves.consider(still, Mark(None, 0, {}, None))

    with pytest.raises(CheckpointError, match="no checkpoint could be saved for"):
        start_again_and_again()
    assert 7000.0 < host.now < 8000.0


@pytest.mark.parametrize("saved", [0, -1])
def test_the_age_begins_with_the_first_record_that_no_checkpoint_holds(saved):
    """A stream that says nothing for days needs no checkpoint, whether there is one already or not."""
    host, still = InlineHost(), Still(folded=0, saved=saved)
    saves = still.saves(host, saved_ms=None)
    for still.state.clock.records, host.now in ((0, 1000.0), (1, 1100.0), (1, 1250.0)):
        saves.consider(still, Mark(None, 0, {}, None))
    host.now = 1310.0
    with pytest.raises(CheckpointError, match="for 310 s"):
        saves.consider(still, Mark(None, 0, {}, None))


def test_a_label_that_confirms_an_assumption_is_in_the_coverage():
    """It came; that it says nothing new does not matter."""
    assume = {"topic": "labels", "id": "id", "value": "y", "time": "time", "assume": {"value": False, "after": "1h"}}
    one = service({}, labels=assume)
    one.run()
    fold = recovered(one)
    assert fold.state.clock.counts["labels_confirming"] > 0
    assert fold.state.coverage.all()["labelled"] == fold.state.clock.counts["labels"] - fold.state.join.parked


def test_an_early_label_that_cannot_be_learned_is_refused_itself(monkeypatch):
    """It was parked, and is learned at its event's turn; the reject is the label's record, not the event's."""
    monkeypatch.setattr(tests.harness, "Checkpointer", functools.partial(Checkpointer, admitted=["tests"]))
    broker = MemoryBroker({"events": 1, "labels": 1})
    events = [{"id": f"e{i}", "card": "c", "time": i * HOUR, "a": 1000.0 * (i == 5), "b": 0.0} for i in range(9)]
    early = {"id": "e5", "y": True, "time": 2 * HOUR}
    broker.append("events", dumps(events))
    broker.append("labels", dumps([early]))
    learner = {"factory": "tests.unit.stream.pipeline.estimators:raises"}
    one = Service(config(learners={"one": learner}), broker)
    one.run()
    (reject,) = one.raw("rejects")
    assert reject.headers["reason"] == b"learn_error"
    assert (reject.headers["topic"], orjson.loads(reject.value)) == (b"labels", early)


def test_the_session_timeout_of_the_settings_is_heeded(monkeypatch):
    """``kafka: {session.timeout.ms}`` is how long the group waits for this worker; without it 10 s."""
    topics = KafkaTopics("events", None, *OUTPUTS, "journal")
    facts = {name: TopicFacts(name, 1) for name in topics.all()}
    monkeypatch.setattr(KafkaLog, "_describe", lambda _: facts)
    for settings, expected in (({}, 10_000), ({"session.timeout.ms": 3000}, 3000)):
        log = KafkaLog({"bootstrap.servers": "127.0.0.1:1", **settings}, pipeline="p", topics=topics)
        assert log._session_timeout_ms == expected
        log.close()
