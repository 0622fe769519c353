"""One decision as it was made: the model of that moment is brought back, and asked what it saw, what it said, and why.

The nearest checkpoint before the event, the journal after it up to the event, and nothing else than the step itself: what
the learners were is shown by ``pipeline/moment.py``. Nothing is written, so a worker may be at work. Read travel.py before.
"""

import difflib
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from learners.base import LABEL, Value
from learners.explanations.background import SIZE, STRIDE, Background
from learners.explanations.base import Explanation
from stream.codec import NO_TIME
from stream.errors import ConfigError, RecordsGone
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.moment import Moment, row_of
from stream.pipeline.watch import Change
from stream.records import Entry, OutputName, OutputRecords, Outputs, Positions, Records, Reject, decode_journal
from stream.replay.search import Tell, label_of
from stream.replay.travel import Travel
from stream.transport.outputs import OutputReader, Said

TAKE = 5000
FIRST = 100
"""Of the journal's records, those among which the first event is looked for."""
BACKGROUND_OFFSETS = 2 * SIZE * STRIDE
"""Before the event from where on rows are taken in that a sampling explanation compares with: enough, whatever is dropped."""

Outcome = Literal["scored", "unanswered", "refused", "duplicate", "tombstone", "waiting", "before", "absent"]
"""unanswered: accepted, but the score was not finite. waiting: not applied yet. before: not of this journal. absent: no
record stands at that offset."""


class _Place(msgspec.Struct):
    offset: int


class _Told(msgspec.Struct):
    """Of a prediction, whose it is."""

    event: _Place


class _Alarm(msgspec.Struct):
    """Of an alarm, what it changed."""

    detector: str
    event: str
    level: str
    time: int
    records: int
    response: str
    learners: list[str]


@dataclass(slots=True)
class Label:
    """The truth, as far as it is known."""

    value: bool | float | str
    how: Literal["a record", "in the event", "met at once"]
    """met at once: it was there when the event came."""
    time_ms: int | None
    """A record's own time; of one that met the event at once the stream time; of one in the event None."""
    where: str = ""
    """Topic and partition of its record."""
    offset: int | None = None


@dataclass(slots=True)
class Age:
    """Of the champion's model: since it began, or began anew."""

    records: int
    since: str
    stream_ms: int | None
    """Stream time since then; None when nobody knows any more."""
    learned_ms: int | None = None
    """Stream time at which it last learned, of what was folded; None: before that."""
    learned_records: int | None = None
    """How many records before the event's."""


@dataclass(slots=True)
class Explained:
    """All that is known of one event."""

    task: int
    topic: str
    partition: int
    offset: int
    outcome: Outcome
    applied: int = 0
    """Up to which offset the journal has applied events."""
    begun: str = ""
    folded: int = 0
    """Records, to get there."""
    entry: int | None = None
    journal_offset: int | None = None
    records: int | None = None
    """Applied before it."""
    id: str = ""
    key: str = ""
    time_ms: int | None = None
    raw: bytes | None = None
    refused: Reject | None = None
    moment: Moment | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    """What each learner's score is held against."""
    seq: int | None = None
    prediction: bytes | None = None
    """As the fold says it."""
    emitted: Said | None = None
    """As it stands in the output; None: no longer."""
    emitted_at: str = ""
    """Topic and partition, or file."""
    emitted_offset: int | None = None
    differs: bool = False
    """Whether what was emitted is not what follows from the records."""
    explanations: dict[str, Explanation | None] = field(default_factory=dict)
    """By learner."""
    label: Label | None = None
    age: Age | None = None


class _Look:
    """The witness: it waits for the record at an offset, and notes when learners last learned before it."""

    def __init__(self, offset: int, records: int) -> None:
        self._offset = offset
        self._applied = records
        self._over = False
        self.batch: Batch | None = None
        """The one that holds the record, once it was there; ``index`` is its place among the batch's events."""
        self.index = -1
        self.records = -1
        """Applied before the record."""
        self.row: int | None = None
        self.moment: Moment | None = None
        self.thresholds: dict[str, float] = {}
        """Where learners have their own."""
        self.learned: tuple[int, int] | None = None
        """Stream time, and records applied by then."""
        self.labelled: tuple[float, int, Sequence[Value]] | None = None
        """The label that met the event in its own step: target, stream time, classes."""

    def asks(self, batch: Batch, arranged: Arranged) -> int | None:
        offsets = batch.events.records.offsets
        if self._over or not offsets or not offsets[0] <= self._offset <= offsets[-1]:
            return None
        index = bisect_left(offsets, self._offset)
        if offsets[index] == self._offset:
            self.batch, self.index = batch, index
            self.row = row_of(batch, arranged, offset=self._offset)
        return self.row

    def at_event(self, moment: Moment) -> None:
        self.moment = moment

    def saw(
        self,
        batch: Batch,
        arranged: Arranged,
        scores: Mapping[str, NDArray[np.float64]],  # noqa: ARG002
        changes: Sequence[Change],  # noqa: ARG002
    ) -> None:
        if self._over:
            return
        program = arranged.program
        labels = np.flatnonzero(program.op == LABEL)
        if self.batch is not None:
            self._over, self.records = True, self._applied + _position(batch, self.index)
            if self.row is not None:
                self.thresholds = {name: float(own[self.row]) for name, own in arranged.thresholds.items()}
            own = labels[program.row[labels] == self.row] if self.row is not None else labels[:0]
            cause = arranged.draft.cause  # a label that came later in the same step did not meet the event at once
            own = [op for op in own.tolist() if self.moment is not None and cause[op] == cause[self.moment.op]]
            if own:
                op = own[0]
                self.labelled = float(program.target[op]), int(program.time_ms[op]), program.classes
            labels = labels[labels < self.moment.op] if self.moment is not None else labels[:0]
        if len(labels):
            op = int(labels[-1])
            self.learned = int(program.time_ms[op]), self._applied + arranged.draft.cause[op] + 1
        self._applied += sum(batch.order[1::2])


def _position(batch: Batch, index: int) -> int:
    """Of an event, its place among all records of the batch."""
    at = 0
    for which, start, stop in batch.runs():
        if which == 0 and start <= index < stop:
            return at + index - start
        at += stop - start
    raise IndexError(index)


class Explain:
    """Of one task.

    Parameters
    ----------
    travel : Travel
        Not begun.
    readers : callable
        Opens what was emitted, by the output's name.
    tell : callable
        Called while records are read, with their count and the share that is done.
    """

    def __init__(
        self, task: int, travel: Travel, readers: Callable[[OutputName], OutputReader], tell: Tell
    ) -> None:  # fmt: skip
        self._task = task
        self._travel = travel
        self._readers = readers
        self._tell = tell

    def at(self, offset: int) -> Explained:
        """What became of the event at this offset.

        Raises
        ------
        RecordsGone
            Neither a checkpoint before it nor the journal's start can be reached.
        JournalBroken, StoreUnavailable
        """
        travel, source = self._travel, self._travel.inputs[0]
        told = Explained(self._task, source.topic, source.partition, offset, "waiting")
        told.applied = travel.end().positions[0]
        if offset >= told.applied:
            return told
        travel.begin(lambda head: head.positions[0] <= offset)
        told.begun = travel.begun
        start = since = travel.place.positions
        if offset < start[0]:
            told.outcome = "before"
            return told
        look = _Look(offset, travel.fold.state.clock.records)
        for journal_offset, entry in travel.entries():
            if entry.positions[0] > offset - BACKGROUND_OFFSETS and travel.fold.state.background is None:
                travel.fold.state.background = Background()
            outputs = travel.fold_entry(journal_offset, entry, look)
            told.folded += sum(span.count for span in entry.spans)
            self._tell(told.folded, min((entry.positions[0] - start[0]) / max(offset - start[0], 1), 1.0))
            if entry.positions[0] > offset:
                told.entry, told.journal_offset = entry.number, journal_offset
                self._look_closer(told, look, outputs, since)
                return told
            since = entry.positions
        raise AssertionError(f"the journal ends before offset {offset}, which it said it does not")

    def _look_closer(self, told: Explained, look: _Look, outputs: Outputs, since: Positions) -> None:
        """Everything about the record that ``look`` saw; ``since``: where the inputs stood before its entry."""
        if look.batch is None:
            told.outcome = "absent"
            return
        events, index = look.batch.events, look.index
        told.records, told.raw = look.records, events.records.values[index]
        told.id, told.key, told.time_ms = events.ids[index], events.keys[index], events.times_ms[index]
        told.refused = events.rejects.get(index)
        if index in events.tombstones:
            told.outcome = "tombstone"
        elif told.refused is not None:
            told.outcome = "refused"
        elif look.moment is None:
            told.outcome = "duplicate"
            if (why := _reject_of(outputs, told)) is not None:
                told.outcome, told.refused = "refused", why
        else:
            told.moment = look.moment
            fixed = self._travel.fold.plan.threshold
            told.thresholds = {name: look.thresholds.get(name, fixed) for name in look.moment.learners}
            self._answered(told, look.moment, outputs)
            told.label = self._label(told, look, since)
            told.age = self._age(told, look)

    def _answered(self, told: Explained, moment: Moment, outputs: Outputs) -> None:
        said = outputs["predictions"]
        places = (msgspec.json.decode(value, type=_Told).event.offset for value in said.values)
        place = next((place for place, offset in enumerate(places) if offset == told.offset), None)
        told.explanations = {name: moment.explain(name) for name in moment.learners}
        if place is None:
            told.outcome, told.refused = "unanswered", _reject_of(outputs, told)
            return
        told.outcome, told.seq, told.prediction = "scored", said.first_seq + place, said.values[place]
        with closing(self._readers("predictions")) as reader:
            told.emitted_at = reader.where
            reader.seek(told.seq)
            while len(stretch := reader.take(TAKE)):
                if told.seq in stretch.seqs:
                    at = stretch.seqs.index(told.seq)
                    told.emitted, told.emitted_offset = stretch.at(at), stretch.offsets[at]
                    form = reader.form(OutputRecords(told.seq, [said.keys[place]], [told.prediction]))
                    told.differs = form.at(0) != told.emitted
                if any(seq is not None and seq >= told.seq for seq in stretch.seqs):
                    return

    def _label(self, told: Explained, look: _Look, since: Positions) -> Label | None:
        assert look.batch is not None
        rules = self._travel.fold.state.join.rules
        if look.labelled is not None:
            target, met_ms, classes = look.labelled
            return Label(_value(target, classes, truths=rules.truths), "met at once", met_ms)
        labels = look.batch.events.labels
        if labels is not None:
            value = labels[look.index]
            return None if value is None else Label(_value(value, (), truths=rules.truths), "in the event", None)
        found = label_of(self._travel.log, self._travel.fold, told.id, since, self._tell)
        if found is None or found.value is None:
            return None
        where = f"{found.input.topic}/{found.input.partition}"
        return Label(_value(found.value, (), truths=rules.truths), "a record", found.time_ms, where, found.offset)

    def _age(self, told: Explained, look: _Look) -> Age:
        """Since the champion began, or a response let it begin anew: alarms say when."""
        moment = told.moment
        assert moment is not None
        age = Age(moment.records, "the journal's start", self._stream_ms(moment))
        with closing(self._readers("alarms")) as reader:
            while len(stretch := reader.take(TAKE)):
                for value in stretch.values:
                    alarm = msgspec.json.decode(value, type=_Alarm)
                    if alarm.records > moment.records:
                        break
                    if alarm.response == "reset" and alarm.level == "alarm" and moment.champion in alarm.learners:
                        since = f"{alarm.detector} reset it at event {alarm.event}"
                        age = Age(moment.records - alarm.records, since, moment.time_ms - alarm.time)
            if reader.trimmed and age.since == "the journal's start":
                age.since = "the journal's start, or a reset whose alarm is no longer there"
        if look.learned is not None:
            learned_ms, applied = look.learned
            age.learned_ms, age.learned_records = learned_ms, max(moment.records - applied, 0)
        return age

    def _stream_ms(self, moment: Moment) -> int | None:
        """Stream time from the journal's first event to this one; None when that event is no longer there."""
        log = self._travel.log
        try:
            entries = (decode_journal(item.value) for item in log.entries(-1))
            spans = (span for one in entries if isinstance(one, Entry) for span in one.spans if span.input == 0)
            span = next((span for span in spans if span.count), None)
            records = log.read([span])[0].slice(0, FIRST) if span is not None else Records()
        except RecordsGone:
            return None
        times = (time for time in self._travel.fold.event_decoder.decode(records).times_ms if time != NO_TIME)
        first = next(times, None)
        return None if first is None else max(moment.time_ms - first, 0)


def _reject_of(outputs: Outputs, told: Explained) -> Reject | None:
    """Why a record was refused after it was decoded."""
    for headers in outputs["rejects"].headers or ():
        place = headers["topic"], headers["partition"], headers["offset"]
        if place == (told.topic.encode(), b"%d" % told.partition, b"%d" % told.offset):
            return Reject(headers["reason"].decode(), headers["stage"].decode(), headers["error"].decode())  # type: ignore[arg-type]
    return None


def _value(target: float | str, classes: Sequence[Value], *, truths: bool) -> bool | float | str:
    if classes and not isinstance(target, str):
        return str(classes[int(target)])
    return target > 0.5 if truths and not isinstance(target, str) else target


def changes_of(moment: Moment, words: Sequence[str]) -> dict[str, Value | None]:
    """``amount=20`` and the like, as the features that they name. Without a value a feature is taken away.

    Raises
    ------
    ConfigError
        There is no such feature, or it is of another kind.
    """
    known = moment.names or tuple(moment.features)
    changes: dict[str, Value | None] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"features are {', '.join(known)}"
            wrong = f"there is no feature {name!r}" if equals else "expected NAME=VALUE"
            raise ConfigError(f"--what-if {word}: {wrong}", hint)
        changes[name] = _typed(word, text, moment.features.get(name)) if text else None
    return changes


def _typed(word: str, text: str, like: Value | None) -> Value:
    """A value of the kind that the feature has now; of one that is absent, of the kind that it looks like."""
    if isinstance(like, bool) or (like is None and text in {"true", "false"}):
        if text not in {"true", "false"}:
            raise ConfigError(f"--what-if {word}: expected true or false")
        return text == "true"
    if isinstance(like, str):
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    if like is None:
        return text
    raise ConfigError(f"--what-if {word}: expected a finite number")


def answer_of(
    moment: Moment, scores: NDArray[np.float64], threshold: float
) -> tuple[float | None, bool | float | str | None]:
    """Score and prediction of a row of a learner's scores, as a prediction tells them; None where it is not finite."""
    if not np.isfinite(scores).any():
        return None, None
    if moment.problem == "multiclass":
        known = np.where(np.isnan(scores), -np.inf, scores)
        best = int(known.argmax())
        return float(known[best]), moment.classes[best] if known[best] > 0 else None
    score = float(scores[0])
    return score, score if moment.problem == "regression" else score >= threshold
