"""A service that begins with history, on a real Kafka: not a record twice, none left out."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from stream.checkpoints.history import read_history, write_history
from stream.replay.backtest import backtest
from tests.integration.running import (
    BEGIN_MS,
    MINUTE_MS,
    Pipeline,
    Run,
    Stream,
    calm,
    fill,
    learned,
    pipeline,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
EVENTS = 3000
MIDDLE = dt.datetime.fromtimestamp((BEGIN_MS + EVENTS // 2 * MINUTE_MS) / 1000, dt.UTC).isoformat()


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    return fill(kafka, EVENTS, partitions=2)


def replayed(made: Pipeline, directory: Path) -> list[dict[str, int]]:
    """The first half as history, its state in the directory; how much it said, by task."""
    told = backtest(made.path, source="kafka", stop=MIDDLE, out=directory / "out", save_state=directory / "state")
    tasks = told.predictions().groupby("task").size()
    assert sum(tasks) == EVENTS // 2
    return [{"predictions": int(tasks[task])} for task in sorted(tasks.index)]


def test_a_service_goes_on_where_history_ended(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """Predictions and metrics are those of a service that read everything, also when the first worker dies early."""
    made = pipeline(stream, tmp_path, redis_url)
    said = replayed(made, tmp_path)
    first = Run(made.path, "--warm-start", str(tmp_path / "state"))
    first.wait_until(lambda: all(made.checkpoints(task) for task in range(2)))
    first.kill()
    second = Run(made.path)  # the state is a checkpoint by now, so the directory is not needed
    second.folded(stream.total)
    second.stop()
    expected = calm(stream, redis_url)
    for task in range(2):
        answers = made.outputs(task)["predictions"]
        assert [one.headers["seq"] for one in answers] == [b"%d" % seq for seq in range(len(answers))]
        whole = expected.outputs[task]["predictions"][said[task]["predictions"] :]
        assert [(one.key, one.value) for one in answers] == [(one.key, one.value) for one in whole]
        assert learned(made.final_state(task)) == expected.learned[task]


def test_history_of_another_number_of_tasks_is_refused(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """Each task has models of its own: the command that makes them is named."""
    made = pipeline(stream, tmp_path, redis_url)
    replayed(made, tmp_path)
    history = read_history(tmp_path / "state")
    write_history(tmp_path / "state", msgspec.structs.replace(history, tasks=1))
    said = Run(made.path, "--warm-start", str(tmp_path / "state"))
    assert said.end() == 2
    assert "holds 1 tasks, but the events have 2 partitions" in said.log
    assert "--tasks 2" in said.log


def test_a_service_that_has_begun_refuses_another_beginning(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """What it has learned is never replaced in silence."""
    made = pipeline(stream, tmp_path, redis_url)
    replayed(made, tmp_path)
    cold = Run(made.path)
    cold.wait_until(lambda: cold.tasks() == {0, 1})
    cold.stop()
    warm = Run(made.path, "--warm-start", str(tmp_path / "state"))
    assert warm.end() == 1
    assert "began with nothing learned" in warm.log
    assert "headrace restart" in warm.log
