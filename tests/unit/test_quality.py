"""The figures of quality can be made: their configurations are valid, their tables say what they are given. Nothing is run."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.quality import elec2, sea, streams
from benchmarks.quality.__main__ import arguments
from stream.build_fold import build_fold, lineage
from stream.replay.plan import loaded

PRICES = {"nswprice", "vicprice"}


def built(settings):
    """The learners of a configuration."""
    config = loaded(settings)
    return build_fold(lineage(config, {}), []).state.learners


@pytest.mark.parametrize("delay", elec2.DELAYS)
def test_the_mixture_of_elec2_can_be_built_and_its_members_are_there(delay: int) -> None:
    """For both delays, and so can the baselines."""
    mixture = elec2.mixture(delay)
    learners = built(elec2.settings(Path("elec2.csv"), delay, "elec2", mixture, "mixture"))
    assert set(learners["mixture"].members) == set(learners) - {"mixture", "fixed_share"}
    assert built(elec2.settings(Path("elec2.csv"), delay, "baselines", elec2.baselines(delay), "forest"))


def test_both_delays_of_elec2_have_the_same_settings_but_for_the_delay() -> None:
    """Nothing is tuned to one of them."""
    one, two = (str(elec2.mixture(delay)) for delay in elec2.DELAYS)
    assert one != two
    assert one.replace("'delay': 1", "'delay': 2") == two


def test_no_learner_of_elec2_is_given_a_window_over_a_price() -> None:
    """Features are the columns as they stand; nothing is computed of them, and what is remembered are labels."""
    settings = elec2.settings(Path("elec2.csv"), 1, "elec2", elec2.mixture(1), "mixture")
    assert "features" not in settings
    assert set(settings["events"]["features"]) > PRICES
    assert not any(price in str(settings["learners"]) for price in PRICES)


def test_the_learners_of_sea_can_be_built() -> None:
    """With every detector that has a name, and those of different memories."""
    for name, learner in sea.LEARNERS.items():
        for detector in sea.DETECTORS:
            assert built(sea.settings({name: learner}, name, detector))
    assert "mixture" in built(sea.settings(sea.memories(), "mixture"))


def test_an_alarm_counts_for_the_drift_that_it_follows_and_else_as_another() -> None:
    """Found are the first ones within a thousand events; a second one there is neither; one before or later is another."""
    seen = streams.Seen()
    seen.findings = [(100, "d", "alarm"), (12_600, "d", "warning"), (12_700, "d", "alarm"), (13_499, "d", "alarm")]
    seen.findings += [(13_500, "d", "alarm"), (25_000, "d", "alarm")]
    assert sea.found(seen) == ([200, 0, None], 2)


def test_what_is_right_is_told_of_all_rows_of_those_tuned_on_and_of_the_rest() -> None:
    """Beside the last label that was known: before there is one, it says false."""
    label = np.arange(elec2.TUNED + 2) < elec2.TUNED
    frame = pd.DataFrame({"score": np.ones(len(label)), "label": label, "challengers.other": np.zeros(len(label))})
    told = {name: elec2.shares(own) for name, own in elec2.answered(frame, 2, "mixture").items()}
    rows = elec2.TUNED + 2
    assert told["mixture"] == (elec2.TUNED / rows, 1.0, 0.0)
    assert told["other"] == (2 / rows, 0.0, 1.0)
    assert told["last label known"] == ((elec2.TUNED - 2) / rows, (elec2.TUNED - 2) / elec2.TUNED, 0.0)


def test_the_lead_of_one_over_another_is_told_with_what_is_luck_of_the_weeks() -> None:
    """Right in every tenth row more, week after week: no week is luckier. Equal answers have no lead."""
    one = np.ones(10 * elec2.WEEK, bool)
    other = np.arange(len(one)) % 10 > 0
    low, high = elec2.lead(one, other)
    assert 9.9 < low <= high < 10.2
    assert elec2.lead(other, other) == (0.0, 0.0)


def test_a_figure_that_is_missed_is_told() -> None:
    """And then not all are reached."""
    lines: list[str] = []
    assert streams.verdict({"a": True}, lines.append)
    assert not streams.verdict({"a": True, "b": False}, lines.append)
    assert lines == ["reached  a", "reached  a", "MISSED   b"]


def test_an_unknown_name_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(SystemExit):
        arguments(["speed"])
    assert arguments(["elec2", "sea"]).name == ["elec2", "sea"]


def test_rows_get_their_number_and_nothing_else_changes(tmp_path: Path) -> None:
    """But the columns that are left out."""
    frame = pd.DataFrame({"a": ["1.50", "2"], "b": [1, 0], "c": ["x", "y"]})
    frame.to_csv(tmp_path / "in.csv.gz", index=False)
    assert streams.numbered(tmp_path / "in.csv.gz", tmp_path / "out.csv", ("b",)) == 2
    assert (tmp_path / "out.csv").read_text() == "id,a,c\nr0,1.50,x\nr1,2,y\n"
