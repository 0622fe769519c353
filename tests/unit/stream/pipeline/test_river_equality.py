"""The fold over Phishing says what River's own ``progressive_val_score`` does: each score, the order of learning, the metrics."""

import datetime as dt

import pytest
from river import datasets

from tests.evaluations import Moment, fold_says, river_says, same, ties

SECOND = 1000


@pytest.fixture(scope="module")
def history():
    """Three events at a time, a second apart; each says a delay of some half seconds, so many labels are due together."""
    return [
        Moment({name: float(value) for name, value in x.items()}, y, i // 3 * SECOND, i * 7919 % 61 / 2)
        for i, (x, y) in enumerate(datasets.Phishing())
    ]


@pytest.fixture(scope="module")
def names(history):
    return list(history[0].x)


KINDS = {
    "none": ("0s", {"moment": None, "delay": None}),
    "none, by time": ("0s", {"moment": "time", "delay": 0}),
    "time": ("40s", {"moment": "time", "delay": 40 * SECOND}),
    "time, longer than the history": ("1h", {"moment": "time", "delay": 3600 * SECOND}),
    "0 events": ("0 events", {"moment": None, "delay": 0}),
    "1 event": ("1 event", {"moment": None, "delay": 1}),
    "2 events": ("2 events", {"moment": None, "delay": 2}),
    "77 events": ("77 events", {"moment": None, "delay": 77}),
    "each its own": (
        {"field": "after", "unit": "s"},
        {"moment": "time", "delay": lambda x, _: int(x["after"] * SECOND)},
    ),
}


@pytest.mark.parametrize("cut", [1, 997])
@pytest.mark.parametrize("kind", KINDS)
def test_the_fold_is_rivers_evaluation(history, names, kind, cut):
    """To the bit, for every kind of delay, wherever batches are cut; at the end all that is left is revealed."""
    delay, by_river = KINDS[kind]
    fold, lab = fold_says(history, names, delay=delay, cut=cut)
    assert same(fold, river_says(history, names, **by_river))
    assert lab.fold.state.join.left == 0
    assert lab.reasons == []


@pytest.mark.parametrize("kind", ["time", "77 events", "each its own"])
def test_a_compiled_learner_is_rivers_evaluation(history, names, kind):
    """The learner that runs on arrays, with waiting rows that are arrays."""
    delay, by_river = KINDS[kind]
    fold, _ = fold_says(history, names, delay=delay, learner="learners.compiled.ScaledLogisticRegression")
    assert same(fold, river_says(history, names, **by_river))


@pytest.mark.parametrize("kind", ["time", "77 events", "each its own"])
def test_what_is_kept_at_the_end_is_what_river_would_reveal(history, names, kind):
    """Without a flush the fold stops where River begins to reveal what is left; and that much is left."""
    delay, by_river = KINDS[kind]
    fold, lab = fold_says(history, names, delay=delay, flush=False)
    river = river_says(history, names, **by_river)
    assert fold.order == river.scored_before_the_end
    assert fold.scores == river.scores
    assert lab.fold.state.join.left == len(river.order) - len(fold.order) > 0


def test_the_history_has_what_makes_it_hard(history):
    """Labels due at the very time of an event, and labels due together."""
    assert ties(history, lambda _: 40 * SECOND) > 1000
    assert ties(history, lambda one: one.after * SECOND) > 1000
    due = [one.time_ms + one.after * SECOND for one in history]
    assert len(set(due)) < len(due)


def test_no_delay_and_one_event_are_the_same(history, names):
    """As River says: without a moment, a delay of 1 is none."""
    assert same(fold_says(history, names, delay="1 event")[0], river_says(history, names, moment=None, delay=None))


def test_a_delay_of_time_is_rivers_with_dates(history, names):
    """River adds timedeltas to datetimes; milliseconds are the same moments."""
    begin = dt.datetime(2018, 4, 1, tzinfo=dt.UTC)
    dated = [one._replace(time_ms=begin + dt.timedelta(milliseconds=one.time_ms)) for one in history]
    river = river_says(dated, names, moment="time", delay=dt.timedelta(seconds=40))
    assert same(fold_says(history, names, delay="40s")[0], river)
