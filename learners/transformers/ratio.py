"""One feature divided by others: an amount by what is usual for its card. Read difference.py for its neighbour."""

from learners.transformers.pairs import Pairs


class Ratio(Pairs):
    """``of`` divided by each of ``to``. Learns nothing.

    The ratio is missing where an operand is missing, the denominator is 0 or the result is beyond 1e100.

    Parameters
    ----------
    of : str
        The numerator. A boolean is 0 or 1.
    to : str or sequence of str
        The denominators; one column each.
    name : str or sequence of str, optional
        Names of the columns, one for each of ``to``. Default: ``<of>_per_<to>``. A feature of that name is replaced.
    default : float, optional
        What a missing ratio is instead, in the ratio's unit (that of ``of`` by that of ``to``).

    Raises
    ------
    ValueError
        Names that do not fit, or a default that is not finite.
    TypeError
        When it meets a text.

    Examples
    --------
    >>> ratio = Ratio(of="amount", to="amount_mean_30d")
    >>> ratio.transform_one({"amount": 90.0, "amount_mean_30d": 60.0})
    {'amount': 90.0, 'amount_mean_30d': 60.0, 'amount_per_amount_mean_30d': 1.5}
    >>> ratio.transform_one({"amount": 90.0, "amount_mean_30d": 0.0})
    {'amount': 90.0, 'amount_mean_30d': 0.0}
    """

    word = "per"

    def made(self, first: float, second: float) -> float | None:
        return first / second if second else None
