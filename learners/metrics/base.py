"""The type at which prequential metrics meet the step: how good were the scores that were emitted, now that labels came?

Constant memory, a fraction of a microsecond a label, and the same figures wherever a batch is cut: all that is summed is
a count or an exact sum. Not here: which score goes with which label (the step says so). Read binary.py, then build.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Metrics(Protocol):
    """Figures over all labels, and over a recent window of them."""

    codec: str

    @property
    def count(self) -> int:
        """Events whose label has come and whose score counts."""
        ...

    @property
    def unscored(self) -> int:
        """Events whose label has come but whose score was no number that counts (each class says which)."""
        ...

    def update(self, target: NDArray[np.float64], scores: NDArray[np.float64], previous: NDArray[np.float64]) -> None:
        """Labels, in their order, with the scores that were emitted for their events.

        Parameters
        ----------
        target : (n,)
            The value, or the index of the class (binary: 0 or 1).
        scores : (n, n_outputs)
            As emitted.
        previous : (n,)
            The label that this one corrects, else NaN. What it added to the figures over all is taken back exactly;
            the recent window sees one label more.
        """
        ...

    def all(self) -> dict[str, float]:
        """Figures over all labels by name; NaN where there is nothing to say yet."""
        ...

    def recent(self) -> dict[str, float]:
        """The same over the recent window."""
        ...

    def alive(self) -> Iterable[str]: ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]: ...

    def load(self, chunks: Mapping[str, object]) -> None: ...
