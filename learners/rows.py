"""Rows of features: their layout, a batch of them as dicts or as a matrix, and their compact storage while they wait.

A *closed* layout lists its features: a row is a tuple of values in that order, None where an optional one is missing.
An *open* layout takes every number, boolean and string of a record, whatever their names: a row is a dict. Numbers are
float64 and finite; whoever makes rows has checked that (stream/codec.py). It is not the place where features are
computed: that is ``learners/features/``. NumPy only. Read base.py first, river.py next.
"""

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from learners.base import Value

FeatureKind: TypeAlias = Literal["number", "boolean", "text", "key"]
"""A key is text, or a whole number that stands for its digits."""

TEXTS: Final = frozenset({"text", "key"})
"""Kinds that a matrix does not hold."""

Row: TypeAlias = tuple[Value | None, ...] | dict[str, Value]
"""One event's features: a tuple in layout order, or a dict when the layout is open."""


class Feature(NamedTuple):
    """A feature of a closed layout."""

    name: str
    kind: FeatureKind
    required: bool = True
    hidden: bool = False
    """Learners do not see it; feature stages do. Hidden ones come last."""


def _dict_maker(features: Sequence[Feature]) -> Callable[[Sequence[Row]], list[dict[str, Value]]]:
    """A comprehension over tuples, generated: 0.45 µs for 20 features, where ``dict(zip())`` takes 0.94."""
    unpacked = "".join(f"r{place}, " for place in range(len(features)))
    items = ", ".join(f"{feature.name!r}: r{place}" for place, feature in enumerate(features) if not feature.hidden)
    source = f"lambda rows: [{{{items}}} for ({unpacked}) in rows]"
    return cast(
        "Callable[[Sequence[Row]], list[dict[str, Value]]]",
        eval(source, {"__builtins__": {}}),  # noqa: S307 - names enter as their repr, which is a literal and nothing else
    )


class Layout:
    """Which features a row has, and in what order.

    Parameters
    ----------
    features : tuple of Feature, or None
        None leaves the layout open.

    Examples
    --------
    >>> layout = Layout((Feature("amount", "number"), Feature("country", "text", required=False)))
    >>> layout.dicts([(12.5, "NL"), (3.0, None)])
    [{'amount': 12.5, 'country': 'NL'}, {'amount': 3.0}]
    """

    __slots__ = ("_make_dicts", "_numeric", "_optional", "_pack_row", "_places", "features", "names")

    def __init__(self, features: tuple[Feature, ...] | None) -> None:
        self.features = features
        self._places = {feature.name: place for place, feature in enumerate(features or ())}
        if len(self._places) != len(features or ()):
            raise ValueError(f"a feature is listed twice: {', '.join(feature.name for feature in features or ())}")
        seen = [feature for feature in features or () if not feature.hidden]
        if tuple(seen) != (features or ())[: len(seen)]:
            raise ValueError("hidden features come last")
        self.names: tuple[str, ...] = tuple(feature.name for feature in seen)
        """Of those that learners see."""
        self._numeric = all(feature.kind in {"number", "boolean"} for feature in seen)
        self._optional = not all(feature.required for feature in seen)
        self._make_dicts = _dict_maker(features) if features else None
        self._pack_row = Struct(f"{len(self.names)}d").pack

    def __reduce__(self) -> tuple[type["Layout"], tuple[tuple[Feature, ...] | None]]:
        return Layout, (self.features,)

    @property
    def is_open(self) -> bool:
        """Whether rows are dicts with whatever features a record has."""
        return self.features is None

    def place(self, name: str) -> int:
        """Index of a feature in a row. Raises KeyError."""
        return self._places[name]

    def test(self, name: str, equals: Value) -> Callable[[Row], bool]:
        """Whether a row's feature has this value. Raises KeyError when a closed layout does not have it."""
        if self.features is None:
            return lambda row: cast("dict[str, Value]", row).get(name) == equals
        place = self.place(name)
        return lambda row: cast("tuple[Value | None, ...]", row)[place] == equals

    def dicts(self, rows: Sequence[Row]) -> list[dict[str, Value]]:
        """A dict a row, features in the configured order; a missing feature is an absent key.

        Dicts of an open layout are the rows themselves.
        """
        if self.features is None:
            return cast("list[dict[str, Value]]", list(rows))
        if self._make_dicts is None:
            return [{} for _ in rows]
        dicts = self._make_dicts(rows)
        if not self._optional:
            return dicts
        return [
            {name: value for name, value in one.items() if value is not None} if None in one.values() else one
            for one in dicts
        ]

    def matrix(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """``(n_rows, n_features)``: booleans are 0 and 1, NaN where missing or text. Raises TypeError when open."""
        features = self.features
        if features is None:
            raise TypeError("rows with open features have no matrix: list the features in the configuration")
        width = len(self.names)
        if self._numeric and not self._optional:
            # 0.12 µs for 20 features, where np.fromiter takes 0.23 and np.array 0.38
            pack = self._pack_row
            told = cast("Any", rows) if width == len(features) else [cast("Any", row)[:width] for row in rows]
            return np.frombuffer(bytearray().join([pack(*row) for row in told])).reshape(len(rows), width)
        return _numbers(features[:width], rows)

    def pack(self, rows: Sequence[Row]) -> "Packed":
        """Store rows compactly; they come back to the bit and type."""
        features = self.features
        if features is None:
            return Packed(self, None, {}, self.dicts(rows))
        text = {
            feature.name: [cast("str | None", cast("tuple[Value, ...]", row)[place]) for row in rows]
            for place, feature in enumerate(features)
            if feature.kind in TEXTS
        }
        return Packed(self, _numbers(features, rows), text, None)

    def unpack(self, packed: "Packed") -> list[Row]:
        """All rows of ``packed``."""
        return packed.take(range(len(packed)))

    def packed_from(self, tables: Mapping[str, Any]) -> "Packed":
        """What ``Packed.tables`` told. Raises ValueError when the tables are not of this layout."""
        if self.features is None:
            if "dicts" not in tables:
                raise ValueError("the stored rows list their features, this layout leaves them open")
            return Packed(self, None, {}, list(tables["dicts"]))
        names = tuple(self._places)
        if tuple(tables.get("names", ())) != names or "matrix" not in tables:
            raise ValueError(f"the stored rows have other features than {', '.join(names) or 'none'}")
        return Packed(self, tables["matrix"], dict(tables["text"]), None)


class Packed:
    """Rows in storage: a matrix and columns of text, 8 bytes a number; or the dicts of an open layout. Never changed."""

    __slots__ = ("_dicts", "_layout", "_matrix", "_text")

    def __init__(
        self,
        layout: Layout,
        matrix: NDArray[np.float64] | None,
        text: dict[str, list[str | None]],
        dicts: list[dict[str, Value]] | None,
    ) -> None:
        self._layout = layout
        self._matrix = matrix
        self._text = text
        self._dicts = dicts

    def __len__(self) -> int:
        return len(self._dicts) if self._matrix is None else len(self._matrix)  # type: ignore[arg-type] # one is there

    def take(self, indices: Sequence[int]) -> list[Row]:
        """Rows again, in the order asked for."""
        if self._matrix is None:
            dicts = self._dicts or []
            return [dicts[index] for index in indices]
        features = self._layout.features or ()
        if not features:
            return [()] * len(indices)
        columns: list[Sequence[Value | None]] = []
        for numbers, feature in zip(self._matrix[list(indices)].T.tolist(), features, strict=True):
            if feature.kind in TEXTS:
                texts = self._text[feature.name]
                columns.append([texts[index] for index in indices])
            elif feature.kind == "boolean":
                columns.append([None if number != number else number == 1.0 for number in numbers])  # noqa: PLR0124 - NaN
            elif feature.required:
                columns.append(numbers)
            else:
                columns.append([None if number != number else number for number in numbers])  # noqa: PLR0124 - NaN
        return list(zip(*columns, strict=True))

    def tables(self) -> dict[str, object]:
        """The same as plain arrays and lists, for ``Layout.packed_from``."""
        if self._matrix is None:
            return {"dicts": self._dicts}
        names = [feature.name for feature in self._layout.features or ()]
        return {"names": names, "matrix": self._matrix, "text": self._text}


def _numbers(features: Sequence[Feature], rows: Sequence[Row]) -> NDArray[np.float64]:
    """``(n_rows, n_features)`` of the first columns; NaN where missing or text."""
    matrix = np.full((len(rows), len(features)), np.nan)
    for place, (feature, column) in enumerate(zip(features, zip(*rows, strict=True), strict=False)):
        if feature.kind not in TEXTS:
            matrix[:, place] = np.array(column, np.float64)  # None becomes NaN
    return matrix


class Frame:
    """A batch's rows as learners and feature stages see them (``learners.base.Rows``). Views are built on first use.

    Parameters
    ----------
    layout : Layout
    rows : sequence of Row
        Not changed, and not to be changed while the frame is in use.
    times_ms : callable
        Returns each row's own event time, ``(n_rows,)``. Called when somebody asks.
    """

    __slots__ = ("_added", "_dicts", "_layout", "_matrix", "_rows", "_times", "_times_ms")

    def __init__(self, layout: Layout, rows: Sequence[Row], times_ms: Callable[[], Sequence[int]] = tuple) -> None:
        self._layout = layout
        self._rows = rows
        self._times_ms = times_ms
        self._times: NDArray[np.int64] | None = None
        self._added: dict[str, NDArray[np.float64]] = {}
        self._dicts: list[dict[str, Value]] | None = None
        self._matrix: NDArray[np.float64] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Features in the configured order, then the computed ones; empty when the layout is open."""
        return () if self._layout.is_open else self._layout.names + tuple(self._added)

    def __len__(self) -> int:
        return len(self._rows)

    def dicts(self) -> Sequence[dict[str, Value]]:
        """A dict a row, computed features last; a missing feature (of a computed one: NaN) is an absent key."""
        if self._dicts is None:
            dicts = self._layout.dicts(self._rows)
            if self._added:
                names = tuple(self._added)
                numbers = np.column_stack(list(self._added.values()))
                holes = bool(np.isnan(numbers).any())
                if self._layout.is_open:  # these dicts belong to the rows, which wait without computed features
                    dicts = [dict(one) for one in dicts]
                for one, values in zip(dicts, numbers.tolist(), strict=True):
                    pairs = zip(names, values, strict=True)
                    one.update([pair for pair in pairs if pair[1] == pair[1]] if holes else pairs)
            self._dicts = dicts
        return self._dicts

    def matrix(self) -> NDArray[np.float64]:
        """``(n_rows, n_features)``, computed features last. Raises TypeError when the layout is open."""
        if self._matrix is None:
            matrix = self._layout.matrix(self._rows)
            self._matrix = np.column_stack([matrix, *self._added.values()]) if self._added else matrix
        return self._matrix

    def times_ms(self) -> NDArray[np.int64]:
        """Of each row, its event's own time in milliseconds since 1970, ``(n_rows,)``."""
        if self._times is None:
            self._times = np.array(self._times_ms(), np.int64)
        return self._times

    def column(self, name: str) -> Sequence[Value | None]:
        """One feature of every row, hidden ones too, None where missing. Raises KeyError when a closed layout lacks it."""
        if (added := self._added.get(name)) is not None:
            return [None if number != number else number for number in added.tolist()]  # noqa: PLR0124 - NaN
        if self._layout.is_open:
            return [cast("dict[str, Value]", row).get(name) for row in self._rows]
        place = self._layout.place(name)
        return [cast("tuple[Value | None, ...]", row)[place] for row in self._rows]

    def add(self, names: tuple[str, ...], values: NDArray[np.float64]) -> None:
        """Append computed features, ``values`` of shape ``(n_rows, len(names))``. Views given out before stay as they were.

        Raises
        ------
        ValueError
            When the shape does not fit, or a feature of that name is there already.
        """
        if values.shape != (len(self._rows), len(names)):
            raise ValueError(f"{len(names)} features for {len(self._rows)} rows, but values of shape {values.shape}")
        taken = {*self._layout.names, *self._added}
        for place, name in enumerate(names):
            if name in taken:
                raise ValueError(f"there is a feature {name!r} already")
            taken.add(name)
            self._added[name] = values[:, place]
        self._dicts = self._matrix = None
