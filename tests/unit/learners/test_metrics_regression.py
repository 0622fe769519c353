"""Regression metrics against River's, and the exact sums beneath them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics as rivers

from learners.metrics.exact import UNIT_BITS, ExactSums, squares
from learners.metrics.regression import RegressionMetrics


def figures(target, score):
    metrics = RegressionMetrics()
    metrics.update(target, score[:, np.newaxis], np.full(len(target), np.nan))
    return metrics.all()


def drawn(offset=0.0, n=2000):
    rng = np.random.default_rng(4)
    target = rng.normal(offset, 2, n)
    return target, target + rng.normal(0.3, 1, n)


@pytest.mark.parametrize(("name", "metric"), [("mae", rivers.MAE()), ("rmse", rivers.RMSE()), ("r2", rivers.R2())])
def test_figures_are_rivers(name, metric):
    """To rounding."""
    target, score = drawn()
    for y, p in zip(target.tolist(), score.tolist(), strict=True):
        metric.update(y, p)

    assert figures(target, score)[name] == pytest.approx(metric.get(), rel=1e-10)


def test_r2_is_sound_far_from_0():
    """Values around 1e9 with a spread of 2: their squares alone would leave nothing of it."""
    target, score = drawn(offset=1e9)
    error = [Fraction(y) - Fraction(p) for y, p in zip(target.tolist(), score.tolist(), strict=True)]
    mean = sum(map(Fraction, target.tolist())) / len(target)
    spread = sum((Fraction(y) - mean) ** 2 for y in target.tolist())

    assert figures(target, score)["r2"] == pytest.approx(float(1 - sum(e * e for e in error) / spread), rel=1e-12)


@pytest.mark.parametrize("target", [[1.0], [2.0, 2.0]])
def test_r2_of_labels_without_spread_is_nan(target):
    """There is nothing to explain."""
    assert np.isnan(figures(np.array(target), np.zeros(len(target)))["r2"])


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, 1e200])
def test_a_score_beyond_measure_does_not_count(score):
    """Its square would be no number; and NumPy does not warn."""
    metrics = RegressionMetrics()
    metrics.update(np.ones(1), np.array([[score]]), np.full(1, np.nan))

    assert (metrics.count, metrics.unscored) == (0, 1)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=100)
@given(st.lists(FLOATS, max_size=60), st.integers(0, 60))
def test_sums_are_exact(values, cut):
    """As fractions, for any floats, in a loop or by exponent, whatever the cut."""
    sums = ExactSums(1)
    for part in (values[:cut], values[cut:]):
        if part:
            sums.add([np.array(part)])

    assert Fraction(sums.totals[0], 1 << UNIT_BITS) == sum(map(Fraction, values))


def test_what_was_added_can_be_taken_back():
    """However large it was."""
    sums = ExactSums(1)
    sums.add([np.full(50, 0.1)])
    before = list(sums.totals)
    sums.add([np.full(50, 1e300)])
    sums.add([np.full(50, 1e300)], -1)

    assert sums.totals == before


@settings(max_examples=100)
@given(st.floats(-1e150, 1e150).filter(lambda x: x == 0 or abs(x) > 1e-140))
def test_squares_are_exact(value):
    """Their three parts, added as fractions."""
    assert sum(map(Fraction, squares(np.array([value])).tolist())) == Fraction(value) ** 2
