"""The card feed: the same bytes from the same seed, honest labels, and a change that a model feels."""

import copy
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from river.linear_model import LogisticRegression
from river.preprocessing import StandardScaler

from stream.feeds.fraud import FraudFeed

DIGEST = """
import hashlib, json
from stream.feeds.fraud import FraudFeed
digest = hashlib.sha256()
for record in FraudFeed(4, 7, customers=200).records():
    digest.update(json.dumps(record).encode())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def feed():
    return FraudFeed(12, 3, customers=600)


@pytest.fixture(scope="module")
def events(feed):
    return list(feed.events())


@pytest.fixture(scope="module")
def labels(feed):
    return list(feed.labels())


def milliseconds(text):
    return int(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64))


def area(truth, scores):
    """ROC AUC by ranks; scores are all different here."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    positive = truth.sum()
    return (ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive))


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_same_seed_same_bytes_in_another_process(hash_seed):
    """The same arguments give the same bytes in another process, whatever PYTHONHASHSEED."""
    here = hashlib.sha256()
    for record in FraudFeed(4, 7, customers=200).records():
        here.update(json.dumps(record).encode())
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    there = subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here.hexdigest()


def test_second_pass_gives_the_same(feed, events):
    """A feed may be played again."""
    assert list(feed.events()) == events


def test_another_seed_is_another_feed(events):
    """The seed matters."""
    assert next(FraudFeed(12, 4, customers=600).events()) != events[0]


def test_events_are_in_order_of_time_and_number(events):
    """Times never decrease, ids are dense."""
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert [event["id"] for event in events] == [f"t{number:08d}" for number in range(len(events))]


def test_every_event_has_the_same_fields_and_finite_numbers(events):
    """A producer's schema does not change on the way."""
    assert {tuple(event) for event in events} == {tuple(events[0])}
    numbers = [value for event in events for value in event.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()


def test_labels_are_in_order_and_name_every_event_once(events, labels):
    """With all labels, each event gets exactly one, with its own key."""
    times = [label["time"] for label in labels]
    assert times == sorted(times)
    keys = {event["id"]: event["customer"] for event in events}
    assert {label["id"]: label["customer"] for label in labels} == keys
    assert len(labels) == len(events)


def test_fraud_is_known_late(events, labels):
    """Fraud is reported between half a day and seven days after its event; a genuine payment is confirmed in the day after seven."""
    at = {event["id"]: milliseconds(event["time"]) for event in events}
    delays = {True: [], False: []}
    for label in labels:
        delays[label["fraud"]].append((milliseconds(label["time"]) - at[label["id"]]) / 86_400_000)
    assert 0.5 <= min(delays[True]) < max(delays[True]) <= 7
    assert 7 <= min(delays[False]) < max(delays[False]) < 8


def test_positives_only_says_nothing_of_genuine_payments(labels):
    """With silence for genuine payments, the labels are those of fraud."""
    quiet = list(FraudFeed(12, 3, customers=600, positives_only=True).labels())
    assert quiet == [label for label in labels if label["fraud"]]


def test_records_interleave_both_in_order_of_time(feed, events, labels):
    """Played together nothing is lost, time never goes back, and a label at the time of an event comes first."""
    records = list(feed.records())
    assert [record for kind, record in records if kind == "event"] == events
    assert [record for kind, record in records if kind == "label"] == labels
    order = [(record["time"], kind == "event") for kind, record in records]
    assert order == sorted(order)


def test_truth_says_where_the_change_is(feed, events):
    """The event of that number is the first at or after the time of the change, half-way."""
    change = feed.truth.change
    assert change["time"] == "2025-01-12T00:00:00.000Z"
    assert events[change["event"] - 1]["time"] < change["time"] <= events[change["event"]]["time"]


def test_truth_counts_the_frauds(feed, labels):
    """The counts by half and kind are those of the labels."""
    counted = sum(count for half in feed.truth.frauds.values() for count in half.values())
    assert counted == sum(label["fraud"] for label in labels)


def test_every_kind_of_fraud_occurs_before_and_after():
    """The change is one of ways, not of kinds."""
    frauds = FraudFeed(20, 3, customers=1500).truth.frauds
    assert all(count > 0 for half in frauds.values() for count in half.values())


def test_change_at_the_end_is_no_change():
    """A feed may be without a change."""
    assert FraudFeed(2, 1, customers=50, change_at=1.0).truth.change is None


def test_recency_features_equal_a_plain_count(events):
    """Minutes since the card's last payment and its payments in the hour and day before, counted one by one."""
    seen = {}
    for event in events:
        past = seen.setdefault(event["customer"], [])
        now = milliseconds(event["time"])
        assert event["count_1h"] == sum(now - 3_600_000 <= then < now for then in past)
        assert event["count_24h"] == sum(now - 86_400_000 <= then < now for then in past)
        earlier = [then for then in past if then < now]
        minutes = min((now - earlier[-1]) / 60_000, 10_080) if earlier else 10_080
        assert event["minutes_since_last"] == pytest.approx(minutes, abs=0.00501)  # two decimals
        past.append(now)


def test_memory_does_not_grow_with_the_days():
    """A long feed needs no more memory than a short one whose labels are as late."""

    def peak(days):
        played = FraudFeed(days, 1, customers=200)
        tracemalloc.start()
        for _ in played.records():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(60) < 1.3 * peak(15)


def test_model_is_good_then_wrong_then_good_again():
    """Learned with late labels, a model ranks well, loses at the change, and recovers; one that stops learning does not."""
    feed = FraudFeed(30, 5, customers=1200)
    change = feed.truth.change["time"]
    model, frozen, waiting, answers = StandardScaler() | LogisticRegression(), None, {}, []
    for kind, record in feed.records():
        if kind == "event":
            if frozen is None and record["time"] >= change:
                frozen = copy.deepcopy(model)
            x = {name: value for name, value in record.items() if not isinstance(value, str)}
            waiting[record["id"]] = (
                record["time"],
                x,
                model.predict_proba_one(x)[True],
                (frozen or model).predict_proba_one(x)[True],
            )
        else:
            time, x, live, old = waiting.pop(record["id"])
            answers.append((time, live, old, record["fraud"]))
            model.learn_one(x, record["fraud"])

    def within(first, last, column):
        rows = [row for row in answers if f"2025-{first}" <= row[0] < f"2025-{last}"]
        return area(np.array([row[3] for row in rows]), np.array([row[column] for row in rows]))

    assert within("01-15", "01-21", 1) > 0.97
    assert within("01-21", "01-23", 1) < 0.75
    assert within("01-30", "02-05", 1) > 0.93
    assert within("01-30", "02-05", 2) < 0.75


@pytest.mark.parametrize(
    "arguments",
    [
        {"days": 0},
        {"customers": 3},
        {"terminals": 10},
        {"change_at": 1.5},
        {"confirm_days": 0.0},
        {"seed": -1},
    ],
)
def test_impossible_arguments_are_refused_by_name(arguments):
    """The message names the argument."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        FraudFeed(**{"days": 1, "seed": 1, **arguments})


def test_smallest_feed_plays():
    """Few customers and terminals are enough."""
    assert len(list(itertools.islice(FraudFeed(3, 0, customers=10).records(), 20))) == 20
