"""A row through River's transformers, and from which raw feature each value behind them came.

Where every value comes of one feature alone (scalers, one-hot encoding, selection, unions of those) what a model says of its
own inputs can be said of the raw features. Where features meet (products, projections, hashing, norms) it cannot: None.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from river import compose, imblearn, preprocessing
from river.imblearn.random import ClassificationSampler

from learners.imbalance import ClassWeight

Features: TypeAlias = dict[str, Any]
Origins: TypeAlias = dict[str, str]
"""Of each value's name, the raw feature that it came of."""

# These give a value the name of the feature that it came of, and look at no other.
_EACH_ALONE = frozenset(
    {
        preprocessing.AdaptiveStandardScaler,
        preprocessing.Binarizer,
        preprocessing.MaxAbsScaler,
        preprocessing.MinMaxScaler,
        preprocessing.PreviousImputer,
        preprocessing.RobustScaler,
        preprocessing.StandardScaler,
        preprocessing.StatImputer,
        compose.Discard,
        compose.Select,
        compose.SelectType,
    }
)


_ANSWER_AS_INSIDE = (ClassWeight, ClassificationSampler, imblearn.HardSamplingClassifier)
"""Wrappers that change what is learned, and not what is said of it."""


def split(model: Any) -> tuple[list[Any], Any]:
    """The transformers of a chain, and its estimator; chains within chains are opened, and wrappers that answer as these do."""
    if issubclass(type(model), _ANSWER_AS_INSIDE):  # River's chains are instances of what they end in
        return split(model._wrapped_model)  # noqa: SLF001
    if not isinstance(model, compose.Pipeline):
        return [], model
    *before, last = model.steps.values()
    inner, final = split(last)
    return [*before, *inner], final


def keeps_names(steps: Sequence[Any]) -> bool:
    """Whether behind these transformers every value still has the name of the one feature that it comes of."""
    return all(type(step) in _EACH_ALONE and "transform_one" not in vars(step) for step in steps)


def can_follow(steps: Sequence[Any]) -> bool:
    """Whether each value behind these transformers comes of one feature alone (but for names that collide)."""
    return all(_can_follow(step) for step in steps)


def _can_follow(step: Any) -> bool:
    if isinstance(step, compose.Pipeline):
        return can_follow(list(step.steps.values()))
    if isinstance(step, compose.TransformerUnion):
        return can_follow(list(step.transformers.values()))
    return (type(step) in _EACH_ALONE or type(step) is preprocessing.OneHotEncoder) and "transform_one" not in vars(
        step
    )


def follow(steps: Sequence[Any], x: Features) -> tuple[Features, Origins] | None:
    """The row behind the transformers (as ``transform_one`` gives it, in its order), and its origins.

    A one-hot encoder's zeros have no origin. None when two features meet under one name.
    """
    origins = {name: name for name in x}
    for step in steps:
        came = _follow_one(step, x, origins)
        if came is None:
            return None
        x, origins = came
    return x, origins


def _follow_one(step: Any, x: Features, origins: Origins) -> tuple[Features, Origins] | None:
    if isinstance(step, compose.Pipeline):
        for inner in step.steps.values():
            came = _follow_one(inner, x, origins)
            if came is None:
                return None
            x, origins = came
        return x, origins
    if isinstance(step, compose.TransformerUnion):
        return _follow_union(step, x, origins)
    if type(step) is preprocessing.OneHotEncoder:
        return _follow_one_hot(step, x, origins)
    return step.transform_one(x), origins


def _follow_union(step: Any, x: Features, origins: Origins) -> tuple[Features, Origins] | None:
    """As ``TransformerUnion.transform_one``: from the last to the first, and a name that is there twice is the first's."""
    joined: Features = {}
    joined_origins: Origins = {}
    for transformer in reversed(step.transformers.values()):
        came = _follow_one(transformer, x, origins)
        if came is None or any(joined_origins.get(name, came[1].get(name)) != came[1].get(name) for name in came[0]):
            return None
        joined |= came[0]
        joined_origins |= {name: came[1][name] for name in came[0] if name in came[1]}
    return joined, joined_origins


def _follow_one_hot(step: Any, x: Features, origins: Origins) -> tuple[Features, Origins] | None:
    encoded = step.transform_one(x)
    named: Origins = {}
    for name, value in x.items():
        if named.setdefault(f"{name}_{value}", origins[name]) != origins[name]:
            return None
    return encoded, named
