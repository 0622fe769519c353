"""Metrics of multiclass scores: counts by class for the decisions, counts by class and bin for the rankings.

Not here: the bins (bins.py) and the recent labels' ring (ring.py). Read binary.py before.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.metrics.binary import CLIP
from learners.metrics.bins import Counts, UnitBins, average_precision, dense, roc_auc, sparse
from learners.metrics.exact import LOSS_BITS, log_loss
from learners.metrics.ring import Ring

BITS: Final = 6
"""64 bins an octave: 5,121 a class."""

RANKED_MAX: Final = 32
"""With more classes than this, ROC AUC and average precision are not kept: 82 kB a class."""

_BINS: Final = UnitBins(BITS)


class _Rows(NamedTuple):
    """What rows add: the true class, the decision, the loss, and each class's bin."""

    target: NDArray[np.int64]
    decided: NDArray[np.int64]
    losses: NDArray[np.int64]
    bins: NDArray[np.int64]


class MulticlassMetrics:
    """Accuracy, macro and weighted precision, recall and F1, log loss, macro one-vs-rest ROC AUC and average precision.

    The decision is the class with the highest score, the first of equals. Macro means go over the classes that were a
    label or a decision, rankings over those that were a label (and not the only one). Classes may be added at any
    time: before, their probability was 0. Precision, recall and F1 are 0 where they would divide by 0, as in River.
    Log loss is that of the true class's probability as emitted, clipped, and not normalised.

    A score of NaN for one class is a probability of 0. A row whose scores are all NaN, or one of which is outside of
    [0, 1], does not count (``unscored``).

    Parameters
    ----------
    window : int
        Labels in the recent figures (12 bytes each, and 2 a class).
    width : int
        Classes known at the start.
    """

    codec = "pickle"

    def __init__(self, *, window: int = 10_000, width: int = 2) -> None:
        self._width = max(width, 1)
        self._ranked = self._width <= RANKED_MAX
        self._decisions: Counts = np.zeros((3, self._width), dtype=np.int64)  # hits, decisions, labels
        self._ranks: Counts = np.zeros((self._width if self._ranked else 0, _BINS.count, 2), dtype=np.int64)
        self._loss = 0
        self._count = 0
        self._unscored = 0
        self._ring = Ring(window, "<u4", "<u4", "<u4", "<u2", width=self._width if self._ranked else 1)

    @property
    def count(self) -> int:
        return self._count

    @property
    def unscored(self) -> int:
        return self._unscored

    def update(self, target: NDArray[np.float64], scores: NDArray[np.float64], previous: NDArray[np.float64]) -> None:
        """See ``Metrics.update``; ``scores`` is ``(n, n_classes)``, never narrower than the classes it names."""
        absent = np.isnan(scores)
        counts = ((scores >= 0.0) & (scores <= 1.0) | absent).all(axis=1) & ~absent.all(axis=1)
        corrects = ~np.isnan(previous)
        self._unscored += int((~counts & ~corrects).sum())
        true, corrects = target[counts].astype(np.int64), corrects[counts]
        if not len(true):
            return
        earlier = previous[counts][corrects].astype(np.int64)
        self._widen(max(scores.shape[1], int(true.max()) + 1, int(earlier.max(initial=-1)) + 1))
        probabilities = np.zeros((len(true), self._width))
        probabilities[:, : scores.shape[1]] = np.where(absent[counts], 0.0, scores[counts])
        rows = self._rows(probabilities, true)
        self._add(rows, 1)
        self._ring.put(*rows)
        if len(earlier):
            self._add(self._rows(probabilities[corrects], earlier), -1)

    def _rows(self, probabilities: NDArray[np.float64], target: NDArray[np.int64]) -> _Rows:
        true = probabilities[np.arange(len(target)), target]
        bins = _BINS.of(probabilities) if self._ranked else np.zeros((len(target), 1), dtype=np.int64)
        losses = log_loss(np.minimum(np.maximum(true, CLIP), 1.0 - CLIP))
        return _Rows(target, probabilities.argmax(axis=1), losses, bins)

    def _add(self, rows: _Rows, sign: int) -> None:
        self._decisions += sign * _decisions(rows, self._width)
        if self._ranked:
            np.add.at(self._ranks.reshape(-1), _places(rows), sign)
        self._loss += sign * int(rows.losses.sum())
        self._count += sign * len(rows.target)

    def _widen(self, width: int) -> None:
        if width <= self._width:
            return
        more = width - self._width
        self._decisions = np.pad(self._decisions, ((0, 0), (0, more)))
        if self._ranked and width <= RANKED_MAX:
            self._ranks = np.pad(self._ranks, ((0, more), (0, 0), (0, 0)))
            self._ranks[self._width :, 0, 0] = self._count  # so far negatives, with probability 0
            self._ring.widen(width)
        else:
            self._ranked = False
            self._ranks = self._ranks[:0]
            self._ring.widen(1)
        self._width = width

    def all(self) -> dict[str, float]:
        return self._figures(self._decisions, self._ranks, self._loss)

    def recent(self) -> dict[str, float]:
        target, decided, losses, bins = (column.astype(np.int64) for column in self._ring.rows())
        rows = _Rows(target, decided, losses, bins)
        ranks = np.bincount(_places(rows), minlength=self._ranks.size) if self._ranked else self._ranks
        return self._figures(_decisions(rows, self._width), ranks.reshape(self._ranks.shape), int(losses.sum()))

    def _figures(self, decisions: Counts, ranks: Counts, loss: int) -> dict[str, float]:
        met = decisions[1:].any(axis=0)
        hits, decided, labels = decisions[:, met]
        n = int(labels.sum())
        nothing = float("nan")
        if not n:
            return dict.fromkeys(_NAMES, nothing)
        by_class = {
            "precision": hits / np.maximum(decided, 1),
            "recall": hits / np.maximum(labels, 1),
            "f1": 2 * hits / (decided + labels),
        }
        figures = {"accuracy": int(hits.sum()) / n}
        for name, values in by_class.items():
            figures[f"{name}_macro"] = float(values.mean())
            figures[f"{name}_weighted"] = float((values * labels).sum()) / n
        figures["log_loss"] = loss / (n << LOSS_BITS)
        areas = [roc_auc(counts[:, 0], counts[:, 1]) for counts in ranks]
        precisions = [average_precision(counts[:, 0], counts[:, 1]) for counts in ranks]
        told = [place for place, area in enumerate(areas) if area == area]  # noqa: PLR0124 - not NaN
        figures["roc_auc"] = sum(areas[place] for place in told) / len(told) if told else nothing
        figures["average_precision"] = sum(precisions[place] for place in told) / len(told) if told else nothing
        return figures

    def alive(self) -> Iterable[str]:
        return ("state",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - every label changes the state
        yield (
            "state",
            {
                "width": self._width,
                "ranked": self._ranked,
                "decisions": self._decisions.tolist(),
                "ranks": sparse(self._ranks),
                "loss": self._loss,
                "count": self._count,
                "unscored": self._unscored,
                "ring": self._ring.state(),
            },
        )

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        state: Any = chunks["state"]
        self._width, self._ranked = state["width"], state["ranked"]
        self._decisions = np.array(state["decisions"], dtype=np.int64)
        self._ranks = dense(state["ranks"]).reshape(-1, _BINS.count, 2)
        self._loss, self._count, self._unscored = state["loss"], state["count"], state["unscored"]
        self._ring.widen(self._width if self._ranked else 1)
        self._ring.restore(state["ring"])


_NAMES: Final = (
    "accuracy",
    *(f"{name}_{mean}" for name in ("precision", "recall", "f1") for mean in ("macro", "weighted")),
    "log_loss",
    "roc_auc",
    "average_precision",
)


def _decisions(rows: _Rows, width: int) -> Counts:
    """Hits, decisions and labels by class, ``(3, width)``."""
    hits = rows.target[rows.target == rows.decided]
    return np.stack([np.bincount(classes, minlength=width) for classes in (hits, rows.decided, rows.target)])


def _places(rows: _Rows) -> NDArray[np.int64]:
    """Where each row's classes are counted in ``(width, bins, 2)``, flat."""
    classes = np.arange(rows.bins.shape[1])
    places: NDArray[np.int64] = (classes * _BINS.count + rows.bins) * 2 + (rows.target[:, np.newaxis] == classes)
    return places.reshape(-1)
