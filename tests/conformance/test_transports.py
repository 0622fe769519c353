"""One contract for all logs: what stream/transport/base.py promises, for files and memory (and Kafka, where marked).

A *stand* is a place that outlives logs: inputs that are filled, outputs as a reader of committed records sees them.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from stream.errors import Fenced, RecordsGone
from stream.records import OUTPUTS, OutputName, OutputRecords, Outputs, Records, Span
from stream.transport.base import Log, TaskLog
from stream.transport.files import FilesLog
from stream.transport.ledger import committed_lines
from stream.transport.memory import MemoryBroker, MemoryLog
from stream.transport.spans import span_of

EVENTS = [b'{"id":%d}' % number for number in range(250)]
LABELS = [b'{"label":%d}' % number for number in range(40)]


class Stand(Protocol):
    def log(self) -> Log:
        """A worker's log over this place; every call is a worker of its own."""

    def outputs(self, name: OutputName) -> list[tuple[int, bytes]]:
        """``seq`` and value of what a reader sees."""


class MemoryStand:
    def __init__(self) -> None:
        self.broker = MemoryBroker({"events": 1, "labels": 1})
        self.broker.append("events", EVENTS)
        self.broker.append("labels", LABELS)

    def log(self) -> Log:
        return MemoryLog(self.broker, "p", "events", "labels")

    def outputs(self, name: OutputName) -> list[tuple[int, bytes]]:
        return [(record.seq, record.value) for record in self.broker.task("p").outputs[name]]


class FilesStand:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "events.jsonl").write_bytes(b"".join(event + b"\n" for event in EVENTS))
        (directory / "labels.jsonl").write_bytes(b"".join(label + b"\n" for label in LABELS))

    def log(self) -> Log:
        return FilesLog(
            [self.directory / "events.jsonl"], [self.directory / "labels.jsonl"], self.directory / "out", "p"
        )

    def outputs(self, name: OutputName) -> list[tuple[int, bytes]]:
        lines = list(committed_lines(self.directory / "out", name))
        if name == "rejects":
            lines = [json.loads(line)["value"].encode() for line in lines]
        return list(enumerate(lines))


@pytest.fixture(params=["memory", "files"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    return MemoryStand() if request.param == "memory" else FilesStand(tmp_path)


@pytest.fixture
def worker(stand: Stand) -> Iterator[Callable[[], TaskLog]]:
    """Opens task 0 as a new worker would; closes all of them at the end."""
    logs: list[Log] = []

    def open_task() -> TaskLog:
        log = stand.log()
        logs.append(log)
        return log.open(0)

    yield open_task
    for log in logs:
        log.close()


def fenced(worker: Callable[[], TaskLog]) -> TaskLog:
    task = worker()
    task.fence()
    task.seek(task.start())
    return task


def predictions(first_seq: int, count: int) -> Outputs:
    numbers = range(first_seq, first_seq + count)
    return {
        "predictions": OutputRecords(
            first_seq, [b"k%d" % number for number in numbers], [b'{"score":%d}' % number for number in numbers]
        )
    }


def poll_all(task: TaskLog, limit: int) -> list[Records]:
    """Everything to the end, by input."""
    taken = [Records() for _ in task.inputs]
    for _ in range(1000):
        fetched = task.poll(limit, 0.1)
        for all_of_it, records in zip(taken, fetched.records, strict=True):
            all_of_it.extend(records)
        if all(fetched.at_end):
            return taken
    pytest.fail("the end never came")


def poll_events(task: TaskLog, limit: int) -> Records:
    """The first events that come."""
    for _ in range(1000):
        records = task.poll(limit, 0.1).records[0]
        if records.offsets:
            return records
    pytest.fail("no events came")


def test_a_log_gives_task_zero_once(stand: Stand) -> None:
    """A task is gained when it is assigned, and told once."""
    log = stand.log()
    gained = [task for _ in range(3) for task in log.assignment(0.1).gained]
    log.close()
    assert gained == [0]


def test_inputs_are_events_then_labels(worker) -> None:
    """A task's inputs stand in a fixed order."""
    assert [stream.kind for stream in worker().inputs] == ["events", "labels"]


def test_identity_is_the_same_for_every_worker(stand: Stand) -> None:
    """What results depend on does not depend on who asks, and survives JSON."""
    first, second = stand.log(), stand.log()
    identity = first.identity()
    assert identity == second.identity() == json.loads(json.dumps(identity))
    assert identity["partitions"] == 1
    first.close()
    second.close()


def test_a_fresh_journal_has_no_last(worker) -> None:
    """Nothing is there before the first commit."""
    task = worker()
    assert task.last() is None
    assert list(task.entries(-1)) == []


def test_a_fresh_task_has_no_seq(worker) -> None:
    """-1 stands for none."""
    assert dict(fenced(worker).last_seq()) == dict.fromkeys(OUTPUTS, -1)


def test_entries_come_back_in_order_with_their_offsets(worker) -> None:
    """The journal is what was committed: bytes, order, and the offsets that commit returned."""
    task = fenced(worker)
    values = [b'{"type":"claim"}', b'{"type":"batch","number":1}', b'{"type":"batch","number":2}']
    offsets = [task.commit(value, {}, (0, 0)) for value in values]
    assert offsets == sorted(set(offsets))
    assert [(item.offset, item.value) for item in task.entries(-1)] == list(zip(offsets, values, strict=True))


def test_entries_from_a_middle_offset(worker) -> None:
    """The one at the offset comes first; behind the end there is none."""
    task = fenced(worker)
    offsets = [task.commit(b'{"number":%d}' % number, {}, (0, 0)) for number in range(5)]
    assert [item.offset for item in task.entries(offsets[2])] == offsets[2:]
    assert list(task.entries(offsets[-1] + 1)) == []


def test_last_is_the_newest_entry_and_others_see_it(worker) -> None:
    """A reader that has fenced nobody sees what is committed."""
    task = fenced(worker)
    task.commit(b'{"number":0}', {}, (0, 0))
    offset = task.commit(b'{"number":1}', {}, (0, 0))
    assert worker().last() == (offset, b'{"number":1}')
    task.commit(b'{"number":2}', {}, (0, 0))


def test_outputs_appear_with_their_entry(stand: Stand, worker) -> None:
    """Key, value and dense seq, batch after batch."""
    task = fenced(worker)
    task.commit(b'{"number":0}', predictions(0, 3), (3, 0))
    task.commit(b'{"number":1}', predictions(3, 2), (5, 0))
    assert stand.outputs("predictions") == [(number, b'{"score":%d}' % number) for number in range(5)]


def test_rejects_keep_their_bytes(stand: Stand, worker) -> None:
    """A reject's value is what came in."""
    task = fenced(worker)
    reject = OutputRecords(0, [b"k"], [b'{"broken": "\\u00e4'], [{"reason": b"decode"}])
    task.commit(b'{"number":0}', {"rejects": reject}, (1, 0))
    assert stand.outputs("rejects") == [(0, b'{"broken": "\\u00e4')]


def test_last_seq_counts(worker) -> None:
    """Of each output by itself, also for the next worker."""
    task = fenced(worker)
    task.commit(b'{"number":0}', predictions(0, 7), (7, 0))
    expected = {"predictions": 6, "alarms": -1, "rejects": -1}
    assert dict(task.last_seq()) == expected
    task.close()
    assert dict(fenced(worker).last_seq()) == expected


def test_only_one_of_two_workers_can_commit(stand: Stand, worker) -> None:
    """Where fencing goes to the later, the earlier is out; where a lock keeps the earlier, the later is."""
    first = fenced(worker)
    first.commit(b'{"worker":1}', {}, (0, 0))
    second = worker()
    try:
        second.fence()
        loser, winner = first, second
    except Fenced:
        loser, winner = second, first
    with pytest.raises(Fenced):
        loser.commit(b'{"worker":"loser"}', predictions(0, 3), (3, 0))
    winner.commit(b'{"worker":"winner"}', predictions(0, 1), (1, 0))
    assert [item.value for item in winner.entries(-1)] == [b'{"worker":1}', b'{"worker":"winner"}']
    assert stand.outputs("predictions") == [(0, b'{"score":0}')]


def test_a_second_open_of_one_worker_fences_its_first(stand: Stand) -> None:
    """A worker that drops a task's log and opens it again owns it with the new one only."""
    log = stand.log()
    first, second = log.open(0), log.open(0)
    first.fence()
    first.commit(b'{"number":0}', {}, (0, 0))
    second.fence()
    with pytest.raises(Fenced):
        first.commit(b'{"number":"void"}', {}, (0, 0))
    second.commit(b'{"number":1}', {}, (0, 0))
    assert [item.value for item in second.entries(-1)] == [b'{"number":0}', b'{"number":1}']
    log.close()


def test_a_log_that_fenced_nobody_cannot_commit(worker) -> None:
    """Open gives reading only."""
    with pytest.raises(Fenced):
        worker().commit(b'{"number":0}', {}, (0, 0))


@pytest.mark.parametrize("limit", [1, 37, 1000])
def test_poll_brings_every_record_in_order(worker, limit: int) -> None:
    """However it is cut, each input comes whole, in the order of its offsets."""
    events, labels = poll_all(fenced(worker), limit)
    assert (events.values, labels.values) == (EVENTS, LABELS)
    assert events.offsets == sorted(events.offsets)
    assert len(events.timestamps_ms) == len(events.keys) == len(events)


def test_at_end_only_when_nothing_is_left(worker) -> None:
    """An input says that it is read to its end with its last record or later, never before."""
    task = fenced(worker)
    count = 0
    for _ in range(1000):
        fetched = task.poll(50, 0.1)
        count += len(fetched.records[0])
        if fetched.at_end[0]:
            break
        assert count <= len(EVENTS)
    assert count == len(EVENTS)


def test_poll_at_the_end_brings_nothing(worker) -> None:
    """Reading on at the end is no error."""
    task = fenced(worker)
    poll_all(task, 1000)
    fetched = task.poll(10, 0.0)
    assert [len(records) for records in fetched.records] == [0, 0]


def test_a_held_input_brings_nothing_until_it_is_let_go(worker) -> None:
    """Hold pauses exactly the inputs it names; none of their records is lost."""
    task = fenced(worker)
    task.hold({0})
    held = [task.poll(1000, 0.05) for _ in range(3)]
    assert not any(len(fetched.records[0]) or fetched.at_end[0] for fetched in held)
    task.hold(set())
    assert poll_all(task, 1000)[0].values == EVENTS


def test_seek_then_poll_goes_on_there(worker) -> None:
    """At exactly these positions, of each input, back and forth."""
    task = fenced(worker)
    offsets = poll_all(task, 100)[0].offsets
    for start in (120, 3, 249):
        task.seek((offsets[start], offsets[0]))
        assert poll_all(task, 64)[0].values == EVENTS[start:]


def test_seek_to_the_end_is_at_end(worker) -> None:
    """The position behind the last record is a place."""
    task = fenced(worker)
    events, labels = poll_all(task, 1000)
    task.seek((events.offsets[-1] + 1, labels.offsets[-1] + 1))
    assert [len(records) for records in poll_all(task, 10)] == [0, 0]


def test_seek_out_of_range_raises(worker) -> None:
    """A position that the log never had is never taken for its start or end."""
    task = fenced(worker)

    def seek_and_poll() -> None:
        task.seek((10_000, 0))
        poll_all(task, 10)

    with pytest.raises(RecordsGone):
        seek_and_poll()


def test_read_gives_the_same_records_again(worker) -> None:
    """Spans of batches, in order and again, also while polling stands elsewhere; aligned with the spans."""
    task = fenced(worker)
    spans, expected = [], []
    position = task.start()[0]
    for _ in range(4):
        records = poll_events(task, 30)
        spans.append(span_of(0, position, records))
        expected.append(records.values)
        position = spans[-1].stop
    for _ in range(2):
        assert [records.values for records in task.read(spans)] == expected
    assert [records.values for records in task.read(spans[1:3])] == expected[1:3]


def test_read_does_not_move_poll(worker) -> None:
    """Recovery's reading is another place than the stream's."""
    task = fenced(worker)
    first = poll_events(task, 30)
    task.read([span_of(0, 0, first)])
    assert poll_events(task, 10).offsets[0] == first.offsets[-1] + 1


def test_read_an_empty_span(worker) -> None:
    """An input of which a batch took nothing."""
    assert len(fenced(worker).read([Span(1, 0, 0, 0, 0)])[0]) == 0


def test_read_raises_on_another_crc(worker) -> None:
    """Records that are not those that were applied are gone."""
    task = fenced(worker)
    span = span_of(0, 0, poll_events(task, 30))
    with pytest.raises(RecordsGone):
        task.read([Span(0, span.start, span.stop, span.count, span.crc ^ 1)])


def test_read_raises_on_another_count(worker) -> None:
    """More or fewer records than were applied are not those."""
    task = fenced(worker)
    records = poll_events(task, 30)
    span = span_of(0, 0, records)
    with pytest.raises(RecordsGone):
        task.read([Span(0, span.start, span.stop + 1_000, span.count + 1_000, span.crc)])


def test_seek_after_read_goes_on_where_it_ended(worker) -> None:
    """Recovery's last steps: read the journal's spans, then go on behind them."""
    task = fenced(worker)
    records = poll_events(task, 30)
    span = span_of(0, 0, records)
    task.close()
    recovered = fenced(worker)
    recovered.read([span])
    recovered.seek((span.stop, 0))
    assert poll_all(recovered, 100)[0].values == EVENTS[span.count :]


def test_emit_adds_what_is_missing(stand: Stand, worker) -> None:
    """Outputs whose entry is there without them come once, however often they are emitted."""
    task = fenced(worker)
    task.commit(b'{"number":0}', predictions(0, 2), (2, 0))
    task.commit(b'{"number":1}', {}, (4, 0))
    for _ in range(2):
        missing = {name: output.after(task.last_seq()[name]) for name, output in predictions(2, 2).items()}
        task.emit(missing)
    assert task.last_seq()["predictions"] == 3
    task.commit(b'{"number":2}', predictions(4, 1), (5, 0))
    assert stand.outputs("predictions") == [(number, b'{"score":%d}' % number) for number in range(5)]


def test_emit_of_what_is_there_adds_nothing(stand: Stand, worker) -> None:
    """After a commit whose answer was lost nothing is said twice."""
    task = fenced(worker)
    task.commit(b'{"number":0}', predictions(0, 3), (3, 0))
    task.emit({name: output.after(task.last_seq()[name]) for name, output in predictions(0, 3).items()})
    assert len(stand.outputs("predictions")) == 3


def test_lag_is_none_at_the_end(worker) -> None:
    """By input, as topic/partition; nothing is left at the end."""
    task = fenced(worker)
    poll_all(task, 1000)
    assert list(task.lag()) == [f"{stream.topic}/{stream.partition}" for stream in task.inputs]
    assert set(task.lag().values()) == {0}


def test_close_is_idempotent(stand: Stand) -> None:
    """Closing again, also of the worker's log, does nothing."""
    log = stand.log()
    task = log.open(0)
    task.fence()
    task.commit(b'{"number":0}', {}, (0, 0))
    for _ in range(2):
        task.close()
        log.close()


def test_the_next_worker_goes_on(stand: Stand, worker) -> None:
    """What one committed is the next one's start; its own commits follow."""
    first = fenced(worker)
    offset = first.commit(b'{"number":0}', predictions(0, 2), (2, 0))
    first.close()
    second = fenced(worker)
    assert second.last() == (offset, b'{"number":0}')
    assert second.commit(b'{"number":1}', predictions(2, 1), (3, 0)) > offset
    assert len(stand.outputs("predictions")) == 3
