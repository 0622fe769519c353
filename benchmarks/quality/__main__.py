"""``python -m benchmarks.quality NAME...``: how well Headrace answers on real streams, beside published baselines.

``make quality STREAM=NAME`` brings what the baselines need. From the repository's root. Each prints its tables and ends with
1 when a figure that it is held to is missed. The data are not part of the repository: ``--data DIR`` names the directory, by
default ``shared/data`` beside the checkout.
"""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("fraud", "elec2", "sea")
DATA = Path(__file__).parents[2].parent / "shared/data"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Quality on real streams.")
    parser.add_argument("name", nargs="+", choices=NAMES, metavar="NAME", help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="where the data are")
    return parser.parse_args(given)


def main() -> int:
    told = arguments()
    if not told.data.is_dir():
        print(f"{told.data}: there is no such directory; name the data's with --data", file=sys.stderr)
        return 2
    if "fraud" in told.name and not importlib.util.find_spec("sklearn"):
        print(
            "fraud's baselines are scikit-learn's, which is not installed here: make quality STREAM=fraud",
            file=sys.stderr,
        )
        return 2
    reached = [importlib.import_module(f"benchmarks.quality.{name}").run(told.data) for name in told.name]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
