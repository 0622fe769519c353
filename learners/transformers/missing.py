"""That a feature is missing, as a feature. fill.py then puts a value in its place."""

from collections.abc import Sequence

from river import base

from learners.transformers.columns import Features, is_missing, listed


class Missing(base.Transformer):
    """For each of ``of`` a column that is 1 where the feature is missing, else 0. Learns nothing.

    In a chain it stands before ``Fill``, behind which nothing is missing any more.

    Parameters
    ----------
    of : str or sequence of str
        The features that are looked for. The columns are named ``<of>_missing``.

    Examples
    --------
    >>> Missing(of=["income", "age"]).transform_one({"age": 31.0})
    {'age': 31.0, 'income_missing': 1.0, 'age_missing': 0.0}
    """

    def __init__(self, of: str | Sequence[str]) -> None:
        self.of = of
        self._columns = tuple((name, f"{name}_missing") for name in listed(of, "of"))

    def transform_one(self, x: Features) -> Features:
        joined = dict(x)
        for name, column in self._columns:
            joined[column] = 1.0 if is_missing(x.get(name)) else 0.0
        return joined
