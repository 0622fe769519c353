"""What is asked of the classifier inside a wrapper: is it one, has it probabilities, do weights reach it?

River answers none of these: a pipeline drops a weight that a step does not take, and a forest takes any keyword and ignores
it. For the wrappers themselves read calibration.py and imbalance.py.
"""

import inspect
from typing import Any

from river import base, compose, ensemble, multiclass, preprocessing
from river.imblearn import random as sampling

from learners import unroll

_PASS_WEIGHTS_ON = (
    ensemble.BaggingClassifier,
    ensemble.ADWINBaggingClassifier,
    ensemble.LeveragingBaggingClassifier,
    ensemble.AdaBoostClassifier,
    ensemble.BaggingRegressor,
    multiclass.OneVsOneClassifier,
    multiclass.OneVsRestClassifier,
    multiclass.OutputCodeClassifier,
    preprocessing.PredClipper,
    sampling.ClassificationSampler,
)
"""Of River 0.26: their ``learn_one(x, y, **kwargs)`` hands what it is given to the estimators inside. Other ``**kwargs``
do not, or only now and then (adaptive random forests, hard sampling)."""


class BinaryWrapper(base.Wrapper[Any], base.Classifier):
    """Around one classifier of two classes, ``self.classifier``."""

    classifier: Any

    @property
    def _wrapped_model(self) -> Any:
        return self.classifier

    @property
    def _multiclass(self) -> bool:
        return False


def classifier_of(given: object, owner: str) -> Any:
    """A wrapper's ``classifier``: an estimator, or a list of steps, which becomes a chain.

    Raises
    ------
    TypeError
        Naming the owner: it is no classifier, or a step is still a name.
    """
    if isinstance(given, (list, tuple)):
        for step in given:
            _refuse_name(step, owner)
        given = compose.Pipeline(*given)
    _refuse_name(given, owner)
    final = unroll.last_step(given)
    if not isinstance(final, base.Classifier):
        raise TypeError(f"{owner} is put around a classifier, and {type(final).__name__} is none")
    return given


def _refuse_name(step: object, owner: str) -> None:
    if isinstance(step, str):
        raise TypeError(f"{owner}: inside of a part, a step without parameters is written {{{step}: }}")


def only_decides(model: Any) -> bool:
    """Whether a classifier has no probabilities, or wraps one that has none."""
    final = unroll.last_step(model)
    if getattr(type(final), "predict_proba_one", None) is base.Classifier.predict_proba_one:
        return True
    return isinstance(final, base.Wrapper) and only_decides(final._wrapped_model)  # noqa: SLF001


def takes_weight(model: Any) -> bool:
    """Whether ``learn_one(x, y, w=…)`` of an estimator or chain makes more of a label, through all that is between.

    Examples
    --------
    >>> from river import forest, naive_bayes, tree
    >>> [takes_weight(one) for one in (tree.HoeffdingTreeClassifier(), naive_bayes.GaussianNB(), forest.ARFClassifier())]
    [True, False, False]
    """
    final = unroll.last_step(model)
    if isinstance(final, _PASS_WEIGHTS_ON):
        return takes_weight(final._wrapped_model)  # noqa: SLF001
    parameters = inspect.signature(final.learn_one).parameters
    if "w" not in parameters:
        return False
    return takes_weight(final._wrapped_model) if isinstance(final, base.Wrapper) else True  # noqa: SLF001


def teach(model: Any, x: dict[str, Any], y: Any, w: float) -> None:
    """``learn_one`` with a weight; raises TypeError when it would be dropped without a word."""
    if w == 1.0:
        model.learn_one(x, y)
    elif takes_weight(model):
        model.learn_one(x, y, w=w)
    else:
        raise TypeError(f"{type(unroll.last_step(model)).__name__} learns without weights, and this label has {w:g}")
