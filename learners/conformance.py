"""What every learner must keep, checked: the same operations give the same scores to the bit, however they are run.

A library: ``check`` says what is broken, in words; ``digest`` is one text that must be the same in every process and
under every PYTHONHASHSEED (starting processes is the caller's). It proves nothing of a learner's quality. Only the
protocol of base.py is used; for the adapter that fails most often read river.py next.
"""

import hashlib
import pickle  # what a checkpoint does, without its list of modules; only bytes of this process are opened
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LABEL, Learner, LearnError, Problem, Program, Rows, Value
from learners.explanations.promises import broken

FeatureKind: TypeAlias = Literal["number", "count", "boolean", "text"]
Scores: TypeAlias = NDArray[np.float64]

NUMBERS: Mapping[str, FeatureKind] = {f"number_{index}": "number" for index in range(5)}
"""The features of the synthetic events when no others are named."""
CLASSES = ("low", "middle", "high")
WORDS = ("amber", "beech", "cedar", "dune")


class Table:
    """The rows of a synthetic program: columns by name, held as dicts."""

    def __init__(self, columns: Mapping[str, Sequence[Value]]) -> None:
        self._columns = dict(columns)
        self._dicts = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(self._dicts)

    def dicts(self) -> Sequence[dict[str, Value]]:
        return self._dicts

    def matrix(self) -> Scores:
        columns = [
            [np.nan if isinstance(value, str) else float(value) for value in column]
            for column in self._columns.values()
        ]
        return np.array(columns, dtype=np.float64).T

    def times_ms(self) -> NDArray[np.int64]:
        return np.arange(len(self._dicts), dtype=np.int64) * 1000

    def column(self, name: str) -> Sequence[Value | None]:
        return self._columns[name]

    def add(self, names: tuple[str, ...], values: Scores) -> None:
        for name, column in zip(names, values.T.tolist(), strict=True):
            self._columns[name] = column
            for row, value in zip(self._dicts, column, strict=True):
                row[name] = value


@dataclass(slots=True, frozen=True)
class Workload:
    """What the checks run: rows, and a program over them."""

    rows: Rows
    program: Program


def synthetic(
    problem: Problem, features: Mapping[str, FeatureKind] = NUMBERS, *, events: int = 300, seed: int = 0
) -> Workload:
    """Events that can be learned from, with labels that come at once, late, corrected or never.

    Parameters
    ----------
    features
        Names and kinds, in the configured order.
    events
        How many. A learner whose behaviour changes after a warm-up needs more than that.
    seed
        Of the generator; the same seed gives the same workload everywhere.
    """
    generator = np.random.default_rng(seed)
    drawn = {name: _draw(kind, events, generator) for name, kind in features.items()}
    effect = sum((_effect(column) for column in drawn.values()), start=np.zeros(events))
    effect += 0.5 * generator.standard_normal(events)
    targets = _targets(problem, effect)
    operations = sorted(_operations(targets, problem, generator))
    op, row, target, previous = (list(column) for column in zip(*(entry[2:] for entry in operations), strict=True))
    program = Program(
        op=np.array(op, dtype=np.uint8),
        row=np.array(row, dtype=np.int32),
        time_ms=np.array([entry[0] * 1000 for entry in operations], dtype=np.int64),
        target=np.array(target, dtype=np.float64),
        previous=np.array(previous, dtype=np.float64),
        weight=np.ones(len(operations)),
        classes=CLASSES if problem == "multiclass" else (),
    )
    return Workload(Table({name: column.tolist() for name, column in drawn.items()}), program)


def check(
    learner: Learner, problem: Problem, workload: Workload | None = None, *, again: Learner | None = None
) -> list[str]:
    """Every way in which a learner breaks its promises, in words; empty when it keeps them.

    Parameters
    ----------
    learner
        As it was built. Only fresh copies of it run.
    workload
        Default: ``synthetic(problem)``.
    again
        The same specification built a second time, as a restarted process would build it.
    """
    load = workload or synthetic(problem)
    found = _unseeded(learner)
    try:
        expected, stopped = _whole(learner.fresh(), load)
    except LearnError as error:
        return [*found, f"learning raised at operation {error.operation} of {len(load.program)}: {error}"]
    if stopped:
        return [*found, stopped]
    ways: list[tuple[str, Callable[[Learner, Workload], Scores]]] = [
        ("a fresh copy of a learner that has learned gives other scores", _as_a_copy_of_used),
        ("it shares state with its fresh copy: running one changes the other", _beside_a_copy),
        ("where a range is cut changes the scores", _in_cuts),
        ("predicting changes later answers", _with_predictions),
        ("after a save it goes on otherwise", _saved),
        ("after a save and a load it goes on otherwise", _loaded),
    ]
    for words, way in ways:
        found += _compare(words, expected, learner, way, load)
    if again is not None:
        words = "built a second time it gives other scores: set its seed"
        found += _compare(words, expected, again, _in_one, load)
    found += _predicts_twice(learner, load)
    found += broken(_used(learner, load), problem, load.rows, load.program.classes)
    unlearned = _empty_scores(learner, load)
    learner.fresh().run(load.rows, load.program, 0, len(load.program), unlearned, learn=False)
    if unlearned.tobytes() == expected.tobytes():
        found.append("it learns nothing from labels that come later than their event")
    return found


def digest(learner: Learner, problem: Problem, workload: Workload | None = None) -> str:
    """The scores of a whole run, as hexadecimal. Equal in every process, whatever its PYTHONHASHSEED."""
    load = workload or synthetic(problem)
    scores, _ = _whole(learner.fresh(), load)
    return hashlib.blake2b(scores.tobytes(), digest_size=16).hexdigest()


def _draw(kind: FeatureKind, events: int, generator: np.random.Generator) -> NDArray[np.float64 | np.bool_ | np.str_]:
    if kind == "boolean":
        return generator.random(events) < 0.4
    if kind == "text":
        return np.array(WORDS)[generator.integers(len(WORDS), size=events)]
    if kind == "count":
        return generator.poisson(3.0, events).astype(np.float64)
    return np.round(generator.standard_normal(events), 6)


def _effect(column: NDArray[np.float64 | np.bool_ | np.str_]) -> Scores:
    """What a feature adds to the truth: standardised; a word by its place."""
    numbers = np.unique(column, return_inverse=True)[1] if column.dtype.kind == "U" else column
    values: Scores = numbers.astype(np.float64)
    deviation = float(values.std()) or 1.0
    standard: Scores = (values - values.mean()) / deviation
    return standard


def _targets(problem: Problem, effect: Scores) -> Scores:
    if problem == "binary":
        return (effect > 0.5).astype(np.float64)
    if problem == "multiclass":
        return np.searchsorted(np.array([-0.8, 0.8]), effect).astype(np.float64)
    return np.round(3.0 * effect + 10.0, 6)


def _operations(
    targets: Scores, problem: Problem, generator: np.random.Generator
) -> Iterator[tuple[int, int, int, int, float, float]]:
    """``(time, labels first, op, row, target, previous)``."""
    for row, target in enumerate(targets.tolist()):
        yield row, 1, EVENT, row, np.nan, np.nan
        # A fifth at once, a tenth never; the rest up to forty events late.
        fate = generator.random()
        due = row + (1 if fate < 0.2 else int(generator.integers(2, 40)))
        if fate > 0.9:
            continue
        if problem == "binary" and target == 1.0 and fate > 0.6:
            yield due, 0, LABEL, row, 0.0, np.nan  # assumed negative, corrected below
            yield due + 15, 0, LABEL, row, 1.0, 0.0
        else:
            yield due, 0, LABEL, row, target, np.nan


def _unseeded(learner: Learner) -> list[str]:
    """A learner may say which of its seeds are not set (``unseeded()``); that shows before any score differs."""
    unseeded: Callable[[], list[str]] = getattr(learner, "unseeded", list)
    return [f"{seed} is not set: no two processes would answer alike" for seed in unseeded()]


def _empty_scores(learner: Learner, load: Workload) -> Scores:
    return np.full((len(load.rows), len(learner.outputs)), np.nan)


def _whole(learner: Learner, load: Workload) -> tuple[Scores, str]:
    """The scores of one run over everything, and why it stopped early, if it did."""
    scores = _empty_scores(learner, load)
    length = len(load.program)
    done = learner.run(load.rows, load.program, 0, length, scores)
    asked = load.program.row[:done][load.program.op[:done] == EVENT]
    missing = np.isnan(scores[asked]).all(axis=1)
    if done == length and not missing.any() and not np.isinf(scores).any():
        return scores, ""
    why = getattr(learner, "failure", "") or "the score is not finite"
    return scores, f"predicting stopped at operation {done - 1} of {length}: {why}"


def _compare(
    words: str, expected: Scores, learner: Learner, way: Callable[[Learner, Workload], Scores], load: Workload
) -> list[str]:
    try:
        scores = way(learner, load)
    except Exception as error:  # noqa: BLE001 (whatever a learner, or an attribute's own pickling, raises)
        return [f"{words}: {type(error).__name__}: {error}"]
    return [] if scores.tobytes() == expected.tobytes() else [_differs(words, expected, scores)]


def _in_one(learner: Learner, load: Workload) -> Scores:
    return _whole(learner.fresh(), load)[0]


def _used(learner: Learner, load: Workload) -> Learner:
    used = learner.fresh()
    used.run(load.rows, load.program, 0, len(load.program) // 2, _empty_scores(learner, load))
    return used


def _as_a_copy_of_used(learner: Learner, load: Workload) -> Scores:
    return _in_one(_used(learner, load), load)


def _cuts(length: int, sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ranges over ``[0, length)`` of these sizes, again and again."""
    start = 0
    sizes = tuple(sizes)
    while start < length:
        for size in sizes:
            if start < length:
                yield start, min(start + size, length)
                start += size


def _in_cuts(learner: Learner, load: Workload) -> Scores:
    cut, scores = learner.fresh(), _empty_scores(learner, load)
    for start, stop in _cuts(len(load.program), (1, 7, 2, 50)):
        cut.run(load.rows, load.program, start, stop, scores)
    return scores


def _beside_a_copy(learner: Learner, load: Workload) -> Scores:
    """A copy is made in the middle and runs everything; then the first goes on."""
    first, scores = learner.fresh(), _empty_scores(learner, load)
    length = len(load.program)
    first.run(load.rows, load.program, 0, length // 2, scores)
    _whole(first.fresh(), load)
    first.run(load.rows, load.program, length // 2, length, scores)
    return scores


def _with_predictions(learner: Learner, load: Workload) -> Scores:
    """Everything that was and will be is predicted between the cuts, without learning."""
    asked, scores, aside = learner.fresh(), _empty_scores(learner, load), _empty_scores(learner, load)
    length = len(load.program)
    for start, stop in _cuts(length, (length // 4, length // 8)):
        asked.run(load.rows, load.program, 0, length, aside, learn=False)
        asked.run(load.rows, load.program, start, stop, scores)
    return scores


def _predicts_twice(learner: Learner, load: Workload) -> list[str]:
    used = _used(learner, load)
    first, second = _empty_scores(learner, load), _empty_scores(learner, load)
    for scores in (first, second):
        used.run(load.rows, load.program, 0, len(load.program), scores, learn=False)
    if first.tobytes() == second.tobytes():
        return []
    return [_differs("predicting twice gives two answers", first, second)]


def _saved(learner: Learner, load: Workload) -> Scores:
    """Saved on the way, and going on itself."""
    here, scores = learner.fresh(), _empty_scores(learner, load)
    for start, stop in _thirds(load):
        here.run(load.rows, load.program, start, stop, scores)
        _through_bytes(here)
    return scores


def _loaded(learner: Learner, load: Workload) -> Scores:
    """Saved on the way, and loaded into another that goes on."""
    there, scores = learner.fresh(), _empty_scores(learner, load)
    for start, stop in _thirds(load):
        there.run(load.rows, load.program, start, stop, scores)
        chunks = _through_bytes(there)
        there = there.fresh()
        there.load(chunks)
    return scores


def _thirds(load: Workload) -> Iterator[tuple[int, int]]:
    return _cuts(len(load.program), (len(load.program) // 3 + 1,))


def _through_bytes(learner: Learner) -> dict[str, object]:
    chunks: dict[str, object] = {}
    for name, content in learner.dump(-1):
        if learner.codec == "pickle":
            chunks[name] = pickle.loads(pickle.dumps(content))  # noqa: S301 (bytes of this very line)
        elif isinstance(content, bytes):
            chunks[name] = bytes(bytearray(content))
        else:
            raise TypeError(f"codec {learner.codec!r}, but chunk {name} is {type(content).__name__}")
    if set(chunks) != set(learner.alive()):
        raise ValueError(f"it saves the chunks {sorted(chunks)}, but says that it has {sorted(learner.alive())}")
    return chunks


def _differs(words: str, expected: Scores, found: Scores) -> str:
    """The words, with the first row that differs."""
    different = (expected.view(np.int64) != found.view(np.int64)).any(axis=1)
    first = int(np.argmax(different))
    return (
        f"{words} ({int(different.sum())} of {len(expected)} rows, first row {first}: "
        f"{expected[first].tolist()} became {found[first].tolist()})"
    )
