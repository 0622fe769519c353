"""Multiclass metrics against River's; classes that come later; missing scores."""

import numpy as np
import pytest
from river import metrics as rivers

from learners.metrics.bins import UnitBins
from learners.metrics.multiclass import RANKED_MAX, MulticlassMetrics


def drawn(n=1500, k=4, seed=1):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(k) * 0.7, n)
    target = np.array([rng.choice(k, p=p) for p in scores]).astype(np.float64)
    return target, scores


def figures(target, scores, **settings):
    metrics = MulticlassMetrics(**settings)
    metrics.update(target, scores, np.full(len(target), np.nan))
    return metrics.all()


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", rivers.Accuracy()),
        ("precision_macro", rivers.MacroPrecision()),
        ("recall_macro", rivers.MacroRecall()),
        ("f1_macro", rivers.MacroF1()),
        ("precision_weighted", rivers.WeightedPrecision()),
        ("recall_weighted", rivers.WeightedRecall()),
        ("f1_weighted", rivers.WeightedF1()),
    ],
)
def test_decisions_are_judged_as_river_does(name, metric):
    """Also with a class that is decided and never true, and one that is neither."""
    target, scores = drawn(k=6)
    keep = (target != 4) & (target != 5)
    target, scores = target[keep], scores[keep]
    scores[:, 5] = 0.0
    for y, p in zip(target, scores, strict=True):
        metric.update(int(y), int(p.argmax()))

    assert figures(target, scores)[name] == pytest.approx(metric.get(), rel=1e-12)


def test_log_loss_is_rivers_cross_entropy():
    """Each loss is rounded to 1.5e-8."""
    target, scores = drawn()
    metric = rivers.CrossEntropy()
    for y, p in zip(target, scores, strict=True):
        metric.update(int(y), dict(enumerate(p.tolist())))

    assert figures(target, scores)["log_loss"] == pytest.approx(metric.get(), abs=1e-8)


def test_rankings_are_means_of_one_class_against_the_rest():
    """ROC AUC by pairs, class by class."""
    target, scores = drawn()
    areas = []
    for c in range(4):
        positive, negative = scores[target == c, c], scores[target != c, c]
        pairs = positive[:, np.newaxis] - negative
        areas.append((pairs > 0).mean() + 0.5 * (pairs == 0).mean())

    assert figures(target, scores)["roc_auc"] == pytest.approx(np.mean(areas), abs=1e-3)


def test_average_precision_is_the_mean_over_classes():
    """By sorting, class by class."""
    target, scores = drawn()
    means = []
    for c in range(4):
        hit = (target == c)[np.argsort(-scores[:, c], kind="stable")]
        means.append((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())

    assert figures(target, scores)["average_precision"] == pytest.approx(np.mean(means), abs=5e-3)


def test_a_class_that_comes_later_had_probability_0_before():
    """Widening in the middle gives the figures of full width from the start."""
    target, scores = drawn(k=4)
    narrow = np.where(np.arange(4) < 3, scores, 0.0)
    metrics = MulticlassMetrics(window=1000, width=2)
    never = np.full(len(target), np.nan)
    metrics.update(target[:700], narrow[:700, :3], never[:700])
    metrics.update(target[700:], scores[700:], never[700:])
    whole = MulticlassMetrics(window=1000, width=4)
    whole.update(target, np.r_[narrow[:700], scores[700:]], never)

    assert metrics.all() == whole.all()
    assert metrics.recent() == whole.recent()


def test_a_label_that_no_score_names_counts_as_probability_0():
    """Its learner has not met the class yet."""
    found = figures(np.array([2.0, 0.0]), np.array([[0.4, 0.6], [0.9, 0.1]]))

    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx((-np.log(1e-15) - np.log(0.9)) / 2, abs=1e-8)


def test_a_missing_score_of_a_class_is_probability_0():
    """NaN in some columns."""
    target, scores = drawn()
    holes = np.random.default_rng(2).random(scores.shape) < 0.2
    holes[holes.all(axis=1)] = False

    assert figures(target, np.where(holes, np.nan, scores)) == figures(target, np.where(holes, 0.0, scores))


@pytest.mark.parametrize("row", [[np.nan, np.nan], [0.5, np.inf], [1.5, 0.1], [-0.1, 1.0]])
def test_a_row_that_is_no_distribution_does_not_count(row):
    """It is counted as unscored."""
    metrics = MulticlassMetrics()
    metrics.update(np.zeros(1), np.array([row]), np.full(1, np.nan))

    assert (metrics.count, metrics.unscored) == (0, 1)


def test_many_classes_have_no_rankings():
    """They would cost 82 kB each; the rest of the figures stays, and so do those of a window over the widening."""
    target, scores = drawn()
    never = np.full(len(target), np.nan)
    metrics = MulticlassMetrics(window=500)
    metrics.update(target, scores, never)
    metrics.update(np.array([RANKED_MAX + 1.0]), scores[:1], never[:1])
    found = metrics.all() | {f"recent {name}": figure for name, figure in metrics.recent().items()}

    unknown = {name for name, figure in found.items() if np.isnan(figure)}
    assert unknown == {"roc_auc", "average_precision", "recent roc_auc", "recent average_precision"}


def test_places_of_bins_fit_the_windows_type():
    """Two bytes a class and label."""
    assert UnitBins(6).count < 2**16
