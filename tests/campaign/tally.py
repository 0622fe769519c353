"""What the campaign has done so far: a line of JSON a round, and the table that docs/guarantees.md shows of it."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

TALLY = Path(__file__).parent / "tally.jsonl"


@dataclass
class Round:
    """One round, from the first fault to the comparison."""

    seed: int
    date: str
    revision: str
    events: int
    """In the stream that was played; labels and bad records come on top."""
    faults: dict[str, int] = field(default_factory=dict)
    """How many of each kind."""
    kinds: dict[str, int] = field(default_factory=dict)
    """The same, told more exactly."""
    heal_s: dict[str, list[float]] = field(default_factory=dict)
    """Of each fault, from the end of its cause to committed progress of every task."""
    slow: list[str] = field(default_factory=list)
    """Faults that took longer than a minute to heal."""
    ended: dict[str, int] = field(default_factory=dict)
    """Why workers ended by themselves."""
    divergences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def read(path: Path) -> list[Round]:
    if not path.exists():
        return []
    return [Round(**json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def append(path: Path, one: Round) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(one)) + "\n")


def total(rounds: Iterable[Round]) -> Counter[str]:
    """Faults by kind, of rounds that came to their end."""
    found: Counter[str] = Counter()
    for one in rounds:
        found.update(one.faults)
    return found


def report(rounds: list[Round]) -> str:
    """Markdown."""
    if not rounds:
        return "The campaign has not been run.\n"
    heals: dict[str, list[float]] = {}
    kinds: Counter[str] = Counter()
    for one in rounds:
        kinds.update(one.kinds)
        for kind, seconds in one.heal_s.items():
            heals.setdefault(kind, []).extend(seconds)
    lines = ["| fault | times | healed after, median | longest |", "|---|---:|---:|---:|"]
    for kind, count in total(rounds).items():
        seconds = heals.get(kind, [])
        healed = f"{statistics.median(seconds):.1f} s | {max(seconds):.1f} s" if seconds else "- | -"
        lines.append(f"| {kind} | {count} | {healed} |")
    wrong = sum(len(one.divergences) for one in rounds)
    slow = sum(len(one.slow) for one in rounds)
    hours = sum(one.seconds for one in rounds) / 3600
    dates = sorted({one.date[:10] for one in rounds})
    lines += [
        "",
        (
            f"{len(rounds)} rounds, {sum(one.events for one in rounds):,} events, {hours:.1f} hours, {dates[0]} to {dates[-1]}: "
            f"{wrong} divergences, {slow} faults that took longer than a minute to heal."
        ),
        "",
        "In detail: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) + ".",
    ]
    ended: Counter[str] = Counter()
    for one in rounds:
        ended.update(one.ended)
    if ended:
        lines += ["", "Workers that ended by themselves, with their reason, and were started again:", ""]
        lines += [f"- {count} times {reason}" for reason, count in ended.most_common()]
    return "\n".join(lines) + "\n"
