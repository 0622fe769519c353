"""Some features of many, in an order that stays."""

from river import base

from learners.transformers.columns import Features, listed


class Select(base.Transformer):
    """The named features, in the order in which they are named; those that are missing stay absent. Learns nothing.

    In place of ``river.compose.Select`` (0.26.1), which keeps its names as a set and gives them in the set's order: sums
    over them differ in the last bit between two processes. It raises KeyError where a feature is missing.

    Parameters
    ----------
    *keys : str
        Names of features. In the configuration a list: ``learners.transformers.Select: [amount, hour]``.

    Examples
    --------
    >>> Select("hour", "amount", "country").transform_one({"amount": 90.0, "online": True, "hour": 3.0})
    {'hour': 3.0, 'amount': 90.0}
    """

    def __init__(self, *keys: str) -> None:
        self.keys = listed(keys, "keys")

    def transform_one(self, x: Features) -> Features:
        return {name: x[name] for name in self.keys if name in x}
