"""A backtest says what live would have said, in columns and by its digests."""

import datetime as dt
import math
from typing import Any

import orjson
import pytest
from pyarrow import parquet

from stream.records import OutputRecords
from stream.replay.digest import OutputDigest
from tests.unit.stream.replay.histories import LOGISTIC, TREE, backtest, history, live, settings

PROBLEMS = ("binary", "multiclass", "regression", "anomaly")
SECOND = {"binary": TREE, "multiclass": {"river.naive_bayes.GaussianNB": {}}}


def lines(path):
    return path.read_bytes().splitlines()


def challenged(problem: str, data: dict[str, Any]) -> dict[str, Any]:
    """With a second learner, where the problem has one that is quick."""
    return data if problem not in SECOND else {**data, "learners": {**data["learners"], "second": SECOND[problem]}}


@pytest.mark.parametrize("own_stream", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_says_what_live_says(tmp_path, problem, own_stream):
    """On the same files a backtest answers, alarms and refuses as the service does, and every column is what was emitted."""
    history(tmp_path, problem=problem)
    data = challenged(problem, settings(tmp_path, problem, own_stream=own_stream))
    said = live(data, tmp_path)
    result = backtest(data, out=tmp_path / "backtest", at_end="keep")
    assert lines(result.path / "alarms.jsonl") == said["alarms"]
    assert lines(result.path / "rejects.jsonl") == said["rejects"]
    predictions = [orjson.loads(line) for line in said["predictions"]]
    digest = OutputDigest()
    digest.add(OutputRecords(0, [one["key"].encode() for one in predictions], said["predictions"]))
    assert result.run().facts["digests"]["0"]["predictions"] == digest.hex
    assert len(said["predictions"]) > 500
    assert said["rejects"]
    table = parquet.read_table(result.path / "predictions.parquet")
    check_columns(table, predictions, problem)


def check_columns(table, predictions: list[dict[str, Any]], problem: str) -> None:
    rows = [row for row in table.to_pylist() if row["score"] is not None]
    assert len(rows) == len(predictions)
    classes = orjson.loads(table.schema.metadata[b"classes"]) if problem == "multiclass" else []
    for row, told in zip(rows, predictions, strict=True):
        for name in ("id", "key", "score", "prediction", "model"):
            assert row[name] == told[name], name
        assert row["time"] == dt.datetime.fromtimestamp(told["time"] / 1000, dt.UTC)
        for name, score in told.get("challengers", {}).items():
            assert row[f"challengers.{name}"] == score
        if classes:
            assert dict(zip(classes, row["scores"], strict=False)) == told["scores"]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_labels_stand_beside_their_events(tmp_path, problem):
    """A label is the last one that met its event, at the stream time at which it did."""
    history(tmp_path, problem=problem)
    data = settings(tmp_path, problem, own_stream=False)
    frame = backtest(data, out=tmp_path / "backtest", at_end="keep").predictions()
    events = {}
    for line in lines(tmp_path / "events.jsonl"):
        if line != b"{" and "time" in (event := orjson.loads(line)) and event["a"] is not None:
            events.setdefault(event["id"], event)
    assert list(frame.id) == list(events)
    known = frame.label.notna()
    assert known.sum() > 400
    for row in frame[known].itertuples():
        truth = events[row.id]["y"]
        assert row.label == truth
        assert row.label_time - row.time >= dt.timedelta(hours=1)
    stream_time = frame.time.max()
    assert (frame[~known].time > stream_time - dt.timedelta(hours=1, minutes=10)).all()
    assert not frame.assumed.any()


def test_silence_is_told_apart(tmp_path):
    """Where silence was taken for a label, ``assumed`` says so; a label that corrects it stands in its place."""
    history(tmp_path)
    data = settings(tmp_path)
    data["labels"] = {**data["labels"], "assume": {"value": False, "after": "90m"}}
    frame = backtest(data, out=tmp_path / "backtest", at_end="keep").predictions()
    labels: dict[str, list[bool]] = {}
    for line in lines(tmp_path / "labels.jsonl"):
        label = orjson.loads(line)
        labels.setdefault(label["id"], []).append(label["y"])
    silent = frame[frame.assumed]
    assert len(silent) > 50
    assert not silent.label.astype(bool).any()
    unheard = frame[~frame.id.isin(labels)]
    assert unheard[unheard.label.notna()].assumed.all()
    late = silent[silent.id.isin(labels)]
    assert all(labels[event][0] is False or True not in labels[event] for event in late.id)
    assert frame[(frame.label == True) & frame.assumed].empty  # noqa: E712 - an object column


def test_digests_tell_replays_apart(tmp_path):
    """The same configuration has the same digests; another threshold has others."""
    history(tmp_path)
    data = settings(tmp_path, learners={"main": LOGISTIC})
    first = backtest(data, out=tmp_path / "first").run().facts["digests"]
    again = backtest(data, out=tmp_path / "again").run().facts["digests"]
    other = backtest({**data, "predictions": {"threshold": 0.7}}, out=tmp_path / "other").run().facts["digests"]
    assert first == again
    assert first["0"]["predictions"] != other["0"]["predictions"]


def test_metrics_are_written(tmp_path):
    """metrics.json names the configuration and what it measured; no number in it is not finite."""
    history(tmp_path)
    result = backtest(settings(tmp_path), out=tmp_path / "backtest")
    assert "test" in orjson.dumps(result.metrics).decode()
    assert not any(isinstance(one, float) and not math.isfinite(one) for one in result.metrics.values())
