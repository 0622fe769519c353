"""Losses against their own differences: a wrong gradient still learns something, so nothing else would show it."""

import math

import numpy as np
import pytest
from river import linear_model, optim, preprocessing

from learners.losses import Focal

LOSSES = {
    "ours": Focal(),
    "ours, sharper": Focal(gamma=3.5, alpha=0.9),
    "ours, the log loss": Focal(gamma=0.0, alpha=0.5),
    "river's focal loss": optim.losses.BinaryFocalLoss(),
    "river's focal loss, other parameters": optim.losses.BinaryFocalLoss(gamma=3.0, beta=0.5),
}
STEP = 1e-6


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_slope_of_the_loss(name, positive):
    """Central differences over log odds from -8 to 8; ours, and River's that the documentation names beside it."""
    loss = LOSSES[name]
    for log_odds in np.linspace(-8.0, 8.0, 33).tolist():
        difference = (loss(positive, log_odds + STEP) - loss(positive, log_odds - STEP)) / (2.0 * STEP)
        assert loss.gradient(positive, log_odds) == pytest.approx(difference, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("log_odds", [-3.0, -0.2, 0.0, 1.7])
def test_it_is_the_papers_formula(log_odds):
    """Written as in Lin et al., equation 5."""
    p = 1.0 / (1.0 + math.exp(-log_odds))
    loss = Focal(gamma=2.0, alpha=0.25)
    assert loss(True, log_odds) == pytest.approx(-0.25 * (1.0 - p) ** 2 * math.log(p))
    assert loss(False, log_odds) == pytest.approx(-0.75 * p**2 * math.log(1.0 - p))


def test_without_gamma_it_is_half_the_log_loss():
    """As alpha weighs both classes with one half."""
    log = optim.losses.Log()
    for positive in (True, False):
        assert Focal(gamma=0.0, alpha=0.5)(positive, 0.7) == pytest.approx(0.5 * log(positive, 0.7))


@pytest.mark.parametrize("log_odds", [-800.0, 800.0])
def test_far_away_it_is_finite(log_odds):
    """No overflow in either direction."""
    for positive in (True, False):
        assert math.isfinite(Focal()(positive, log_odds))
        assert math.isfinite(Focal().gradient(positive, log_odds))


def test_an_array_is_each_of_its_values():
    """As River's losses do for mini-batches."""
    loss, log_odds = Focal(), np.array([-1.0, 0.5, 2.0])
    expected = [loss.gradient(y, value) for y, value in zip([True, False, True], log_odds.tolist(), strict=True)]
    assert loss.gradient(np.array([True, False, True]), log_odds).tolist() == expected


def test_a_linear_model_learns_with_it():
    """It separates what the log loss separates."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression(loss=Focal(alpha=0.5))
    generator = np.random.default_rng(0)
    for a in generator.normal(0.0, 1.0, 3000).tolist():
        model.learn_one({"a": a}, a > 1.0)
    assert model.predict_proba_one({"a": 2.5})[True] > 0.5 > model.predict_proba_one({"a": -1.0})[True]


@pytest.mark.parametrize(
    ("parameters", "words"), [({"gamma": -1}, "gamma is 0 or more"), ({"alpha": 1.0}, "alpha lies between")]
)
def test_parameters_that_make_no_sense_are_refused(parameters, words):
    """Before anything is learned."""
    with pytest.raises(ValueError, match=words):
        Focal(**parameters)
