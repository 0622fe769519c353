"""A worker that is told to stop, or killed, and the one after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import Run, Stream, calm, end_all, equals_calm, fill, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    return fill(kafka, 3000)


def test_told_to_stop_a_successor_has_nothing_to_fold(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """SIGTERM ends the batch, saves a checkpoint and leaves the group: exit 0, no recovery, outputs as if uninterrupted."""
    made = pipeline(stream, tmp_path, redis_url)
    first = Run(made.path)
    first.folded(stream.total // 3)
    first.stop()
    second = Run(made.path)
    second.wait_until(second.ready, 8)  # the group knew at once that the first had gone
    assert second.metric("recovered_records_total") == 0
    second.folded(stream.total)
    second.stop()
    equals_calm(made, redis_url)


def test_the_feed_is_worth_comparing(stream: Stream, redis_url: str) -> None:
    """An uninterrupted run answers every event once, learns every label, and finds the change of ways."""
    outputs, state = calm(stream, redis_url).outputs[0], calm(stream, redis_url).learned[0]
    assert [int(headers["seq"]) for _, _, headers in outputs["predictions"]] == list(range(3000))
    assert outputs["alarms"]
    assert state[0] == 6000
