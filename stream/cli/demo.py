"""``headrace demo``: a simulated fraud feed through the whole service on this machine, and what a person would ask of it.

Files in and out, checkpoints in a real Redis of its own. The feed is feeds/fraud.py's, the configuration the template of
``headrace init``; nothing is special about the worker. The summary is made of what came out.
"""

import argparse
import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from learners.metrics.binary import BinaryMetrics
from stream.build import machine, open_service
from stream.cli import init, simulate
from stream.cli.output import table
from stream.cli.progress import Progress
from stream.config import load
from stream.errors import ConfigError
from stream.feeds.fraud import FraudFeed
from stream.runtime.host import calm_collector
from stream.runtime.readings import TaskReadings

SLICES = 10
MARK = "demo.json"


class Answer(msgspec.Struct):
    """What the summary needs of a prediction."""

    id: str
    time: int
    score: float
    challengers: dict[str, float | None] = {}


class Truth(msgspec.Struct):
    """What the summary needs of a label."""

    id: str
    fraud: bool


class Answers(NamedTuple):
    """Predictions whose label came, in order of the events: arrays of shape ``(n,)``."""

    times_ms: NDArray[np.int64]
    truths: NDArray[np.float64]
    scores: dict[str, NDArray[np.float64]]
    """By learner."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="(default: demo-out)")
    parser.add_argument("--days", type=int, default=40, metavar="N", help="of event time (default: 40)")
    parser.add_argument("--customers", type=int, default=1500, metavar="N", help="about two payments a day each (1500)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which feed (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Simulate, run, tell."""
    out: Path = arguments.out
    _clear(out)
    try:
        feed = FraudFeed(arguments.days, arguments.seed, customers=arguments.customers)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    print(f"A card feed of {arguments.days} days; half-way the fraudsters change their ways.", flush=True)
    simulate.write(feed, out / "feed")
    config = load(init.write(out, "fraud"), {})  # whatever the environment says of other pipelines
    print(
        f"Running {out}/fraud.yaml: files in, a Redis of its own for checkpoints, predictions and alarms out.",
        flush=True,
    )
    with open_service(config, say=lambda message: print(message, file=sys.stderr)) as service:
        calm_collector()
        begun = time.monotonic()
        with Progress([service.readings]):
            service.worker.run()
        seconds = time.monotonic() - begun
        task = service.readings[0]
        saved = len(list(service.store.heads(f"{config.name}/0")))
    for line in summary(out, task, seconds, saved):
        print(line)
    return 0


def _clear(out: Path) -> None:
    """Only what an earlier demo wrote is removed."""
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise ConfigError(f"{out} holds something else", "name another directory with --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).write_text('{"made by": "headrace demo"}\n', encoding="utf-8")


def summary(out: Path, task: TaskReadings, seconds: float, saved: int) -> Iterator[str]:
    """What happened, for a person."""
    truth = json.loads((out / "feed" / "truth.json").read_text(encoding="utf-8"))
    change_ms = int(datetime.fromisoformat(truth["change"]["time"]).timestamp() * 1000)
    answers = _answers(out / "fraud-out" / "predictions.jsonl", out / "feed" / "labels.jsonl")
    events = task.outputs.get("predictions", 0)
    coverage = task.coverage
    yield ""
    yield (
        f"{events:,} events scored, {task.records - events:,} labels applied, in {seconds:.1f} s: "
        f"{task.records / seconds:,.0f} records/s on {machine()}"
    )
    yield (
        f"labels: {coverage['share']:.0%} of the events have theirs, half of them after more than "
        f"{coverage['age_p50_ms'] / 86_400_000:.1f} days; {task.counts.get('labels_assumed', 0):,} silences counted as genuine"
    )
    yield ""
    yield "how good the scores were when they were given (ROC AUC, average precision), by event time:"
    yield ""
    yield from _over_time(answers, change_ms)
    yield ""
    yield from _alarms(out / "fraud-out" / "alarms.jsonl", change_ms, truth["change"]["event"])
    yield ""
    yield f"checkpoints: {task.checkpoints} written to Redis, {saved} kept, the newest {task.checkpoint_bytes / 1e6:.1f} MB"
    yield f"look at: {out}/fraud-out/predictions.jsonl, alarms.jsonl, rejects.jsonl; {out}/fraud.yaml"
    yield f"again, or killed on the way, it gives the same bytes: headrace run {out}/fraud.yaml"


def _answers(predictions: Path, labels: Path) -> Answers:
    truth_of = msgspec.json.Decoder(Truth).decode
    with labels.open("rb") as lines:
        truths = {one.id: one.fraud for one in map(truth_of, lines)}
    answer_of = msgspec.json.Decoder(Answer).decode
    with predictions.open("rb") as lines:
        known = [one for one in map(answer_of, lines) if one.id in truths]
    names = list(known[0].challengers) if known else []
    scores = {"champion": np.array([one.score for one in known])}
    for name in names:
        scores[name] = np.array([np.nan if (s := one.challengers[name]) is None else s for one in known], np.float64)
    return Answers(
        np.array([one.time for one in known], np.int64), np.array([float(truths[one.id]) for one in known]), scores
    )


def _over_time(answers: Answers, change_ms: int) -> Iterator[str]:
    """A row a slice of the stream, with a bar a person can compare."""
    rows = []
    edges = np.linspace(0, len(answers.times_ms), SLICES + 1).astype(int)
    for start, stop in itertools.pairwise(edges):
        row: dict[str, object] = {"until": _day(int(answers.times_ms[stop - 1])), "events": int(stop - start)}
        for name, scores in answers.scores.items():
            figures = _figures(answers.truths[start:stop], scores[start:stop])
            for short, figure in (("AUC", "roc_auc"), ("AP", "average_precision")):
                known = np.isfinite(figures[figure])  # not where a slice has no fraud at all
                row[f"{name} {short}"] = f"{figures[figure]:.3f}" if known else "-"
            if name == "champion":
                row["AP of the champion"] = "█" * round(20 * np.nan_to_num(figures["average_precision"]))
        inside = answers.times_ms[start] <= change_ms <= answers.times_ms[stop - 1]
        row[" "] = "← the fraudsters change their ways" if inside else ""
        rows.append(row)
    columns = [c for c in rows[0] if c not in {"AP of the champion", " "}]
    yield from ("  " + line for line in table(rows, [*columns, "AP of the champion", " "]).splitlines())


def _figures(truths: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[str, float]:
    metrics = BinaryMetrics(threshold=0.5, window=1)
    metrics.update(truths, scores[:, None], np.full(len(truths), np.nan))
    return metrics.all()


def _alarms(path: Path, change_ms: int, change_event: int) -> Iterator[str]:
    alarms: Sequence[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    yield f"alarms: {len(alarms)}. The change really was on {_day(change_ms)}, at event {change_event:,}."
    yield "Those of the first two weeks are the model's own learning: until payments are confirmed, only frauds are known."
    for alarm in alarms:
        days = (alarm["time"] - change_ms) / 86_400_000
        when = f"{abs(days):.1f} days {'after' if days >= 0 else 'before'} the change"
        levels = f"{alarm['before']:.4f} → {alarm['after']:.4f}" if alarm["before"] is not None else alarm["detail"]
        yield f"  {_day(alarm['time'])}  {alarm['detector'] or alarm['kind']:24} {levels}   {when}"


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%d %b %H:%M")
