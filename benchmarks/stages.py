"""Where the fold's time goes, an event: each function of the step is timed where its caller looks it up.

It is processor time of the thread, so neighbours on the machine do not count. One process, no log and no store: what the
worker adds to this (poll, produce, commit, checkpoints) is in the worker's own line. The bare loop runs in the same
process, in turns, for comparison.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks import folds, loops
from benchmarks.bench import Bench, Figure, median
from stream.runtime.merge import Merge
from stream.transport.base import Fetched

NAMES = ("stages",)
SIZE = 5000
TIMED = (
    # what it is called in the report, where its caller finds it
    ("decode: parse and check", "stream.codec.sift"),
    ("order: spans and CRC", "stream.runtime.merge.span_of"),
    ("join: arrange", "stream.pipeline.join.Join.arrange"),
    ("join: program to arrays", "stream.pipeline.batch.Draft.program"),
    ("learn: dicts", "learners.rows.Layout.dicts"),
    ("learn: predict and learn", "stream.pipeline.step.run"),
    ("watch: ADWIN", "stream.pipeline.step.watch"),
    ("metrics and coverage", "stream.pipeline.step._measure"),
    ("emit: encode", "stream.pipeline.emit.encode_predictions"),
    ("emit: columns", "stream.pipeline.step.emit"),
    ("join: keep", "stream.pipeline.join.Join.keep"),
)
INSIDE = {
    "join: program to arrays": "join: arrange",
    "learn: dicts": "learn: predict and learn",
    "emit: encode": "emit: columns",
}
"""Timed within another, whose own time is told without it."""


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    count = 10_000 if bench.quick else 50_000
    file = str(bench.events_file(count))
    found: dict[str, float] = bench.child("benchmarks.stages", file, str(bench.rounds))
    return [Figure("stages", name, f"{us:.2f} µs an event") for name, us in found.items()]


def measure(file: str, rounds: int) -> dict[str, float]:
    """Microseconds an event, medians of some rounds."""
    with open(file, "rb") as lines:  # noqa: PTH123 - one line
        values = [line[:-1] for line in lines]
    told: dict[str, list[float]] = {}
    for _ in range(rounds):
        bare = loops.bare(file, loops.model())
        told.setdefault("bare loop", []).append(bare["cpu_s"] / bare["events"] * 1e6)
        for name, us in _one_round(values).items():
            told.setdefault(name, []).append(us)
    return {name: median(found) for name, found in told.items()}


def _one_round(values: list[bytes]) -> dict[str, float]:
    own = folds.fold()
    merge = Merge(own, (0,), 4 * SIZE)
    spent: dict[str, float] = {name: 0.0 for name, _ in TIMED}
    with ExitStack() as stack:
        for name, target in TIMED:
            stack.enter_context(_timed(spent, name, target))
        begun = time.thread_time()
        for records in folds.raw(values, SIZE):
            merge.add(Fetched((records,), (False,)))
            taken = merge.take(SIZE)
            assert taken is not None
            own.step(taken.batch)
        total = time.thread_time() - begun
    for name, around in INSIDE.items():
        spent[around] -= spent[name]
    rest = total - sum(spent.values())
    return {
        name: seconds / len(values) * 1e6
        for name, seconds in {**spent, "the rest": rest, "the fold in all": total}.items()
    }


@contextmanager
def _timed(spent: dict[str, float], name: str, target: str) -> Iterator[None]:
    """While entered, calls of ``target`` add to what was spent."""
    owner, _, attribute = target.rpartition(".")
    found: Any = _resolve(owner)
    original: Callable[..., Any] = getattr(found, attribute)

    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.thread_time()
        try:
            return original(*arguments, **named)
        finally:
            spent[name] += time.thread_time() - begun

    with patch.object(found, attribute, timed):
        yield


def _resolve(path: str) -> Any:
    """A module, or a class in one."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
