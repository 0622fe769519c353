"""Windows by brute force: every entry kept, every question answered by looking at all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import stdev
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from learners.base import EVENT, LABEL, Program
from learners.features.windows import Windows


class Op(NamedTuple):
    """An event, or the label of an earlier one."""

    kind: int
    event: int
    """Its number."""
    now_ms: int
    target: float = math.nan
    previous: float = math.nan


@dataclass
class History:
    """A stream: its events' columns, and operations in the order of the log."""

    times_ms: list[int] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)


class Cut:
    """Some operations of a history as rows and a program: new events first, then earlier ones whose labels came."""

    def __init__(self, history: History, ops: Sequence[Op]) -> None:
        new = [op.event for op in ops if op.kind == EVENT]
        old = list(dict.fromkeys(op.event for op in ops if op.kind == LABEL and op.event not in set(new)))
        self._events, self._history = new + old, history
        place = {event: row for row, event in enumerate(self._events)}
        self.program = Program(
            op=np.array([op.kind for op in ops], np.uint8),
            row=np.array([place[op.event] for op in ops], np.int32),
            time_ms=np.array([op.now_ms for op in ops], np.int64),
            target=np.array([op.target for op in ops]),
            previous=np.array([op.previous for op in ops]),
            weight=np.ones(len(ops)),
            classes=(),
        )

    def times_ms(self):
        return np.array([self._history.times_ms[event] for event in self._events], np.int64)

    def column(self, name):
        column = {"key": self._history.keys, "value": self._history.values}[name]
        return [column[event] for event in self._events]


@st.composite
def histories(
    draw, *, late_ms: int = 0, ahead_ms: int = 0, events: int = 60, keys: int = 3, wild: bool = False
) -> History:
    """Events no later than ``late_ms``; labels of some of them, some corrected.

    ``ahead_ms``: some are ahead of stream time by up to so much, and labels are those of the newest events.
    ``wild``: late without bound, and far ahead.
    """
    history, now = History(), 0
    labels: dict[int, float] = {}
    steps = draw(
        st.lists(
            st.tuples(
                st.integers(0, 400), st.integers(0, late_ms), st.integers(0, keys), st.integers(-3, 50),
                st.integers(0, 9), st.booleans(),
            ),
            max_size=events,
        )
    )  # fmt: skip
    for ahead, late, key, value, which, positive in steps:
        if which < 6 or not history.times_ms:
            now += ahead
            own = now - late
            if ahead_ms and which >= 4:
                own = now + (value + 3) * ahead_ms // 53
            if wild and which == 5:
                own, now = (now - 5000, now) if positive else (now + 10**6, now)
            history.times_ms.append(own)
            history.keys.append(None if key == 0 else f"k{key}")
            history.values.append(None if value == 0 else value / 10)
            history.ops.append(Op(EVENT, len(history.times_ms) - 1, now))
        else:
            event = value % len(history.times_ms)
            if ahead_ms:
                event = len(history.times_ms) - 1 - value % min(len(history.times_ms), 3)
            if event in labels and labels[event] == float(positive):
                continue
            history.ops.append(Op(LABEL, event, now, float(positive), labels.get(event, math.nan)))
            labels[event] = float(positive)
    return history


def run(windows: Windows, history: History, cuts: Sequence[int] = (), *, records: int = 0) -> np.ndarray:
    """What every event sees, ``(events, features)``; the history, after ``records`` others, in pieces that end at ``cuts``."""
    edges = [0, *sorted(cuts), len(history.ops)]
    pieces = []
    for start, stop in pairwise(edges):
        cut = Cut(history, history.ops[start:stop])
        pieces.append(windows.run(cut.program, cut))
        windows.stamp(records + stop)
    return np.concatenate(pieces)


def expected(
    history: History, *, compute: Sequence[str], over_ms: Sequence[int], of: str = "value", lag_ms: int | None = None,
    present: bool = True,
) -> np.ndarray:  # fmt: skip
    """The same as ``run``, where nobody is later than the windows admit."""
    entries: list[tuple[int, float, str, int]] = []
    rows = []
    for op in history.ops:
        own, key, value = history.times_ms[op.event], history.keys[op.event], history.values[op.event]
        place = min(own, op.now_ms)
        if op.kind == LABEL:
            if key is None or of == "value":
                continue
            came = op.now_ms if lag_ms is None else place
            if not math.isnan(op.previous):
                former = [one for one in entries if one[1:] == (op.previous, key, own)]
                entries.remove(former[-1])
            entries.append((came, op.target, key, own))
            continue
        entry = (place, value, key, own)
        adds = of == "value" and value is not None
        if adds and present:
            entries.append(entry)
        end = place - (lag_ms or 0)
        row: list[float] = []
        for span in over_ms:
            seen = [one for one in entries if one[2] == key and end - span < one[0] <= end]
            earlier = [one for one in seen if one is not entry]
            newest = max(enumerate(earlier), key=lambda one: (one[1][0], one[0]))[1] if earlier else None
            row += [aggregate(what, [one[1] for one in seen], newest, end) for what in compute]
        rows.append([math.nan] * len(row) if key is None else row)
        if adds and not present:
            entries.append(entry)
    return np.array(rows).reshape(-1, len(compute) * len(over_ms))


def aggregate(what: str, values: list[float], newest: tuple | None, end: int) -> float:
    """One number of a window's values."""
    if what in ("last", "time_since"):
        return math.nan if newest is None else newest[1] if what == "last" else (end - newest[0]) / 1000
    if what in ("count", "distinct"):
        return len(values) if what == "count" else len(set(values))
    if what == "sum":
        return math.fsum(values)
    if not values or (what == "std" and len(values) < 2):
        return math.nan
    return {"mean": lambda: math.fsum(values) / len(values), "std": lambda: stdev(values), "min": lambda: min(values),
            "max": lambda: max(values)}[what]()  # fmt: skip
