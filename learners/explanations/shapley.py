"""Shapley values by sampling: the general explanation, for any learner, by asking it about mixed rows.

Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions" (2014),
algorithm 1: features are switched one after the other, in a random order, from a background row's values to the row's own;
what the score changes by is that feature's. Here each order is also taken in reverse over the same background row
(antithetic: Mitchell, Cooper, Frank, Holmes, "Sampling Permutations for Shapley Value Estimation", 2022). Each order's
differences add up to the score less the background row's score, so the base is the mean of those: additive whatever the
number of samples. A feature that the score does not depend on gets exactly nothing.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from learners.base import Learner, Problem, Value
from learners.explanations.aside import asked
from learners.explanations.base import Explanation, Scale

Features = dict[str, Value]

_SCALES: dict[Problem, Scale] = {
    "binary": "probability", "multiclass": "probability", "regression": "value", "anomaly": "score",
}  # fmt: skip


def shapley(
    learner: Learner,
    names: tuple[str, ...],
    x: Features,
    background: Sequence[Features],
    *,
    problem: Problem,
    seed: int,
    pairs: int,
    classes: Sequence[str] = (),
) -> Explanation | None:
    """Estimate the contributions to a row's score; of several classes, to the likeliest one's.

    Parameters
    ----------
    names
        Features in the configured order; empty when they are open.
    background
        Rows to compare with. Without any the row is compared with itself, and nothing contributes.
    seed
        Of the orders and of which background rows are taken.
    pairs
        Orders; each is taken twice, forward and backward. The cost is ``2 * len(x) * pairs`` predictions at most.

    Returns
    -------
    Explanation or None
        None when a score is not finite.
    """
    draw = np.random.default_rng(seed)
    chosen = [background[index] for index in draw.permutation(len(background))[:pairs].tolist()] or [x]
    players = list(dict.fromkeys([*x, *(name for z in chosen for name in z)]))
    if names:
        players = [name for name in names if name in players]
    rows: list[Features] = [x]
    walks: list[tuple[int, list[str]]] = []
    for pair in range(pairs if len(chosen) > 1 or chosen[0] is not x else 1):
        z = chosen[pair % len(chosen)]
        different = [name for name in players if z.get(name) != x.get(name)]
        order = [different[index] for index in draw.permutation(len(different)).tolist()]
        for way in (order, order[::-1]):
            walks.append((len(rows), way))
            rows += _walk(players, x, z, way)
    scores = asked(learner, names, rows, classes)
    values = scores[:, _likeliest(scores[0])]
    if not np.isfinite(values).all():
        return None
    return _explanation(_SCALES[problem], players, values.tolist(), walks)


def _walk(players: Sequence[str], x: Features, z: Features, way: Sequence[str]) -> list[Features]:
    """The background row, then one feature after the other of the row's own; the row itself is left out."""
    current, rows = z, []
    for name in way:
        rows.append(current)
        if name in x and name in current:
            current = {**current, name: x[name]}
        else:  # it comes or goes: the order of the features stays
            mixed = {**current, name: x[name]} if name in x else {n: v for n, v in current.items() if n != name}
            current = {player: mixed[player] for player in players if player in mixed}
    return rows


def _likeliest(scores: NDArray[np.float64]) -> int:
    """The column with the largest score; NaN is a class that the model does not know yet."""
    return int(np.where(np.isnan(scores), -np.inf, scores).argmax())


def _explanation(
    of: Scale, players: Sequence[str], values: Sequence[float], walks: Sequence[tuple[int, Sequence[str]]]
) -> Explanation:
    own, base = values[0], 0.0
    contributions = dict.fromkeys(players, 0.0)
    for start, way in walks:
        reached = [*islice(values, start, start + len(way)), own]
        base += reached[0]
        for name, before, after in zip(way, reached, reached[1:], strict=False):
            contributions[name] += after - before
    count = len(walks)
    return Explanation(
        "shapley_sampling", of, own, base / count, {name: total / count for name, total in contributions.items()}
    )
