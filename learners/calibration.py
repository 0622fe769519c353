"""Scores that mean what they say: of all events with a score of 0.3, three in ten are positive.

Wrappers of classifiers of two classes. A calibrator learns from each label twice over: first its map, from the score that
the classifier would give *before* it learns this label; then the classifier learns. So the map never sees a score that was
fitted to its own label. The order of scores stays as it is (but for those at the clip, which become equal). What a map is fitted
with is fit.py; what else there is for rare positives, imbalance.py.
"""

from abc import abstractmethod
from math import log
from typing import Any

from river.utils.math import sigmoid

from learners import unroll
from learners.fit import Fit
from learners.inside import BinaryWrapper, classifier_of, only_decides, teach

MEMORY = 100_000
"""Labels; with one positive in two hundred, five hundred positives: 4 % of uncertainty of the level."""
CLIP = 1e-6
PRIOR = 3.0

_SCALE = 16.0
"""Log odds of 4, squared: a slope's prior counts labels there."""
_SLOPE_MIN = 0.01


class _Map(BinaryWrapper):
    """A classifier, then a logistic regression on what ``_features`` makes of its score."""

    _slopes: int

    def __init__(self, classifier: Any, memory: int | None, prior: float, clip: float) -> None:
        name = type(self).__name__
        self.classifier = classifier_of(classifier, name)
        _refuse_without_probabilities(self.classifier, name)
        if memory is not None and memory < 1:
            raise ValueError(f"memory counts labels, from 1 on, not {memory}")
        if not prior > 0.0:
            raise ValueError(f"prior is above 0, not {prior}")
        if not 0.0 < clip < 0.5:
            raise ValueError(f"clip lies between 0 and 0.5, not at {clip}")
        self.memory = memory
        self.prior = prior
        self.clip = clip
        slopes = self._slopes
        self._fit = Fit(
            start=(1.0,) * slopes + (0.0,),
            prior=(prior * _SCALE,) * slopes + (prior,),
            lowest=(_SLOPE_MIN,) * slopes + (None,),
            keep=1.0 if memory is None else 1.0 - 1.0 / memory,
        )

    @property
    def parameters(self) -> tuple[float, ...]:
        """Of the map now: its slopes, then its offset."""
        return tuple(self._fit.parameters)

    def learn_one(self, x: dict[Any, Any], y: Any, w: float = 1.0) -> None:
        """A weight is the classifier's: the map counts each label once."""
        score = self.classifier.predict_proba_one(x)
        if score:
            self._fit.learn(self._features(score.get(True, 0.0)), bool(y))
        teach(self.classifier, x, y, w)

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Empty as long as the classifier's own is."""
        score = self.classifier.predict_proba_one(x, **kwargs)
        if not score:
            return {}
        positive = sigmoid(self._fit.value(self._features(score.get(True, 0.0))))
        return {False: 1.0 - positive, True: positive}

    @abstractmethod
    def _features(self, score: float) -> tuple[float, ...]:
        """What the map is linear in, but for its offset."""

    def _clipped(self, score: float) -> float:
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"the score of {type(unroll.last_step(self.classifier)).__name__} is {score}")
        return min(max(score, self.clip), 1.0 - self.clip)


class Platt(_Map):
    """Platt scaling, online: the calibrated log odds are a straight line over the score's log odds.

    ``log odds = slope * log odds of the score + offset``. J. C. Platt (1999), *Probabilistic Outputs for Support Vector
    Machines and Comparisons to Regularized Likelihood Methods*; on the log odds of probabilities, as in C. Guo, G. Pleiss,
    Y. Sun, K. Q. Weinberger (2017), *On Calibration of Modern Neural Networks*, section 4.1. Fitted label by label with
    forgetting (``learners.fit.Fit``), where Platt's is fitted once.

    Parameters
    ----------
    classifier : river.base.Classifier or list
        What is calibrated; a list of steps is a chain.
    memory : int, optional
        About how many labels the map is fitted to: the weight of older ones fades by ``1 - 1 / memory`` a label. None: all.
    prior : float
        How sure it is at first that nothing is to be changed: as if so many labels of the rarer class had said so.
    clip : float
        Scores nearer than this to 0 or 1 count as this near.

    Raises
    ------
    ValueError
        When the classifier has no probabilities.

    Examples
    --------
    >>> from river import linear_model
    >>> Platt(linear_model.LogisticRegression()).parameters  # slope and offset
    (1.0, 0.0)
    """

    _slopes = 1

    def __init__(self, classifier: Any, memory: int | None = MEMORY, prior: float = PRIOR, clip: float = CLIP) -> None:
        super().__init__(classifier, memory, prior, clip)

    def _features(self, score: float) -> tuple[float, ...]:
        clipped = self._clipped(score)
        return log(clipped / (1.0 - clipped)), 1.0


class Beta(_Map):
    """Beta calibration, online: one slope for scores near 0 and another for scores near 1.

    ``log odds = a * ln(score) - b * ln(1 - score) + c`` with positive slopes: M. Kull, T. M. Silva Filho, P. Flach (2017), *Beta
    calibration: a well-founded and easily implemented improvement on logistic calibration for binary classifiers*.
    With ``a = b`` it is Platt scaling. Fitted label by label with forgetting (``learners.fit.Fit``), where theirs is fitted
    once. Its third parameter takes more positives to find: where they are few, Platt is the safer one.

    Parameters
    ----------
    classifier, memory, prior, clip
        As of ``Platt``.
    """

    _slopes = 2

    def __init__(self, classifier: Any, memory: int | None = MEMORY, prior: float = PRIOR, clip: float = CLIP) -> None:
        super().__init__(classifier, memory, prior, clip)

    def _features(self, score: float) -> tuple[float, ...]:
        clipped = self._clipped(score)
        return log(clipped), -log(1.0 - clipped), 1.0


class PriorCorrection(BinaryWrapper):
    """Takes back, by formula, what learning from other shares of the classes than there are did to the odds.

    Who learns from every positive and one negative in ``factor`` gives odds that are ``factor`` times too high:
    ``score / factor / (score / factor + 1 - score)`` is right. A. Dal Pozzolo, O. Caelen, R. A. Johnson,
    G. Bontempi (2015), *Calibrating Probability with Undersampling for Unbalanced Classification*. It is exact for a classifier
    that learns the shares it is shown, and changes no order; what the classifier itself gets wrong stays wrong (``Platt``).

    Parameters
    ----------
    classifier : river.base.Classifier or list
        What is corrected.
    factor : float, optional
        By how much its odds are too high. Omitted: as the sampler or the class weights inside say (``odds_factor`` of
        learners/imbalance.py).

    Raises
    ------
    ValueError
        Without probabilities, or without a factor when nothing inside knows one.

    Examples
    --------
    >>> from river import dummy
    >>> even = dummy.PriorClassifier()
    >>> even.learn_one({}, True), even.learn_one({}, False)
    (None, None)
    >>> PriorCorrection(even, factor=99).predict_proba_one({})[True]
    0.01
    """

    def __init__(self, classifier: Any, factor: float | None = None) -> None:
        self.classifier = classifier_of(classifier, "PriorCorrection")
        _refuse_without_probabilities(self.classifier, "PriorCorrection")
        inside = unroll.last_step(self.classifier)
        if factor is None and not hasattr(type(inside), "odds_factor"):
            raise ValueError(
                f"PriorCorrection: {type(inside).__name__} does not say by how much its odds are too high; give `factor`, or "
                "put it around learners.imbalance.UnderSampler or another of them"
            )
        if factor is not None and not factor > 0.0:
            raise ValueError(f"factor is above 0, not {factor}")
        self.factor = factor

    @property
    def divisor(self) -> float:
        """By how much the odds inside are too high now, as given or as the classifier inside says."""
        factor: float = unroll.last_step(self.classifier).odds_factor if self.factor is None else self.factor
        return factor

    def learn_one(self, x: dict[Any, Any], y: Any, w: float = 1.0) -> None:
        teach(self.classifier, x, y, w)

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Empty as long as the classifier's own is."""
        told = self.classifier.predict_proba_one(x, **kwargs)
        if not told:
            return {}
        score = told.get(True, 0.0)
        positive = score / (score + self.divisor * (1.0 - score))
        return {False: 1.0 - positive, True: positive}


def _refuse_without_probabilities(classifier: Any, owner: str) -> None:
    if only_decides(classifier):
        raise ValueError(f"{owner} needs probabilities, and {type(unroll.last_step(classifier)).__name__} only decides")
