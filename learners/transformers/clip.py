"""Numbers held between two of their own running quantiles, so that one wild value does not move a linear model."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from river import base, stats

from learners.transformers.columns import Features, at_least, listed, number


class Clip(base.Transformer):
    """Each of ``of`` is not below its ``low`` and not above its ``high`` quantile, as far as they are known.

    The quantiles are River's: without ``window`` the P² estimate over all values learned (Jain and Chlamtac 1985, five
    markers each: it never forgets), with it the exact quantile of the last ``window`` values. A missing value stays missing.

    Parameters
    ----------
    of : str or sequence of str
        Numbers.
    low, high : float, optional
        Shares of the values, 0 < low < high < 1. None leaves that side open.
    warm_up : int
        Values of a feature that are learned before it is clipped, at least 5.
    window : int, optional
        Values that are remembered, 16 bytes each for a side; None for P².

    Raises
    ------
    ValueError
        Shares out of order, or a window shorter than the warm-up.
    TypeError
        When it meets a text.

    References
    ----------
    Jain, R. and Chlamtac, I. (1985). The P² algorithm for dynamic calculation of quantiles and histograms without storing
    observations. Communications of the ACM 28(10).

    Examples
    --------
    >>> clip = Clip(of="amount", low=None, high=0.9, warm_up=10, window=101)
    >>> for amount in range(101):
    ...     clip.learn_one({"amount": float(amount)})
    >>> clip.transform_one({"amount": 5000.0, "hour": 3.0})
    {'amount': 90.0, 'hour': 3.0}
    """

    def __init__(
        self,
        of: str | Sequence[str],
        low: float | None = 0.01,
        high: float | None = 0.99,
        warm_up: int = 100,
        window: int | None = None,
    ) -> None:
        for share in (low, high):
            if share is not None and not 0.0 < share < 1.0:
                raise ValueError(f"`low` and `high` are shares between 0 and 1, got {share!r}")
        if low is None and high is None:
            raise ValueError("nothing is clipped without `low` and `high`")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"`low` is below `high`, got {low!r} and {high!r}")
        self.of = of
        self.low = low
        self.high = high
        self.warm_up = at_least(warm_up, 5, "warm_up")
        self.window = None if window is None else at_least(window, self.warm_up, "window")
        self._names = listed(of, "of")
        self._counts = dict.fromkeys(self._names, 0)
        self._lows = {name: self._quantile(low) for name in self._names}
        self._highs = {name: self._quantile(high) for name in self._names}

    def _quantile(self, share: float | None) -> Any:
        if share is None:
            return None
        return stats.Quantile(share) if self.window is None else stats.RollingQuantile(share, self.window)

    def learn_one(self, x: Features) -> None:
        for name in self._names:
            value = number(x, name)
            if value is None or not isfinite(value):
                continue
            self._counts[name] += 1
            for quantile in (self._lows[name], self._highs[name]):
                if quantile is not None:
                    quantile.update(value)

    def transform_one(self, x: Features) -> Features:
        clipped = dict(x)
        for name in self._names:
            if self._counts[name] < self.warm_up:
                continue
            value = number(x, name)
            if value is None:
                continue
            # Between two numbers of 300 digits a quantile may be infinite; then it bounds nothing.
            low, high = self._lows[name], self._highs[name]
            if low is not None and isfinite(bound := low.get()):
                value = max(value, bound)
            if high is not None and isfinite(bound := high.get()):
                value = min(value, bound)
            clipped[name] = value
        return clipped
