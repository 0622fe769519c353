"""Hoeffding trees and adaptive random forests: what each split on the way to the leaf changes, exactly.

Saabas, "Interpreting random forests" (2014, the package treeinterpreter): a node's value is what the events in it say; a
split moves the value from the node's to the child's, and that is the contribution of the feature that it asks about. The
root is the base. Here a node's value is made of the *leaves below it as they stand now*: River keeps at a node only what
stood there when it split, which a drifting stream has left behind. A forest is its members' sum, each by its vote.

Only for leaves that answer their counts (`leaf_prediction: mc`, for values `mean`): what a naive Bayes or a linear model in
a leaf adds is no split's, so for such trees, and all others, there is no exact way here. The cost is a walk over all leaves,
about a microsecond each.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from river import forest, tree
from river.forest.adaptive_random_forest import BaseTreeClassifier, BaseTreeRegressor
from river.tree.base import Leaf

from learners.explanations.base import Explanation
from learners.explanations.chains import Features, keeps_names, split

Explain: TypeAlias = Callable[[Features], Explanation | None]

_CLASSIFIERS = {tree.HoeffdingTreeClassifier, BaseTreeClassifier}
_REGRESSORS = {tree.HoeffdingTreeRegressor, BaseTreeRegressor}


class Vote(NamedTuple):
    """A tree, and its weight in the answer."""

    member: Any
    weight: float


class Walk(NamedTuple):
    """From a tree's root to the leaf of one row."""

    root: float
    """The root's value."""
    moves: list[tuple[str, float]]
    """Of each split on the way, its feature and what it changes."""
    holds: float
    """How much the leaf has seen."""


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
        walks = [(_walk(member._root, z), weight) for member, weight in votes(final)]  # noqa: SLF001
        # as ARFClassifier: a member whose leaf holds nothing has no vote; regressors' votes are shares already
        whole = 1.0 if is_value else sum(weight for walk, weight in walks if walk.holds)
        base = 0.0
        contributions = dict.fromkeys(x, 0.0)
        for walk, weight in walks:
            if is_value or walk.holds:
                base += weight / whole * walk.root
                for feature, move in walk.moves:
                    contributions[feature] = contributions.get(feature, 0.0) + weight / whole * move
        return Explanation("tree_path", "value" if is_value else "probability", float(value), base, contributions)

    return explain


def _walk(root: Any, x: Features) -> Walk:
    """As ``Branch.walk`` goes."""
    if root is None:
        return Walk(0.0, [], 0.0)
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
    pools = _pools(trail)
    moves = [
        (feature, there.value - here.value) for feature, (here, there) in zip(features, pairwise(pools), strict=True)
    ]
    return Walk(pools[0].value, moves, pools[-1].weight)


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
    open_nodes = [node]
    while open_nodes:
        node = open_nodes.pop()
        if (children := getattr(node, "children", None)) is not None:
            open_nodes += children
        elif isinstance(stats := node.stats, dict):
            total += stats.get(True, 0.0)
            weight += sum(stats.values())
        else:
            total += stats.mean.get() * stats.mean.n
            weight += stats.mean.n
    return Pool(total, weight)


def _alone(final: Any) -> list[Vote]:
    return [Vote(final, 1.0)]


def _of_classes(final: forest.ARFClassifier) -> list[Vote]:
    """As ``ARFClassifier.predict_proba_one``: by each member's metric."""
    metrics = [metric.get() for metric in final._metrics]  # noqa: SLF001
    return [
        Vote(member, metric if metric > 0.0 and not final.disable_weighted_vote else 1.0)
        for member, metric in zip(final, metrics, strict=False)
    ]


def _of_values(final: forest.ARFRegressor) -> list[Vote]:
    """As ``ARFRegressor.predict_one``, which divides weighted answers by the number of members again (River 0.26)."""
    count = len(final)
    errors = [metric.get() for metric in final._metrics] if count else []  # noqa: SLF001
    whole = sum(errors)
    if final.disable_weighted_vote or whole == 0:
        return [Vote(member, 1.0 / count) for member in final]
    spread = sum(whole - error for error in errors)
    return [Vote(member, (whole - error) / spread / count) for member, error in zip(final, errors, strict=True)]


_VOTES: dict[type, Callable[[Any], list[Vote]]] = {
    **dict.fromkeys(_CLASSIFIERS | _REGRESSORS, _alone),
    forest.ARFClassifier: _of_classes,
    forest.ARFRegressor: _of_values,
}
