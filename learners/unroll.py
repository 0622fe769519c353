"""River's chains without the pipeline between: the same calls on the same objects, the same bits, a quarter faster.

``compose.Pipeline`` looks each step's kind up at every call. Here that is done once: a chain of plain transformers and
a supervised estimator becomes closures over the steps themselves. The state stays in River's objects. Anything that is
not recognised (unions, filters, supervised transformers, subclasses of what is rewritten) keeps River's own methods.

Two methods are written again, not only called: ``StandardScaler`` learns and transforms in a single pass, and the linear
models without penalties take their step of gradient descent without a copy of the weights. The arithmetic is River's
(preprocessing/scale.py and linear_model/base.py of 0.26), and tests/unit/learners/test_unroll.py holds the two equal. This
file does not decide what a score is: read river.py for that.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from river import base, compose, linear_model, optim, preprocessing
from river.utils import VectorDict

Features: TypeAlias = dict[str, Any]
Predict: TypeAlias = Callable[[Features], Any]
Learn: TypeAlias = Callable[[Features, Any], None]

_METHODS = frozenset({"learn_one", "transform_one", "predict_one", "predict_proba_one"})


def last_step(model: Any) -> Any:
    """The estimator that predicts: the model itself, or the last step of the chain."""
    while isinstance(model, compose.Pipeline):
        model = model._last_step  # noqa: SLF001
    return model


def learn(model: Any) -> Learn:
    """What ``model.learn_one(x, y)`` does.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    >>> learn(model)({"x": 1.0}, 2.0)
    >>> model["StandardScaler"].means["x"]
    1.0
    """
    chain = _recognise(model)
    if chain is None:
        return model.learn_one  # type: ignore[no-any-return]
    transformers, final = chain
    learn_final: Callable[..., None] = _descend(final) or final.learn_one
    if len(transformers) == 1:
        advance = _learn_then_transform(transformers[0])

        def learn_two(x: Features, y: Any) -> None:
            learn_final(x=advance(x), y=y)

        return learn_two
    advances = [_learn_then_transform(transformer) for transformer in transformers]

    def learn_many(x: Features, y: Any) -> None:
        for advance in advances:
            x = advance(x)
        learn_final(x=x, y=y)

    return learn_many


def predict(model: Any, method: str) -> Predict:
    """What ``model.<method>(x)`` does, for ``predict_one`` or ``predict_proba_one``."""
    chain = _recognise(model)
    if chain is None:
        return getattr(model, method)  # type: ignore[no-any-return]
    transformers, final = chain
    return _after(transformers, getattr(final, method))


def probability(model: Any) -> Predict:
    """What ``model.predict_proba_one(x).get(True, 0.0)`` gives; a logistic regression builds no dict for it."""
    chain = _recognise(model)
    final = chain[1] if chain else model
    if type(final) is linear_model.LogisticRegression and not _patched(final):
        return _logistic(chain[0] if chain else (), final)
    full = predict(model, "predict_proba_one")

    def of_true(x: Features) -> Any:
        return full(x).get(True, 0.0)

    return of_true


def _recognise(model: Any) -> tuple[Sequence[Any], Any] | None:
    """The transformers and the estimator of a chain in which River's pipeline does nothing but call them in a row."""
    if type(model) is not compose.Pipeline or _patched(model) or len(model) < 2:
        return None
    *transformers, final = model.steps.values()
    for step in transformers:
        if (
            isinstance(step, compose.Pipeline | compose.TransformerUnion | base.AnomalyFilter)
            or not isinstance(step, base.Transformer)
            or step._supervised  # noqa: SLF001
        ):
            return None
    if isinstance(final, compose.Pipeline | base.Transformer | base.AnomalyFilter) or not final._supervised:  # noqa: SLF001
        return None
    return transformers, final


def _patched(estimator: Any) -> bool:
    """Whether one of the methods was replaced on this one object."""
    return not _METHODS.isdisjoint(vars(estimator))


def _logistic(transformers: Sequence[Any], final: linear_model.LogisticRegression) -> Predict:
    raw, mean = final._raw_dot_one, final.loss.mean_func  # noqa: SLF001
    if len(transformers) == 1:
        transform = transformers[0].transform_one

        def logistic_of_two(x: Features) -> Any:
            return mean(raw(transform(x)))

        return logistic_of_two

    def logistic(x: Features) -> Any:
        return mean(raw(x))

    return _after(transformers, logistic) if transformers else logistic


def _after(transformers: Sequence[Any], answer: Predict) -> Predict:
    if len(transformers) == 1:
        transform = transformers[0].transform_one

        def answer_two(x: Features) -> Any:
            return answer(transform(x))

        return answer_two
    transforms = [transformer.transform_one for transformer in transformers]

    def answer_many(x: Features) -> Any:
        for transform in transforms:
            x = transform(x)
        return answer(x)

    return answer_many


def _learn_then_transform(transformer: Any) -> Callable[[Features], Features]:
    """``learn_one(x)``, then ``transform_one(x)``, as River's pipeline does while it learns."""
    if (
        type(transformer) is preprocessing.StandardScaler
        and transformer.window_size is None
        and transformer.with_std
        and not _patched(transformer)
    ):
        return _scale(transformer)
    learn_one, transform_one = transformer.learn_one, transformer.transform_one

    def in_turn(x: Features) -> Features:
        learn_one(x)
        return transform_one(x)  # type: ignore[no-any-return]

    return in_turn


def _scale(scaler: preprocessing.StandardScaler) -> Callable[[Features], Features]:
    """The scaler's two loops as one (Welford's method); features do not meet, so one feature after the other is the same."""
    counts, means, variances = scaler.counts, scaler.means, scaler.vars

    def scale(x: Features) -> Features:
        scaled = {}
        for name, value in x.items():
            count = counts[name] + 1
            counts[name] = count
            mean = means[name]
            above_old = value - mean
            mean += above_old / count
            means[name] = mean
            above_new = value - mean
            variance = variances[name]
            variance += (above_old * above_new - variance) / count
            variances[name] = variance
            scaled[name] = above_new / variance**0.5 if variance else 0.0
        return scaled

    return scale


def _descend(final: Any) -> Learn | None:
    """``GLM.learn_one`` for plain gradient descent from zero without penalties; None for every other case.

    There the gradient has the keys of ``x`` and no other, so River's view of the weights that hides all other keys changes
    nothing, and weights that are missing start at zero with and without it.
    """
    if type(final) not in {linear_model.LogisticRegression, linear_model.LinearRegression} or _patched(final):
        return None
    optimizer = final.optimizer
    if (
        final.l1
        or final.l2
        or type(optimizer) is not optim.SGD
        or type(final.initializer) is not optim.initializers.Zeros
    ):
        return None
    weights = final._weights  # noqa: SLF001
    dot, subtract, scaled = weights.dot, weights.isub_scaled, VectorDict.from_scaled
    slope, clip = final.loss.gradient, final.clip_gradient
    intercept_rate, rate = final.intercept_lr.get, optimizer.lr.get

    def descend(x: Features, y: Any) -> None:
        gradient = slope(y_true=y, y_pred=dot(x) + final.intercept)
        gradient = float(max(min(gradient, clip), -clip))
        iteration = optimizer.n_iterations
        final.intercept -= intercept_rate(iteration) * gradient
        subtract(scaled(x, gradient), rate(iteration))
        optimizer.n_iterations = iteration + 1

    return descend
