"""Binary and anomaly metrics against River's and against exact computation by sorting."""

import numpy as np
import pytest
from river import metrics as rivers

from learners.metrics.binary import BinaryMetrics
from learners.metrics.bins import UnitBins, WideBins, average_precision, roc_auc


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def exact(target, score):
    """ROC AUC and average precision as scikit-learn computes them: by sorting, equal scores together."""
    order = np.argsort(-score, kind="stable")
    score, target = score[order], target[order]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]
    tp = np.cumsum(target)[last]
    fp = last + 1 - tp
    area = np.trapezoid(np.r_[0, tp], np.r_[0, fp]) / (tp[-1] * fp[-1])
    return area, (np.diff(np.r_[0, tp]) * tp / (last + 1)).sum() / tp[-1]


def drawn(score, rate, seed):
    """Labels that follow the scores' order, whatever their scale."""
    rng = np.random.default_rng(seed)
    height = (score.argsort().argsort() + 0.5) / len(score)
    return (rng.random(len(score)) < rate * 3 * height**2).astype(np.float64)


def figures(target, score, **settings):
    metrics = BinaryMetrics(**settings)
    metrics.update(target, score[:, np.newaxis], np.full(len(target), np.nan))
    return metrics.all()


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", rivers.Accuracy()),
        ("precision", rivers.Precision()),
        ("recall", rivers.Recall()),
        ("f1", rivers.F1()),
    ],
)
def test_decisions_are_judged_as_river_does(name, metric):
    """Counts, so equal to rounding."""
    score = np.random.default_rng(0).random(2000)
    target = drawn(score, 0.3, 1)
    for y, p in zip(target, score >= 0.5, strict=True):
        metric.update(bool(y), bool(p))

    assert figures(target, score)[name] == pytest.approx(metric.get(), rel=1e-14)


def test_log_loss_is_rivers_also_at_0_and_1():
    """Certain and wrong costs 34.5, as there; each loss is rounded to 1.5e-8."""
    score = np.r_[np.random.default_rng(0).random(2000), 0.0, 0.0, 1.0, 1.0, 1e-300]
    target = np.r_[drawn(score[:2000], 0.3, 1), 0, 1, 0, 1, 1]
    metric = rivers.LogLoss()
    for y, p in zip(target, score, strict=True):
        metric.update(bool(y), float(p))

    assert figures(target, score)["log_loss"] == pytest.approx(metric.get(), abs=1e-8)


SCORES = {
    "uniform": lambda rng: rng.random(20_000),
    "a wide logit": lambda rng: sigmoid(rng.normal(0, 2, 20_000)),
    "crowded near 0, as of rare positives": lambda rng: sigmoid(rng.normal(-7, 0.5, 20_000)),
    "more crowded": lambda rng: sigmoid(rng.normal(-7, 0.15, 20_000)),
    "crowded near 1": lambda rng: sigmoid(rng.normal(9, 0.2, 20_000)),
    "crowded at a half": lambda rng: sigmoid(rng.normal(0, 0.3, 20_000)),
    "of few values, as trees have": lambda rng: rng.integers(0, 12, 20_000) / 11,
    "two decimals": lambda rng: np.round(rng.random(20_000), 2),
}


@pytest.mark.parametrize("rate", [0.01, 0.3])
@pytest.mark.parametrize("scores", SCORES)
def test_binned_areas_are_close_to_exact_ones(scores, rate):
    """|ROC AUC error| < 1e-3 and |average precision error| < 5e-3, however scores crowd (down to 0.15 in the logit)."""
    score = SCORES[scores](np.random.default_rng(5))
    target = drawn(score, rate, 6)
    found, (area, precision) = figures(target, score), exact(target, score)

    assert abs(found["roc_auc"] - area) < 1e-3
    assert abs(found["average_precision"] - precision) < 5e-3


def test_the_stated_bound_of_the_area_holds():
    """Half the share of pairs in one bin; scores so crowded that it matters."""
    score = sigmoid(np.random.default_rng(5).normal(-7, 0.01, 5000))
    target = drawn(score, 0.3, 6)
    bins = UnitBins(8)
    negatives, positives = (np.bincount(bins.of(score[target == y]), minlength=bins.count) for y in (0, 1))
    bound = 0.5 * (negatives * positives).sum() / (negatives.sum() * positives.sum())

    assert bound > 1e-3
    assert abs(roc_auc(negatives, positives) - exact(target, score)[0]) <= bound


@pytest.mark.parametrize("bins", [UnitBins(8), UnitBins(6), WideBins(8)])
def test_bins_keep_the_order_of_scores(bins):
    """Including the ends, halves, subnormals and neighbours."""
    rng = np.random.default_rng(1)
    score = np.r_[0.0, 5e-324, 1e-300, 2.0**-41, rng.random(1000) ** 20, 1 - rng.random(1000) ** 20, 0.5, 1 - 2**-53, 1]
    if isinstance(bins, WideBins):
        score = np.r_[score, rng.standard_cauchy(1000), -1.7e308, 1.7e308, -5e-324, 1 + 2**-52]
    places = bins.of(np.sort(score))

    assert (np.diff(places) >= 0).all()
    assert places[0] >= 0
    assert places[-1] < bins.count


def test_exact_0_and_exact_1_have_bins_of_their_own():
    """A model that is certain is not lumped with one that is nearly so."""
    places = UnitBins(8).of(np.array([0.0, 1e-300, 1 - 2**-53, 1.0]))

    assert len(set(places.tolist())) == 4


def test_anomaly_scores_in_the_unit_interval_have_the_same_bins():
    """Most anomaly detectors of River answer there."""
    score = np.random.default_rng(1).random(1000)

    assert len(set((WideBins(8).of(score) - UnitBins(8).of(score)).tolist())) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(0, 3, 20_000),
        lambda rng: rng.lognormal(3, 1, 20_000),
        lambda rng: rng.normal(0.9, 0.1, 20_000),
        lambda rng: -rng.lognormal(0, 1, 20_000),
    ],
)
def test_areas_of_anomaly_scores_are_close_to_exact_ones(draw):
    """Wherever they lie."""
    score = draw(np.random.default_rng(2))
    target = drawn(score, 0.05, 3)
    found, (area, precision) = figures(target, score, probabilities=False), exact(target, score)

    assert abs(found["roc_auc"] - area) < 1e-3
    assert abs(found["average_precision"] - precision) < 5e-3


def test_anomaly_scores_have_no_log_loss():
    """They are no probabilities."""
    assert "log_loss" not in BinaryMetrics(probabilities=False).all()


def test_a_score_at_the_threshold_decides_positive():
    """As the prediction says."""
    assert figures(np.ones(1), np.array([0.3]), threshold=0.3)["recall"] == 1.0


@pytest.mark.parametrize("score", [-1e-9, 1.0000001, np.inf, np.nan])
def test_a_probability_outside_of_its_range_does_not_count(score):
    """It is counted as unscored."""
    metrics = BinaryMetrics()
    metrics.update(np.ones(1), np.array([[score]]), np.full(1, np.nan))

    assert (metrics.count, metrics.unscored) == (0, 1)


def test_base_rate_is_the_share_of_positives():
    """Beside average precision, which is that of a constant score."""
    found = figures(np.array([1.0, 0, 0, 0]), np.full(4, 0.2))

    assert (found["base_rate"], found["average_precision"], found["roc_auc"]) == (0.25, 0.25, 0.5)


def test_average_precision_without_positives_is_nan():
    """There is nothing to find."""
    assert np.isnan(average_precision(np.array([1, 2]), np.array([0, 0])))


def test_a_column_of_a_wider_array_is_read_as_it_is():
    """Challengers' scores stand side by side."""
    scores = np.random.default_rng(1).random((50, 3))
    target, never = drawn(scores[:, 1], 0.3, 1), np.full(50, np.nan)
    metrics = BinaryMetrics()
    metrics.update(target, scores[:, 1:2], never)

    assert metrics.all() == figures(target, scores[:, 1].copy())
