"""Resident memory of the worker over a million events whose wait is bounded: flat from 200,000 on.

Events are a tenth of a second apart, labels come after half an hour of event time (18,000 events wait) and ids are
remembered for two hours (72,000): all of it is full long before the first look.
"""

import time
from collections.abc import Sequence

from benchmarks import feed, service
from benchmarks.bench import Bench, Figure, judged
from benchmarks.machine import rss_mb
from stream.transport.ledger import Journal

NAMES = ("memory",)
FEATURES = 5
GROWTH_MAX = 0.05


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    count, early = (150_000, 100_000) if bench.quick else (1_000_000, 200_000)
    events = feed.write_lines(bench.directory / "memory.jsonl", count, features=FEATURES, step_ms=100)
    name = bench.new_name("memory")
    told = feed.config(
        name, features=FEATURES, source={"file": events.name}, out=f"{name}-out",
        checkpoints={"store": "embedded", "every": "10_000 events"},
    )  # fmt: skip
    told["labels"] = {"field": "label", "delay": "30m", "wait": "1h", "park": "1h"}
    seen = _watch(bench, told, count)
    at_early = next(mb for position, mb in seen if position >= early)
    last, largest = seen[-1][1], max(mb for position, mb in seen if position >= early)
    growth = last / at_early - 1.0
    text = f"{at_early:.0f} MB at {early:,}, {last:.0f} MB at {seen[-1][0]:,}, largest {largest:.0f} MB: {growth:+.1%}"
    what = f"resident memory over {count:,} events (files), growth"
    return [judged("memory", what, growth * 100, GROWTH_MAX * 100, "at most", text=text, unit=" %")]


def _watch(bench: Bench, told: dict[str, object], count: int) -> list[tuple[int, float]]:
    """(events applied, MB) as it goes. The last look is at the last batch but one: the process ends by itself."""
    journal = Journal(bench.directory / str(told["out"]))
    seen: list[tuple[int, float]] = []
    deadline = time.monotonic() + service.PATIENCE_S
    with service.running(bench, told) as worker:
        position = 0
        while position < count:
            time.sleep(0.02)
            worker.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{position} of {count} events; see {worker.output}")
            resident = rss_mb(worker.process.pid)
            journal.scan()
            position = journal.place.positions[0] if journal.place and journal.place.positions else 0
            if position and resident and (not seen or seen[-1][0] < position):
                seen.append((position, resident))
    return seen
