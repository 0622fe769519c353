"""The rows that a feature is compared with: what the task saw lately, bounded, and a function of its events alone.

A sampling explanation asks what the score would be had a feature been another event's. Those others are here: of each
fifty events in a row one, picked by a hash of its number; of the first hundred events all. The newest hundred stay, so
they are of the last five thousand events: a stream drifts, and an answer is to be compared with its own times (uniform
samples of everything, as Vitter's reservoir (1985) keeps, grow old). After five thousand events nothing is left of where
the collecting began: a fold from any earlier place holds the same rows. Read shapley.py next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from learners.base import Value

SIZE = 100
"""Rows: what sampling Shapley values needs, and 25 kB of state with twenty features."""
STRIDE = 50
"""Events for each row that is taken."""


class Background:
    """Recent rows as dicts, computed features included. A part of the state where reasons are asked for."""

    codec = "pickle"

    def __init__(self) -> None:
        self.rows: list[dict[str, Value]] = []

    def picks(self, first: int, count: int) -> list[int]:
        """Which of ``count`` events, numbered from ``first``, belong to it: indices from 0, ascending.

        Parameters
        ----------
        first : int
            Dense number of the first event among all of the task.
        """
        filling = min(SIZE - len(self.rows), count)
        blocks = range((first + filling) // STRIDE, (first + count) // STRIDE + 1)
        picked = (block * STRIDE + _mixed(block) % STRIDE - first for block in blocks)
        return [*range(filling), *(index for index in picked if filling <= index < count)]

    def before(self, index: int, picks: Sequence[int], dicts: Sequence[dict[str, Value]]) -> list[dict[str, Value]]:
        """The rows as they were right before event ``index`` of a batch whose ``picks`` are not kept yet."""
        came = [dicts[pick] for pick in picks if pick < index]
        return (self.rows + came)[-SIZE:] if came else self.rows

    def keep(self, rows: Iterable[dict[str, Value]]) -> None:
        """Take copies of these in; the oldest go."""
        self.rows = [*self.rows, *map(dict, rows)][-SIZE:]

    def alive(self) -> tuple[str, ...]:
        return ("rows",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        yield "rows", [dict(row) for row in self.rows]

    def load(self, chunks: Mapping[str, object]) -> None:
        rows = chunks["rows"]
        assert isinstance(rows, list)
        self.rows = [dict(row) for row in rows]


def _mixed(number: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): neighbouring numbers become unlike ones."""
    with np.errstate(over="ignore"):
        x = np.uint64(number) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return int(x ^ (x >> np.uint64(31)))
