"""From scores to yes or no where thresholds follow the scores: which threshold each event of a step is held against.

Nothing is done here unless the state has budgets. A row waits with its thresholds behind its scores, so that a label is
measured by the answer that was emitted. What a budget does is said in budget.py. Read step.py next.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT
from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.state import PipelineState


def recall_thresholds(state: PipelineState, arranged: Arranged) -> None:
    """Of waiting rows, what they were held against; of the batch's events NaN, until they are decided."""
    first = arranged.old_scores.shape[1] - len(state.budgets)
    for place, (name, budget) in enumerate(state.budgets.items()):
        own = np.full(len(arranged.rows), np.nan)
        if len(own) > arranged.events:
            kept = arranged.old_scores[:, first + place]
            own[arranged.events :] = np.where(np.isnan(kept), budget.at_first, kept)  # it waited under other settings
        arranged.thresholds[name] = own


def decide(
    state: PipelineState, batch: Batch, arranged: Arranged, start: int, stop: int, scores: Mapping[str, NDArray[np.float64]]
) -> None:  # fmt: skip
    """The thresholds of events in operations ``[start, stop)``, now that they are scored."""
    if not state.budgets:
        return
    program, events, accepted = arranged.program, batch.events, arranged.draft.accepted
    ops = np.flatnonzero(program.op[start:stop] == EVENT) + start
    rows = program.row[ops]
    times_ms, keys = program.time_ms[ops].tolist(), [events.keys[accepted[row]] for row in rows.tolist()]
    for name, budget in state.budgets.items():
        arranged.thresholds[name][rows] = budget.decide(times_ms, keys, scores[name][rows, 0].tolist())


def answered(name: str, arranged: Arranged, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """A learner's scores of all rows, each with its threshold behind it where the learner has a budget."""
    thresholds = arranged.thresholds.get(name)
    return scores if thresholds is None else np.column_stack([scores, thresholds])
