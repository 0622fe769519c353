"""What a batch says: predictions, alarms and rejects, in an order that does not depend on where the batch was cut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT
from learners.explanations.base import Explanation
from stream.codec_outputs import (
    Alarm,
    Reason,
    Reasons,
    encode_alarm,
    encode_predictions,
    reject_headers,
    reject_value,
)
from stream.pipeline.batch import Arranged, Batch, Refusal
from stream.pipeline.learn import Trouble
from stream.pipeline.state import PipelineState, Plan
from stream.pipeline.watch import Change, Thresholds
from stream.records import OutputRecords, Outputs, Reject

T = TypeVar("T")


def emit(
    state: PipelineState, batch: Batch, plan: Plan, arranged: Arranged, scores: Mapping[str, NDArray[np.float64]],
    changes: Sequence[Change], trouble: Trouble, reasons: Mapping[int, Explanation],
) -> Outputs:  # fmt: skip
    """The batch's outputs, numbered on from the last one's."""
    answered: NDArray[np.bool_] = np.isfinite(scores[state.roles.champion][: arranged.events]).any(axis=1)  # type: ignore[assignment]
    outputs: Outputs = {
        "predictions": _predictions(state, batch, plan, arranged, scores, answered, reasons),
        "alarms": _alarms(state, batch, arranged, changes, trouble),
        "rejects": _rejects(state, batch, plan, arranged, answered, trouble),
    }
    for name, out in outputs.items():
        out.first_seq = state.clock.next_seq[name]
        state.clock.next_seq[name] += len(out)
    return outputs


def _predictions(
    state: PipelineState, batch: Batch, plan: Plan, arranged: Arranged, scores: Mapping[str, NDArray[np.float64]],
    answered: NDArray[np.bool_], reasons: Mapping[int, Explanation],
) -> OutputRecords:  # fmt: skip
    events, champion = batch.events, state.roles.champion
    which = np.flatnonzero(answered)
    whole = len(which) == len(events)
    at = [] if whole else [arranged.draft.accepted[row] for row in which.tolist()]

    def pick(column: list[T]) -> list[T]:
        return column if whole else [column[index] for index in at]

    # the position in the batch of the record of each event: as many records of it were applied before
    position = np.array(arranged.draft.cause, np.int64)[arranged.program.op == EVENT][which]
    own = scores[champion][which]
    thresholds = arranged.thresholds.get(champion)
    held = plan.threshold if thresholds is None else thresholds[which]
    values, answers = _answers(state, plan, own, held)
    keys = pick(events.keys)
    columns: dict[str, Sequence[Any]] = {
        "ids": pick(events.ids),
        "keys": keys,
        "times_ms": pick(events.times_ms),
        "scores": values,
        "predictions": answers,
        "models": [f"{champion}@{count}" for count in (position + state.clock.records).tolist()],
        "offsets": pick(events.records.offsets),
    }
    challengers = _challengers(state, plan, scores, which)
    if thresholds is not None:
        columns["thresholds"] = thresholds[which].tolist()
    if plan.reasons:
        columns["reasons"] = [_reasons(reasons.get(row), plan.reasons) for row in which.tolist()]
    encoded: list[bytes] = []
    for start, stop, classes in _known_classes(state, plan, arranged, which):
        encoded += encode_predictions(
            **{name: column[start:stop] for name, column in columns.items()},
            source=plan.inputs[0],
            classes=classes,
            class_scores=own[start:stop, : len(classes)].tolist() if classes else (),
            challengers={name: column[start:stop] for name, column in challengers.items()},
        )
    return OutputRecords(0, [key.encode() for key in keys], encoded)


def _reasons(found: Explanation | None, count: int) -> Reasons:
    if found is None:
        return Reasons([], "", "", None)
    return Reasons([Reason(*pair) for pair in found.top(count)], found.method, found.of, found.base)


def _known_classes(
    state: PipelineState, plan: Plan, arranged: Arranged, which: NDArray[np.intp]
) -> Iterator[tuple[int, int, Sequence[str]]]:
    """(start, stop, classes) of predictions ``which``: an answer tells the classes that were known when it was made."""
    known, grown = state.join.classes if plan.problem == "multiclass" else [], arranged.draft.grown
    edges = [0, *np.searchsorted(which, grown).tolist(), len(which)]
    for more, (start, stop) in enumerate(pairwise(edges)):
        if start < stop:
            yield start, stop, known[: len(known) - len(grown) + more]


def _answers(
    state: PipelineState, plan: Plan, own: NDArray[np.float64], held: Thresholds
) -> tuple[list[float], Sequence[bool | float | str | None]]:
    """(score, prediction) of each answered event."""
    if plan.problem == "multiclass":
        known = np.where(np.isnan(own), -np.inf, own)
        best = known.argmax(axis=1)
        values = known[np.arange(len(own)), best].tolist()
        # a model that knows no class yet gives all of them 0
        answers = [state.join.classes[c] if v > 0 else None for c, v in zip(best.tolist(), values, strict=True)]
        return values, answers
    values = own[:, 0].tolist()
    return values, values if plan.problem == "regression" else (own[:, 0] >= held).tolist()


def _challengers(
    state: PipelineState, plan: Plan, scores: Mapping[str, NDArray[np.float64]], which: NDArray[np.intp]
) -> dict[str, list[float | None]]:
    told = {}
    for name in state.learners:
        if name != state.roles.champion:
            own = scores[name][which]
            if plan.problem == "multiclass":
                own = np.where(np.isnan(own), -np.inf, own).max(axis=1, keepdims=True)
            told[name] = own[:, 0].tolist()
    return told


def _alarms(
    state: PipelineState, batch: Batch, arranged: Arranged, changes: Sequence[Change], trouble: Trouble
) -> OutputRecords:
    found = [
        (change.op, 1 + change.order, Alarm(
            detector=change.watch.name, signal=change.watch.says, level=change.finding.level,
            before=change.finding.before, after=change.finding.after, response=change.watch.response,
            learners=list(change.watch.learners) if change.watch.response != "alarm" else [],
            **_where(state, batch, arranged, change.op),  # type: ignore[arg-type]
        ))
        for change in changes
    ]  # fmt: skip
    found += [
        (op, 0, Alarm(
            detector="", signal="", level="alarm", before=None, after=None, response="freeze", learners=[name],
            detail=reason, kind="frozen", **_where(state, batch, arranged, op),  # type: ignore[arg-type]
        ))
        for op, name, reason in trouble.frozen
    ]  # fmt: skip
    alarms = [alarm for _, _, alarm in sorted(found, key=lambda one: one[:2])]
    return OutputRecords(
        0, [(alarm.detector or alarm.learners[0]).encode() for alarm in alarms], [*map(encode_alarm, alarms)]
    )


def _where(state: PipelineState, batch: Batch, arranged: Arranged, op: int) -> dict[str, object]:
    row = int(arranged.program.row[op])
    new = row < arranged.events
    return {
        "event": batch.events.ids[arranged.draft.accepted[row]] if new else arranged.old_ids[row - arranged.events],
        "time": int(arranged.program.time_ms[op]),
        "records": state.clock.records + arranged.draft.cause[op] + 1,
    }


def _rejects(
    state: PipelineState, batch: Batch, plan: Plan, arranged: Arranged, answered: NDArray[np.bool_], trouble: Trouble
) -> OutputRecords:
    refusals = list(arranged.draft.refusals)
    causes = np.array(arranged.draft.cause, np.int64)
    if not answered.all():
        of_events = causes[arranged.program.op == EVENT]
        for row in np.flatnonzero(~answered).tolist():
            why = Reject("predict_error", "predict", f"the score of {state.roles.champion} is not a finite number")
            refusals.append(_refusal(batch, int(of_events[row]), why))
    for op, skip in trouble.unlearned:
        if skip.learner == state.roles.champion:
            why = Reject("learn_error", "learn", f"{skip.learner} at event {skip.event}: {skip.error}")
            refusals.append(_unlearned(batch, arranged, op, why))
    refusals.sort(key=lambda refusal: refusal.cause)
    return OutputRecords(
        0,
        [refusal.key or b"" for refusal in refusals],
        [reject_value(r.value, plan.inputs[r.input], r.offset, plan.limits) for r in refusals],
        [reject_headers(r.why, plan.inputs[r.input], r.offset, r.timestamp_ms, plan.lineage) for r in refusals],
    )


def _unlearned(batch: Batch, arranged: Arranged, op: int, why: Reject) -> Refusal:
    """Of a label that could not be learned: its record. One that fell due has none; then only its event is named."""
    cause = arranged.draft.cause[op]
    if op not in arranged.draft.origin:
        return _refusal(batch, cause, why)
    label = arranged.draft.origin[op]
    if label is None:
        return replace(_refusal(batch, cause, why), key=None, value=None)
    return Refusal(cause, label.input, label.offset, label.timestamp_ms, label.key, label.record, why)


def _refusal(batch: Batch, cause: int, why: Reject) -> Refusal:
    which, index = batch.place(cause)
    records = batch.records(which)
    return Refusal(
        cause, which, records.offsets[index], records.timestamps_ms[index], records.keys[index], records.values[index], why
    )  # fmt: skip
