"""A category as the mean of the labels that it had: one number for a country, a terminal, a merchant."""

from collections import OrderedDict
from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeAlias

from river import base

from learners.transformers.columns import Features, at_least, category, listed, without

_Tally: TypeAlias = tuple[float, float, int]
"""Sum of labels, their number, and how many labels had been learned when the two were true."""


class TargetMean(base.SupervisedTransformer, base.Transformer):
    """Target encoding: of each of ``of`` the mean label of its category, drawn towards the mean of all labels.

    With ``n`` labels of mean ``m`` in a category and ``M`` the mean of all, it is ``(n m + weight M) / (n + weight)``: the
    blend of Micci-Barreca (2001) with λ(n) = n / (n + weight). An unseen category has ``M``. It is missing where the feature
    is missing, before the first label, and where the sum of labels is no finite number.

    It learns when a label comes, so it holds no label that was not known at that time. A chain transforms a row before
    this learns it: a row's own label is not in its own encoding, but for a correction, whose event was learned with the
    assumed label before. A correction counts as a further label; nothing is taken back.

    Parameters
    ----------
    of : str or sequence of str
        The features to encode, each by itself; a number or a boolean is a category too. Texts are cut after 200 characters.
        The columns are named ``<of>_target``.
    weight : float
        How many labels the mean of all is worth.
    half_life : float, optional
        Labels learned (of any category) after which a label counts half, in its category and in the mean of all. None:
        all count the same for ever.
    categories_max : int
        Categories of one feature. When there are more, the one that was learned longest ago is forgotten.
    label : str, optional
        Of a multiclass problem, the class whose share is encoded.
    keep : bool
        Whether the encoded features stay beside their columns.

    Raises
    ------
    ValueError
        Names or numbers that do not fit.
    TypeError
        When a label is neither a number nor a boolean, and no class is named; or there is none (anomaly problems).

    References
    ----------
    Micci-Barreca, D. (2001). A preprocessing scheme for high-cardinality categorical attributes in classification and
    prediction problems. SIGKDD Explorations 3(1).

    Examples
    --------
    >>> encoder = TargetMean(of="terminal", weight=2.0)
    >>> for terminal, fraud in (("a", True), ("a", True), ("b", False), ("b", False)):
    ...     encoder.learn_one({"terminal": terminal}, fraud)
    >>> [encoder.transform_one({"terminal": terminal}) for terminal in "abc"]
    [{'terminal_target': 0.75}, {'terminal_target': 0.25}, {'terminal_target': 0.5}]
    """

    def __init__(
        self,
        of: str | Sequence[str],
        weight: float = 20.0,
        half_life: float | None = None,
        categories_max: int = 10_000,
        label: str | None = None,
        keep: bool = False,
    ) -> None:
        if not weight >= 0.0:
            raise ValueError(f"`weight` is a number of labels, not negative, got {weight!r}")
        if half_life is not None and not half_life > 0.0:
            raise ValueError(f"`half_life` is a number of labels above 0, got {half_life!r}")
        self.of = of
        self.weight = weight
        self.half_life = half_life
        self.categories_max = at_least(categories_max, 1, "categories_max")
        self.label = label
        self.keep = keep
        self._names = listed(of, "of")
        self._columns = tuple((name, f"{name}_target") for name in self._names)
        self._learned = 0
        self._overall: _Tally = (0.0, 0.0, 0)
        self._tallies: dict[str, OrderedDict[str, _Tally]] = {name: OrderedDict() for name in self._names}

    def learn_one(self, x: Features, y: Any) -> None:  # type: ignore[override] # a Transformer too, or no chain takes it
        value = self._value(y)
        self._learned += 1
        self._overall = self._added(self._overall, value)
        for name in self._names:
            found = category(x.get(name))
            if found is None:
                continue
            tallies = self._tallies[name]
            tallies[found] = self._added(tallies.get(found, (0.0, 0.0, self._learned)), value)
            tallies.move_to_end(found)
            if len(tallies) > self.categories_max:
                tallies.popitem(last=False)

    def _value(self, y: Any) -> float:
        if self.label is not None:
            return 1.0 if y == self.label else 0.0
        if y is None or isinstance(y, str):
            raise TypeError("a label that is a number or a boolean is needed; of several classes, name one as `label`")
        return float(y)

    def _added(self, tally: _Tally, value: float) -> _Tally:
        total, count = self._now(tally)
        return total + value, count + 1.0, self._learned

    def _now(self, tally: _Tally) -> tuple[float, float]:
        """Sum and number of a tally as they count after the labels learned since."""
        total, count, at = tally
        if self.half_life is None:
            return total, count
        left: float = 0.5 ** ((self._learned - at) / self.half_life)
        return total * left, count * left

    def transform_one(self, x: Features) -> Features:
        encoded = dict(x) if self.keep else without(x, self._tallies)
        total, count = self._now(self._overall)
        if not count:
            return encoded
        mean = total / count
        if not isfinite(mean):
            return encoded
        for name, column in self._columns:
            found = category(x.get(name))
            if found is not None:
                tally = self._tallies[name].get(found)
                value = mean if tally is None else self._blend(tally, mean)
                if isfinite(value):
                    encoded[column] = value
        return encoded

    def _blend(self, tally: _Tally, mean: float) -> float:
        total, count = self._now(tally)
        weight = count + self.weight
        return (total + self.weight * mean) / weight if weight else mean
