"""The planted bugs as data: ``*.toml`` beside this file, one table each. Read __main__.py for how they are tried.

::

    [name]
    file = "stream/runtime/task.py"
    old = '''text that stands there exactly once'''       # or a list of texts,
    new = '''what a tired engineer might have written'''  # each replaced by the one in the same place
    breaks = "What goes wrong then, in one sentence."
    tests = "tests/conformance/test_x.py -k redis"  # pytest's arguments: who must notice it, when the simulator cannot
    calm = false    # it shows without any fault as well (default: a run in peace is the same to the byte)
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """A small change to one file."""

    name: str
    file: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    breaks: str
    calm: bool = True
    """A run in which nothing goes wrong gives the same outputs with it."""
    tests: str = ""
    """Arguments of pytest: these tests must notice it, in the place of the simulator, through which it does not pass."""

    def apply(self, root: Path) -> None:
        """Change the file in a copy of the tree. Raises ValueError when an old text does not stand there once."""
        path = root / self.file
        text = path.read_text("utf-8")
        for old, new in zip(self.old, self.new, strict=True):
            if (found := text.count(old)) != 1:
                raise ValueError(
                    f"mutant {self.name}: its old text stands {found} times in {self.file}, not once:\n{old}"
                )
            text = text.replace(old, new)
        path.write_text(text, "utf-8")


def catalogue() -> list[Mutant]:
    """All of them, in the order in which they are written down."""
    mutants = [
        _mutant(name, **table)
        for path in sorted(HERE.glob("*.toml"))
        for name, table in tomllib.loads(path.read_text("utf-8")).items()
    ]
    names = [mutant.name for mutant in mutants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two mutants are called {', '.join(sorted(twice))}")
    return mutants


def _mutant(name: str, *, old: str | list[str], new: str | list[str], **rest: Any) -> Mutant:
    olds, news = ((one,) if isinstance(one, str) else tuple(one) for one in (old, new))
    return Mutant(name=name, old=olds, new=news, **rest)
