"""Events that are arranged all at once are arranged as they are one by one."""

import functools
import random

import pytest

from learners.base import LABEL
from stream.pipeline import join
from stream.replay import backtest as replay
from tests.harness import config
from tests.simulation.lab import Lab, event, label
from tests.unit.stream.replay.histories import START_MS, settings, write

MINUTE_MS = 60_000
backtest = functools.partial(replay.backtest, report=False)


def mostly_plain(directory, count=7000) -> None:
    """Times that often repeat, and now and then a late one, a label that is missing, an id that comes again, a leap."""
    rng, events, now = random.Random(3), [], START_MS
    for number in range(count):
        now += rng.choice([0, 1, 1, 2]) * MINUTE_MS
        event = {"id": f"e{number}", "card": "c", "time": now, "a": rng.gauss(0, 1), "b": 0.0, "y": rng.random() < 0.5}
        if number in {700, 2100}:
            event["time"] -= 3 * MINUTE_MS
        if number in {1300, 1301, 1900}:
            del event["y"]
        if number == 2600:
            event["id"] = "e2590"
        if number == 3200:
            now += 20 * 3_600_000
        events.append(event)
    write(directory / "events.jsonl", events)


@pytest.mark.parametrize("labels", [
    {"delay": "10h"}, {"delay": "10h", "wait": "10h"}, {"delay": "1d"}, {"delay": "9h", "wait": "3d", "park": "1h"},
    {"delay": "10h", "waiting_max": 700}, {"delay": "0s"},
], ids=str)  # fmt: skip
def test_at_once_is_as_one_by_one(tmp_path, monkeypatch, labels):
    """Answers, alarms, counts and the state at the end are the same, whether runs are taken at once or never."""
    mostly_plain(tmp_path)
    data = settings(tmp_path, own_stream=False, labels={"field": "y", **labels})
    whole, seen = join.plain_times, []

    def counting(*arguments):
        times = whole(*arguments)
        seen.append(times is not None)
        return times

    monkeypatch.setattr(join, "plain_times", counting)
    at_once = backtest(data, out=tmp_path / "fast", save_state=tmp_path / "fast-state")
    assert sum(seen) >= 6
    monkeypatch.setattr(join, "plain_times", lambda *_: None)
    one_by_one = backtest(data, out=tmp_path / "slow", save_state=tmp_path / "slow-state")
    assert at_once.run().facts == one_by_one.run().facts
    assert at_once.predictions().equals(one_by_one.predictions())
    heads = [next((tmp_path / name).rglob("*.head")).read_bytes() for name in ("fast-state", "slow-state")]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_label_that_is_known_does_not_fall_due_again(monkeypatch, at_once):
    """Labels that came from a topic, before an accepted change to a delayed field, are not learned a second time."""
    if not at_once:
        monkeypatch.setattr(join, "plain_times", lambda *_: None)
    topic = {"topic": "labels", "id": "id", "value": "y", "time": "time", "wait": "30d"}
    former = Lab(config(labels=topic, time_jump_max="1000d"))
    former.feed([event(i, 1000 + i, float(i)) for i in range(5)] + [label(i, 1010, True) for i in range(5)])
    later = Lab(config(labels={"field": "y", "delay": "1h", "wait": "30d"}, time_jump_max="1000d"))
    later.fold.take_over(former.fold)
    learned = 0

    class Counts:
        def saw(self, batch, arranged, scores, changes):
            nonlocal learned
            learned += int((arranged.program.op == LABEL).sum())

    for i in range(3):
        run = [event(100 + 10 * i + j, 3_700_000 + 10_000_000 * i + j, float(i), y=True) for j in range(4)]
        later.fold.step(later.batch(run), Counts())
    assert learned == 8, "of the twelve events that carry a label, the last four are not due yet"
