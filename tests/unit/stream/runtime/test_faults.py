"""What goes wrong with a commit, at every commit of a run: outputs and state are those of the uninterrupted run."""

from functools import cache
from itertools import pairwise
from typing import get_args

import pytest

from stream.checkpoints.memory import MemoryStore
from stream.errors import JournalBroken, RecordsGone, StoreUnavailable
from stream.records import Entry, decode_journal
from stream.runtime.recovery import Recovery
from stream.transport.memory import Fault, MemoryBroker
from tests.harness import Crash, InlineHost, Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled

OUTPUTS = ("predictions", "alarms", "rejects")
N = 60


def settings(**changes):
    page_hinkley = {"page_hinkley": {"threshold": 1.0, "min_instances": 5, "rearm": 5}}
    detectors = [
        {"signal": "error", "detector": page_hinkley, "response": "reset"},
        {"signal": {"feature": "a"}, "detector": page_hinkley},
    ]
    return config(**{"detectors": detectors, **changes})


def brokered(events_between=()):
    """A broker with a stream that has late, early, duplicate, conflicting and orphaned labels, and poison."""
    events = [
        {"id": f"e{i}", "card": f"c{i % 3}", "time": i * HOUR, "a": (i * 37 % 11) - 5.0, "b": float(i % 3)}
        for i in range(N)
    ]
    labels = [{"id": f"e{i}", "y": i % 4 < 2, "time": i * HOUR + 7 * HOUR + 1} for i in range(N)]
    labels[10]["id"] = "nobody"
    labels[20] = {**labels[19], "y": not labels[19]["y"], "time": labels[20]["time"]}
    labels[30]["id"], labels[31]["time"] = "e45", 25 * HOUR
    labels.sort(key=lambda one: one["time"])
    values = dumps(events)
    values[13] = b"{poison"
    values[17] = None
    values[19] = values[18]
    broker = MemoryBroker({"events": 1, "labels": 1})
    broker.append("events", values)
    broker.append("labels", dumps(labels))
    return broker


def service(broker, store=None, **task):
    return Service(settings(), broker, store, **{"batch_records": 10, "checkpoint_records": 25, **task})


@cache
def uninterrupted():
    one = service(brokered())
    assert one.run() == 0
    return {name: one.raw(name) for name in OUTPUTS}, settled(recovered(one)), one.broker.commits


def check(one):
    said, state, _ = uninterrupted()
    for name in OUTPUTS:
        assert one.raw(name) == said[name]
        assert [record.seq for record in one.raw(name)] == list(range(len(said[name])))
    assert settled(recovered(one)) == state
    assert settled(recovered(one, without_store=True)) == state
    numbers = [
        record.number for value in one.broker.task("test").journal if isinstance(record := decode_journal(value), Entry)
    ]
    assert numbers == list(range(len(numbers)))


def test_the_uninterrupted_run_says_all_there_is_to_say():
    """Each event has one prediction, and there are alarms and rejects: else the tests below would prove little."""
    said, _, commits = uninterrupted()
    assert len(said["predictions"]) == N - 3
    assert said["alarms"]
    assert {record.headers["reason"] for record in said["rejects"]} == {b"decode", b"label_conflict", b"label_orphan"}
    assert commits == 13


@pytest.mark.parametrize("fault", get_args(Fault))
@pytest.mark.parametrize("number", range(13))
def test_a_fault_at_a_commit_changes_nothing(fault, number):
    """Whatever happens with a commit, and with whichever."""
    broker = brokered()
    broker.faults[number] = fault
    one = service(broker)
    crashes = one.run()
    assert crashes == fault.startswith("crash")
    check(one)


@pytest.mark.parametrize("fault", get_args(Fault))
def test_faults_at_every_third_commit_change_nothing(fault):
    """Also those of recoveries and claims."""
    broker = brokered()
    broker.faults = dict.fromkeys(range(1, 200, 3), fault)
    one = service(broker, fenced_max=1000)
    one.run()
    check(one)


def test_an_entry_without_its_outputs_is_made_whole():
    """A delayed end of a transaction left the journal's record alone: what is missing is emitted, once."""
    broker = brokered()
    broker.faults[3] = "lost_entry_only"
    one = service(broker)
    one.run()
    said = [message for readings in one.readings for message in readings.messages]
    assert any("were missing and are emitted" in message for message in said)
    assert one.readings[0].in_doubt == 1
    assert one.readings[0].in_doubt_committed == 1
    check(one)


def test_a_commit_that_did_not_happen_is_told_so():
    """In doubt, and the journal says no: folded and committed again."""
    broker = brokered()
    broker.faults[3] = "lost_not_committed"
    one = service(broker)
    one.run()
    assert (one.readings[0].in_doubt, one.readings[0].in_doubt_committed) == (1, 0)
    assert any("was not committed" in message for message in one.readings[0].messages)


def turn(worker, times):
    """A few turns of a worker's loop, as its ``run`` makes them."""
    worker._assign()
    for _ in range(times):
        worker._turn()


@pytest.mark.parametrize("turns", [1, 2, 5, 8, 11])
def test_a_zombie_is_fenced_and_says_nothing(turns):
    """A worker goes on after another took its task: its commit is refused, and the outputs are as if it had slept."""
    one = service(brokered())
    zombie = one.worker()
    turn(zombie, turns)
    journal = len(one.broker.task("test").journal)
    owner = one.worker()
    turn(owner, 4)
    taken = len(one.broker.task("test").journal)
    assert taken > journal
    turn(zombie, 1)
    zombie._log.assign(())
    turn(zombie, 3)
    assert len(one.broker.task("test").journal) == taken
    assert zombie._living == {}
    owner.run()
    check(one)


def test_who_was_taken_over_before_it_recovered_saves_nothing(monkeypatch):
    """It has folded what its successor wrote; a checkpoint of that under its own token would make the rest of it void."""

    def events(first, count):
        return dumps(
            {"id": f"e{i}", "card": "c", "time": i * HOUR, "a": i % 7, "b": 1.0, "y": i % 4 < 2}
            for i in range(first, first + count)
        )

    broker = MemoryBroker({"events": 1})
    broker.append("events", events(0, 30))
    one = Service(config(labels={"field": "y"}), broker, batch_records=10, checkpoint_records=1000)
    owner, zombie, run = one.worker(), one.worker(), Recovery.run
    owner._ends = zombie._ends = False

    def taken_over(recovery):
        monkeypatch.undo()
        turn(owner, 20)
        return run(recovery)

    monkeypatch.setattr(Recovery, "run", taken_over)
    turn(zombie, 6)
    assert any("claimed the task meanwhile" in message for message in zombie.readings()[0].messages)
    zombie.stop()
    turn(zombie, 9)
    broker.append("events", events(30, 20))
    turn(owner, 9)
    owner._living.clear()  # killed
    broker.append("events", events(50, 10))
    one.run()
    assert [record.seq for record in one.raw()] == list(range(60))


def test_two_workers_take_turns():
    """A task goes to and fro between workers in the middle of batches; each begins where the other stopped."""
    one = service(brokered())
    workers = [one.worker(), one.worker()]
    workers[1]._log.assign(())
    for round_ in range(8):
        for worker, tasks in zip(workers, [(0,), ()] if round_ % 2 else [(), (0,)], strict=True):
            worker._log.assign(tasks)
            worker._assign()
        turn(workers[0], 4)
        turn(workers[1], 4)
    for worker in workers:
        worker._log.assign(())
        worker._assign()
    one.run()
    check(one)


# --- stores --------------------------------------------------------------------------------------------------------------


def test_a_stopped_worker_leaves_nothing_to_fold():
    """Told to stop it saves a last checkpoint, so the next owner recovers no record."""
    one = service(brokered(), checkpoint_records=None)
    worker = one.worker()
    turn(worker, 7)
    worker.stop()
    worker.stop()
    worker.run()
    assert 0 < one.readings[0].records < 2 * N
    after = one.worker()
    turn(after, 3)
    assert one.readings[1].recovered_records == 0
    assert one.readings[1].recoveries == 1
    after.run()
    check(one)


class Wiped(MemoryStore):
    """Forgets everything whenever it is told."""

    def wipe(self):
        self._tasks.clear()


def test_a_wiped_store_costs_time_and_no_results():
    """In the middle of a run, twice, with a crash after each: a longer recovery, the same outputs."""
    broker, store = brokered(), Wiped()
    broker.faults = {4: "crash_after", 9: "crash_after"}
    one = service(broker, store)
    for _ in range(3):
        try:
            one.worker().run()
        except Crash:
            store.wipe()
    assert max(readings.recovered_records for readings in one.readings) > 60
    check(one)


class Failing(MemoryStore):
    """Does not answer for some time."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    def missing(self, task, digests):
        self._answer()
        return super().missing(task, digests)

    def heads(self, task):
        self._answer()
        return super().heads(task)

    def _answer(self):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no answer")


@pytest.mark.parametrize("failures", [1, 3, 12, 40, 10**9])
def test_a_store_that_does_not_answer_stops_nothing(failures):
    """It is asked again with patience, then the journal alone is folded; saving goes on failing beside the stream."""
    broker = brokered()
    broker.faults[6] = "crash_after"
    one = service(broker, Failing(failures))
    one.run()
    said, _, _ = uninterrupted()
    assert one.raw("predictions") == said["predictions"]
    if failures > 5:
        assert any("does not answer" in message for readings in one.readings for message in readings.messages)


@pytest.mark.parametrize(("comes_back_s", "folded_again"), [(50.0, 10), (1e9, 100)])
def test_a_store_that_restarts_is_waited_for_about_a_minute(monkeypatch, comes_back_s, folded_again):
    """One that is back by then costs nothing but that time; else the whole journal is folded, about a minute after."""
    broker, store, host = brokered(), MemoryStore(), InlineHost()
    broker.faults[11] = "crash_before"
    with pytest.raises(Crash):
        service(broker, store).worker().run()
    answers = store.heads

    def heads(task):
        if host.now < comes_back_s:
            raise StoreUnavailable("restarting")
        return answers(task)

    monkeypatch.setattr(store, "heads", heads)
    monkeypatch.setattr("tests.harness.InlineHost", lambda: host)
    one = service(broker, store)
    one.run()
    monkeypatch.undo()
    assert one.readings[-1].recovered_records == folded_again
    assert 50.0 < host.now < 75.0
    check(one)


@pytest.mark.parametrize("newest", [0, 1, 2])
def test_a_damaged_checkpoint_is_passed_over(newest):
    """Torn or tampered with: the one before is used, and that is said."""
    broker = brokered()
    broker.faults[11] = "crash_before"
    one = service(broker)
    with pytest.raises(Crash):
        one.worker().run()
    heads = one.store._tasks["test/0"].heads
    for position in sorted(heads, reverse=True)[: newest + 1]:
        blob = bytearray(heads[position].head)
        blob[len(blob) // 2] ^= 1
        heads[position].head = bytes(blob)
    one.run()
    assert any("failed verification" in message for message in one.readings[-1].messages)
    check(one)


def test_damaged_pieces_are_passed_over():
    """A head that verifies whose pieces do not."""
    broker = brokered()
    broker.faults[11] = "crash_before"
    one = service(broker)
    with pytest.raises(Crash):
        one.worker().run()
    pieces = one.store._tasks["test/0"].pieces
    for digest in pieces:
        pieces[digest] = pieces[digest][:-1]
    one.run()
    assert any("not what was stored" in message for message in one.readings[-1].messages)
    check(one)


def test_a_checkpoint_ahead_of_the_journal_stops():
    """A log that lost what it had acknowledged is detected, never carried on from."""
    one = service(brokered())
    one.run()
    del one.broker.task("test").journal[-4:]
    with pytest.raises(JournalBroken, match="acknowledged records were lost"):
        one.worker().run()


def test_outputs_ahead_of_the_journal_stop():
    """More said than the journal leads to: also a log that lost records."""
    one = service(brokered(), checkpoint_records=None)
    one.run()
    one.store = MemoryStore()
    del one.broker.task("test").journal[-2:]
    with pytest.raises(JournalBroken, match="holds seq"):
        one.worker().run()


def test_records_that_recovery_needs_and_are_gone_stop_it():
    """Retention was shorter than the way back: it says which records and what starts over."""
    one = service(brokered(), Wiped())
    one.run()
    one.store.wipe()
    one.broker.trim("events", 20)
    with pytest.raises(RecordsGone, match="starts at 20"):
        one.worker().run()


def test_a_record_that_changed_stops_recovery():
    """The journal holds a CRC of what was applied."""
    one = service(brokered(), Wiped())
    one.run()
    one.store.wipe()
    one.broker.change("events", 3, b"{}")
    with pytest.raises(RecordsGone):
        one.worker().run()


def test_without_checkpoint_and_start_of_the_journal_nothing_is_rebuilt():
    """It says where the journal starts and what would start over."""
    one = service(brokered(), Wiped())
    one.run()
    one.store.wipe()
    del one.broker.task("test").journal[:1]
    with pytest.raises(RecordsGone, match=r"cannot rebuild.*journal starts at entry 0") as stopped:
        one.worker().run()
    assert "restart" in stopped.value.hint


def test_crashes_between_any_two_records_change_nothing():
    """A process ends at many places of both inputs."""
    broker = brokered()
    for topic in ("events", "labels"):
        broker.topics[topic][0].crashes = list(range(3, N, 7))
    one = service(broker)
    assert one.run() > 10
    check(one)


def test_positions_in_the_journal_follow_one_another():
    """Each entry begins where the last ended, and its spans say which records there were."""
    one = service(brokered())
    one.run()
    entries = [e for value in one.broker.task("test").journal if isinstance(e := decode_journal(value), Entry)]
    for before, after in pairwise(entries):
        for span in after.spans:
            assert span.start >= before.positions[span.input]
            assert span.stop == after.positions[span.input]
    assert entries[-1].positions == (N, N)
