"""What ``Ratio`` and ``Difference`` share: one feature with each of others, and the names of the columns."""

from abc import abstractmethod
from collections.abc import Sequence
from math import isfinite

from river import base

from learners.features.stages import LARGEST
from learners.transformers.columns import Features, listed, number


class Pairs(base.Transformer):
    """``of`` with each of ``to``. Learns nothing; a column is missing where an operand is, or what is made of them.

    What is beyond ``learners.features.stages.LARGEST`` is missing, as it is for the stages of ``features:``.
    """

    word: str
    """Between the operands in a column's name."""

    def __init__(
        self,
        of: str,
        to: str | Sequence[str],
        name: str | Sequence[str] | None = None,
        default: float | None = None,
    ) -> None:
        self.of = of
        self.to = to
        self.name = name
        self.default = default
        self._pairs = _paired(of, to, name, default, word=self.word)

    @abstractmethod
    def made(self, first: float, second: float) -> float | None:
        """Of two numbers; None where there is nothing."""

    def transform_one(self, x: Features) -> Features:
        joined = dict(x)
        first = number(x, self.of)
        for other, name in self._pairs:
            second = number(x, other)
            value = None if first is None or second is None else self.made(first, second)
            _put(joined, name, value, self.default)
        return joined


def _paired(
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


def _put(row: Features, name: str, value: float | None, default: float | None) -> None:
    """A column's value into a new row: the default in place of one that is missing or beyond LARGEST, else no column."""
    if value is not None and abs(value) <= LARGEST:
        row[name] = value
    elif default is not None:
        row[name] = float(default)
    else:
        row.pop(name, None)
