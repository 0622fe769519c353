"""`headrace audit` over a pipeline of files: what it prints, and its exit codes."""

import json
import shutil
from pathlib import Path

import pytest

from stream.build import open_service
from stream.cli.main import main
from stream.config import load

TEXT = """
name: cards
events: {file: events.jsonl, id: id, time: time, features: [amount]}
labels: {file: labels.jsonl, id: id, value: fraud, time: time}
learners:
  logistic: [river.preprocessing.StandardScaler, river.linear_model.LogisticRegression]
  bayes: river.naive_bayes.GaussianNB
checkpoints: {store: ./checkpoints, every: 50 events}
batch: {records: 30}
"""
COUNT = 150


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of files that has run to their end; one event is refused, one comes twice."""
    directory = tmp_path_factory.mktemp("cards")
    path = directory / "cards.yaml"
    path.write_text(TEXT)
    events = [{"id": f"e{i}", "time": i * 60_000, "amount": (i * 37 % 101) / 7} for i in range(COUNT)]
    events[20:20] = [{"id": "bad", "time": 1_200_000, "amount": "much"}, events[19]]
    labels = [{"id": f"e{i}", "time": (i + 20) * 60_000, "fraud": i % 3 == 0} for i in range(COUNT - 20)]
    for name, rows in (("events", events), ("labels", labels)):
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_service(load(path, {}), say=lambda message: None) as service:
        service.worker.run()
    return path


def told(path: Path, capsys: pytest.CaptureFixture[str], *more: str, verb: str = "audit") -> tuple[int, str, str]:
    code = main([verb, str(path), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """Copies of the outputs, without the journal."""
    directory = tmp_path / "copy"
    directory.mkdir()
    for file in (made.parent / "cards-out").glob("*.jsonl"):
        shutil.copy(file, directory)
    return directory


def test_equal(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a digest of each output, and exit 0."""
    code, said, _ = told(made, capsys)
    assert code == 0
    assert "folded from the journal's start: 282 records" in said
    assert "equal: what was emitted is what follows from the records" in said
    code, said, _ = told(made, capsys, "--json")
    (task,) = json.loads(said)["tasks"]
    assert {name: one["compared"] for name, one in task["outputs"].items()} == {
        "predictions": COUNT,
        "alarms": 0,
        "rejects": 1,
    }
    assert task["difference"] is None


def test_a_difference_is_shown_where_it_is(made: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both values around the first byte that differs, a mark under it, the event and its offset; exit 1."""
    lines = (copy / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    lines[70] = lines[70].replace(b'"score":0.', b'"score":0.0', 1)
    (copy / "predictions.jsonl").write_bytes(b"".join(lines))
    code, said, _ = told(made, capsys, "--against", str(copy))
    assert code == 1
    assert f"DIFFERENT: predictions seq 70 has another value ({copy}/predictions.jsonl, offset 70; entry " in said
    assert "event e70, events.jsonl/0 at offset 72" in said
    folded, stands, mark = said.splitlines()[-3:]
    at = len(mark) - 1
    assert folded[10:at] == stands[10:at]
    assert folded[at] != stands[at]
    assert "equal" not in said
    code, said, _ = told(made, capsys, "--against", str(copy), "--json")
    found = json.loads(said)["tasks"][0]["difference"]
    assert (code, found["kind"], found["seq"], found["event"]["id"]) == (1, "value", 70, "e70")
    assert found["found"]["value"]["text"].encode() + b"\n" == lines[70]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], f"predictions seq {COUNT - 1} is missing"),
        (lambda lines: [*lines, lines[-1]], f"predictions seq {COUNT} is in no journal entry"),
    ],
)
def test_lines_that_are_missing_or_too_many(
    made: Path, copy: Path, capsys: pytest.CaptureFixture[str], change, says
) -> None:
    """At the end of a file; both are differences."""
    lines = (copy / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "predictions.jsonl").write_bytes(b"".join(change(lines)))
    code, said, _ = told(made, capsys, "--against", str(copy))
    assert code == 1
    assert says in said


def test_a_changed_reject_is_found(made: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its headers stand in its line."""
    path = copy / "rejects.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"reason":"schema"', b'"reason":"decode"'))
    code, said, _ = told(made, capsys, "--against", str(copy))
    assert code == 1
    assert "rejects seq 0 has another value" in said
    assert "record events.jsonl/0 at offset 20" in said


def test_ranges(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From an entry, to an entry, from the newest checkpoint."""
    _, said, _ = told(made, capsys, "--from", "7", "--to", "8")
    assert "task 0: entries 7 to 8, folded from the checkpoint of entry " in said
    assert "60 records, " in said
    code, said, _ = told(made, capsys, "--from-checkpoint")
    assert (code, said) == (0, "task 0: the journal holds no entry to compare\n")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--task", "1"], "there is no task 1"),
        (["--predictions-topic", "x"], "writes files, not topics"),
        (["--against", "nowhere"], "there is no directory nowhere"),
    ],
)
def test_wrong_usage(made: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str) -> None:
    """Exit 2, and what is wrong."""
    code, _, said = told(made, capsys, *more)
    assert code == 2
    assert says in said


def test_an_audit_leaves_everything_as_it_is(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is written, none is locked."""

    def standing() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(made.parent.rglob("*")) if file.is_file()}

    before = standing()
    told(made, capsys)
    told(made, capsys, "--event", "e50", "--what-if", "amount=3", verb="explain")
    assert standing() == before
