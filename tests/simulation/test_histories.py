"""Ten thousand histories, and those that once failed. ``make sim SEEDS=FIRST:LAST`` simulates others, and shortens what fails.

``HEADRACE_SIM_SEEDS=0:200`` makes this test smaller or larger.
"""

import os
from collections import Counter

import pytest

from tests.simulation.history import History
from tests.simulation.many import campaign
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.seeds import play
from tests.simulation.shrink import fewer

FIRST, LAST = map(int, os.environ.get("HEADRACE_SIM_SEEDS", "0:10000").split(":"))

SEEN = {
    "crash": 500, "freeze": 200, "member expired": 500, "membership lost": 200, "task revoked": 200,
    "open transaction fenced": 100, "producer fenced": 20, "transaction timed out": 20, "EndTxn held up": 50,
    "late EndTxn ended the next transaction (commit)": 5, "EndTxn unanswered": 20, "send lost": 50, "send unknown": 20,
    "refused: ILLEGAL_GENERATION": 20, "refused: UNKNOWN_MEMBER_ID": 10, "store wipe": 100, "store go back": 100,
    "store rot": 100, "store evict": 100, "older checkpoint taken": 50, "damage noticed": 100,
    "restarted": 50, "foreign transaction aborted": 100, "foreign transaction committed": 30, "trimmed": 20,
    "recreated topic noticed": 30, "store swap": 50,
}  # fmt: skip
"""What must have happened how often in a thousand histories, or they are calmer than they look."""


@pytest.mark.timeout(1800)
def test_whatever_happens_the_results_are_those_of_an_uninterrupted_run():
    """Outputs, state, checkpoints and balance, after every history; and all that can happen does happen in them."""
    happened: Counter[str] = Counter()
    failed = {}
    for result in campaign(FIRST, LAST, os.cpu_count() or 1):
        happened += result.happened
        if result.error:
            failed[result.seed] = result.error.strip().splitlines()[-1]
    assert not failed, "make sim SEEDS=… with: " + "; ".join(f"{seed}: {said}" for seed, said in sorted(failed.items()))
    thousands = (LAST - FIRST) / 1000
    if thousands >= 1:
        rare = {what: happened[what] for what, count in SEEN.items() if happened[what] < count * thousands / 2}
        assert not rare, f"too rare: {rare}"


@pytest.mark.parametrize("history", [pytest.param(one, id=what) for what, one in REGRESSIONS.items()])
def test_what_once_failed_holds(history: History):
    """Each history found a bug in the product when it was made."""
    play(history)


def test_a_history_plays_the_same_way_twice():
    """Or no failing seed could be looked into."""
    from tests.simulation.history import draw_history  # noqa: PLC0415

    assert play(draw_history(7)) == play(draw_history(7))


def test_shortening_finds_what_is_needed():
    """Of a hundred things, the two without which it would not fail."""
    assert fewer(range(100), lambda some: {17, 80} <= set(some)) == [17, 80]
