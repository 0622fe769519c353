"""One feature less others: an amount less what is usual for its card. Read ratio.py for its neighbour."""

from learners.transformers.pairs import Pairs


class Difference(Pairs):
    """``of`` less each of ``to``. Learns nothing.

    The difference is missing where an operand is missing or the result is beyond 1e100.

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

    word = "minus"

    def made(self, first: float, second: float) -> float | None:
        return first - second
