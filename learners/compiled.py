"""``StandardScaler | LogisticRegression`` as arrays and one compiled loop: River's answers to the bit at a tenth of the time.

Not a general compiler: one chain, plain stochastic gradient descent, logistic loss. Numba is imported when the first range is
run, so that importing this module costs nothing. What a learner promises is in base.py; the same chain on River's own
objects is in river.py.

Why the bits are equal: sums run in the configured order, as River walks the dict; ``** 0.5`` is libm's ``pow`` (the
exponent is an argument, so that the compiler cannot make a ``sqrt`` of it, which differs once in a thousand), or a
``sqrt`` where that is sure to be the same (``sure_root``); ``exp`` is libm's; nothing is fused or reordered (no ``fastmath``).
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from math import exp, isfinite, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, Program, Rows
from learners.explanations.base import Explanation

_F8, _I8 = np.dtype("<f8"), np.dtype("<i8")
_ARRAYS = (("counts", _I8), ("means", _F8), ("variances", _F8), ("weights", _F8), ("numbers", _F8))


class ScaledLogisticRegression:
    """River's ``StandardScaler() | LogisticRegression(optimizer=SGD(lr))`` on arrays, for binary problems.

    Features are numbers and booleans; a missing one (NaN in the matrix) is skipped, as River skips an absent
    key. Text cannot be seen in the matrix and is skipped too, where River would raise.

    Parameters
    ----------
    lr
        Learning rate of the weights.
    l2
        Penalty on the weights' squares.
    intercept_init, intercept_lr
        First value and learning rate of the intercept.
    clip_gradient
        Largest absolute gradient of the loss.
    weight_pos, weight_neg
        Of the logistic loss, for labels that are true and false.

    Attributes
    ----------
    failure : str
        What the last ``run`` stopped at, when it stopped early; else empty.

    Notes
    -----
    Welford's method for mean and variance; Bottou, "Large-Scale Machine Learning with Stochastic Gradient Descent" (2010).
    """

    outputs = ("score",)
    codec = "bytes"
    needs_matrix = True
    problems = ("binary",)

    def __init__(
        self,
        lr: float = 0.01,
        l2: float = 0.0,
        *,
        intercept_init: float = 0.0,
        intercept_lr: float = 0.01,
        clip_gradient: float = 1e12,
        weight_pos: float = 1.0,
        weight_neg: float = 1.0,
    ) -> None:
        settings = (lr, l2, intercept_init, intercept_lr, clip_gradient, weight_pos, weight_neg)
        if not all(isinstance(value, int | float) and isfinite(value) for value in settings):
            raise ValueError(f"lr, l2, and the others are finite numbers, not {settings}")
        self._settings = settings
        # The last two: the exponent of the square root, and where no power is needed for it.
        numbers = (lr, l2, intercept_lr, clip_gradient, weight_pos, weight_neg, 0.5, sure_root())
        self._constants = tuple(map(float, numbers))
        self._intercept_init = float(intercept_init)
        self.failure = ""
        self._names: tuple[str, ...] = ()
        self._state = self._nothing_learned(0)

    def _nothing_learned(self, width: int) -> dict[str, NDArray[Any]]:
        """``counts, means, variances, weights`` of shape ``(n_features,)`` and ``numbers``: intercept, then labels learned."""
        state: dict[str, NDArray[Any]] = {name: np.zeros(width, dtype) for name, dtype in _ARRAYS[:-1]}
        return {**state, "numbers": np.array([self._intercept_init, 0.0])}

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64], *, learn: bool = True
    ) -> int:
        """See ``learners.base.Learner``. Raises TypeError when the configuration leaves the features open."""
        self.failure = ""
        if stop <= start:
            return 0
        matrix = rows.matrix()
        if rows.names != self._names:
            self._adopt(rows.names)
        done: int = _compiled()(
            (program.op, program.row, program.target, program.weight),
            matrix,
            scores,
            start,
            stop,
            learn,
            tuple(self._state.values()),
            self._constants,
        )
        if done < 0:
            self.failure = "the score is not a finite number"
        return abs(done)

    def explain(self, rows: Rows, row: int) -> Explanation:
        """See ``learners.explanations.base.Explains``: weight times scaled value of each feature that is there, in log odds."""
        state = self._state if self._names else self._nothing_learned(len(rows.names))
        columns = (state[name].tolist() for name in ("means", "variances", "weights"))
        intercept = float(state["numbers"][0])
        contributions, value = {}, 0.0
        for name, x, mean, variance, weight in zip(rows.names, rows.matrix()[row].tolist(), *columns, strict=True):
            if x == x:  # noqa: PLR0124 - not NaN
                share = weight * ((x - mean) / variance**0.5 if variance else 0.0)
                contributions[name] = share
                value += share
        return Explanation("linear", "log_odds", value + intercept, intercept, contributions)

    def _adopt(self, names: tuple[str, ...]) -> None:
        if self._names:
            raise ValueError(f"the features were {', '.join(self._names)} and are now {', '.join(names)}")
        self._names = names
        self._state = self._nothing_learned(len(names))

    def fresh(self) -> Self:
        lr, l2, intercept_init, intercept_lr, clip_gradient, weight_pos, weight_neg = self._settings
        return type(self)(
            lr,
            l2,
            intercept_init=intercept_init,
            intercept_lr=intercept_lr,
            clip_gradient=clip_gradient,
            weight_pos=weight_pos,
            weight_neg=weight_neg,
        )

    def alive(self) -> tuple[str, ...]:
        return ("arrays",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 (all of it changes with each label)
        """One chunk: the names as a line of JSON, then the arrays in the order of ``_ARRAYS``, little-endian."""
        arrays = b"".join(self._state[name].astype(dtype).tobytes() for name, dtype in _ARRAYS)
        yield "arrays", json.dumps(self._names).encode() + b"\n" + arrays

    def load(self, chunks: Mapping[str, object]) -> None:
        """Raises ValueError when the bytes are not what ``dump`` gives."""
        content = chunks["arrays"]
        if not isinstance(content, bytes):
            raise ValueError(f"the chunk arrays is {type(content).__name__}, not bytes")  # noqa: TRY004 (bad content)
        head, _, arrays = content.partition(b"\n")
        names = tuple(json.loads(head))
        if len(arrays) != 8 * (4 * len(names) + 2):
            raise ValueError(f"the chunk arrays holds {len(arrays)} bytes for {len(names)} features")
        state, at = {}, 0
        for name, dtype in _ARRAYS:
            length = 2 if name == "numbers" else len(names)
            state[name] = np.frombuffer(arrays, dtype, length, at).astype(dtype.newbyteorder("="))
            at += 8 * length
        self._names, self._state = names, state


@functools.cache
def sure_root(power: Callable[[float, float], float] = pow) -> float:
    """How far a square may be from its root's square (relative to the root and its last place) for ``sqrt`` to be ``power``.

    ``sqrt`` is correctly rounded. A power with an error below 0.54 units in the last place (glibc's, by its source,
    e_pow.c) rounds as it does wherever the true root is within 0.45 units of it. Not every libm is so good: this one is
    tried with some 4,000 roots that are nearly as far away; when one differs, -1, and only the power is used.
    """
    for step in range(4000):
        whole = (1 << 52) + step * 2783355479023 % (1 << 52)  # a root, spread over all mantissas
        square = float(whole * whole + (1 - step % 2 * 2) * whole * 87 // 100)
        root = sqrt(square)
        sure = abs(int(square) - int(root) ** 2) < 0.9 * root
        for scale in (2.0**-104, 4.0 ** (step % 500 - 300)):  # at 1, where a logarithm is hardest, and anywhere
            if sure and power(square * scale, 0.5) != sqrt(square * scale):
                return -1.0
    return 0.9 * 2.0**-52


def _fold(
    program: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]],
    matrix: NDArray[np.float64],
    scores: NDArray[np.float64],
    start: int,
    stop: int,
    learn: bool,
    state: tuple[NDArray[Any], ...],
    constants: tuple[float, ...],
) -> int:
    """Runs the range; how many operations were done, negative when the last one's score was not finite.

    Plain Python, compiled by ``_compiled``. Each step names the method of River that it is.
    """
    op, row, target, weight = program
    counts, means, variances, weights, numbers = state
    lr, l2, intercept_lr, clip, weight_pos, weight_neg, half, near = constants
    width = matrix.shape[1]
    scaled, shares, deviations = np.empty(width), np.empty(width), np.empty(width)
    seen = counts.astype(np.float64)
    stale = True  # deviations are not those of the variances: a label changed them
    for operation in range(start, stop):
        at = row[operation]
        is_event = op[operation] == EVENT
        if not is_event and not learn:
            continue
        x = matrix[at]
        # A choice instead of a branch, so that features are taken four at a time: 0.16 µs an event of 20, where it was 0.40.
        if not is_event:  # StandardScaler.learn_one
            stale = True
            for j in range(width):
                value, mean, variance = x[j], means[j], variances[j]
                there = not np.isnan(value)
                count = seen[j] + 1.0
                above_old = value - mean
                new_mean = mean + above_old / count
                new_variance = variance + (above_old * (value - new_mean) - variance) / count
                seen[j] = count if there else seen[j]
                means[j] = new_mean if there else mean
                variances[j] = new_variance if there else variance
        if stale:  # variance ** 0.5: see sure_root
            stale = False
            doubtful = 0
            for j in range(width):
                variance = variances[j]
                root = np.sqrt(variance)
                split = root * 134217729.0  # Veltkamp's, for Dekker's exact square: root * root == square + below
                high = split - (split - root)
                low = root - high
                square = root * root
                below = ((high * high - square) + 2.0 * high * low) + low * low
                shifted = root * 4503599627370497.0
                unit = abs(shifted - 0.9999999999999999 * shifted)  # the power of two in root (Rump)
                ours = abs((variance - square) - below) < near * root * unit
                ours = ours & (root != unit) & (variance > 1e-270) & (variance < 1e270)
                deviations[j] = root if ours else -1.0
                doubtful += not ours
            if doubtful:
                for j in range(width):
                    if deviations[j] == -1.0:
                        deviations[j] = variances[j] ** half
        # StandardScaler.transform_one, then VectorDict.dot
        for j in range(width):
            quotient = (x[j] - means[j]) / deviations[j]
            scaled[j] = quotient if variances[j] != 0.0 else 0.0
            share = weights[j] * scaled[j]
            shares[j] = share if not np.isnan(x[j]) else 0.0
        raw = 0.0
        for j in range(width):
            raw += shares[j]
        raw += numbers[0]
        if is_event:  # utils.math.sigmoid
            score = 0.0 if raw < -30.0 else 1.0 if raw > 30.0 else 1.0 / (1.0 + exp(-raw))
            if not np.isfinite(score):
                scores[at, 0] = np.nan
                counts[:] = seen
                return -(operation - start + 1)
            scores[at, 0] = score
            continue
        # losses.Log.gradient, clipped as in GLM._eval_gradient_one
        positive = target[operation] == 1.0
        sign = 1.0 if positive else -1.0
        loss_weight = weight_pos if positive else weight_neg
        z = raw * sign
        if z > 18.0:
            gradient = loss_weight * exp(-z) * -sign
        elif z < -18.0:
            gradient = loss_weight * -sign
        else:
            gradient = loss_weight * -sign / (exp(z) + 1.0)
        gradient *= weight[operation]
        gradient = min(gradient, clip)
        gradient = max(gradient, -clip)
        # GLM._fit: the intercept, then SGD on the weights of the features that are there
        numbers[0] -= intercept_lr * gradient
        numbers[1] += 1.0
        for j in range(width):
            weight_then = weights[j]
            slope = scaled[j] * gradient
            if l2 != 0.0:
                slope += l2 * weight_then
            weights[j] = weight_then - lr * slope if not np.isnan(x[j]) else weight_then
    counts[:] = seen
    return stop - start


@functools.cache
def _compiled() -> Callable[..., Any]:
    """``_fold``, compiled; kept on disk where that is possible."""
    from learners.jit import compiled  # noqa: PLC0415 (a second; only who runs this learner pays it)

    return compiled(_fold)
