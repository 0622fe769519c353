"""Several workers of one pipeline: tasks change hands, and nobody can tell from the outputs."""

import signal
import time
from pathlib import Path

import pytest

from stream.records import Claim
from tests.integration.running import Run, Stream, equals_calm, fill, folded_by, pipeline, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
TAKEOVER_S = 30.0
"""Ten seconds of silence, then taking and recovery; the rest is for a busy machine. librdkafka's default would take 45."""


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    return fill(kafka, 4500, partitions=4)


def both_work(first: Run, second: Run) -> bool:
    """Whether two workers share all tasks."""
    one, other = first.tasks(), second.tasks()
    return bool(one) and bool(other) and one | other == {0, 1, 2, 3}


def test_tasks_move_when_a_worker_dies_and_when_one_joins(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """One of two is killed: the other has its tasks within seconds. A third joins: tasks move. Outputs as if uninterrupted."""
    made = pipeline(
        stream, tmp_path, redis_url, batch={"records": 5}, checkpoints={"store": redis_url, "every": "300 events"}
    )
    first, second = Run(made.path), Run(made.path)
    first.wait_until(lambda: both_work(first, second))
    first.kill()
    died_at = time.monotonic()
    second.wait_until(lambda: second.tasks() == {0, 1, 2, 3})
    assert time.monotonic() - died_at < TAKEOVER_S
    left = stream.total - folded_by([second])
    third = Run(made.path)
    third.wait_until(lambda: both_work(second, third))
    wait_for(lambda: folded_by([second, third]) == stream.total)
    second.stop()
    third.stop()
    assert left > 0, "the stream was over before the third came"
    equals_calm(made, redis_url)


def test_a_frozen_worker_wakes_up_and_writes_nothing(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """SIGSTOP past the session's timeout: the other takes over; after SIGCONT the outputs are as if nothing had happened."""
    made = pipeline(stream, tmp_path, redis_url, batch={"records": 10})
    frozen, other = Run(made.path), Run(made.path)
    frozen.wait_until(lambda: both_work(frozen, other) and folded_by([frozen]) > 100)
    had = frozen.tasks()
    frozen.signal(signal.SIGSTOP)
    other.wait_until(lambda: other.tasks() == {0, 1, 2, 3}, 25)
    frozen.signal(signal.SIGCONT)
    frozen.wait_until(lambda: both_work(frozen, other))
    wait_for(lambda: folded_by([frozen, other]) == stream.total)
    frozen.stop()
    other.stop()
    for task in had:
        claims = [record.worker for record in made.journal(task) if isinstance(record, Claim)]
        assert len(claims) >= 2, "the task never changed hands"
    equals_calm(made, redis_url)
