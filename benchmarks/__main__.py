"""``python -m benchmarks [NAME...] [--quick] [--markdown FILE]``: measures, and prints a table. From the repository's root.

Without a name, everything: about five minutes on two idle cores. Ends with 0 also when a goal is missed: the table says so.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from benchmarks import latency, memory, reasons, replay, report, stages, stall, throughput, travel, windows
from benchmarks.bench import Bench, Figure
from benchmarks.machine import facts, on_cores

MODULES: tuple[ModuleType, ...] = (throughput, stages, windows, reasons, replay, travel, latency, stall, memory)


def names() -> list[str]:
    return [name for module in MODULES for name in module.NAMES]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, latency, stalls and memory.")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"which: {', '.join(names())} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often contestants take their turn (default 3)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there as well")
    told = parser.parse_args(given)
    if unknown := sorted(set(told.name) - set(names())):
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(names())}")
    return told


def main() -> int:
    told = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    wanted = told.name or names()
    figures: list[Figure] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        rounds = told.rounds or (1 if told.quick else 3)
        bench = Bench(directory, stack, quick=told.quick, rounds=rounds)
        stack.enter_context(on_cores(bench.serving))
        about = facts()
        print("\n".join(about), end="\n\n", flush=True)
        for module in MODULES:
            own = [name for name in module.NAMES if name in wanted]
            if own:
                bench.said(f"measuring: {', '.join(own)}")
                figures += module.run(bench, own)
    print(report.table(figures))
    if told.markdown is not None:
        report.write(told.markdown, figures, about, f"python -m benchmarks {' '.join(sys.argv[1:])}".strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
