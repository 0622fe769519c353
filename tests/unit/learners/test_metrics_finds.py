"""Finds: card precision as labels come, against the same worked out over the whole table."""

import pickle
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pytest

from learners.metrics.finds import DAY_MS, Finds

NAN = float("nan")


class Op(NamedTuple):
    """One operation of a stream: an event, or a label of one."""

    now_ms: int
    is_label: bool
    time_ms: int
    key: str
    score: float
    target: float = NAN
    previous: float = NAN
    assumed: bool = False

    @property
    def value(self) -> float:
        return self.target if self.is_label else self.score


def stream(
    events: int = 4000, *, days: int = 20, keys: int = 90, delay_ms: int = 3 * DAY_MS, seed: int = 0
) -> list[Op]:
    """Events over some days, and all their labels so much later; some negatives are silence, corrected a day later."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.integers(0, days * DAY_MS, events)).tolist()
    ops = []
    for time_ms, key, score, chance in zip(
        times, generator.integers(0, keys, events).tolist(), generator.random(events).tolist(), generator.random(events).tolist(), strict=True
    ):  # fmt: skip
        positive = chance < 0.05 * score
        name = f"c{key}"
        ops.append(Op(time_ms, False, time_ms, name, score))
        if positive and chance < 0.01:
            ops.append(Op(time_ms + delay_ms, True, time_ms, name, score, 0.0, NAN, True))
            ops.append(Op(time_ms + delay_ms + DAY_MS, True, time_ms, name, score, 1.0, 0.0))
        else:
            ops.append(Op(time_ms + delay_ms, True, time_ms, name, score, float(positive)))
    return sorted(ops, key=lambda op: (op.now_ms, not op.is_label))


def fold(finds: Finds, ops: list[Op], cut: int = 10**9) -> Finds:
    """As the step would: batches of so many operations."""
    for start in range(0, len(ops), cut):
        batch = ops[start : start + cut]
        columns = zip(
            *map(attrgetter("is_label", "time_ms", "key", "value", "previous", "assumed", "now_ms"), batch), strict=True
        )
        finds.follow(*columns)
        finds.turn(batch[-1].now_ms)
    return finds


def by_hand(ops: list[Op], k: int, last_day: int) -> tuple[float, float]:
    """Precision and ceiling over the days up to ``last_day``, from the whole table."""
    known: dict[str, int] = {}
    for op in ops:
        if op.is_label and op.target > 0.5 and not op.assumed:
            known.setdefault(op.key, op.now_ms)
    found = shown = possible = 0
    for day in range(last_day + 1):
        begins, best, hit = day * DAY_MS, {}, set()
        for op in ops:
            if op.time_ms // DAY_MS != day or known.get(op.key, begins) < begins:
                continue
            if op.is_label and op.target > 0.5:
                hit.add(op.key)
            if not op.is_label:
                best[op.key] = max(best.get(op.key, 0.0), op.score)
        chosen = sorted(best, key=lambda key: -best[key])[:k]
        found, shown, possible = found + len(hit & set(chosen)), shown + len(chosen), possible + min(len(hit), k)
    return found / shown, possible / shown


@pytest.mark.parametrize("k", [1, 5, 20, 500])
def test_it_is_what_the_whole_table_says(k):
    """Every day that is over, with its labels in; keys that were known before a day are left out of it."""
    ops = stream()
    finds = fold(Finds(k, wait_ms=5 * DAY_MS), ops)
    over = int(finds.all()["days"])
    precision, ceiling = by_hand(ops, k, over - 1)
    assert 10 < over < 20
    assert finds.all()["precision"] == pytest.approx(precision)
    assert finds.all()["ceiling"] == pytest.approx(ceiling)
    assert 0.0 < precision < 1.0


@pytest.mark.parametrize("cut", [1, 7, 64, 1000])
def test_where_a_batch_is_cut_changes_nothing(cut):
    """The same state, byte for byte."""
    ops = stream()
    whole = fold(Finds(10, wait_ms=4 * DAY_MS), ops)
    cuts = fold(Finds(10, wait_ms=4 * DAY_MS), ops, cut)
    assert pickle.dumps(dict(cuts.dump(-1))) == pickle.dumps(dict(whole.dump(-1)))


AHEAD = [  # an event of day 50 while it is day 0; then its card, and another one, are known
    Op(1, False, 1, "a", 1.0),
    Op(2, False, 50 * DAY_MS, "a", 0.9),
    Op(1000, True, 1, "a", 1.0, 1.0),
    Op(1000, True, 50 * DAY_MS, "a", 0.9, 1.0),
    Op(50 * DAY_MS, False, 50 * DAY_MS, "b", 0.1),
    Op(51 * DAY_MS, False, 51 * DAY_MS, "c", 0.2),
    Op(51 * DAY_MS + 5, True, 50 * DAY_MS, "b", 0.1, 1.0),
    Op(51 * DAY_MS + 5, True, 51 * DAY_MS, "c", 0.2, 1.0),
    Op(51 * DAY_MS + 6, False, 51 * DAY_MS + 6, "b", 0.1),
    Op(60 * DAY_MS, False, 51 * DAY_MS + 7, "d", 0.9),
    Op(60 * DAY_MS, False, 60 * DAY_MS, "d", 0.9),
    Op(60 * DAY_MS, True, 60 * DAY_MS, "d", 0.9, 1.0),
    Op(90 * DAY_MS, False, 90 * DAY_MS, "e", 0.9),
]


@pytest.mark.parametrize("known_max", [1, 3, 10])
@pytest.mark.parametrize("stop", range(1, len(AHEAD)))
def test_where_a_batch_is_cut_changes_nothing_for_events_ahead_of_stream_time(stop, known_max, monkeypatch):
    """Byte for byte: also of those that come after their day was counted, and where known keys are let go."""
    monkeypatch.setattr("learners.metrics.finds.KNOWN_MAX", known_max)
    whole, cuts = (Finds(1, wait_ms=2 * DAY_MS) for _ in range(2))
    fold(whole, AHEAD)
    fold(fold(cuts, AHEAD[:stop]), AHEAD[stop:])
    assert pickle.dumps(dict(cuts.dump(-1))) == pickle.dumps(dict(whole.dump(-1)))


def test_no_find_is_known_before_its_day():
    """An event ahead of stream time was listed before its card became known: the precision is not above its ceiling."""
    finds = fold(Finds(1, wait_ms=2 * DAY_MS), AHEAD[:4])
    finds.turn(90 * DAY_MS)
    assert finds.all() == {"precision": 0.5, "ceiling": 0.5, "days": 2.0}


def test_it_goes_on_after_a_save():
    """Saved and loaded in the middle of days that are open."""
    ops = stream()
    there = Finds(10, wait_ms=4 * DAY_MS)
    there.load(pickle.loads(pickle.dumps(dict(fold(Finds(10, wait_ms=4 * DAY_MS), ops[:3333]).dump(-1)))))
    assert dict(fold(there, ops[3333:]).dump(-1)) == dict(fold(Finds(10, wait_ms=4 * DAY_MS), ops).dump(-1))


def days(*told: Op, k: int = 1, wait_ms: int = DAY_MS, end_ms: int = 100 * DAY_MS) -> Iterator[float]:
    finds = Finds(k, wait_ms=wait_ms)
    fold(finds, list(told), 1)
    finds.turn(end_ms)
    yield from finds.all().values()


def test_a_positive_event_with_a_low_score_is_a_find_of_its_key():
    """The key is looked at for its other event of the day, wherever in the day that was."""
    told = (
        Op(5, False, 5, "a", 0.1),
        Op(6, True, 5, "a", 0.1, 1.0),
        Op(7, False, 7, "b", 0.5),
        Op(8, False, 8, "a", 0.9),
    )
    assert list(days(*told)) == [1.0, 1.0, 1.0]


def test_a_label_that_comes_too_late_is_no_find():
    """What is not known after the wait counts as negative, and later news change no figure."""
    late = Op(2 * DAY_MS, True, 5, "a", 0.9, 1.0)
    assert list(days(Op(5, False, 5, "a", 0.9), late)) == [0.0, 0.0, 1.0]


def test_a_correction_takes_a_find_back():
    """Positive first, then negative."""
    told = (Op(5, False, 5, "a", 0.9), Op(6, True, 5, "a", 0.9, 1.0), Op(7, True, 5, "a", 0.9, 0.0, 1.0))
    assert list(days(*told)) == [0.0, 0.0, 1.0]


def test_silence_makes_nobody_known():
    """An assumed positive is a find on its day, and its key is looked at again on the next."""
    first = (Op(5, False, 5, "a", 0.9), Op(6, True, 5, "a", 0.9, 1.0, NAN, True))
    second = Op(DAY_MS + 5, False, DAY_MS + 5, "a", 0.9)
    assert list(days(*first, second)) == [0.5, 0.5, 2.0]
    known = (first[0], first[1]._replace(assumed=False))
    assert list(days(*known, second)) == [1.0, 1.0, 1.0]


def test_an_event_of_a_day_that_was_counted_is_passed_over():
    """It came later than labels are waited for; so is one without a finite score."""
    told = (
        Op(5, False, 5, "a", 0.2),
        Op(9 * DAY_MS, False, 9 * DAY_MS, "b", NAN),
        Op(9 * DAY_MS, False, 6, "c", 0.9),
    )
    assert list(days(*told)) == [0.0, 0.0, 1.0]


def test_days_that_are_open_hold_k_keys_and_their_positives():
    """Whatever the number of keys: nine thousand of them are not remembered."""
    ops = [op for op in stream(9000, days=1, keys=9000) if not op.is_label]
    (state,) = [told for _, told in fold(Finds(50, wait_ms=DAY_MS), ops).dump(-1)]
    ((best, positives),) = state["days"].values()
    assert (len(best), len(positives), len(state["known"])) == (50, 0, 0)
