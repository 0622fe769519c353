"""What must hold after a history, whatever happened in it: the promise of DESIGN.md, checked from outside.

The reference folds what the journal tells, record by record of the input topics, with a loop of its own: no worker, no
recovery, no checkpoint. Where all records were there beforehand, a second one knows the order too, without the journal.
"""

from collections import Counter
from operator import ge
from typing import Any

from stream.build_fold import build_fold
from stream.pipeline.fold import Fold
from stream.pipeline.learn import LearnFailure
from stream.records import OUTPUTS, Claim, Entry, Input, Records, decode_journal
from stream.runtime.merge import Merge, batch_of
from stream.runtime.task import Task
from stream.transport.base import Fetched
from stream.transport.spans import span_of
from tests.simulation.broker import Stored
from tests.simulation.ends import Audit
from tests.simulation.lab import canonical, settled
from tests.simulation.play import Play
from tests.simulation.store import need

Said = dict[str, list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]]
"""Of each output: seq, key, value, further headers."""


class Reference:
    """One task, folded without interruption."""

    def __init__(self, play: Play, number: int, inputs: tuple[Input, ...], told: dict[str, object]) -> None:
        self.play = play
        self.number = number
        self.inputs = inputs
        self.told = told
        topics = [play.broker.partition((one.topic, one.partition)) for one in inputs]
        self.topics = [one.fetch(0, 1 << 60, committed=True)[0] for one in topics]  # also what retention took since
        self.fold: Fold = build_fold(told, inputs)
        self.said: Said = {name: [] for name in OUTPUTS}
        self.entries: list[Entry] = []
        self.void = 0
        self.first_seq = dict.fromkeys(OUTPUTS, 0)
        """Where the journal's outputs begin: behind those of a journal that was begun anew."""

    def say(self, outputs: Any) -> None:
        for name, out in outputs.items():
            headers = out.headers or [{}] * len(out)
            rows = zip(out.keys, out.values, headers, strict=True)
            self.said[name] += [(out.first_seq + place, *row) for place, row in enumerate(rows)]

    def follow_journal(self) -> "Reference":
        """In the journal's order; its entries must number densely, and each go on where the last ended."""
        token, number = -1, 0
        exactly = self.play.history.delivery == "exactly_once"
        at = [0] * len(self.inputs)
        for slot in self.play.broker.committed("journal", self.number):
            assert slot.value is not None
            record = decode_journal(slot.value)
            if isinstance(record, Claim):
                if exactly:  # else what a zombie wrote in vain may have misled the claim, and nothing rests on that
                    need(record.number == number, f"claim at {slot.offset} says entry {record.number}, not {number}")
                    need(list(record.positions) == at, f"claim at {slot.offset} begins at {record.positions}, not {at}")
                if token == -1 and self.play.restarted:
                    self.first_seq |= record.next_seq  # type: ignore[arg-type]
                    self.fold.state.clock.next_seq |= self.first_seq
                token = slot.offset
                continue
            if record.token != token:
                self.void += 1
                continue
            need(record.number == number, f"entry {record.number} at {slot.offset}, should be {number}")
            number += 1
            records = [self._span(span, at) for span in record.spans]
            need(all(map(ge, record.positions, at)), f"entry {record.number} goes back from {at} to {record.positions}")
            at = list(record.positions)
            batch = batch_of(self.fold, record, records, len(self.inputs))
            self.say(self.fold.step(batch))
            self.entries.append(record)
        return self

    def _span(self, span: Any, at: list[int]) -> Records:
        """The records from where the input stands, so many as the span says; they must be those that it names."""
        topic = [slot for slot in self.topics[span.input] if slot.offset >= at[span.input]][: span.count]
        records = columns(topic)
        need(
            records.offsets and records.offsets[0] >= span.start and records.offsets[-1] + 1 == span.stop
            and span_of(span.input, span.start, records).crc == span.crc,
            f"a span of the journal {span} is not what follows in its input: {records.offsets}",
        )  # fmt: skip
        return records

    def know_beforehand(self) -> "Reference":
        """In the order that the times say, all records at hand; who raises is skipped, and all begins anew."""
        skips: tuple[Any, ...] = ()
        while True:
            fold = self.fold = build_fold(self.told, self.inputs)
            clock = fold.state.clock
            clock.next_seq |= self.first_seq
            merge = Merge(fold, (0,) * len(self.inputs), 1 << 40, clock.reaches, clock.jump_max_ms)
            merge.add(Fetched(tuple(columns(topic) for topic in self.topics), (True,) * len(self.inputs)))
            taken = merge.take(1 << 40)
            if taken is None:
                return self
            taken.batch.skips = skips
            self.said = {name: [] for name in OUTPUTS}
            try:
                self.say(fold.step(taken.batch))
            except LearnFailure as failure:
                skips = (*skips, failure.skip)
            else:
                return self


def columns(slots: list[Stored]) -> Records:
    return Records(
        [slot.offset for slot in slots], [slot.timestamp_ms for slot in slots], [slot.key for slot in slots],
        [slot.value for slot in slots],
    )  # fmt: skip


def check(play: Play) -> None:
    """Raises Diverged."""
    owners = play.owners()
    assert owners is not None
    for number in play.tasks:
        check_task(play, number, owners[number])


def check_task(play: Play, number: int, task: Task) -> None:
    inputs = task._log.inputs  # type: ignore[union-attr]
    reference = Reference(play, number, inputs, task._lineage).follow_journal()
    for one, topic, at in zip(inputs, reference.topics, task._place.positions, strict=True):
        rest = [slot.offset for slot in topic if slot.offset >= at]
        need(not rest, f"task {number}: {one.topic}/{one.partition} is not applied from {rest[:1]} on")
    check_outputs(play, number, reference)
    check_offsets(play, inputs, reference)
    state = settled(reference.fold)
    need(settled(task._fold) == state, f"task {number}: the owner's state is not that of an uninterrupted run")
    if play.history.seed % 2:
        need(told(task._fold) == told(reference.fold), f"task {number}: what the owner tells is not as uninterrupted")
    if play.history.fed:
        check_order(play, number, reference)
        calm = Reference(play, number, inputs, task._lineage)
        calm.first_seq = reference.first_seq
        calm.know_beforehand()
        need(
            calm.said == reference.said,
            f"task {number}: not what a calm run says{difference(calm.said, reference.said)}",
        )
        if play.history.seed % 2:
            need(settled(calm.fold) == state, f"task {number}: the state is not that of a calm run")
    check_balance(play, number, reference)
    if not play.history.seed % 2:
        check_store(play, number, reference, task, state)


def check_outputs(play: Play, number: int, reference: Reference) -> None:
    for name in OUTPUTS:
        slots = play.broker.committed(name, number)
        anew = play.restarted.get((name, number), 0)
        told = [row(slot) for slot in slots if slot.offset >= anew]
        due = reference.said[name]
        if play.history.delivery == "exactly_once":
            before = len(slots) - len(told)
            need(reference.first_seq[name] == before, f"task {number}: {name} go on behind {before} otherwise")
            need(told == due, f"task {number}: {name} are not those of an uninterrupted run{difference(due, told)}")
            seqs = [row(slot)[0] for slot in slots]
            need(seqs == list(range(len(seqs))), f"task {number}: {name} are not dense")
            continue
        there = set(map(freeze, told))
        lost = [one[0] for one in due if freeze(one) not in there]
        need(not lost, f"task {number}: {name} {lost} were never said")
        if not reference.void:
            more = there - set(map(freeze, due))
            need(not more, f"task {number}: {name} {sorted(one[0] for one in more)} were said otherwise when repeated")


def told(fold: Fold) -> object:
    """What a state tells, asked of its objects and not of what they would save."""
    state = fold.state
    metrics = {name: (one.all(), one.recent()) for name, one in state.metrics.items()}
    frozen = sorted(state.roles.frozen), sorted(state.roles.learn_errors.items())
    return canonical((frozen, metrics, state.coverage.all(), sorted(state.clock.counts.items())))


def check_order(play: Play, number: int, reference: Reference) -> None:
    """All records were there beforehand: by the largest time so far of their input, labels first. Wild times are left out."""
    jump_ms = play.settings.time_jump_max.ms
    due: list[tuple[int, bool, int, int]] = []
    for which, topic in enumerate(reference.topics):
        decode = reference.fold.labels if which else reference.fold.events
        largest: int | None = None
        for place, time_ms in enumerate(decode(columns(topic)).times_ms):
            if largest is not None and (time_ms > largest + jump_ms or (place == 1 and largest > time_ms + jump_ms)):
                return  # the second record tells whether the first was wild
            largest = time_ms if largest is None else max(largest, time_ms)
            due.append((largest, which == 0, which, place))
    taken: list[int] = []
    for entry in reference.entries:
        for which, count in zip(entry.order[::2], entry.order[1::2], strict=True):
            taken += [which] * count
    need(
        taken == [which for *_, which, _ in sorted(due)],
        f"task {number}: records were not taken in the order of their times",
    )


def check_offsets(play: Play, inputs: tuple[Input, ...], reference: Reference) -> None:
    """What the group says of the inputs is where the journal is."""
    group = next(iter(play.broker.groups.values()))
    if play.history.delivery == "exactly_once" and reference.entries:
        for one, position in zip(inputs, reference.entries[-1].positions, strict=True):
            told = group.offsets.get((one.topic, one.partition))
            shared = sum(other.topic == one.topic for other in inputs) > 1 or told is None
            need(
                shared or told == position,
                f"the group's offset of {one.topic}/{one.partition} is {told}, not {position}",
            )


def row(slot: Stored) -> tuple[int, bytes | None, bytes | None, dict[str, bytes]]:
    headers = dict(slot.headers or [])
    return int(headers.pop("seq")), slot.key, slot.value, headers


def freeze(one: tuple[int, bytes | None, bytes | None, dict[str, bytes]]) -> tuple[Any, ...]:
    return (*one[:3], tuple(sorted(one[3].items())))


def difference(due: Any, told: Any) -> str:
    if isinstance(due, dict):
        return next((difference(due[name], told[name]) for name in due if due[name] != told[name]), "")
    for place, (a, b) in enumerate(zip(due, told, strict=False)):
        if a != b:
            return f"; first at {place}: {b} instead of {a}"
    return f"; {len(told)} instead of {len(due)}: {[one[0] for one in told][-5:]}"


def check_balance(play: Play, number: int, reference: Reference) -> None:
    """Each record is in exactly one of: an output, a reject, a count of what was dropped, or it waits."""
    world, state = play.history.world, reference.fold.state
    reasons = Counter((headers["topic"], headers["reason"].decode()) for *_, headers in reference.said["rejects"])
    settings = world.settings.labels
    assert settings is not None
    broadcast = settings.partitioning == "broadcast"
    labels = [value for of, values in enumerate(world.labels) if broadcast or of == number for value in values]
    own = labels if settings.own_stream else None
    skips = sum(skip.learner == state.roles.champion for entry in reference.entries for skip in entry.skips)
    balance(world.events[number], own, len(reference.said["predictions"]), reasons, state, skips)


def balance(
    events: list[Any], labels: list[Any] | None, said: int, reasons: Counter[Any], state: Any, skips: int | None = None
) -> None:
    """See check_balance; ``labels`` is None when they ride in the events, ``skips`` are labels that the champion did not learn."""
    counts, coverage = state.clock.counts, state.coverage.all()
    unread = {"decode", "schema", "non_finite", "out_of_range", "too_wide", "too_deep"}
    tombstones = sum(value is None for value in events)
    refused = sum(n for (topic, reason), n in reasons.items() if topic == b"events" and reason != "learn_error")
    need(state.clock.records == len(events) + len(labels or ()), "records were not counted once each")
    need(len(events) == said + refused + counts["events_duplicate"] + tombstones, "events do not balance")
    need(coverage["events"] == said + reasons[b"events", "predict_error"], "the coverage of events does not balance")
    unlearned = reasons[b"events", "learn_error"] + reasons[b"labels", "learn_error"]
    need(skips is None or unlearned == skips, "a skip is not one reject")
    if labels is None:
        return
    tombstones = sum(value is None for value in labels)
    told = Counter({reason: n for (topic, reason), n in reasons.items() if topic == b"labels"})
    need(counts["labels"] == len(labels) - tombstones - sum(told[reason] for reason in unread), "labels: not all read")
    kinds = ("duplicate", "replaced", "conflicting", "late", "orphaned", "unmatched")  # others are in the coverage
    met = sum(counts[f"labels_{kind}"] for kind in kinds)
    due = coverage["labelled"] + met + told["label_domain"] + state.join.parked
    need(counts["labels"] == due, "labels do not balance")
    for reason, kind in (("label_late", "late"), ("label_orphan", "orphaned")):
        need(told[reason] == counts[f"labels_{kind}"], f"{reason}: not as many rejects as counted")


def check_store(play: Play, number: int, reference: Reference, task: Task, state: object) -> None:
    """Recovery from what the store holds, whatever befell it, comes to the same state."""
    audit = Audit(play, number, task)
    fold = audit.recover().fold
    need(settled(fold) == state, f"task {number}: recovered from the store it is another state")
    need(told(fold) == told(reference.fold), f"task {number}: recovered from the store it tells something else")
