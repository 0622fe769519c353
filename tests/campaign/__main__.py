"""``python -m tests.campaign``: the service under faults of real processes and a bad network, compared with a calm run.

Numbers are goals for the whole tally: ``--kills 300`` plays rounds until 300 worker kills are on record, over as many
runs as it takes; what is there already counts. Each round ends with the comparison and one line in the tally. Exit
code 1 when anything diverged or took longer than a minute to heal, 0 when all goals are reached.
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from tests.campaign.oracle import calm
from tests.campaign.round import KEPT, play
from tests.campaign.stage import Stage
from tests.campaign.tally import TALLY, append, read, report, total

BAD_MAX = 3
"""Rounds that went wrong, before somebody should look instead of going on."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", dest="worker", type=int, default=300, help="kill -9 of a worker (%(default)s)")
    parser.add_argument("--broker", type=int, default=60, help="kill -9 of the broker (%(default)s)")
    parser.add_argument("--redis", type=int, default=60, help="kill -9 of Redis, or a flush (%(default)s)")
    parser.add_argument("--double", type=int, default=60, help="two at once (%(default)s)")
    parser.add_argument("--network", type=int, default=150, help="bad weather between them (%(default)s)")
    parser.add_argument("--freeze", type=int, default=30, help="SIGSTOP past timeouts, then SIGCONT (%(default)s)")
    parser.add_argument("--faults", type=int, default=60, help="most faults of a round (%(default)s)")
    parser.add_argument("--events", type=int, default=150_000, help="length of the stream (%(default)s)")
    parser.add_argument("--minutes", type=float, help="begin no round after so long")
    parser.add_argument("--seed", type=int, help="of the first round; drawn and printed when not given")
    parser.add_argument("--tally", type=Path, default=TALLY, help="where rounds are recorded (%(default)s)")
    parser.add_argument(
        "--kept", type=Path, default=KEPT, help="where a round that went wrong leaves its files (%(default)s)"
    )
    parser.add_argument("--report", action="store_true", help="print the tally's table and do nothing")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    told = arguments(words)
    if told.report:
        print(report(read(told.tally)))
        return 0
    goals = Counter(
        {kind: getattr(told, kind) for kind in ("worker", "broker", "redis", "double", "network", "freeze")}
    )
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    begun, bad = time.monotonic(), 0
    owing = goals - total(read(told.tally))
    if not owing:
        print("all goals are reached")
        return 0
    with Stage(told.events) as stage:
        print(f"{stage.stream.total:,} records are in their topics", flush=True)
        expected = calm(stage)
        print(f"the uninterrupted run is done: {sum(expected.predictions):,} predictions", flush=True)
        while owing and (told.minutes is None or time.monotonic() - begun < 60 * told.minutes):
            one = play(stage, expected, owing, seed, told.faults, told.kept)
            append(told.tally, one)
            print(
                f"  {sum(one.faults.values())} faults in {one.seconds:.0f} s, divergences: {one.divergences or 'none'}"
            )
            bad += bool(one.divergences or one.slow)
            if bad >= BAD_MAX or not one.faults:
                break
            seed, owing = seed + 1, goals - total(read(told.tally))
    print(report(read(told.tally)))
    return 1 if bad else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and workers end with us
    sys.exit(main())
