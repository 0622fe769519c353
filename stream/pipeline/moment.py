"""The instant at which an event is scored, held: its features, every learner as it stood, and what can be asked of them.

For time travel. A fold's witness that also has ``asks`` and ``at_event`` (``Asks``) is shown the moment of the row that it
asks for. All learners in it are copies: nothing that is done with a moment changes the state, and it may be kept when
the fold has gone on. Not here: why an event is looked for, and how its place is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from learners.base import Learner, Problem, Value
from learners.ensemble import whole
from learners.explanations.aside import Sample, asked, copy_of
from learners.explanations.base import Explanation
from learners.explanations.explain import PAIRS_FULL, explain
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.state import PipelineState, Plan


@dataclass(frozen=True, slots=True)
class Moment:
    """After every label before the event, and before anything that follows from it."""

    event: str
    """Id."""
    op: int
    """Index of its operation into the step's program."""
    records: int
    """Applied before its own: the number in ``model: <learner>@<records>``."""
    time_ms: int
    """Stream time at the event."""
    features: dict[str, Value]
    """As the learners saw them: as they came, in the configured order, then the computed ones."""
    champion: str
    frozen: Mapping[str, str]
    """Learners that no longer learned, and why."""
    problem: Problem
    classes: tuple[str, ...]
    """Known by then; the columns of scores of a multiclass problem."""
    background: Sequence[dict[str, Value]]
    """Rows before the event that sampling explanations compare with."""
    number: int
    """The event's among all accepted events of the task: the seed of sampling explanations."""
    names: tuple[str, ...]
    learners: Mapping[str, Learner]
    """A blend with its members."""

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """What each learner answers, ``(columns,)``: of the champion what was emitted, to the bit. NaN: no finite score."""
        return {name: self._asked(learner, self.features) for name, learner in self.learners.items()}

    def explain(self, learner: str, pairs: int = PAIRS_FULL) -> Explanation | None:
        """What each feature adds to a learner's score; None where it is not finite. ``pairs``: see ``shapley``."""
        return explain(
            self.learners[learner],
            Sample(self.names, [self.features]),
            0,
            problem=self.problem,
            background=lambda: self.background,
            seed=self.number,
            pairs=pairs,
            classes=self.classes,
        )

    def what_if(self, changes: Mapping[str, Value | None]) -> dict[str, NDArray[np.float64]]:
        """What each learner would have answered had these features been others; None takes one away.

        Computed features stay as they stood: name them to change them.

        Raises
        ------
        ValueError
            A feature is not one that the pipeline has.
        """
        known = self.names or self.features
        if unknown := sorted(changes.keys() - set(known)):
            raise ValueError(f"there is no feature {unknown[0]!r}; there are {', '.join(known)}")
        mixed = {**self.features, **changes}
        x = {name: value for name in known if (value := mixed.get(name)) is not None}
        return {name: self._asked(learner, x) for name, learner in self.learners.items()}

    def _asked(self, learner: Learner, x: dict[str, Value]) -> NDArray[np.float64]:
        row: NDArray[np.float64] = asked(copy_of(learner), self.names, [x], self.classes)[0]
        return row


@runtime_checkable
class Asks(Protocol):
    """A witness that wants to see the moment of one event."""

    def asks(self, batch: Batch, arranged: Arranged) -> int | None:
        """The row of this step's events that is to be shown (``row_of`` finds it), None for none."""
        ...

    def at_event(self, moment: Moment) -> None:
        """Right before the event is scored. Called once a step, when ``asks`` named a row."""
        ...


def row_of(batch: Batch, arranged: Arranged, *, event: str | None = None, offset: int | None = None) -> int | None:
    """The row of the accepted event with this id, or of the record at this offset of the events' input; None: not here."""
    events = batch.events
    for row, index in enumerate(arranged.draft.accepted):
        if (event is None or events.ids[index] == event) and (
            offset is None or events.records.offsets[index] == offset
        ):
            return row
    return None


def moment_of(
    state: PipelineState, batch: Batch, plan: Plan, arranged: Arranged, op: int, background: Sequence[dict[str, Value]]
) -> Moment:
    """The moment of the event at operation ``op``, which is the next to be run by every learner."""
    row = int(arranged.program.row[op])
    index = arranged.draft.accepted[row]
    classes = list(arranged.program.classes)
    grown = sum(first > row for first in arranged.draft.grown)
    return Moment(
        event=batch.events.ids[index],
        op=op,
        records=state.clock.records + arranged.draft.cause[op],
        time_ms=int(arranged.program.time_ms[op]),
        features=dict(arranged.rows.dicts()[row]),
        champion=state.roles.champion,
        frozen=dict(state.roles.frozen),
        problem=plan.problem,
        classes=tuple(classes[: len(classes) - grown]),
        background=[dict(one) for one in background],
        number=arranged.first_row + row,
        names=arranged.rows.names,
        learners={name: copy_of(whole(state.learners, name)) for name in state.learners},
    )
