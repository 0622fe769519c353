"""A value in place of one that is missing. River's imputers fill None; here a missing feature is an absent key."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal, get_args

from river import base

from learners.transformers.columns import Features, is_missing, listed

How = Literal["mean", "last", "value"]


class Fill(base.Transformer):
    """Missing features get their running mean, the last value seen, or a given value.

    A filled feature stands behind those that the row has, in the order of ``of``. What a mean or a last value is, is known
    from rows that were learned; before the first of them ``value`` is used, or the feature stays missing.

    Parameters
    ----------
    of : str or sequence of str
        The features to fill. Each keeps one value of state.
    how : {"mean", "last", "value"}
        "mean": of all values learned (in the feature's unit; Welford's update, as River's ``stats.Mean``).
        "last": the value learned last, of whatever key; a window's ``last`` is the one of the same card.
        "value": always ``value``.
    value : float, bool or str, optional
        See above.

    Raises
    ------
    ValueError
        An unknown ``how``, or "value" without a value.
    TypeError
        When the mean of a text is to be learned.

    Examples
    --------
    >>> fill = Fill(of="income", how="mean")
    >>> for income in (20.0, 40.0):
    ...     fill.learn_one({"income": income})
    >>> fill.transform_one({"age": 31.0})
    {'age': 31.0, 'income': 30.0}
    """

    def __init__(self, of: str | Sequence[str], how: How = "mean", value: float | str | None = None) -> None:
        if how not in get_args(How):
            raise ValueError(f"`how` is one of {', '.join(get_args(How))}, got {how!r}")
        if how == "value" and value is None:
            raise ValueError("`how: value` needs a `value`")
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"`value` is a finite number or a text, got {value!r}")
        self.of = of
        self.how = how
        self.value = value
        self._names = listed(of, "of")
        self._counts = dict.fromkeys(self._names, 0)
        start: Any = float(value) if type(value) is int else value
        self._known: dict[str, Any] = {} if value is None else dict.fromkeys(self._names, start)

    def learn_one(self, x: Features) -> None:
        if self.how == "value":
            return
        for name in self._names:
            value = x.get(name)
            if is_missing(value):
                continue
            if self.how == "last":
                self._known[name] = value
            else:
                self._average(name, value)

    def _average(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            raise TypeError(f"the feature {name} is text, which has no mean; fill it with `how: last`")
        count = self._counts[name] + 1
        mean = self._known[name] if count > 1 else 0.0
        moved = mean + (value - mean) / count
        if isfinite(moved):  # neither an infinity, nor so far off that the mean would be one
            self._counts[name], self._known[name] = count, moved

    def transform_one(self, x: Features) -> Features:
        filled = dict(x)
        for name in self._names:
            if is_missing(x.get(name)):
                filled.pop(name, None)
                if name in self._known:
                    filled[name] = self._known[name]
        return filled
