"""A worker that is told to stop, or killed, and the one after it."""

from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.integration.running import Pipeline, Run, Stream, calm, committed, equals_calm, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]


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


def killed(made: Pipeline, times: int) -> None:
    """To the end of the stream, over so many kill -9 (each costs a session's timeout)."""
    for time in range(1, times + 1):
        run = Run(made.path)
        run.folded(time * made.stream.total // (times + 1))
        run.kill()
    run = Run(made.path)
    run.folded(made.stream.total)
    run.stop()


def test_two_clients_read_the_same(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """kafka-python and librdkafka, both `read_committed`, see one prediction for each event, whatever was aborted between."""
    made = pipeline(stream, tmp_path, redis_url)
    killed(made, 2)
    equals_calm(made, redis_url)
    topic = made.config.topics()["predictions"]
    own = [(m.offset(), m.key(), m.value(), m.headers()) for m in committed(stream.kafka, topic)]
    place = TopicPartition(topic, 0)
    witness = KafkaConsumer(
        bootstrap_servers=stream.kafka, isolation_level="read_committed", enable_auto_commit=False, group_id=None
    )
    try:
        witness.assign([place])
        witness.seek_to_beginning(place)
        end, seen = witness.end_offsets([place])[place], []
        while witness.position(place) < end:
            seen += witness.poll(timeout_ms=500).get(place, [])
    finally:
        witness.close()
    assert [(m.offset, m.key, m.value, m.headers) for m in seen] == own
    assert len(own) == 3000


def test_at_least_once_repeats_only_the_same(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """`delivery: at_least_once`, killed in the middle: no event is lost, and what is said twice is the same to the bit."""
    made = pipeline(stream, tmp_path, redis_url, delivery="at_least_once")
    killed(made, 1)
    said = made.outputs()["predictions"]
    by_seq = {int(one.headers["seq"]): one for one in said}
    assert all(by_seq[int(one.headers["seq"])] == one for one in said)
    assert [by_seq[seq] for seq in sorted(by_seq)] == calm(stream, redis_url).outputs[0]["predictions"]
