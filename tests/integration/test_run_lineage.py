"""A worker on state that another configuration or other topics made: it stops with the difference, or goes on as told."""

import json
from pathlib import Path

import pytest

from stream.records import Claim
from tests.integration.running import (
    Pipeline,
    Run,
    Stream,
    calm,
    fill,
    pipeline,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]


def with_challenger(made: Pipeline) -> None:
    """The same champion, and somebody beside it."""
    learners = json.loads(made.path.read_text())["learners"]
    made.change(learners={**learners, "bayes": "river.naive_bayes.GaussianNB"}, champion="logistic")


def a_third(made: Pipeline) -> None:
    run = Run(made.path)
    run.folded(made.stream.total // 3)
    run.stop()


def test_changed_settings_stop_a_worker_with_the_difference(stream: Stream, redis_url: str, tmp_path: Path) -> None:
    """Exit 2, what changed line by line, and the two ways on; nothing is written."""
    made = pipeline(stream, tmp_path, redis_url)
    a_third(made)
    before = made.journal()
    with_challenger(made)
    run = Run(made.path)
    assert run.end() == 2
    assert "    learners.bayes: None -> 'river.naive_bayes.GaussianNB'" in run.log
    assert "--accept-lineage" in run.log
    assert made.journal() == before


@pytest.mark.parametrize("forgotten", [False, True], ids=["from-a-checkpoint", "from-the-journal-across-the-change"])
def test_an_accepted_change_keeps_what_is_unchanged(
    stream: Stream, redis_url: str, tmp_path: Path, *, forgotten: bool
) -> None:
    """The champion's scores are those of an uninterrupted run, also after a kill -9 behind the change; the journal tells it."""
    made = pipeline(stream, tmp_path, redis_url)
    a_third(made)
    with_challenger(made)
    changed = Run(made.path, "--accept-lineage")
    changed.folded(2 * stream.total // 3)
    changed.kill()
    if forgotten:
        made.forget_checkpoints()
    after = Run(made.path)
    after.wait_until(after.ready)
    recovered = after.metric("recovered_records_total")
    after.folded(stream.total)
    after.stop()
    expected = [one.told for one in calm(stream, redis_url).outputs[0]["predictions"]]
    told = [one.told for one in made.outputs()["predictions"]]
    same = ("id", "score", "prediction", "model")
    assert [[one[field] for field in same] for one in told] == [[one[field] for field in same] for one in expected]
    challenged = [bool(one.get("challengers")) for one in told]
    assert challenged == sorted(challenged)
    assert 0 < sum(challenged) < len(told)
    assert [c.accepted for c in made.journal() if isinstance(c, Claim)] == [False, True, False]
    assert (recovered > stream.total // 2) == forgotten


def test_labels_in_other_partitions_are_refused(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Counts that differ stop a worker at its start, with both counts and what to do."""
    run = Run(pipeline(fill(kafka, 10, partitions=3, label_partitions=2), tmp_path, redis_url).path)
    assert run.end() == 2
    assert "partition counts differ" in run.log
    assert "has 3" in run.log
    assert "has 2" in run.log
    assert "headrace topics check" in run.log
    assert "broadcast" in run.log


def test_a_missing_topic_is_named(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """A worker that is started before its topics says which are missing, and the command that makes them."""
    made = pipeline(fill(kafka, 10), tmp_path, redis_url)
    made.change(rejects={"topic": f"{made.name}-elsewhere"})
    run = Run(made.path)
    assert run.end() == 2
    assert f"topics are missing: {made.name}-elsewhere" in run.log
    assert "headrace topics create" in run.log


def test_broadcast_labels_meet_every_event_once(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Three tasks read all labels of a topic with two partitions: each event's is learned by its own task, once."""
    stream = fill(kafka, 1500, partitions=3, label_partitions=2)
    made = pipeline(stream, tmp_path, redis_url, batch={"records": 200})
    labels = json.loads(made.path.read_text())["labels"]
    made.change(labels={**labels, "partitioning": "broadcast"})
    first = Run(made.path)
    first.folded(stream.total // 2)
    first.kill()
    second = Run(made.path)
    second.folded(stream.total)
    second.stop()
    ids = [one.told["id"] for task in range(3) for one in made.outputs(task)["predictions"]]
    assert sorted(ids) == sorted(f"e{number}" for number in range(1500))
    assert sum(made.final_state(task).coverage.all()["labelled"] for task in range(3)) == 1500
    assert not any(made.outputs(task)["rejects"] for task in range(3))
