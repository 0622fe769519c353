"""A learner that blends other learners' scores: at an event it weighs what they said, at a label it weighs them anew.

It learns nothing of rows. Its *members* run before it over each range, and it reads the scores that they gave: at an event
theirs of the same row, at a label those that were emitted when the event was scored, however long ago. So it is
prequential, and right under any delay. How weights move is in mixtures.py; a blend and its members as one learner, for
whoever asks outside of the step, is in ensemble.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite, nan
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, Learner, Problem, Program, Rows, Value
from learners.mixtures import Exponential, FixedShare, Mixture, Stack, absolute, average, log_loss, squared

Method: TypeAlias = Literal["fixed_share", "exponential", "stack"]
Loss: TypeAlias = Literal["log", "squared", "absolute"]
Scores: TypeAlias = NDArray[np.float64]

_PARAMETERS: Final[Mapping[str, Mapping[str, float]]] = {
    "fixed_share": {"share": 0.01, "rate": 1.0},
    "exponential": {"memory": 1000.0, "rate": 1.0},
    "stack": {"memory": 10_000.0, "prior": 1.0},
}
"""Of each method, its numbers and their defaults."""
_RATES: Final[Mapping[str, float]] = {"log": 1.0, "squared": 0.5, "absolute": 1.0}
"""Default rates of the weighted means: see ``mixtures.Scale``."""


def members_of(learner: Learner) -> tuple[str, ...]:
    """Names of the learners whose scores it reads; empty for one that reads rows."""
    members: tuple[str, ...] = getattr(learner, "members", ())
    return members


def weights_of(learner: Learner) -> dict[str, float]:
    """Of a blend: what each member weighs now, of a stack each one's log odds; empty for others."""
    weights: dict[str, float] = learner.weights if members_of(learner) else {}  # type: ignore[attr-defined]
    return weights


def seen_by(learner: Learner, rows: Rows, scores: Mapping[str, Scores]) -> Rows:
    """The rows as this learner is to see them: a blend sees its members' scores beside them."""
    return Scored(rows, scores) if members_of(learner) else rows


class Scored:
    """Rows with what learners scored them with (``learners.base.Rows``).

    Parameters
    ----------
    rows : Rows
    scores : mapping of str to array
        By learner, ``(n_rows, columns)``. Read when a range is run, so they may be filled meanwhile.
    """

    def __init__(self, rows: Rows, scores: Mapping[str, Scores]) -> None:
        self._rows = rows
        self.scores = scores

    @property
    def names(self) -> tuple[str, ...]:
        return self._rows.names

    def __len__(self) -> int:
        return len(self._rows)

    def dicts(self) -> Sequence[dict[str, Value]]:
        return self._rows.dicts()

    def matrix(self) -> Scores:
        return self._rows.matrix()

    def times_ms(self) -> NDArray[np.int64]:
        return self._rows.times_ms()

    def column(self, name: str) -> Sequence[Value | None]:
        return self._rows.column(name)

    def add(self, names: tuple[str, ...], values: Scores) -> None:
        self._rows.add(names, values)


class Blend:
    """A weighted mean of members' scores, or a logistic regression on their log odds (``stack``).

    A member whose score of a row is not there (NaN: it failed, or is newer than the row) is left out, and the others' weights
    count for the whole; it keeps its weight. Of several classes, one that a member does not know yet counts as 0 for it.
    When no member has a score, neither has the blend.

    Parameters
    ----------
    of : sequence of str
        The members' names, two or more.
    by : {"fixed_share", "exponential", "stack"}
        See ``learners.mixtures``: who was best lately leads; weights by the losses of recent labels; stacking.
    problem : Problem
        Binary, multiclass or regression. ``stack`` is for binary.
    width : int
        Columns of scores, of the members and of the blend.
    loss : {"log", "squared", "absolute"}, optional
        Of the weighted means. Default: log, for regression squared. Squared and absolute ones count in units of their mean.
    clip : float
        Probabilities are cut to ``[clip, 1 - clip]`` where their logarithm is taken.
    share, rate, memory, prior : float, optional
        As the method takes them (``learners.mixtures``). Defaults: ``share`` 0.01; ``memory`` 1000 labels, for ``stack``
        10,000; ``rate`` 1, with squared losses 1/2; ``prior`` 1 (``stack``).

    Attributes
    ----------
    members : tuple of str
    failure : str
        What the last ``run`` stopped at, when it stopped early; else empty.

    Raises
    ------
    ValueError
        A parameter that the method does not take, or one out of its range.
    """

    codec = "pickle"

    def __init__(
        self,
        of: Sequence[str],
        by: Method = "fixed_share",
        *,
        problem: Problem,
        width: int = 1,
        loss: Loss | None = None,
        clip: float = 1e-4,
        **numbers: float,
    ) -> None:
        self.members = tuple(of)
        self._told: dict[str, Any] = {"by": by, "problem": problem, "loss": loss, "clip": clip, **numbers}
        self.width = width
        self.clip = clip
        self.outputs = ("score",) if width == 1 else tuple(f"class_{index}" for index in range(width))
        self.failure = ""
        self._stack: Stack | None = None
        self._make = _maker(len(self.members), by, problem, loss, clip, numbers)
        self._take(self._make())
        self._class_loss = log_loss(clip)

    def _take(self, mixture: Mixture) -> None:
        self._mixture = mixture
        self._stack = mixture if isinstance(mixture, Stack) else None

    @property
    def weights(self) -> dict[str, float]:
        """By member, as they stand."""
        return dict(zip(self.members, self._mixture.weights, strict=True))

    @property
    def stack(self) -> Stack | None:
        """The regression, where that is the method."""
        return self._stack

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: Scores, *, learn: bool = True
    ) -> int:  # fmt: skip
        """See ``learners.base.Learner``. ``rows`` are ``Scored``, and the members have run the range before.

        Raises
        ------
        TypeError
            The members' scores are not beside the rows: a blend runs where its members run.
        """
        if not isinstance(rows, Scored):
            raise TypeError(f"a blend of {', '.join(self.members)} needs their scores beside the rows")
        self.failure = ""
        if stop <= start:
            return 0
        ops, at = program.op[start:stop], program.row[start:stop]
        given = [rows.scores[name][at] for name in self.members]
        columns = given[0].shape[1]
        told = np.stack(given, axis=1)  # (n_ops, n_members, columns)
        steps = zip(
            ops.tolist(),
            (told[:, :, 0] if columns == 1 else told).tolist(),
            program.target[start:stop].tolist(),
            program.weight[start:stop].tolist(),
            strict=True,
        )
        mix, teach = (self._mixture.mix, self._mixture.learn) if columns == 1 else (self._mix, self._learn)
        values: list[Any] = []
        done = stop - start
        for place, (op, own, target, weight) in enumerate(steps):
            if op == EVENT:
                value = mix(own)
                values.append(value)
                if not _finite(value):
                    self.failure = "no member has a score"
                    done = place + 1
                    break
            elif learn:
                teach(own, target, weight)
        if values:
            events = at[:done][ops[:done] == EVENT]
            scores[events] = np.array(values, np.float64).reshape(len(values), columns)
        return done

    def _mix(self, given: Sequence[Sequence[float]]) -> list[float]:
        """Of several classes: a class that nobody knows is NaN, one that some know counts as 0 for the others."""
        there = [any(score > 0.0 for score in row) for row in given]
        if not any(there):  # those that know no class yet give all of them 0
            return [max((row[c] for row in given if row[c] == row[c]), default=nan) for c in range(self.width)]
        mixed = []
        for c in range(self.width):
            column = [row[c] if here else nan for row, here in zip(given, there, strict=True)]
            known = [_or_zero(score) if here else nan for score, here in zip(column, there, strict=True)]
            nobody = all(score != score for score in column)  # noqa: PLR0124 - NaN
            mixed.append(nan if nobody else average(self._mixture.weights, known))
        return mixed

    def _learn(self, given: Sequence[Sequence[float]], target: float, weight: float) -> None:
        true = int(target)
        losses = [self._class_loss(_or_zero(row[true]), 1.0) if any(p > 0.0 for p in row) else nan for row in given]
        assert isinstance(self._mixture, FixedShare | Exponential)
        self._mixture.suffer(losses, weight)

    def fresh(self) -> Self:
        return type(self)(self.members, width=self.width, **self._told)

    def alive(self) -> tuple[str, ...]:
        return ("weights",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        yield "weights", self._mixture.state()

    def load(self, chunks: Mapping[str, object]) -> None:
        state = chunks["weights"]
        assert isinstance(state, dict)
        mixture = self._make()
        mixture.load(state)
        self._take(mixture)


def _or_zero(score: float) -> float:
    return score if score == score else 0.0  # noqa: PLR0124 - not NaN


def _finite(value: Any) -> bool:
    """Of a score; of several classes, whether there is one at all."""
    return isfinite(value) if isinstance(value, float) else any(map(isfinite, value))


def _maker(
    count: int, by: Method, problem: Problem, loss: Loss | None, clip: float, numbers: Mapping[str, float]
) -> Callable[[], Mixture]:
    """What makes the mixture with nothing learned. Raises ValueError in words for people."""
    if by not in _PARAMETERS:
        raise ValueError(f"`by: {by}`: a blend is by {', '.join(_PARAMETERS)}")
    if problem == "anomaly":
        raise ValueError("an anomaly problem learns from no labels, and weights of a blend follow them")
    if count < 2:
        raise ValueError("a blend is `of` two learners or more")
    if unknown := sorted(numbers.keys() - _PARAMETERS[by].keys()):
        raise ValueError(f"`by: {by}` takes no `{unknown[0]}`; it takes {', '.join(_PARAMETERS[by])}")
    told = {**_PARAMETERS[by], **numbers}
    for name, value in told.items():
        _check(name, value)
    if not _is_number(clip) or not 0.0 < clip < 0.5:
        raise ValueError(f"`clip` lies between 0 and 0.5, got {clip!r}")
    if by == "stack":
        if problem != "binary":
            raise ValueError(
                f"`by: stack` is for binary problems; this one is {problem}: use fixed_share or exponential"
            )
        if loss not in {None, "log"}:
            raise ValueError("`by: stack` has the log loss, and no other")
        return lambda: Stack(count, clip=clip, **told)
    kind = loss or ("squared" if problem == "regression" else "log")
    if kind not in _RATES:
        raise ValueError(f"`loss: {kind}`: there are {', '.join(_RATES)}")
    if problem == "regression" and kind == "log":
        raise ValueError("`loss: log` is of probabilities; of values there are squared and absolute")
    if problem == "multiclass" and kind != "log":
        raise ValueError("of several classes there is `loss: log` only")
    if "rate" not in numbers:
        told["rate"] = _RATES[kind]
    own = {"log": log_loss(clip), "squared": squared, "absolute": absolute}[kind]
    if by == "fixed_share":
        return lambda: FixedShare(count, own, scaled=kind != "log", **told)
    return lambda: Exponential(count, own, scaled=kind != "log", **told)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _check(name: str, value: float) -> None:
    """Raises ValueError when a parameter is out of its range."""
    if name == "memory":
        good, words = _is_number(value) and value >= 1, "a number of labels, 1 or more"
    elif name == "share":
        good, words = _is_number(value) and 0 < value < 1, "between 0 and 1"
    else:
        good, words = _is_number(value) and value > 0, "a positive number"
    if not good:
        raise ValueError(f"`{name}` is {words}, got {value!r}")
