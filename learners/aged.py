"""A learner that learns only labels of a certain age: what an investigator said within the hour, or what came weeks later.

A label's *age* is stream time when it comes less its event's own time. It scores every event; a label of another age is passed
over as if it had not come. Two learners with two ages and a blend of them: see blend.py and docs/blends.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from learners.base import LABEL, Learner, LearnError, Program, Rows
from learners.blend import members_of, weights_of
from learners.explanations.base import Explanation


def bare(learner: Learner) -> Learner:
    """The learner itself, as if it learned labels of every age."""
    return learner.learner if isinstance(learner, Aged) else learner


class Aged:
    """A learner that learns a label when ``after_ms < age <= within_ms`` (``learners.base.Learner``).

    Parameters
    ----------
    learner : Learner
    after_ms, within_ms : int or None
        Milliseconds of stream time; None: no bound.
    """

    def __init__(self, learner: Learner, after_ms: int | None, within_ms: int | None) -> None:
        self.learner = learner
        self._after_ms, self._within_ms = after_ms, within_ms
        self.outputs = learner.outputs
        self.codec = learner.codec

    @property
    def members(self) -> tuple[str, ...]:
        """Of a blend: whose scores it reads."""
        return members_of(self.learner)

    @property
    def weights(self) -> dict[str, float]:
        """Of a blend."""
        return weights_of(self.learner)

    @property
    def failure(self) -> str:
        told: str = getattr(self.learner, "failure", "")
        return told

    @property
    def needs_matrix(self) -> bool:
        return bool(getattr(self.learner, "needs_matrix", False))

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64], *, learn: bool = True
    ) -> int:
        """See ``learners.base.Learner``."""
        labels = np.flatnonzero(program.op[start:stop] == LABEL) + start if learn else ()
        if not len(labels):
            return self.learner.run(rows, program, start, stop, scores, learn=learn)
        ages = program.time_ms[labels] - rows.times_ms()[program.row[labels]]
        other = labels[~self._learns(ages)]
        if not len(other):
            return self.learner.run(rows, program, start, stop, scores)
        kept = np.setdiff1d(np.arange(start, stop), other, assume_unique=True)
        if not len(kept):
            return stop - start
        try:
            done = self.learner.run(rows, _only(program, kept), 0, len(kept), scores)
        except LearnError as error:
            raise LearnError(int(kept[error.operation]), str(error)) from error.__cause__
        return int(kept[done - 1]) + 1 - start

    def _learns(self, ages_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = np.ones(len(ages_ms), np.bool_)
        if self._after_ms is not None:
            wanted &= ages_ms > self._after_ms
        if self._within_ms is not None:
            wanted &= ages_ms <= self._within_ms
        return wanted

    def explain(self, rows: Rows, row: int) -> Explanation | None:
        """See ``learners.explanations.base.Explains``."""
        own = getattr(self.learner, "explain", None)
        told: Explanation | None = own(rows, row) if own is not None else None
        return told

    def unseeded(self) -> list[str]:
        found: list[str] = getattr(self.learner, "unseeded", list)()
        return found

    def fresh(self) -> Self:
        return type(self)(self.learner.fresh(), self._after_ms, self._within_ms)

    def alive(self) -> Iterable[str]:
        return self.learner.alive()

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        return self.learner.dump(since)

    def load(self, chunks: Mapping[str, object]) -> None:
        self.learner.load(chunks)


def _only(program: Program, kept: NDArray[np.intp]) -> Program:
    """The program of these operations."""
    return Program(
        op=program.op[kept],
        row=program.row[kept],
        time_ms=program.time_ms[kept],
        target=program.target[kept],
        previous=program.previous[kept],
        weight=program.weight[kept],
        classes=program.classes,
    )
