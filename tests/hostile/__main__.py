"""``python -m tests.hostile``: a million hostile records once, spread over processes; prints a tally, exits 1 on a failure.

A failure prints its seed and the shortest stream of records found that still fails.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.hostile.spread import Done, run, table

PROCESSES = 2


class Kept:
    """The tally, and with a file what is left to do: a long run may be spread over several."""

    def __init__(self, path: Path | None, first: int) -> None:
        self.path, self.next = path, first
        self.tally: Counter[tuple[str, str, str]] = Counter()
        if path is not None and path.exists():
            told = json.loads(path.read_text(encoding="utf-8"))
            self.next = told["next"]
            self.tally.update({tuple(key): number for *key, number in told["tally"]})  # type: ignore[misc]

    def add(self, done: Done) -> None:
        """Cases come in the order of their seeds. One that failed is not passed: the next run tries it again."""
        self.tally += done.tally
        if self.path is not None and not done.failure and done.seed == self.next:
            self.next += 1
            told = {"next": self.next, "tally": [[*key, number] for key, number in sorted(self.tally.items())]}
            self.path.write_text(json.dumps(told), encoding="utf-8")


def _all(asked: list[tuple[int, int]], processes: int) -> Iterator[Done]:
    if processes == 1:
        yield from map(run, asked)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, asked, chunksize=4)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many in all (default: a million)")
    parser.add_argument("--size", type=int, default=1000, help="records of a case")
    parser.add_argument("--first", type=int, default=1_000_000, help="the first seed")
    parser.add_argument("--seeds", help="FROM:TO instead: only these")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep the tally here, and go on from it")
    parser.add_argument("--markdown", action="store_true", help="print the tally as a table for docs/guarantees.md")
    told = parser.parse_args()
    first, last = (
        map(int, told.seeds.split(":")) if told.seeds else (told.first, told.first - -told.records // told.size)
    )
    kept = Kept(told.resume, first)
    started, failed = time.monotonic(), 0
    for number, done in enumerate(_all([(seed, told.size) for seed in range(kept.next, last)], told.processes), 1):
        if done.failure:
            failed += 1
            again = f"python -m tests.hostile --seeds {done.seed}:{done.seed + 1} --size {told.size}"
            print(f"seed {done.seed}: {done.failure}\nagain: {again}", file=sys.stderr, flush=True)
        kept.add(done)
        if number % 100 == 0:
            print(f"seed {done.seed} of {last}, {time.monotonic() - started:.0f} s, {failed} failed", file=sys.stderr)
    print("\n".join(table(kept.tally, markdown=told.markdown)))
    seconds = time.monotonic() - started
    print(f"\n{kept.tally.total():,} records in {last - first:,} cases, {failed} cases failed, {seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
