"""Scores that nobody emitted: a learner asked about rows made up here, and left as it was.

For explanations and for what-if. A copy of a learner is one that nothing done to the first changes. Read shapley.py next.
"""

import pickle  # the form in which learners keep their state; only bytes of this process are opened
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, Learner, Program, Value


class Sample:
    """Rows given as dicts (``learners.base.Rows``).

    Parameters
    ----------
    names
        Features in the configured order; empty when they are open.
    dicts
        In the order of ``names``. Not changed.
    """

    def __init__(self, names: tuple[str, ...], dicts: Sequence[dict[str, Value]]) -> None:
        self.names = names
        self._dicts = dicts

    def __len__(self) -> int:
        return len(self._dicts)

    def dicts(self) -> Sequence[dict[str, Value]]:
        return self._dicts

    def matrix(self) -> NDArray[np.float64]:
        """``(n_rows, n_features)``; NaN where missing or text. Raises TypeError when features are open."""
        if not self.names and any(self._dicts):
            raise TypeError("rows with open features have no matrix: list the features in the configuration")
        columns = [[_number(row.get(name)) for name in self.names] for row in self._dicts]
        return np.array(columns, dtype=np.float64).reshape(len(self._dicts), len(self.names))

    def times_ms(self) -> NDArray[np.int64]:
        """Raises TypeError: a sample has no time."""
        raise TypeError("a sample has no time")

    def column(self, name: str) -> Sequence[Value | None]:
        return [row.get(name) for row in self._dicts]

    def add(self, names: tuple[str, ...], values: NDArray[np.float64]) -> None:  # noqa: ARG002
        """Raises TypeError: computed features are in the rows already."""
        raise TypeError("a sample's rows are whole")


def _number(value: Value | None) -> float:
    return float("nan") if value is None or isinstance(value, str) else float(value)


def asked(
    learner: Learner, names: tuple[str, ...], dicts: Sequence[dict[str, Value]], classes: Sequence[str] = ()
) -> NDArray[np.float64]:
    """What the learner would answer, ``(n_rows, len(outputs))``; NaN from the first row on that it has no finite score for."""
    count = len(dicts)
    scores = np.full((count, len(learner.outputs)), np.nan)
    nothing = np.full(count, np.nan)
    program = Program(
        op=np.full(count, EVENT, np.uint8),
        row=np.arange(count, dtype=np.int32),
        time_ms=np.zeros(count, np.int64),
        target=nothing,
        previous=nothing,
        weight=np.ones(count),
        classes=classes,
    )
    learner.run(Sample(names, dicts), program, 0, count, scores, learn=False)
    return scores


def copy_of(learner: Learner) -> Learner:
    """A learner that answers as this one does, and shares nothing with it."""
    chunks: Mapping[str, object] = pickle.loads(pickle.dumps(dict(learner.dump(-1))))  # noqa: S301 (bytes of this line)
    copy = learner.fresh()
    copy.load(chunks)
    return copy
