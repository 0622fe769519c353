"""``headrace backtest``: arguments in, files and a summary out, and a line about what goes on."""

import json

import orjson
import pytest

from stream.cli.backtest import Line
from stream.cli.main import main
from stream.replay.work import Progress
from tests.unit.stream.replay.histories import TREE, history, settings


@pytest.fixture
def config(tmp_path):
    history(tmp_path, 300)
    path = tmp_path / "test.yaml"
    path.write_bytes(orjson.dumps(settings(tmp_path)))
    return path


def test_two_configurations_are_compared(tmp_path, config, capsys):
    """The directory holds each one's predictions, and a page and the metrics of both; the digests are told."""
    other = tmp_path / "other.yaml"
    other.write_bytes(orjson.dumps(settings(tmp_path, name="other", learners={"main": TREE})))
    out = tmp_path / "compared"
    assert main(["backtest", str(config), str(other), "--out", str(out), "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "test: 300 events" in said.out
    assert f"read {out / 'report.html'}" in said.out
    metrics = json.loads((out / "metrics.json").read_text())
    for name in ("test", "other"):
        assert (out / name / "predictions.parquet").exists()
        digest = metrics["runs"][name]["facts"]["digests"]["0"]["predictions"]
        assert f"task 0: predictions {digest}" in said.out


def test_metrics_as_json(tmp_path, config, capsys):
    """With ``--json`` standard output is what metrics.json holds."""
    out = tmp_path / "out"
    assert main(["backtest", str(config), "--out", str(out), "--json", "--quiet", "--score-from", "2020-09-13"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "metrics.json").read_text())


def test_says_when_nothing_is_judged(tmp_path, config, capsys):
    """``--score-from`` after the last event leaves nothing, and a page of dashes alone would not say why."""
    assert main(["backtest", str(config), "--out", str(tmp_path / "out"), "--quiet", "--score-from", "2030-01-01"]) == 0
    assert "nothing is judged: all 300 scored events are before --score-from" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "events.jsonl"], "say where they are: `--labels FILE...`"),
        (["--source", "kafka"], "there is no topic to replay"),
        (["--source", "journal"], "has no journal"),
        (["--from", "whenever"], "neither a time nor an offset"),
        (["--task", "7"], "there is no such task"),
        (["--limit", "5", "--to", "2020-09-12", "--from", "2020-09-13"], "does not lie after"),
    ],
)
def test_mistakes_end_with_words_and_code_2(tmp_path, config, capsys, monkeypatch, arguments, words):
    """What cannot be replayed is said on standard error, with what to do."""
    monkeypatch.chdir(tmp_path)
    assert main(["backtest", str(config), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--tasks", "--jobs", "--limit"])
def test_numbers_begin_with_one(tmp_path, config, capsys, option):
    """Nothing is replayed with no task, no process or no record."""
    with pytest.raises(SystemExit) as ended:
        main(["backtest", str(config), "--out", str(tmp_path / "out"), option, "0"])
    assert ended.value.code == 2
    assert "0 is not a number from 1 on" in capsys.readouterr().err


def test_the_line_tells_rate_and_time_left():
    """Rate since the beginning of this process, and what is left at that pace; what was done before it began is no pace."""
    now = [0.0]
    line = Line(quiet=True, monotonic=lambda: now[0])
    line.tell(Progress(0, (0,), 10_000, 0.5))
    now[0] = 10.0
    line.tell(Progress(0, (0,), 11_000, 0.55))
    assert line.line(10.0) == "11,000 records, 100/s, 55% of what has begun, 90 s left"
    line.tell(Progress(1, (0,), 500, 0.0))
    assert line.line(10.0) == "11,500 records, 100/s"


def test_a_message_stands_alone(capsys):
    """What needs a person is told also when progress is not."""
    Line(quiet=True).tell(Progress(0, (0,), 0, 0.0, "learner x raised"))
    assert capsys.readouterr().err == "headrace: task 0: learner x raised\n"
