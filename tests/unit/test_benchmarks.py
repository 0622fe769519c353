"""The benchmarks can be started: their modules import, their names are known. Nothing is timed here."""

import sys
from pathlib import Path

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks import feed, report
from benchmarks.__main__ import arguments, names
from benchmarks.bench import Figure, judged, quantile
from stream.config import Config


def test_every_benchmark_of_the_manual_is_there() -> None:
    """The names that can be given on the command line."""
    assert {"bare", "bare exactly-once", "worker", "compiled", "files", "latency", "stall", "memory"} <= set(names())


def test_no_name_is_used_twice() -> None:
    """A name means one benchmark."""
    assert len(set(names())) == len(names())


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names that there are."""
    with pytest.raises(SystemExit):
        arguments(["speed"])
    assert "there are bare" in capsys.readouterr().err


def test_the_configuration_of_the_benchmarks_is_valid() -> None:
    """It loads, with its detector and its checkpoints."""
    told = feed.config("bench", source={"topic": "events"}, kafka={"bootstrap.servers": "none"})
    assert Config.model_validate(told).detectors[0].name == "adwin-error"


def test_events_are_the_same_bytes_in_every_run() -> None:
    """They are seeded."""
    assert list(feed.lines(3)) == list(feed.lines(3))


def test_an_event_has_the_features_of_the_configuration_and_no_other() -> None:
    """Beside id, key, time and label."""
    event = orjson.loads(next(feed.lines(1)))
    assert list(event) == ["id", "key", "time", *feed.names(20), "label"]


def test_a_missed_goal_is_called_missed() -> None:
    """In the table and on the page."""
    missed = judged("worker", "÷ bare", 0.7, 0.75, "at least", text="0.70")
    assert missed == Figure("worker", "÷ bare", "0.70", "≥ 0.75", met=False)
    assert "missed" in report.table([missed])
    assert "| missed |" in report.markdown([missed])


def test_the_quantile_of_few_values_is_one_of_them() -> None:
    """The 99th percentile of three values is the largest."""
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_there_is_no_verdict_on_a_machine_that_others_use() -> None:
    """Neither reached nor missed."""
    figure = Figure("worker", "÷ bare", "0.90", "≥ 0.75", met=True, disturbed=True)
    assert "disturbed: no verdict" in report.markdown([figure])
