"""A batch's events and labels as card precision wants them (learners/metrics/finds.py): by key and day."""

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LABEL
from learners.metrics.finds import Finds
from stream.pipeline.batch import Arranged


def tell(finds: Finds, arranged: Arranged, emitted: NDArray[np.float64], now_ms: int) -> None:
    """After a batch's scores are known, and before its rows are kept.

    Parameters
    ----------
    emitted : (n_rows, 1)
        Of the batch's events what they are answered, of waiting rows what they were answered.
    now_ms : int
        Stream time at the batch's end.
    """
    program, rows, origin = arranged.program, arranged.rows, arranged.draft.origin
    keys, times_ms = rows.column(finds.by), rows.times_ms()
    for kind in (LABEL, EVENT):
        ops = [op for op in np.flatnonzero(program.op == kind).tolist() if keys[program.row[op]] is not None]
        at = program.row[ops]
        whose = [str(keys[row]) for row in at.tolist()]
        if kind == EVENT:
            finds.events(times_ms[at].tolist(), whose, emitted[at, 0].tolist(), program.time_ms[ops].tolist())
            continue
        finds.labels(
            times_ms[at].tolist(), whose, program.target[ops].tolist(), program.previous[ops].tolist(),
            [op in origin and origin[op] is None for op in ops], program.time_ms[ops].tolist(),
        )  # fmt: skip
    finds.turn(now_ms)
