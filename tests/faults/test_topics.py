"""Faults 10 and 24 to 26: topics that take too little, lose records, become others, or grow wider."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.faults.scene import delete_before, set_config, widen
from tests.integration.running import (
    Pipeline,
    Run,
    create_topics,
    delete_topic,
    feed,
    fill,
    pipeline,
    send,
    wait_for,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
COUNT = 100


def more(made: Pipeline, name: str, count: int = COUNT) -> None:
    """Further events."""
    events = (json.dumps(event | {"id": f"{name}-{event['id']}"}).encode() for event, _ in feed(count))
    send(made.stream.kafka, ((made.stream.events, b"c1", value, 0) for value in events))


def test_fault_10_an_output_above_the_brokers_limit_stops_the_worker(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    """The batch fails whole: "raise max.message.bytes on …", with both sizes. Once it is raised, the batch is there."""
    made = pipeline(fill(kafka, COUNT), tmp_path, redis_url)
    small = f"{made.name}-small"
    create_topics(kafka, {small: 1}, {"max.message.bytes": "150"})
    made.change(predictions={"topic": small})
    run = Run(made.path)
    assert run.end() == 1
    assert f"raise max.message.bytes on {small}" in run.log
    assert "limit 150" in run.log
    assert made.outputs()["predictions"] == []
    set_config(kafka, {small: {"max.message.bytes": "1000000"}})
    run = Run(made.path)
    run.folded(made.stream.total)
    run.stop()
    assert [one.told["id"] for one in made.outputs()["predictions"]] == [f"e{number}" for number in range(COUNT)]


def test_fault_24_an_offset_out_of_range_stops_the_worker(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Under a worker, and at a start: stop with both offsets and the command; no position is ever reset."""
    made = pipeline(fill(kafka, COUNT), tmp_path, redis_url)
    run = Run(made.path)
    run.folded(made.stream.total)
    run.stop()  # with a checkpoint, which needs nothing that is lost
    run = Run(made.path)
    run.wait_until(run.ready)
    end = COUNT
    while run.process.poll() is None:
        assert end < 10 * COUNT, "it was never behind"
        run.signal(signal.SIGSTOP)
        time.sleep(
            1
        )  # so that its last question has been answered; else it has the records, as is right, and once more
        more(made, f"lost-{end}")
        needed, end = end, end + COUNT
        delete_before(kafka, made.stream.events, end - 40)
        run.signal(signal.SIGCONT)
        wait_for(lambda end=end: run.process.poll() is not None or run.metric("records_total") >= COUNT + end)
    topic = made.stream.events
    assert run.end() == 1
    assert f"{topic}/0: needs the record at offset {needed}, but the topic holds {end - 40} to {end}" in run.log
    again = Run(made.path)
    assert again.end() == 1
    assert f"{topic}/0: needs the record at offset {COUNT}, but the topic holds {end - 40} to {end}" in again.log
    for worker in (run, again):
        assert "headrace restart CONFIG" in worker.log
    assert len(made.outputs()["predictions"]) == needed


@pytest.mark.parametrize("scene", ["stopped", "running-then-empty", "running-then-past-the-position"])
def test_fault_25_a_recreated_topic_stops_the_worker(kafka: str, redis_url: str, tmp_path: Path, scene: str) -> None:
    """Exit 2 and "… was recreated": at a start, and under a worker, be the new topic shorter than what was read or longer."""
    made = pipeline(fill(kafka, COUNT), tmp_path, redis_url)
    run = Run(made.path)
    run.folded(made.stream.total)
    if scene == "stopped":
        run.stop()
    topic = made.stream.events
    delete_topic(kafka, topic)
    create_topics(kafka, {topic: 1})
    if scene.endswith("position"):
        more(made, "new", 3 * COUNT)
    if scene != "stopped":
        assert run.end() == 2
        assert f"topic {topic} was recreated" in run.log
    again = Run(made.path)
    assert again.end() == 2
    assert topic in again.log
    assert "was recreated" in again.log
    assert "headrace restart" in again.log


def test_fault_26_more_partitions_stop_the_worker(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Partitions 4 to 6, under a worker, and at a start when all topics have them: exit 2, both counts, naming `reshard`."""
    made = pipeline(fill(kafka, COUNT, partitions=4), tmp_path, redis_url)
    run = Run(made.path)
    run.folded(made.stream.total)
    widen(kafka, {made.stream.events: 6})
    assert run.end() == 2
    assert f"topic {made.stream.events} had 4 partitions, now 6" in run.log
    assert "`headrace reshard`" in run.log
    half = Run(made.path)
    assert half.end() == 2
    assert f"partition counts differ: {made.stream.events} has 6, {made.stream.labels} has 4" in half.log
    assert "`headrace topics check CONFIG`" in half.log
    widen(kafka, {topic: 6 for topic in made.config.topics().values() if topic != made.stream.events})
    whole = Run(made.path)
    assert whole.end() == 2
    assert "log.partitions: 4 -> 6" in whole.log
    assert "`headrace reshard`" in whole.log
    assert "`headrace restart CONFIG` starts over" in whole.log
