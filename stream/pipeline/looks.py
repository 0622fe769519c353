"""Where somebody looks at learners in the middle of a step, right before an event is scored: for reasons, and for time travel.

So what is seen is the model that scores: after every label before the event, and before anything follows from it. Nothing is
done here unless `predictions: {reasons: …}` or a witness asks for it. What a contribution is, is said in
``learners/explanations``; how it is told, in emit.py. Read moment.py next.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from learners.base import EVENT, Learner, Value
from learners.blend import members_of
from learners.ensemble import whole
from learners.explanations.base import Explanation
from learners.explanations.explain import explain
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.moment import Asks, moment_of
from stream.pipeline.state import PipelineState, Plan


@dataclass(slots=True)
class Looks:
    """What is looked at in one step."""

    reasons: dict[int, Explanation] = field(default_factory=dict)
    """By row, once the champion has run: why it will have said what it said. An event without a finite score has none."""
    _champion: str = ""
    _explain: Callable[[Learner, int], None] | None = None
    _events: Sequence[int] = ()
    """Operations before which the champion is explained, ascending."""
    _done: int = 0
    _halts: Sequence[tuple[int, Callable[[int], None]]] = ()
    """Operations before which all learners halt, ascending, and who looks at them there."""
    _halted: int = 0

    def ranges(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Operations ``[start, stop)`` for all learners to run; cut where more than one is looked at."""
        while self._halted < len(self._halts) and self._halts[self._halted][0] < stop:
            op, look = self._halts[self._halted]
            yield start, op
            look(op)
            self._halted += 1
            start = op
        yield start, stop

    def until(self, name: str, learner: Learner, at: int, limit: int) -> int:
        """A learner is about to run operation ``at``. Returns how far it may run before it is looked at again."""
        if self._explain is None or name != self._champion:
            return limit
        if self._done < len(self._events) and self._events[self._done] == at:
            self._done += 1
            self._explain(learner, at)
        return min(self._events[self._done], limit) if self._done < len(self._events) else limit


def looks_of(state: PipelineState, batch: Batch, plan: Plan, arranged: Arranged, witness: object) -> Looks:
    """What `reasons` and the witness ask to see of this step."""
    # None first: Python looks through a protocol's names at every question.
    shown = witness.asks(batch, arranged) if witness is not None and isinstance(witness, Asks) else None
    if not plan.reasons and shown is None:
        return Looks()
    program, rows = arranged.program, arranged.rows
    events = np.flatnonzero(program.op == EVENT).tolist()
    picks = picks_of(state, arranged)

    def before(row: int) -> Sequence[dict[str, Value]]:
        return () if state.background is None else state.background.before(row, picks, rows.dicts())

    def told(learner: Learner, op: int) -> None:
        row = int(program.row[op])
        seed, classes = arranged.first_row + row, program.classes
        found = explain(
            learner, rows, row, problem=plan.problem, background=lambda: before(row), seed=seed, classes=classes
        )  # fmt: skip
        if found is not None:
            looks.reasons[row] = found

    def show(op: int) -> None:
        assert isinstance(witness, Asks)
        witness.at_event(moment_of(state, batch, plan, arranged, op, before(int(program.row[op]))))

    looks = Looks(_champion=state.roles.champion)
    halts: list[tuple[int, Callable[[int], None]]] = []
    if plan.reasons and members_of(state.learners[state.roles.champion]):  # its members are looked at with it
        halts = [(op, lambda op: told(whole(state.learners, state.roles.champion), op)) for op in events]
    elif plan.reasons:
        looks._events, looks._explain = events, told  # noqa: SLF001 - ours
    if shown is not None:
        halts.append((events[shown], show))  # events are the first rows, in order
    looks._halts = sorted(halts, key=lambda halt: halt[0])  # noqa: SLF001 - ours
    return looks


def picks_of(state: PipelineState, arranged: Arranged) -> list[int]:
    """Which of the step's events the background takes in."""
    return [] if state.background is None else state.background.picks(arranged.first_row, arranged.events)


def keep_background(state: PipelineState, arranged: Arranged) -> None:
    """The step is over: what the background takes of its events belongs to the state."""
    if state.background is not None and (picks := picks_of(state, arranged)):
        dicts = arranged.rows.dicts()
        state.background.keep(dicts[pick] for pick in picks)
