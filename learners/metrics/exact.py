"""Sums of floats without rounding, so that order and cuts change nothing and what was added can be taken back.

A float is a whole number times a power of two, and whole numbers add exactly. Not here: what is summed (regression.py,
and log_loss below for the classifiers).

References
----------
R. M. Neal (2015), *Fast exact summation using small and large superaccumulators*, arXiv:1505.05571: the small one,
with Python's integers as the accumulator and the parts of one batch added by exponent.
"""

from collections.abc import Sequence
from math import frexp
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT_BITS: Final = 1130
"""Sums are in units of 2**-1130, below the smallest float."""

_FEW: Final = 24  # from here on, arrays are faster than a loop

LOSS_BITS: Final = 26
"""Log losses are in units of 2**-26 (1.5e-8): the largest, 34.54, fits 32 bits."""


class ExactSums:
    """Sums of several series.

    Examples
    --------
    >>> sums = ExactSums(1)
    >>> sums.add([np.array([1e300, 1.0, -1e300])])
    >>> sums.totals[0] / 2**UNIT_BITS
    1.0
    """

    def __init__(self, series: int) -> None:
        self.totals = [0] * series

    def add(self, values: Sequence[NDArray[np.float64]], sign: int = 1) -> None:
        """Finite values, an array a series; with ``sign=-1`` they are taken back."""
        for series, row in enumerate(values):
            self.totals[series] += sign * (_loop(row.tolist()) if len(row) < _FEW else _by_exponent(row))


def _loop(values: list[float]) -> int:
    total = 0
    for value in values:
        mantissa, exponent = frexp(value)
        total += int(mantissa * 9007199254740992.0) << (exponent + UNIT_BITS - 53)
    return total


def _by_exponent(values: NDArray[np.float64]) -> int:
    """Mantissas are cut into 27 and 26 bits, whose sums by exponent are exact in float64 for up to 2**26 values."""
    mantissas, exponents = np.frexp(values)
    scaled = mantissas * 134217728.0
    high = np.trunc(scaled)
    low = (scaled - high) * 67108864.0
    lowest = int(exponents.min())
    place = exponents - lowest
    highs, lows = np.bincount(place, weights=high), np.bincount(place, weights=low)
    total = 0
    for at in np.flatnonzero((highs != 0.0) | (lows != 0.0)).tolist():
        total += ((int(highs[at]) << 26) + int(lows[at])) << (lowest + at + UNIT_BITS - 53)
    return total


def squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three floats a value, ``(3 * n,)``, whose exact sum is the exact square; for magnitudes up to 1e150.

    Veltkamp's split into halves of 26 bits, whose products are floats (T. J. Dekker 1971, *A floating-point technique
    for extending the available precision*, Numerische Mathematik 18).
    """
    shifted = values * 134217729.0
    high = shifted - (shifted - values)
    low = values - high
    return np.concatenate((high * high, 2.0 * high * low, low * low))


def log_loss(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """``-log`` of each true class's probability, which is above 0, in whole units of ``2**-LOSS_BITS``."""
    losses: NDArray[np.int64] = np.rint(np.log(probability) * -(1 << LOSS_BITS)).astype(np.int64)
    return losses
