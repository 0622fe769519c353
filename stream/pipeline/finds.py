"""A batch's events and labels as card precision wants them (learners/metrics/finds.py): in the order of the log."""

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
    keys = rows.column(finds.by)
    told = np.flatnonzero((program.op == EVENT) | (program.op == LABEL)).tolist()
    ops = [op for op, row in zip(told, program.row[told].tolist(), strict=True) if keys[row] is not None]
    at, is_label = program.row[ops], program.op[ops] == LABEL
    finds.follow(
        is_label.tolist(), rows.times_ms()[at].tolist(), [str(keys[row]) for row in at.tolist()],
        np.where(is_label, program.target[ops], emitted[at, 0]).tolist(), program.previous[ops].tolist(),
        [op in origin and origin[op] is None for op in ops], program.time_ms[ops].tolist(),
    )  # fmt: skip
    finds.turn(now_ms)
