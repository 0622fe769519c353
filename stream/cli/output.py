"""What verbs print: a table for people, JSON for programs, a question before something is done. No verb's own words."""

import json
import math
import sys
from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows under the columns' names; numbers to the right, absent values as ``-``.

    Examples
    --------
    >>> print(table([{"task": 0, "lag": 12}], ["task", "lag"]))
    task  lag
       0   12
    """
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)]
    right = [
        all(isinstance(row.get(column), (int, float, type(None))) for row in rows) and bool(rows) for column in columns
    ]
    lines = [list(columns), *cells]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if is_right else f"{cell:<{width}}"
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def print_json(value: object) -> None:
    """Indented, with keys in their order. A number that is not finite, which JSON does not have, is null."""
    print(json.dumps(_json(value), indent=2, ensure_ascii=False, allow_nan=False))


def _json(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def age(seconds: float) -> str:
    """A length of time in its two largest units: ``3d 4h``, ``12s``."""
    pieces: list[str] = []
    rest = max(int(seconds), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not pieces):
            pieces.append(f"{count}{unit}")
    return " ".join(pieces[:2])


def size(count: float) -> str:
    """Bytes in the largest fitting unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: ``--yes`` says so, else a person is asked; where nobody can be asked, the answer is no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        print(f"headrace: {question} Nobody is here to ask; say --yes.", file=sys.stderr)
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
