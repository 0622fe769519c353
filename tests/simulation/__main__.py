"""``python -m tests.simulation [SEEDS] [--processes N] [--shrink] [--stop-first] [--quiet]``: simulate seeds, from a checkout's root.

Exit 0 when all promises held, 1 with the seeds for which one did not.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.many import campaign


def shrink_seed(seed: int) -> str:
    """The shortest history that fails as this seed does, as text."""
    from tests.simulation.shrink import shrunk  # noqa: PLC0415 - heavy, and only when a seed failed

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
