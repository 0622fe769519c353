"""Feature stages without a memory: a calendar, and a number made of two. Windows per key are in windows.py."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, Program, Rows
from learners.features.calendar import NIGHT, calendar_features, check_calendar


class Stateless:
    """Nothing to keep in a checkpoint."""

    codec = ""

    def stamp(self, records: int) -> None:
        """Nothing changed."""

    def alive(self) -> Iterable[str]:
        return ()

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002
        return iter(())

    def load(self, chunks: Mapping[str, object]) -> None:
        """There is nothing."""


class Calendar(Stateless):
    """What a clock on the wall says at an event's own time; see ``calendar.calendar_features``.

    Raises
    ------
    ValueError
        There is no such zone or feature.
    """

    def __init__(self, compute: Sequence[str], zone: str = "UTC", night: tuple[int, int] = NIGHT) -> None:
        check_calendar(zone, compute, night)
        self.names = tuple(compute)
        self.name = "calendar"
        self._told = zone, tuple(compute), night

    def run(self, program: Program, rows: Rows) -> NDArray[np.float64]:
        """``(n_events, len(names))``."""
        return calendar_features(rows.times_ms()[: _events(program)], *self._told)


LARGEST: Final = 1e100
"""Of a ratio or a difference: what is beyond it is missing, for its square or cube would be no number in a learner."""


class Pair(Stateless):
    """One number divided by another, or minus it; missing where either is, where a ratio's second is zero, or beyond LARGEST."""

    def __init__(self, kind: Literal["ratio", "difference"], of: str, to: str, name: str | None = None) -> None:
        self._kind, self._of, self._to = kind, of, to
        self.name = name or f"{of}_{'per' if kind == 'ratio' else 'minus'}_{to}"
        self.names: tuple[str, ...] = (self.name,)

    def run(self, program: Program, rows: Rows) -> NDArray[np.float64]:
        """``(n_events, 1)``."""
        first, second = (np.array(rows.column(name)[: _events(program)], np.float64) for name in (self._of, self._to))
        if self._kind == "difference":
            values = first - second
        else:
            with np.errstate(over="ignore"):
                values = np.divide(first, second, out=np.full(len(first), np.nan), where=second != 0)
        values[np.abs(values) > LARGEST] = np.nan
        return values.reshape(-1, 1)


def _events(program: Program) -> int:
    return int(np.count_nonzero(program.op == EVENT))
