"""Windows by a second way: what a window feature must be, from a whole table at once, slice by slice.

Slow, plain and independent of the windows that a pipeline keeps (learners/features/): rows are sorted by key, each row's
window is a slice ``[first, stop)`` of its key's rows, and each slice is reduced by itself, without running sums. Tests
hold the two to be equal; the benchmarks take it as the features of the batch baselines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PIECE = 1 << 22  # elements of windows laid out at once


@dataclass(frozen=True, slots=True)
class Windows:
    """The slices of all rows, in the order of key, then row. All but ``order`` are ``(n_rows,)`` in that order."""

    order: Ints
    """Places of the rows in the table."""
    times_ms: Ints
    first: Ints
    stop: Ints


def slices(times_ms: Ints, keys: NDArray, span_ms: int, *, lag_ms: int = 0, present: bool = True) -> Windows:
    """Which rows the window ``(t - lag - span, t - lag]`` of each row holds: rows of its key up to itself.

    Parameters
    ----------
    times_ms, keys : (n_rows,)
        In the order of the stream; times do not fall.
    lag_ms
        Above 0, all rows of the key up to ``t - lag`` count, as a label counts that is known at that very time.
    present
        Without lag: whether a row is in its own window. Earlier rows of the same time are either way.
    """
    if (np.diff(times_ms) < 0).any():
        raise ValueError("the rows are not in the order of their times")
    codes = pd.factorize(keys)[0].astype(np.int64)
    order = np.argsort(codes, kind="stable")
    codes, times = codes[order], times_ms[order]
    base = times.min()
    width = times.max() - base + span_ms + lag_ms + 2  # so wide that no window reaches into another key
    line = codes * width + (times - base)
    first = np.searchsorted(line, np.maximum(line - lag_ms - span_ms, codes * width - 1), side="right")
    stop = np.arange(len(line)) + present
    if lag_ms > 0:
        stop = np.searchsorted(line, np.maximum(line - lag_ms, codes * width - 1), side="right")
    return Windows(order, times, first, np.maximum(stop, first))


def reduced(windows: Windows, values: Floats, compute: str, *, ddof: int = 0) -> Floats:
    """One number a row, in the order of the table: NaN where a window has nothing to say, 0 for its count and sum.

    Parameters
    ----------
    values : (n_rows,)
        In the order of the table; NaN is a missing value and counts nowhere.
    compute
        count, sum, mean, min, max, std, distinct, last, or time_since (seconds).
    ddof
        Of std: 0 divides by the count, 1 by the count less one.
    """
    kept = values[windows.order]
    there = np.flatnonzero(~np.isnan(kept))
    before = np.concatenate([[0], np.cumsum(~np.isnan(kept))])
    first, stop = before[windows.first], before[windows.stop]
    answer = np.empty(len(kept))
    answer[windows.order] = _COMPUTE[compute](kept[there], windows.times_ms[there], first, stop, windows, ddof)
    return answer


def windows(
    frame: pd.DataFrame,
    *,
    by: str,
    of: str,
    over: Sequence[str],
    compute: Sequence[str] = ("count", "mean"),
    time: str = "time",
    lag: str = "0s",
    present: bool = True,
    ddof: int = 0,
) -> pd.DataFrame:
    """Columns ``<of>_<compute>_<span>_by_<by>``, a row for each of the table's.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "time": pd.to_datetime(["2024-01-01 00:00", "2024-01-01 00:20", "2024-01-01 01:00"]),
    ...     "card": ["a", "a", "a"],
    ...     "amount": [1.0, 2.0, 3.0],
    ... })
    >>> windows(table, by="card", of="amount", over=["1h"], compute=["sum"])["amount_sum_1h_by_card"].tolist()
    [1.0, 3.0, 5.0]
    """
    times = frame[time].to_numpy().astype("datetime64[ms]").astype(np.int64)
    values = frame[of].to_numpy(dtype=np.float64)
    columns = {}
    for span in over:
        found = slices(times, frame[by].to_numpy(), _ms(span), lag_ms=_ms(lag), present=present)
        for name in compute:
            columns[f"{of}_{name}_{span}_by_{by}"] = reduced(found, values, name, ddof=ddof)
    return pd.DataFrame(columns, index=frame.index)


def _ms(span: str) -> int:
    """``7d`` as Headrace writes it; pandas wants a day to be ``D``."""
    return int(pd.Timedelta(span.replace("d", "D")) / pd.Timedelta(1, "ms"))


def _slicewise(ufunc: np.ufunc, kept: Floats, first: Ints, stop: Ints, empty: float) -> Floats:
    bounds = np.column_stack([first, stop]).ravel()
    answer = ufunc.reduceat(np.append(kept, 0.0), bounds)[::2]
    return np.where(stop > first, answer, empty)


def _mean(kept: Floats, first: Ints, stop: Ints) -> Floats:
    with np.errstate(invalid="ignore"):
        return _slicewise(np.add, kept, first, stop, 0.0) / (stop - first)


def _each(first: Ints, stop: Ints, told: Callable[[Ints, Ints, Ints], Floats]) -> Floats:
    """``told(elements, rows, bounds)`` of the windows laid out one after the other, some rows at a time."""
    ends = np.cumsum(stop - first)
    answer, row = np.zeros(len(first)), 0
    while row < len(first):
        done = ends[row - 1] if row else 0
        last = max(int(np.searchsorted(ends, done + PIECE)), row + 1)
        lengths = (stop - first)[row:last]
        rows = np.repeat(np.arange(row, last), lengths)
        starts = np.cumsum(lengths) - lengths
        elements = first[rows] + np.arange(len(rows)) - starts[rows - row]
        answer[row:last] = told(elements, rows, np.append(starts, len(rows)))
        row = last
    return answer


def _sums(values: Floats, bounds: Ints) -> Floats:
    return _slicewise(np.add, values, bounds[:-1], bounds[1:], 0.0)


def _std(kept: Floats, _times: Ints, first: Ints, stop: Ints, _windows: Windows, ddof: int) -> Floats:
    means = _mean(kept, first, stop)
    squares = _each(first, stop, lambda at, rows, bounds: _sums((kept[at] - means[rows]) ** 2, bounds))
    free = stop - first - ddof
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(free > 0, np.sqrt(squares / free), np.nan)


def _distinct(kept: Floats, _times: Ints, first: Ints, stop: Ints, *_: object) -> Floats:
    """A value is counted where it stands first in the window: where its last place before is outside."""
    codes = pd.factorize(kept)[0]
    order = np.argsort(codes, kind="stable")
    before = np.full(len(kept), -1)
    same = codes[order][1:] == codes[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return _each(first, stop, lambda at, rows, bounds: _sums((before[at] < first[rows]).astype(float), bounds))


def _last(kept: Floats, _times: Ints, first: Ints, stop: Ints, *_: object) -> Floats:
    return np.where(stop > first, np.append(kept, np.nan)[stop - 1], np.nan)


def _since(_kept: Floats, times: Ints, first: Ints, stop: Ints, windows: Windows, _ddof: int) -> Floats:
    seconds = (windows.times_ms - np.append(times, 0)[stop - 1]) / 1000.0
    return np.where(stop > first, seconds, np.nan)


_COMPUTE: dict[str, Callable[..., Floats]] = {
    "count": lambda _kept, _times, first, stop, *_: (stop - first).astype(np.float64),
    "sum": lambda kept, _times, first, stop, *_: _slicewise(np.add, kept, first, stop, 0.0),
    "mean": lambda kept, _times, first, stop, *_: _mean(kept, first, stop),
    "min": lambda kept, _times, first, stop, *_: _slicewise(np.minimum, kept, first, stop, np.nan),
    "max": lambda kept, _times, first, stop, *_: _slicewise(np.maximum, kept, first, stop, np.nan),
    "std": _std,
    "distinct": _distinct,
    "last": _last,
    "time_since": _since,
}
