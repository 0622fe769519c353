"""A backtest with an alert budget says and judges what live would have decided."""

import orjson
import pytest
from pyarrow import parquet

from tests.unit.stream.replay.histories import TREE, backtest, history, live, settings

ALERTS = {"alerts": "10 per hour", "per": "key", "at_first": 0.9}


@pytest.fixture
def data(tmp_path):
    history(tmp_path)
    told = settings(tmp_path, predictions={"threshold": ALERTS})
    return {**told, "learners": {**told["learners"], "second": TREE}}


def test_says_what_live_says(tmp_path, data):
    """Each answer, and the threshold that it was held against."""
    said = [orjson.loads(line) for line in live(data, tmp_path)["predictions"]]
    result = backtest(data, out=tmp_path / "backtest", at_end="keep")
    rows = parquet.read_table(result.path / "predictions.parquet").to_pylist()
    assert len(rows) == len(said) > 500
    for row, told in zip(rows, said, strict=True):
        assert [row[name] for name in ("score", "threshold", "prediction")] == [
            told[name] for name in ("score", "threshold", "prediction")
        ]
    assert len({row["threshold"] for row in rows}) > 5
    assert len({row["thresholds.second"] for row in rows}) > 5


def test_judges_what_was_answered(tmp_path, data):
    """Precision and recall are those of the answers, a challenger's of what its own budget would have answered."""
    result = backtest(data, out=tmp_path / "backtest")
    table = result.predictions()
    table = table[table.label.notna()]
    table["second"] = table["challengers.second"] >= table["thresholds.second"]
    (run,) = result.metrics["runs"].values()
    assert run["threshold"] is None
    for name, answer in (("main", table.prediction), ("second", table.second)):
        figures = run["learners"][name]["measures"]
        positive, truth = answer.astype(bool), table.label.astype(bool)
        assert figures["precision"] == pytest.approx(truth[positive].mean())
        assert figures["recall"] == pytest.approx(positive[truth].mean())
        assert 0 < figures["recall"] < 1


def test_tells_how_many_alerts_came_in_a_day(tmp_path, data):
    """Of all events, with labels or without, by event and by key."""
    result = backtest(data, out=tmp_path / "backtest")
    table = result.predictions()
    (run,) = result.metrics["runs"].values()
    days = table.time.dt.floor("D")
    for name, answer in (
        ("main", table.prediction == True),  # noqa: E712 - null is no alert
        ("second", table["challengers.second"] >= table["thresholds.second"]),
    ):
        told = run["learners"][name]["alerts_a_day"]
        by_event = answer.astype(int).groupby(days).sum()
        by_key = table.key.where(answer).groupby(days).nunique()
        assert told["events"] == {"median": by_event.median(), "most": by_event.max()}
        assert told["keys"] == {"median": by_key.median(), "most": by_key.max()}
        assert told["events"]["most"] > told["keys"]["most"] > 0


def test_the_report_is_written(tmp_path, data):
    """Of two configurations, one with a number and one with a budget."""
    fixed = {**data, "name": "fixed", "predictions": {"threshold": 0.5}}
    result = backtest([data, fixed], out=tmp_path / "backtest", report=True)
    assert "alerts a day, keys" in (result.path / "report.html").read_text()
