"""Bins of scores, fine where scores crowd, and what is read from their counts: ROC AUC and average precision.

A bin is the exponent of a float and the first bits of its mantissa, which costs a shift instead of a logarithm and is
the same on every machine. Not here: whose counts they are (binary.py, multiclass.py).
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int64]

OCTAVES: Final = 40
_ONE: Final = 1023  # the exponent field of 1.0
_MANTISSA_BITS: Final = 52


class UnitBins:
    """Bins of [0, 1]: nearly uniform in the logit, with exactly 0 and exactly 1 by themselves.

    Below a half, ``2**bits`` bins an octave down to ``2**-41``; above, the mirror image. A bin is at most ``2**-bits``
    of ``min(p, 1 - p)`` wide, however near to 0 or 1 scores crowd.

    Examples
    --------
    >>> UnitBins(6).of(np.array([0.0, 0.5, 1.0]))
    array([   0, 2560, 5120])
    """

    def __init__(self, bits: int) -> None:
        self._shift = _MANTISSA_BITS - bits
        self._floor = (_ONE - 1 - OCTAVES) << bits
        self._last = 2 * (OCTAVES << bits)
        self.count = self._last + 1

    def of(self, p: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each, in the order of the scores; all in [0, 1], any shape."""
        nearer = np.minimum(p, 1.0 - p)  # 1 - p is exact from a half on
        steps: NDArray[np.int64] = (nearer.view(np.int64) >> self._shift) - self._floor
        steps = np.maximum(steps, nearer > 0.0)  # 0 is for exactly 0
        bins: NDArray[np.int64] = np.where(p < 0.5, steps, self._last - steps)
        return bins


class WideBins:
    """Bins of all finite numbers, for anomaly scores, which may lie anywhere but mostly lie in [0, 1].

    In [0, 1] those of ``UnitBins``; outside of it 256 an octave of the magnitude, above 1 up to ``2**32`` and below 0
    from ``-2**-16`` to ``-2**32``, whatever is beyond in the last of them.
    """

    _BITS: Final = 8
    _UP: Final = 32 << _BITS
    _DOWN: Final = (32 + 16) << _BITS

    def __init__(self, bits: int) -> None:
        self._unit = UnitBins(bits)
        self.count = self._DOWN + self._unit.count + self._UP

    def of(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each finite score, in the order of the scores."""
        magnitude = np.abs(scores).view(np.int64) >> (_MANTISSA_BITS - self._BITS)
        up = np.minimum(magnitude - (_ONE << self._BITS), self._UP - 1)
        down = np.minimum(np.maximum(magnitude - ((_ONE - 16) << self._BITS), 0), self._DOWN - 1)
        inside = self._unit.of(np.minimum(np.maximum(scores, 0.0), 1.0))
        above = np.where(scores > 1.0, self._unit.count + up, inside)
        return np.where(scores < 0.0, -1 - down, above) + self._DOWN


def roc_auc(negatives: Counts, positives: Counts) -> float:
    """Area under the ROC curve of scores in bins (ascending); scores of one bin count as equal. NaN without both classes.

    It differs from that of the scores themselves by at most half the share of pairs (positive, negative) that fall
    into one bin.
    """
    negative, positive = int(negatives.sum()), int(positives.sum())
    if not negative or not positive:
        return float("nan")
    below = np.cumsum(negatives) - negatives
    return float(((below + 0.5 * negatives) / negative * positives).sum() / positive)


def average_precision(negatives: Counts, positives: Counts) -> float:
    """Sum of precision times gain in recall, bin by bin from the highest; NaN without positives.

    As scikit-learn does with scores that are equal, so with those of one bin: precision is that at the bin's end. It
    differs from that of the scores themselves by what precision changes within a bin.
    """
    positive = int(positives.sum())
    if not positive:
        return float("nan")
    gained = positives[::-1]
    hits = np.cumsum(gained)
    told = hits + np.cumsum(negatives[::-1])
    return float((hits / np.maximum(told, 1) * gained).sum() / positive)


def sparse(counts: Counts) -> tuple[int, bytes, bytes]:
    """For a checkpoint: the length, the places that are not 0 and their counts. Most bins are never met."""
    flat = counts.reshape(-1)
    places = np.flatnonzero(flat)
    return flat.size, places.astype("<u4").tobytes(), flat[places].astype("<i8").tobytes()


def dense(state: tuple[int, bytes, bytes]) -> Counts:
    """What ``sparse`` gave, flat."""
    size, places, values = state
    counts = np.zeros(size, dtype=np.int64)
    counts[np.frombuffer(places, dtype="<u4")] = np.frombuffer(values, dtype="<i8")
    return counts
