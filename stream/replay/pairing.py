"""Which event of one run is which of another: by id and time, when the files do not hold the same rows in the same order.

Not here: what is made of a pair (evaluate.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.replay.judged import Judged

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Event ``one[i]`` of the one run is event ``other[i]`` of the other."""

    one: Ints
    other: Ints
    labels_differ: int
    """Pairs left out, because the runs know different labels."""


def paired(one: Judged, other: Judged) -> Pair:
    """Events that both runs hold, in the order of the first, but those on whose label they do not agree."""
    if one.ids.equals(other.ids) and np.array_equal(one.time_ms, other.time_ms):
        left = right = np.arange(len(one))
    else:
        left, right = _by_name(one, other)
    a, b = one.label[left], _as_of(one, other)[right]
    differ = np.isfinite(a) & np.isfinite(b) & (a != b)
    return Pair(left[~differ], right[~differ], int(differ.sum()))


def _by_name(one: Judged, other: Judged) -> tuple[Ints, Ints]:
    """An id that comes twice at the same time is the first one of its file."""
    import pyarrow.compute as pc  # noqa: PLC0415 - a heavy import

    found = pc.fill_null(pc.index_in(_names(one), _names(other)), -1).to_numpy().astype(np.int64)
    left = np.flatnonzero(found >= 0)
    right, first = np.unique(found[left], return_index=True)
    kept = np.sort(first)
    return left[kept], found[left][kept] if len(right) else right


def _names(judged: Judged) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    times = pc.cast(pa.array(judged.time_ms), pa.string())
    ids = pc.cast(judged.ids, pa.string())
    return pc.binary_join_element_wise(ids, times, "\n")


def _as_of(one: Judged, other: Judged) -> NDArray[np.float64]:
    """The other's labels in the numbers of the one: classes may stand in another order."""
    if one.classes == other.classes or not other.classes:
        return other.label
    place = {name: float(i) for i, name in enumerate(one.classes)}
    own = np.array([place.get(name, -1.0) for name in other.classes])
    labels = np.full(len(other.label), np.nan)
    known = np.isfinite(other.label)
    labels[known] = own[other.label[known].astype(np.int64)]
    return labels
