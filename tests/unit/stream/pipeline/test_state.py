"""The state as parts: dumped and loaded at any record the fold goes on to the same bytes, also from chunks of changes."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.build_fold import build_fold
from stream.pipeline.state import Roles
from tests.harness import config
from tests.simulation.lab import EVENT, LABEL, Lab, alive, canonical, dumped, event, label, load, settled

DETECTORS = [
    {
        "signal": "error",
        "detector": {"page_hinkley": {"threshold": 2.0, "min_instances": 5, "rearm": 9}},
        "response": "reset",
    },
    {"signal": {"feature": "a"}, "detector": "adwin"},
]
LEARNERS = {
    "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
    "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
}
RULES = {
    "first": {"conflict": "first", "wait": "60s", "park": "20s"},
    "last, few": {"conflict": "last", "wait": "60s", "park": "20s", "waiting_max": 30, "park_max": 3},
    "assumed": {"conflict": "last", "wait": "90s", "park": "1s", "assume": {"value": False, "after": "25s"}},
}
OWN = {"topic": "labels", "id": "id", "value": "y", "time": "time"}
RIDING = {
    "field": {"delay": "20s"},
    "counted": {"delay": "7 events"},
    "counted, few": {"delay": "7 events", "waiting_max": 7, "wait": "4s", "park": "1s"},
    "as it says": {"delay": {"field": "after", "unit": "s"}, "wait": "40s", "park": "5s"},
    "as it says, few": {"delay": {"field": "after"}, "waiting_max": 6},
}


def arrivals(seed, n=150):
    """Labels that come early, soon, late, twice, in conflict, for nobody or never; events twice, out of order, poison."""
    draw = random.Random(seed)
    steps, later = [], []
    for i in range(n):
        time = i * 1000 - draw.choice([0, 0, 0, 5000])
        one = event(i, time, draw.gauss(0, 1), draw.gauss(0, 1))
        if draw.random() < 0.1:
            steps.append(label(i, time, draw.random() < 0.5))
        steps.append(one)
        for chance, delay in ((0.6, draw.randrange(1, 30)), (0.2, draw.randrange(1, 80)), (0.1, 0)):
            if draw.random() < chance:
                later.append((i + delay, label(i, 0, draw.random() < 0.5)))
        if draw.random() < 0.05:
            steps.append(draw.choice([one, (EVENT, None), (LABEL, b"{"), label("nobody", time)]))
        steps += [step for due, step in later if due == i]
    return steps


def lab(rules):
    labels = {"field": "y", **RIDING[rules]} if rules in RIDING else {**OWN, **RULES[rules]}
    return Lab(config(labels=labels, detectors=DETECTORS, learners=LEARNERS))


def steps_of(rules, seed):
    steps = arrivals(seed)
    if rules in RIDING:
        return [(EVENT, {**value, **riding(value["id"])} if isinstance(value, dict) else value)
                for which, value in steps if which == EVENT]  # fmt: skip
    return steps


def riding(event):
    """Label and delay of an event; some have no label, some no delay."""
    draw = sum(event.encode()) % 23
    return {"y": None if draw == 5 else draw % 3 > 1, "after": "soon" if draw == 7 else draw * 1.5}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of eight rows, so that rows lie in many, some of them full and some gone."""
    monkeypatch.setattr("stream.pipeline.waiting.BLOCK", 8)


@pytest.mark.parametrize("rules", [*RULES, *RIDING])
@pytest.mark.parametrize("seed", range(4))
def test_a_loaded_state_goes_on_to_the_same_bytes(rules, seed):
    """At many places; and its dump at the end is that of the fold that was never dumped."""
    steps = steps_of(rules, seed)
    whole = lab(rules).feed(steps, 10)
    for at in range(10, len(steps), 40):
        first = lab(rules).feed(steps[:at], 10)
        second = lab(rules)
        second.fold = load(build_fold(first.lineage, first.inputs), dumped(first.fold))
        second._offsets = first._offsets
        second.feed(steps[at:], 10)
        for name in whole.said:
            assert first.said[name] + second.said[name] == whole.said[name]
        assert canonical(dumped(second.fold)) == canonical(dumped(whole.fold))


@pytest.mark.parametrize("rules", RIDING)
@settings(max_examples=8)
@given(
    seed=st.integers(0, 99),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    stop=st.integers(0, 150),
)
def test_where_batches_are_cut_and_a_fold_is_recovered_changes_nothing(rules, seed, cuts, stop):
    """Labels that ride in their events: the same outputs and settled state, in batches of any sizes, with a dump and load in
    the middle; and the same again when what is left is revealed at the end.
    """
    steps = steps_of(rules, seed)
    whole, one, at = lab(rules).feed(steps), lab(rules), 0
    for size in itertools.cycle(cuts):
        if at >= len(steps):
            break
        if at <= stop < at + size:
            one.fold = load(build_fold(one.lineage, one.inputs), dumped(one.fold))
        one.feed(steps[at : at + size])
        at += size
    assert settled(one.fold) == settled(whole.fold)
    assert one.flush().said == whole.flush().said
    assert settled(one.fold) == settled(whole.fold)


@pytest.mark.parametrize("rules", [*RULES, *RIDING])
@pytest.mark.parametrize("seed", range(6))
def test_changes_over_an_older_dump_are_a_whole_dump(rules, seed):
    """Chunks changed since, laid over those from before, without those no longer alive: whatever the cuts were."""
    draw, steps, one = random.Random(seed), steps_of(rules, seed), lab(rules)
    kept, since, at = {}, -1, 0
    while at < len(steps):
        size = draw.randrange(1, 25)
        one.feed(steps[at : at + size], draw.choice([1, 5, 100]))
        at += size
        if draw.random() < 0.6:
            kept = {**kept, **dumped(one.fold, since)}
            kept = {key: kept[key] for key in alive(one.fold)}
            since = one.fold.state.clock.records
            assert canonical(dict(sorted(kept.items()))) == canonical(dict(sorted(dumped(one.fold).items())))
        if draw.random() < 0.15 and kept:  # stopped and recovered: goes on from there
            again = lab(rules)
            again.fold = load(build_fold(one.lineage, one.inputs), dumped(one.fold))
            again._offsets = one._offsets
            kept, since, one = dumped(again.fold), again.fold.state.clock.records, again


def test_little_changes_little_is_written():
    """Rows that nothing happened to are not dumped again: neither their marks nor their features."""
    one = lab("first")
    one.feed([event(i, i * 10, float(i)) for i in range(80)])
    since = one.fold.state.clock.records
    one.feed([label(3, 900), event(80, 901)])
    changed = {chunk for (part, chunk) in dumped(one.fold, since) if part == "join"}
    assert changed == {"join", "places", "marks/0", "marks/10", "features/10"}


@pytest.mark.parametrize("rules", [*RULES, *RIDING])
def test_what_is_no_longer_needed_goes(rules):
    """After a long stream only rows of the last wait and parking remain, in storage and in dumps."""
    one = lab(rules)
    steps = [event(i, i * 1000, float(i % 7), **({"y": i % 2, "after": i % 30} if rules in RIDING else {}))
             for i in range(3000)]  # fmt: skip
    if rules in RIDING:
        one = Lab(config(labels={"field": "y", **RIDING[rules], "wait": "60s", "park": "20s"}))
    one.feed(steps, 50)
    rows = one.fold.state.join._rows
    assert len(rows._ids) < 200
    assert len(rows._blocks) < 20
    assert len(rows._stamps) < 40
    assert len([key for key in alive(one.fold) if key[0] == "join"]) < 50


def test_roles_are_told_in_one_order():
    """Which of two learners failed first within a batch depends on where it was cut; the state must not."""
    one, other = Roles("a", {"b": "x", "a": "y"}, {"b": 1, "a": 2}), Roles("a", {"a": "y", "b": "x"}, {"a": 2, "b": 1})
    assert repr(list(one.dump(-1))) == repr(list(other.dump(-1)))
