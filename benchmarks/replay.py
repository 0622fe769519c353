"""What a backtest costs: against the bare loop of the same River model with the same delay over the same file, in processor time.

In a process each, in turns: a file decoded, scored and learned, and nothing else; and a backtest of it, from the first byte
to the report. Both have their libraries imported before the clock starts; the backtest by doing a small one first. The
fraud data lies beside the checkout (``shared/data``); without it a made-up file takes its place, and the figure says so.
``--jobs`` is measured on the clock on the wall, on all cores; beside it stands what the cores give to two bare loops at
that time, for where neighbours take from them that is less than two.
"""

import csv
import gzip
import json
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks import feed, loops
from benchmarks.bench import Bench, Figure, judged, median, spread
from benchmarks.machine import ROOT

DELAYED, WIDE, PAIR, JOBS = "replay delayed", "replay 20 features", "replay two at once", "replay in two processes"
NAMES = (DELAYED, WIDE, PAIR, JOBS)
DATA = ROOT.parent / "shared" / "data" / "fraud"
DELAY_S = 7 * 86_400
TREE: dict[str, Any] = {"river.tree.HoeffdingTreeClassifier": {}}
OVER_US_MAX, RATIO_MIN, TWICE_MAX, JOBS_MIN = 12.0, 0.75, 1.0, 1.7
PATIENCE_S = 1800.0


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:
    """Those of NAMES that are wanted."""
    figures: list[Figure] = []
    if DELAYED in wanted:
        figures += _delayed(bench)
    if {WIDE, PAIR, JOBS}.intersection(wanted):
        file = str(bench.events_file(10_000 if bench.quick else 300_000))
        if WIDE in wanted:
            figures += _wide(bench, file)
        if PAIR in wanted:
            figures += _pair(bench, file)
        if JOBS in wanted:
            figures += _jobs(bench, file)
    return figures


def _child(bench: Bench, *arguments: str) -> dict[str, float]:
    found: dict[str, float] = bench.child("benchmarks.replay", *arguments, patience_s=PATIENCE_S)
    bench.said(f"{' '.join(arguments[:1])}: {found['cpu_s'] / found['events'] * 1e6:.1f} µs of CPU an event")
    return found


def _us(found: dict[str, float]) -> float:
    return found["cpu_s"] / found["events"] * 1e6


def _delayed(bench: Bench) -> list[Figure]:
    files = sorted(DATA.glob("*.csv.gz")) if DATA.is_dir() else []
    whose = "the fraud data"
    if not files:
        files, whose = [_made_up(bench)], "a simulated feed, for shared/data is not there"
    if bench.quick:
        files = [_beginning(bench, files[0], 20_000)]
    names = [str(file) for file in files]
    over, bare, full = [], [], []
    events = 0.0
    for _ in range(bench.rounds if bench.quick else 1):  # a round is two minutes
        before, own, after = (_child(bench, kind, *names) for kind in ("bare", "fold", "bare"))
        alone = (_us(before) + _us(after)) / 2
        over.append(_us(own) - alone)
        bare.append(alone)
        full.append(_us(own))
        events = own["events"]
    text = f"{spread(over, 1)} µs more: {spread(full, 1)}, and {spread(bare, 1)} of the bare loop"
    what = f"of CPU an event above the bare loop, decode to report, {events:,.0f} events of {whose}, known after 7 days"
    return [judged(DELAYED, what, median(over), OVER_US_MAX, "at most", text=text, unit=" µs")]


def _wide(bench: Bench, file: str) -> list[Figure]:
    ratios = []
    for _ in range(bench.rounds):
        before, own, after = (
            _child(bench, "wide-bare", file),
            _child(bench, "wide", file),
            _child(bench, "wide-bare", file),
        )
        ratios.append((_us(before) + _us(after)) / 2 / _us(own))
    what = "÷ bare loop, events a second of CPU, decode to report"
    return [judged(WIDE, what, median(ratios), RATIO_MIN, "at least", text=spread(ratios))]


def _pair(bench: Bench, file: str) -> list[Figure]:
    ratios = []
    for _ in range(bench.rounds):
        one, two = _child(bench, "wide", file), _child(bench, "pair", file)
        ratios.append(two["cpu_s"] / one["cpu_s"] / 2)
    what = "of CPU, two configurations in one pass ÷ twice one"
    return [judged(PAIR, what, median(ratios), TWICE_MAX, "at most", text=spread(ratios))]


def _jobs(bench: Bench, file: str) -> list[Figure]:
    ratios, alone, bare = [], [], []
    for _ in range(bench.rounds):
        found: dict[str, float] = bench.child("benchmarks.replay", "jobs", file, patience_s=PATIENCE_S)
        ratios.append(found["one_s"] / found["two_s"])
        alone.append(found["one_cpu_s"] / found["two_cpu_s"])
        bare.append(2 * found["bare_one_s"] / found["bare_two_s"])
        bench.said(
            f"jobs: {found['one_s']:.1f} s with one process, {found['two_s']:.1f} s with two; bare loops: "
            f"{found['bare_one_s']:.1f} s for one, {found['bare_two_s']:.1f} s for two side by side"
        )
    what = "faster with two processes, two configurations with a tree each, by the clock"
    text = f"{spread(ratios)}; without neighbours, by CPU, {spread(alone)}; two bare loops side by side: {spread(bare)}"
    return [judged(JOBS, what, median(ratios), JOBS_MIN, "at least", text=text)]


def _made_up(bench: Bench) -> Path:
    """A file of the same shape."""
    path = bench.directory / "made-up.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n")
        for number, line in enumerate(feed.lines(863_006, features=1)):
            event = orjson.loads(line)
            at = datetime.fromtimestamp(feed.START_MS // 1000 + number * 9, UTC).strftime("%Y-%m-%d %H:%M:%S")
            file.write(
                f"{number},{at},{number % 5000},{number % 10_000},{abs(event['feature_0']) * 50:.2f},{event['label']}\n"
            )
    return path


def _beginning(bench: Bench, file: Path, count: int) -> Path:
    path = bench.directory / "beginning.csv.gz"
    with gzip.open(file, "rt") as whole, gzip.open(path, "wt", compresslevel=1) as part:
        for _, line in zip(range(count + 1), whole, strict=False):
            part.write(line)
    return path


# --- in a process of its own --------------------------------------------------------------------------------------


def bare(files: Sequence[str]) -> dict[str, float]:
    """Decode, reveal what is due, predict, wait. At the end all that waits is revealed, as the backtest does."""
    model, waiting, events = loops.model(), deque[tuple[float, dict[str, float], bool]](), 0
    begun = time.process_time()
    for row in _rows(files):
        at = datetime.fromisoformat(row["TX_DATETIME"]).timestamp()
        x = {"TX_AMOUNT": float(row["TX_AMOUNT"])}
        while waiting and waiting[0][0] <= at:
            _, known, label = waiting.popleft()
            model.learn_one(known, label)
        model.predict_proba_one(x)
        waiting.append((at + DELAY_S, x, row["TX_FRAUD"] == "1"))
        events += 1
    for _, known, label in waiting:
        model.learn_one(known, label)
    return {"events": events, "cpu_s": time.process_time() - begun}


def _rows(files: Sequence[str]) -> Iterator[dict[str, str]]:
    for name in files:
        with gzip.open(name, "rt", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def fold(files: Sequence[str]) -> dict[str, float]:
    """A backtest of the same."""
    told = {
        "name": "fraud",
        "events": {
            "file": list(files), "id": "TRANSACTION_ID", "key": "CUSTOMER_ID", "time": "TX_DATETIME",
            "features": ["TX_AMOUNT"],
        },
        "labels": {"field": "TX_FRAUD", "delay": "7d"},
        "learners": {"logistic": feed.RIVER},
        "detectors": [{"signal": "error", "detector": "adwin"}],
    }  # fmt: skip
    return _timed([told])


def wide(file: str, learners: Sequence[str] = ("one",)) -> dict[str, float]:
    """Twenty features, labels known at once; as many configurations as there are names."""
    return _timed([_wide_config(file, name) for name in learners])


def _wide_config(file: str, name: str) -> dict[str, Any]:
    return feed.config(name, source={"file": file})


def _timed(configs: Sequence[dict[str, Any]]) -> dict[str, float]:
    from stream.replay.backtest import backtest  # noqa: PLC0415 - only in the process that replays

    out = _place(configs)
    backtest(configs, out=out, limit=1, overwrite=True)
    begun = time.process_time()
    result = backtest(configs, out=out, overwrite=True)
    cpu_s = time.process_time() - begun
    events = result.runs[0].facts["events"]
    assert isinstance(events, int)
    shutil.rmtree(out)
    return {"events": events, "cpu_s": cpu_s}


def _place(configs: Sequence[dict[str, Any]]) -> Path:
    """Beside the events, which lie in the benchmark's directory, or in the system's."""
    import tempfile  # noqa: PLC0415

    return Path(tempfile.mkdtemp(prefix=f"replay-{configs[0]['name']}-"))


def jobs(file: str) -> dict[str, float]:
    """Two configurations with one process and with two: by the clock on the wall, and by what the busiest core has to do.

    With a tree each: of linear models a pass over both shares so much work that two processes win less.
    """
    import os  # noqa: PLC0415

    from stream.replay.backtest import backtest  # noqa: PLC0415

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    configs = [feed.config(name, source={"file": file}, learner=TREE) for name in ("one", "two")]
    seconds, cpu_s = [], []
    for count in (1, 2):
        out = _place(configs)
        begun, before = time.perf_counter(), os.times()
        backtest(configs, out=out, jobs=count, report=False)
        seconds.append(time.perf_counter() - begun)
        after = os.times()
        own = after.user + after.system - before.user - before.system
        children = after.children_user + after.children_system - before.children_user - before.children_system
        cpu_s.append(own + children / count)
        shutil.rmtree(out)
    return {
        "one_s": seconds[0], "two_s": seconds[1], "one_cpu_s": cpu_s[0], "two_cpu_s": cpu_s[1],
        "bare_one_s": _bare_trees(file, 1), "bare_two_s": _bare_trees(file, 2),
    }  # fmt: skip


def _bare_trees(file: str, count: int) -> float:
    """Seconds of so many bare loops with a tree, side by side: what the cores give to two who share nothing."""
    command = [sys.executable, "-m", "benchmarks.loops", "tree", file]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(count)]
    told = [process.communicate(timeout=PATIENCE_S)[0] for process in running]
    return max(float(json.loads(text)["seconds"]) for text in told)


def main(kind: str, *files: str) -> None:
    if kind in {"bare", "fold"}:
        print(json.dumps((bare if kind == "bare" else fold)(files)))
    elif kind == "wide-bare":
        print(json.dumps(loops.bare(files[0], loops.model())))
    elif kind == "jobs":
        print(json.dumps(jobs(files[0])))
    else:
        print(json.dumps(wide(files[0], ("one", "two") if kind == "pair" else ("one",))))


if __name__ == "__main__":
    main(*sys.argv[1:])
