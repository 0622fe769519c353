"""The type at which feature stages meet the step. Windows per key are the stages to come; the step runs any."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learners.base import Program, Rows


class FeatureStage(Protocol):
    """Computes features for a whole batch before any learner runs; depends on records and labels only."""

    names: tuple[str, ...]
    codec: str

    def run(self, program: Program, rows: Rows) -> NDArray[np.float64]:
        """``(n_events, len(names))``, for the batch's events: waiting rows keep what they were scored with.

        In order: an event reads, then updates; a label updates, undoing ``previous``.
        """
        ...

    def alive(self) -> Iterable[str]: ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]: ...

    def load(self, chunks: Mapping[str, object]) -> None: ...
