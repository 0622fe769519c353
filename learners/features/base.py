"""The type at which feature stages meet the step. Windows per key are in windows.py, stages without a memory in stages.py."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learners.base import Program, Rows


class FeatureStage(Protocol):
    """Computes features for a whole batch before any learner runs; depends on records and labels only."""

    name: str
    """Of its part of the state."""
    names: tuple[str, ...]
    """Of the features."""
    codec: str
    """Empty: it has no state."""

    def run(self, program: Program, rows: Rows) -> NDArray[np.float64]:
        """``(n_events, len(names))``, for the batch's events: waiting rows keep what they were scored with.

        In order: an event reads and updates; a label updates, undoing ``previous``.
        """
        ...

    def stamp(self, records: int) -> None:
        """What changed since the last call was changed by the task's record number ``records``."""
        ...

    def alive(self) -> Iterable[str]: ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]: ...

    def load(self, chunks: Mapping[str, object]) -> None: ...
