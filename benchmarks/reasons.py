"""What reasons cost: the fold's processor time an event with `predictions: {reasons: 3}`, against the same fold without.

One process, no log and no store, batches of 500, both folds in turns over the same events, so that neighbours on the machine
cost both the same. Forests are small and see fewer events: their explanation is hundreds of predictions.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from benchmarks import feed, folds
from benchmarks.bench import Bench, Figure, median

NAMES = ("reasons",)
SIZE = 500
FOREST: dict[str, Any] = {"n_models": 10, "seed": 1}


class Contestant(NamedTuple):
    """A learner and how many events it is timed on."""

    name: str
    learner: Any
    events: int


CONTESTANTS = (
    Contestant("River, linear (exact)", feed.RIVER, 20_000),
    Contestant("compiled, linear (exact)", feed.COMPILED, 40_000),
    Contestant(
        "forest of 10, leaf_prediction: mc (tree path)",
        {"river.forest.ARFClassifier": {**FOREST, "leaf_prediction": "mc"}},
        1_500,
    ),
    Contestant("forest of 10, default (sampling)", {"river.forest.ARFClassifier": FOREST}, 500),
)


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    share = 10 if bench.quick else 1
    found: dict[str, list[float]] = bench.child("benchmarks.reasons", str(share))
    return [
        Figure("reasons", name, f"{without:.1f} µs an event without, {with_them:.1f} with: {with_them / without:.2f} times")
        for name, (without, with_them) in found.items()
    ]  # fmt: skip


def measure(one: Contestant, share: int) -> list[float]:
    """Microseconds an event without and with, medians over the batches of both halves; the first half warms up."""
    pair = [folds.fold(one.learner, predictions={"reasons": count}) for count in (0, 3)]
    spent: list[list[float]] = [[], []]
    for lines in _cut(feed.lines(2 * max(one.events // share, SIZE)), SIZE):
        for fold, own in zip(pair, spent, strict=True):
            (batch,) = folds.batches(fold, lines, SIZE)
            begun = time.process_time()
            fold.step(batch)
            own.append((time.process_time() - begun) / SIZE * 1e6)
    return [median(own[len(own) // 2 :]) for own in spent]


def _cut(lines: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while part := list(islice(lines, size)):
        yield part


if __name__ == "__main__":
    print(json.dumps({one.name: measure(one, int(sys.argv[1])) for one in CONTESTANTS}))
