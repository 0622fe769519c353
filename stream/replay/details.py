"""What a plot or a table of one learner is made of, as plain JSON: curves, histograms, the best k of each day.

Not here: the measures themselves (measures.py), drawing (plots.py).
"""

from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.replay.groups import DAY_MS
from stream.replay.judged import Judged
from stream.replay.measures import Binary, Multiclass, Regression
from stream.replay.ranking import add_up, best_of_keys, group_sizes, top_hits

Ints = NDArray[np.int64]

HISTOGRAM_BINS: Final = 48
_LOGIT_END: Final = 4.0  # scores beyond 1e-4 and 1 - 1e-4 are in the last bins


def plain(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if isfinite(value) else None


def plains(values: NDArray[np.float64]) -> list[float | None]:
    return [plain(value) for value in values.tolist()]


def alerts_a_day(judged: Judged, learner: str) -> dict[str, Any]:
    """How many answers are yes, by ``events`` and by distinct ``keys``: the median day (UTC) with events, and the worst."""
    if not len(judged):
        return {}
    days, day = np.unique(judged.time_ms // DAY_MS, return_inverse=True)
    positive = judged.positive(learner)
    told = {"events": np.bincount(day[positive], minlength=len(days))}
    keys = judged.key.codes
    if len(judged.key.names) > 1 and bool((keys >= 0).all()):
        pairs = np.unique(day[positive] * len(judged.key.names) + keys[positive])
        told["keys"] = np.bincount(pairs // len(judged.key.names), minlength=len(days))
    return {what: {"median": float(np.median(counts)), "most": int(counts.max())} for what, counts in told.items()}


class TopK:
    """Precision among the best ``k`` of each day: by events, by keys, and by keys that are new.

    A key's score is the highest of its day, and it is a hit when an event of that day was positive. New is a key of which no
    positive label had come before the day (in UTC) began: one that an analyst has not dealt with yet. That is the card precision
    of Le Borgne et al. (2022), *Reproducible Machine Learning for Credit Card Fraud Detection*, chapter 4, with what is known
    by the labels' own times in the place of a fixed delay.

    Parameters
    ----------
    judged, judge, places
        The run, one of its learners, and the events that ``judge`` holds.
    days : (n,)
        The day of each of these events, dense from 0.
    """

    def __init__(self, judged: Judged, judge: Binary, places: Ints, days: Ints, ks: tuple[int, ...]) -> None:
        self.days = int(days.max()) + 1 if len(days) else 0
        self.tables: dict[str, tuple[Ints, NDArray[np.float64], NDArray[np.float64]]] = {}
        self._possible: dict[str, NDArray[np.float64]] = {}
        if not self.days:
            return
        self._add("events", judge, days, ks)
        keys = judged.key.codes[places]
        if len(judged.key.names) > 1 and bool((keys >= 0).all()):
            pair = days * len(judged.key.names) + keys
            self._add_keys("keys", judge, days, pair, ks)
            new = judged.known_ms[keys] >= judged.time_ms[places] // DAY_MS * DAY_MS
            if new.all():
                self._again("new", "keys")
            elif new.any():
                self._add_keys("new", judge.at(np.flatnonzero(new)), days[new], pair[new], ks)

    def _add_keys(self, what: str, judge: Binary, days: Ints, pair: Ints, ks: tuple[int, ...]) -> None:
        """``pair``: each event's key and day as one number."""
        best, hit = best_of_keys(judge.order, judge.positive, pair, int(pair.max()) + 1)
        chosen = judge.at(best)
        by_key = Binary(hit, chosen.scores, threshold=chosen.threshold, probabilities=judge.probabilities)
        self._add(what, by_key, days[best], ks)

    def _again(self, what: str, same: str) -> None:
        if same in self.tables:
            self.tables[what], self._possible[what] = self.tables[same], self._possible[same]

    def _add(self, what: str, judge: Binary, days: Ints, ks: tuple[int, ...]) -> None:
        median = int(np.median(group_sizes(days, self.days)))
        chosen = np.array([k for k in ks if k <= median], dtype=np.int64)
        if len(chosen):
            found = judge.steps(days, self.days)
            self.tables[what] = (chosen, *top_hits(found, chosen))
            self._possible[what] = np.minimum(found.all_positives[:, None], chosen[None, :])

    def figures(self) -> dict[str, Any]:
        """By ``events``, ``keys`` or ``new`` and ``k``: precision over all days."""
        return {
            what: {str(k): plain(hits[:, i].sum() / shown[:, i].sum()) for i, k in enumerate(ks.tolist())}
            for what, (ks, hits, shown) in self.tables.items()
        }

    def ceilings(self) -> dict[str, Any]:
        """The same of somebody who knows the labels: less than 1 where days have fewer positives than ``k``."""
        return {
            what: {
                str(k): plain(self._possible[what][:, i].sum() / shown[:, i].sum()) for i, k in enumerate(ks.tolist())
            }
            for what, (ks, _, shown) in self.tables.items()
        }

    def by_day(self) -> dict[str, Any]:
        return {
            what: {str(k): plains(hits[:, i] / np.maximum(shown[:, i], 1)) for i, k in enumerate(ks.tolist())}
            for what, (ks, hits, shown) in self.tables.items()
        }

    def sums(self, unit_of_day: Ints, units: int) -> dict[str, NDArray[np.float64]]:
        """``top_<what>_<k> above`` and ``below`` by unit, for resampling."""
        sums = {}
        for what, (ks, hits, shown) in self.tables.items():
            for i, k in enumerate(ks.tolist()):
                for side, values in (("above", hits[:, i]), ("below", shown[:, i])):
                    sums[f"top_{what}_{k} {side}"] = add_up(unit_of_day, units, values)
        return sums


def histogram_edges(judges: list[Binary]) -> dict[str, Any]:
    """Edges that all learners share: probabilities evenly in the logit, other scores evenly between their quantiles."""
    if judges[0].probabilities:
        logits = np.linspace(-_LOGIT_END, _LOGIT_END, HISTOGRAM_BINS + 1)
        return {"scale": "logit", "edges": (1.0 / (1.0 + 10.0**-logits)).tolist()}
    scores = [judge.scores for judge in judges if len(judge)]
    if not scores:
        return {"scale": "linear", "edges": [0.0, 1.0]}
    low = min(float(np.quantile(each, 0.001)) for each in scores)
    high = max(float(np.quantile(each, 0.999)) for each in scores)
    return {
        "scale": "linear",
        "edges": np.linspace(low, high if high > low else low + 1.0, HISTOGRAM_BINS + 1).tolist(),
    }


def score_histogram(judge: Binary, edges: list[float]) -> dict[str, list[int]]:
    """Counts by class; scores beyond the ends are in the last bins."""
    inner = np.array(edges[1:-1])
    bins = np.searchsorted(inner, judge.scores, side="right")
    counts = np.bincount(bins * 2 + judge.positive, minlength=2 * (len(edges) - 1)).reshape(-1, 2)
    return {"negative": counts[:, 0].tolist(), "positive": counts[:, 1].tolist()}


def deciles(judge: Binary) -> list[dict[str, Any]]:
    """Ten equal parts of the events by score, best first: what is in each, and the share of positives found so far."""
    n, positive = len(judge), judge.positive[judge.order]
    edges = np.linspace(0, n, 11).astype(np.int64)
    found = np.append(0, np.cumsum(positive))[edges]
    return [
        {
            "decile": i + 1,
            "score_from": float(judge.scores[judge.order[stop - 1]]),
            "score_to": float(judge.scores[judge.order[start]]),
            "events": stop - start,
            "positives": int(found[i + 1] - found[i]),
            "found_share": plain(float(found[i + 1] / found[-1])) if found[-1] else None,
        }
        for i, (start, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        if stop > start
    ]


def error_figures(judge: Regression) -> dict[str, Any]:
    """Quantiles and a histogram of value minus target."""
    errors = judge.errors
    if not len(errors):
        return {"quantiles": {}, "bias": None, "edges": [], "counts": []}
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    low, high = np.quantile(errors, (0.005, 0.995)).tolist()
    edges = np.linspace(low, high if high > low else low + 1.0, HISTOGRAM_BINS + 1)
    inside = errors[(errors >= edges[0]) & (errors <= edges[-1])]
    return {
        "quantiles": {f"p{share * 100:02.0f}": float(np.quantile(errors, share)) for share in shares},
        "bias": float(errors.mean()),
        "edges": edges.tolist(),
        "counts": np.histogram(inside, edges)[0].tolist(),
    }


def class_figures(judge: Multiclass, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class."""
    cells = np.array(judge.confusion(), dtype=np.float64).reshape(len(classes), len(classes))
    rows = []
    for i, name in enumerate(classes):
        true, decided, hit = cells[i].sum(), cells[:, i].sum(), cells[i, i]
        rows.append(
            {
                "class": name,
                "events": int(true),
                "precision": float(hit / decided) if decided else 0.0,
                "recall": float(hit / true) if true else 0.0,
                "f1": float(2 * hit / (true + decided)) if true + decided else 0.0,
            }
        )
    return rows


def delay_figures(delay_ms: NDArray[np.float64]) -> dict[str, Any]:
    """Quantiles of the time from event to label; every fortieth for a curve."""
    if not len(delay_ms):
        return {"quantiles": {}, "curve": []}
    shares = np.linspace(0.0, 1.0, 41)
    curve = np.quantile(delay_ms, shares)
    named = {"p05": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    quantiles = np.quantile(delay_ms, list(named.values()))
    return {
        "quantiles": dict(zip(named, quantiles.tolist(), strict=True)),
        "curve": [[share, value] for share, value in zip(shares.tolist(), curve.tolist(), strict=True)],
    }
