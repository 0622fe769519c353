"""Whatever is sent, nothing raises, every record has one outcome, and what is refused leaves no trace (fold.py).

Cases drawn from seeds; ``make hostile RECORDS=1000000`` runs many more of the same. A failure prints its seed.
"""

import pytest

from tests.hostile.fold import check
from tests.hostile.records import case, probes

RECORDS = 250


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Rows lie in small blocks, so that a short stream fills many."""
    monkeypatch.setattr("stream.pipeline.waiting.BLOCK", 16)


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning"
)  # River's sums overflow, as they do in a worker, where nobody listens
@pytest.mark.parametrize("seed", range(60))
def test_hostile_records_have_one_outcome_each_and_leave_no_trace(seed):
    """Nothing raises; one outcome each; cut elsewhere the same; without the refused ones the same."""
    print(f"seed {seed}: python -m tests.hostile --seeds {seed}:{seed + 1} --size {RECORDS}")
    tally = check(case(seed, RECORDS))
    assert sum(tally.values()) == RECORDS + 3  # the probes


def test_a_seed_says_the_same_for_ever():
    """Otherwise a failure could not be repeated."""
    assert case(7, 100) == case(7, 100)


def test_probes_are_answered():
    """So that equal scores of probes say something."""
    clean = case(11, 40)
    assert [one.value.count(b"probe-") for one in probes(clean)] == [1, 1, 1]
