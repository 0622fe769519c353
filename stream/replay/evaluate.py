"""Judging runs: from their predictions to the content of metrics.json. What the report says is all in here.

Every event from ``score_from`` on whose label is known counts, with the score that was emitted; an assumed label counts as
one and is told apart. Read judged.py (columns), measures.py (what is measured), bootstrap.py (how sure), then report.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.errors import HeadraceError
from stream.replay import details
from stream.replay.bootstrap import RESAMPLES, Drawn, Resampling, compare, draw, more_is_better, resampling
from stream.replay.groups import DAY_MS, Groups, Slices, blocks_of, day_text, segments, slices, unit_of
from stream.replay.judged import Judged, read
from stream.replay.measures import Binary, Judge, Multiclass, Regression
from stream.replay.pairing import Pair, paired
from stream.replay.ranking import add_up
from stream.replay.results import Run
from stream.replay.words import sentence

Ints = NDArray[np.int64]

FORMAT: Final = 1
TOP: Final = (10, 50, 100, 1000)


def evaluate(
    runs: Sequence[Run], *, seed: int = 0, resamples: int = RESAMPLES, top: Sequence[int] = TOP
) -> dict[str, Any]:
    """Judge runs over the same events, each by itself and in pairs.

    Parameters
    ----------
    runs : sequence of Run
        The first one is what the others are compared with.
    seed : int
        Of the bootstrap. The same files and seed give the same result.
    resamples : int
        Of the bootstrap.
    top : sequence of int
        For the precision of the best ``k`` of a day; one that is above what half of the days have is left out.

    Returns
    -------
    dict
        Plain JSON values; numbers that are not there (no positives, no labels) are None.

    Raises
    ------
    HeadraceError
        Predictions are missing or are something else, or the runs' problems differ.
    """
    if len({run.problem for run in runs}) != 1:
        kinds = ", ".join(f"{run.name}: {run.problem}" for run in runs)
        raise HeadraceError(f"nothing can be compared ({kinds})", "compare configurations of one problem")
    everyone = [read(run, ids=len(runs) > 1) for run in runs]
    contestants = [[*_contestants(judged, tuple(top))] for judged in everyone]
    pieces = _slices([own[0].judged for own in contestants])
    shared = _shared([one for own in contestants for one in own])
    return {
        "format": FORMAT,
        "problem": runs[0].problem,
        "slices": {
            "by": "day" if pieces.by_day else "part",
            "edges": [day_text(edge) for edge in pieces.edges_ms.tolist()],
        }
        if len(pieces)
        else {"by": "part", "edges": []},
        "seed": seed,
        "resamples": resamples,
        **({"scores": shared} if shared else {}),
        "runs": {own[0].judged.run.name: _run(own, pieces, shared) for own in contestants},
        "comparisons": list(_comparisons(contestants, seed, resamples)),
    }


@dataclass(slots=True)
class Contestant:
    """One learner of one run, with its judged events."""

    judged: Judged
    learner: str
    places: Ints
    """Into the run's events: those that it can be judged by."""
    judge: Judge
    top: tuple[int, ...]
    best: details.TopK | None = None

    @property
    def name(self) -> str:
        """For people: the run's, and the learner's where the run has several."""
        run = self.judged.run.name
        return run if len(self.judged.learners) == 1 else f"{run}/{self.learner}"

    def top_k(self) -> details.TopK:
        """Of all its events."""
        assert isinstance(self.judge, Binary)
        if self.best is None:
            days, _ = blocks_of(self.judged.time_ms[self.places], DAY_MS)
            self.best = details.TopK(self.judged, self.judge, self.places, days, self.top)
        return self.best

    def among(self, places: Ints) -> "Contestant":
        """The same one, judged by these events only."""
        if np.array_equal(places, self.places):
            return self
        return Contestant(self.judged, self.learner, places, self.judged.judge(self.learner, places), self.top)


def _contestants(judged: Judged, top: tuple[int, ...]) -> Iterator[Contestant]:
    for learner in judged.learners:
        places = np.flatnonzero(judged.can_judge(learner))
        yield Contestant(judged, learner, places, judged.judge(learner, places), top)


def _slices(runs: list[Judged]) -> Slices:
    """Over the events of all runs."""
    some = [judged.time_ms for judged in runs if len(judged)]
    if not some:
        return Slices(np.zeros(1, dtype=np.int64), by_day=False)
    return slices(min(int(times.min()) for times in some), max(int(times.max()) for times in some))


def _shared(contestants: list[Contestant]) -> dict[str, Any]:
    """The bins of the histograms of scores."""
    judges = [one.judge for one in contestants if isinstance(one.judge, Binary)]
    return details.histogram_edges(judges) if judges else {}


def _run(contestants: list[Contestant], pieces: Slices, shared: Mapping[str, Any]) -> dict[str, Any]:
    judged = contestants[0].judged
    known = np.isfinite(judged.label)
    events, labelled = len(judged), int(known.sum())
    codes = pieces.codes(judged.time_ms) if events else np.zeros(0, dtype=np.int64)
    seen = np.bincount(codes, minlength=len(pieces))
    own: dict[str, Any] = {} if judged.run.problem == "regression" else {"threshold": judged.run.threshold}
    if judged.run.problem == "multiclass":
        own = {"classes": list(judged.classes)}
    came = known & ~judged.assumed
    return {
        **own,
        "score_from": None if judged.run.score_from_ms is None else day_text(judged.run.score_from_ms),
        "events": {
            "warm_up": judged.warm_up,
            "scored": events,
            "labelled": labelled,
            "assumed": int(judged.assumed.sum()),
            "first": day_text(int(judged.time_ms.min())) if events else None,
            "last": day_text(int(judged.time_ms.max())) if events else None,
        },
        "coverage": labelled / events if events else None,
        "label_delay_ms": details.delay_figures(judged.delay_ms[came]),
        "by_time": {
            "events": seen.tolist(),
            "coverage": details.plains(
                np.divide(
                    np.bincount(codes, weights=known, minlength=len(pieces)),
                    seen,
                    out=np.full(len(pieces), np.nan),
                    where=seen > 0,
                )
            ),
        },
        "champion": judged.champion,
        "learners": {one.learner: _learner(one, codes, pieces, shared) for one in contestants},
        "segments": list(_segments(contestants)),
    }


def _learner(one: Contestant, codes: Ints, pieces: Slices, shared: Mapping[str, Any]) -> dict[str, Any]:
    judge, said = one.judge, one.judged.learners[one.learner]
    figures: dict[str, Any] = {
        "role": said.role,
        "judged": len(judge),
        "unscored": int(np.isfinite(one.judged.label).sum()) - len(judge),
    }
    whole = _measured(judge, np.zeros(len(judge), dtype=np.int64), 1)
    figures["measures"] = {name: details.plain(float(values[0])) for name, values in whole.items()}
    by_time = _measured(judge, codes[one.places], len(pieces)) if len(pieces) else {}
    figures["by_time"] = {name: details.plains(values) for name, values in by_time.items()}
    if isinstance(judge, Binary):
        figures["positives"] = int(judge.positive.sum())
        figures["alerts_a_day"] = details.alerts_a_day(one.judged, one.learner)
        top = one.top_k()
        figures |= {
            "top_k": top.figures(),
            "top_k_ceiling": top.ceilings(),
            "top_k_by_day": top.by_day(),
            "days": _days(one),
            "histogram": details.score_histogram(judge, shared["edges"]),
            "precision_recall": judge.whole()[1],
            "deciles": details.deciles(judge),
        }
        figures["measures"] |= {f"top_{what}_{k}": p for what, own in top.figures().items() for k, p in own.items()}
        if judge.probabilities:
            figures["calibration"] = calibration = judge.calibration()
            figures["measures"]["expected_calibration_error"] = calibration["expected_calibration_error"]
    elif isinstance(judge, Regression):
        figures["errors"] = details.error_figures(judge)
    elif isinstance(judge, Multiclass):
        figures["confusion"] = judge.confusion()
        figures["classes"] = details.class_figures(judge, one.judged.classes)
    return figures


def _days(one: Contestant) -> list[str]:
    """The days of ``top_k_by_day``."""
    if not len(one.places):
        return []
    return [day_text(day * DAY_MS)[:10] for day in np.unique(one.judged.time_ms[one.places] // DAY_MS).tolist()]


def _measured(judge: Judge, codes: NDArray[np.integer], groups: int) -> dict[str, NDArray[np.float64]]:
    """All measures by group; first those of the order of scores."""
    measures = {}
    if isinstance(judge, Binary):
        if groups == 1:
            measures = {name: np.array([value]) for name, value in judge.whole()[0].items()}
        else:
            steps = judge.steps(codes, groups)
            measures = {"average_precision": steps.average_precision(), "roc_auc": steps.roc_auc()}
    return measures | judge.measures(judge.sums(codes, groups))


def _segments(contestants: list[Contestant]) -> Iterator[dict[str, Any]]:
    """A row a segment: its events, and each learner's measures."""
    for groups in segments(contestants[0].judged):
        count = len(groups.names)
        codes = np.where(groups.codes < 0, count, groups.codes)  # those in no group are measured together, and dropped
        known = np.isfinite(contestants[0].judged.label)
        labelled = np.bincount(codes, weights=known, minlength=count + 1)
        measured = {one.learner: _measured(one.judge, codes[one.places], count + 1) for one in contestants}
        positives = _positives(contestants[0], codes, groups)
        for i, name in enumerate(groups.names):
            if not labelled[i]:
                continue
            row: dict[str, Any] = {"segment": groups.name, "value": name, "labelled": int(labelled[i])}
            if positives is not None:
                row["positives"] = int(positives[i])
            row["learners"] = {
                learner: {measure: details.plain(float(values[i])) for measure, values in own.items()}
                for learner, own in measured.items()
            }
            yield row


def _positives(one: Contestant, codes: NDArray[np.integer], groups: Groups) -> NDArray[np.float64] | None:
    if not isinstance(one.judge, Binary):
        return None
    return add_up(codes, len(groups.names) + 1, np.nan_to_num(one.judged.label))


def _comparisons(contestants: list[list[Contestant]], seed: int, resamples: int) -> Iterator[dict[str, Any]]:
    """Each later run's champion with the first run's; each challenger with its champion."""
    drawing = _Drawing(seed, resamples)
    first = contestants[0][0]
    for own in contestants[1:]:
        yield drawing.compared(first, own[0], paired(first.judged, own[0].judged))
    for own in contestants:
        everything = np.arange(len(own[0].judged))
        for challenger in own[1:]:
            yield drawing.compared(own[0], challenger, Pair(everything, everything, 0))


class _Drawing:
    """Resamples learners, those over the same events only once."""

    def __init__(self, seed: int, resamples: int) -> None:
        self._seed, self._resamples = seed, resamples
        self._plans: dict[int, Resampling] = {}
        self._drawn: list[tuple[Contestant, Ints, Drawn]] = []

    def compared(self, one: Contestant, other: Contestant, pair: Pair) -> dict[str, Any]:
        """Over the events that both scored, and whose label both know and agree on."""
        both = one.judged.can_judge(one.learner)[pair.one] & other.judged.can_judge(other.learner)[pair.other]
        left, right = one.among(pair.one[both]), other.among(pair.other[both])
        times = one.judged.time_ms[left.places]
        comparison: dict[str, Any] = {
            "one": {"run": one.judged.run.name, "learner": one.learner},
            "other": {"run": other.judged.run.name, "learner": other.learner},
            "events": len(times),
            "labels_differ": pair.labels_differ,
        }
        if not len(times):
            return comparison | {"blocks": None, "measures": {}}
        unit, unit_ms = unit_of(int(times.min()), int(times.max()))
        codes, units = blocks_of(times, unit_ms)
        plan = self._plan(units)
        rows = compare(
            self._draw(left, codes, plan, times, unit_ms), self._draw(right, codes, plan, times, unit_ms), plan
        )
        names = (
            (one.learner, other.learner) if one.judged is other.judged else (one.judged.run.name, other.judged.run.name)
        )
        words = {
            measure: sentence(measure, *names, row, more_is_better=more_is_better(measure))
            for measure, row in rows.items()
        }
        return comparison | {
            "blocks": {"unit": unit, "units": units, "length": plan.length},
            "measures": {measure: {**row, "words": words[measure]} for measure, row in rows.items()},
        }

    def _plan(self, units: int) -> Resampling:
        if units not in self._plans:
            self._plans[units] = resampling(units, resamples=self._resamples, seed=self._seed)
        return self._plans[units]

    def _draw(self, one: Contestant, codes: Ints, plan: Resampling, times: Ints, unit_ms: int) -> Drawn:
        for other, over, drawn in self._drawn:
            if other.judge is one.judge and np.array_equal(over, times):
                return drawn
        extra = None
        if isinstance(one.judge, Binary) and unit_ms >= DAY_MS:
            days = np.unique(times // DAY_MS)
            unit_of_day, units = blocks_of(days * DAY_MS, unit_ms)
            extra = one.top_k().sums(unit_of_day, units)
        drawn = draw(one.judge, codes, plan, extra)
        self._drawn.append((one, times, drawn))
        return drawn
