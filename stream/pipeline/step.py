"""The whole story of a batch: predict, emit, wait for the label, learn, watch. Deterministic and pure.

``step`` reads nothing but the state, the batch and the plan: no clock, no I/O, no unseeded randomness, so a crash, a
backtest and an audit are the same fold. Where a batch is cut changes nothing. Read join.py for labels, learn.py for
learners, watch.py for detectors, emit.py for what goes out, looks.py for why.

It halts where another stage of the work begins (``StageName``): it knows no clock, but who drives it may look at one.

The error of a label uses the score that was emitted, so detectors run *before* learners wherever a response could
change one: the program is cut into segments in which every label's event has been scored before.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LABEL, Program
from stream.pipeline import finds
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.decide import answered, decide, recall_thresholds
from stream.pipeline.emit import emit
from stream.pipeline.learn import reset, run, trouble_of
from stream.pipeline.looks import keep_background, looks_of
from stream.pipeline.state import PipelineState, Plan, Watch
from stream.pipeline.watch import Change, watch
from stream.records import Outputs

StageName: TypeAlias = Literal["decode", "step", "encode"]
"""Of the work between a poll and a commit: what was done since the last halt."""


class Witness(Protocol):
    """Sees what a step found, beside what it says: for replays, which look closer. It must change nothing.

    One that also keeps ``stream.pipeline.moment.Asks`` is shown an event at the moment at which it is scored.
    """

    def saw(
        self, batch: Batch, arranged: Arranged, scores: Mapping[str, NDArray[np.float64]], changes: Sequence[Change]
    ) -> None:
        """Once a step, when everything is scored and learned. ``scores``: by learner, ``(n_rows, columns)``."""
        ...


def step(
    state: PipelineState, batch: Batch, plan: Plan, witness: Witness | None = None
) -> Generator[StageName, None, Outputs]:
    """Fold one batch into the state and say what follows from it. What is done when no halt is left belongs to the step.

    Raises
    ------
    LearnFailure
        The state is half changed and must be dropped; the batch is to be folded again with the failure's skip.
    """
    arranged = state.join.arrange(batch, state.clock)
    rows, program = arranged.rows, arranged.program
    computed = _features(state, arranged)
    scores = _scores(state, arranged)
    recall_thresholds(state, arranged)
    emitted = scores[state.roles.champion]
    thresholds = arranged.thresholds.get(state.roles.champion, plan.threshold)
    trouble = trouble_of(batch, arranged, learns_at=EVENT if plan.problem == "anomaly" else LABEL)
    before, after = _early_and_late(state.watches)
    looks = looks_of(state, batch, plan, arranged, witness)
    changes: list[Change] = []
    for start, stop in segments(program, state.watches):
        at = start
        for change in watch(state, plan, rows, program, start, stop, emitted, thresholds, before):
            changes.append(change)
            if _resets(change):
                run(state, batch, arranged, at, change.op + 1, scores, trouble, plan.learn_errors_max, looks)
                reset(state, change.watch.learners)
                at = change.op + 1
        run(state, batch, arranged, at, stop, scores, trouble, plan.learn_errors_max, looks)
        decide(state, batch, arranged, start, stop, scores)
        for change in watch(state, plan, rows, program, start, stop, emitted, thresholds, after):
            changes.append(change)
            if _resets(change):
                reset(state, change.watch.learners)
    _measure(state, arranged, scores)
    if witness is not None:
        witness.saw(batch, arranged, scores, changes)
    yield "step"
    outputs = emit(state, batch, plan, arranged, scores, changes, trouble, looks.reasons)
    yield "encode"
    keep_background(state, arranged)
    state.clock.records += sum(batch.order[1::2])
    for stage in state.features:
        stage.stamp(state.clock.records)
    state.clock.follow([batch.events.times_ms, *(labels.times_ms for labels in batch.labels)])
    state.join.keep(arranged, batch.events, _told(arranged, scores), computed, state.clock.records)
    return outputs


def segments(program: Program, watches: tuple[Watch, ...]) -> Iterator[tuple[int, int]]:
    """Ranges of operations in which no response can change a learner before the errors in it are known."""
    responding = [one for one in watches if one.response != "alarm"]
    start = 0
    if any(one.signal == "score" for one in responding):
        for op in np.flatnonzero(program.op == EVENT).tolist():
            yield start, op + 1
            start = op + 1
    elif responding:
        scored: dict[int, int] = {}
        for op, (kind, row) in enumerate(zip(program.op.tolist(), program.row.tolist(), strict=True)):
            if kind == EVENT:
                scored[row] = op
            elif scored.get(row, -1) >= start:
                yield start, op
                start = op
    yield start, len(program)


def _early_and_late(watches: tuple[Watch, ...]) -> tuple[tuple[Watch, ...], tuple[Watch, ...]]:
    """Watches shown a segment before learners run it, and those after; scores are known only after."""
    if all(one.response == "alarm" for one in watches):
        return (), watches
    return tuple(w for w in watches if w.signal != "score"), tuple(w for w in watches if w.signal == "score")


def _resets(change: Change) -> bool:
    return change.watch.response == "reset" and change.finding.level == "alarm"


def _features(state: PipelineState, arranged: Arranged) -> NDArray[np.float64]:
    """Computed features of the batch's events; waiting rows keep what they were scored with."""
    rows, done = arranged.rows, 0
    columns = []
    for stage in state.features:
        new = stage.run(arranged.program, rows)
        old = arranged.old_computed[:, done : done + len(stage.names)]
        rows.add(stage.names, np.concatenate([new, old]) if len(old) else new)
        done += len(stage.names)
        columns.append(new)
    return np.concatenate(columns, axis=1) if columns else np.empty((arranged.events, 0))


def _scores(state: PipelineState, arranged: Arranged) -> dict[str, NDArray[np.float64]]:
    """Of each learner ``(n_rows, columns)``: NaN for the batch's events, what was emitted for waiting rows."""
    scores, column = {}, 0
    for name, learner in state.learners.items():
        own = np.full((len(arranged.rows), len(learner.outputs)), np.nan)
        if len(arranged.old_scores):
            own[arranged.events :] = arranged.old_scores[:, column : column + own.shape[1]]
        scores[name] = own
        column += own.shape[1]
    return scores


def _told(arranged: Arranged, scores: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """What the batch's events wait with: each learner's scores, then each learner's threshold where it has a budget."""
    columns = [*scores.values(), *(own[:, np.newaxis] for own in arranged.thresholds.values())]
    return np.concatenate([column[: arranged.events] for column in columns], axis=1)


def _measure(state: PipelineState, arranged: Arranged, scores: dict[str, NDArray[np.float64]]) -> None:
    """Prequential with delay: what was emitted against the label when it came."""
    program = arranged.program
    ops = np.flatnonzero(program.op == LABEL)
    rows, target, previous = program.row[ops], program.target[ops], program.previous[ops]
    for name, metrics in state.metrics.items():
        metrics.update(target, answered(name, arranged, scores[name])[rows], previous)
    state.coverage.update(arranged.events, np.array(arranged.draft.ages_ms, np.int64))
    if state.finds is not None:
        finds.tell(state.finds, arranged, scores[state.roles.champion], state.clock.stream_time_ms)
