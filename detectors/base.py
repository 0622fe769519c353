"""The type at which detectors meet the step: a detector watches a series of numbers and says where it changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray


class Finding(NamedTuple):
    """A change that a detector found."""

    at: int
    """Position in the values given to ``watch``: the value at which the change was known."""
    level: Literal["warning", "alarm"]
    before: float
    """Mean of the signal before the change."""
    after: float
    """Mean of the signal since."""


class Detector(Protocol):
    """Watches numbers, changes nothing. One alarm a change. Values are finite: the step checks them at the door."""

    codec: str

    def watch(self, values: NDArray[np.float64]) -> Sequence[Finding]:
        """``(n,)``. ``watch(a + b)`` finds what ``watch(a)``, then ``watch(b)`` find."""
        ...

    def fresh(self) -> Self:
        """The same specification with nothing seen."""
        ...

    def alive(self) -> Iterable[str]: ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]: ...

    def load(self, chunks: Mapping[str, object]) -> None: ...
