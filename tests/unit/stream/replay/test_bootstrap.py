"""An interval says what it promises: resamples are what they stand for, and 95 of 100 intervals hold the truth."""

import numpy as np
import pytest

from stream.replay.bootstrap import Resampling, compare, draw, interval, resampling
from stream.replay.measures import Binary, Multiclass, Regression
from tests.unit.stream.replay.simulated import scores_of

UNITS = 40
PER_UNIT = 50


def binary(rng: np.random.Generator, skill: float, positive: np.ndarray) -> Binary:
    return Binary(positive, scores_of(positive, skill, rng), threshold=0.5)


def test_a_resample_is_blocks_of_neighbours() -> None:
    """Each resample holds as many units as there are, in runs of `length` around the circle, and all are equally likely."""
    plan = resampling(60, resamples=4000, length=4)
    assert set(plan.weights.sum(axis=1)) == {60.0}
    assert plan.blocks == 15
    assert plan.weights.mean(axis=0) == pytest.approx(np.ones(60), abs=0.1)
    neighbours = np.roll(plan.weights, 1, axis=1)
    correlation = np.corrcoef(plan.weights[:, 0], neighbours[:, 0])[0, 1]
    assert correlation == pytest.approx(3 / 4, abs=0.1)  # of four units of a block, three have their neighbour in it
    assert resampling(90).length == 4


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
def test_a_resample_is_its_events(kind: str) -> None:
    """Measures of a resample equal those of its events written out, each as often as its unit was drawn."""
    rng = np.random.default_rng(3)
    n = 400
    codes = np.sort(rng.integers(0, 20, n))
    codes[:20] = np.arange(20)
    plan = resampling(20, resamples=5)
    judge: Binary | Regression | Multiclass
    if kind == "binary":
        positive = rng.random(n) < 0.3
        judge = Binary(positive, np.round(scores_of(positive, 1.0, rng), 2), threshold=0.3)
    elif kind == "regression":
        judge = Regression(rng.normal(size=n), rng.normal(size=n))
    else:
        judge = Multiclass(rng.integers(0, 3, n), rng.integers(0, 3, n), rng.random(n), classes=3)
    drawn = draw(judge, codes, plan)
    for i, weights in enumerate(plan.weights.astype(int)):
        repeated = judge.at(np.repeat(np.arange(n), weights[codes]))
        expected = draw(repeated, np.zeros(len(repeated), np.int64), Resampling(np.ones((1, 1)), 1)).exact
        for name, value in expected.items():
            assert drawn.resampled[name][i] == pytest.approx(value), name


def test_bins_change_little_and_within_their_bounds() -> None:
    """With fewer bins than positives, resampled ROC AUC and average precision stay within the docstring's bounds."""
    rng = np.random.default_rng(4)
    positive = rng.random(40_000) < 0.2
    judge = binary(rng, 1.5, positive)
    codes = np.arange(40_000) // 1000
    plan = resampling(40, resamples=50)
    exact, coarse = draw(judge, codes, plan, bins=100_000), draw(judge, codes, plan, bins=256)
    shift = coarse.centre["roc_auc"] - exact.centre["roc_auc"]
    assert abs(shift) < 1 / 512
    assert coarse.resampled["roc_auc"] - shift == pytest.approx(exact.resampled["roc_auc"], abs=1e-4)
    shift = coarse.centre["average_precision"] - exact.centre["average_precision"]
    assert abs(shift) < 1 / 256
    assert coarse.resampled["average_precision"] - shift == pytest.approx(
        exact.resampled["average_precision"], abs=5e-4
    )
    assert exact.centre["average_precision"] == pytest.approx(exact.exact["average_precision"])


def covered(seed: int) -> dict[str, bool]:
    """One stream in which two learners are equally good, with hard weeks and runs of luck; whether intervals hold 0."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(UNITS), PER_UNIT)
    luck = np.zeros((2, UNITS))
    for day in range(1, UNITS):
        luck[:, day] = 0.4 * luck[:, day - 1] + 0.3 * rng.normal(size=2)
    hard = np.sin(np.arange(UNITS) / 5)
    positive = rng.random(len(codes)) < 0.15
    judges = [
        Binary(positive, 1 / (1 + np.exp(-(rng.normal(size=len(codes)) + positive * (1 + hard + own)[codes] - 2))), threshold=0.3)
        for own in luck
    ]  # fmt: skip
    plan = resampling(UNITS, resamples=300, seed=seed)
    one, other = (draw(judge, codes, plan) for judge in judges)
    return {name: row["better"] is None for name, row in compare(one, other, plan).items()}


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 200 streams without a difference, about 95 % of the intervals hold 0, for measures by sums and by ranks."""
    found = [covered(seed) for seed in range(200)]
    for name in ("average_precision", "roc_auc", "log_loss", "brier", "f1"):
        share = np.mean([one[name] for one in found])
        assert 0.915 <= share <= 0.985, (name, share)


def test_a_difference_is_told_and_with_its_sign() -> None:
    """A learner with more skill is better in every measure that says so, whichever of the two it is."""
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(UNITS), 200)
    positive = rng.random(len(codes)) < 0.15
    plan = resampling(UNITS, resamples=400)
    weak, strong = (draw(binary(rng, skill, positive), codes, plan) for skill in (1.0, 1.6))
    for rows, winner in ((compare(weak, strong, plan), "other"), (compare(strong, weak, plan), "one")):
        for name in ("average_precision", "roc_auc", "log_loss", "brier"):
            row = rows[name]
            assert row["better"] == winner, name
            assert row["low"] < row["difference"] < row["high"]  # type: ignore[operator]
            assert row["sign_holds"] > 0.99  # type: ignore[operator]


def test_what_both_share_cancels() -> None:
    """Days that are hard for both make no interval wide: the same blocks are drawn for both."""
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(UNITS), PER_UNIT)
    hard = rng.normal(size=UNITS)[codes] * 3 + rng.normal(size=len(codes))
    target = np.zeros(len(codes))
    plan, elsewhere = resampling(UNITS, resamples=400), resampling(UNITS, resamples=400, seed=1)
    one = draw(Regression(target, hard), codes, plan)
    other = Regression(target, hard + 0.1 * rng.normal(size=len(codes)))
    paired = compare(one, draw(other, codes, plan), plan)["rmse"]
    apart = compare(one, draw(other, codes, elsewhere), plan)["rmse"]
    assert (paired["high"] - paired["low"]) * 10 < apart["high"] - apart["low"]  # type: ignore[operator]


def test_an_interval_is_wider_where_blocks_are_few() -> None:
    """The percentiles move out as Student's t asks for; with many blocks they are the plain ones."""
    normal = np.random.default_rng(8).normal(size=200_000)
    assert interval(0.0, normal, 1e6) == pytest.approx((-1.96, 1.96), abs=0.02)
    assert interval(0.0, normal, 10) == pytest.approx((-2.262 * (10 / 9) ** 0.5, 2.262 * (10 / 9) ** 0.5), abs=0.05)


def test_too_short_a_stream_has_no_interval() -> None:
    """Fewer than ten units: the difference is told, an interval is not."""
    rng = np.random.default_rng(9)
    positive = rng.random(900) < 0.3
    codes = np.repeat(np.arange(9), 100)
    plan = resampling(9, resamples=100)
    row = compare(*(draw(binary(rng, skill, positive), codes, plan) for skill in (1.0, 2.0)), plan)["roc_auc"]
    assert row["difference"] > 0  # type: ignore[operator]
    assert (row["low"], row["high"], row["better"]) == (None, None, None)
