"""Backtests of topics and of journals on a real broker: what live said is said again, to the byte, and nothing is written."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from stream.build import open_log
from stream.checkpoints.history import read_history
from stream.errors import ConfigError
from stream.records import OutputRecords
from stream.replay.backtest import Backtest, backtest
from stream.replay.digest import OutputDigest
from tests.integration.running import (
    BEGIN_MS,
    MINUTE_MS,
    Pipeline,
    Run,
    Stream,
    committed,
    fill,
    pipeline,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
EVENTS = 1600


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    return fill(kafka, EVENTS, partitions=2)


def digests(made: Pipeline) -> dict[str, dict[str, str]]:
    """Of what is committed in the output topics."""
    found: dict[str, dict[str, str]] = {}
    for task in range(made.stream.partitions):
        for name in ("predictions", "alarms", "rejects"):
            messages = committed(made.stream.kafka, made.config.topics()[name], task)
            headers = [dict(message.headers() or []) for message in messages]
            digest = OutputDigest()
            digest.add(
                OutputRecords(
                    0, [one.key() or b"" for one in messages], [one.value() or b"" for one in messages],
                    headers if name == "rejects" else None,  # type: ignore[arg-type]
                )
            )  # fmt: skip
            found.setdefault(str(task), {})[name] = digest.hex
    return found


def told(result: Backtest) -> Any:
    return result.run().facts["digests"]


def test_a_journal_after_kills_gives_the_bytes_of_live(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """A service that was killed on the way: its journal replayed gives key, value and headers of every output, by digest."""
    made = pipeline(stream, tmp_path, redis_url, batch={"records": 100})
    for share in (0.2, 0.5):
        run = Run(made.path)
        run.folded(int(stream.total * share))
        run.kill()
    run = Run(made.path)
    run.folded(stream.total)
    run.stop()
    groups = AdminClient({"bootstrap.servers": stream.kafka}).list_consumer_groups().result().valid
    before = {topic: len(committed(stream.kafka, topic, 0)) for topic in made.config.topics().values()}
    result = backtest(made.path, source="journal", out=tmp_path / "journal", at_end="keep", jobs=2)
    assert told(result) == digests(made)
    assert len(result.predictions()) == EVENTS
    plain = backtest(made.path, source="kafka", out=tmp_path / "topics", at_end="keep")
    assert told(plain) == told(result)  # the topics were full before the service began, so there is one order
    one = backtest(made.path, source="kafka", out=tmp_path / "one", at_end="keep", task=1)
    assert told(one) == {"1": told(plain)["1"]}
    after = AdminClient({"bootstrap.servers": stream.kafka}).list_consumer_groups().result().valid
    assert {group.group_id for group in after} == {group.group_id for group in groups}
    assert {topic: len(committed(stream.kafka, topic, 0)) for topic in before} == before


def test_topics_without_a_service(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """Inputs are enough: a configuration whose outputs were never made, over a stretch of time, by two tasks."""
    made = pipeline(stream, tmp_path, redis_url)
    made.change(name="never-made")
    start, stop = 500, 1500
    times = [f"{(BEGIN_MS + number * MINUTE_MS) / 1000:.0f}" for number in (start, stop)]
    with pytest.raises(ConfigError, match="offsets count in one partition"):
        backtest(made.path, out=tmp_path / "refused", start=times[0])
    own = backtest(made.path, out=tmp_path / "offsets", start=100, stop=200, task=1).predictions()
    values = [json.loads(one.value() or b"") for one in committed(stream.kafka, stream.events, 1)]
    assert list(own.id) == [event["id"] for event in values[100:200]]
    iso = [dt.datetime.fromtimestamp(int(time), dt.UTC).isoformat() for time in times]
    frame = backtest(made.path, out=tmp_path / "out", start=iso[0], stop=iso[1]).predictions()
    assert sorted(int(event[1:]) for event in frame.id) == list(range(start, stop))
    assert frame.label.notna().all()


def test_a_saved_state_says_where_topics_go_on(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """Of half of the topics: the positions are those of the first records that were not folded."""
    made = pipeline(stream, tmp_path, redis_url)
    half = dt.datetime.fromtimestamp((BEGIN_MS + EVENTS // 2 * MINUTE_MS) / 1000, dt.UTC).isoformat()
    result = backtest(made.path, out=tmp_path / "out", stop=half, save_state=tmp_path / "state")
    history = read_history(tmp_path / "state")
    assert history.tasks == 2
    log = open_log(made.config)
    ids = log.identity()["topics"]
    log.close()
    assert history.topics == {topic: ids[topic] for topic in (stream.events, stream.labels)}  # type: ignore[index]
    for task, positions in enumerate(history.positions):
        for topic, position in zip((stream.events, stream.labels), positions, strict=True):
            times = [json.loads(one.value() or b"")["time"] for one in committed(stream.kafka, topic, task)]
            assert all(time < BEGIN_MS + EVENTS // 2 * MINUTE_MS for time in times[:position])
            assert all(time >= BEGIN_MS + EVENTS // 2 * MINUTE_MS for time in times[position:])
    facts = result.run().facts
    assert facts["records"] == sum(sum(positions) for positions in history.positions)


def test_a_warm_start_goes_on_from_a_backtest(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """A service that begins with the state of a backtest answers the rest as the whole history would have it."""
    made = pipeline(stream, tmp_path, redis_url)
    half = dt.datetime.fromtimestamp((BEGIN_MS + EVENTS // 2 * MINUTE_MS) / 1000, dt.UTC).isoformat()
    whole = backtest(made.path, out=tmp_path / "whole", at_end="keep").predictions()
    backtest(made.path, out=tmp_path / "half", stop=half, save_state=tmp_path / "state")
    run = Run(made.path, "--warm-start", str(tmp_path / "state"))
    run.wait_until(lambda: sum(len(made.outputs(task)["predictions"]) for task in range(2)) == EVENTS // 2)
    run.stop()
    said = {one.told["id"]: one.told["score"] for task in range(2) for one in made.outputs(task)["predictions"]}
    assert said == {row.id: row.score for row in whole.itertuples() if row.id in said}
    assert len(said) == EVENTS // 2
