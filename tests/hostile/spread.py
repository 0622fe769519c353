"""One hostile case as a process of its own runs it, and the tally as a table. Not tests: see ``python -m tests.hostile``."""

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.hostile.fold import check, shrink
from tests.hostile.records import Case, case


class Done(NamedTuple):
    """What became of a case."""

    seed: int
    tally: Counter[tuple[str, str, str]]
    failure: str


def _failure(one: Case) -> str:
    try:
        check(one)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this case
        return f"{type(error).__name__}: {error}"
    return ""


def run(asked: tuple[int, int]) -> Done:
    """Check one case. Runs in a process of its own."""
    warnings.simplefilter("ignore", RuntimeWarning)  # River's sums overflow, as they do in a worker
    seed, size = asked
    one = case(seed, size)
    try:
        return Done(seed, check(one), "")
    except Exception as error:  # noqa: BLE001 - as above
        kind = type(error).__name__
        small = shrink(one, lambda smaller: _failure(smaller).startswith(kind))
        records = "\n".join(f"  {record!r}"[:2000] for record in small.records)
        return Done(
            seed, Counter(), f"{kind}: {error}\nstill, with {len(small.records)} records: {_failure(small)}\n{records}"
        )


def table(tally: Counter[tuple[str, str, str]], *, markdown: bool) -> Iterable[str]:
    """A line an outcome."""
    if markdown:
        yield from ("| stream | outcome | reason | records |", "|---|---|---|---:|")
    for (stream, outcome, reason), number in sorted(tally.items()):
        cells = (stream, outcome, reason, f"{number:,}")
        yield "| " + " | ".join(cells) + " |" if markdown else "{:8} {:10} {:20} {:>12}".format(*cells)
