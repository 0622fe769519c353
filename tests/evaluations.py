"""River's own delayed progressive validation and the fold over the same history, as results that can be compared to the bit.

Not a test. ``river_says`` is ``evaluate.progressive_val_score`` itself, with a model that keeps a note of what it is asked
and taught; ``fold_says`` feeds the records to a fold and reads what it emitted and, through a witness, in which order it
learned.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson
from numpy.typing import NDArray
from river import base, evaluate, linear_model, metrics, preprocessing

from stream.pipeline.batch import Arranged, Batch
from stream.pipeline.watch import Change
from stream.records import Outputs
from tests.harness import config
from tests.simulation.lab import EVENT, Lab

LOGISTIC = ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"]
ABOVE_HALF = math.nextafter(0.5, 1.0)
"""As threshold: a score of exactly 0.5 is false, as River's ``predict_one`` has it (of two equal chances the first)."""


class Moment(NamedTuple):
    """One event of a history. ``after``: how long after it its label is known, where each event says so."""

    x: dict[str, float]
    y: bool
    time_ms: int = 0
    after: float = 0


class Evaluation(NamedTuple):
    """What came of a history."""

    order: list[int]
    """``i`` where event i was scored, ``~i`` where it was learned."""
    scores: list[float]
    """Of each event, as emitted."""
    accuracy: float
    log_loss: float
    """By River's metrics, of what was emitted, in the order in which labels were revealed."""

    @property
    def scored_before_the_end(self) -> list[int]:
        """The order up to the last event: without what the end of the stream reveals."""
        return self.order[: self.order.index(len(self.scores) - 1) + 1]


class _Noted(base.Classifier):
    """A model that sees the features and notes what it is asked and taught."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self.model = model
        self.names = names
        self.order: list[int] = []
        self.scores: list[float] = []

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:  # type: ignore[override]
        self.order.append(x["id"])
        chances: dict[bool, float] = self.model.predict_proba_one({name: x[name] for name in self.names})
        self.scores.append(chances[True])
        return chances

    def learn_one(self, x: dict[str, Any], y: bool) -> None:  # type: ignore[override]
        self.order.append(~x["id"])
        self.model.learn_one({name: x[name] for name in self.names}, y)


def river_says(
    history: Iterable[Moment],
    names: Sequence[str],
    *,
    moment: str | None,
    delay: int | str | dt.timedelta | Callable[..., float] | None,
) -> Evaluation:
    """River's ``progressive_val_score``. ``moment`` and ``delay`` may name ``time`` and ``after``."""
    model = _Noted(preprocessing.StandardScaler() | linear_model.LogisticRegression(), names)
    dataset = (
        ({**one.x, "id": number, "time": one.time_ms, "after": one.after}, one.y) for number, one in enumerate(history)
    )
    both = evaluate.progressive_val_score(
        dataset, model, metrics.Accuracy() + metrics.LogLoss(), moment=moment, delay=delay
    )
    accuracy, log_loss = both.get()  # type: ignore[attr-defined]
    return Evaluation(model.order, model.scores, accuracy, log_loss)


class _Judge:
    """A witness that notes the order, and measures with River's metrics what was emitted before the label came."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.emitted: dict[int, tuple[float, bool]] = {}
        self.scores: list[float] = []
        self.accuracy = metrics.Accuracy()
        self.accuracy_of_chances = metrics.Accuracy()
        self.log_loss = metrics.LogLoss()
        self._labels: list[tuple[int, bool]] = []

    def saw(
        self, batch: Batch, arranged: Arranged, scores: Mapping[str, NDArray[Any]], changes: Sequence[Change]
    ) -> None:
        ids = [int(batch.events.ids[index]) for index in arranged.draft.accepted] + [
            int(one) for one in arranged.old_ids
        ]
        program = arranged.program
        for op, row, target in zip(program.op.tolist(), program.row.tolist(), program.target.tolist(), strict=True):
            if op == 0:
                self.order.append(ids[row])
            else:
                self.order.append(~ids[row])
                self._labels.append((ids[row], target == 1.0))

    def hear(self, outputs: Outputs) -> None:
        """Measure the labels that were seen, against what was said of their events."""
        for value in outputs["predictions"].values:
            said = orjson.loads(value)
            self.emitted[int(said["id"])] = said["score"], said["prediction"]
            self.scores.append(said["score"])
        for number, truth in self._labels:
            score, prediction = self.emitted.pop(number)
            chances = {False: 1.0 - score, True: score}
            self.log_loss.update(truth, chances)
            self.accuracy.update(truth, prediction)
            self.accuracy_of_chances.update(truth, max(chances, key=chances.__getitem__))
        self._labels.clear()


def fold_says(
    history: Iterable[Moment],
    names: Sequence[str],
    *,
    delay: object,
    flush: bool = True,
    cut: int = 997,
    learner: object = LOGISTIC,
) -> tuple[Evaluation, Lab]:
    """The fold over the same history as records, and what feeds it. Without ``flush`` what waits at the end stays."""
    lab = Lab(
        config(
            events={"topic": "events", "id": "id", "time": "time", "features": list(names)},
            labels={"field": "y", "delay": delay, **({} if isinstance(delay, str) else {"wait": "1000d"})},
            learners={"logistic": learner},
            predictions={"threshold": ABOVE_HALF},
            time_jump_max="1000d",
        )
    )
    judge = _Judge()
    for steps in _cut(history, cut):
        judge.hear(lab.fold.step(lab.batch(steps), judge))
    if flush:
        judge.hear(lab.fold.flush(judge))
    assert judge.accuracy.get() == judge.accuracy_of_chances.get()
    return Evaluation(judge.order, judge.scores, judge.accuracy.get(), judge.log_loss.get()), lab


def _cut(history: Iterable[Moment], size: int) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    numbered = enumerate(history)
    while part := list(islice(numbered, size)):
        yield [
            (EVENT, {"id": str(number), "time": one.time_ms, "after": one.after, "y": one.y, **one.x})
            for number, one in part
        ]


def first_difference(one: Sequence[object], other: Sequence[object]) -> tuple[int, object, object] | None:
    """(place, value, other value) where two long lists first differ; lengths where one is longer."""
    for place, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return place, mine, yours
    return None if len(one) == len(other) else (min(len(one), len(other)), len(one), len(other))


def same(fold: Evaluation, river: Evaluation) -> bool:
    """Every score to the bit, the order of scoring and learning, accuracy and log loss. Raises AssertionError saying where."""
    assert first_difference(fold.order, river.order) is None
    assert first_difference(fold.scores, river.scores) is None
    assert (fold.accuracy, fold.log_loss) == (river.accuracy, river.log_loss)
    return True


def ties(history: Sequence[Moment], delay_ms: Callable[[Moment], float]) -> int:
    """How many events come at the very time at which a label is due."""
    due = {one.time_ms + delay_ms(one) for one in history}
    return sum(one.time_ms in due for one in history)
