import json
import os
from pathlib import Path

import pytest

from stream.checkpoints.base import Head
from stream.cli import status
from stream.cli.main import main
from stream.cli.stores import Found
from stream.records import Claim, encode_journal
from stream.transport.ledger import Ledger, Lock

TEXT = """
name: cards
events: {file: events.jsonl, id: id, time: time}
learners: {one: river.linear_model.LogisticRegression}
checkpoints: {store: ./store}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pipeline of files with two journal entries and three predictions."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT)
    ledger = Ledger(tmp_path / "cards-out", "cards")
    ledger.recover()
    for number in (0, 1):
        entry = encode_journal(Claim(number=number, worker="w", positions=(number,), lineage={}))
        ledger.append(entry, {"predictions": [b"{}"] * (number + 1)}, (number,))
    ledger.close()
    return path


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["status", str(path), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_committed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest entry, positions and outputs are those of the journal."""
    found = told(path, capsys)
    assert found["outputs"] == {"predictions": 3, "alarms": 0, "rejects": 0}
    assert found["tasks"] == [{"task": 0, "owner": None, "behind": None, "entry": 0, "positions": [1]}]


def test_who_works(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The process that holds the directory is named."""
    lock = Lock(path.parent / "cards-out")
    lock.acquire(lock)
    found = told(path, capsys)["tasks"]
    lock.release(lock)
    assert found[0]["owner"] == f"process {os.getpid()}"  # type: ignore[index]


def test_nothing_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline that never ran has a status too."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT)
    assert told(path, capsys)["tasks"] == [{"task": 0, "owner": None, "behind": None, "entry": None}]


def test_the_newest_checkpoint(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest checkpoint of each task stands beside it, also of a task that nobody owns."""
    head = Head(
        task="cards/1", entry_number=7, journal_offset=0, token=0, positions=(), records=70, stream_time_ms=0,
        saved_ms=0, lineage={}, chunks=(),
    )  # fmt: skip
    monkeypatch.setattr(status, "tasks_of", lambda config, store: [1])
    monkeypatch.setattr(status, "checkpoints_of", lambda config, store, task: iter([Found(task, head, "", None)]))
    assert main(["status", str(path)]) == 0
    assert " ago" in capsys.readouterr().out.splitlines()[-1]


def test_a_checkpoint_that_does_not_verify(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with a checkpoint is said in its row."""
    monkeypatch.setattr(status, "tasks_of", lambda config, store: [0])
    monkeypatch.setattr(status, "checkpoints_of", lambda config, store, task: iter([Found(task, None, "torn", None)]))
    assert main(["status", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("torn")


def test_a_store_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Redis that is down is told, and the rest of the status is there."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT.replace("./store", '"redis://localhost:1/0"'))
    (task,) = told(path, capsys)["tasks"]  # type: ignore[misc]
    assert "Redis at localhost:1/0" in task["problem"]
