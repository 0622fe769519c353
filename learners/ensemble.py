"""A blend and its members as one learner, for whoever asks outside of the step: checks, explanations, time travel.

In the step members are learners of their own, and the blend reads their scores (blend.py). Here they are asked about rows
that nobody scored before. It is a view: what is done with it is done with the learners that it was made of.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, log
from typing import Self

import numpy as np

from learners.base import Learner, Program, Rows
from learners.blend import Blend, Scored, Scores, members_of
from learners.explanations.base import Explanation


def whole(learners: Mapping[str, Learner], name: str) -> Learner:
    """The learner of this name, with its members when it is a blend (and with theirs)."""
    learner = learners[name]
    members = members_of(learner)
    return Ensemble(learner, {one: whole(learners, one) for one in members}) if members else learner


class Ensemble:
    """A blend with its members (``learners.base.Learner``).

    Parameters
    ----------
    blend : Learner
        It has ``members``.
    members : mapping of str to Learner
        By name; one that is a blend itself, as an ensemble.

    Attributes
    ----------
    failure : str
        The blend's.
    """

    codec = "pickle"

    def __init__(self, blend: Learner, members: Mapping[str, Learner]) -> None:
        self.blend = blend
        self.members_by_name = {name: members[name] for name in members_of(blend)}
        self.outputs = blend.outputs
        self._given = {name: np.empty((0, len(one.outputs))) for name, one in self.members_by_name.items()}
        """By member, its scores of the rows that were run; a label needs those of its event."""

    @property
    def failure(self) -> str:
        told: str = getattr(self.blend, "failure", "")
        return told

    def run(self, rows: Rows, program: Program, start: int, stop: int, scores: Scores, *, learn: bool = True) -> int:
        """See ``learners.base.Learner``. All ranges that learn are of the same rows: there scores are kept by row."""
        given = {name: _as_long_as(rows, kept) for name, kept in self._given.items()}
        if learn:
            self._given = given
        for name, member in self.members_by_name.items():
            at = start
            while at < stop:
                at += member.run(rows, program, at, stop, given[name], learn=learn)
        return self.blend.run(Scored(rows, given), program, start, stop, scores, learn=learn)

    def explain(self, rows: Rows, row: int) -> Explanation | None:
        """The members' exact contributions, weighed; None where they are not on one scale on which the blend adds them up.

        A stack adds log odds up. A weighted mean adds up probabilities of trees, or values.
        """
        blend = self.blend if isinstance(self.blend, Blend) else getattr(self.blend, "learner", None)
        if not isinstance(blend, Blend):
            return None
        told = []
        for one in self.members_by_name.values():
            own = getattr(one, "explain", None)
            explanation = own(rows, row) if own is not None else None
            if explanation is None or not isfinite(explanation.value):
                return None
            told.append(explanation)
        if len({(one.of, one.method) for one in told}) != 1:
            return None
        if blend.stack is not None:
            return _summed(told, blend.stack.weights, blend.stack.intercept) if _stacks(blend, told) else None
        weights = list(blend.weights.values())
        return _summed(told, weights, 0.0) if told[0].of in {"probability", "value"} else None

    def fresh(self) -> Self:
        return type(self)(self.blend.fresh(), {name: one.fresh() for name, one in self.members_by_name.items()})

    def unseeded(self) -> list[str]:
        """The members' seeds that are not set."""
        return [
            f"{name}: {seed}"
            for name, one in self.members_by_name.items()
            for seed in getattr(one, "unseeded", list)()
        ]  # fmt: skip

    def alive(self) -> tuple[str, ...]:
        parts = {"": self.blend, **self.members_by_name}
        return ("given", *(f"{name}/{chunk}" for name, one in parts.items() for chunk in one.alive()))

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        yield "given", {name: given.copy() for name, given in self._given.items()}
        for name, one in {"": self.blend, **self.members_by_name}.items():
            for chunk, content in one.dump(since):
                yield f"{name}/{chunk}", content

    def load(self, chunks: Mapping[str, object]) -> None:
        given = chunks["given"]
        assert isinstance(given, dict)
        self._given = {name: given[name].copy() for name in self.members_by_name}
        for name, one in {"": self.blend, **self.members_by_name}.items():
            one.load({chunk: chunks[f"{name}/{chunk}"] for chunk in _chunks_of(chunks, name)})


def _chunks_of(chunks: Mapping[str, object], name: str) -> list[str]:
    return [chunk.removeprefix(f"{name}/") for chunk in chunks if chunk != "given" and chunk.startswith(f"{name}/")]


def _as_long_as(rows: Rows, kept: Scores) -> Scores:
    """The scores with a line for each row, in a copy."""
    given = np.full((len(rows), kept.shape[1]), np.nan)
    given[: len(kept)] = kept[: len(rows)]
    return given


def _stacks(blend: Blend, told: Sequence[Explanation]) -> bool:
    """Whether the members' log odds are those that the regression sees: none is cut."""
    assert blend.stack is not None
    edge = log(1.0 - blend.clip) - log(blend.clip)
    return all(one.of == "log_odds" and abs(one.value) <= edge for one in told)


def _summed(told: Sequence[Explanation], weights: Sequence[float], intercept: float) -> Explanation:
    value = base = intercept
    contributions: dict[str, float] = {}
    for one, weight in zip(told, weights, strict=True):
        value += weight * one.value
        base += weight * one.base
        for name, own in one.contributions.items():
            contributions[name] = contributions.get(name, 0.0) + weight * own
    return Explanation(told[0].method, told[0].of, value, base, contributions)
