"""The columns of ``Ratio`` and ``Difference``: which feature each is made with, and its name."""

from collections.abc import Sequence
from math import isfinite

from learners.transformers.columns import Features, listed


def paired(
    of: str, to: str | Sequence[str], name: str | Sequence[str] | None, default: float | None, *, word: str
) -> tuple[tuple[str, str], ...]:
    """``(other feature, column's name)`` for each of ``to``.

    Raises
    ------
    ValueError
        As many names as features are needed, different from one another and from the operands; the default is finite.
    """
    listed(of if isinstance(of, str) else "", "of")
    features = listed(to, "to")
    names = tuple(f"{of}_{word}_{other}" for other in features) if name is None else listed(name, "name")
    if len(names) != len(features):
        raise ValueError(f"{len(names)} names for {len(features)} columns: `name` has one for each of `to`")
    if taken := {of, *features}.intersection(names):
        raise ValueError(f"`name`: {', '.join(sorted(taken))} is one of the operands")
    if default is not None and not isfinite(default):
        raise ValueError(f"`default` is a finite number, got {default!r}")
    return tuple(zip(features, names, strict=True))


def put(row: Features, name: str, value: float | None, default: float | None) -> None:
    """A column's value into a new row: the default in place of one that is missing or not finite, else no column."""
    if value is not None and isfinite(value):
        row[name] = value
    elif default is not None:
        row[name] = float(default)
    else:
        row.pop(name, None)
