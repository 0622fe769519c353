"""Inputs that are written in transactions: behind their last record stands a marker, which retention takes like a record."""

from collections.abc import Callable

import pytest

from stream.errors import RecordsGone
from stream.records import Entry, decode_journal
from stream.replay.travel import anywhere
from stream.runtime.worker import Worker
from stream.transport.memory import MemoryBroker
from tests.harness import Service, config, dumps
from tests.simulation.lab import HOUR, recovered, settled
from tests.unit.stream.replay.past import travel

N = 20


def service(**task: float) -> Service:
    """Events with labels."""
    broker = MemoryBroker({"events": 1, "labels": 1})
    broker.append(
        "events", dumps({"id": f"e{i}", "card": "c", "time": i * HOUR, "a": i % 7, "b": 2.0} for i in range(N))
    )
    broker.append("labels", dumps({"id": f"e{i}", "y": i % 4 < 2, "time": (i + 3) * HOUR} for i in range(N)))
    return Service(config(), broker, batch_records=7, checkpoint_records=1, **task)


def turn_until(worker: Worker, done: Callable[[], bool]) -> None:
    for _ in range(1000):
        worker._assign()
        worker._turn()
        if done():
            return
    raise AssertionError("it never was")


def followed(one: Service) -> Worker:
    """A worker that has folded everything when the markers come."""
    worker = one.worker()
    turn_until(worker, lambda: bool(entries(one)) and entries(one)[-1].positions == (N, N))
    for topic in one.broker.topics:
        one.broker.skip(topic)
    return worker


def entries(one: Service) -> list[Entry]:
    records = map(decode_journal, one.broker.task("test").journal)
    return [record for record in records if isinstance(record, Entry)]


def forget(one: Service) -> None:
    """Retention takes all that the inputs hold."""
    for topic, (partition,) in one.broker.topics.items():
        one.broker.trim(topic, partition.end)


def goes_on(one: Service) -> None:
    """What comes after the retention is answered, and what was said stands."""
    said = list(one.raw())
    one.broker.append("events", dumps([{"id": "new", "card": "c", "time": N * HOUR, "a": 1.0, "b": 2.0}]))
    one.run()
    assert one.raw()[:-1] == said
    assert b'"new"' in one.raw()[-1].value


def test_a_worker_that_stops_leaves_no_need_of_markers() -> None:
    """All of an input expires while nobody works: nothing is missing, so the next worker goes on."""
    one = service(quiet_s=1e9)
    worker = followed(one)
    turn_until(worker, lambda: worker._living[0].task.at_end)
    worker._living[0].task.stopping = True
    turn_until(worker, lambda: entries(one)[-1].positions == (N + 1, N + 1))
    forget(one)
    goes_on(one)


def test_a_quiet_worker_that_is_killed_leaves_no_need_of_markers() -> None:
    """Nothing came for a while, so the journal says, once, that only markers stand behind the last records."""
    one = service(quiet_s=0.0)
    worker = followed(one)
    turn_until(worker, lambda: entries(one)[-1].positions == (N + 1, N + 1))
    said = len(entries(one))
    for _ in range(5):
        worker._turn()
    assert len(entries(one)) == said
    forget(one)
    goes_on(one)


def test_a_batch_names_where_a_quiet_input_is_read_to() -> None:
    """Events go on while the labels expire: the next entry has their position behind the marker already."""
    one = service(quiet_s=1e9)
    worker = followed(one)
    one.broker.append("events", dumps([{"id": "new", "card": "c", "time": N * HOUR, "a": 1.0, "b": 2.0}]))
    turn_until(worker, lambda: entries(one)[-1].positions[0] > N)
    assert entries(one)[-1].positions == (N + 2, N + 1)


def test_an_entry_without_records_changes_nothing() -> None:
    """Neither the owner, who does not fold it, nor who folds the journal: both have the state of a log without markers."""
    plain = service()
    plain.run()
    one = service(quiet_s=0.0)
    worker = followed(one)
    turn_until(worker, lambda: not entries(one)[-1].spans)
    assert len(entries(one)) == len(entries(plain)) + 1
    assert one.raw() == plain.raw()
    assert settled(worker._living[0].task._fold) == settled(recovered(one)) == settled(recovered(plain))


def test_who_looks_back_needs_no_marker_either() -> None:
    """From a checkpoint before the markers, when they have expired; of records that have, the first that is needed is named."""
    one = service(quiet_s=0.0)
    worker = followed(one)
    turn_until(worker, lambda: not entries(one)[-1].spans)
    forget(one)
    journey = travel(one)
    journey.begin(anywhere)
    assert journey.place.positions == (N, N)
    assert [entry.spans for _, entry in journey.entries()] == [()]
    with pytest.raises(
        RecordsGone, match="events/0 starts at offset 21, but the journal's start needs it from offset 0 on"
    ) as gone:
        travel(one).begin()
    assert f"--from {journey.place.number}" in gone.value.hint
