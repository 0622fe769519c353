"""The compiled half of boosting.py: a memory of labelled rows, trees over it, and the loop that runs a range.

Compiled by Numba when boosting.py runs its first range (jit.py). Sums run in the order of slots and nothing is fused, so the same
operations give the same bits. Nothing here knows how state becomes bytes.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.jit import compiled

EVENT: Final = 0
LABELS, POSITIVES, KEPT_POSITIVES, KEPT_NEGATIVES, GROWN, EDGED = range(6)
"""Places in ``State.counts``: labels, true ones, rows ever taken into each part of the memory, trees ever grown, features
whose edges were ever renewed."""
BASE: Final = 0
"""Place in ``State.numbers``: the log odds to which trees add."""
LEAF: Final = -1
CURVE_MIN: Final = 1e-6
"""Least second derivative of a row's loss: where the answer is sure, steps stay finite."""
SAMPLE: Final = 4096
"""Rows from which the edges of a feature's bins are found."""
SWEEP: Final = 16
"""Trees in which the edges of every feature are renewed once."""
WARM_POSITIVES: Final = 20
WARM_NEGATIVES: Final = 200
"""Rows in the memory before the first tree."""


class State(NamedTuple):
    """All that is learned. The first ``positives`` slots of the memory hold true labels, the others false ones."""

    feature: NDArray[np.int32]
    """``(trees, nodes)``: of an inner node its feature, else LEAF. Node i has children 2i + 1 and 2i + 2."""
    value: NDArray[np.float64]
    """``(trees, nodes)``: of an inner node the largest value that goes left, of a leaf what it adds to the log odds."""
    edges: NDArray[np.float64]
    """``(features, bins)``: bin b ends with ``edges[b]``."""
    edge_count: NDArray[np.int64]
    """``(features,)``"""
    rows: NDArray[np.float64]
    """``(slots, features)``"""
    binned: NDArray[np.uint8]
    """``(slots, features)``: the same in bins; one more than the edges is that of the largest, one more of missing values."""
    target: NDArray[np.float64]
    weight: NDArray[np.float64]
    """``(slots,)``: 0 where the slot is empty."""
    raw: NDArray[np.float64]
    """``(slots,)``: what the trees say of the row."""
    taken: NDArray[np.int64]
    """``(slots,)``: how many labels had come before it."""
    counts: NDArray[np.int64]
    numbers: NDArray[np.float64]
    random: NDArray[np.uint64]


class Settings(NamedTuple):
    """As boosting.py describes them."""

    every: int
    positives: int
    keep: float
    rate: float
    l2: float
    curve: float
    rows: float
    features: float


@compiled
def _draw(random: NDArray[np.uint64]) -> float:
    """Uniform in [0, 1): splitmix64 (Steele, Lea, Flood 2014, *Fast splittable pseudorandom number generators*)."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def _said(x: NDArray[np.float64], feature: NDArray[np.int32], value: NDArray[np.float64]) -> float:
    """What one tree adds. A missing value goes right."""
    node = 0
    while feature[node] != LEAF:
        node = 2 * node + 1 if x[feature[node]] <= value[node] else 2 * node + 2
    return float(value[node])


@compiled
def _raw(x: NDArray[np.float64], state: State) -> float:
    total = 0.0
    for tree in range(min(state.counts[GROWN], len(state.feature))):
        total += _said(x, state.feature[tree], state.value[tree])
    return total


@compiled
def _bin(x: float, edges: NDArray[np.float64], count: int) -> int:
    if np.isnan(x):
        return count + 1
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if x <= edges[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def bin_slots(state: State, feature: int) -> None:
    """Bin one feature of the whole memory."""
    edges, count = state.edges[feature], state.edge_count[feature]
    for slot in range(len(state.weight)):
        if state.weight[slot] > 0.0:
            state.binned[slot, feature] = _bin(state.rows[slot, feature], edges, count)


@compiled
def _renew_edges(state: State, feature: int) -> None:
    """Bins that hold as many rows each as equal values allow, or a bin a value where there are few."""
    used = np.flatnonzero(state.weight > 0.0)
    step = max(len(used) // SAMPLE, 1)
    found = np.sort(state.rows[used[::step], feature])
    while len(found) and np.isnan(found[-1]):  # sorted last
        found = found[:-1]
    edges, room, count, at, last = state.edges[feature], state.edges.shape[1], 0, 0, len(found) - 1
    distinct = 1 + np.count_nonzero(found[1:] != found[:-1]) if len(found) else 0
    while at < last and count < room:
        width = 1 if distinct <= room + 1 else max((last + 1 - at) // (room + 1 - count), 1)
        end = at + width - 1
        while end < last and found[end] == found[end + 1]:
            end += 1
        if end >= last:
            break
        edges[count] = 0.5 * (found[end] + found[end + 1])
        if not edges[count] < found[end + 1]:  # neighbours among floats
            edges[count] = found[end]
        count += 1
        at = end + 1
    state.edge_count[feature] = count
    bin_slots(state, feature)


@compiled
def _remember(x: NDArray[np.float64], target: float, weight: float, state: State, settings: Settings) -> None:
    """Into the memory, in place of the oldest of its kind. Of false labels a share, each for as many as were left out."""
    counts = state.counts
    if target == 1.0:
        slot = counts[KEPT_POSITIVES] % settings.positives
        counts[KEPT_POSITIVES] += 1
    else:
        if _draw(state.random) >= settings.keep:
            return
        slot = settings.positives + counts[KEPT_NEGATIVES] % (len(state.weight) - settings.positives)
        counts[KEPT_NEGATIVES] += 1
        weight /= settings.keep
    state.rows[slot] = x
    state.target[slot] = target
    state.weight[slot] = weight
    state.raw[slot] = _raw(x, state)
    state.taken[slot] = counts[LABELS]
    for feature in range(len(x)):
        state.binned[slot, feature] = _bin(x[feature], state.edges[feature], state.edge_count[feature])


@compiled
def _chosen(count: int, share: float, random: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A share of the features, at least one, in their order: Floyd's would be shorter, this is Knuth's algorithm S."""
    wanted = max(int(np.ceil(share * count)), 1)
    chosen, taken = np.empty(wanted, np.int64), 0
    for one in range(count):
        if taken < wanted and _draw(random) * (count - one) < wanted - taken:
            chosen[taken] = one
            taken += 1
    return chosen


@compiled
def _scales(state: State, positives: int) -> tuple[float, float]:
    """What rows of false and of true labels weigh, so that the memory has the stream's share of true ones though its two
    parts go back to different times.
    """
    counts = state.counts
    spans = np.array([counts[LABELS], counts[LABELS]])
    negatives = len(state.weight) - positives
    if counts[KEPT_NEGATIVES] > negatives:
        spans[0] -= state.taken[positives + counts[KEPT_NEGATIVES] % negatives]
    if counts[KEPT_POSITIVES] > positives:
        spans[1] -= state.taken[counts[KEPT_POSITIVES] % positives]
    shortest = min(spans[0], spans[1])
    return shortest / spans[0], shortest / spans[1]


@compiled
def _grow(tree: int, state: State, settings: Settings) -> None:
    """One tree in place of what was there, by the gradient of the log loss at what the others say: equations 3 to 7 of
    Chen and Guestrin (2016), over bins, level by level.
    """
    feature, value = state.feature[tree], state.value[tree]
    slots = len(state.weight)
    false_scale, true_scale = _scales(state, settings.positives)
    gradient, curve, node = np.zeros(slots), np.zeros(slots), np.full(slots, -1, np.int64)
    for slot in range(slots):
        if state.weight[slot] > 0.0:
            state.raw[slot] -= _said(state.rows[slot], feature, value)
            share = 1.0 / (1.0 + np.exp(-(state.raw[slot] + state.numbers[BASE])))
            weight = state.weight[slot] * (true_scale if state.target[slot] == 1.0 else false_scale)
            gradient[slot] = weight * (share - state.target[slot])
            curve[slot] = weight * max(share * (1.0 - share), CURVE_MIN)
            if _draw(state.random) < settings.rows:
                node[slot] = 0
    chosen = _chosen(len(state.edges), settings.features, state.random)
    bins = state.edges.shape[1] + 2
    feature[:] = LEAF
    value[:] = 0.0
    first, width = 0, 1
    while width > 0:
        deepest = first + width == len(feature)
        sums = np.zeros((width, 2))
        for slot in range(slots):
            if node[slot] >= 0:
                sums[node[slot] - first, 0] += gradient[slot]
                sums[node[slot] - first, 1] += curve[slot]
        place = np.zeros(width, np.int64)  # the bin after which a node is split
        if not deepest:
            cells = np.zeros((width, len(chosen), bins, 2))
            for slot in range(slots):
                if node[slot] >= 0:
                    own = cells[node[slot] - first]
                    for column in range(len(chosen)):
                        cell = own[column, state.binned[slot, chosen[column]]]
                        cell[0] += gradient[slot]
                        cell[1] += curve[slot]
            for one in range(width):
                gain = 1e-9
                for column in range(len(chosen)):
                    left_gradient, left_curve = 0.0, 0.0
                    for after in range(state.edge_count[chosen[column]]):
                        left_gradient += cells[one, column, after, 0]
                        left_curve += cells[one, column, after, 1]
                        right_gradient, right_curve = sums[one, 0] - left_gradient, sums[one, 1] - left_curve
                        if left_curve < settings.curve or right_curve < settings.curve:
                            continue
                        won = (
                            left_gradient**2 / (left_curve + settings.l2)
                            + right_gradient**2 / (right_curve + settings.l2)
                            - sums[one, 0] ** 2 / (sums[one, 1] + settings.l2)
                        )
                        if won > gain:
                            gain, place[one] = won, after
                            feature[first + one] = chosen[column]
                            value[first + one] = state.edges[chosen[column], after]
        for one in range(width):
            if feature[first + one] == LEAF and sums[one, 1] > 0.0:
                value[first + one] = -settings.rate * sums[one, 0] / (sums[one, 1] + settings.l2)
        going = False
        for slot in range(slots):
            at = node[slot]
            if at < 0:
                continue
            if feature[at] == LEAF:
                node[slot] = -1
            else:
                going = True
                left = state.binned[slot, feature[at]] <= place[at - first]
                node[slot] = 2 * at + 1 if left else 2 * at + 2
        first, width = 2 * first + 1, 2 * width if going else 0
    for slot in range(slots):
        if state.weight[slot] > 0.0:
            state.raw[slot] += _said(state.rows[slot], feature, value)


@compiled
def _learn(x: NDArray[np.float64], target: float, weight: float, state: State, settings: Settings) -> None:
    counts = state.counts
    counts[LABELS] += 1
    counts[POSITIVES] += target == 1.0
    if counts[GROWN] == 0:
        state.numbers[BASE] = np.log((counts[POSITIVES] + 0.5) / (counts[LABELS] - counts[POSITIVES] + 0.5))
    if weight > 0.0:
        _remember(x, target, weight, state, settings)
    if counts[LABELS] % settings.every:
        return
    if counts[KEPT_POSITIVES] < WARM_POSITIVES or counts[KEPT_NEGATIVES] < WARM_NEGATIVES:
        return
    features = len(state.edges)
    for _ in range(features if counts[GROWN] == 0 else -(-features // SWEEP)):
        _renew_edges(state, counts[EDGED] % features)
        counts[EDGED] += 1
    _grow(counts[GROWN] % len(state.feature), state, settings)
    counts[GROWN] += 1


@compiled
def fold(
    op: NDArray[np.uint8],
    row: NDArray[np.int32],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    matrix: NDArray[np.float64],
    scores: NDArray[np.float64],
    start: int,
    stop: int,
    learn: bool,
    state: State,
    settings: Settings,
) -> None:
    """Run operations ``[start, stop)``."""
    for operation in range(start, stop):
        x = matrix[row[operation]]
        if op[operation] == EVENT:
            scores[row[operation], 0] = 1.0 / (1.0 + np.exp(-(_raw(x, state) + state.numbers[BASE])))
        elif learn:
            _learn(x, target[operation], weight[operation], state, settings)
