"""What every explanation must keep, checked: it adds up to the score, and asking for it changes nothing.

A part of learners/conformance.py, which runs it for every learner; it proves nothing of what a contribution is worth.
"""

import math
import pickle  # to see whether anything of the state moved; nothing is opened
from collections.abc import Iterator, Sequence

import numpy as np

from learners.base import Learner, Problem, Rows, Value
from learners.explanations.aside import asked
from learners.explanations.base import Explanation
from learners.explanations.explain import explain

_ROWS = 4
"""How many are explained; a forest takes its time."""


def broken(learner: Learner, problem: Problem, rows: Rows, classes: Sequence[str]) -> list[str]:
    """Every way in which a learner's explanations break their promises, in words.

    Parameters
    ----------
    learner
        One that has learned something. It is asked for scores and explanations of these rows.
    """
    dicts = rows.dicts()
    scores = asked(learner, rows.names, dicts, classes)
    before = _kept(learner)
    places = range(0, len(dicts), -(-len(dicts) // _ROWS))
    told = {place: _told(learner, problem, rows, place, dicts, classes) for place in places}
    found = []
    if _kept(learner) != before:
        found.append("explaining changes what it saves")
    if asked(learner, rows.names, dicts, classes).tobytes() != scores.tobytes():
        found.append("explaining changes later answers")
    found += [f"row {place}: {words}" for place, one in told.items() for words in _wrong(one, scores[place])][:1]
    again = next(iter(told))
    if repr(_told(learner, problem, rows, again, dicts, classes)) != repr(told[again]):
        found.append("explaining twice gives two explanations")
    return found


def _told(
    learner: Learner,
    problem: Problem,
    rows: Rows,
    place: int,
    dicts: Sequence[dict[str, Value]],
    classes: Sequence[str],
) -> Explanation | None:
    return explain(
        learner, rows, place, problem=problem, background=lambda: dicts[-3:], seed=place, pairs=1, classes=classes
    )  # fmt: skip


def _kept(learner: Learner) -> bytes:
    return pickle.dumps(dict(learner.dump(-1)))


def _wrong(told: Explanation | None, scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Iterator[str]:
    if told is None:
        yield "it has a score and no explanation"
        return
    total = told.base + math.fsum(told.contributions.values())
    if not math.isclose(total, told.value, rel_tol=1e-6, abs_tol=1e-6):
        yield f"base and contributions are {total:g}, and what they explain is {told.value:g}"
    link = {"log_odds": _logistic, "log": math.exp}.get(told.of, float)
    if not np.isclose(link(told.value), scores, rtol=1e-9, atol=1e-9).any():
        yield f"it explains {link(told.value):g}, and the score is {scores.tolist()}"


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(value, -700.0), 700.0)))
