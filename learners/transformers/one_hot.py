"""Categories as columns of zeros and ones: the frequent ones each, the rare ones together, never too many."""

from collections.abc import Sequence

from river import base

from learners.transformers.columns import Features, at_least, category, listed, without


class OneHot(base.Transformer):
    """For each category that was learned often enough a column, and one column for all that are rare or unseen.

    A category that has a column keeps it. The columns of a feature are ``<of>_rare``, then ``<of>=<category>`` in the order
    in which categories became frequent. A missing feature has zeros only. An unseen category counts as rare: a column of its
    own would never be learned, because a chain learns a row before it transforms it.

    Counts are kept for ``candidates_max`` rare categories of a feature at most, by the rule of Misra and Gries: when all places
    are taken, a new category takes one off every count instead. So counts are too low by at most the number of values learned
    divided by ``candidates_max``; never too high.

    Parameters
    ----------
    of : str or sequence of str
        The features to encode; a number or a boolean is a category too. Texts are cut after 200 characters.
    min_count : int
        Rows learned with a category before it has a column.
    columns_max : int
        Columns of one feature, beside the rare one. Once all are given, everything else stays rare.
    candidates_max : int
        See above.
    zeros : bool
        Whether columns that are 0 are written. A scaler or a tree behind needs them; a linear model without a scaler does
        not, and costs less without.
    keep : bool
        Whether the encoded features stay beside their columns.

    Raises
    ------
    ValueError
        Names or bounds that do not fit.

    References
    ----------
    Misra, J. and Gries, D. (1982). Finding repeated elements. Science of Computer Programming 2(2).

    Examples
    --------
    >>> encoder = OneHot(of="country", min_count=2)
    >>> for country in ("NL", "FR", "NL"):
    ...     encoder.learn_one({"country": country})
    >>> encoder.transform_one({"country": "NL", "amount": 9.5})
    {'amount': 9.5, 'country_rare': 0.0, 'country=NL': 1.0}
    >>> encoder.transform_one({"country": "DE", "amount": 9.5})
    {'amount': 9.5, 'country_rare': 1.0, 'country=NL': 0.0}
    """

    def __init__(
        self,
        of: str | Sequence[str],
        min_count: int = 10,
        columns_max: int = 100,
        candidates_max: int = 1000,
        zeros: bool = True,
        keep: bool = False,
    ) -> None:
        self.of = of
        self.min_count = at_least(min_count, 1, "min_count")
        self.columns_max = at_least(columns_max, 1, "columns_max")
        self.candidates_max = at_least(candidates_max, 1, "candidates_max")
        self.zeros = zeros
        self.keep = keep
        self._names = listed(of, "of")
        self._rare = {name: f"{name}_rare" for name in self._names}
        self._columns: dict[str, dict[str, str]] = {name: {} for name in self._names}
        self._counts: dict[str, dict[str, int]] = {name: {} for name in self._names}
        self._all_zero: Features = dict.fromkeys(self._rare.values(), 0.0)

    def learn_one(self, x: Features) -> None:
        for name in self._names:
            found = category(x.get(name))
            if found is not None and found not in self._columns[name] and len(self._columns[name]) < self.columns_max:
                self._count(name, found)

    def _count(self, name: str, found: str) -> None:
        counts = self._counts[name]
        count = counts.get(found, 0) + 1
        if count >= self.min_count:
            counts.pop(found, None)
            self._columns[name][found] = column = f"{name}={found}"
            self._all_zero[column] = 0.0
            if len(self._columns[name]) == self.columns_max:
                counts.clear()
        elif found in counts or len(counts) < self.candidates_max:
            counts[found] = count
        else:
            self._counts[name] = {other: less - 1 for other, less in counts.items() if less > 1}

    def transform_one(self, x: Features) -> Features:
        encoded = dict(x) if self.keep else without(x, self._rare)
        if self.zeros:
            encoded |= self._all_zero
        for name in self._names:
            found = category(x.get(name))
            if found is not None:
                encoded[self._columns[name].get(found, self._rare[name])] = 1.0
        return encoded
