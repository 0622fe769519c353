"""Windows per key: what an event sees, wherever the log is cut and whenever the state is stored."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import EVENT, LABEL
from learners.features import keyed
from learners.features.windows import COMPUTES, Windows
from tests.unit.learners.features.reference_windows import Cut, History, Op, expected, histories, run

OVER = {"300": 300, "1s": 1000, "2s": 2000}
LABELS = ("count", "sum", "mean", "min", "max", "last", "time_since")


def windows(of="value", compute=COMPUTES, **settings):
    return Windows(["key"], of, compute, OVER, **settings)


KINDS = {
    "events": lambda: windows(late_ms=500),
    "events before": lambda: windows(late_ms=500, present=False),
    "labels": lambda: windows(None, LABELS, late_ms=500),
    "labels with a lag": lambda: windows(None, LABELS, lag_ms=700, late_ms=500),
    "tiles": lambda: windows(compute=COMPUTES[:-1], tiles=5, late_ms=500),
    "tiles of labels": lambda: windows(None, ("count", "mean", "last"), tiles=5, late_ms=500),
    "tiles of labels with a lag": lambda: windows(None, ("count", "mean", "last"), tiles=5, lag_ms=700),
}


@settings(max_examples=60)
@given(histories(late_ms=500, ahead_ms=1500), st.booleans())
def test_exact_windows_of_a_field(history, present):
    """Equal brute force over all entries, with and without the event itself; some come late, some ahead of stream time."""
    got = run(windows(late_ms=500, present=present), history)
    np.testing.assert_allclose(
        got, expected(history, compute=COMPUTES, over_ms=OVER.values(), present=present), 1e-12, 1e-12
    )


@settings(max_examples=60)
@given(histories(late_ms=500, ahead_ms=1500), st.sampled_from([None, 0, 700]))
def test_exact_windows_of_labels(history, lag_ms):
    """Equal brute force: counted when they came, or at their events' times with a lag; a correction takes the place.

    Also of events that are ahead of stream time, whether or not it has come up to them when the label is corrected.
    """
    got = run(windows(None, LABELS, lag_ms=lag_ms, late_ms=500), history)
    want = expected(history, compute=LABELS, over_ms=OVER.values(), of="label", lag_ms=lag_ms)
    np.testing.assert_allclose(got, want, 1e-12, 1e-12)


@settings(max_examples=100)
@given(histories(late_ms=500, ahead_ms=1500), st.sampled_from([None, 0, 700]))
def test_a_correction_is_as_if_the_wrong_label_had_never_come(history, lag_ms):
    """What events see after it, to the bit: of events in time, late, and ahead of stream time then, since or still."""
    times = history.times_ms
    for place in range(len(times)):  # of two events of one time and value, either may be taken back
        while times[place] in times[:place]:
            times[place] += 1
    final = {op.event: op for op in history.ops if op.kind == LABEL}
    right = [
        op._replace(previous=math.nan) for op in history.ops if op.kind == EVENT or op is final[op.event]
    ]  # fmt: skip
    end, seen = max([0, *(op.now_ms for op in history.ops)]), []
    for ops in (history.ops, right):
        asked = History([*times], [*history.keys], [*history.values], [*ops])
        for time in (end, end + 250, end + 900, end + 1900):
            for key in ("k1", "k2", "k3"):
                asked.ops.append(Op(EVENT, len(asked.keys), time))
                asked.times_ms.append(time)
                asked.keys.append(key)
                asked.values.append(None)
        seen.append(run(windows(None, LABELS, lag_ms=lag_ms, late_ms=500), asked)[-12:])
    assert np.array_equal(*seen, equal_nan=True)


@pytest.mark.parametrize("lag_ms", [None, 0])
def test_a_correction_of_a_label_of_an_event_far_ahead(lag_ms):
    """One label counts, whenever stream time is as far."""
    for now_ms in (30, 500, 900):
        history = History([500, 900], ["k"] * 2, [1.0] * 2)
        history.ops = [Op(EVENT, 0, 10), Op(LABEL, 0, 20, 1.0), Op(LABEL, 0, now_ms, 0.0, 1.0), Op(EVENT, 1, 900)]
        got = run(Windows(["key"], None, ["count", "sum"], {"1s": 1000}, lag_ms=lag_ms), history, [1, 2, 3])
        assert got[-1].tolist() == [1.0, 0.0]


def test_labels_with_a_lag_are_corrected_after_a_checkpoint_that_has_their_events_times_only():
    """So they were stored once: the entries' times are their events'."""
    history = History([10, 90], ["k"] * 2, [1.0] * 2, [Op(EVENT, 0, 10), Op(LABEL, 0, 20, 1.0)])
    former, stage = (Windows(["key"], None, ["count", "sum"], {"1s": 1000}, lag_ms=0) for _ in range(2))
    run(former, history)
    stage.load({name: told | {"own_ms": np.empty(0, np.int64)} for name, told in former.dump(-1)})
    history.ops = [Op(LABEL, 0, 30, 0.0, 1.0), Op(EVENT, 1, 90)]
    assert run(stage, history).tolist() == [[1.0, 0.0]]


@settings(max_examples=40)
@given(st.sampled_from(sorted(KINDS)), histories(late_ms=400, wild=True, events=80), st.data())
def test_cuts_and_checkpoints_change_nothing(kind, history, data):
    """To the bit: pieces of any length, and a state that is stored by its changed chunks and loaded anywhere on the way."""
    make = KINDS[kind]
    whole, pieces = make(), make()
    want = run(whole, history)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(history.ops)), max_size=8)))
    got, since, store, at = [], -1, {}, 0
    for stop in [*cuts, len(history.ops)]:
        part = History(history.times_ms, history.keys, history.values, history.ops[at:stop])
        got.append(run(pieces, part, records=at))
        at = stop
        store |= dict(pieces.dump(since))
        store = {name: store[name] for name in pieces.alive()}
        since = stop
        if data.draw(st.booleans()):
            pieces = make()
            pieces.load(pickle.loads(pickle.dumps(store)))
    assert np.array_equal(np.concatenate(got), want, equal_nan=True)
    assert walked(pieces) == walked(whole)


def walked(stage):
    """The state as one text: the same for the same state."""

    def plain(one):
        if isinstance(one, np.ndarray):
            return one.shape, one.tobytes()
        return {name: plain(value) for name, value in one.items()} if isinstance(one, dict) else one

    return pickle.dumps([(name, plain(chunk)) for name, chunk in stage.dump(-1)])


@settings(max_examples=60)
@given(histories(late_ms=0, keys=2))
def test_tiles_miss_no_more_than_a_tile(history):
    """A count lies between that of the span without its oldest tile and that of the whole span."""
    got = run(windows(compute=("count", "sum"), tiles=5), history)
    whole = expected(history, compute=["count"], over_ms=OVER.values())
    inner = expected(history, compute=["count"], over_ms=[span - span // 5 for span in OVER.values()])
    for span in range(len(OVER)):
        there = ~np.isnan(whole[:, span])
        assert (got[there, 2 * span] <= whole[there, span]).all()
        assert (got[there, 2 * span] >= inner[there, span]).all()


def steady(events, keys, *, seed=0, every_ms=10):
    """Events of random keys, one after the other."""
    generator = np.random.default_rng(seed)
    history = History()
    for number, key in enumerate(generator.integers(0, keys, events).tolist()):
        history.times_ms.append(number * every_ms)
        history.keys.append(f"k{key}")
        history.values.append(float(number % 7))
        history.ops.append(Op(EVENT, number, number * every_ms))
    return history


def test_keys_that_are_idle_expire():
    """Of ten thousand keys only those of the last two seconds are known, and the columns stay small."""
    stage = Windows(["key"], "value", ["count"], {"2s": 2000})
    history = steady(20_000, 10**9)
    run(stage, history, range(0, 20_000, 500))
    assert 200 <= len(stage) <= 200 + 2 * keyed.GENERATION_MIN
    assert stage.nbytes() < 500_000


def test_a_key_that_stays_is_kept_among_many_that_go():
    """It is in an old generation of which nearly everybody has moved on; nothing of it is lost, before and after a load."""
    stage = Windows(["key"], "value", ["count", "sum"], {"1d": 86_400_000})
    rare = [f"rare{number}" for number in range(500)]
    history = steady(30_000, 300)
    for number in range(500):
        history.keys[number] = rare[number]
    run(stage, history, range(0, 30_000, 1000))
    assert len(stage) == 800
    other = Windows(["key"], "value", ["count", "sum"], {"1d": 86_400_000})
    other.load(pickle.loads(pickle.dumps(dict(stage.dump(-1)))))
    asked = History([300_000] * 500, rare, [None] * 500, [Op(EVENT, number, 300_000) for number in range(500)])
    for one in (stage, other):
        assert run(one, asked)[:, 0].tolist() == [1.0] * 500


def test_a_checkpoint_costs_what_changed():
    """Of 20,000 keys one in a hundred changed: less than 3 % of the bytes, when fresh and after much has moved."""
    stage = Windows(["key"], "value", ["count", "sum", "mean"], {"1h": 3_600_000, "1d": 86_400_000})
    keys = 20_000
    history = History([0] * keys, [f"k{number}" for number in range(keys)], [1.0] * keys)
    history.ops = [Op(EVENT, number, 0) for number in range(keys)]
    run(stage, history)
    generator = np.random.default_rng(1)
    shares = []
    for turn in range(2, 202):
        chosen = generator.choice(keys, keys // 100, replace=False).tolist()
        part = History([turn] * len(chosen), [f"k{key}" for key in chosen], [1.0] * len(chosen))
        part.ops = [Op(EVENT, number, turn) for number in range(len(chosen))]
        run(stage, part, records=keys * turn)
        if turn < 5 or turn > 180:
            full, changed = (sum(len(pickle.dumps(c)) for _, c in stage.dump(since)) for since in (-1, keys * turn))
            shares.append(changed / full)
    assert max(shares[:3]) < 0.03
    assert np.mean(shares) < 0.03


def test_sums_forget_what_has_left():
    """A huge value that has left the span leaves no rounding behind."""
    stage = Windows(["key"], "value", ["sum", "std"], {"1s": 1000})
    history = History([0, 10, 900, 1005, 1020], ["k"] * 5, [1e15, 0.1, 0.2, 0.3, 0.4])
    history.ops = [Op(EVENT, number, time) for number, time in enumerate(history.times_ms)]
    got = run(stage, history)
    np.testing.assert_array_equal(got[3:, 0], [math.fsum([0.1, 0.2, 0.3]), math.fsum([0.2, 0.3, 0.4])])
    np.testing.assert_allclose(got[3:, 1], [0.1, 0.1], 1e-14)


def test_pairs_of_fields_are_keys_of_their_own():
    """No two pairs of values are taken for one another."""
    stage = Windows(["a", "b"], "value", ["count"], {"1s": 1000})

    class Pairs:
        def times_ms(self):
            return np.zeros(4, np.int64)

        def column(self, name):
            return {"a": ["x", "x1", "1:x", "x"], "b": ["1y", "y", "y", "1y"], "value": [1.0] * 4}[name]

    history = History([0] * 4, ["k"] * 4, [1.0] * 4, [Op(EVENT, number, 0) for number in range(4)])
    assert stage.run(Cut(history, history.ops).program, Pairs())[:, 0].tolist() == [1.0, 1.0, 1.0, 2.0]


def test_a_wild_time_does_not_move_a_key():
    """Of an event that says it is of far ahead, stream time is its time."""
    stage = Windows(["key"], "value", ["count"], {"1s": 1000})
    history = History([0, 10**12, 500], ["k"] * 3, [1.0] * 3, [Op(EVENT, 0, 0), Op(EVENT, 1, 100), Op(EVENT, 2, 500)])
    assert run(stage, history)[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_texts_are_counted_and_told_apart():
    """Distinct values of a text field."""
    stage = Windows(["key"], "value", ["count", "distinct"], {"1s": 1000}, text=True)
    history = History([0] * 4, ["k"] * 4, ["a", "b", "a", None], [Op(EVENT, number, 0) for number in range(4)])
    assert run(stage, history).tolist() == [[1, 1], [2, 2], [3, 2], [3, 2]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"of": "value", "compute": ["median"]}, "there is no 'median'"),
        ({"of": "value", "compute": ["count"], "lag_ms": 5}, "only labels have a lag"),
        ({"of": "value", "compute": ["mean"], "text": True}, "value is text"),
        ({"of": "value", "compute": ["distinct"], "tiles": 5}, "leave `tiles` out"),
        ({"of": None, "compute": ["max"], "tiles": 5}, "leave `tiles` out"),
        ({"of": "value", "compute": ["count"], "tiles": 7}, "whole number of milliseconds"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    """With words."""
    with pytest.raises(ValueError, match=words):
        Windows(["key"], **arguments, over_ms={"1s": 1000})


def test_names():
    """Of the field, what is computed, the span and the key."""
    stage = Windows(["card", "shop"], "amount", ["count", "mean"], {"1d": 86_400_000, "7d": 7 * 86_400_000})
    assert stage.names == (
        "amount_count_1d_by_card_shop", "amount_mean_1d_by_card_shop", "amount_count_7d_by_card_shop",
        "amount_mean_7d_by_card_shop",
    )  # fmt: skip


def test_labels_of_keys_without_events_wait():
    """A key whose first label comes in the middle of a batch is empty for the events before it."""
    stage = Windows(["key"], None, ["count"], {"1s": 1000})
    ops = [Op(EVENT, 0, 0), Op(EVENT, 1, 1), Op(LABEL, 0, 2, 1.0), Op(EVENT, 2, 3)]
    history = History([0, 1, 3], ["k"] * 3, [1.0] * 3, ops)
    assert run(stage, history)[:, 0].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("keys", [4096, 4160, 4161, 4300])
def test_a_state_of_many_generations_loads(keys):
    """Of as many as the columns have room for at first, one fewer and one more."""
    stage = Windows(["key"], "value", ["count"], {"1d": 86_400_000})
    history = steady(keys, 10**9, every_ms=0)
    run(stage, history)
    other = Windows(["key"], "value", ["count"], {"1d": 86_400_000})
    other.load(dict(stage.dump(-1)))
    assert len(other) == len(stage) == keys
    assert walked(other) == walked(stage)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_checkpoints_of_many_generations(kind):
    """Keys move from chunk to chunk, chunks are cleaned, keys expire; a state loaded from what is stored goes on alike."""
    history = steady(6000, 700, seed=5, every_ms=3)
    generator = np.random.default_rng(6)
    labelled = generator.permutation(5000)[:1500].tolist()
    labels = [Op(LABEL, one, history.times_ms[one + 300], float(one % 3 == 0)) for one in labelled]
    history.ops = sorted([*history.ops, *labels], key=lambda op: (op.now_ms, -op.kind))
    whole, pieces, store, since = KINDS[kind](), KINDS[kind](), {}, -1
    want = run(whole, history)
    got = []
    for at in range(0, len(history.ops), 400):
        part = History(history.times_ms, history.keys, history.values, history.ops[at : at + 400])
        got.append(run(pieces, part, records=at))
        store |= dict(pieces.dump(since))
        store = {name: store[name] for name in pieces.alive()}
        since = at + len(part.ops)
        if generator.random() < 0.5:
            pieces = KINDS[kind]()
            pieces.load(pickle.loads(pickle.dumps(store)))
    assert np.array_equal(np.concatenate(got), want, equal_nan=True)
    assert walked(pieces) == walked(whole)
    assert len(list(whole.alive())) > 3
