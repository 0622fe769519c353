"""Hoeffding trees and adaptive random forests: what each split on the way to the leaf changes, exactly.

Saabas, "Interpreting random forests" (2014, the package treeinterpreter): a node's value is what the events in it say; a
split moves the value from the node's to the child's, and that is the contribution of the feature that it asks about. The
root is the base. Here a node's value is made of the *leaves below it as they stand now*: River keeps at a node only what
stood there when it split, which a drifting stream has left behind. A forest is its members' sum, each by its vote.

Only for leaves that answer their counts (`leaf_prediction: mc`, for values `mean`): what a naive Bayes or a linear model in
a leaf adds is no split's, so for such trees, and all others, there is no exact way here. The cost is a walk over all leaves.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from river import forest, tree
from river.forest.adaptive_random_forest import BaseTreeClassifier, BaseTreeRegressor
from river.tree.base import Branch, Leaf

from learners.explanations.base import Explanation
from learners.explanations.chains import Features, keeps_names, split

Explain: TypeAlias = Callable[[Features], Explanation | None]

_CLASSIFIERS = {tree.HoeffdingTreeClassifier, BaseTreeClassifier}
_REGRESSORS = {tree.HoeffdingTreeRegressor, BaseTreeRegressor}


class Vote(NamedTuple):
    """A tree, and its share of the answer."""

    member: Any
    share: float


class Pool(NamedTuple):
    """What the leaves below a node hold together: ``total / weight`` is its value."""

    total: float
    weight: float

    @property
    def value(self) -> float:
        return self.total / self.weight if self.weight else 0.0


def tree_path(model: Any) -> Explain | None:
    """The explanation of a row by a chain that ends in such a tree or forest; None for every other."""
    steps, final = split(model)
    votes = _VOTES.get(type(final))
    if votes is None or final.leaf_prediction not in {"mc", "mean"} or not keeps_names(steps):
        return None
    is_value = type(final) in {*_REGRESSORS, forest.ARFRegressor}
    if type(final) is forest.ARFRegressor and final.aggregation_method != "mean":
        return None  # a median is no sum

    def explain(x: Features) -> Explanation:
        z = x
        for step in steps:
            z = step.transform_one(z)
        value = final.predict_one(z) if is_value else final.predict_proba_one(z).get(True, 0.0)
        base = 0.0
        contributions = dict.fromkeys(x, 0.0)
        for member, share in votes(final, z):
            root, moves = _walk(member._root, z)  # noqa: SLF001
            base += share * root
            for feature, move in moves:
                contributions[feature] = contributions.get(feature, 0.0) + share * move
        return Explanation("tree_path", "value" if is_value else "probability", float(value), base, contributions)

    return explain


def _walk(root: Any, x: Features) -> tuple[float, list[tuple[str, float]]]:
    """The root's value, and of each split on the way (as ``Branch.walk`` goes) its feature and what it changes."""
    if root is None:
        return 0.0, []
    node: Any = root
    features: list[str] = []
    trail = [root]
    while not isinstance(node, Leaf):
        features.append(node.feature)
        try:
            node = node.next(x)
        except KeyError:  # the feature is missing, or its value is new
            _, node = node.most_common_path()
        trail.append(node)
    values = [pool.value for pool in _pools(trail)]
    return values[0], [
        (feature, there - here) for feature, (here, there) in zip(features, pairwise(values), strict=True)
    ]


def _pools(trail: Sequence[Any]) -> list[Pool]:
    """Of each node on the way; each leaf of the tree is looked at once."""
    pools = [_pool(trail[-1])]
    for node, child in zip(reversed(trail[:-1]), reversed(trail), strict=False):
        beside = [_pool(other) for other in node.children if other is not child]
        pools.append(Pool(*(sum(column) for column in zip(pools[-1], *beside, strict=True))))
    return pools[::-1]


def _pool(node: Any) -> Pool:
    """Everything in the leaves of a subtree."""
    total = weight = 0.0
    for leaf in node.iter_leaves() if isinstance(node, Branch) else (node,):  # type: ignore[no-untyped-call]
        stats = leaf.stats
        if isinstance(stats, dict):
            total += stats.get(True, 0.0)
            weight += sum(stats.values())
        else:
            total += stats.mean.get() * stats.mean.n
            weight += stats.mean.n
    return Pool(total, weight)


def _alone(final: Any, z: Features) -> list[Vote]:  # noqa: ARG001
    return [Vote(final, 1.0)]


def _of_classes(final: forest.ARFClassifier, z: Features) -> list[Vote]:
    """As ``ARFClassifier.predict_proba_one``: by each member's metric; a member that knows nothing has no vote."""
    weights = []
    for place, member in enumerate(final):
        metric = final._metrics[place].get()  # noqa: SLF001
        knows = sum(member.predict_proba_one(z).values()) > 0.0
        is_weighted = metric > 0.0 and not final.disable_weighted_vote
        weights.append(0.0 if not knows else metric if is_weighted else 1.0)
    total = sum(weights)
    return [Vote(member, weight / total) for member, weight in zip(final, weights, strict=True) if weight]


def _of_values(final: forest.ARFRegressor, z: Features) -> list[Vote]:  # noqa: ARG001
    """As ``ARFRegressor.predict_one``, which divides weighted answers by the number of members again (River 0.26)."""
    count = len(final)
    errors = [metric.get() for metric in final._metrics] if count else []  # noqa: SLF001
    whole = sum(errors)
    if final.disable_weighted_vote or whole == 0:
        return [Vote(member, 1.0 / count) for member in final]
    spread = sum(whole - error for error in errors)
    return [Vote(member, (whole - error) / spread / count) for member, error in zip(final, errors, strict=True)]


_VOTES: dict[type, Callable[[Any, Features], list[Vote]]] = {
    **dict.fromkeys(_CLASSIFIERS | _REGRESSORS, _alone),
    forest.ARFClassifier: _of_classes,
    forest.ARFRegressor: _of_values,
}
