"""River's estimators as learners: a loop over ``predict_proba_one`` and ``learn_one``, and what a score is per problem.

Not here: how a chain is built from the configuration, and how its bytes are stored. unroll.py removes the overhead of
River's pipelines; conformance.py checks what River does not promise. Read unroll.py next.
"""

import inspect
import pickle  # the only form in which River keeps its state; bytes from outside are not opened here
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import inf, isfinite, nan
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from river import base, compose

from learners import unroll
from learners.base import EVENT, LABEL, LearnError, Problem, Program, Rows, Value
from learners.explanations.base import Explanation
from learners.explanations.models import Explain, own_explanation
from learners.inside import only_decides, takes_weight

_Score: TypeAlias = Callable[[dict[str, Any]], Any]

_NEEDED = {
    "binary": (base.Classifier, "a classifier"),
    "multiclass": (base.Classifier, "a classifier of several classes"),
    "regression": (base.Regressor, "a regressor"),
    "anomaly": (base.AnomalyDetector, "an unsupervised anomaly detector"),
}
_KINDS = (
    (base.SupervisedAnomalyDetector, "a supervised anomaly detector (its score needs the label)"),
    (base.AnomalyFilter, "an anomaly filter"),
    (base.AnomalyDetector, "an anomaly detector"),
    (base.MultiLabelClassifier, "a classifier of several labels at once"),
    (base.MultiTargetRegressor, "a regressor of several targets at once"),
    (base.Classifier, "a classifier"),
    (base.Regressor, "a regressor"),
    (base.Clusterer, "a clusterer"),
    (base.DriftDetector, "a drift detector"),
    (base.Transformer, "a transformer"),
)


class RiverLearner:
    """A River estimator or chain, as a learner.

    Parameters
    ----------
    model
        As it was built, nothing learned. A copy is taken; ``model`` itself stays as it is.
    problem
        What is predicted. Binary: the probability of true (a classifier without probabilities answers 0 or 1, one that
        has learned nothing 0). Multiclass: a probability a class, NaN for classes that the model does not know
        yet, all 0 while it knows none; a row of NaN only is a failure. Regression: the value; 0 for a regressor that answers
        None. Anomaly: the score, learned from at once.
    width
        For multiclass problems the number of classes, else 1.

    Attributes
    ----------
    model
        The River object that holds the state.
    failure : str
        What the last ``run`` stopped at, when it stopped early; else empty.

    Raises
    ------
    ValueError
        When the estimator is of a kind that does not fit the problem, or cannot be copied.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> RiverLearner(preprocessing.StandardScaler() | linear_model.LogisticRegression(), "binary").outputs
    ('score',)
    """

    codec = "pickle"

    def __init__(self, model: Any, problem: Problem, width: int = 1) -> None:
        _refuse_misfit(model, problem, width)
        self.problem = problem
        self.width = width
        self.outputs = ("score",) if width == 1 else tuple(f"class_{index}" for index in range(width))
        self.failure = ""
        try:
            self._specification = pickle.dumps(model)
        except Exception as error:  # whatever an attribute's own pickling raises
            raise ValueError(
                f"{_name(model)} cannot be kept in a checkpoint: {type(error).__name__}: {error}"
            ) from error
        self._take(pickle.loads(self._specification))  # noqa: S301 (bytes of two lines above)

    def _take(self, model: Any) -> None:
        self.model = model
        self._explain: Explain | None = None
        self._can_explain = self.problem in {"binary", "regression"}  # until it is asked for the first time
        final = unroll.last_step(model)
        self._teach: Callable[..., None] = model.learn_one
        self._score: _Score
        self._unknown = nan
        self._takes_weight = takes_weight(final)
        if self.problem == "anomaly":
            self._score = model.score_one
            return
        self._teach = unroll.learn(model)
        if self.problem == "regression":
            self._score = unroll.predict(model, "predict_one")
        elif only_decides(final):
            self._score = _decided(unroll.predict(model, "predict_one"), self.problem)
            self._unknown = 0.0
        elif self.problem == "binary":
            self._score = unroll.probability(model)
        else:
            self._score = unroll.predict(model, "predict_proba_one")

    def run(
        self, rows: Rows, program: Program, start: int, stop: int, scores: NDArray[np.float64], *, learn: bool = True
    ) -> int:
        """See ``learners.base.Learner``. For anomaly problems learning is done at EVENT, and LABEL is passed over."""
        if compose.Pipeline._LEARN_UNSUPERVISED_DURING_PREDICT:  # noqa: SLF001
            raise ValueError("river.compose.learn_during_predict is on: predictions would learn; leave its context")
        self.failure = ""
        if stop <= start:
            return 0
        ops, at = program.op[start:stop], program.row[start:stop]
        operations = zip(count(start), ops.tolist(), at.tolist(), self._targets(program, start, stop), strict=False)
        if self.problem == "anomaly":
            values, done = self._run_anomaly(rows.dicts(), operations, stop - start, learn=learn)
        else:
            values, done = self._run_supervised(rows.dicts(), operations, start, stop, program, learn=learn)
        if values:
            events = at[:done][ops[:done] == EVENT]
            scores[events] = np.array(values, dtype=np.float64).reshape(len(values), self.width)
        return done

    def _run_supervised(
        self,
        xs: Sequence[dict[str, Value]],
        operations: Iterator[tuple[int, int, int, Any]],
        start: int,
        stop: int,
        program: Program,
        *,
        learn: bool,
    ) -> tuple[list[Any], int]:
        """The loop. Returns the scores in the order of the events, and how many operations were done."""
        values: list[Any] = []
        note = values.append
        score, finite = self._scoring(program)
        teach, weights = self._teach, _weights(program, start, stop)
        for operation, op, row, target in operations:
            if op == EVENT:
                try:
                    value = score(xs[row])
                    if value is None:  # a regressor that has learned nothing (AMFRegressor)
                        value = 0.0
                    if finite(value):
                        note(value)
                        continue
                    self.failure = f"the score is {value}"
                except Exception as error:  # noqa: BLE001 (River raises anything; the step is told by the NaN)
                    self.failure = f"{type(error).__name__}: {error}"
                note(nan if finite is isfinite else [nan] * self.width)
                return values, operation - start + 1
            if learn:
                try:
                    if weights is None or weights[operation] == 1.0:
                        teach(xs[row], target)
                    else:
                        self._learn_weighted(xs[row], target, float(weights[operation]))
                except Exception as error:
                    raise LearnError(operation, f"{type(error).__name__}: {error}") from error
        return values, stop - start

    def _run_anomaly(
        self,
        xs: Sequence[dict[str, Value]],
        operations: Iterator[tuple[int, int, int, Any]],
        length: int,
        *,
        learn: bool,
    ) -> tuple[list[float], int]:
        values: list[float] = []
        score_one, learn_one = self._score, self._teach
        for done, (operation, op, row, _) in enumerate(operations, 1):
            if op != EVENT:
                continue
            x = xs[row]
            try:
                value = score_one(x)
                self.failure = "" if isfinite(value) else f"the score is {value}"
            except Exception as error:  # noqa: BLE001 (as above)
                self.failure = f"{type(error).__name__}: {error}"
            if self.failure:
                values.append(nan)
                return values, done
            values.append(value)
            if learn:
                try:
                    learn_one(x)
                except Exception as error:
                    raise LearnError(operation, f"{type(error).__name__}: {error}") from error
        return values, length

    def _learn_weighted(self, x: dict[str, Value], target: Any, weight: float) -> None:
        if not self._takes_weight:
            raise TypeError(f"{_name(self.model)} learns without weights, and this label has weight {weight:g}")
        self.model.learn_one(x, target, w=weight)

    def _targets(self, program: Program, start: int, stop: int) -> list[Any]:
        """What ``learn_one`` is given at each operation of the range."""
        targets = program.target[start:stop]
        if self.problem == "binary":
            positive: list[Any] = (targets == 1.0).tolist()
            return positive
        if self.problem == "multiclass":
            classes = program.classes
            return [classes[int(target)] if target == target else None for target in targets.tolist()]  # noqa: PLR0124
        values: list[Any] = targets.tolist()
        return values

    def _scoring(self, program: Program) -> tuple[_Score, Callable[[Any], bool]]:
        """The score of an event's features, and whether such a score is finite."""
        if self.problem != "multiclass":
            return self._score, isfinite
        if len(program.classes) > self.width:
            raise ValueError(f"{len(program.classes)} classes, but the learner was built for {self.width}")
        columns = {name: column for column, name in enumerate(program.classes)}
        probabilities, width, unknown = self._score, self.width, self._unknown

        def row_of_scores(x: dict[str, Any]) -> list[float]:
            known = probabilities(x)
            row = [unknown if known else 0.0] * width
            for name, value in known.items():
                row[columns[name]] = value if isfinite(value) else inf
            return row

        return row_of_scores, _no_infinity

    @property
    def takes_weight(self) -> bool:
        """Whether a label of weight 2 is more to it than one of weight 1; else such a label raises."""
        return self._takes_weight

    def explain(self, rows: Rows, row: int) -> Explanation | None:
        """See ``learners.explanations.base.Explains``: exact for linear models and for trees that vote by their counts."""
        if self._explain is None:
            if not self._can_explain:
                return None
            self._explain = own_explanation(self.model)
            self._can_explain = self._explain is not None
            return self.explain(rows, row)
        return self._explain(rows.dicts()[row])

    def fresh(self) -> Self:
        """The same specification with nothing learned, as it was given to the constructor."""
        return type(self)(pickle.loads(self._specification), self.problem, self.width)  # noqa: S301 (own bytes)

    def alive(self) -> tuple[str, ...]:
        return ("model",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 (a River object does not say what changed)
        yield "model", self.model

    def load(self, chunks: Mapping[str, object]) -> None:
        self._take(chunks["model"])

    def unseeded(self) -> list[str]:
        """Parameters named seed that are None, as paths: with one of them no two builds of the learner answer alike."""
        return sorted(_unseeded(self.model, _name(self.model)))


def _refuse_misfit(model: Any, problem: Problem, width: int) -> None:
    if problem not in _NEEDED:
        raise ValueError(f"no problem {problem!r}: one of {', '.join(_NEEDED)}")
    if width < 1 or (width > 1 and problem != "multiclass"):
        raise ValueError(f"a {problem} problem has one score, not {width}")
    final = unroll.last_step(model)
    needed, words = _NEEDED[problem]
    fits, article = isinstance(final, needed), "an" if problem == "anomaly" else "a"
    if not fits:
        raise ValueError(f"{_name(model)} is {_kind(final)}; {article} {problem} problem needs {words}")
    if problem == "multiclass" and not final._multiclass:  # noqa: SLF001
        raise ValueError(f"{_name(model)} tells only two classes apart; river.multiclass.OneVsRestClassifier wraps it")


def _kind(final: Any) -> str:
    for kind, words in _KINDS:
        if isinstance(final, kind):
            return words
    return "of another kind" if isinstance(final, base.Estimator) else "no River estimator"


def _name(model: Any) -> str:
    return type(unroll.last_step(model)).__name__


def _weights(program: Program, start: int, stop: int) -> NDArray[np.float64] | None:
    """The weights, unless no label of the range has one that matters."""
    weights = program.weight
    if stop - start < 8:  # looking costs more than it saves
        return weights
    mattering = (weights[start:stop] != 1.0) & (program.op[start:stop] == LABEL)
    return weights if mattering.any() else None


def _decided(predict_one: _Score, problem: Problem) -> _Score:
    """The answer of a classifier without probabilities, as one."""

    def binary(x: dict[str, Any]) -> float:
        return 1.0 if predict_one(x) else 0.0

    def multiclass(x: dict[str, Any]) -> dict[Any, float]:
        answer = predict_one(x)
        return {} if answer is None else {answer: 1.0}

    return binary if problem == "binary" else multiclass


def _no_infinity(row: list[float]) -> bool:
    """Whether a row has no failed class; NaN stands for a class that is not known yet."""
    return inf not in row


def _unseeded(estimator: Any, path: str) -> Iterator[str]:
    if isinstance(estimator, compose.Pipeline):
        for name, step in estimator.steps.items():
            yield from _unseeded(step, name)
    elif isinstance(estimator, base.Base):
        for name in inspect.signature(type(estimator).__init__).parameters:
            value = getattr(estimator, name, estimator)
            if name == "seed" and value is None:
                yield f"{path}.seed"
            elif value is not estimator:
                yield from _unseeded(value, f"{path}.{name}")
