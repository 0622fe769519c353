"""How sure a difference is: a paired block bootstrap over stream time.

Events of a stream depend on one another, so not events but blocks of stream time are drawn anew: as many units (days) as
there were, in runs of neighbours, and the same ones for both learners. What both share (a hard week, few labels) cancels.
A resample never looks at events again: sums by unit are weighted and added (measures.py), scores are counted in bins by
unit. Not here: which learners are compared (evaluate.py).

References
----------
H. R. Künsch (1989), *The jackknife and the bootstrap for general stationary observations*, Annals of Statistics 17.
D. N. Politis, J. P. Romano (1992), *A circular block-resampling procedure for stationary data*: the one used here.
T. C. Hesterberg (2015), *What teachers should know about the bootstrap*, The American Statistician 69, section 4.3: the
percentile interval expanded for few observations.
"""

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.replay.measures import HIGHER, Binary, Judge, Sums
from stream.replay.ranking import counts_average_precision, counts_roc_auc, cuts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES: Final = 2000
BINS: Final = 1024
LEVEL: Final = 0.95
UNITS_MIN: Final = 10
"""Fewer units than this give no interval."""

_PIECE: Final = 1 << 17  # multiplications
_CHUNK: Final = 500  # resamples whose counts by bin are in memory at once


@dataclass(frozen=True, slots=True)
class Resampling:
    """Which units each resample holds, how often: ``weights`` is ``(resamples, n_units)``."""

    weights: Floats
    length: int
    """Units in a block."""

    @property
    def blocks(self) -> float:
        """How many blocks make a resample."""
        units: int = self.weights.shape[1]
        return units / self.length


def resampling(units: int, *, resamples: int = RESAMPLES, seed: int = 0, length: int | None = None) -> Resampling:
    """Draw blocks around the circle of units.

    Parameters
    ----------
    length : int, optional
        Units in a block. Default: the cube root of ``units``, rounded, the rate at which the error of the variance is
        least (Künsch 1989): 3 days of 30, 4 of 90.

    Examples
    --------
    >>> resampling(30).weights.sum(axis=1)[:3]
    array([30., 30., 30.])
    """
    length = max(round(units ** (1 / 3)), 1) if length is None else length
    count = -(-units // length)
    starts = np.random.default_rng(seed).integers(units, size=(resamples, count))
    drawn = ((starts[:, :, None] + np.arange(length)) % units).reshape(resamples, -1)[:, :units]
    flat = drawn + units * np.arange(resamples)[:, None]
    weights = np.bincount(flat.ravel(), minlength=resamples * units).reshape(resamples, units)
    return Resampling(weights.astype(np.float64), length)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One learner's measures: of the events as they were, and of each resample, ``(resamples,)``."""

    exact: dict[str, float]
    resampled: dict[str, Floats]
    centre: dict[str, float]
    """Of all units once, by the same arithmetic as the resamples: what binning changes is taken out with it."""


def draw(judge: Judge, codes: Ints, plan: Resampling, extra: Sums | None = None, *, bins: int = BINS) -> Drawn:
    """Resample one learner.

    ROC AUC and average precision of a resample are those of scores in bins, which end at scores of positives: at every
    one if there are at most ``bins`` distinct ones (then nothing is approximated), else at ``bins`` of them, evenly by
    count, so that a bin holds ``1/bins`` of the positives. Treating scores of a bin as equal moves ROC AUC by at most
    ``1/(2 bins)``, average precision by ``1/bins`` times how much precision changes over all bins, which is about 1: both
    under 0.001, nearly the same in every resample, and taken out where it is the same (``centre``).

    Parameters
    ----------
    codes : (n_events,)
        The unit of each event.
    extra : Sums, optional
        Pairs of ``<measure> above`` and ``<measure> below`` by unit, for measures that are ratios of sums.
    """
    units = plan.weights.shape[1]
    sums = judge.sums(codes, units)
    once = np.ones((1, units))
    exact = _measures(judge, sums, extra, once)
    resampled = _measures(judge, sums, extra, plan.weights)
    centre = {name: float(values[0]) for name, values in exact.items()}
    told = dict(centre)
    if isinstance(judge, Binary):
        told |= judge.whole()[0]
        counts = _binned(judge, codes, units, bins)
        ranked = _ranks(counts, once)
        centre |= {name: float(values[0]) for name, values in ranked.items()}
        resampled |= _ranks(counts, plan.weights)
    return Drawn(told, resampled, centre)


def product(weights: Floats, values: Floats) -> Floats:
    """``weights @ values`` in pieces so small that OpenBLAS does each on one core.

    For middling sizes its threads cost ten times what they do, more on a busy machine; and sums by several cores may differ
    in their last bits between machines.
    """
    inner, width = values.shape
    whole = np.empty((len(weights), width))
    across = max(min(width, _PIECE // (2 * inner)), 1)
    down = max(_PIECE // (inner * across), 2)
    for column in range(0, width, across):
        for row in range(0, len(weights), down):
            place = slice(row, row + down), slice(column, column + across)
            np.matmul(weights[place[0]], values[:, place[1]], out=whole[place])
    return whole


def _measures(judge: Judge, sums: Sums, extra: Sums | None, weights: Floats) -> dict[str, Floats]:
    everything = {**sums, **(extra or {})}
    totals = dict(zip(everything, product(weights, np.column_stack([*everything.values()])).T, strict=True))
    measures = judge.measures({name: totals[name] for name in sums})
    for name in extra or {}:
        if name.endswith(" above"):
            own = name.removesuffix(" above")
            above, below = totals[name], totals[f"{own} below"]
            measures[own] = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return measures


@dataclass(frozen=True, slots=True)
class _Counts:
    """By unit and bin, best first: ``(n_units, n_bins)`` each."""

    positives: Floats
    negatives: Floats
    level: Floats
    """Negatives that count as equal to the positives of their bin; the others stand above these."""


def _binned(judge: Binary, codes: Ints, units: int, bins: int) -> _Counts:
    edges = cuts(judge.order, judge.scores, judge.positive, bins)
    # best first: bin 0 holds the scores from the highest edge on, the last one those below all edges
    place = len(edges) - np.searchsorted(edges, judge.scores, side="right")
    width = len(edges) + 1
    positive = np.flatnonzero(judge.positive)
    within = place[positive]
    highest, lowest = np.full(width, -np.inf), np.full(width, np.inf)
    np.maximum.at(highest, within, judge.scores[positive])
    np.minimum.at(lowest, within, judge.scores[positive])
    level = np.flatnonzero(~judge.positive & (judge.scores <= highest[place]))
    unsure = (highest > lowest)[place[level]] | (judge.scores[level] == highest[place[level]])
    cell = codes * width + place
    by_unit = (
        np.bincount(cell[chosen], minlength=units * width).reshape(units, width).astype(np.float64)
        for chosen in (positive, np.flatnonzero(~judge.positive), level[unsure])
    )
    return _Counts(*by_unit)


def _ranks(counts: _Counts, weights: Floats) -> dict[str, Floats]:
    auc, precision = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), _CHUNK):
        some = weights[start : start + _CHUNK]
        positives, negatives = product(some, counts.positives), product(some, counts.negatives)
        auc[start : start + _CHUNK] = counts_roc_auc(positives, negatives, product(some, counts.level))
        precision[start : start + _CHUNK] = counts_average_precision(positives, negatives)
    return {"roc_auc": auc, "average_precision": precision}


def interval(difference: float, resampled: Floats, blocks: float, level: float = LEVEL) -> tuple[float, float]:
    """The expanded percentile interval of a difference.

    Percentile intervals are too short where blocks are few: by ``sqrt((b-1)/b)``, and by the normal distribution in
    place of Student's. Hesterberg (2015) takes percentiles farther out, so that for normal resamples both are made good.

    Parameters
    ----------
    resampled : (resamples,)
        Differences, already moved to where ``difference`` is.
    blocks : float
        How many independent pieces a resample is made of.
    """
    from scipy.special import ndtr, stdtrit  # noqa: PLC0415 - a heavy import

    free = max(blocks - 1, 1.0)
    tail = float(ndtr(stdtrit(free, (1 - level) / 2) * sqrt(blocks / free)))
    low, high = np.quantile(resampled, (tail, 1 - tail)).tolist()
    return min(low, difference), max(high, difference)


def compare(one: Drawn, other: Drawn, plan: Resampling) -> dict[str, dict[str, object]]:
    """``other`` against ``one``, by measure: the difference, its interval, and who is better.

    Returns
    -------
    dict
        By measure: ``one``, ``other``, ``difference`` (other minus one), ``low`` and ``high`` of the 95 % interval,
        ``sign_holds`` (the share of resamples with the difference's sign), ``better`` (``one``, ``other``, or None where the
        interval holds 0 or there is none). Numbers that are not there are None.
    """
    found: dict[str, dict[str, object]] = {}
    for name in one.exact:
        if name not in other.exact:
            continue
        a, b = one.exact[name], other.exact[name]
        difference = b - a
        row: dict[str, object] = {
            "one": _number(a), "other": _number(b), "difference": _number(difference),
            "low": None, "high": None, "sign_holds": None, "better": None,
        }  # fmt: skip
        found[name] = row
        drawn = other.resampled[name] - one.resampled[name]
        drawn = drawn[np.isfinite(drawn)]
        if not isfinite(difference) or plan.weights.shape[1] < UNITS_MIN or len(drawn) < plan.weights.shape[0] // 2:
            continue
        drawn += difference - (other.centre[name] - one.centre[name])
        low, high = interval(difference, drawn, plan.blocks)
        holds = float(np.mean(np.sign(drawn) == np.sign(difference)))
        row |= {"low": low, "high": high, "sign_holds": holds, "better": _better(name, low, high)}
    return found


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def more_is_better(measure: str) -> bool:
    return measure in HIGHER or measure.startswith("top_")


def _better(measure: str, low: float, high: float) -> str | None:
    if low <= 0.0 <= high:
        return None
    return "other" if (low > 0.0) == more_is_better(measure) else "one"
