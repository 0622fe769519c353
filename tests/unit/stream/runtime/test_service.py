import itertools

import numpy as np
import pytest
from river import linear_model, preprocessing

from tests.harness import CRASH, MemoryBroker, Service, config, dumps

DAY = 86_400_000


def stream(n: int, seed: int = 1, delay_ms: int = 2 * DAY, step_ms: int = 600_000):
    """(events, labels): numeric features, labels ``delay_ms`` later, in time order."""
    rng = np.random.default_rng(seed)
    events, labels = [], []
    for i in range(n):
        a, b = rng.normal(), rng.normal()
        time = i * step_ms
        events.append({"id": f"e{i}", "card": f"c{i % 7}", "time": time, "a": a, "b": b})
        labels.append({"id": f"e{i}", "y": bool(a + b + rng.normal() > 0), "time": time + delay_ms})
    return events, labels


def river_loop(events, labels):
    """The plain loop that Headrace must equal: labels due by an event's time are learned before it is scored."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    waiting, scores, next_label = {}, [], 0
    for event in events:
        while next_label < len(labels) and labels[next_label]["time"] <= event["time"]:
            label = labels[next_label]
            model.learn_one(waiting[label["id"]], label["y"])
            next_label += 1
        x = {"a": event["a"], "b": event["b"]}
        waiting[event["id"]] = x
        scores.append(model.predict_proba_one(x)[True])
    return scores


def test_scores_equal_a_plain_river_loop_to_the_bit():
    """Late labels on their own topic: the same scores as River's test-then-train with the same delays."""
    events, labels = stream(3000)
    broker = MemoryBroker({"events": 1, "labels": 1})
    broker.append("events", dumps(events))
    broker.append("labels", dumps(labels))
    service = Service(config(), broker, batch_records=700)
    service.run()
    assert [p["score"] for p in service.output()] == river_loop(events, labels)
    assert [p["id"] for p in service.output()] == [e["id"] for e in events]


@pytest.mark.parametrize("batch_records", [1, 37, 500, 4000])
def test_where_a_batch_is_cut_changes_no_byte(batch_records):
    """Predictions, alarms and rejects are the same bytes for every batch size, with resets in the middle of batches."""
    events, labels = stream(1500)
    for i in range(700, 1500):
        labels[i]["y"] = not labels[i]["y"]
    labels += [{"id": "nobody", "y": True, "time": 5 * DAY}, {"id": "e3", "y": not labels[3]["y"], "time": 9 * DAY}]
    labels.sort(key=lambda label: label["time"])
    detectors = [
        {"signal": "error", "detector": {"adwin": {"delta": 0.05}}, "response": "reset"},
        {"signal": {"feature": "a"}, "detector": {"page_hinkley": {"threshold": 5}}},
        {"signal": "score", "detector": {"page_hinkley": {"threshold": 2}}},
    ]
    said = []
    for records in (batch_records, 113):
        broker = MemoryBroker({"events": 1, "labels": 1})
        broker.append("events", dumps(events))
        broker.append("labels", dumps(labels))
        service = Service(config(detectors=detectors), broker, batch_records=records)
        service.run()
        said.append([service.raw(name) for name in ("predictions", "alarms", "rejects")])
        assert any(alarm["response"] == "reset" for alarm in service.output("alarms"))
        assert len(service.raw("rejects")) == 2
    assert said[0] == said[1]


def test_crashes_change_nothing():
    """A crash at many places, with checkpoints now and then: the same outputs as the uninterrupted run."""
    events, labels = stream(1200)
    said = []
    for with_crashes in (False, True):
        broker = MemoryBroker({"events": 1, "labels": 1})
        values = dumps(events)
        if with_crashes:
            values = list(
                itertools.chain.from_iterable((v, CRASH) if i % 97 == 5 else (v,) for i, v in enumerate(values))
            )
        broker.append("events", values)
        broker.append("labels", dumps(labels))
        service = Service(config(), broker, batch_records=50, checkpoint_records=200)
        crashes = service.run()
        assert (crashes > 5) is with_crashes
        said.append(service.raw("predictions"))
    assert said[0] == said[1]
