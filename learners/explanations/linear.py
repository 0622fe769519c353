"""Linear models of River: a feature adds its weight times its value, exactly. On the scale of the sum, not of the score.

Transformers before the model are followed (chains.py): the value is the scaled one, the name the raw feature's. The
intercept is the base. So a feature at its running mean adds nothing behind a ``StandardScaler``.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from river import linear_model
from river.optim import losses
from river.utils.math import dot

from learners.explanations.base import Explanation, Scale
from learners.explanations.chains import Features, can_follow, follow, keeps_names, split

Explain: TypeAlias = Callable[[Features], Explanation | None]

_GENERALISED = {linear_model.LogisticRegression, linear_model.LinearRegression, linear_model.Perceptron}
_PASSIVE_AGGRESSIVE: Mapping[object, Scale] = {linear_model.PAClassifier: "log_odds", linear_model.PARegressor: "value"}
_MEANS: Mapping[object, Scale] = {
    losses.BinaryLoss.mean_func: "log_odds",
    losses.RegressionLoss.mean_func: "value",
    losses.Poisson.mean_func: "log",
}


def linear(model: Any) -> Explain | None:
    """The explanation of a row by a chain that ends in a linear model; None when it does not, or cannot be followed."""
    steps, final = split(model)
    scale = _scale(final)
    if (
        scale is None
        or not can_follow(steps)
        or not vars(final).keys().isdisjoint({"predict_one", "predict_proba_one"})
    ):
        return None

    keeps = keeps_names(steps)

    def explain(x: Features) -> Explanation | None:
        if keeps:
            z = x
            for step in steps:
                z = step.transform_one(z)
            get, intercept, value = _parameters(final, z)
            contributions = {name: get(name, 0.0) * z[name] if name in z else 0.0 for name in x}
            return Explanation("linear", scale, float(value), float(intercept), contributions)
        return by_origins(x)

    def by_origins(x: Features) -> Explanation | None:
        came = follow(steps, x)
        if came is None:
            return None
        z, origins = came
        get, intercept, value = _parameters(final, z)
        contributions = dict.fromkeys(x, 0.0)
        for name, number in z.items():
            if name in origins:
                contributions[origins[name]] += get(name, 0.0) * number
            elif number:
                return None  # it came of nothing that is known: no zero of a one-hot encoder
        return Explanation("linear", scale, float(value), float(intercept), contributions)

    return explain


def _scale(final: Any) -> Scale | None:
    kind = type(final)
    if kind in _GENERALISED:
        return _MEANS.get(type(final.loss).mean_func)
    if kind is linear_model.ALMAClassifier:
        return "log_odds"
    return _PASSIVE_AGGRESSIVE.get(kind)


def _parameters(final: Any, z: Features) -> tuple[Callable[[str, float], float], float, float]:
    """How a weight is asked for, the intercept, and the model's own sum."""
    if type(final) in _GENERALISED:
        return final._weights.get, final.intercept, final._raw_dot_one(z)  # noqa: SLF001
    if type(final) is linear_model.ALMAClassifier:
        return final.w.get, 0.0, dot(z, final.w)
    return final.weights.get, final.intercept, dot(z, final.weights) + final.intercept
