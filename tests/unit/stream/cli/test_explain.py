"""`headrace explain` over a pipeline of files: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from tests.unit.stream.cli.test_audit import COUNT, made, told

__all__ = ["made"]


def test_a_page(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer, its place, the reasons, every learner, the label, the model's age."""
    code, said, _ = told(made, capsys, "--event", "e100", verb="explain")
    assert code == 0
    for text in (
        "event e100: prediction ", "(threshold 0.5)", "events.jsonl/0 offset 102; journal entry ", "the same bytes were emitted: ",
        "why, by logistic: what each feature adds, in log odds (linear, exact)", "score = 1 / (1 + exp(-sum))",
        "logistic  champion", "bayes     challenger", "label: false, of 1970-01-01 02:00:00, 20m after the event (labels.jsonl/0 offset 100)",
        "and 1h 40m of stream time old, since the journal's start", "it last learned ",
    ):  # fmt: skip
        assert text in said


def test_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs: the score is the emitted one, contributions add up, a what-if stands beside."""
    code, said, _ = told(made, capsys, "--at", "102", "--what-if", "amount=1000", "--json", verb="explain")
    page = json.loads(said)
    prediction = json.loads((made.parent / "cards-out" / "predictions.jsonl").read_bytes().splitlines()[page["seq"]])
    assert code == 0
    assert page["prediction"] == prediction
    assert page["learners"]["logistic"]["score"] == prediction["score"]
    assert page["learners"]["bayes"]["score"] == prediction["challengers"]["bayes"]
    why = page["learners"]["logistic"]["explanation"]
    assert why["base"] + sum(why["contributions"].values()) == pytest.approx(why["value"])
    assert page["what_if"]["changes"] == {"amount": 1000.0}
    assert page["what_if"]["learners"]["logistic"]["score"] != prediction["score"]
    assert page["emitted"]["same"] is True
    assert page["features"] == {"amount": json.loads(page["event"]["record"]["text"])["amount"]}


def test_records_without_an_answer(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reject with its reason, a duplicate, one that is not there yet."""
    code, said, _ = told(made, capsys, "--event", "bad", verb="explain")
    assert code == 0
    assert "the record at events.jsonl/0 offset 20 was refused" in said
    assert "schema (decode): amount" in said
    code, said, _ = told(made, capsys, "--at", "21", verb="explain")
    assert (code, "event e19 is a duplicate" in said) == (0, True)
    code, said, _ = told(made, capsys, "--at", str(COUNT + 2), verb="explain")
    assert (code, f"is not applied yet, or not there: the journal has come to offset {COUNT + 2}" in said) == (0, True)
    code, said, _ = told(made, capsys, "--event", "e19", verb="explain")
    assert "the same id stands at offset 21 too (--at 21)" in said


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--event", "nobody"], 1, "there is no event 'nobody' in events.jsonl"),
        (["--event", "e5", "--what-if", "amont=3"], 2, "did you mean amount?"),
        (["--at", "20", "--what-if", "amount=3"], 2, "needs an event that was scored"),
        (["--at", "3", "--task", "2"], 2, "there is no task 2"),
        (["--at", "-3"], 2, "offsets count from 0"),
    ],
)
def test_wrong_usage(made: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, says: str) -> None:
    """What is wrong is said, and the nearest right name."""
    got, _, said = told(made, capsys, *more, verb="explain")
    assert (got, says in said) == (code, True)


def test_an_answer_that_does_not_follow(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The emitted prediction is another one: both are shown, exit 1."""
    predictions = made.parent / "cards-out" / "predictions.jsonl"
    whole = predictions.read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[50] = lines[50].replace(b'"key":"e50"', b'"key":"e51"')
    predictions.write_bytes(b"".join(lines))
    try:
        code, said, _ = told(made, capsys, "--event", "e50", verb="explain")
    finally:
        predictions.write_bytes(whole)
    assert code == 1
    assert "DIFFERENT from what was emitted" in said
