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


@pytest.mark.parametrize("rate", ["-5", "0", "nan", "inf"])
def test_a_rate_is_a_number_above_0(tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str) -> None:
    """Nothing is told of a rate that cannot be."""
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "cards.yaml"), "--rate", rate])
    assert left.value.code == 2
    assert f"expected a number above 0, got {rate}" in capsys.readouterr().err


def test_a_factory_that_prints_does_not_spoil_what_programs_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it prints goes to stderr, here and in the processes with other hash seeds."""
    (tmp_path / "talkative.py").write_text(
        "from river.linear_model import LogisticRegression\nprint('hello')\n"
        "def build():\n    print('again')\n    return LogisticRegression()\n"
    )
    (tmp_path / "events.jsonl").write_text('{"id": 1, "time": 1700000000000, "a": 1.0, "y": true}\n')
    path = tmp_path / "cards.yaml"
    path.write_text(
        "name: cards\nevents: {file: events.jsonl, id: id, time: time, features: [a]}\nlabels: {field: y}\n"
        "learners: {own: {factory: 'talkative:build'}}\ncheckpoints: {store: ./store}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    main(["check", str(path), "--offline", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out)["problems"] == {"configuration": [], "learners": []}
    assert "hello" in said.err
