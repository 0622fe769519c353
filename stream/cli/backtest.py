"""``headrace backtest``: what would these configurations have answered? All work is stream/replay's (backtest.py)."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from stream.cli.arguments import count
from stream.replay.backtest import Backtest, backtest
from stream.replay.results import METRICS, REPORT
from stream.replay.work import Progress

TELL_S = 0.5
LOG_S = 10.0
"""Where there is no terminal, a line so often."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="+", metavar="CONFIG", help="several are compared, in one pass")
    parser.add_argument(
        "--source",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="files, in order; or `kafka`: the first CONFIG's topics; or `journal`: the records that its service applied, in "
        "their very order (default: what the first CONFIG reads)",
    )
    parser.add_argument(
        "--labels", nargs="+", default=[], metavar="FILE", help="labels, where they are records of their own"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for predictions, metrics and the report"
    )
    parser.add_argument(
        "--from", dest="start", metavar="TIME", help="where history begins: 2018-06-01 (UTC), or an offset"
    )
    parser.add_argument("--to", dest="stop", metavar="TIME", help="before which record it ends: a time, or an offset")
    parser.add_argument("--score-from", metavar="TIME", help="events before are learned from, and not judged")
    parser.add_argument("--task", type=int, metavar="N", help="only this partition")
    parser.add_argument(
        "--tasks", type=count, default=1, metavar="N", help="split files by key over N tasks, as N partitions would"
    )
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="processes, over configurations and tasks")
    parser.add_argument(
        "--at-end",
        choices=["flush", "keep"],
        default="flush",
        help="whether labels that are not due when history ends are revealed then (default: flush)",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="end a task after about so many records")
    parser.add_argument(
        "--save-state", type=Path, metavar="DIR", help="the state at the end, for `headrace run --warm-start DIR`"
    )
    parser.add_argument(
        "--top",
        nargs="+",
        type=count,
        default=[],
        metavar="K",
        help="how many can be looked at a day: the precision of the best K events and keys (default: 10 50 100 1000)",
    )
    parser.add_argument("--overwrite", action="store_true", help="what another backtest left in --out may go")
    parser.add_argument(
        "--resume-every",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="how often a point is kept from which a backtest that was killed goes on (default: 15)",
    )
    parser.add_argument("--json", action="store_true", help="metrics as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress, only what needs attention")


def run(arguments: argparse.Namespace) -> int:
    """Replay, judge, say where the results are."""
    begun = time.monotonic()
    with Line(quiet=arguments.quiet) as line:
        result = backtest(
            arguments.config,
            source=arguments.source,
            labels=arguments.labels,
            out=arguments.out,
            start=arguments.start,
            stop=arguments.stop,
            task=arguments.task,
            tasks=arguments.tasks,
            jobs=arguments.jobs,
            score_from=arguments.score_from,
            at_end=arguments.at_end,
            limit=arguments.limit,
            save_state=arguments.save_state,
            overwrite=arguments.overwrite,
            top=arguments.top,
            command=shlex.join(["headrace", "backtest", *sys.argv[2:]]) if sys.argv[1:2] == ["backtest"] else "",
            every_s=arguments.resume_every,
            tell=line.tell,
        )
    if arguments.json:
        print(json.dumps(result.metrics, indent=2))
    else:
        print("\n".join(_told(result, time.monotonic() - begun)))
    return 0


def _told(result: Backtest, seconds: float) -> list[str]:
    lines = []
    judged = result.metrics["runs"]
    for run_ in result.runs:
        facts: dict[str, Any] = run_.facts
        outputs = facts["outputs"]
        lines.append(
            f"{run_.name}: {facts['events']:,} events, {facts['labels']:,} labels, {outputs['alarms']:,} alarms, "
            f"{outputs['rejects']:,} rejects"
        )
        counted = judged[run_.name]["events"]
        if counted["warm_up"] and not counted["scored"]:
            lines.append(f"  nothing is judged: all {counted['warm_up']:,} scored events are before --score-from")
        lines += [
            f"  task {task}: {name} {value}" for task, own in facts["digests"].items() for name, value in own.items()
        ]
    page = result.path / REPORT
    lines.append(f"{seconds:,.0f} s; read {page if page.exists() else result.path / METRICS}")
    return lines


class Line:
    """A line about a replay that goes on: how much is done, how fast, and how long it will take.

    Parameters
    ----------
    quiet : bool
        Only messages, no progress.
    monotonic : callable
        Seconds.
    """

    def __init__(self, *, quiet: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._monotonic = monotonic
        self._terminal = sys.stderr.isatty()
        self._begun: dict[tuple[int, tuple[int, ...]], Progress] = {}
        self._now: dict[tuple[int, tuple[int, ...]], Progress] = {}
        self._started = self._told = monotonic()
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._written and self._terminal:
            print(file=sys.stderr)

    def tell(self, progress: Progress) -> None:
        """Of one pass; of several, in any order."""
        if progress.said:
            print(f"{self._fresh()}headrace: task {progress.task}: {progress.said}", file=sys.stderr, flush=True)
            return
        own = (progress.task, progress.places)
        self._begun.setdefault(own, progress)
        self._now[own] = progress
        now = self._monotonic()
        if self._quiet or now - self._told < (TELL_S if self._terminal else LOG_S):
            return
        self._told = now
        self._written = True
        line = self.line(now)
        print(
            f"\r\033[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def _fresh(self) -> str:
        return "\r\033[K" if self._terminal else ""

    def line(self, now: float) -> str:
        """What is told at a time of the clock."""
        done = sum(one.records for one in self._now.values())
        new = done - sum(one.records for one in self._begun.values())
        seconds = max(now - self._started, 1e-9)
        told = f"{done:,} records, {new / seconds:,.0f}/s"
        shares = [one.share for one in self._now.values()]
        if not shares or not all(shares):
            return told
        share = sum(shares) / len(shares)
        begun = sum(one.share for one in self._begun.values()) / len(shares)
        if share > begun:
            left = (1 - share) * seconds / (share - begun)
            told += f", {share:.0%} of what has begun, {_duration(left)} left"
        return told


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
