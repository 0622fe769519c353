"""The log in memory, beyond the common contract: crashes and faults as data."""

import pytest

from stream.errors import Fenced, InDoubt, JournalBroken, LogMisfit, LogUnavailable, RecordsGone
from stream.records import OutputRecords, Outputs
from stream.transport.memory import CRASH, Crash, Fault, MemoryBroker, MemoryLog, MemoryTaskLog
from stream.transport.spans import span_of


def broker_with(*values: object) -> MemoryBroker:
    broker = MemoryBroker({"events": 1})
    broker.append("events", list(values))  # type: ignore[arg-type]
    return broker


def fenced(broker: MemoryBroker, position: int = 0) -> MemoryTaskLog:
    task = MemoryLog(broker, "p", "events").open(0)
    task.fence()
    task.seek((position,))
    return task


def predictions(first_seq: int) -> Outputs:
    return {"predictions": OutputRecords(first_seq, [b"k"], [b"v%d" % first_seq])}


def test_a_crash_marker_is_reached_after_the_records_before_it() -> None:
    """A poll ends before the marker, the next one raises."""
    task = fenced(broker_with(b"0", b"1", CRASH, b"2"))
    assert task.poll(10, 0).records[0].values == [b"0", b"1"]
    with pytest.raises(Crash):
        task.poll(10, 0)


def test_a_crash_marker_is_spent_once() -> None:
    """The next worker passes it; two markers crash twice."""
    broker = broker_with(b"0", CRASH, CRASH, b"1")
    for _ in range(2):
        task = fenced(broker)
        task.poll(10, 0)
        with pytest.raises(Crash):
            task.poll(10, 0)
    assert fenced(broker).poll(10, 0).records[0].values == [b"0", b"1"]


def test_a_crash_marker_at_the_end() -> None:
    """A process can end when all is read; before, the end is told."""
    task = fenced(broker_with(b"0", CRASH))
    assert task.poll(10, 0).at_end == (True,)
    with pytest.raises(Crash):
        task.poll(10, 0)


def test_a_crash_marker_before_a_gap() -> None:
    """Offsets that hold no record do not hide it."""
    broker = broker_with(b"0", CRASH)
    broker.skip("events", 3)
    broker.append("events", [b"4"])
    task = fenced(broker)
    task.poll(10, 0)
    with pytest.raises(Crash):
        task.poll(10, 0)
    assert fenced(broker, 1).poll(10, 0).records[0].offsets == [4]


def test_a_crashed_log_does_nothing_more() -> None:
    """Whatever a dying process would still do: no trace of it."""
    broker = broker_with(CRASH)
    task = fenced(broker)
    with pytest.raises(Crash):
        task.poll(1, 0)
    with pytest.raises(Crash):
        task.commit(b"x", predictions(0), (0,))
    task.close()
    assert broker.task("p").journal == []


def test_a_crash_is_no_exception() -> None:
    """So no handler for errors takes it for one."""
    assert not issubclass(Crash, Exception)


@pytest.mark.parametrize(
    ("fault", "raised", "entries", "outputs"),
    [
        ("lost_but_committed", InDoubt, 1, 1),
        ("lost_not_committed", InDoubt, 0, 0),
        ("lost_entry_only", InDoubt, 1, 0),
        ("fenced", Fenced, 0, 0),
        ("unavailable", LogUnavailable, 0, 0),
        ("crash_before", Crash, 0, 0),
        ("crash_after", Crash, 1, 1),
    ],
)
def test_a_fault_hits_the_commit_of_its_number(
    fault: Fault, raised: type[BaseException], entries: int, outputs: int
) -> None:
    """What is raised, and what is there afterwards; commits before it are whole."""
    broker = broker_with(b"0")
    broker.faults[1] = fault
    task = fenced(broker)
    task.commit(b"claim", {}, (0,))
    with pytest.raises(raised):
        task.commit(b"batch", predictions(0), (1,))
    store = broker.task("p")
    assert (len(store.journal) - 1, len(store.outputs["predictions"])) == (entries, outputs)


def test_a_fenced_fault_lasts_until_the_task_is_fenced_again() -> None:
    """Another owner came; this one has to recover."""
    broker = broker_with(b"0")
    broker.faults[0] = "fenced"
    task = fenced(broker)
    for _ in range(2):
        with pytest.raises(Fenced):
            task.commit(b"x", {}, (0,))
    task.fence()
    assert task.commit(b"x", {}, (0,)) == 0


def test_outputs_of_an_entry_alone_are_emitted() -> None:
    """A delayed EndTxn leaves an entry without its outputs; emit adds them once."""
    broker = broker_with(b"0")
    broker.faults[0] = "lost_entry_only"
    task = fenced(broker)
    with pytest.raises(InDoubt):
        task.commit(b"batch", predictions(0), (1,))
    for _ in range(2):
        task.emit(predictions(0))
    assert [record.value for record in broker.task("p").outputs["predictions"]] == [b"v0"]


def test_a_seq_that_does_not_follow_is_refused() -> None:
    """All or nothing: no entry either."""
    broker = broker_with(b"0")
    with pytest.raises(JournalBroken):
        fenced(broker).commit(b"batch", predictions(3), (1,))
    assert broker.task("p").journal == []


def test_keys_times_and_tombstones_are_kept() -> None:
    """As the test wrote them."""
    broker = MemoryBroker({"events": 1})
    broker.append("events", [b"0", None], timestamps_ms=[7, 5], keys=[b"k", None])
    records = fenced(broker).poll(10, 0).records[0]
    assert (records.timestamps_ms, records.keys, records.values) == ([7, 5], [b"k", None], [b"0", None])


def test_records_below_retention_are_gone() -> None:
    """For reading again, for seeking, and for a poll that stands there."""
    broker = broker_with(b"0", b"1", b"2")
    task = fenced(broker)
    span = span_of(0, 0, task.poll(2, 0).records[0])
    late = fenced(broker)
    broker.trim("events", 1)
    for call in (lambda: task.read([span]), lambda: task.seek((0,)), lambda: late.poll(1, 0)):
        with pytest.raises(RecordsGone):
            call()
    assert task.start() == (1,)


def test_changed_records_are_noticed() -> None:
    """By the span's CRC."""
    broker = broker_with(b"0", b"1")
    task = fenced(broker)
    span = span_of(0, 0, task.poll(2, 0).records[0])
    broker.change("events", 1, b"x")
    with pytest.raises(RecordsGone, match="another CRC"):
        task.read([span])


def test_a_topic_that_is_made_again_has_another_id() -> None:
    """The lineage notices."""
    broker = broker_with(b"0")
    log = MemoryLog(broker, "p", "events")
    before = log.identity()
    broker.create("events")
    assert log.identity() != before


def test_tasks_are_the_partitions_of_the_events() -> None:
    """Each reads the same-numbered partition of the labels."""
    broker = MemoryBroker({"events": 3, "labels": 3})
    log = MemoryLog(broker, "p", "events", "labels")
    assert log.assignment(0).gained == (0, 1, 2)
    assert [(stream.topic, stream.partition) for stream in log.open(2).inputs] == [("events", 2), ("labels", 2)]


def test_broadcast_labels_are_read_whole_by_every_task() -> None:
    """All their partitions are inputs of each."""
    broker = MemoryBroker({"events": 3, "labels": 2})
    inputs = MemoryLog(broker, "p", "events", "labels", broadcast=True).open(1).inputs
    assert [(stream.topic, stream.partition) for stream in inputs] == [("events", 1), ("labels", 0), ("labels", 1)]


@pytest.mark.parametrize("labels", ["labels", "none"])
def test_topics_that_do_not_fit_are_refused(labels: str) -> None:
    """Other partition counts; topics that are not there."""
    with pytest.raises(LogMisfit):
        MemoryLog(MemoryBroker({"events": 3, "labels": 2}), "p", "events", labels)


def test_a_rebalance_tells_what_changed() -> None:
    """Gained and lost, once."""
    log = MemoryLog(MemoryBroker({"events": 3}), "p", "events", tasks=[0, 1])
    log.assignment(0)
    log.assign([1, 2])
    assert log.assignment(0) == ((2,), (0,))
    assert log.assignment(0) == ((), ())


def test_tasks_do_not_share_journals_or_outputs() -> None:
    """Nor do pipelines."""
    broker = MemoryBroker({"events": 2})
    for pipeline, number in (("p", 0), ("p", 1), ("q", 0)):
        task = MemoryLog(broker, pipeline, "events").open(number)
        task.fence()
        assert task.commit(b"x", predictions(0), (0,)) == 0
