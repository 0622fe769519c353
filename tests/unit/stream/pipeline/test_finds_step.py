"""Card precision in the step: a function of the log alone, of the scores that were emitted, and of nothing else's state."""

import json
import random

import pytest

from learners.metrics.finds import DAY_MS
from stream.build_fold import build_fold
from stream.errors import ConfigError
from stream.runtime.readings import TaskReadings
from tests.harness import config
from tests.simulation.lab import LABEL, Lab, canonical, dumped, event, label, load, settled
from tests.unit.stream.pipeline.test_state import DETECTORS, OWN, arrivals

HOUR = 3600
RULES = {
    "first": {"conflict": "first", "wait": "60h", "park": "20h"},
    "last, few": {"conflict": "last", "wait": "60h", "park": "20h", "waiting_max": 30, "park_max": 3},
    "assumed": {"conflict": "last", "wait": "90h", "park": "1h", "assume": {"value": False, "after": "25h"}},
}


def lab(**more):
    return Lab(config(**{"metrics": {"top": 2}, "detectors": DETECTORS, **more}))


def over_days(seed):
    """Arrivals of a second each as arrivals of an hour each, of nine cards."""
    return [
        (kind, {**told, "time": told["time"] * HOUR, "card": f"c{(len(told['id']) * 7 + sum(map(ord, told['id']))) % 9}"} if isinstance(told, dict) else told)
        if kind != LABEL or not isinstance(told, dict)
        else (kind, {**told, "time": told["time"] * HOUR})
        for kind, told in arrivals(seed)
    ]  # fmt: skip


@pytest.mark.parametrize("rules", RULES)
def test_where_a_batch_is_cut_changes_no_byte(rules):
    """Labels that come early, late, twice, in conflict, or are assumed and corrected; events twice and out of order."""
    steps, labels = over_days(5), {**OWN, **RULES[rules]}
    whole = lab(labels=labels).feed(steps)
    assert whole.fold.state.finds.all()["days"] > 1
    for cut in (1, 7, 40):
        one = lab(labels=labels).feed(steps, cut)
        assert one.said == whole.said
        assert settled(one.fold) == settled(whole.fold)


def test_where_a_batch_is_cut_changes_nothing_for_events_ahead_of_stream_time():
    """Cut at every record: the same figures and the same bytes, with cards that are known in between."""
    day, own = 24 * HOUR * 1000, {**OWN, "wait": "30d"}
    steps = [
        event(0, 0, 1.0, card="a"), event(1, 50 * day, 1.0, card="a"), label(0, 1000),
        event(2, 50 * day, 0.0, card="b"), event(3, 50 * day + 1000, 0.0, card="b"), label(1, 50 * day + 2000),
        event(4, 140 * day, 0.0, card="c"), event(5, 140 * day + 1, 0.0, card="c"),
    ]  # fmt: skip
    whole = lab(labels=own).feed(steps)
    assert whole.fold.state.clock.counts["time_leaps"] > 0
    assert whole.fold.state.finds.all()["days"] == 2
    for stop in range(1, len(steps)):
        one = lab(labels=own).feed(steps[:stop]).feed(steps[stop:])
        assert one.said == whole.said
        assert one.fold.state.finds.all() == whole.fold.state.finds.all()
        assert settled(one.fold) == settled(whole.fold)


def test_a_loaded_state_goes_on_to_the_same_figures():
    """Open days and known keys are a part of the checkpoint."""
    steps = over_days(6)
    whole = lab().feed(steps, 10)
    first, second = lab().feed(steps[:80], 10), lab()
    second.fold = load(build_fold(first.lineage, first.inputs), dumped(first.fold))
    second._offsets = first._offsets
    second.feed(steps[80:], 10)
    assert canonical(dumped(second.fold)) == canonical(dumped(whole.fold))


def test_it_is_what_predictions_and_labels_say():
    """Worked out from what came out of the pipeline, and from the labels that went in."""
    draw, steps, truth = random.Random(1), [], {}
    for i in range(600):
        time = i * HOUR * 1000 // 3
        y = draw.random() < 0.1
        truth[f"e{i}"] = y
        steps.append(
            (time, 1, event(i, time, draw.gauss(0, 1), draw.gauss(float(y), 1), card=f"c{draw.randrange(12)}"))
        )
        steps.append((time + 30 * HOUR * 1000, 0, label(i, time + 30 * HOUR * 1000, y)))
    ordered = [step for _, _, step in sorted(steps, key=lambda one: one[:2])]
    fed = lab(labels={**OWN, "wait": "2d"}, metrics={"top": 3}).feed(ordered, 50)
    said = [json.loads(value) for _, _, value, _ in fed.said["predictions"]]
    known, found, shown, over = {}, 0, 0, int(fed.fold.state.finds.all()["days"])
    rows = [(int(one["id"][1:]) * HOUR * 1000 // 3, one["key"], one["score"], truth[one["id"]]) for one in said]
    for time, key, _, y in rows:
        if y:
            known.setdefault(key, time + 30 * HOUR * 1000)
    for day in range(over):
        best, hit = {}, set()
        for time, key, score, y in rows:
            if time // DAY_MS == day and known.get(key, time) >= day * DAY_MS:
                best[key] = max(best.get(key, 0.0), score)
                hit |= {key} if y else set()
        chosen = sorted(best, key=lambda key: -best[key])[:3]
        found, shown = found + len(hit & set(chosen)), shown + len(chosen)
    assert over > 3
    assert fed.fold.state.finds.all()["precision"] == pytest.approx(found / shown)
    assert 0 < found < shown


def test_without_it_answers_and_settings_are_those_of_before():
    """It changes no prediction; and a configuration without it has the lineage that it had."""
    steps = over_days(7)
    plain, measured = Lab(config(detectors=DETECTORS)).feed(steps), lab().feed(steps)
    for name in ("predictions", "alarms"):  # rejects tell the lineage
        assert plain.said[name] == measured.said[name]
    assert plain.fold.state.finds is None
    assert "top" not in plain.lineage["answers"]["metrics"]


def test_another_number_begins_only_this_measure_anew():
    """Nothing else depends on it."""
    former = lab().feed(over_days(8))
    assert lab(metrics={"top": 5}).fold.take_over(former.fold) == ["finds"]
    assert lab().fold.take_over(former.fold) == []


def test_the_champions_metrics_tell_it():
    """Beside what is told of labels: over all days, and of the last one."""
    fed = lab(labels={**OWN, **RULES["first"]}).feed(over_days(9))
    readings = TaskReadings(0)
    readings.tell(fed.fold.state, {})
    champion = fed.fold.state.roles.champion
    told = readings.metrics[champion]
    assert told["all"]["top_days"] == fed.fold.state.finds.all()["days"] > 1
    assert told["recent"]["top_days"] == 1.0
    assert 0.0 <= told["all"]["top_precision"] <= told["all"]["top_ceiling"] <= 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": {"topic": "events", "id": "id", "time": "time", "features": ["a", "b"]}}, "events have no key"),
        (
            {"events": {"topic": "events", "id": "id", "key": "card", "time": "time"}},
            "'card' is not kept with events whose features are open",
        ),
        (
            {"events": {"topic": "events", "id": "id", "key": "card", "time": "time", "features": ["a", "card"]}},
            "'card' is listed as a number",
        ),
        ({"problem": "regression", "learners": {"main": "river.linear_model.LinearRegression"}}, "true or false"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(changes, words):
    """Before a worker starts."""
    with pytest.raises(ConfigError, match=words):
        lab(**{"detectors": [], **changes})
