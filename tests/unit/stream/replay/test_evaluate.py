"""What metrics.json says is right: against River, and against the definitions written out slowly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import metrics as river

from stream.errors import HeadraceError
from stream.replay.evaluate import evaluate
from tests.unit.stream.replay.simulated import DAY_MS, START_MS, scores_of, write

N = 3000
RESAMPLES = 50


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def learner(evaluation: dict[str, Any], run: str = "one", name: str = "logistic") -> dict[str, Any]:
    found: dict[str, Any] = evaluation["runs"][run]["learners"][name]
    return found


def slow_auc(label: Any, score: Any) -> float:
    """Pairs in the right order, half for equal ones."""
    good, bad = score[label], score[~label]
    return float(np.mean((good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])))


def slow_average_precision(label: Any, score: Any) -> float:
    """Every distinct score as a threshold, from the highest."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        told = score >= threshold
        now = (told & label).sum() / label.sum()
        total += (now - recall) * (told & label).sum() / told.sum()
        recall = now
    return total


def test_binary_measures_are_those_of_their_definitions(tmp_path: Path, rng: np.random.Generator) -> None:
    """All measures of a binary run, with many equal scores among them, equal River's or the slow definition's."""
    label = rng.random(N) < 0.1
    score = np.round(scores_of(label, 1.5, rng), 2)
    said = learner(evaluate([write(tmp_path, score=score, label=label, threshold=0.3)], resamples=RESAMPLES))[
        "measures"
    ]
    slow = {
        "log_loss": river.LogLoss(), "accuracy": river.Accuracy(), "precision": river.Precision(),
        "recall": river.Recall(), "f1": river.F1(),
    }  # fmt: skip
    for y, p in zip(label.tolist(), score.tolist(), strict=True):
        for name, metric in slow.items():
            metric.update(y, {True: p, False: 1 - p} if name == "log_loss" else p >= 0.3)
    assert {name: said[name] for name in slow} == pytest.approx({name: metric.get() for name, metric in slow.items()})
    assert said["roc_auc"] == pytest.approx(slow_auc(label, score))
    assert said["average_precision"] == pytest.approx(slow_average_precision(label, score))
    assert said["brier"] == pytest.approx(np.mean((score - label) ** 2))
    bins = np.minimum((score * 10).astype(int), 9)
    error = sum(abs(score[bins == i].sum() - label[bins == i].sum()) for i in range(10)) / N
    assert said["expected_calibration_error"] == pytest.approx(error)


def test_regression_measures_are_rivers(tmp_path: Path, rng: np.random.Generator) -> None:
    """MAE, RMSE and R², of targets far from 0."""
    target = 1e6 + rng.normal(size=N)
    value = target + rng.normal(0.1, 0.5, size=N)
    run = write(tmp_path, score=value, label=target, problem="regression")
    figures = learner(evaluate([run], resamples=RESAMPLES))
    slow = {"mae": river.MAE(), "rmse": river.RMSE(), "r2": river.R2()}
    for y, p in zip(target.tolist(), value.tolist(), strict=True):
        for metric in slow.values():
            metric.update(y, p)
    assert figures["measures"] == pytest.approx({name: metric.get() for name, metric in slow.items()}, rel=1e-6)
    assert figures["errors"]["quantiles"]["p50"] == pytest.approx(np.median(value - target))
    assert figures["errors"]["bias"] == pytest.approx(np.mean(value - target))


def test_multiclass_measures_are_rivers(tmp_path: Path, rng: np.random.Generator) -> None:
    """Accuracy, macro F1, log loss and the confusion matrix; a class that the schema does not name has score 0."""
    classes = ["a", "b", "c"]
    scores = rng.dirichlet((1, 1, 1), N)
    target = [*(classes[i] for i in rng.integers(0, 3, N - 1)), "new"]
    decided = [classes[i] for i in scores.argmax(axis=1)]
    run = write(
        tmp_path, score=scores.max(axis=1), label=target, prediction=decided, scores=scores.tolist(), classes=classes,
        problem="multiclass",
    )  # fmt: skip
    figures = learner(evaluate([run], resamples=RESAMPLES))
    slow = {"accuracy": river.Accuracy(), "macro_f1": river.MacroF1(), "log_loss": river.CrossEntropy()}
    for y, p, row in zip(target, decided, scores, strict=True):
        for name, metric in slow.items():
            metric.update(y, {**dict(zip(classes, row.tolist(), strict=True)), "new": 0.0} if name == "log_loss" else p)
    assert figures["measures"] == pytest.approx({name: metric.get() for name, metric in slow.items()}, rel=1e-9)
    cells = [
        [sum(t == a and d == b for t, d in zip(target, decided, strict=True)) for b in [*classes, "new"]]
        for a in [*classes, "new"]
    ]
    assert figures["confusion"] == cells


def test_a_slice_is_a_run_of_its_own(tmp_path: Path, rng: np.random.Generator) -> None:
    """A day's measures are those of a run of only that day's events."""
    label = rng.random(N) < 0.2
    score = np.round(scores_of(label, 1.0, rng), 2)
    times = START_MS + np.sort(rng.integers(0, 40 * DAY_MS, N))
    evaluation = evaluate([write(tmp_path / "all", score=score, label=label, time_ms=times)], resamples=RESAMPLES)
    assert evaluation["slices"]["by"] == "day"
    day = (times - START_MS) // DAY_MS == 11
    part = evaluate(
        [write(tmp_path / "day", score=score[day], label=label[day], time_ms=times[day])], resamples=RESAMPLES
    )
    by_time, alone = learner(evaluation)["by_time"], learner(part)["measures"]
    for name, values in by_time.items():
        assert values[11] == pytest.approx(alone[name]), name
    assert evaluation["runs"]["one"]["by_time"]["events"][11] == day.sum()


def test_only_judged_events_count(tmp_path: Path, rng: np.random.Generator) -> None:
    """Events before `score_from`, without a label, and without a score are counted, and change no measure."""
    label = rng.random(2500) < 0.2
    score = scores_of(label, 1.0, rng)
    times = START_MS + 60_000 * np.arange(2500)
    alone = write(tmp_path / "alone", score=score[500:2000], label=label[500:2000], time_ms=times[500:2000])
    score[2000:2100] = np.nan
    known = [*label[:2100].tolist(), *[None] * 400]
    run = write(tmp_path / "run", score=score, label=known, time_ms=times, score_from_ms=int(times[500]))
    judged = evaluate([run], resamples=RESAMPLES)
    assert judged["runs"]["one"]["events"] == {
        "warm_up": 500, "scored": 2000, "labelled": 1600, "assumed": 0,
        "first": "2025-01-06T08:20:00Z", "last": "2025-01-07T17:39:00Z",
    }  # fmt: skip
    assert judged["runs"]["one"]["coverage"] == 0.8
    figures = learner(judged)
    assert (figures["judged"], figures["unscored"]) == (1500, 100)
    assert figures["measures"] == learner(evaluate([alone], resamples=RESAMPLES))["measures"]


def test_silence_is_told_apart(tmp_path: Path, rng: np.random.Generator) -> None:
    """Assumed labels count, are a segment of their own, and their waits are not delays of labels."""
    label = rng.random(N) < 0.2
    assumed = ~label & (rng.random(N) < 0.5)
    run = write(tmp_path, score=scores_of(label, 1.0, rng), label=label, assumed=assumed, delay_ms=3 * DAY_MS)
    evaluation = evaluate([run], resamples=RESAMPLES)
    assert evaluation["runs"]["one"]["events"]["assumed"] == assumed.sum()
    assert learner(evaluation)["judged"] == N
    rows = {row["value"]: row["labelled"] for row in evaluation["runs"]["one"]["segments"] if row["segment"] == "label"}
    assert rows == {"came": N - assumed.sum(), "silence, assumed": assumed.sum()}
    assert evaluation["runs"]["one"]["label_delay_ms"]["quantiles"]["p50"] == 3 * DAY_MS


def test_the_best_k_of_a_day(tmp_path: Path, rng: np.random.Generator) -> None:
    """Precision of the best k, by events and by keys, is that of sorting each day's events by hand."""
    label = rng.random(N) < 0.2
    score = scores_of(label, 1.0, rng)
    times = START_MS + np.sort(rng.integers(0, 10 * DAY_MS, N))
    keys = [f"c{i}" for i in rng.integers(0, 80, N)]
    figures = learner(
        evaluate([write(tmp_path, score=score, label=label, time_ms=times, key=keys)], resamples=RESAMPLES)
    )
    events = cards = 0
    for day in range(10):
        rows = sorted(((s, y, k) for s, y, k, t in zip(score, label, keys, times, strict=True) if (t - START_MS) // DAY_MS == day), reverse=True)  # fmt: skip
        events += sum(y for _, y, _ in rows[:50])
        best: dict[str, float] = {}
        for s, _, k in rows:
            best[k] = max(best.get(k, 0.0), s)
        hit = {k for _, y, k in rows if y}
        cards += sum(k in hit for k in sorted(best, key=lambda k: -best[k])[:50])
    assert figures["top_k"]["events"]["50"] == pytest.approx(events / 500)
    assert figures["top_k"]["keys"]["50"] == pytest.approx(cards / 500)
    assert "1000" not in figures["top_k"]["events"]
    assert np.mean(figures["top_k_by_day"]["events"]["50"]) == pytest.approx(events / 500)


def test_bands_tell_what_small_scores_mean(tmp_path: Path, rng: np.random.Generator) -> None:
    """With few positives: each band's mean score and share, and over all by how much scores are too high."""
    truth = rng.random(20_000) < 0.01
    score = scores_of(truth, 1.0, rng)
    odds = 8.0 * score / (1.0 - score)
    figures = learner(evaluate([write(tmp_path, score=odds / (1.0 + odds), label=truth)], resamples=RESAMPLES))
    calibration = figures["calibration"]
    assert sum(row["events"] for row in calibration["bands"]) == len(truth)
    assert calibration["positive_share"] == pytest.approx(truth.mean())
    assert calibration["score_mean"] == pytest.approx((odds / (1.0 + odds)).mean())
    row = next(row for row in calibration["bands"] if row["from"] == 0.02)
    inside = (odds / (1.0 + odds) >= 0.02) & (odds / (1.0 + odds) < 0.05)
    assert (row["to"], row["events"]) == (0.05, inside.sum())
    assert row["positive_share"] == pytest.approx(truth[inside].mean())
    assert row["score_mean"] > 5.0 * row["positive_share"]


def by_hand(rows: Any, known: dict[str, float], k: int) -> tuple[float, float]:
    """Precision of the best ``k`` keys a day that are not known when it begins, and what could be reached."""
    hits = shown = possible = 0
    for day in sorted({t // DAY_MS for t, _, _, _ in rows}):
        best: dict[str, float] = {}
        for t, key, s, _ in rows:
            if t // DAY_MS == day and known.get(key, np.inf) >= day * DAY_MS:
                best[key] = max(best.get(key, 0.0), s)
        hit = {key for t, key, _, y in rows if y and t // DAY_MS == day and key in best}
        chosen = sorted(best, key=lambda key: -best[key])[:k]
        hits, shown, possible = (
            hits + sum(key in hit for key in chosen),
            shown + len(chosen),
            possible + min(len(hit), k),
        )
    return hits / shown, possible / shown


def test_the_best_k_new_keys_of_a_day(tmp_path: Path, rng: np.random.Generator) -> None:
    """Keys of which a positive label had come when the day began are left out, also when it came before `score_from`."""
    label = rng.random(N) < 0.02
    score = scores_of(label, 1.0, rng)
    times = START_MS + np.sort(rng.integers(0, 20 * DAY_MS, N))
    keys = [f"c{i}" for i in rng.integers(0, 90, N)]
    assumed = label & (rng.random(N) < 0.3)
    known: dict[str, float] = {}
    for t, key, y, silent in zip(times.tolist(), keys, label.tolist(), assumed.tolist(), strict=True):
        if y and not silent:
            known.setdefault(key, t + 3 * DAY_MS)
    start = START_MS + 6 * DAY_MS
    run = write(
        tmp_path, score=score, label=label, time_ms=times, key=keys, assumed=assumed, delay_ms=3 * DAY_MS, score_from_ms=start
    )  # fmt: skip
    figures = learner(evaluate([run], resamples=RESAMPLES, top=(5, 20)))
    rows = [row for row in zip(times.tolist(), keys, score.tolist(), label.tolist(), strict=True) if row[0] >= start]
    for k in (5, 20):
        reached, possible = by_hand(rows, known, k)
        assert figures["top_k"]["new"][str(k)] == pytest.approx(reached)
        assert figures["top_k_ceiling"]["new"][str(k)] == pytest.approx(possible)
    assert figures["top_k"]["new"]["5"] != figures["top_k"]["keys"]["5"]


def test_all_keys_are_new_while_labels_are_late(tmp_path: Path, rng: np.random.Generator) -> None:
    """Before the first label comes new keys are keys."""
    label = rng.random(N) < 0.1
    times = START_MS + np.sort(rng.integers(0, 5 * DAY_MS, N))
    run = write(
        tmp_path, score=scores_of(label, 1.0, rng), label=label, time_ms=times, key=[f"c{i % 70}" for i in range(N)]
    )
    figures = learner(evaluate([run], resamples=RESAMPLES))
    assert figures["top_k"]["new"] == figures["top_k"]["keys"]


def test_equal_scores_share_the_kth_place(tmp_path: Path) -> None:
    """A learner that says the same of everything has the precision of chance, whatever the order of its events."""
    label = np.arange(200) < 40
    run = write(tmp_path, score=np.zeros(200), label=label, time_ms=START_MS + np.arange(200))
    assert learner(evaluate([run], resamples=RESAMPLES))["top_k"]["events"]["10"] == pytest.approx(0.2)


def test_segments(tmp_path: Path, rng: np.random.Generator) -> None:
    """Each family of segments holds each labelled event once; columns `segment.<name>` are families, text or number."""
    label = rng.random(N) < 0.2
    place = rng.choice(["home", "away"], N)
    run = write(
        tmp_path, score=scores_of(label, 1.0, rng), label=label, key=[f"c{i}" for i in rng.integers(0, 500, N)],
        further={"segment.place": place, "segment.amount": rng.exponential(50.0, N)},
    )  # fmt: skip
    rows = evaluate([run], resamples=RESAMPLES)["runs"]["one"]["segments"]
    families = dict.fromkeys(row["segment"] for row in rows)
    assert list(families) == ["hour of day (UTC)", "weekday (UTC)", "activity of the key", "place", "amount"]
    for family in families:
        assert sum(row["labelled"] for row in rows if row["segment"] == family) == N
        assert sum(row["positives"] for row in rows if row["segment"] == family) == label.sum()
    away = next(row for row in rows if row["value"] == "away")
    assert (away["labelled"], away["positives"]) == ((place == "away").sum(), label[place == "away"].sum())
    assert len([row for row in rows if row["segment"] == "amount"]) == 5


def test_pairs_are_found_by_id(tmp_path: Path, rng: np.random.Generator) -> None:
    """Runs whose files hold other rows in another order are compared over the events that both scored and know."""
    label = rng.random(N) < 0.2
    a, b = scores_of(label, 1.0, rng), scores_of(label, 1.3, rng)
    ids = np.array([f"e{i}" for i in range(N)])
    times = START_MS + 3_600_000 * np.arange(N)
    one = write(tmp_path / "one", score=a, label=label)
    both = np.arange(N) >= 200
    straight = evaluate([write(tmp_path / "x", score=a[both], label=label[both], ids=ids[both], time_ms=times[both]),
                         write(tmp_path / "y", score=b[both], label=label[both], ids=ids[both], time_ms=times[both], name="two")], resamples=RESAMPLES)  # fmt: skip
    mixed = rng.permutation(np.flatnonzero(both))
    two = write(tmp_path / "two", score=b[mixed], label=label[mixed], ids=ids[mixed], time_ms=times[mixed], name="two")
    (found,), (expected,) = evaluate([one, two], resamples=RESAMPLES)["comparisons"], straight["comparisons"]
    assert found["events"] == both.sum()
    for measure, row in expected["measures"].items():
        for name in ("one", "other", "difference", "low", "high"):
            assert found["measures"][measure][name] == pytest.approx(row[name]), (measure, name)


def test_labels_that_differ_are_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    """Where one run still assumes silence and the other knows better, the event is not compared, and counted."""
    label = rng.random(N) < 0.2
    other = label.copy()
    other[:30] = ~other[:30]
    runs = [write(tmp_path / name, score=scores_of(label, 1.0, rng), label=known, name=name) for name, known in (("one", label), ("two", other))]  # fmt: skip
    (found,) = evaluate(runs, resamples=RESAMPLES)["comparisons"]
    assert (found["events"], found["labels_differ"]) == (N - 30, 30)


def test_challengers_are_judged_and_compared(tmp_path: Path, rng: np.random.Generator) -> None:
    """A challenger's column is a learner; it is compared with its champion over the events that both scored."""
    label = rng.random(N) < 0.2
    tree = scores_of(label, 2.0, rng)
    tree[:100] = np.nan
    run = write(tmp_path, score=scores_of(label, 0.5, rng), label=label, challengers={"tree": tree})
    evaluation = evaluate([run])
    assert learner(evaluation, name="tree")["unscored"] == 100
    (comparison,) = evaluation["comparisons"]
    assert comparison["one"] == {"run": "one", "learner": "logistic"}
    assert comparison["other"] == {"run": "one", "learner": "tree"}
    assert comparison["events"] == N - 100
    row = comparison["measures"]["average_precision"]
    assert row["better"] == "other"
    assert row["words"].startswith("average precision: tree is better by 0.")


def test_it_is_plain_json_and_the_same_again(tmp_path: Path, rng: np.random.Generator) -> None:
    """The same files give the same bytes; what is not there is null, also when nothing has a label."""
    label = rng.random(N) < 0.2
    runs = [
        write(tmp_path / "one", score=scores_of(label, 1.0, rng), label=label),
        write(tmp_path / "two", score=scores_of(label, 1.0, rng), label=[None] * N, name="two"),
    ]
    first, second = (json.dumps(evaluate(runs, resamples=RESAMPLES), allow_nan=False) for _ in range(2))
    assert first == second
    evaluation = json.loads(first)
    assert learner(evaluation, "two")["measures"]["average_precision"] is None
    assert evaluation["comparisons"][0]["events"] == 0


@pytest.mark.parametrize("problem", ["binary", "anomaly", "regression", "multiclass"])
def test_a_run_without_events(tmp_path: Path, problem: Any) -> None:
    """Nothing was scored: that is said, and nothing fails."""
    evaluation = evaluate([write(tmp_path, score=[], label=[], problem=problem, prediction=[] if problem != "multiclass" else np.array([], str))])  # fmt: skip
    assert evaluation["runs"]["one"]["events"]["scored"] == 0
    json.dumps(evaluation, allow_nan=False)


def test_anomaly_scores_may_be_any_number(tmp_path: Path, rng: np.random.Generator) -> None:
    """Ranks are judged, probabilities are not."""
    label = rng.random(N) < 0.1
    score = rng.normal(size=N) * 100 + 80 * label
    figures = learner(
        evaluate([write(tmp_path, score=score, label=label, problem="anomaly", threshold=90.0)], resamples=RESAMPLES)
    )
    assert figures["judged"] == N
    assert figures["measures"]["roc_auc"] == pytest.approx(slow_auc(label, score))
    assert "log_loss" not in figures["measures"]
    assert "calibration" not in figures


def test_what_cannot_be_judged_is_said(tmp_path: Path) -> None:
    """A missing file and different problems end with a message that names them."""
    run = write(tmp_path / "one", score=[0.5], label=[True])
    other = write(tmp_path / "two", score=[0.5], label=[1.0], problem="regression", name="two")
    with pytest.raises(HeadraceError, match=r"one: binary, two: regression"):
        evaluate([run, other])
    (tmp_path / "one" / "predictions.parquet").unlink()
    with pytest.raises(HeadraceError, match=r"predictions\.parquet: no predictions"):
        evaluate([run])
