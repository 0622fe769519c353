"""What the transformers share: reading a number or a category of a row, and checking names. ratio.py shows their use."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any, Final, TypeAlias

Features: TypeAlias = dict[Hashable, Any]
"""A row: River's ``x``."""

CATEGORY_CHARACTERS_MAX: Final = 200
"""Longer texts are cut: a category's name is kept in the state, and a record may be large."""


def listed(names: str | Sequence[str], parameter: str) -> tuple[str, ...]:
    """One name or several, as a tuple. Raises ValueError when there is none, one is no text, or one is there twice."""
    found = (names,) if isinstance(names, str) else tuple(names)
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ValueError(f"`{parameter}` is a feature's name or a list of names, got {names!r}")
    if len(set(found)) != len(found):
        raise ValueError(f"`{parameter}` names a feature twice: {', '.join(found)}")
    return found


def number(x: Features, name: str) -> float | None:
    """A feature as a float; None where it is missing (absent, None or NaN). Raises TypeError when it is text."""
    value = x.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        raise TypeError(f"the feature {name} is text where a number is needed")
    found = float(value)
    return found if found == found else None  # noqa: PLR0124 - NaN


def is_missing(value: object) -> bool:
    """Whether a feature that is there counts as missing: None and NaN."""
    return value is None or value != value  # noqa: PLR0124 - NaN


def category(value: object) -> str | None:
    """A feature as the name of a category, None where it is missing; 17.0 is "17", True is "true", long texts are cut."""
    if isinstance(value, str):
        return value if len(value) <= CATEGORY_CHARACTERS_MAX else value[:CATEGORY_CHARACTERS_MAX]
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(float(value))
    return str(value)[:CATEGORY_CHARACTERS_MAX]


def without(x: Features, names: Collection[Hashable]) -> Features:
    """A new row of the other features."""
    row = dict(x)
    for name in names:
        row.pop(name, None)
    return row


def at_least(value: int, least: int, parameter: str) -> int:
    """The value. Raises ValueError when it is no whole number or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{parameter}` is a whole number of at least {least}, got {value!r}")
    return value
