"""Losses for linear models that River does not have. River's own are in ``river.optim.losses``.

A loss is asked for its gradient in the model's sum (the log odds), once a label. Read imbalance.py for what else there is
for rare positives.
"""

import math
from typing import Any

import numpy as np
from river import optim
from river.utils.math import sigmoid


class Focal(optim.losses.BinaryLoss):
    """Focal loss: labels that the model is sure of count little, so that many easy negatives do not drown few positives.

    With ``p`` the probability that the model gives to the label's class:
    ``-alpha * (1 - p) ** gamma * log(p)`` for positives, with ``1 - alpha`` in the place of ``alpha`` for negatives.
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár (2017), *Focal Loss for Dense Object Detection*; the gradient is
    that of its appendix B. ``river.optim.losses.BinaryFocalLoss`` is the other one of that paper, FL*, which has no alpha.

    Scores learned with it rank; they are no probabilities: put ``learners.calibration.Platt`` around the classifier.

    Parameters
    ----------
    gamma : float
        How fast sure labels lose their part, 0 or more. 0: the log loss, weighted by alpha.
    alpha : float
        Part of the positives, within (0, 1); ``alpha / (1 - alpha)`` is what a weight would be.

    Examples
    --------
    >>> round(Focal(gamma=0, alpha=0.5).gradient(True, 0.0), 3), round(Focal().gradient(True, 4.0), 6)
    (-0.25, -4e-06)
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        if not gamma >= 0.0:
            raise ValueError(f"gamma is 0 or more, not {gamma}")
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
        self.gamma = gamma
        self.alpha = alpha

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of log odds ``y_pred`` against true or false; of arrays, elementwise."""
        if isinstance(y_pred, np.ndarray):
            return _each(self, y_true, y_pred)
        part, log_odds = (self.alpha, y_pred) if y_true else (1.0 - self.alpha, -y_pred)
        return part * sigmoid(-log_odds) ** self.gamma * _minus_log_sigmoid(log_odds)

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        """Its derivative in the log odds."""
        if isinstance(y_pred, np.ndarray):
            return _each(self.gradient, y_true, y_pred)
        part, sign = (self.alpha, 1.0) if y_true else (1.0 - self.alpha, -1.0)
        log_odds = sign * y_pred
        right, wrong = sigmoid(log_odds), sigmoid(-log_odds)
        return -sign * part * wrong**self.gamma * (self.gamma * right * _minus_log_sigmoid(log_odds) + wrong)


def _minus_log_sigmoid(log_odds: float) -> float:
    return math.log1p(math.exp(-log_odds)) if log_odds > 0.0 else math.log1p(math.exp(log_odds)) - log_odds


def _each(function: Any, y_true: Any, y_pred: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array([function(y, value) for y, value in zip(y_true, y_pred.tolist(), strict=True)])
