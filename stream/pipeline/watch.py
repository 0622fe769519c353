"""Signals: which numbers a detector is shown, in the order of the program, and what it found in them. Changes nothing."""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.base import Finding
from learners.base import EVENT, LABEL, Problem, Program, Rows
from stream.pipeline.state import PipelineState, Plan, Watch

Thresholds: TypeAlias = float | NDArray[np.float64]
"""What scores are held against: one for all, or one each."""


class Change(NamedTuple):
    """A finding and the operation at which it was made."""

    op: int
    order: int
    """Of the watch, in the configuration."""
    watch: Watch
    finding: Finding


def watch(
    state: PipelineState, plan: Plan, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64],
    thresholds: Thresholds, watches: tuple[Watch, ...],
) -> list[Change]:  # fmt: skip
    """Show each watch its signal over operations ``[start, stop)``; its changes in the order of the program.

    ``scores`` are the champion's as emitted, ``(n_rows, columns)``; ``thresholds`` what they were held against: one, or
    one a row.
    """
    changes = []
    for order, one in enumerate(state.watches):
        if one in watches:
            ops, values = _signal(plan, one, rows, program, start, stop, scores, thresholds)
            seen = np.isfinite(values)
            if not seen.all():
                ops, values = ops[seen], values[seen]
            changes += [Change(int(ops[f.at]), order, one, f) for f in one.detector.watch(values)]
    return sorted(changes, key=lambda change: change[:2])


def _signal(
    plan: Plan,
    one: Watch,
    rows: Rows,
    program: Program,
    start: int,
    stop: int,
    scores: NDArray[np.float64],
    thresholds: Thresholds,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(operations, values) of a signal, both of shape ``(n,)``."""
    kind = EVENT if one.signal in {"score", "feature"} else LABEL
    ops = np.flatnonzero(program.op[start:stop] == kind) + start
    which = program.row[ops]
    if one.signal == "feature":
        assert one.feature is not None
        return ops, _numbers(rows, one.feature, which)
    if one.signal == "score":
        return ops, scores[which, 0] if plan.problem != "multiclass" else _largest(scores[which])
    target = program.target[ops]
    if one.signal == "label":
        return ops, target
    measure = error if one.signal == "error" else loss
    held = thresholds if isinstance(thresholds, float) else thresholds[which]
    return ops, measure(plan.problem, held, target, scores[which])


def _numbers(rows: Rows, feature: str, which: NDArray[np.int32]) -> NDArray[np.float64]:
    column = rows.column(feature)
    values = (column[row] for row in which.tolist())
    return np.array([float("nan") if v is None or isinstance(v, str) else float(v) for v in values])


def _largest(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.where(np.isnan(scores), -np.inf, scores).max(axis=1, initial=-np.inf)
    return largest


def error(
    problem: Problem, threshold: Thresholds, target: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(n,)``: 1 where the prediction that was emitted is wrong, else 0; for regression the absolute error.

    NaN where none was emitted. A model that knows no class yet answers none of them, and is wrong.
    """
    if problem == "regression":
        return np.abs(target - scores[:, 0])
    if problem == "multiclass":
        best = _largest(scores)
        right = (np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1) == target) & (best > 0.0)
        return np.where(np.isfinite(best), np.where(right, 0.0, 1.0), np.nan)
    wrong = ((scores[:, 0] >= threshold) != (target > 0.5)).astype(np.float64)
    return np.where(np.isfinite(scores[:, 0]), wrong, np.nan)


def loss(
    problem: Problem, threshold: Thresholds, target: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(n,)``: log loss in nats of the probability given to the truth (clipped at 1e-15); squared error for regression."""
    if problem == "regression":
        return np.square(target - scores[:, 0])
    if problem == "anomaly":
        return error(problem, threshold, target, scores)
    if problem == "multiclass":
        given = np.nan_to_num(np.take_along_axis(scores, target.astype(np.intp)[:, None], axis=1)[:, 0])
        given = np.where(np.isnan(scores).all(axis=1), np.nan, given)
    else:
        given = np.where(target > 0.5, scores[:, 0], 1.0 - scores[:, 0])
    # libm's log, one value at a time: NumPy's vector log may differ in the last bit with the length of the array
    return np.array([-math.log(value) for value in np.clip(given, 1e-15, 1.0).tolist()], np.float64)
