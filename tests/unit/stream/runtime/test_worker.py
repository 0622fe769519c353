"""A worker and its tasks: gained, lost in the middle, gained again, stopped, failing."""

from concurrent.futures import Future

import pytest

from stream.checkpoints.files import FileStore
from stream.checkpoints.memory import MemoryStore
from stream.errors import CheckpointError, OwnedOutside, RecordsGone, StoreUnavailable
from stream.records import Entry, decode_journal
from stream.runtime.saves import Cadence
from stream.transport.memory import MemoryBroker
from tests.harness import InlineHost, Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled

N, TASKS = 60, 3


def service(store=None, **task):
    broker = MemoryBroker({"events": TASKS, "labels": TASKS})
    for number in range(TASKS):
        events = [
            {"id": f"{number}-{i}", "card": "c", "time": i * HOUR, "a": (i * 37 % 11) - 5.0, "b": float(i % 3)}
            for i in range(N)
        ]
        labels = [{"id": f"{number}-{i}", "y": i % 4 < 2, "time": (i + 6) * HOUR} for i in range(N)]
        broker.append("events", dumps(events), partition=number)
        broker.append("labels", dumps(labels), partition=number)
    return Service(config(), broker, store, **{"batch_records": 10, "checkpoint_records": 30, **task})


def turn(worker, times):
    for _ in range(times):
        worker._assign()
        worker._turn()


@pytest.fixture(scope="module")
def calm():
    one = service()
    one.run()
    return [(one.raw(task=number), settled(recovered(one, task=number))) for number in range(TASKS)]


def check(one, calm):
    assert [(one.raw(task=n), settled(recovered(one, task=n))) for n in range(TASKS)] == calm


def test_one_worker_does_all_tasks(calm):
    """Each partition's events have their predictions, in its own partition."""
    for number, (said, _) in enumerate(calm):
        assert len(said) == N
        assert all(record.value.startswith(b'{"id":"%d-' % number) for record in said)


@pytest.mark.parametrize("turns", [1, 4, 9])
def test_a_task_that_is_lost_and_gained_again_goes_on(turns, calm):
    """In the middle of its batches; the others go on meanwhile."""
    one = service()
    worker = one.worker()
    turn(worker, turns)
    worker._log.assign((0, 2))
    turn(worker, 5)
    assert sorted(worker._living) == [0, 2]
    worker._log.assign((0, 1, 2))
    worker.run()
    check(one, calm)


def test_tasks_move_to_a_second_worker(calm):
    """It takes over where the first one was; both together say what one alone would have said."""
    one = service()
    first, second = one.worker(), one.worker()
    second._log.assign(())
    turn(first, 6)
    first._log.assign((0,))
    turn(first, 1)
    second._log.assign((1, 2))
    for _ in range(20):
        turn(first, 1)
        turn(second, 1)
    first.run()
    second.run()
    check(one, calm)


def test_a_stopped_worker_saves_every_task():
    """Whoever comes after it recovers no record of any."""
    one = service(checkpoint_records=None)
    worker = one.worker()
    turn(worker, 8)
    worker.stop()
    worker.run()
    after = one.worker()
    turn(after, 4)
    assert [readings.recovered_records for readings in one.readings[TASKS:]] == [0] * TASKS
    assert all(readings.records > 0 for readings in one.readings[:TASKS])


def test_a_worker_that_is_stopped_before_it_begins_does_nothing():
    """No claim, no checkpoint."""
    one = service()
    worker = one.worker()
    worker.stop()
    worker.run()
    assert one.broker.task("test").journal == []


def test_a_task_that_fails_ends_the_worker_after_the_others_are_saved():
    """The error is the task's; what the others did is committed and in checkpoints."""
    one = service(checkpoint_records=None)
    turn(worker := one.worker(), 4)
    one.broker.trim("events", 50, partition=1)
    with pytest.raises(RecordsGone):
        worker.run()
    assert one.store.tasks() == ["test/0", "test/2"]


def test_it_is_ready_when_none_of_its_tasks_recovers():
    """Not before it has an assignment, nor after it was told to stop."""
    one = service()
    worker = one.worker()
    assert not worker.ready()
    turn(worker, 1)
    assert worker.ready() == all(readings.phase == "running" for readings in worker.readings())
    turn(worker, 3)
    assert worker.ready()
    worker.stop()
    assert not worker.ready()


def test_without_tasks_it_is_not_ready():
    """One that lost them all, because the log went away, answers nothing; and it says that they were taken away."""
    one = service()
    worker = one.worker()
    turn(worker, 4)
    assert worker.ready()
    told = worker.readings()
    worker._log.assign(())
    turn(worker, 1)
    assert not worker.ready()
    assert all("taken away" in readings.messages[-1] for readings in told)


def test_an_owner_outside_the_group_ends_the_worker():
    """Fenced again and again while still assigned: exit 75, naming the token."""
    one = service(fenced_max=3)
    one.broker.faults = dict.fromkeys(range(4, 500), "fenced")
    with pytest.raises(OwnedOutside, match="token") as stopped:
        one.worker().run()
    assert stopped.value.exit_code == 75


class Full(MemoryStore):
    """Takes nothing in."""

    def put(self, task, pieces):
        raise StoreUnavailable("full")


def test_a_checkpoint_that_grows_too_old_stops_the_worker():
    """Before records that a recovery would need are deleted; until then a full store stops nothing."""
    one = service(Full(), checkpoints=Cadence(30, age_max_s=-1.0))
    with pytest.raises(CheckpointError, match="no checkpoint could be saved"):
        one.worker().run()
    other = service(Full())
    other.run()
    assert [len(other.raw(task=number)) for number in range(TASKS)] == [N] * TASKS
    assert all(readings.checkpoint_failures > 0 for readings in other.readings)


class SlowHost(InlineHost):
    """What is submitted is done, and answers only after so many waits."""

    ANSWER = 4

    def __init__(self):
        super().__init__()
        self.pending = []

    def submit(self, lane, work):
        future = Future()
        self.pending.append([self.ANSWER, super().submit("", work), future])
        return future

    def wait(self, futures, timeout_s):
        super().wait(futures, timeout_s)
        for one in self.pending:
            one[0] -= 1
        while self.pending and self.pending[0][0] <= 0:
            _, done, future = self.pending.pop(0)
            if (error := done.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(done.result())


@pytest.mark.parametrize("kind", [MemoryStore, FileStore])
def test_a_start_that_applies_nothing_saves_nothing(tmp_path, kind):
    """However often; the first records are saved as ever, and the number of checkpoints stays within what is kept."""
    store = FileStore(tmp_path) if kind is FileStore else MemoryStore()
    broker = MemoryBroker({"events": 1})
    one = Service(config(labels={"field": "y"}), broker, store, checkpoint_records=1, batch_records=2)
    for _ in range(5):
        one.run()
    assert (list(store.heads("test/0")), [path for path in tmp_path.rglob("*") if path.is_file()]) == ([], [])
    for start in range(0, 40, 8):
        broker.append(
            "events",
            dumps(
                {"id": str(i), "card": "c", "time": i, "a": 1.0, "b": 2.0, "y": True} for i in range(start, start + 8)
            ),
        )
        one.run()
        one.run()
    assert len(list(store.heads("test/0"))) == 3
    assert len([*tmp_path.rglob("*.head")]) == (3 if kind is FileStore else 0)
    assert len(one.output()) == 40


def test_few_records_wait_for_the_commit_in_flight_and_go_into_one_batch(monkeypatch):
    """One comes with each turn, and a commit takes some: none waits for more than the one that is in flight."""
    monkeypatch.setattr("tests.harness.InlineHost", SlowHost)
    broker = MemoryBroker({"events": 1})
    one = Service(config(labels={"field": "y"}), broker, batch_records=1000)
    worker = one.worker()
    worker._ends = False
    turn(worker, 40)
    came, begun = {}, {}
    for number in range(60):
        if number < 40:
            event = {"id": str(number), "card": "c", "time": number, "a": 1.0, "b": 2.0, "y": True}
            came[broker.append("events", dumps([event]))] = number
        turn(worker, 1)
        for value in broker.task("test", 0).journal:
            if isinstance(entry := decode_journal(value), Entry):
                begun |= {offset: number for offset in range(entry.positions[0]) if offset not in begun}
    waited = [begun[offset] - turned for offset, turned in came.items()]
    assert max(waited) <= SlowHost.ANSWER + 2  # turns in which it polls and folds


def test_a_slow_stream_is_saved_before_its_records_are_deleted():
    """However few records there are since the last checkpoint: what a recovery needs must not outlive its retention."""
    one = service(checkpoints=Cadence(10**9, age_max_s=0.0))
    one.run()
    assert all(readings.checkpoints > 1 for readings in one.readings)
    other = service(checkpoints=Cadence(10**9))
    other.run()
    assert all(readings.checkpoints == 1 for readings in other.readings)
