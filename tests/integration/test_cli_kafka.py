"""The verbs that look at and operate topics, against a real broker."""

import json
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream.cli.main import main
from stream.transport.admin import ControlPlane
from stream.transport.kafka_topic import read_topic

pytestmark = pytest.mark.kafka

TEXT = """
name: {name}
events: {{topic: {name}-events, id: id, key: card, time: time}}
labels: {{topic: {name}-labels, id: id, value: fraud, time: time}}
learners: {{one: river.linear_model.LogisticRegression}}
checkpoints: {{store: ./store}}
kafka: {{bootstrap.servers: "{kafka}"}}
"""


@pytest.fixture
def path(tmp_path: Path, kafka: str) -> Path:
    """A pipeline without topics."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(TEXT.format(name=f"c{uuid.uuid4().hex[:8]}", kafka=kafka))
    return path


@pytest.fixture
def name(path: Path) -> str:
    return path.read_text().split()[1]


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(list(argv))
    told = capsys.readouterr()
    return code, told.out + told.err


def test_missing_topics_are_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`topics check` answers no where topics are missing."""
    code, told = said(capsys, "topics", "check", str(path))
    assert (code, "there is no topic" in told) == (1, True)


def test_inputs_are_created_on_request_only(path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`topics create` makes no topic of events unless it is told how many partitions."""
    code, told = said(capsys, "topics", "create", str(path))
    assert (code, f"there is no topic {name}-events nor {name}-labels" in told) == (2, True)


def test_created_topics_fit(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `topics create` makes passes `topics check`, with retention for the longest wait."""
    code, told = said(capsys, "topics", "create", str(path), "--partitions", "2", "--json")
    found = json.loads(told)
    assert (code, len(found["created"]), found["problems"]) == (0, 6, [])
    assert said(capsys, "topics", "check", str(path))[0] == 0


def test_files_into_a_topic(
    path: Path, name: str, kafka: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`produce` sends every record once, a key to one partition."""
    said(capsys, "topics", "create", str(path), "--partitions", "2")
    lines = [b'{"id": %d, "card": "c%d"}' % (number, number % 5) for number in range(100)]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    events = f"{name}-events"
    code, told = said(
        capsys, "produce", str(tmp_path / "events.jsonl"), "--kafka", kafka, "--topic", events, "--key", "card"
    )
    records = list(read_topic({"bootstrap.servers": kafka}, "test", events))
    assert (code, "100 records" in told, sorted(record.value or b"" for record in records)) == (0, True, sorted(lines))
    assert len({(record.key, record.partition) for record in records}) == 5


def test_rejects_are_sent_again(path: Path, name: str, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`rejects redrive` puts the original bytes and key into the topic that they came from."""
    said(capsys, "topics", "create", str(path), "--partitions", "1")
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    headers = {"reason": b"schema", "error": b"no amount", "topic": f"{name}-events".encode(), "partition": b"0"}
    producer.produce(f"{name}-rejects", b'{"id":1}', b"c1", headers=headers)
    assert producer.flush(30) == 0
    listed = json.loads(said(capsys, "rejects", "list", str(path), "--json")[1])
    assert (listed["counts"], listed["rejects"][0]["key"]) == ({"schema": 1}, {"text": "c1"})
    assert said(capsys, "rejects", "redrive", str(path), "--yes")[0] == 0
    again = [
        (record.key, record.value) for record in read_topic({"bootstrap.servers": kafka}, "test", f"{name}-events")
    ]
    assert again == [(b"c1", b'{"id":1}')]


def test_the_status_of_nobody(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any worker the status has a task for each partition, and says that nobody works."""
    said(capsys, "topics", "create", str(path), "--partitions", "2")
    assert "nobody works" in said(capsys, "status", str(path))[1]
    found = json.loads(said(capsys, "status", str(path), "--json")[1])
    assert [task["task"] for task in found["tasks"]] == [0, 1]


def test_a_group_that_read_is_behind(path: Path, name: str, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The status counts the records behind the group's positions."""
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415

    said(capsys, "topics", "create", str(path), "--partitions", "1")
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for _ in range(5):
        producer.produce(f"{name}-events", b"{}")
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"headrace-{name}"})
    consumer.commit(offsets=[TopicPartition(f"{name}-events", 0, 2)], asynchronous=False)
    consumer.close()
    found = json.loads(said(capsys, "status", str(path), "--json")[1])
    assert (found["tasks"][0]["lag"], found["tasks"][0]["behind"]) == ({"events": 3}, 3)


def test_a_cluster_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong address ends with a message that names it."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(TEXT.format(name="nobody", kafka="127.0.0.1:1"))
    code, told = said(capsys, "topics", "check", str(path))
    assert (code, "127.0.0.1:1" in told) == (1, True)


def test_plane_closes(kafka: str) -> None:
    """The control plane is a context manager that leaves nothing open."""
    with ControlPlane({"bootstrap.servers": kafka}) as plane:
        assert plane.describe([]) == {}
