"""What the figures on small files share: a file as the service reads it, a backtest of configurations on it, tables.

The streams are CSV files without an id and without a clock; rows get their number as id and nothing else is changed.
Labels come a number of events after their event: ``1 event`` is known from the next row on, ``2 events`` from the row after.
"""

import csv
import gzip
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream.build_fold import build_fold, lineage
from stream.pipeline.batch import RawBatch
from stream.records import Input, Records
from stream.replay.backtest import Backtest, backtest
from stream.replay.plan import loaded

BATCH = 5000
Settings = dict[str, Any]


def numbered(source: Path, target: Path, leave_out: Sequence[str] = ()) -> int:
    """Write a table again with an ``id`` of each row before it, without some columns. Returns the number of rows."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as read, target.open("w", encoding="utf-8") as written:
        rows = csv.reader(read)
        header = next(rows)
        kept = [place for place, name in enumerate(header) if name not in leave_out]
        written.write(",".join(["id", *(header[place] for place in kept)]) + "\n")
        count = 0
        for row in rows:
            written.write(",".join([f"r{count}", *(row[place] for place in kept)]) + "\n")
            count += 1
    return count


def replay(configurations: Sequence[Settings], work: Path) -> Backtest:
    """As ``headrace backtest CONFIG...`` does, without its page."""
    started = time.process_time()
    done = backtest(configurations, out=tempfile.mkdtemp(prefix="backtest-", dir=work), report=False)
    names = ", ".join(run.name for run in done.runs)
    print(f"  {names}: {time.process_time() - started:.0f} s of CPU", flush=True)
    return done


def right(frame: pd.DataFrame, score: str = "score") -> NDArray[np.bool_]:
    """``(n_rows,)``: whether the answer that was given, at a threshold of a half, is the label that came."""
    answers: NDArray[np.bool_] = (frame[score].to_numpy(np.float64) >= 0.5) == frame["label"].to_numpy(np.bool_)
    return answers


def scores_of(frame: pd.DataFrame, champion: str) -> dict[str, str]:
    """Of each learner, the column of its scores."""
    prefix = "challengers."
    others = {name.removeprefix(prefix): name for name in frame.columns if name.startswith(prefix)}
    return {champion: "score", **others}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


def verdict(figures: Mapping[str, bool], say: Callable[[str], None] = print) -> bool:
    """Tell which figures are reached; whether all are."""
    for words, met in figures.items():
        say(f"{'reached' if met else 'MISSED '}  {words}")
    return all(figures.values())


class Seen:
    """A witness of a fold: what every learner answered, and what detectors found."""

    def __init__(self) -> None:
        self.scores: dict[str, list[float]] = {}
        self.findings: list[tuple[int, str, str]] = []
        """(row, detector, level), in order."""

    def saw(self, batch: Any, arranged: Any, scores: Mapping[str, NDArray[np.float64]], changes: Sequence[Any]) -> None:
        ids = [batch.events.ids[index] for index in arranged.draft.accepted] + list(arranged.old_ids)
        for name, own in scores.items():
            self.scores.setdefault(name, []).extend(own[: arranged.events, 0].tolist())
        for change in changes:
            row = int(ids[arranged.program.row[change.op]].removeprefix("r"))
            self.findings.append((row, change.watch.name, change.finding.level))


def folded(settings: Settings, events: Sequence[bytes]) -> Seen:
    """The service's fold over events of an embedded label, in this process, without log or store: a backtest without files."""
    config, seen = loaded(settings), Seen()
    fold = build_fold(lineage(config, {}), [Input("events", "events", 0)])
    for start in range(0, len(events), BATCH):
        values: list[bytes | None] = list(events[start : start + BATCH])
        numbers = list(range(start, start + len(values)))
        fold.step(RawBatch(Records(numbers, numbers, [None] * len(values), values)), seen)
    return seen
