"""An audit says equal when every byte is, and shows the first one that is not."""

import msgspec
import pytest

from stream.checkpoints.memory import MemoryStore
from stream.records import Entry, decode_journal
from stream.replay.audit import Audit, Audited, Range
from stream.replay.digest import Digests
from stream.transport.memory import MemoryBroker, OutputRecord
from tests.harness import Service, config, dumps
from tests.unit.stream.replay.past import HOUR, MemoryOutput, readers, service, travel, write

DETECTOR = {"signal": {"feature": "a"}, "detector": {"page_hinkley": {"threshold": 5, "min_instances": 10}}}
ALL = Range()


@pytest.fixture(scope="module")
def done() -> Service:
    """A pipeline with predictions, alarms and rejects, that is at rest."""
    made = service(120, detectors=[DETECTOR])
    assert all(made.raw(name) for name in ("predictions", "alarms", "rejects"))
    return made


def audited(of: Service, span: Range = ALL, *, newest: bool = False, seen=None, **before: int) -> Audited:
    audit = Audit(0, travel(of), seen or readers(of, **before), patience_s=0.0)
    return audit.run(span, newest=newest)


def with_predictions(of: Service, records: list[OutputRecord]) -> dict:
    return readers(of) | {"predictions": MemoryOutput(records)}


def test_what_was_said_is_what_follows(done: Service) -> None:
    """Everything is compared, and the digests are those of all that was said."""
    told = audited(done)
    assert told.difference is None
    for name, one in told.outputs.items():
        assert one.compared == len(done.raw(name)) == one.next_seq
    assert told.records == done.readings[-1].records
    assert told.begun == "the journal's start"


def test_digests_do_not_depend_on_where_the_fold_began(done: Service) -> None:
    """From a checkpoint before the range, or from the start, the same range has the same digests."""
    from_checkpoint = audited(done, Range(first=30))
    assert "checkpoint" in from_checkpoint.begun
    assert from_checkpoint.folded < audited(done).folded
    assert from_checkpoint.first_entry == 30
    journey, digests = travel(done), Digests()
    journey.begin()
    for offset, entry in journey.entries():
        outputs = journey.fold_entry(offset, entry)
        if entry.number >= 30:
            digests.add(outputs)
    assert from_checkpoint.digests == digests.told()


@pytest.mark.parametrize("name", ["predictions", "alarms", "rejects"])
def test_any_changed_byte_is_found(done: Service, name) -> None:
    """Of any record of any output; both values are told, its seq, its offset and its entry."""
    for at in {0, len(done.raw(name)) // 2, len(done.raw(name)) - 1}:
        records = list(done.raw(name))
        changed = records[at].value[:-2] + b"#" + records[at].value[-1:]
        records[at] = records[at]._replace(value=changed)
        found = audited(done, seen=readers(done) | {name: MemoryOutput(records)}).difference
        assert (found.kind, found.output, found.seq, found.offset) == ("value", name, at, at)
        assert (found.expected.value, found.found.value) == (done.raw(name)[at].value, changed)
        journaled = [decode_journal(one) for one in done.broker.task("test").journal]
        entry = next(one for one in journaled if isinstance(one, Entry) and one.number == found.entry)
        after = [one for one in journaled if isinstance(one, Entry) and one.number == found.entry + 1]
        assert entry.first_seq[name] <= at < (after[0].first_seq[name] if after else at + 1)


def test_the_event_is_named(done: Service) -> None:
    """Its id, and where it stands in the topic of events."""
    records = list(done.raw())
    records[30] = records[30]._replace(value=records[30].value.replace(b"0.", b"1.", 1))
    found = audited(done, seen=with_predictions(done, records)).difference
    told = msgspec.json.decode(records[30].value)
    assert dict(found.event) == {"id": told["id"], **told["event"]}


@pytest.mark.parametrize(
    ("change", "kind", "seq"),
    [
        (lambda r: [*r[:30], *r[31:]], "missing", 30),
        (lambda r: r[:-1], "missing", 119),
        (lambda r: [*r[:31], r[30], *r[31:]], "duplicate", 30),
        (lambda r: [*r, r[-1]], "duplicate", 119),
        (lambda r: [*r, r[-1]._replace(seq=120)], "surplus", 120),
        (lambda r: [*r[:30], r[30]._replace(key=b"other"), *r[31:]], "key", 30),
        (lambda r: [*r[:30], r[30]._replace(headers={"more": b""}), *r[31:]], "headers", 30),
        (lambda r: [*r[:30], r[30]._replace(seq=None), *r[31:]], "seq", 30),
        (lambda r: [*r[:30], r[31], r[30], *r[32:]], "missing", 30),
        (lambda r: [], "missing", 0),
    ],
    ids=["gap", "end", "twice", "twice-at-the-end", "surplus", "key", "header", "no-seq", "order", "empty"],
)
def test_other_differences(done: Service, change, kind: str, seq: int) -> None:
    """Missing and surplus records, duplicates, another order, keys and headers are differences as well."""
    found = audited(done, seen=with_predictions(done, change(list(done.raw())))).difference
    assert (found.kind, found.expected.seq if found.expected and found.kind == "seq" else found.seq) == (kind, seq)


def test_records_that_retention_deleted_are_no_difference(done: Service) -> None:
    """They are counted, and the rest is compared."""
    told = audited(done, predictions=50, rejects=len(done.raw("rejects")))
    assert told.difference is None
    one = told.outputs["predictions"]
    assert (one.gone, one.compared) == (50, 70)
    assert (told.outputs["rejects"].gone, told.outputs["rejects"].compared) == (len(done.raw("rejects")), 0)


def test_only_a_range(done: Service) -> None:
    """A change outside the entries that are compared is not seen, one within is."""
    records = list(done.raw())
    records[12] = records[12]._replace(value=b"{}")
    assert audited(done, Range(first=10), seen=with_predictions(done, records)).difference is None
    assert audited(done, Range(last=0), seen=with_predictions(done, records)).difference is None
    assert audited(done, Range(last=2), seen=with_predictions(done, records)).difference.seq == 12
    assert audited(done, newest=True).difference is None


def test_records_said_again_are_allowed_at_least_once(done: Service) -> None:
    """There a record may stand twice after a crash; both times with a seq that was due before."""
    records = list(done.raw())
    journey = travel(done)
    journey.log.repeats = True  # type: ignore[misc]
    audit = Audit(0, journey, with_predictions(done, [*records[:40], *records[33:]]), patience_s=0.0)
    told = audit.run()
    assert told.difference is None
    assert told.outputs["predictions"].repeats == 7


def test_a_service_that_goes_on_is_no_difference() -> None:
    """What is committed while the audit runs comes after its end, or is folded too."""
    made = service(60)
    seen = readers(made)
    write(made.broker, 60, 80)
    made.run()
    told = Audit(0, travel(made), seen, patience_s=0.0).run()
    assert told.difference is None
    late = readers(made)  # opened when more was said than the journal, as first looked at, tells
    assert Audit(0, travel(made), late, patience_s=0.0).run().difference is None


def test_outputs_from_before_a_restart_are_passed_over(done: Service) -> None:
    """A journal that was begun anew numbers on behind them."""
    made = service(60)
    made.broker.task("test").journal.clear()
    made.store.clear("test/0")
    made.run()
    told = audited(made)
    assert told.difference is None
    assert told.outputs["predictions"].first_seq == 60
    assert told.outputs["predictions"].compared == 60


def test_an_audit_writes_nothing(done: Service) -> None:
    """Neither to the log nor to the store."""
    task = done.broker.task("test")
    before = (
        list(task.journal),
        {k: list(v) for k, v in task.outputs.items()},
        task.epoch,
        list(done.store.heads("test/0")),
    )
    audited(done)
    assert before == (list(task.journal), task.outputs, task.epoch, list(done.store.heads("test/0")))


def test_each_task_by_itself() -> None:
    """A partition has its own journal, outputs and checkpoints."""
    broker = MemoryBroker({"events": 2, "labels": 2})
    for task, count in ((0, 30), (1, 50)):
        rows = [
            {"id": f"e{task}-{i}", "card": "c", "time": i * HOUR, "a": float(i % 7), "b": 1.0} for i in range(count)
        ]
        labels = [{"id": row["id"], "y": row["a"] > 3, "time": row["time"] + HOUR} for row in rows]
        broker.append("events", dumps(rows), partition=task)
        broker.append("labels", dumps(labels), partition=task)
    made = Service(config(), broker, MemoryStore(), batch_records=7, checkpoint_records=40)
    made.run()
    for task, count in ((0, 30), (1, 50)):
        told = Audit(task, travel(made, task=task), readers(made, task=task), patience_s=0.0).run()
        assert told.difference is None
        assert told.outputs["predictions"].compared == count
        mixed = Audit(task, travel(made, task=task), readers(made, task=1 - task), patience_s=0.0).run()
        assert mixed.difference is not None
