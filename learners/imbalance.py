"""Few positives among many negatives: weights of classes, and samplers that show a classifier another mixture.

Wrappers of classifiers. All but hard sampling move the odds that the classifier learns, by ``odds_factor``;
``learners.calibration.PriorCorrection`` takes that back. The samplers are River's (``river.imblearn``), with the share of
positives as a number where River wants a mapping whose keys are true and false (which no JSON has), and never without a seed.
Hard sampling needs nothing from here: ``river.imblearn.HardSamplingClassifier``.
"""

from collections.abc import Mapping
from typing import Any, Literal

from river import base, imblearn

from learners import unroll
from learners.inside import classifier_of, takes_weight

BALANCED = "balanced"
_TRUTHS = {"true": "1", "false": "0"}


class ClassWeight(base.Wrapper[Any], base.Classifier):
    """Labels of a class count so many times: the classifier is given their weight.

    Cost-sensitive learning by weights; C. Elkan (2001), *The Foundations of Cost-Sensitive Learning*: a classifier that learns
    positives with weight ``r`` answers odds ``r`` times those that there are.

    Parameters
    ----------
    classifier : river.base.Classifier or list
        One whose ``learn_one`` takes a weight; a list of steps is a chain.
    weights : mapping or "balanced"
        By class (``{true: 50}`` or ``{1: 50}``; a class that is not named has 1). ``balanced``: inverse to how often each
        class came so far, ``labels / (classes * labels of the class)``, so that the weights are 1 on average
        (G. King, L. Zeng (2001), *Logistic Regression in Rare Events Data*).
    weight_max : float
        With ``balanced``: no weight is above.

    Raises
    ------
    ValueError, TypeError
        The classifier takes no weights, or a weight is no number above 0.

    Examples
    --------
    >>> from river import linear_model
    >>> weighted = ClassWeight(linear_model.LogisticRegression(), {"true": 50})
    >>> weighted.weight_of(True), weighted.weight_of(False), weighted.odds_factor
    (50.0, 1.0, 50.0)
    """

    def __init__(
        self, classifier: Any, weights: Mapping[Any, float] | Literal["balanced"], weight_max: float = 1000.0
    ) -> None:
        self.classifier = classifier_of(classifier, "ClassWeight")
        if not takes_weight(self.classifier):
            raise ValueError(
                f"{type(unroll.last_step(self.classifier)).__name__} learns without weights; "
                "learners.imbalance.OverSampler shows it labels several times instead"
            )
        if not weight_max >= 1.0:
            raise ValueError(f"weight_max is 1 or more, not {weight_max}")
        self.weights = weights
        self.weight_max = weight_max
        self._fixed = _fixed(weights)
        self._counts: dict[str, int] = {}

    @property
    def _wrapped_model(self) -> Any:
        return self.classifier

    @property
    def odds_factor(self) -> float:
        """By how much the odds of what the classifier learns exceed those of the labels. Of two classes."""
        return self.weight_of(True) / self.weight_of(False)

    def weight_of(self, y: Any) -> float:
        """Of a label, as it stands now."""
        name = _class_name(y)
        if self._fixed is not None:
            return self._fixed.get(name, 1.0) if not isinstance(y, bool) else self._weight_of_truth(name)
        count = self._counts.get(name)
        if not count:
            return 1.0
        return min(sum(self._counts.values()) / (len(self._counts) * count), self.weight_max)

    def _weight_of_truth(self, name: str) -> float:
        fixed = self._fixed or {}
        if strange := [one for one in fixed if one not in {*_TRUTHS, *_TRUTHS.values()}]:
            raise ValueError(f"labels are true and false, and weights name {strange[0]}")
        return fixed.get(name, fixed.get(_TRUTHS[name], 1.0))

    def learn_one(self, x: dict[Any, Any], y: Any, w: float = 1.0) -> None:
        if self._fixed is None:
            name = _class_name(y)
            self._counts[name] = self._counts.get(name, 0) + 1
        self.classifier.learn_one(x, y, w=w * self.weight_of(y))

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
        told: dict[Any, float] = self.classifier.predict_proba_one(x, **kwargs)
        return told

    def predict_one(self, x: dict[Any, Any], **kwargs: Any) -> Any:
        return self.classifier.predict_one(x, **kwargs)


class UnderSampler(imblearn.RandomUnderSampler):
    """Shows the classifier all labels of one class and some of the other, so that positives have a share.

    ``river.imblearn.RandomUnderSampler``: rejection sampling against the shares of the classes so far. Cheap, as most labels are
    passed over. (The label at which a class becomes the one that is kept whole is itself passed over: River's way.)

    Parameters
    ----------
    classifier : river.base.Classifier or list
        What learns from the sample; a list of steps is a chain.
    positive_share : float
        Of positives among what it is shown, within (0, 1).
    seed : int
        Of the draws.
    """

    def __init__(self, classifier: Any, positive_share: float, seed: int) -> None:
        _check(positive_share, seed)
        super().__init__(classifier_of(classifier, "UnderSampler"), _shares(positive_share), seed)
        self.positive_share = positive_share

    @property
    def odds_factor(self) -> float:
        return _odds_factor(self)


class OverSampler(imblearn.RandomOverSampler):
    """Shows the classifier all labels, and those of the rarer class several times, so that positives have a share.

    ``river.imblearn.RandomOverSampler``: a label is shown a Poisson number of times. As dear as there are repetitions: at one
    positive in two hundred and an even share, twice. A share above one half shows every label many times.

    Parameters
    ----------
    classifier, positive_share, seed
        As of ``UnderSampler``.
    """

    def __init__(self, classifier: Any, positive_share: float, seed: int) -> None:
        _check(positive_share, seed)
        super().__init__(classifier_of(classifier, "OverSampler"), _shares(positive_share), seed)
        self.positive_share = positive_share

    @property
    def odds_factor(self) -> float:
        return _odds_factor(self)


class Sampler(imblearn.RandomSampler):
    """Both: shows ``rate`` times as many labels as come, with this share of positives among them.

    ``river.imblearn.RandomSampler``: a label is shown a Poisson number of times.

    Parameters
    ----------
    classifier, positive_share, seed
        As of ``UnderSampler``.
    rate : float
        Labels shown by labels that came, above 0.
    """

    def __init__(self, classifier: Any, positive_share: float, seed: int, rate: float = 1.0) -> None:
        _check(positive_share, seed)
        if not rate > 0.0:
            raise ValueError(f"rate is above 0, not {rate}")
        super().__init__(classifier_of(classifier, "Sampler"), _shares(positive_share), rate, seed)
        self.positive_share = positive_share
        self.rate = rate

    @property
    def odds_factor(self) -> float:
        return _odds_factor(self)


def _check(positive_share: float, seed: object) -> None:
    if not 0.0 < positive_share < 1.0:
        raise ValueError(f"positive_share lies between 0 and 1, not at {positive_share}")
    if not isinstance(seed, int):
        raise TypeError("seed is a whole number: without it no two processes would answer alike")


def _shares(positive_share: float) -> dict[bool, float]:
    return {True: positive_share, False: 1.0 - positive_share}


def _odds_factor(sampler: Any) -> float:
    """By how much the odds of what was shown exceed those of what came; 1 until both classes were shown."""
    came, shown = sampler._actual_dist, sampler._trained_on_dist  # noqa: SLF001
    if not all((came[True], came[False], shown[True], shown[False])):
        return 1.0
    factor: float = shown[True] / shown[False] * came[False] / came[True]
    return factor


def _fixed(weights: Any) -> dict[str, float] | None:
    """By the class's name; None where they are counted."""
    if weights == BALANCED:
        return None
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights are {BALANCED}, or a mapping such as {{true: 50}}, not {weights!r}")
    fixed = {}
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0.0 < weight < float("inf"):
            raise ValueError(f"the weight of {_class_name(name)} is a number above 0, not {weight!r}")
        fixed[_class_name(name)] = float(weight)
    return fixed


def _class_name(y: Any) -> str:
    """As configurations write it, and JSON: true, not True."""
    name = str(y)
    return name.lower() if name.lower() in _TRUTHS else name
