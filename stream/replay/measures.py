"""How good scores were: sums that add up over events, and the measures that are made of them.

A *judge* holds one learner's judged events. Its sums are by group, so one formula serves the whole stream, slices of it,
segments, and resampled blocks (bootstrap.py): there sums are weighted and added, never the events looked at again. Not
here: where the columns come from (judged.py); what follows from the order of scores (ranking.py).
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from learners.metrics.binary import CLIP
from stream.replay.ranking import Steps, add_up, best_first, steps

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]
Sums = Mapping[str, Floats]
"""Each ``(..., n_groups)``; a name's sums add up over groups."""
Measures = dict[str, Floats]

HIGHER: Final = frozenset(
    {"average_precision", "roc_auc", "accuracy", "precision", "recall", "f1", "macro_f1", "r2"}
)  # fmt: skip
"""Measures of which more is better. Precision among the best k (``top_…``) is another. Of all others less is better."""

CALIBRATION_BINS: Final = 10
BANDS: Final = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of scores, where positives are rare: of ten equal bins the first would hold nearly everything."""

CURVE_POINTS: Final = 160


class Judge(Protocol):
    """One learner's judged events."""

    def __len__(self) -> int: ...

    def sums(self, codes: Codes, groups: int) -> Sums:
        """By group, each of shape ``(n_groups,)``."""
        ...

    def measures(self, sums: Sums) -> Measures:
        """Of the sums, with their shape; NaN where there is nothing to divide by."""
        ...

    def at(self, places: NDArray[np.int64]) -> "Judge":
        """Of these events only."""
        ...


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN where it would divide by 0."""
    share: Floats = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)
    return share


def or_zero(above: Floats, below: Floats) -> Floats:
    """0 where it would divide by 0, as precision, recall and F1 are in River and scikit-learn."""
    share: Floats = np.divide(above, below, out=np.zeros(np.shape(below)), where=below != 0)
    return share


class Binary:
    """Scores of the positive class, or anomaly scores.

    Parameters
    ----------
    positive : (n,) bool
    scores : (n,)
        Finite; with ``probabilities`` in [0, 1].
    threshold : float, or (n,)
        A score at or above it decides positive.
    probabilities : bool
        If not (anomaly), there are no log loss, Brier score or calibration.
    """

    def __init__(
        self, positive: NDArray[np.bool_], scores: Floats, *, threshold: float | Floats, probabilities: bool = True
    ) -> None:
        self.positive, self.scores = positive, scores
        self.threshold, self.probabilities = threshold, probabilities
        self._order: NDArray[np.int64] | None = None
        self._losses: tuple[Floats, Floats] | None = None
        self._whole: tuple[dict[str, float], list[dict[str, float]]] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def order(self) -> NDArray[np.int64]:
        """Best first."""
        if self._order is None:
            self._order = best_first(self.scores)
        return self._order

    def at(self, places: NDArray[np.int64]) -> "Binary":
        held = self.threshold if isinstance(self.threshold, float) else self.threshold[places]
        return Binary(self.positive[places], self.scores[places], threshold=held, probabilities=self.probabilities)

    def losses(self) -> tuple[Floats, Floats]:
        """Log loss, clipped as River clips it, and squared error, of each event."""
        if self._losses is None:
            right = np.where(self.positive, self.scores, 1.0 - self.scores)
            self._losses = -np.log(np.clip(right, CLIP, 1.0 - CLIP)), (1.0 - right) ** 2
        return self._losses

    def sums(self, codes: Codes, groups: int) -> Sums:
        # one pass over small codes in place of four over weights
        cells = (codes * 2 + self.positive) * 2 + (self.scores >= self.threshold)
        counts = np.bincount(cells, minlength=4 * groups).reshape(groups, 2, 2).astype(np.float64)
        sums = {
            "n": counts.sum(axis=(1, 2)),
            "positive": counts[:, 1].sum(axis=1),
            "decided": counts[:, :, 1].sum(axis=1),
            "hit": counts[:, 1, 1],
        }
        if self.probabilities:
            loss, square = self.losses()
            sums |= {"loss": add_up(codes, groups, loss), "square": add_up(codes, groups, square)}
        return sums

    def measures(self, sums: Sums) -> Measures:
        n, positive, decided, hit = sums["n"], sums["positive"], sums["decided"], sums["hit"]
        measures = {}
        if "loss" in sums:
            measures = {"log_loss": ratio(sums["loss"], n), "brier": ratio(sums["square"], n)}
        return measures | {
            "accuracy": ratio(n - positive - decided + 2 * hit, n),
            "precision": or_zero(hit, decided),
            "recall": or_zero(hit, positive),
            "f1": or_zero(2 * hit, positive + decided),
        }

    def steps(self, codes: Codes, groups: int) -> Steps:
        return steps(self.order, self.scores, self.positive, codes, groups)

    def whole(self) -> tuple[dict[str, float], list[dict[str, float]]]:
        """Of all events: the measures of their order, and points of the precision-recall curve."""
        if self._whole is None:
            found = self.steps(np.zeros(len(self), dtype=np.int64), 1)
            measures = {
                "average_precision": float(found.average_precision().item()),
                "roc_auc": float(found.roc_auc().item()),
            }
            self._whole = measures, found.curve(CURVE_POINTS)
        return self._whole

    def calibration(self) -> dict[str, object]:
        """Ten bins of equal width, the expected calibration error (the mean distance of score and share, by events), and bands.

        M. P. Naeini, G. F. Cooper, M. Hauskrecht (2015), *Obtaining well calibrated probabilities using Bayesian binning*.
        """
        bins = np.minimum((self.scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        said = add_up(bins, CALIBRATION_BINS, self.scores)
        was = add_up(bins, CALIBRATION_BINS, self.positive)
        n = len(self)
        return {
            "bins": self._binned(bins, [i / CALIBRATION_BINS for i in range(CALIBRATION_BINS + 1)]),
            "bands": self._binned(np.searchsorted(BANDS[1:-1], self.scores, side="right"), BANDS),
            "score_mean": float(self.scores.sum() / n) if n else None,
            "positive_share": float(self.positive.sum() / n) if n else None,
            "expected_calibration_error": float(np.abs(said - was).sum() / n) if n else None,
        }

    def _binned(self, codes: Codes, edges: Sequence[float]) -> list[dict[str, float]]:
        """What was said and what was true in each bin that holds events."""
        bins = len(edges) - 1
        n = np.bincount(codes, minlength=bins)
        said, was = add_up(codes, bins, self.scores), add_up(codes, bins, self.positive)
        return [
            {
                "from": edges[i],
                "to": edges[i + 1],
                "events": int(n[i]),
                "score_mean": float(said[i] / n[i]),
                "positive_share": float(was[i] / n[i]),
            }
            for i in np.flatnonzero(n).tolist()
        ]


class Regression:
    """Values said and values that were, ``(n,)`` each, finite."""

    def __init__(self, target: Floats, value: Floats) -> None:
        self.target, self.value = target, value

    def __len__(self) -> int:
        return len(self.target)

    @property
    def errors(self) -> Floats:
        """Said minus true."""
        return self.value - self.target

    def at(self, places: NDArray[np.int64]) -> "Regression":
        return Regression(self.target[places], self.value[places])

    def sums(self, codes: Codes, groups: int) -> Sums:
        errors = self.errors
        # around one constant, not around 0: Σy² - (Σy)²/n would lose the digits of targets far from 0
        centred = self.target - (float(np.median(self.target)) if len(self) else 0.0)
        return {
            "n": np.bincount(codes, minlength=groups).astype(np.float64),
            "error": add_up(codes, groups, errors),
            "absolute": add_up(codes, groups, np.abs(errors)),
            "square": add_up(codes, groups, errors**2),
            "target": add_up(codes, groups, centred),
            "target_square": add_up(codes, groups, centred**2),
        }

    def measures(self, sums: Sums) -> Measures:
        n = sums["n"]
        spread = sums["target_square"] - ratio(sums["target"] ** 2, n)
        spread = np.where(spread > 1e-12 * sums["target_square"], spread, 0.0)  # nothing but rounding
        return {
            "mae": ratio(sums["absolute"], n),
            "rmse": np.sqrt(ratio(sums["square"], n)),
            "r2": 1.0 - ratio(sums["square"], spread),
        }


class Multiclass:
    """Decisions, and scores of all classes if there are any.

    Parameters
    ----------
    target, decided : (n,) int64
        Indexes into the classes.
    right : (n,), optional
        The score of the true class.
    classes : int
        How many there are.
    """

    def __init__(
        self, target: NDArray[np.int64], decided: NDArray[np.int64], right: Floats | None, *, classes: int
    ) -> None:
        self.target, self.decided, self.right, self.classes = target, decided, right, classes

    def __len__(self) -> int:
        return len(self.target)

    def at(self, places: NDArray[np.int64]) -> "Multiclass":
        right = None if self.right is None else self.right[places]
        return Multiclass(self.target[places], self.decided[places], right, classes=self.classes)

    def sums(self, codes: Codes, groups: int) -> Sums:
        right = self.target == self.decided
        sums = {
            "n": np.bincount(codes, minlength=groups).astype(np.float64),
            "right": add_up(codes, groups, right),
        }
        if self.right is not None:
            sums["loss"] = add_up(codes, groups, -np.log(np.clip(self.right, CLIP, 1.0 - CLIP)))
        for one in range(self.classes):
            sums[f"true {one}"] = add_up(codes, groups, self.target == one)
            sums[f"decided {one}"] = add_up(codes, groups, self.decided == one)
            sums[f"hit {one}"] = add_up(codes, groups, right & (self.target == one))
        return sums

    def measures(self, sums: Sums) -> Measures:
        f1 = np.zeros(np.shape(sums["n"]))
        met = np.zeros(np.shape(sums["n"]))
        for one in range(self.classes):
            either = sums[f"true {one}"] + sums[f"decided {one}"]
            f1 += or_zero(2 * sums[f"hit {one}"], either)
            met += either > 0
        measures = {"accuracy": ratio(sums["right"], sums["n"]), "macro_f1": ratio(f1, met)}
        if "loss" in sums:
            measures["log_loss"] = ratio(sums["loss"], sums["n"])
        return measures

    def confusion(self) -> list[list[int]]:
        """True classes down, decisions across."""
        cells = np.bincount(self.target * self.classes + self.decided, minlength=self.classes**2)
        rows: list[list[int]] = cells.reshape(self.classes, self.classes).tolist()
        return rows
