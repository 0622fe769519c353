"""Events wait for their labels here: which label meets which event, when silence counts, what is refused.

Pure and bounded: rows are remembered by stream time and by count, early labels by both. An event's row number is its
place among the accepted events of the task; rows leave in that order. It is not the place where anything learns: it
writes the program that the learners run. Read batch.py before, step.py next.

A row's life::

    WAITING ──label──▶ LABELLED ──the same again──▶ counted;  ──another──▶ conflict (first wins, or the last is learned)
       │ └─silence─▶ ASSUMED ──a label that differs──▶ LABELLED, learned again
       └──wait is over──▶ EXPIRED ──label──▶ reject label_late
    EXEMPT ──label──▶ LABELLED: it waits as well, but of it silence says nothing
    after ``wait`` its features are dropped, after ``wait + park`` its id
"""

from collections.abc import Iterable, Iterator, Mapping
from math import isnan

import numpy as np
from numpy.typing import NDArray

from learners.rows import Frame, Layout
from stream.codec import Events, Labels
from stream.pipeline.batch import AT_END, UNKNOWN, Arranged, Batch, Draft, Refusal
from stream.pipeline.clock import NEVER, Clock
from stream.pipeline.due import Due
from stream.pipeline.parking import IncomingLabel, Parking
from stream.pipeline.rules import JoinRules
from stream.pipeline.runs import arrange_delayed, plain_times
from stream.pipeline.waiting import Columns, WaitingRows
from stream.records import Records, Reject

WAITING, ASSUMED, LABELLED, EXPIRED, EXEMPT = range(5)


def _too_many(value: object) -> Reject:
    return Reject("label_domain", "join", f"class {value!r} is one more than classes_max")


class Join:
    """Which events wait, which labels have come, which ids are known. A part of the state.

    Parameters
    ----------
    rules : JoinRules
    layout : Layout
        Of the features of a row.
    classes : tuple of str
        Known classes, for multiclass problems; else empty.
    """

    codec = "pickle"

    def __init__(self, rules: JoinRules, layout: Layout, classes: tuple[str, ...] = ()) -> None:
        self.rules = rules
        self.layout = layout
        self.classes: list[str]
        self._class_index: dict[str, int]
        self.know(classes)
        self.keeps_rows = rules.field_delay_ms != 0
        """A label that rides in its event and is known at once needs no waiting row."""
        self._known: dict[str, int] = {}
        self._rows = WaitingRows(layout)
        self._due = Due(rules, self._rows)
        self._expire = self._forget = 0  # the next row number for each
        self._wake_ms = NEVER
        self._parking = Parking(rules.park_ms, rules.park_max)
        self._exempt = None if rules.exempt is None else layout.test(*rules.exempt)

    @property
    def waiting(self) -> int:
        """Rows whose label can still come."""
        return self._rows.next - self._expire

    @property
    def parked(self) -> int:
        """Labels that wait for their event."""
        return len(self._parking)

    @property
    def left(self) -> int:
        """Rows whose label rides in the event and has not fallen due: what ``Fold.flush`` reveals."""
        return self._due.left

    # --- arranging a batch ------------------------------------------------------------------------------------

    def arrange(self, batch: Batch, clock: Clock) -> Arranged:
        """Write the program of a batch. Changes who waits; learns nothing."""
        draft = Draft()
        self._first_row = self._rows.next
        position = 0
        for which, start, stop in batch.runs():
            if which == 0 and not self._clean_run(draft, batch.events, start, stop, position, clock):
                self._events(draft, batch.events, start, stop, position, clock)
            elif which:
                self._labels(draft, which, batch.labels[which - 1], start, stop, position, clock)
            position += stop - start
        for number, due_ms in self._due.rest(min(batch.flush, self.left)):
            self._fall_due(draft, number, max(clock.stream_time_ms, due_ms), AT_END, clock)
        return self._arranged(draft, batch.events)

    def _clean_run(self, draft: Draft, events: Events, start: int, stop: int, position: int, clock: Clock) -> bool:
        """Do what ``_events`` does, all at once, when nothing can come between; else do nothing and say so.

        That is: labels ride in the events and are known at once, or all after the same time; ids are new, times neither
        fall nor leap, no wait ends that could matter to these events. A fifth of the cost an event.
        """
        odd = self.classes or self.rules.open_classes or self._parking or (self.keeps_rows and not self._due.is_plain)
        times = None if odd else plain_times(events, start, stop, clock)
        if times is None:
            return False
        ids, first, newest, labels = events.ids[start:stop], self._rows.next, int(times[-1]), events.labels
        delayed, full = self._due.is_plain, first + len(ids) - self._forget > self.rules.waiting_max
        new = dict(zip(ids, range(first, first + len(ids)), strict=True))
        if len(new) < len(ids) or not self._known.keys().isdisjoint(new):
            return False
        if (full or newest - self._due.after_ms >= times[0]) if delayed else newest >= self._wake_ms:
            return False
        targets = None if labels is None else np.array(labels[start:stop], np.float64)
        if delayed:
            arrange_delayed(draft, self._rows, self._due, range(start, stop), times, position, WAITING, LABELLED)
        else:
            draft.clean_run(range(start, stop), times, position, targets)
        self._known |= new
        self._rows.extend(ids, times, WAITING if delayed or targets is None else LABELLED, targets)
        clock.see(newest)
        if newest >= self._wake_ms:
            self._release(draft, newest, position + stop - start - 1, clock)
        while self._rows.next - self._forget > self.rules.waiting_max:
            self._drop_oldest(clock)
        return True

    def _events(self, draft: Draft, events: Events, start: int, stop: int, position: int, clock: Clock) -> None:
        ids, times, labels, delays = events.ids, events.times_ms, events.labels, events.delays_ms
        known, rows, immediate = self._known, self._rows, not self.keeps_rows
        waiting_max, after_events, exempt = self.rules.waiting_max, self._due.after_events, self._exempt
        now = clock.stream_time_ms
        for index in range(start, stop):
            cause = position + index - start
            event = ids[index]
            if not event:
                self._refuse_or_count(draft, 0, events.records, index, events.rejects.get(index), cause, clock)
                continue
            time_ms = times[index]
            if time_ms < now:
                clock.counts["events_out_of_order"] += 1
            now = clock.see(time_ms)
            if now >= self._wake_ms:
                self._release(draft, now, cause, clock)
            if event in known:
                clock.counts["events_duplicate"] += 1
                continue
            label = labels[index] if labels is not None else None
            target = UNKNOWN if label is None else self._target(draft, label, clock, known_to=len(draft.accepted) + 1)
            if label is not None and target != target:  # noqa: PLR0124 - NaN
                why = _too_many(label)
                self._refuse_or_count(draft, 0, events.records, index, why, cause, clock)
                continue
            if after_events is not None and rows.next - self._due.next >= after_events:
                self._release_counted(draft, now, cause, clock)
            at_once = immediate and target == target  # noqa: PLR0124 - not NaN
            status = LABELLED if at_once else WAITING
            if exempt is not None and exempt(events.rows[index]):
                status = EXEMPT
                clock.counts["events_exempt"] += 1
            number = known[event] = rows.append(event, time_ms, now, status, target)
            draft.event(now, cause)
            draft.accepted.append(index)
            if delays is not None:
                self._due.add(number, now + delays[index], labelled=target == target)  # noqa: PLR0124 - not NaN
                self._wake_ms = min(self._wake_ms, now + delays[index])
            if at_once:
                draft.label(number - self._first_row, now, cause, target)
                draft.ages_ms.append(now - time_ms)
            if self._parking:
                for early in self._parking.take(event):
                    self._meet(draft, early, number, now, cause, clock)
            if number - self._forget >= waiting_max:
                self._drop_oldest(clock)

    def _labels(
        self, draft: Draft, which: int, labels: Labels, start: int, stop: int, position: int, clock: Clock
    ) -> None:
        records, now = labels.records, clock.stream_time_ms
        for index in range(start, stop):
            event, value, cause = labels.ids[index], labels.values[index], position + index - start
            if not event or value is None:
                self._refuse_or_count(draft, which, records, index, labels.rejects.get(index), cause, clock)
                continue
            clock.counts["labels"] += 1
            label = IncomingLabel(
                event, value, now, which, records.offsets[index], records.timestamps_ms[index], records.keys[index],
                records.values[index],
            )  # fmt: skip
            number = self._known.get(event)
            if number is None:
                self._park(draft, label, cause, clock)
            else:
                self._meet(draft, label, number, now, cause, clock)

    def _meet(self, draft: Draft, label: IncomingLabel, number: int, now: int, cause: int, clock: Clock) -> None:
        """A label and the row that it is about. One that is refused brings no class along."""
        status, truth = self._rows.marked(number)
        if status == EXPIRED:
            clock.counts["labels_late"] += 1
            draft.refuse(label, cause, Reject("label_late", "join", f"event {label.id} no longer waits"))
            return
        kept = status == LABELLED and not (self.rules.last_wins and number >= self._expire and self.keeps_rows)
        if kept and not self._is(label.value, truth):
            clock.counts["labels_conflicting"] += 1
            error = f"event {label.id} has label {self._told(truth)}, this says {self._told(label.value)}"
            draft.refuse(label, cause, Reject("label_conflict", "join", error))
            return
        target = self._target(draft, label.value, clock, known_to=len(draft.accepted))
        if target != target:  # noqa: PLR0124 - NaN
            draft.refuse(label, cause, _too_many(label.value))
            return
        if status != LABELLED:
            draft.ages_ms.append(now - self._rows.time_ms(number))
        if truth == target and status != WAITING:
            clock.counts["labels_confirming" if status == ASSUMED else "labels_duplicate"] += 1
            self._rows.mark(number, LABELLED, target)
            return
        if status == LABELLED:
            clock.counts["labels_replaced"] += 1
            self._replaced(draft, label, truth, target, cause)
        elif status == ASSUMED:
            clock.counts["labels_corrected"] += 1
            draft.weights[len(draft.op)] = self.rules.correction_weight
        self._rows.mark(number, LABELLED, target)
        draft.origin[len(draft.op)] = label
        draft.label(self._row(draft, number), now, cause, target, UNKNOWN if status == WAITING else truth)

    def _is(self, value: float | str, target: float) -> bool:
        return (value if isinstance(value, float) else self._class_index.get(value)) == target

    def _target(self, draft: Draft, value: float | str, clock: Clock, *, known_to: int) -> float:
        """A label as the program holds it; a new class gets the next index, NaN when there are too many.

        A new class is known to the batch's events from number ``known_to`` on.
        """
        if isinstance(value, float):
            return value
        index = self._class_index.get(value)
        if index is None:
            if len(self.classes) >= self.rules.classes_max:
                return UNKNOWN
            clock.counts["classes_new"] += 1
            draft.grown.append(known_to)
            index = self._class_index[value] = len(self.classes)
            self.classes.append(value)
        return float(index)

    def _row(self, draft: Draft, number: int) -> int:
        """A row number as the program's row; earlier batches' rows are negative until the program is written."""
        if number >= self._first_row:
            return number - self._first_row
        return -1 - draft.old.setdefault(number, len(draft.old))

    # --- what stream time brings --------------------------------------------------------------------------------

    def _release(self, draft: Draft, now: int, cause: int, clock: Clock) -> None:
        """Labels that are due, rows whose wait is over, ids that are forgotten, parked labels that met nobody."""
        rows, rules = self._rows, self.rules
        for number in self._due.by(now):
            self._fall_due(draft, number, now, cause, clock)
        while self._expire < self._due.waits_to and rows.seen_ms(self._expire) <= now - rules.wait_ms:
            self._end_wait(clock, "events_unlabelled")
        while self._forget < self._expire and rows.seen_ms(self._forget) <= now - rules.wait_ms - rules.park_ms:
            self._known.pop(rows.id(self._forget))
            self._forget += 1
        for label in self._parking.overdue(now):
            self._orphan(draft, label, cause, clock)
        self._set_wake(now)

    def _release_counted(self, draft: Draft, now: int, cause: int, clock: Clock) -> None:
        """Labels that are due just before the event to come, where events are counted: then their waits are over, too."""
        rows, rules = self._rows, self.rules
        for number in self._due.counted():
            self._fall_due(draft, number, now, cause, clock)
        while self._expire < self._due.next:
            self._end_wait(clock, "events_unlabelled")
        self._wake_ms = min(self._wake_ms, rows.seen_ms(self._forget) + rules.wait_ms + rules.park_ms)

    def _fall_due(self, draft: Draft, number: int, now: int, cause: int, clock: Clock) -> None:
        if number < self._forget:
            return  # it had to go before its time
        status, truth = self._rows.marked(number)
        if status != WAITING:
            return
        if not self.rules.in_events:
            assert self.rules.assume is not None
            self._rows.mark(number, ASSUMED, self.rules.assume)
            clock.counts["labels_assumed"] += 1
            draft.origin[len(draft.op)] = None
            draft.label(self._row(draft, number), now, cause, self.rules.assume)
        elif truth == truth:  # noqa: PLR0124 - not NaN: the event did carry a label
            self._rows.mark(number, LABELLED, truth)
            draft.ages_ms.append(now - self._rows.time_ms(number))
            draft.origin[len(draft.op)] = None
            draft.label(self._row(draft, number), now, cause, truth)

    def _end_wait(self, clock: Clock, count: str) -> None:
        status, truth = self._rows.marked(self._expire)
        if status in (WAITING, ASSUMED, EXEMPT):
            if status != ASSUMED:
                clock.counts[count] += 1
            self._rows.mark(self._expire, EXPIRED, truth)
        self._expire += 1

    def _drop_oldest(self, clock: Clock) -> None:
        """More rows are remembered than ``waiting_max``: the oldest is forgotten before its time."""
        if self._forget == self._expire:
            self._end_wait(clock, "events_dropped")
        self._known.pop(self._rows.id(self._forget))
        self._forget += 1
        self._due.begin_at(self._forget)

    def _set_wake(self, now: int) -> None:
        rows, rules = self._rows, self.rules
        heads = [now + min(self._due.after_ms, rules.wait_ms), self._due.wake_ms()]
        # where ids are remembered only to drop duplicates, they are forgotten in bunches
        late_ms = 0 if self.keeps_rows else rules.wait_ms // 64
        if self._expire < self._due.waits_to:
            heads.append(rows.seen_ms(self._expire) + rules.wait_ms + late_ms)
        if self._forget < self._expire:
            heads.append(rows.seen_ms(self._forget) + rules.wait_ms + rules.park_ms + late_ms)
        if (wake := self._parking.wake_ms) is not None:
            heads.append(wake)
        self._wake_ms = min(heads)

    # --- refusals ---------------------------------------------------------------------------------------------

    def _park(self, draft: Draft, label: IncomingLabel, cause: int, clock: Clock) -> None:
        self._wake_ms = min(self._wake_ms, label.since_ms + self.rules.park_ms)
        if (oldest := self._parking.add(label)) is not None:
            self._orphan(draft, oldest, cause, clock)

    def _orphan(self, draft: Draft, label: IncomingLabel, cause: int, clock: Clock) -> None:
        """A parked label that met no event."""
        if self.rules.broadcast:
            clock.counts["labels_unmatched"] += 1
            return
        clock.counts["labels_orphaned"] += 1
        draft.refuse(label, cause, Reject("label_orphan", "join", f"no event {label.id} came"))

    def _replaced(self, draft: Draft, label: IncomingLabel, former: float, now: float, cause: int) -> None:
        """The label that the last one replaces. Its record is no longer at hand, so the reject has no body and the place
        of the record that replaces it: that one's bytes would be taken for refused, and sent again.
        """
        error = f"event {label.id} had label {self._told(former)}, this says {self._told(now)} and counts from here on"
        why = Reject("label_conflict", "join", error)
        draft.refusals.append(Refusal(cause, label.input, label.offset, label.timestamp_ms, label.key, None, why))

    def _told(self, target: float | str) -> str:
        """A label for people, as its producers write it."""
        if isinstance(target, str) or self.classes:
            return repr(target if isinstance(target, str) else self.classes[int(target)])
        return str(bool(target)).lower() if self.rules.truths else repr(target)

    def _refuse_or_count(
        self, draft: Draft, which: int, records: Records, index: int, why: Reject | None, cause: int, clock: Clock
    ) -> None:
        if why is None:
            clock.counts["tombstones"] += 1
            return
        draft.refuse_record(which, records, index, cause, why)

    # --- rows -------------------------------------------------------------------------------------------------

    def _arranged(self, draft: Draft, events: Events) -> Arranged:
        accepted = draft.accepted
        rows = events.rows if len(accepted) == len(events.rows) else [events.rows[index] for index in accepted]
        old = self._rows.take(list(draft.old))

        def times_ms() -> list[int]:
            return [events.times_ms[index] for index in accepted] + [self._rows.time_ms(one) for one in draft.old]

        return Arranged(
            program=draft.program(tuple(self.classes)),
            rows=Frame(self.layout, rows + old.rows if old.rows else rows, times_ms),
            events=len(accepted),
            draft=draft,
            first_row=self._first_row,
            old_scores=old.scores,
            old_computed=old.computed,
            old_ids=[self._rows.id(number) for number in draft.old],
        )

    def keep(
        self,
        arranged: Arranged,
        events: Events,
        scores: NDArray[np.float64],
        computed: NDArray[np.float64],
        records: int,
    ) -> None:
        """The batch's rows wait with what they were scored with.

        Parameters
        ----------
        scores, computed : arrays of shape ``(n_events, columns)``
        records : int
            The task's record number after the batch.
        """
        if self.keeps_rows:
            self._rows.keep([events.rows[index] for index in arranged.draft.accepted], scores, computed)
        self._rows.drop_before(self._expire, self._forget)
        self._rows.stamp(records)

    def suit(self, former: Columns, columns: Columns) -> None:
        """After ``load`` of a state that had other rules, learners or features: what waits goes on under these."""
        self._rows.suit(former, columns)
        self._due.begin_at(self._expire)  # without a delay or an assumption nothing moved it
        self._wake_ms = NEVER  # other rules, other times: look at the next event

    # --- as a part of the state -----------------------------------------------------------------------------------

    def alive(self) -> Iterable[str]:
        return ("join", *self._rows.alive())

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        told = {
            "classes": list(self.classes),
            "places": (self._due.next, self._expire, self._forget, self._wake_ms),
            "parking": self._parking.dump(),
        }
        yield "join", told
        yield from self._rows.dump(since)

    def know(self, classes: Iterable[str]) -> None:
        """These are the classes, in the order of their indices."""
        self.classes = list(classes)
        self._class_index = {name: number for number, name in enumerate(self.classes)}

    def load(self, chunks: Mapping[str, object]) -> None:
        told = chunks["join"]
        assert isinstance(told, dict)
        self.know(told["classes"])
        due, self._expire, self._forget, self._wake_ms = told["places"]
        self._parking.load(told["parking"])
        self._rows.load(chunks)
        remembered = range(self._forget, self._rows.next)
        self._known = {self._rows.id(number): number for number in remembered}
        waiting = (number for number in remembered if self._rows.marked(number)[0] == WAITING)
        self._due.load(due, (number for number in waiting if not isnan(self._rows.marked(number)[1])))
