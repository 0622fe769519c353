"""A small campaign, as CI runs it: a few faults of each kind against real servers, compared with an uninterrupted run."""

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.campaign.__main__ import main
from tests.campaign.tally import Round, append, read, report, total

GOALS = {"kills": 3, "broker": 1, "redis": 2, "double": 1, "network": 3, "freeze": 1}
SEED = os.environ.get("HEADRACE_TEST_SEED", "1")


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_few_faults_of_each_kind_change_nothing(tmp_path: Path) -> None:
    """Every goal is reached, every fault is healed within a minute, outputs and states are the calm run's."""
    tally = tmp_path / "tally.jsonl"
    goals = [word for kind, count in GOALS.items() for word in (f"--{kind}", str(count))]
    code = main([*goals, "--events", "24000", "--seed", SEED, "--tally", str(tally), "--kept", str(tmp_path)])
    rounds = read(tally)
    assert [one.divergences for one in rounds if one.divergences] == []
    assert [one.slow for one in rounds if one.slow] == []
    assert total(rounds) >= Counter({"worker" if kind == "kills" else kind: n for kind, n in GOALS.items()})
    assert code == 0


def test_goals_that_are_reached_start_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A campaign resumes: what stands in the tally is not done again."""
    append(tmp_path / "tally", Round(1, "2026-01-01", "abc", 100, {"worker": 3}))
    none = [word for kind in ("broker", "redis", "double", "network", "freeze") for word in (f"--{kind}", "0")]
    assert main(["--kills", "3", *none, "--tally", str(tmp_path / "tally")]) == 0
    assert "all goals are reached" in capsys.readouterr().out


def test_the_report_counts_all_rounds(tmp_path: Path) -> None:
    """Faults are summed, healing is told by its median and its longest, nothing is hidden."""
    append(tmp_path / "tally", Round(1, "2026-01-01", "abc", 100, {"worker": 2}, heal_s={"worker": [1.0, 3.0]}))
    append(
        tmp_path / "tally",
        Round(2, "2026-01-02", "abc", 100, {"worker": 1}, heal_s={"worker": [70.0]}, slow=["worker: 70 s"], divergences=["one"]),
    )  # fmt: skip
    told = report(read(tmp_path / "tally"))
    assert "| worker | 3 | 3.0 s | 70.0 s |" in told
    assert "1 divergences, 1 faults that took longer than a minute" in told


def test_the_tally_keeps_what_it_was_given(tmp_path: Path) -> None:
    """A line of JSON a round, and back."""
    one = Round(
        1, "2026-01-01", "abc", 100, {"worker": 2}, {"worker": 2}, {"worker": [1.0]}, [], {"exit 1": 1}, [], 5.0
    )
    append(tmp_path / "tally", one)
    assert read(tmp_path / "tally") == [one]
    assert json.loads((tmp_path / "tally").read_text()) == asdict(one)
