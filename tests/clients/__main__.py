"""``make clients``: play the scenes with the libraries that are installed, and say what is no longer as it was.

``--markdown`` writes the table for docs/guarantees.md; ``--json`` only what was measured, for the tests. Exit code 1 when a
cell has changed. A process of its own also because the libraries leave sockets and threads behind after such faults.
"""

import argparse
import json
import logging
import sys
import warnings

from tests.clients import scenes, table


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__.splitlines()[0])
    arguments.add_argument("--markdown", action="store_true", help="as docs/guarantees.md shows it")
    arguments.add_argument("--json", action="store_true", help="only what was measured; nothing is compared")
    asked = arguments.parse_args()
    logging.disable()  # the libraries complain of the faults that they are given
    warnings.simplefilter("ignore")
    versions = scenes.versions()
    measured = scenes.play()
    if asked.json:
        print(json.dumps(measured))
        return 0
    wanted = table.expected()
    changed = list(table.changes(wanted, measured, versions))
    if asked.markdown and not changed:
        print(table.as_markdown(wanted._replace(versions=versions)))
    else:
        print(table.as_text(wanted, measured, versions))
    for change in changed:
        print(f"\n{change}", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
