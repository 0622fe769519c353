"""Figures as a table: on the screen, and as docs/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Figure

HEAD = ("benchmark", "what", "result", "goal", "")

METHOD = """\
# Benchmarks

Written by `python -m benchmarks --markdown docs/benchmarks.md`; `make bench` prints the same table. Do not edit.

{facts}
Command: `{command}`

{table}
## What was measured

- **bare**: a loop that decodes the events with orjson, takes out id, key, time and label, calls `predict_proba_one` and
  `learn_one`; no Kafka. It runs first and last in each round; the two together count.
- **bare exactly-once**: a plain librdkafka loop with nothing else: consume up to 5,000, decode, predict, learn, produce a
  small JSON prediction each, send the offsets with the transaction, commit (`benchmarks/loops.py`).
- **worker**: `headrace run` on the same topic under a new name: exactly once, label in the event, ADWIN on the error,
  prequential metrics, a checkpoint every 10,000 events to a real Redis, batches of up to 5,000. Timed from the first
  committed batch to the last, as a `read_committed` reader of the journal sees them; start and recovery do not count.
- **compiled**: the worker with `learners.compiled.ScaledLogisticRegression`. **files**: the worker from a JSONL file into a
  directory, with an embedded Redis, which shares its core.
- Events: JSON with 20 numeric features, about 500 bytes, one partition. All models are
  `StandardScaler | LogisticRegression` (`benchmarks/feed.py`).
- The process under test, librdkafka's threads included, has one core; broker, Redis and the measuring program have the
  others. Contestants run in turns, those that need a broker once before without counting; a ratio compares two of one
  round. Told is the median of the rounds, with the range.
  *Without neighbours* leaves out the time in which that core worked for processes
  that are none of ours; *by CPU* is the ratio of processor time an event, which they disturb least (and which knows no waiting).
  There is no verdict where neighbours had more than a tenth of that core in half of the rounds.
- Shares by stage are the worker's own readings (`headrace_stage_seconds_total`). `commit` is the time of a thread beside
  the others (producing, and waiting for the broker), so they do not add up to 100 %. `encode` is all that makes outputs
  of what the step found. `stages` splits the fold, in a process without log or store.
- **latency**, **stall**, **memory**: as the modules of those names in `benchmarks/` say at their top.
"""


def _verdict(figure: Figure) -> str:
    if figure.met is None:
        return ""
    return "disturbed: no verdict" if figure.disturbed else "reached" if figure.met else "missed"


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [(one.name, one.what, one.result, one.goal, _verdict(one)) for one in figures]


def table(figures: Sequence[Figure]) -> str:
    """For a screen."""
    told = [HEAD, *rows(figures)]
    widths = [max(len(row[place]) for row in told) for place in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in told]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def markdown(figures: Sequence[Figure]) -> str:
    told = [HEAD, ("---",) * len(HEAD), *rows(figures)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in told)


def write(path: Path, figures: Sequence[Figure], facts: Sequence[str], command: str) -> None:
    told = METHOD.format(facts="".join(f"{fact}\n\n" for fact in facts), command=command, table=markdown(figures))
    path.write_text(told, encoding="utf-8")
