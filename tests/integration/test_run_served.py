"""What a worker serves and says: health, readiness, numbers; and never a secret."""

import json
import time
from pathlib import Path

import pytest

from tests.integration.running import Run, Stream, pipeline
from tests.servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]


def test_the_numbers_are_plausible(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """/metrics has events, labels, outputs, lag, stages, checkpoints, label figures and prequential metrics; `status` agrees."""
    made = pipeline(stream, tmp_path, redis_url, checkpoints={"store": redis_url, "every": "500 events"})
    run = Run(made.path)
    run.folded(stream.total)
    assert (run.page("/healthz")[0], run.page("/readyz")[0]) == (200, 200)
    run.wait_until(lambda: run.metric("label_share") == 1)
    assert run.metric("events_total") == run.metric("events_labelled_total") == 3000
    assert run.metric("counted_total", what="labels") == 3000
    assert run.metric("outputs_total", output="predictions") == 3000
    assert run.metric("alarms_total", detector="adwin-error") >= 1
    assert run.metric("lag_records") == 0
    for stage, runs in (("poll", 10), ("decode", 300), ("step", 300), ("encode", 300), ("commit", 299)):
        assert 0 < run.metric("stage_seconds_total", stage=stage) < 60
        assert run.metric("stage_runs_total", stage=stage) >= runs
    assert run.metric("checkpoints_total") >= 2
    assert run.metric("checkpoint_bytes") > 10_000
    assert 0 <= run.metric("checkpoint_age_seconds") < 60
    assert 4 * 3600 < run.metric("label_age_seconds", figure="mean") <= 5 * 3600
    assert 0.5 < run.metric("prequential", learner="logistic", span="recent", metric="accuracy") <= 1
    assert run.metric("waiting_events") == 3000  # for thirty days a label may still be corrected
    assert run.metric("stream_time_seconds") > 1.6e9
    (task,) = json.loads(made.headrace("status", "--json"))["tasks"]
    assert (task["behind"], task["entry"] >= task["checkpoint"]["entry"] >= 0) == (0, True)


def test_not_ready_while_recovering(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """A successor without a checkpoint folds the whole journal first: healthy, and not ready until it is done."""
    made = pipeline(stream, tmp_path, redis_url, checkpoints={"store": redis_url, "every": "1_000_000 events"})
    first = Run(made.path)
    first.folded(stream.total)
    time.sleep(0.5)
    first.kill()
    second = Run(made.path)
    second.wait_until(lambda: second.page("/healthz")[0] == 200)
    seen = [second.page("/readyz")]
    while seen[-1][0] != 200:
        seen.append(second.page("/readyz"))
    assert seen[0] == (503, "not ready\n")
    assert second.metric("recovered_records_total") > 0.9 * stream.total


def test_a_wrong_redis_password_stops_and_is_not_shown(stream: Stream, tmp_path: Path) -> None:
    """Exit 2 with the endpoint; the password stands neither in the log nor in what `status` and `check` say."""
    with RedisServer(["--requirepass", "right"]) as server:
        made = pipeline(stream, tmp_path, server.url.replace("//", "//:hidden-secret@"))
        run = Run(made.path)
        assert run.end() == 2
        assert f"Redis at 127.0.0.1:{server.port}/0 refuses" in run.log
        said = run.log + made.headrace("status", code=None) + made.headrace("check", code=None)
        assert "hidden-secret" not in said


def test_a_right_redis_password_is_not_shown(stream: Stream, tmp_path: Path) -> None:
    """Neither while all is well, nor when Redis goes away."""
    with RedisServer(["--requirepass", "hidden-secret"]) as server:
        url = server.url.replace("//", "//:hidden-secret@")
        made = pipeline(stream, tmp_path, url, checkpoints={"store": url, "every": "200 events"})
        run = Run(made.path)
        run.wait_until(lambda: run.metric("checkpoints_total") > 0)
        server.kill()
        run.wait_until(lambda: run.metric("checkpoint_failures_total") > 0)
        said = run.log + run.page("/metrics")[1] + made.headrace("status", code=None)
        assert "hidden-secret" not in said


def test_a_taken_port_is_told(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """A second worker with the same port ends at its start, with the setting to change."""
    first = Run(pipeline(stream, tmp_path, redis_url).path)
    first.wait_until(lambda: first.url is not None)
    assert first.url is not None
    port = int(first.url.rpartition(":")[2])
    second = Run(pipeline(stream, tmp_path, redis_url, serve={"port": port}).path)
    assert second.end() == 2
    assert f"cannot serve on 127.0.0.1:{port}" in second.log
    assert "serve: {port" in second.log
