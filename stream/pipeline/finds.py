"""A batch's events and labels as card precision wants them (learners/metrics/finds.py): in the order of the log."""

from itertools import groupby

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
    kinds, of = program.op.tolist(), program.row.tolist()
    keyed = [op for op, row in enumerate(of) if keys[row] is not None]
    whose = [str(keys[of[op]]) for op in keyed]
    at = program.row[keyed]
    own_ms, scores, reached_ms = times_ms[at].tolist(), emitted[at, 0].tolist(), program.time_ms[keyed].tolist()
    target, previous = program.target[keyed].tolist(), program.previous[keyed].tolist()
    done = 0
    for kind, run in groupby(keyed, key=kinds.__getitem__):
        ops = list(run)
        here = slice(done, done + len(ops))
        done += len(ops)
        if kind == EVENT:
            finds.events(own_ms[here], whose[here], scores[here], reached_ms[here])
        elif kind == LABEL:
            silent = [op in origin and origin[op] is None for op in ops]
            finds.labels(own_ms[here], whose[here], target[here], previous[here], silent, reached_ms[here])
    finds.turn(now_ms)
