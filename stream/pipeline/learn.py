"""Learners run ranges of the program; one that fails is skipped or frozen, and never costs another a record.

They run one after the other, in the configured order: a blend comes after its members, and sees their scores of the range.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LearnError, Program
from learners.blend import seen_by
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.looks import Looks
from stream.pipeline.state import PipelineState
from stream.records import Skip


class LearnFailure(Exception):
    """A learner raised while it learned: the state is lost. Recover it, and fold the batch again with this skip."""

    def __init__(self, skip: Skip) -> None:
        super().__init__(f"learner {skip.learner} raised at event {skip.event}: {skip.error}")
        self.skip = skip


@dataclass(slots=True)
class Trouble:
    """What went wrong with learners in one batch."""

    skips: dict[str, dict[int, Skip]]
    """Of each learner, the operations that it does not learn."""
    frozen: list[tuple[int, str, str]] = field(default_factory=list)
    """(operation, learner, reason) of those frozen in this batch."""
    unlearned: list[tuple[int, Skip]] = field(default_factory=list)


def trouble_of(batch: Batch, arranged: Arranged, *, learns_at: int) -> Trouble:
    """The batch's skips by the operations that they name: LABEL, or EVENT where learners need no labels."""
    by_learner: dict[str, dict[int, Skip]] = {}
    if batch.skips:
        ids = _ids(batch, arranged)
        program = arranged.program
        for skip in batch.skips:
            for op in np.flatnonzero(program.op == learns_at).tolist():
                if (*_place(batch, arranged, op), ids[program.row[op]]) == (skip.input, skip.offset, skip.event):
                    by_learner.setdefault(skip.learner, {})[op] = skip
    return Trouble(by_learner)


def _place(batch: Batch, arranged: Arranged, op: int) -> tuple[int, int]:
    """(input, offset) of the record that an operation's label stands in; of one that fell due, of the record then."""
    label = arranged.draft.origin.get(op)
    if label is not None:
        return label.input, label.offset
    which, index = batch.place(arranged.draft.cause[op])
    return which, batch.records(which).offsets[index]


def _ids(batch: Batch, arranged: Arranged) -> list[str]:
    return [batch.events.ids[index] for index in arranged.draft.accepted] + arranged.old_ids


def run(
    state: PipelineState, batch: Batch, arranged: Arranged, start: int, stop: int,
    scores: Mapping[str, NDArray[np.float64]], trouble: Trouble, errors_max: int, looks: Looks,
) -> None:  # fmt: skip
    """Every learner runs operations ``[start, stop)``; the champion halts where it is looked at. Raises LearnFailure."""
    rows, program, frozen = arranged.rows, arranged.program, state.roles.frozen
    for first, last in looks.ranges(start, stop):
        for name, learner in state.learners.items():
            own, at, seen = scores[name], first, seen_by(learner, rows, scores)
            for limit, skip in _stretches(trouble.skips.get(name), first, last):
                while at < limit:
                    halt = looks.until(name, learner, at, limit)
                    try:
                        at += learner.run(seen, program, at, halt, own, learn=name not in frozen)
                    except LearnError as failure:
                        raise LearnFailure(_skip(batch, arranged, name, failure)) from failure
                    if name not in frozen and _not_finite(program, at - 1, own):
                        reason = getattr(learner, "failure", "") or "its score is not finite"
                        _freeze(state, trouble, at - 1, name, reason)
                if skip is not None:
                    looks.until(name, learner, limit, limit + 1)
                    if program.op[limit] == EVENT:
                        learner.run(seen, program, limit, limit + 1, own, learn=False)
                    _count(state, trouble, limit, skip, errors_max)
                    at = limit + 1


def _stretches(skips: dict[int, Skip] | None, start: int, stop: int) -> Iterator[tuple[int, Skip | None]]:
    for op in sorted(skips or ()):
        if start <= op < stop:
            yield op, (skips or {})[op]
    yield stop, None


def _not_finite(program: Program, op: int, scores: NDArray[np.float64]) -> bool:
    if program.op[op] != EVENT:
        return False
    # of several classes NaN is one that is not known yet; a failure is a row without any number
    return not np.isfinite(scores[program.row[op]]).any()


def _freeze(state: PipelineState, trouble: Trouble, op: int, name: str, reason: str) -> None:
    state.roles.frozen[name] = reason
    trouble.frozen.append((op, name, reason))


def _count(state: PipelineState, trouble: Trouble, op: int, skip: Skip, errors_max: int) -> None:
    """A skipped label: a challenger is frozen at once, the champion after ``errors_max`` of them."""
    trouble.unlearned.append((op, skip))
    errors = state.roles.learn_errors
    errors[skip.learner] = errors.get(skip.learner, 0) + 1
    if skip.learner not in state.roles.frozen and (
        skip.learner != state.roles.champion or errors[skip.learner] >= errors_max
    ):
        _freeze(state, trouble, op, skip.learner, f"learning raised {skip.error}")


def _skip(batch: Batch, arranged: Arranged, name: str, failure: LearnError) -> Skip:
    row = int(arranged.program.row[failure.operation])
    place = _place(batch, arranged, failure.operation)
    return Skip(*place, _ids(batch, arranged)[row], name, str(failure))


def reset(state: PipelineState, names: tuple[str, ...]) -> None:
    """The response that starts learners anew; a frozen one may learn again."""
    for name in names:
        state.learners[name] = state.learners[name].fresh()
        state.roles.frozen.pop(name, None)
        state.roles.learn_errors.pop(name, None)
