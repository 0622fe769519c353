"""What windows per key cost: beside River's ``TimeRolling``, with many keys, in memory and in a checkpoint.

One process, no log and no store, batches of 500, contestants in turns over the same events, processor time. The feed is that
of the fraud data in its proportions: 9,600 payments a day of 5,000 cards at 10,000 terminals.
"""

import json
import pickle
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import folds
from benchmarks.bench import Bench, Figure, judged, median
from learners.base import EVENT, Program
from learners.features.windows import Windows
from learners.rows import Feature, Frame, Layout

NAMES = ("windows", "windows at a million keys", "windows' checkpoint")
SIZE = 500
DAY_MS = 86_400_000
OVER = {"1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
LAYOUT = Layout(
    (Feature("amount", "number"), Feature("card", "key", hidden=True), Feature("terminal", "key", hidden=True))
)
MEAN_GAP_MS = DAY_MS // 9_600
KEYS = (10_000, 1_000_000)
BYTES_GOAL, STEP_GOAL, RIVER_GOAL = 0.03, 1.3, 1 / 8


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:
    told: dict[str, Any] = bench.child("benchmarks.windows", "20" if bench.quick else "1", *wanted)
    figures = []
    if "windows" in told:
        river, own = told["windows"]
        text = f"{own:.2f} µs an event, TimeRolling {river:.1f}: 1/{river / own:.0f}"
        what = "count and mean, 3 spans and 2 keys, exact ÷ River's TimeRolling"
        figures.append(judged("windows", what, own / river, RIVER_GOAL, "at most", text=text))
    if "windows at a million keys" in told:
        few, many, size = told["windows at a million keys"]
        text = f"{many / few:.2f}: {many:.1f} µs an event, {few:.1f} with {KEYS[0]:,} keys"
        what = f"the whole step, of CPU, {KEYS[1]:,} keys ÷ {KEYS[0]:,}"
        figures.append(judged("windows at a million keys", what, many / few, STEP_GOAL, "at most", text=text))
        figures.append(
            Figure("windows at a million keys", "memory, count and mean over 3 spans", f"{size:.0f} bytes a key")
        )
    if "windows' checkpoint" in told:
        share, full = told["windows' checkpoint"]
        text = f"{100 * share:.1f} % of {full / 2**20:.0f} MiB"
        what = "bytes, 1 % of 200,000 keys changed ÷ all"
        figures.append(judged("windows' checkpoint", what, share, BYTES_GOAL, "at most", text=text))
    return figures


def feed(events: int, cards: int, terminals: int, seed: int = 0) -> tuple[NDArray[np.int64], list[Any]]:
    """Times and rows."""
    draw = np.random.default_rng(seed)
    times = np.cumsum(draw.integers(1, 2 * MEAN_GAP_MS, events)) + 1_522_540_800_000
    amounts = np.round(draw.exponential(50.0, events), 2).tolist()
    keys = zip(draw.integers(0, cards, events).tolist(), draw.integers(0, terminals, events).tolist(), strict=True)
    return times, [(amount, f"c{card}", f"t{terminal}") for amount, (card, terminal) in zip(amounts, keys, strict=True)]


def program(times: NDArray[np.int64]) -> Program:
    size, unknown = len(times), np.full(len(times), np.nan)
    return Program(
        np.full(size, EVENT, np.uint8), np.arange(size, dtype=np.int32), times, unknown, unknown, np.ones(size), ()
    )


def see(stages: Sequence[Windows], times: NDArray[np.int64], rows: Sequence[Any], size: int = SIZE) -> None:
    for start in range(0, len(rows), size):
        frame = Frame(LAYOUT, rows[start : start + size], lambda s=start: times[s : s + size])  # type: ignore[misc]
        batch = program(times[start : start + size])
        for stage in stages:
            stage.run(batch, frame)


def against_river(share: int) -> tuple[float, float]:
    """Microseconds an event: River's, ours; medians of eight turns, the first half of the events before."""
    from river.stats import Mean  # noqa: PLC0415
    from river.utils import TimeRolling  # noqa: PLC0415

    times, rows = feed(80_000 // share, 5_000, 10_000)
    ours = [Windows([by], "amount", ["count", "mean"], OVER) for by in ("card", "terminal")]
    theirs: dict[tuple[int, str, str], Any] = {}
    moments = [datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None) for ms in times.tolist()]

    def rivers(start: int, stop: int) -> None:
        for (amount, *keys), moment in zip(rows[start:stop], moments[start:stop], strict=True):
            for place, key in enumerate(keys):
                for name, span_ms in OVER.items():
                    window = theirs.get((place, key, name))
                    if window is None:
                        period = timedelta(milliseconds=span_ms)
                        window = theirs[place, key, name] = TimeRolling(Mean, period=period)
                    window.update(amount, t=moment)
                    window.get()  # the mean; its n is the count

    half, spent = len(rows) // 2, ([], [])  # type: tuple[int, tuple[list[float], list[float]]]
    see(ours, times[:half], rows[:half])
    rivers(0, half)
    edges = np.linspace(half, len(rows), 9).astype(int).tolist()
    for start, stop in pairwise(edges):
        for own, work in zip(spent, (rivers, lambda a, b: see(ours, times[a:b], rows[a:b])), strict=True):
            begun = time.process_time()
            work(start, stop)
            own.append((time.process_time() - begun) / (stop - start) * 1e6)
    return median(spent[0]), median(spent[1])


def many_keys(share: int) -> tuple[float, float, float]:
    """Microseconds of the whole step with few and with many keys, and bytes a key where there are many."""
    sections = {
        "events": {"topic": "events", "id": "id", "key": "card", "time": "time", "features": ["amount"]},
        "features": [{"window": {"by": "card", "of": "amount", "compute": ["count", "mean"], "over": list(OVER)}}],
    }
    spent, size = [], 0.0
    pairs = []
    for keys in (KEYS[0], KEYS[1] // share):
        own = folds.fold(None, **sections)
        (stage,) = own.state.features
        assert isinstance(stage, Windows)
        times = np.full(keys, 1_522_540_800_000)
        see([stage], times, [(1.0, f"c{key}", "") for key in range(keys)], 10_000)
        size = (stage.nbytes() + sys.getsizeof(stage._slots) + sys.getsizeof(stage._keys) + 50 * keys) / keys
        pairs.append((own, keys))
    events = 30_000 // share
    draw = np.random.default_rng(1)
    for own, keys in pairs:
        lines = [
            json.dumps(
                {"id": f"{n}", "card": f"c{key}", "time": 1_522_540_800_000 + n, "amount": 1.5, "label": n % 7 == 0}
            ).encode()
            for n, key in enumerate(draw.integers(0, keys, events).tolist())
        ]
        spent.append([])
        for batch in folds.batches(own, lines, SIZE):
            begun = time.process_time()
            own.step(batch)
            spent[-1].append((time.process_time() - begun) / SIZE * 1e6)
    few, many = (median(own[len(own) // 3 :]) for own in spent)
    return few, many, size


def checkpoint(share: int) -> tuple[float, float]:
    """Share of the bytes that 1 % of changed keys cost, in the long run, and the bytes of all."""
    keys = 200_000 // share
    stage = Windows(["card"], "amount", ["count", "mean"], OVER)
    draw = np.random.default_rng(2)
    see([stage], np.zeros(keys, np.int64), [(1.0, f"c{key}", "") for key in range(keys)], 10_000)
    stage.stamp(1)
    shares, full = [], 0.0
    for turn in range(2, 202):
        chosen = draw.choice(keys, keys // 100, replace=False).tolist()
        see([stage], np.full(len(chosen), turn), [(1.0, f"c{key}", "") for key in chosen], 2_000)
        stage.stamp(turn)
        if turn % 20 < 3:
            full, changed = (
                float(sum(len(pickle.dumps(one)) for _, one in stage.dump(since))) for since in (-1, turn - 1)
            )
            shares.append(changed / full)
    return float(np.mean(shares)), full


if __name__ == "__main__":
    MEASURES = dict(zip(NAMES, (against_river, many_keys, checkpoint), strict=True))
    print(json.dumps({name: MEASURES[name](int(sys.argv[1])) for name in sys.argv[2:]}))
