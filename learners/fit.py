"""A logistic regression on two or three numbers, fitted label by label: what calibration is made of.

Small and dense, so it can afford second derivatives, which a model of many features cannot. Python's floats only: the same
bits everywhere. Read calibration.py for what it is used for.
"""

from collections.abc import Sequence
from math import sqrt

from river.utils.math import sigmoid

_ROUNDS = 60
"""Newton's steps within one label, at most; five do it."""
_EXACT = 1e-12


class Fit:
    """The parameters that minimise ``sum of keep**age * log loss + (parameters - start)' prior (parameters - start) / 2``.

    One step a label: the losses of before count as their quadratic approximation (the discounted sum of second derivatives,
    at the parameters of their time), the new label's loss counts as it is, and the sum is minimised exactly, which is the
    root of an equation in one unknown. With a quadratic new loss too that is the online Newton step of B. Bercu,
    A. Godichon, B. Portier (2020), *An efficient stochastic Newton algorithm for parameter estimation in logistic
    regressions*; the implicit step (P. Toulis, E. M. Airoldi (2017), *Asymptotic and finite-sample properties of estimators
    based on stochastic gradients*) cannot overshoot where a label comes as a surprise, which rare positives always do. The
    prior does not fade with age.

    Parameters
    ----------
    start : (d,)
        Where parameters are without labels.
    prior : (d,)
        How strongly they are held there, above 0.
    lowest : (d,)
        Below which one never falls; None: it may.
    keep : float
        Of a label's weight, what the next label leaves; within (0, 1].

    Examples
    --------
    >>> fit = Fit(start=(0.0,), prior=(0.01,), lowest=(None,), keep=1.0)
    >>> for label in [True, False, False, False] * 500:
    ...     fit.learn((1.0,), label)
    >>> round(sigmoid(fit.parameters[0]), 2)
    0.25
    """

    def __init__(
        self, *, start: Sequence[float], prior: Sequence[float], lowest: Sequence[float | None], keep: float
    ) -> None:
        self._start = list(start)
        self._prior = list(prior)
        self._bounds = [(place, bound) for place, bound in enumerate(lowest) if bound is not None]
        self._keep = keep
        self.parameters = list(start)
        self._curvature = [[0.0] * len(self._start) for _ in self._start]

    def value(self, z: Sequence[float]) -> float:
        """The log odds."""
        total = 0.0
        for parameter, one in zip(self.parameters, z, strict=True):
            total += parameter * one
        return total

    def learn(self, z: Sequence[float], positive: bool, weight: float = 1.0) -> None:
        """A label and its numbers, ``(d,)``; its loss counts ``weight`` times, above 0."""
        keep, curvature = self._keep, self._curvature
        root = _cholesky(curvature, keep, self._prior)
        parameters = self.parameters if keep == 1.0 else self._pulled(root)
        along = _solve(root, z)
        before = _dot(parameters, z)
        after = _implicit(before, weight * _dot(along, z), 1.0 if positive else 0.0)
        share = sigmoid(after)
        wrong = weight * (share - (1.0 if positive else 0.0))
        parameters = [p - wrong * step for p, step in zip(parameters, along, strict=True)]
        for place, bound in self._bounds:
            if parameters[place] < bound:
                parameters = _lifted(parameters, self._bounds, root)
                break
        self.parameters = parameters
        spread = weight * share * (1.0 - share)
        for row, zi in zip(curvature, z, strict=True):
            by = spread * zi
            for j, zj in enumerate(z):
                row[j] = keep * row[j] + by * zj

    def state(self) -> tuple[list[float], list[list[float]]]:
        """Everything that it remembers."""
        return list(self.parameters), [list(row) for row in self._curvature]

    def load(self, state: tuple[Sequence[float], Sequence[Sequence[float]]]) -> None:
        """Take up what ``state`` gave."""
        self.parameters, self._curvature = list(state[0]), [list(row) for row in state[1]]

    def _pulled(self, root: list[list[float]]) -> list[float]:
        """Towards the start, by what older labels have lost since the last one."""
        pull = [
            (1.0 - self._keep) * prior * (start - parameter)
            for prior, start, parameter in zip(self._prior, self._start, self.parameters, strict=True)
        ]
        return [p + step for p, step in zip(self.parameters, _solve(root, pull), strict=True)]


def _implicit(before: float, gain: float, target: float) -> float:
    """The root ``u`` of ``u = before - gain * (sigmoid(u) - target)``: Newton's method within a bracket that shrinks."""
    first = before - gain * (sigmoid(before) - target)
    low, high = min(before, first), max(before, first)
    u = before
    for _ in range(_ROUNDS):
        share = sigmoid(u)
        off = u - before + gain * (share - target)
        if off > 0.0:
            high = u
        else:
            low = u
        step = off / (1.0 + gain * share * (1.0 - share))
        if abs(step) <= _EXACT * max(1.0, abs(u)):
            return u - step
        u -= step
        if not low <= u <= high:
            u = (low + high) / 2.0
    return u


def _lifted(parameters: list[float], bounds: Sequence[tuple[int, float]], root: list[list[float]]) -> list[float]:
    """Those below their bounds put on them, one after the other; the others follow as the curvature tells."""
    for place, bound in bounds:
        if parameters[place] < bound:
            unit = [1.0 if i == place else 0.0 for i in range(len(parameters))]
            along = _solve(root, unit)
            far = (bound - parameters[place]) / along[place]
            parameters = [p + far * step for p, step in zip(parameters, along, strict=True)]
    for place, bound in bounds:  # lifting one may have lowered another
        parameters[place] = max(parameters[place], bound)
    return parameters


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    total = 0.0
    for one, other in zip(left, right, strict=True):
        total += one * other
    return total


def _cholesky(matrix: list[list[float]], scale: float, diagonal: Sequence[float]) -> list[list[float]]:
    """The lower root of ``scale * matrix + diag(diagonal)``."""
    root: list[list[float]] = []
    for row, more in zip(matrix, diagonal, strict=True):
        own: list[float] = []
        left = scale * row[len(root)] + more
        for j, other in enumerate(root):
            one = scale * row[j]
            for place in range(j):
                one -= own[place] * other[place]
            one /= other[j]
            left -= one * one
            own.append(one)
        own.append(sqrt(left))
        root.append(own)
    return root


def _solve(root: list[list[float]], right: Sequence[float]) -> list[float]:
    """Of ``root root' x = right``."""
    x = list(right)
    size = len(x)
    for i, row in enumerate(root):
        one = x[i]
        for j in range(i):
            one -= row[j] * x[j]
        x[i] = one / row[i]
    for i in range(size - 1, -1, -1):
        one = x[i]
        for j in range(i + 1, size):
            one -= root[j][i] * x[j]
        x[i] = one / root[i][i]
    return x
