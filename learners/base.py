"""The types at which learners meet the step: rows, a program, a learner.

A batch becomes a *program*: its events and labels in the order of the log, as arrays. A learner *runs a range of
it*: at an event it writes a score, at a label it learns. River's adapter loops over ``predict_proba_one`` and
``learn_one``; a compiled learner runs the range whole. NumPy only; nothing of ``stream``. Read rows.py and river.py next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = float | bool | str
"""A feature's value. Numbers are float64."""

Problem: TypeAlias = Literal["binary", "multiclass", "regression", "anomaly"]

EVENT: Final = 0
LABEL: Final = 1


class LearnError(Exception):
    """A learner raised while it learned; its state may be half changed, so the task's state is dropped and recovered.

    Attributes
    ----------
    operation : int
        Index into the program of the label at which it raised.
    """

    def __init__(self, operation: int, message: str) -> None:
        super().__init__(message)
        self.operation = operation


class Rows(Protocol):
    """The batch's accepted events, then waiting events whose labels came. Either view is built on first use."""

    @property
    def names(self) -> tuple[str, ...]:
        """Features in the configured order; empty when the configuration leaves them open."""
        ...

    def __len__(self) -> int: ...

    def dicts(self) -> Sequence[dict[str, Value]]:
        """A dict a row, features in the configured order; a missing feature is an absent key. Not to be changed."""
        ...

    def matrix(self) -> NDArray[np.float64]:
        """``(n_rows, n_features)``; NaN where missing or text. Raises TypeError when features are open."""
        ...

    def times_ms(self) -> NDArray[np.int64]:
        """Of each row, its event's own time in milliseconds since 1970, ``(n_rows,)``."""
        ...

    def column(self, name: str) -> Sequence[Value | None]:
        """One feature of every row, a hidden one too, ``(n_rows,)``."""
        ...

    def add(self, names: tuple[str, ...], values: NDArray[np.float64]) -> None:
        """Append computed features, ``values`` of shape ``(n_rows, len(names))``."""
        ...


@dataclass(slots=True, frozen=True)
class Program:
    """One batch as arrays, in the order in which it is applied. All of shape ``(n_ops,)`` but ``classes``."""

    op: NDArray[np.uint8]
    """EVENT or LABEL."""
    row: NDArray[np.int32]
    """Index into the rows."""
    time_ms: NDArray[np.int64]
    """Stream time at the operation."""
    target: NDArray[np.float64]
    """At LABEL the value, or the index into ``classes`` (binary: 0 or 1); NaN at EVENT."""
    previous: NDArray[np.float64]
    """At LABEL the label that this one corrects, else NaN."""
    weight: NDArray[np.float64]
    classes: Sequence[str]
    """Names of the classes, for multiclass problems; else empty."""

    def __len__(self) -> int:
        return len(self.op)


@runtime_checkable
class Learner(Protocol):
    """What learns. Deterministic: the same operations give the same scores to the bit, after any cut and any reload.

    One that runs on ``Rows.matrix`` says so with ``needs_matrix = True``, and one that is for some problems only names them in
    ``problems``; both may be left out.
    """

    outputs: tuple[str, ...]
    """Names of the columns of scores: ``("score",)``, or for multiclass one a class, in the order of their indices."""
    codec: str
    """How its chunks become bytes: "pickle" or "bytes" (see ``alive``, ``dump``, ``load``)."""

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64], *, learn: bool = True
    ) -> int:
        """Run operations ``[start, stop)``: EVENT writes ``scores[row]`` (shape ``(n_rows, len(outputs))``), LABEL learns.

        Where the range is cut changes nothing. With ``learn=False`` labels are passed over. A score never learns.

        Returns
        -------
        int
            The operations done: ``stop - start``, or fewer when a score was not finite (or predicting raised: NaN is
            written): the operation with that score is the last one done.

        Raises
        ------
        LearnError
            When learning raised, naming the operation.
        """
        ...

    def fresh(self) -> Self:
        """The same specification with nothing learned."""
        ...

    def alive(self) -> Iterable[str]:
        """Names of the chunks that make up the state now."""
        ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        """The chunks that changed after the task's record number ``since`` (-1: all), to be encoded by ``codec``."""
        ...

    def load(self, chunks: Mapping[str, object]) -> None:
        """Take up a state that ``dump(-1)`` gave."""
        ...
