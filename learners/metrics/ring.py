"""The last labels themselves, in a ring: what the recent figures are computed from, exactly, when they are asked for.

A few bytes a label (binary: 8) cost less than the histograms that a window in tiles would need, up to a window of
some tens of thousands, and make the window exact. Not here: what the columns mean (binary.py, multiclass.py, regression.py).
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RingState: TypeAlias = tuple[int, int, list[bytes]]


class Ring:
    """Aligned columns of the last ``window`` rows.

    Parameters
    ----------
    window : int
        Rows kept, at least 1.
    columns : str
        NumPy's type of each column. All are one-dimensional, but the last may be ``width`` wide.
    width : int
        Of the last column; 0 if it is one-dimensional too.
    """

    def __init__(self, window: int, *columns: str, width: int = 0) -> None:
        if window < 1:
            raise ValueError(f"a window of {window} labels holds nothing")
        self._window = window
        self._columns: list[NDArray[Any]] = [np.zeros(window, dtype=column) for column in columns]
        if width:
            self._columns[-1] = np.zeros((window, width), dtype=columns[-1])
        self._seen = 0

    def __len__(self) -> int:
        return min(self._seen, self._window)

    def put(self, *rows: NDArray[Any]) -> None:
        """Append rows, one array a column; the oldest go."""
        n = len(rows[0])
        kept = min(n, self._window)
        start = (self._seen + n - kept) % self._window
        first = min(kept, self._window - start)
        for column, new in zip(self._columns, rows, strict=True):
            column[start : start + first] = new[n - kept : n - kept + first]
            if first < kept:
                column[: kept - first] = new[n - kept + first :]
        self._seen += n

    def rows(self) -> list[NDArray[Any]]:
        """The columns, oldest row first."""
        if self._seen <= self._window:
            return [column[: self._seen] for column in self._columns]
        turn = self._seen % self._window
        return [np.concatenate((column[turn:], column[:turn])) for column in self._columns]

    def widen(self, width: int) -> None:
        """Make the last column wider, with zeros in the rows so far; or narrower, with nothing but zeros."""
        last = self._columns[-1]
        wider = np.zeros((self._window, width), dtype=last.dtype)
        if width > last.shape[1]:
            wider[:, : last.shape[1]] = last
        self._columns[-1] = wider

    def state(self) -> RingState:
        """For a checkpoint: the window, rows seen, and each column's bytes, oldest row first."""
        return self._window, self._seen, [column.tobytes() for column in self.rows()]

    def restore(self, state: RingState) -> None:
        """Take up what ``state`` gave to a ring of the same width. Raises ValueError when it is of another window."""
        window, self._seen, columns = state
        if window != self._window:
            raise ValueError(f"the saved window has {window} labels, this one {self._window}")
        for column, data in zip(self._columns, columns, strict=True):
            column[: len(self)] = np.frombuffer(data, dtype=column.dtype).reshape(len(self), *column.shape[1:])
            if self._seen > window:  # the next row goes where the oldest is
                column[:] = np.roll(column, self._seen % window, axis=0)
