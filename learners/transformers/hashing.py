"""Categories hashed into a fixed number of columns, for those with more values than columns can be given to."""

from collections.abc import Sequence
from typing import Any

from river import base, preprocessing

from learners.transformers.columns import Features, at_least, category, listed, without


class Hash(base.Transformer):
    """The hashing trick (Weinberger and others 2009) over some features; all others pass as they are. Learns nothing.

    Each ``feature=category`` adds 1 or -1 to the column that its hash names. The hash is that of River's ``FeatureHasher``
    (MurmurHash3 with a seed), which alone would hash the numbers of a row into the same columns. Python's ``hash`` is
    seeded anew in every process and is never used. Two categories may share a column: of 1,000 in 256 columns all do.

    Parameters
    ----------
    of : str or sequence of str
        The features to hash, all into the same columns; a number or a boolean is a category too. Texts are cut after 200
        characters. A missing feature adds nothing.
    columns : int
        How many, named ``<prefix>_0`` to ``<prefix>_<columns - 1>``.
    seed : int
        Another seed, other collisions.
    signed : bool
        Whether half of the categories add -1, so that those that meet cancel in the mean rather than add up.
    zeros : bool
        Whether columns that are 0 are written. A scaler or a tree behind needs them; a linear model without a scaler does
        not, and costs less without.
    keep : bool
        Whether the hashed features stay beside the columns.
    prefix : str
        See ``columns``.

    Raises
    ------
    ValueError
        Names or numbers that do not fit.

    References
    ----------
    Weinberger, K. and others (2009). Feature hashing for large scale multitask learning. ICML.

    Examples
    --------
    >>> Hash(of="merchant", columns=4).transform_one({"merchant": "m-17", "amount": 9.5})
    {'amount': 9.5, 'hash_0': 0.0, 'hash_1': -1.0, 'hash_2': 0.0, 'hash_3': 0.0}
    """

    def __init__(
        self,
        of: str | Sequence[str],
        columns: int = 64,
        seed: int = 0,
        signed: bool = True,
        zeros: bool = True,
        keep: bool = False,
        prefix: str = "hash",
    ) -> None:
        self.of = of
        self.columns = at_least(columns, 1, "columns")
        self.seed = at_least(seed, 0, "seed")
        self.signed = signed
        self.zeros = zeros
        self.keep = keep
        self.prefix = prefix
        self._names = listed(of, "of")
        self._column_names = tuple(f"{prefix}_{place}" for place in range(columns))
        self._all_zero: Features = dict.fromkeys(self._column_names, 0.0)
        self._hasher: Any = preprocessing.FeatureHasher(n_features=columns, seed=seed, alternate_sign=signed)

    def transform_one(self, x: Features) -> Features:
        hashed = dict(x) if self.keep else without(x, self._names)
        if self.zeros:
            hashed |= self._all_zero
        texts = {name: found for name in self._names if (found := category(x.get(name))) is not None}
        for place, value in sorted(self._hasher.transform_one(texts).items()):
            hashed[self._column_names[place]] = float(value)
        return hashed
