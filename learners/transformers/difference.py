"""One feature less others: an amount less what is usual for its card. Read ratio.py for its neighbour."""

from collections.abc import Sequence

from river import base

from learners.transformers.columns import Features, number
from learners.transformers.pairs import paired, put


class Difference(base.Transformer):
    """``of`` less each of ``to``. Learns nothing.

    The difference is missing where an operand is missing or the result is not finite.

    Parameters
    ----------
    of : str
        What is subtracted from. A boolean is 0 or 1.
    to : str or sequence of str
        What is subtracted; one column each.
    name : str or sequence of str, optional
        Names of the columns, one for each of ``to``. Default: ``<of>_minus_<to>``. A feature of that name is replaced.
    default : float, optional
        What a missing difference is instead, in the unit of ``of``.

    Raises
    ------
    ValueError
        Names that do not fit, or a default that is not finite.
    TypeError
        When it meets a text.

    Examples
    --------
    >>> usual = Difference(of="amount", to=["amount_mean_1d", "amount_mean_7d"], name=["above_day", "above_week"])
    >>> usual.transform_one({"amount": 90.0, "amount_mean_7d": 60.0})
    {'amount': 90.0, 'amount_mean_7d': 60.0, 'above_week': 30.0}
    """

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
        self._pairs = paired(of, to, name, default, word="minus")

    def transform_one(self, x: Features) -> Features:
        joined = dict(x)
        whole = number(x, self.of)
        for other, name in self._pairs:
            less = number(x, other)
            put(joined, name, whole - less if whole is not None and less is not None else None, self.default)
        return joined
