"""Metrics of binary scores and of anomaly scores: one table of counts by bin, decision and label says it all.

Not here: the bins (bins.py) and the recent labels' ring (ring.py). Read base.py before.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from learners.metrics.bins import Counts, UnitBins, WideBins, average_precision, dense, roc_auc, sparse
from learners.metrics.exact import LOSS_BITS, log_loss
from learners.metrics.ring import Ring

BITS: Final = 8
"""256 bins an octave: 20,481 over [0, 1], 0.7 MB of counts, of which a checkpoint holds those that are not 0."""

CLIP: Final = 1e-15
"""Probabilities are clipped so far from 0 and 1 for the log loss, as River and scikit-learn do."""


class BinaryMetrics:
    """Accuracy, precision, recall, F1, log loss, ROC AUC, average precision, and the share of positives.

    ROC AUC and average precision are those of the scores' bins (bins.py states their bounds); for continuous scores
    that crowd within a standard deviation of 0.15 in the logit, anywhere, the errors stay under 1e-3 and 5e-3.
    Precision, recall and F1 are 0 where they would divide by 0, as in River.

    Parameters
    ----------
    threshold : float
        A score at or above it decides positive, where it does not come with one of its own.
    window : int
        Labels in the recent figures (8 bytes each).
    probabilities : bool
        Scores are probabilities: one outside [0, 1] does not count (``unscored``). If not (anomaly), any finite score
        counts, and there is no log loss.
    """

    codec = "pickle"

    def __init__(self, *, threshold: float = 0.5, window: int = 10_000, probabilities: bool = True) -> None:
        self._threshold = threshold
        self._probabilities = probabilities
        self._bins: UnitBins | WideBins = UnitBins(BITS) if probabilities else WideBins(BITS)
        # By decision, label and bin, flat: decided negative and negative, decided negative and positive, ...
        self._counts: Counts = np.zeros(4 * self._bins.count, dtype=np.int64)
        self._loss = 0
        self._count = 0
        self._unscored = 0
        self._ring = Ring(window, "<u4", "<u4")

    @property
    def count(self) -> int:
        return self._count

    @property
    def unscored(self) -> int:
        return self._unscored

    def update(self, target: NDArray[np.float64], scores: NDArray[np.float64], previous: NDArray[np.float64]) -> None:
        """See ``Metrics.update``; ``scores`` is ``(n, 1)``, or ``(n, 2)`` with the threshold that each was decided by."""
        score = scores[:, 0]
        decided = score >= (self._threshold if scores.shape[1] == 1 else scores[:, 1])
        counts = (score >= 0.0) & (score <= 1.0) if self._probabilities else np.isfinite(score)
        corrects = previous == previous  # noqa: PLR0124 - not NaN, at half of isnan's price
        if not np.logical_and.reduce(counts):  # the method costs a microsecond more, which is felt at one row
            self._unscored += int((~counts & ~corrects).sum())
            target, score, previous, corrects = target[counts], score[counts], previous[counts], corrects[counts]
            decided = decided[counts]
        if not len(score):
            return
        base = self._bins.of(score) + decided * (2 * self._bins.count)
        codes, losses = self._row(base, score, target)
        np.add.at(self._counts, codes, 1)
        self._loss += int(np.add.reduce(losses))
        self._count += len(codes)
        self._ring.put(codes, losses)
        if np.logical_or.reduce(corrects):
            codes, losses = self._row(base[corrects], score[corrects], previous[corrects])
            np.subtract.at(self._counts, codes, 1)
            self._loss -= int(losses.sum())
            self._count -= len(codes)

    def _row(
        self, base: NDArray[np.int64], score: NDArray[np.float64], label: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Each row's place in the counts, and its loss."""
        positive = label > 0.5
        codes = base + positive * self._bins.count
        if not self._probabilities:
            return codes, np.zeros_like(codes)
        clipped = np.minimum(np.maximum(score, CLIP), 1.0 - CLIP)
        return codes, log_loss(np.where(positive, clipped, 1.0 - clipped))

    def all(self) -> dict[str, float]:
        return self._figures(self._counts, self._loss)

    def recent(self) -> dict[str, float]:
        codes, losses = self._ring.rows()
        return self._figures(np.bincount(codes, minlength=len(self._counts)), int(losses.sum(dtype=np.int64)))

    def _figures(self, counts: Counts, loss: int) -> dict[str, float]:
        table = counts.reshape(4, -1)
        tn, fn, fp, tp = (int(total) for total in table.sum(axis=1))
        n = tn + fn + fp + tp
        negatives, positives = table[0] + table[2], table[1] + table[3]
        nothing = float("nan")
        figures = {
            "accuracy": (tp + tn) / n if n else nothing,
            "precision": tp / (tp + fp) if tp else 0.0,
            "recall": tp / (tp + fn) if tp else 0.0,
            "f1": 2 * tp / (2 * tp + fp + fn) if tp else 0.0,
            "log_loss": loss / (n << LOSS_BITS) if n else nothing,
            "roc_auc": roc_auc(negatives, positives),
            "average_precision": average_precision(negatives, positives),
            "base_rate": (tp + fn) / n if n else nothing,
        }
        if not self._probabilities:
            del figures["log_loss"]
        return figures

    def alive(self) -> Iterable[str]:
        return ("state",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every label changes the state
        yield (
            "state",
            {
                "counts": sparse(self._counts),
                "loss": self._loss,
                "count": self._count,
                "unscored": self._unscored,
                "ring": self._ring.state(),
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        state: Any = chunks["state"]
        self._counts = dense(state["counts"])
        self._loss, self._count, self._unscored = state["loss"], state["count"], state["unscored"]
        self._ring.restore(state["ring"])
