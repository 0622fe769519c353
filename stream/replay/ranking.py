"""What depends on the order of scores: ROC AUC, average precision, precision of the best k. Exact, equal scores as one.

Arrays in, arrays out. Everything is by group (a slice of time, a segment), because sorting is paid once: scores are sorted
over all, and a stable sort of small group numbers keeps that order within each. Not here: what the groups are (evaluate.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def best_first(scores: Floats) -> Ints:
    """Places of ``scores`` ``(n,)`` from the highest to the lowest; equal ones in their order."""
    return np.argsort(-scores, kind="stable")


def add_up(codes: NDArray[np.integer], groups: int, values: Floats | NDArray[np.bool_]) -> Floats:
    """The sum of ``values`` ``(n,)`` by group, ``(n_groups,)``."""
    return np.bincount(codes, weights=values, minlength=groups).astype(np.float64, copy=False)


def group_sizes(codes: NDArray[np.integer], groups: int) -> Ints:
    return np.bincount(codes, minlength=groups)


@dataclass(frozen=True, slots=True)
class Steps:
    """Distinct scores within groups, best first. All of shape ``(n_steps,)`` but the last two."""

    group: Ints
    score: Floats
    positives: Floats
    """With this score."""
    negatives: Floats
    hits: Floats
    """Positives of the group with this score or a better one."""
    false: Floats
    """Negatives, likewise."""
    all_positives: Floats
    """Of each group, ``(n_groups,)``."""
    all_negatives: Floats

    @property
    def groups(self) -> int:
        return len(self.all_positives)

    def average_precision(self) -> Floats:
        """``(n_groups,)``; NaN without positives. The sum of precision times gain in recall, as in scikit-learn and River."""
        gained = self.positives * (self.hits / (self.hits + self.false))
        return _ratio(add_up(self.group, self.groups, gained), self.all_positives)

    def roc_auc(self) -> Floats:
        """``(n_groups,)``; NaN without both classes. The share of pairs in the right order, equal scores counting half."""
        won = self.negatives * (self.hits - 0.5 * self.positives)
        return _ratio(add_up(self.group, self.groups, won), self.all_positives * self.all_negatives)

    def curve(self, points: int) -> list[dict[str, float]]:
        """Threshold, recall and precision of the first group at up to ``points`` places, evenly in recall."""
        hits, false, positive = self.hits, self.false, float(self.all_positives[0])
        if not positive:
            return []
        useful = np.flatnonzero((self.group == 0) & (self.positives > 0))
        wanted = np.linspace(0.0, positive, points)
        places = np.unique(useful[np.minimum(np.searchsorted(hits[useful], wanted), len(useful) - 1)])
        return [
            {"threshold": t, "recall": h / positive, "precision": h / (h + f)}
            for t, h, f in zip(
                self.score[places].tolist(), hits[places].tolist(), false[places].tolist(), strict=True
            )
        ]  # fmt: skip


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where it would divide by 0."""
    share: Floats = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return share


def steps(order: Ints, scores: Floats, positive: NDArray[np.bool_], codes: NDArray[np.integer], groups: int) -> Steps:
    """Sort by group, then by score.

    Parameters
    ----------
    order : (n,)
        As ``best_first`` gives it for these scores.
    codes : (n,)
        Each one's group, in ``[0, groups)``.
    """
    if groups > 1:
        small = np.uint16 if groups <= 1 << 16 else np.int64  # numpy sorts 16 bits by radix
        order = order[np.argsort(codes[order].astype(small), kind="stable")]
    unmerged, score = codes[order], scores[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = score[1:] != score[:-1]
    if groups > 1:
        last[:-1] |= unmerged[1:] != unmerged[:-1]
    ends = np.flatnonzero(last)
    group: Ints = unmerged[ends].astype(np.int64)
    hits = np.cumsum(positive[order], dtype=np.float64)[ends]
    shown = (ends + 1).astype(np.float64)
    gained, told = np.diff(hits, prepend=0.0), np.diff(shown, prepend=0.0)
    first = np.searchsorted(group, np.arange(groups + 1))
    hits_before, shown_before = (np.append(0.0, running)[first] for running in (hits, shown))
    all_hits, all_shown = np.diff(hits_before), np.diff(shown_before)
    if groups > 1:
        hits, shown = hits - hits_before[group], shown - shown_before[group]
    return Steps(group, score[ends], gained, told - gained, hits, shown - hits, all_hits, all_shown - all_hits)


def top_hits(found: Steps, ks: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Positives among the ``k`` best of each group, and how many are shown (fewer than ``k`` where the group is smaller).

    Where the ``k``-th score is shared, its share of positives counts: the expectation over random order among equals.

    Returns
    -------
    hits, shown : (n_groups, n_ks)
    """
    both = found.positives + found.negatives
    before = found.hits + found.false - both
    hits = np.empty((found.groups, len(ks)))
    for column, k in enumerate(ks.tolist()):
        share = np.clip((k - before) / both, 0.0, 1.0)
        hits[:, column] = add_up(found.group, found.groups, found.positives * share)
    sizes = found.all_positives + found.all_negatives
    return hits, np.minimum(sizes[:, None], ks[None, :].astype(np.float64))


def best_of_keys(order: Ints, positive: NDArray[np.bool_], pair: Ints, pairs: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Of each key and day the place of its highest score, and whether any event of that key and day was positive.

    Keys that are not to be looked at (details.py: those known before) are left out by the caller.

    Parameters
    ----------
    pair : (n,)
        Each event's key and day as one number in ``[0, pairs)``.

    Returns
    -------
    places : (n_met,)
        Best first.
    hit : (n_met,)
    """
    best = np.full(pairs, -1)
    best[pair[order[::-1]]] = order[::-1]  # the last one written stays: the highest
    chosen = np.zeros(len(order), dtype=bool)
    chosen[best[best >= 0]] = True
    places = order[chosen[order]]
    hit = np.bincount(pair, weights=positive, minlength=pairs) > 0
    return places, hit[pair[places]]


def counts_roc_auc(positives: Floats, negatives: Floats, level: Floats) -> Floats:
    """As ``Steps.roc_auc`` of scores in bins, best first: ``(..., n_bins)`` to ``(...,)``.

    ``level`` are those negatives that count as equal to the positives of their bin; the others stand above them.
    """
    hits = np.cumsum(positives, axis=-1)
    won = (negatives * (hits - positives)).sum(axis=-1) + 0.5 * (level * positives).sum(axis=-1)
    return _ratio(won, hits[..., -1] * negatives.sum(axis=-1))


def counts_average_precision(positives: Floats, negatives: Floats) -> Floats:
    """As ``Steps.average_precision`` of scores in bins, best first: ``(..., n_bins)`` to ``(...,)``."""
    hits = np.cumsum(positives, axis=-1)
    shown = hits + np.cumsum(negatives, axis=-1)
    return _ratio((positives * hits / np.maximum(shown, 1.0)).sum(axis=-1), hits[..., -1])


def cuts(order: Ints, scores: Floats, positive: NDArray[np.bool_], bins: int) -> Floats:
    """Ascending scores, at most ``bins`` of them, that cut where positives lie: every distinct one if they are few."""
    own = scores[order[positive[order]]]
    distinct = own[np.append(True, own[1:] != own[:-1])] if len(own) else own
    if len(distinct) > bins:
        distinct = np.unique(own[np.linspace(0, len(own) - 1, bins).astype(np.int64)])
    return np.sort(distinct)
