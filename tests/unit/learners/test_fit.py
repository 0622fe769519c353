"""The logistic regression that calibration is made of, against the same minimum found otherwise."""

import math
import pickle

import numpy as np
import pytest
from scipy import optimize

from learners.fit import Fit


def drawn(labels, *, seed=0, slope=0.6, offset=-2.0):
    """Log odds, and labels of which they tell too much."""
    generator = np.random.default_rng(seed)
    told = generator.normal(0.0, 2.0, labels)
    positive = generator.random(labels) < 1.0 / (1.0 + np.exp(-(slope * told + offset)))
    return told.tolist(), positive.tolist()


def minimum(told, positive, *, start, prior, keep):
    """Of the documented sum, by a general method."""
    z = np.column_stack([told, np.ones(len(told))])
    signs = np.where(positive, 1.0, -1.0)
    weights = keep ** np.arange(len(told))[::-1]

    def objective(parameters):
        off = parameters - start
        return float((weights * np.logaddexp(0.0, -signs * (z @ parameters))).sum() + 0.5 * (prior * off * off).sum())

    return optimize.minimize(objective, start, method="BFGS", options={"gtol": 1e-8}).x


@pytest.mark.parametrize("keep", [1.0, 0.9995])
def test_it_stays_near_the_minimum_that_all_labels_together_have(keep):
    """One pass comes within a tenth of a standard error or so of the fit that sees everything at once."""
    told, positive = drawn(6000)
    start, prior = np.array([1.0, 0.0]), np.array([16.0, 1.0])
    fit = Fit(start=start.tolist(), prior=prior.tolist(), lowest=(0.01, None), keep=keep)
    for z, label in zip(told, positive, strict=True):
        fit.learn((z, 1.0), label)
    assert fit.parameters == pytest.approx(minimum(told, positive, start=start, prior=prior, keep=keep), abs=0.02)


def test_a_surprise_moves_it_no_further_than_the_surprise():
    """After one label the log odds lie between where they were and the label's side, however large the numbers."""
    fit = Fit(start=(1.0, 0.0), prior=(160.0, 10.0), lowest=(0.01, None), keep=1.0)
    fit.learn((-13.8, 1.0), True)
    assert -13.8 < fit.value((-13.8, 1.0)) < 0.0
    assert fit.parameters[0] > 0.8


def test_without_labels_it_goes_back_towards_its_start():
    """What fades is the labels, not the prior: labels that say nothing leave the prior alone in the end."""
    fit = Fit(start=(0.0,), prior=(1.0,), lowest=(None,), keep=0.99)
    for _ in range(300):
        fit.learn((1.0,), True)
    far = fit.parameters[0]
    for _ in range(2000):
        fit.learn((0.0,), True)
    assert far > 2.0
    assert abs(fit.parameters[0]) < 1e-6


def test_a_bound_holds_and_the_others_make_the_best_of_it():
    """A slope that wants to be negative stays at its bound, and the offset is the labels' share."""
    generator = np.random.default_rng(1)
    fit = Fit(start=(1.0, 0.0), prior=(1.0, 1.0), lowest=(0.01, None), keep=1.0)
    for z, chance in zip(generator.normal(0.0, 2.0, 4000).tolist(), generator.random(4000).tolist(), strict=True):
        fit.learn((z, 1.0), chance < 1.0 / (1.0 + math.exp(z + 1.0)))
    slope, offset = fit.parameters
    assert slope == pytest.approx(0.01)
    assert -1.2 < offset < -0.4


def test_the_answer_to_a_label_is_the_exact_root():
    """The minimum of the approximation of before plus the new loss: its derivative there is zero."""
    fit = Fit(start=(0.5, -1.0), prior=(2.0, 3.0), lowest=(None, None), keep=1.0)
    fit.learn((3.0, 1.0), False)
    slope, offset = fit.parameters
    share = 1.0 / (1.0 + math.exp(-(3.0 * slope + offset)))
    assert 2.0 * (slope - 0.5) + share * 3.0 == pytest.approx(0.0, abs=1e-9)
    assert 3.0 * (offset + 1.0) + share == pytest.approx(0.0, abs=1e-9)


def test_it_goes_on_from_a_pickle_to_the_bit():
    """Saved in the middle, it ends where it would have ended."""
    told, positive = drawn(400)
    here = Fit(start=(1.0, 0.0), prior=(1.0, 1.0), lowest=(0.01, None), keep=0.99)
    there = pickle.loads(pickle.dumps(here))
    for place, (z, label) in enumerate(zip(told, positive, strict=True)):
        here.learn((z, 1.0), label)
        there.learn((z, 1.0), label)
        if place % 100 == 50:
            there = pickle.loads(pickle.dumps(there))
    assert there.parameters == here.parameters
