"""``headrace check``: what it says of configurations that load."""

import json
from pathlib import Path

import pytest

from stream.cli.check import _notes
from stream.cli.main import main
from tests.harness import config

SETTINGS = """
name: cards
problem: binary
events: {{file: events.jsonl, id: id, key: card, time: time, features: [amount, {{country: text}}]}}
labels: {{field: fraud}}
features:
  - window: {{by: card, of: amount, compute: mean, over: 7d}}
learners:
  main:
    - learners.transformers.Ratio: {{of: {of}, to: {to}}}
    - learners.transformers.Fill: {{of: {filled}}}
    - learners.transformers.OneHot: {{of: country}}
    - river.preprocessing.StandardScaler
    - river.linear_model.LogisticRegression
checkpoints: {{store: ./store}}
"""
WEEK = "amount_mean_7d_by_card"


def notes(tmp_path: Path, capsys: pytest.CaptureFixture[str], **names: str) -> list[str]:
    """Of the learner, what is noted."""
    event = {"id": "a", "card": "c", "time": 1_700_000_000_000, "amount": 1.0, "country": "NL", "fraud": False}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    path = tmp_path / "cards.yaml"
    path.write_text(SETTINGS.format(**{"of": "amount", "to": WEEK, "filled": f"amount_per_{WEEK}"} | names))
    assert main(["check", str(path), "--offline", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    return [note for note in told["notes"] if note.startswith("learner ")]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({}, []),
        ({"of": "amuont", "filled": "amount"}, ["Ratio reads 'amuont', which no event has; did you mean `amount`?"]),
        ({"to": "[amount, other]"}, ["Ratio reads 'other', which no event has", f"Fill reads 'amount_per_{WEEK}'"]),
    ],
)
def test_names_that_transformers_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: dict[str, str], said: list[str]
) -> None:
    """Features of events, computed ones and those that a transformer before made are there; another name is noted."""
    found = notes(tmp_path, capsys, **names)
    assert len(found) == len(said)
    for note, words in zip(found, said, strict=True):
        assert words in note


@pytest.mark.parametrize("rate", [None, 100.0])
def test_a_wait_of_nothing_costs_nothing(rate: float | None) -> None:
    """Labels that are late are refused at once; there is nothing to count."""
    labels = {"topic": "labels", "id": "id", "value": "y", "time": "time", "wait": "0s"}
    assert not [note for note in _notes(config(labels=labels), rate, offline=True) if "waiting event" in note]
