"""Boosted trees that learn from a stream: one tree at a time is grown anew over a memory of labelled rows.

An ensemble as of gradient boosting, whose oldest tree is replaced after every so many labels by one that is grown to what
the others leave over. So the ensemble follows the stream without ever being trained as a whole, and what a label costs is
small and even. The memory holds the newest rows of each class; of false labels only a share is kept, with more weight, so
that rare positives are learned from for long and scores stay probabilities. The compiled half is boosting_trees.py; what a
learner promises is in base.py. Numba is imported when the first range is run.
"""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from learners.base import Program, Rows

if TYPE_CHECKING:
    from learners.boosting_trees import Settings, State

BLOCK = 1024
"""Slots of the memory in a chunk of a checkpoint: what was not written to since the last one stays as it is."""
_COUNTS, _NUMBERS = 6, 1
_HEAD = 8 * (_COUNTS + _NUMBERS + 1)


class BoostedTrees:
    """Gradient boosted trees over a stream, for binary problems; features are numbers and booleans, missing ones allowed.

    Parameters
    ----------
    trees : int
        In the ensemble. A tree lives for ``trees * every`` labels.
    depth : int
        Of a tree: questions from its root to a leaf, at most. 1 to 10.
    every : int
        Labels between two trees. A tree takes some milliseconds to grow, in line.
    rate : float
        What is taken of a tree's answer: the shrinkage of Friedman (2001). ``rate * trees`` is about how closely the
        ensemble as a whole fits the memory.
    l2 : float
        Penalty on the squares of what leaves add.
    curve : float
        Least sum of second derivatives of the loss in a leaf, about the variance of its labels: larger is smoother.
    rows, features : float
        Share of the memory's rows and of the features that each tree sees.
    bins : int
        Of a feature, 2 to 250.
    positives, negatives : int
        Rows in the memory: the newest with a true label, and the newest that were kept of those with a false one.
    keep : float
        Share of false labels that are kept; each counts as ``1 / keep`` of them.
    seed : int

    Notes
    -----
    J. H. Friedman (2001), *Greedy function approximation: a gradient boosting machine*, Annals of Statistics 29, and (2002)
    *Stochastic gradient boosting* for the shares. T. Chen, C. Guestrin (2016), *XGBoost*, KDD, for a tree's objective. J.
    Montiel et al. (2020), *Adaptive XGBoost for evolving data streams*, IJCNN, replace members of a boosted ensemble as the
    stream goes on, too; they grow each on a batch of its own, and here each is grown on the whole memory, to the residual
    of all others (backfitting: Breiman and Friedman, 1985). Until the first tree the score is the share of true labels.

    Examples
    --------
    In a configuration::

        learners:
          trees:
            learners.boosting.BoostedTrees: {trees: 100, every: 500, keep: 0.1}
    """

    outputs = ("score",)
    codec = "bytes"
    needs_matrix = True
    problems = ("binary",)

    def __init__(
        self,
        *,
        trees: int = 100,
        depth: int = 4,
        every: int = 500,
        rate: float = 0.1,
        l2: float = 1.0,
        curve: float = 5.0,
        rows: float = 0.5,
        features: float = 0.5,
        bins: int = 64,
        positives: int = 2000,
        negatives: int = 20_000,
        keep: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._given: dict[str, Any] = {
            "trees": trees, "depth": depth, "every": every, "rate": rate, "l2": l2, "curve": curve, "rows": rows,
            "features": features, "bins": bins, "positives": positives, "negatives": negatives, "keep": keep, "seed": seed,
        }  # fmt: skip
        self._check()
        self.failure = ""
        """What the last ``run`` stopped at: nothing ever, for its scores are finite."""
        self._names: tuple[str, ...] = ()
        self._state: State | None = None

    def _check(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "depth": (1, 10), "bins": (2, 250), "trees": (1, 10_000), "every": (1, 2**40), "positives": (1, 2**24),
            "negatives": (1, 2**24), "seed": (0, 2**63),
        }  # fmt: skip
        for name, (least, most) in limits.items():
            value = self._given[name]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
        for name in ("rows", "features", "keep", "rate", "l2", "curve"):
            value = self._given[name]
            most = 1.0 if name in {"rows", "features", "keep", "rate"} else 1e9
            above = value > 0 or name in {"l2", "curve"}
            if not isinstance(value, int | float) or not isfinite(value) or not 0 <= value <= most or not above:
                raise ValueError(f"{name} is a number above 0, at most {most:g}, not {value!r}")

    def _nothing_learned(self, width: int) -> "State":
        from learners.boosting_trees import LEAF, State  # noqa: PLC0415 - compiled; only who runs this learner pays it

        given = self._given
        trees, nodes, slots = given["trees"], 2 ** (given["depth"] + 1) - 1, given["positives"] + given["negatives"]
        return State(
            feature=np.full((trees, nodes), LEAF, np.int32),
            value=np.zeros((trees, nodes)),
            edges=np.zeros((width, given["bins"] - 1)),
            edge_count=np.zeros(width, np.int64),
            rows=np.zeros((slots, width)),
            binned=np.zeros((slots, width), np.uint8),
            target=np.zeros(slots),
            weight=np.zeros(slots),
            raw=np.zeros(slots),
            taken=np.zeros(slots, np.int64),
            counts=np.zeros(_COUNTS, np.int64),
            numbers=np.zeros(_NUMBERS),
            random=np.array([given["seed"]], np.uint64),
        )

    def _settings(self) -> "Settings":
        from learners.boosting_trees import Settings  # noqa: PLC0415 - as above

        given = self._given
        floats = (float(given[name]) for name in ("keep", "rate", "l2", "curve", "rows", "features"))
        return Settings(given["every"], given["positives"], *floats)

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64], *, learn: bool = True
    ) -> int:
        """See ``learners.base.Learner``. Raises TypeError when the configuration leaves the features open."""
        if stop <= start:
            return 0
        matrix = rows.matrix()
        state = self._of(rows.names)
        from learners.boosting_trees import fold  # noqa: PLC0415 - as above

        operations = program.op, program.row, program.target, program.weight
        fold(*operations, matrix, scores, start, stop, learn, state, self._settings())
        return stop - start

    def _of(self, names: tuple[str, ...]) -> "State":
        if self._state is None:
            self._names, self._state = names, self._nothing_learned(len(names))
        elif names != self._names:
            raise ValueError(f"the features were {', '.join(self._names)} and are now {', '.join(names)}")
        return self._state

    def fresh(self) -> Self:
        return type(self)(**self._given)

    # --- what a checkpoint holds -----------------------------------------------------------------------------------

    def alive(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._chunks())

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 (chunks that are as they were are stored once)
        """``head``, ``trees``, ``edges``, ``raw``, and the memory in blocks of slots that were ever written to."""
        for name, arrays in self._chunks():
            head = json.dumps(self._names).encode() + b"\n" if name == "head" else b""
            yield name, head + b"".join(_bytes(array) for array in arrays)

    def _chunks(self) -> Iterator[tuple[str, tuple[NDArray[Any], ...]]]:
        state = self._state
        if state is None:
            yield "head", ()
            return
        yield "head", (state.counts, state.numbers, state.random)
        yield "trees", (state.feature, state.value)
        yield "edges", (state.edge_count, state.edges)
        yield "raw", (state.raw,)
        for block in range(0, len(state.weight), BLOCK):
            place = slice(block, block + BLOCK)
            if state.weight[place].any():
                yield (
                    f"rows-{block // BLOCK}",
                    (state.target[place], state.weight[place], state.taken[place], state.rows[place]),
                )

    def load(self, chunks: Mapping[str, object]) -> None:
        """Raises ValueError when the bytes are not what ``dump`` gives."""
        told, _, _ = _content(chunks, "head").partition(b"\n")
        names = tuple(json.loads(told)) if told else ()
        if not names:
            self._names, self._state = (), None
            return
        from learners.boosting_trees import bin_slots  # noqa: PLC0415 - as above

        state = self._nothing_learned(len(names))
        _fill(chunks, "head", (state.counts, state.numbers, state.random), skip=len(told) + 1)
        _fill(chunks, "trees", (state.feature, state.value))
        _fill(chunks, "edges", (state.edge_count, state.edges))
        _fill(chunks, "raw", (state.raw,))
        for name in chunks:
            if name.startswith("rows-"):
                block = int(name.removeprefix("rows-")) * BLOCK
                place = slice(block, block + BLOCK)
                _fill(chunks, name, (state.target[place], state.weight[place], state.taken[place], state.rows[place]))
        for feature in range(len(names)):
            bin_slots(state, feature)
        self._names, self._state = names, state


def _bytes(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _content(chunks: Mapping[str, object], name: str) -> bytes:
    content = chunks[name]
    if not isinstance(content, bytes):
        raise ValueError(f"the chunk {name} is {type(content).__name__}, not bytes")  # noqa: TRY004 (bad content)
    return content


def _fill(chunks: Mapping[str, object], name: str, arrays: tuple[NDArray[Any], ...], skip: int = 0) -> None:
    """Read arrays of known shapes. Raises ValueError when the bytes are more or fewer."""
    content = _content(chunks, name)
    wanted = skip + sum(array.nbytes for array in arrays)
    if len(content) != wanted:
        raise ValueError(f"the chunk {name} holds {len(content)} bytes, not {wanted}")
    at = skip
    for array in arrays:
        array[...] = np.frombuffer(content, array.dtype.newbyteorder("<"), array.size, at).reshape(array.shape)
        at += array.nbytes
