import json
from pathlib import Path

import pytest

from stream.cli import rejects
from stream.cli.main import main
from stream.cli.rejects import StoredReject, stored_rejects
from stream.config import load
from stream.transport.files import reject_line
from stream.transport.ledger import Ledger

TEXT = """
name: cards
events: {file: events.jsonl, id: id, time: time}
learners: {one: river.linear_model.LogisticRegression}
"""
KAFKA = TEXT.replace("file: events.jsonl", "topic: events") + 'kafka: {bootstrap.servers: "localhost:1"}\n'


def refused(number: int, reason: str = "schema", value: bytes = b'{"id": 1}', topic: str = "events") -> StoredReject:
    headers = {"reason": reason, "stage": "decode", "error": "amount: expected number, got string", "topic": topic}
    more = {"partition": b"0", "offset": b"%d" % number, "timestamp": b"5", "lineage": b"abc"}
    return StoredReject(b"k%d" % number, value, {name: text.encode() for name, text in headers.items()} | more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pipeline of files with three rejects, the last without a committed batch."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT)
    ledger = Ledger(tmp_path / "cards-out", "cards")
    ledger.recover()
    stored = [refused(1), refused(2, "decode", b"\xff{")]
    ledger.append(b"{}", {"rejects": [reject_line(each.key or b"", *each[1:]) for each in stored]}, (2,))
    ledger.add({"rejects": [reject_line(b"k", b"v", {"reason": b"schema"})]})
    ledger.close()
    return path


def told(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["rejects", more[0], str(path), *more[1:]])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_only_committed_rejects_count(path: Path) -> None:
    """What no journal entry vouches for is not listed."""
    assert [reject.said("offset") for reject in stored_rejects(load(path, {}))] == ["1", "2"]


def test_rejects_come_back_whole(path: Path) -> None:
    """The original bytes and the headers are those that were refused."""
    assert list(stored_rejects(load(path, {}))) == [refused(1), refused(2, "decode", b"\xff{")]


def test_a_table_for_people(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list shows reasons and errors, and counts them."""
    code, said = told(path, capsys, "list")
    assert (code, "expected number, got string" in said, "2 in all: 1 schema, 1 decode" in said) == (0, True, True)


def test_json_keeps_bytes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not text is base64 in JSON."""
    found = json.loads(told(path, capsys, "list", "--json")[1])["rejects"]
    assert [each["value"] for each in found] == [{"text": '{"id": 1}'}, {"base64": "/3s="}]


def test_one_reason(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--reason` leaves the others out."""
    assert json.loads(told(path, capsys, "list", "--reason", "decode", "--json")[1])["counts"] == {"decode": 1}


def test_the_newest(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--limit` shows the newest and still counts all."""
    found = json.loads(told(path, capsys, "list", "--limit", "1", "--json")[1])
    assert ([each["offset"] for each in found["rejects"]], sum(found["counts"].values())) == ([2], 2)


def test_no_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline that never ran has none, and that is no error."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT)
    assert told(path, capsys, "list") == (0, "cards has no rejects\n")


def test_files_are_not_written_to(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rejects of files cannot be sent again."""
    assert told(path, capsys, "redrive")[0] == 2


class Sent(list[StoredReject]):
    """Takes the place of Kafka: what was sent."""

    def __call__(self, config: object, chosen: list[StoredReject]) -> int:
        self.extend(chosen)
        return len(self)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Four rejects in a topic, two of which can be sent again."""
    stored = [refused(1), refused(2, "too_large", b"{}"), refused(3, topic="other"), refused(4, "label_orphan")]
    monkeypatch.setattr(rejects, "stored_rejects", lambda config: iter(stored))
    sent = Sent()
    monkeypatch.setattr(rejects, "send_again", sent)
    return sent


@pytest.fixture
def kafka(tmp_path: Path) -> Path:
    path = tmp_path / "cards.yaml"
    path.write_text(KAFKA)
    return path


def test_redrive_sends_what_is_whole(kafka: Path, sent: Sent, capsys: pytest.CaptureFixture[str]) -> None:
    """References, and records of other topics, are left out and counted."""
    code, said = told(kafka, capsys, "redrive", "--yes")
    assert (code, sent, "2 cannot be sent again" in said) == (0, [refused(1), refused(4, "label_orphan")], True)


def test_redrive_of_a_reason(kafka: Path, sent: Sent, capsys: pytest.CaptureFixture[str]) -> None:
    """`--reason` chooses."""
    told(kafka, capsys, "redrive", "--yes", "--reason", "label_orphan")
    assert [each.said("offset") for each in sent] == ["4"]


def test_redrive_asks(
    kafka: Path, sent: Sent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--yes`, and nobody to ask, nothing is sent."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert (told(kafka, capsys, "redrive")[0], sent) == (1, [])
