"""SEA: three abrupt drifts. Which detector finds them on which learner, and what does a mixture lose that waits for none?

Two tables. The first has each learner under each detector that has a name, at its defaults, watching the error of what was
emitted, with `response: reset`: how late each drift was found, what was found that is none, accuracy. The second has learners
of different memories and mixtures of them, which nobody resets but the one that resets itself: accuracy in the 1,000
events after each drift. All of it through the service's fold (streams.py). `concept` is never shown to anybody.
"""

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.quality.streams import Seen, Settings, folded, percent, table, verdict
from detectors.names import DETECTORS

FILE = "drift/sea_abrupt.csv.gz"
FEATURES = ("x1", "x2", "x3")
DRIFTS = (12_500, 25_000, 37_500)
NEAR = 1_000
"""Events after a drift within which it must be found, and over which losses are told."""

BAYES = "river.naive_bayes.GaussianNB"
LEARNERS: dict[str, Any] = {
    "bayes": BAYES,
    "logistic": {"learners.compiled.ScaledLogisticRegression": {"lr": 0.01}},
}
"""The second is River's ``StandardScaler | LogisticRegression`` to the bit."""


def memories() -> dict[str, Any]:
    """Learners that forget at different rates, and mixtures of them."""
    rates = {"slow": 0.003, "middle": 0.01, "quick": 0.03, "quickest": 0.1}
    linear = {
        name: {"learners.compiled.ScaledLogisticRegression": {"lr": rate, "intercept_lr": rate}}
        for name, rate in rates.items()
    }
    resetting = {
        "river.drift.DriftRetrainingClassifier": {
            "model": {BAYES: {}}, "drift_detector": {"river.drift.ADWIN": {}}, "train_in_background": False,
        }
    }  # fmt: skip
    of, stack = list(linear), {"by": "stack", "memory": 1000}
    return {
        **linear,
        "bayes": BAYES,
        "bayes_adwin": resetting,
        "fixed_share": {"blend": {"of": of, "by": "fixed_share"}},
        "exponential": {"blend": {"of": of, "by": "exponential", "memory": 300}},
        "with_bayes": {"blend": {"of": [*of, "bayes_adwin"], **stack}},
        "mixture": {"blend": {"of": of, **stack}},
    }


def settings(learners: dict[str, Any], champion: str, detector: str | None = None) -> Settings:
    """As a user would write it."""
    watches = [{"signal": "error", "detector": detector, "response": "reset"}] if detector else []
    return {
        "name": "sea",
        "events": {"topic": "sea", "id": "id", "features": list(FEATURES)},
        "labels": {"field": "class", "delay": "1 event"},
        "learners": learners,
        "champion": champion,
        "detectors": watches,
        "kafka": {"bootstrap.servers": "none"},
    }


def read(file: Path) -> tuple[list[bytes], NDArray[np.bool_]]:
    """Events as JSON, and their labels."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    events = [
        orjson.dumps({"id": f"r{at}", **{name: float(row[name]) for name in FEATURES}, "class": row["class"] == "1"})
        for at, row in enumerate(rows)
    ]
    return events, np.array([row["class"] == "1" for row in rows])


def found(seen: Seen) -> tuple[list[int | None], int]:
    """How late each drift was found, None where it was not within ``NEAR`` events; and how many alarms were none of these."""
    alarms = [row for row, _, level in seen.findings if level == "alarm"]
    first = [next((row - drift for row in alarms if drift <= row < drift + NEAR), None) for drift in DRIFTS]
    return first, sum(not any(drift <= row < drift + NEAR for drift in DRIFTS) for row in alarms)


def after_drifts(right: NDArray[np.bool_]) -> list[float]:
    return [float(right[drift : drift + NEAR].mean()) for drift in DRIFTS]


def run(data: Path) -> bool:
    """Print both tables; whether every figure is reached."""
    events, label = read(data / FILE)
    print(f"SEA: {len(events):,} rows, drifts at {DRIFTS}", flush=True)

    def right(scores: list[float]) -> NDArray[np.bool_]:
        return (np.array(scores) >= 0.5) == label

    rows, told = [], {}
    for name, learner in LEARNERS.items():
        for detector in (None, *DETECTORS):
            seen = folded(settings({name: learner}, name, detector), events)
            late, others = told[name, detector] = found(seen)
            delays = ["" if detector is None else "not" if one is None else str(one) for one in late]
            print(f"  {name}, {detector or 'none'}: {late}, {others} other alarms", flush=True)
            rows.append([name, detector or "none", *delays, str(others), percent(right(seen.scores[name]).mean())])
    header = [
        "learner",
        "detector",
        *(f"drift {number} found after" for number in (1, 2, 3)),
        "other alarms",
        "right, %",
    ]
    print(table(header, rows), flush=True)
    seen = folded(settings(memories(), "mixture"), events)
    answers = {name: right(scores) for name, scores in seen.scores.items()}
    near = {name: after_drifts(own) for name, own in answers.items()}
    means = {name: float(np.mean(own)) for name, own in near.items()}
    header = ["learner", "all", *(f"{NEAR:,} after drift {number}" for number in (1, 2, 3)), "mean after drifts"]
    rows = [[name, *map(percent, (own.mean(), *near[name], means[name]))] for name, own in answers.items()]
    print(table(header, rows))
    members = memories()["mixture"]["blend"]["of"]
    late, others = told["bayes", "adwin"]
    best = max(members, key=lambda name: means[name])
    whole = max(members, key=lambda name: float(answers[name].mean()))
    return verdict({
        f"naive Bayes, ADWIN, reset: found after {late} events, {others} other alarms": None not in late and not others,
        f"after drifts the mixture is right in {percent(means['mixture'])} %, its best member ({best}) in "
        f"{percent(means[best])} %": means["mixture"] > means[best],
        f"on the whole in {percent(answers['mixture'].mean())} %, its best member ({whole}) in "
        f"{percent(answers[whole].mean())} %": answers["mixture"].mean() > answers[whole].mean(),
    })  # fmt: skip
