"""``headrace run``: what it says at the end."""

import json
from pathlib import Path

import pytest

from stream.cli.main import main

LEARNERS = """
from river import linear_model

class Fails(linear_model.LogisticRegression):
    def learn_one(self, x, y):
        raise RuntimeError("out of ink")
"""
SETTINGS = """
name: cards
problem: binary
events: {file: events.jsonl, id: id, time: time, features: [amount]}
labels: {field: fraud}
learners:
  sound: river.linear_model.LogisticRegression
  broken: {factory: "own_learners:Fails"}
champion: sound
checkpoints: {store: ./store}
serve: null
"""


def test_names_learners_that_learn_no_longer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last lines say who is frozen, and why: the alarm that said so may be long ago."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_learners.py").write_text(LEARNERS)
    events = [{"id": str(i), "time": 1_700_000_000_000 + i, "amount": 1.0, "fraud": False} for i in range(9)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    path = tmp_path / "cards.yaml"
    path.write_text(SETTINGS)
    assert main(["run", str(path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["run", str(path)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("cards: task 0: learner broken is frozen: ")
    assert "out of ink" in last
