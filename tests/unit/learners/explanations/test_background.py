"""The background holds recent rows, the same ones wherever it began and however batches were cut."""

import random

import pytest

from learners.explanations.background import SIZE, STRIDE, Background


def fed(first, count, cuts, held=None):
    held = held or Background()
    at = first
    while at < first + count:
        size = min(next(cuts), first + count - at)
        picks = held.picks(at, size)
        held.keep({"n": float(at + pick)} for pick in picks)
        at += size
    return held


def cuts(seed):
    draw = random.Random(seed)
    while True:
        yield draw.choice([1, 2, 49, 50, 51, 500])


def one_cut():
    while True:
        yield 10**9


@pytest.mark.parametrize("count", [1, 30, SIZE, SIZE + 7, 3000, 12_345])
@pytest.mark.parametrize("first", [0, 17, 5000])
def test_where_a_batch_is_cut_changes_nothing(first, count):
    """The same rows in the same order."""
    assert fed(first, count, cuts(count)).rows == fed(first, count, one_cut()).rows


def test_after_a_while_it_is_the_same_wherever_it_began():
    """A fold that begins later, or from a checkpoint without one, holds the same rows 5,000 events on."""
    end = 20_000
    whole = fed(0, end, one_cut())
    assert all(
        fed(start, end - start, one_cut()).rows == whole.rows for start in (1, 9_999, end - SIZE - SIZE * STRIDE)
    )


def test_it_is_bounded_and_recent():
    """A hundred rows, one of each fifty events, of the last five thousand."""
    rows = [int(row["n"]) for row in fed(0, 30_000, cuts(1)).rows]
    assert len(rows) == SIZE
    assert [number // STRIDE for number in rows] == list(range(30_000 // STRIDE - SIZE, 30_000 // STRIDE))


def test_which_of_fifty_is_taken_varies():
    """A stream with a rhythm of fifty events is not seen at one beat only."""
    rows = [int(row["n"]) for row in fed(0, 30_000, one_cut()).rows]
    assert len({number % STRIDE for number in rows}) > 30


def test_the_first_hundred_are_all_taken():
    """So that early answers are compared with something."""
    assert [row["n"] for row in fed(0, 60, one_cut()).rows] == list(map(float, range(60)))


def test_before_an_event_it_holds_what_came_before_it():
    """The event itself and later ones of its batch are not in it."""
    held = fed(0, 90, one_cut())
    dicts = [{"n": float(90 + index)} for index in range(400)]
    picks = held.picks(90, 400)
    for index in (0, 1, 9, 10, 11, 200, 399):
        assert held.before(index, picks, dicts) == fed(90, index, one_cut(), fed(0, 90, one_cut())).rows


def test_a_loaded_one_goes_on_and_shares_nothing():
    """What is dumped is a copy."""
    first, second = fed(0, 70, one_cut()), Background()
    chunks = dict(first.dump(-1))
    second.load(chunks)
    assert set(chunks) == set(first.alive())
    assert fed(70, 900, one_cut(), second).rows == fed(0, 970, one_cut()).rows
    assert first.rows == fed(0, 70, one_cut()).rows
