"""One line about a fold that goes on, on a terminal: how far it is, how fast, and how long still. Writes to standard error."""

import sys
import time

from stream.cli.output import age

EVERY_S = 0.5


class Headway:
    """Tells at most twice a second, and nothing where there is no terminal.

    Parameters
    ----------
    what : str
        Is done with the records: ``folded``, ``searched``.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._begun = self._told = time.monotonic()
        self._shows = sys.stderr.isatty() and not quiet
        self._line = False

    def tell(self, records: int, share: float) -> None:
        """So many records are done, which is this share of all, from 0 to 1."""
        now = time.monotonic()
        if self._shows and now - self._told >= EVERY_S:
            self._told, self._line = now, True
            spent = now - self._begun
            left = f", {age(spent / share - spent)} left" if share > 0 else ""
            text = f"{records:,} records {self._what}, {records / spent:,.0f}/s, {share:.0%}{left}"
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Take the line away."""
        if self._line:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._line = False
