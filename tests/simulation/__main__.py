"""``python -m tests.simulation [SEEDS] [--processes N] [--shrink] [--stop-first] [--quiet]``: simulate seeds, from a checkout's root.

Exit 0 when all promises held, 1 with the seeds for which one did not.
"""

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

CHUNK = 20


class Result(NamedTuple):
    """Of one seed."""

    seed: int
    error: str
    happened: Counter[str]


def simulate(seeds: Sequence[int]) -> list[Result]:
    """In this process, one after the other."""
    from stream.runtime.host import calm_collector  # noqa: PLC0415 - heavy, and only in the workers
    from tests.simulation.seeds import play_seed  # noqa: PLC0415 - as above

    if len(seeds) > 1:
        calm_collector()
    results = []
    for seed in seeds:
        try:
            results.append(Result(seed, "", play_seed(seed)))
        except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
            text = "".join(traceback.format_exception(error, limit=-4))
            results.append(Result(seed, text, Counter()))
    return results


def campaign(first: int, last: int, processes: int) -> Iterator[Result]:
    """All seeds, as they are done."""
    chunks = [range(at, min(at + CHUNK, last)) for at in range(first, last, CHUNK)]
    if processes == 1:
        for chunk in chunks:
            for seed in chunk:
                yield from simulate([seed])
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for results in pool.imap_unordered(simulate, chunks):
            yield from results


def shrink_seed(seed: int) -> str:
    """The shortest history that fails as this seed does, as text."""
    from tests.simulation.shrink import shrunk  # noqa: PLC0415 - as above

    return shrunk(seed)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="?", default="0:1000", help="FIRST:LAST, the last one excluded")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shrink", action="store_true", help="print a short history of the first failing seed")
    parser.add_argument("--stop-first", action="store_true", help="end at the first failing seed")
    parser.add_argument("--quiet", action="store_true", help="say only what failed")
    told = parser.parse_args(arguments)
    first, _, last = told.seeds.partition(":")
    bounds = int(first), int(last) if last else int(first) + 1
    begun, done, failed = time.monotonic(), 0, []
    happened: Counter[str] = Counter()
    shown = begun
    for result in campaign(*bounds, told.processes):
        done += 1
        happened += result.happened
        if result.error:
            failed.append(result.seed)
            print(f"seed {result.seed} failed; again: make sim SEEDS={result.seed}:{result.seed + 1}\n{result.error}")
            if told.stop_first:
                break
        now = time.monotonic()
        if not told.quiet and now - shown > 10:
            shown = now
            rate = done / (now - begun)
            left = (bounds[1] - bounds[0] - done) / rate
            print(
                f"{done} of {bounds[1] - bounds[0]} seeds, {rate:.1f} a second, {left:.0f} s left, {len(failed)} failed",
                flush=True,
            )
    seconds = time.monotonic() - begun
    if not told.quiet:
        for what, count in sorted(happened.items()):
            print(f"  {count:>9}  {what}")
        print(f"{done} seeds in {seconds:.0f} s; failed: {failed or 'none'}")
    if failed and told.shrink:
        print(shrink_seed(min(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
