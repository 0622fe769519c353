"""The example of two label speeds runs, and blends do what docs/blends.md says of them."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import pytest
from ruamel.yaml import YAML

from stream.cli.main import main
from tests.harness import config
from tests.simulation.lab import Lab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "two-label-speeds.yaml"
PAGE = (ROOT / "docs" / "blends.md").read_text(encoding="utf-8")
DAYS, CHANGE, A_DAY = 60, 30, 200
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
START_MS = 1_735_689_600_000


def feed(directory: Path) -> dict[str, bool]:
    """Payments of sixty days; from the thirtieth on fraud looks otherwise. Returns the truth by id.

    A tenth of the payments is looked at within the hour, drawn by lot; of the others chargebacks come after ten days, and
    one in fifty after more than a month. One in forty is blocked.
    """
    draw = np.random.default_rng(7)
    events, labels, truth = [], [], {}
    for number in range(DAYS * A_DAY):
        time_ms = START_MS + number * DAY_MS // A_DAY
        ratio, distance = draw.lognormal(0, 0.5), draw.exponential(5)
        age, pause = draw.exponential(300), draw.exponential(500)
        odds = -5.0 + (0.25 * distance if number < CHANGE * A_DAY else 1.4 * ratio - 0.02 * distance)
        fraud = bool(draw.random() < 1 / (1 + math.exp(-odds)))
        blocked = bool(draw.random() < 0.025)
        one = {
            "id": f"p{number}",
            "card": f"c{number % 97}",
            "time": time_ms,
            "amount_ratio": ratio,
            "distance_km": distance,
        }
        one |= {"terminal_age_days": age, "minutes_since_last": pause, "status": "blocked" if blocked else "paid"}
        events.append(one)
        truth[one["id"]] = fraud
        if draw.random() < 0.1:
            due_ms = time_ms + int(draw.integers(HOUR_MS // 4, HOUR_MS))
        elif blocked:
            continue
        elif fraud:
            due_ms = time_ms + (35 if draw.random() < 0.02 else 10) * DAY_MS
        else:
            due_ms = time_ms + 10 * DAY_MS
        labels.append({"id": one["id"], "fraud": fraud, "time": due_ms})
    labels.sort(key=lambda label: label["time"])
    directory.mkdir()
    (directory / "events.jsonl").write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in events))
    (directory / "labels.jsonl").write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in labels))
    return truth


class Ran(NamedTuple):
    """The example, when it has run."""

    config: str
    truth: dict[str, bool]
    scores: list[dict[str, float]]
    """Of each event, by learner."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run over its files to their end."""
    place = tmp_path_factory.mktemp("speeds")
    shutil.copy(EXAMPLE, place)
    truth, path = feed(place / "feed"), str(place / EXAMPLE.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_SERVE__PORT", "0")
        assert main(["run", path]) == 0
    lines = (place / "two-label-speeds-out" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    return Ran(path, truth, [{"id": one["id"], "answer": one["score"], **one["challengers"]} for one in told])


def loss(said: Ran, learner: str, first_day: int, last_day: int) -> float:
    """Mean log loss in nats over the events of these days."""
    truth = said.truth
    rows = said.scores[first_day * A_DAY : last_day * A_DAY]
    given = [one[learner] if truth[one["id"]] else 1 - one[learner] for one in rows]
    return float(-np.log(np.clip(given, 1e-9, 1)).mean())


def test_every_event_is_answered_by_the_blend(said):
    """With both members beside it."""
    assert len(said.scores) == DAYS * A_DAY
    assert all(set(one) == {"id", "answer", "quick", "slow"} for one in said.scores)


def test_an_audit_finds_what_was_emitted(said):
    """Folded again, byte by byte."""
    assert main(["audit", said.config]) == 0


def test_an_event_of_the_past_is_explained_by_blend_and_members(said, capsys):
    """The same scores as were emitted, and an exact sum: a stack of linear models."""
    assert main(["explain", said.config, "--event", "p9000", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: one["score"] for name, one in told["learners"].items()} == {
        name: score for name, score in said.scores[9000].items() if name != "id"
    }
    explained = told["learners"]["answer"]["explanation"]
    assert (explained["method"], explained["of"]) == ("linear", "log_odds")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_passes_every_check(said):
    """Cuts, saves and three hash seeds: members, and the blend with them."""
    assert main(["check", said.config, "--offline"]) == 0


def test_before_the_change_the_blend_is_the_best(said):
    """It weighs the quick learner's few labels and the slow one's many."""
    assert loss(said, "answer", 10, 30) < 0.9 * min(loss(said, "quick", 10, 30), loss(said, "slow", 10, 30))


def test_while_only_the_quick_labels_know_of_the_change_the_blend_leads(said):
    """Chargebacks tell ten days later."""
    assert loss(said, "answer", 30, 41) < 0.9 * min(loss(said, "quick", 30, 41), loss(said, "slow", 30, 41))


def test_when_the_slow_labels_tell_the_blend_is_near_the_slow_learner(said):
    """It learns from a tenth of the labels whom to believe."""
    assert loss(said, "answer", 41, 60) < 1.1 * loss(said, "slow", 41, 60)


def test_the_page_tells_these_figures(said):
    """docs/blends.md, two label speeds."""
    for learner, told in _table("days 10 to 30, before").items():
        assert told == [pytest.approx(loss(said, learner, *days), abs=5e-4) for days in ((10, 30), (30, 41), (41, 60))]


@pytest.fixture(scope="module")
def sea() -> dict[str, list[float]]:
    """Of the page's first configuration on SEA, by learner: accuracy over all, and over the thousand after each change."""
    place = ROOT / "../shared/data/drift/sea_abrupt.csv.gz"
    if not place.exists():
        pytest.skip("shared/data is not there")
    table = np.loadtxt(place, delimiter=",", skiprows=1)
    told = YAML(typ="safe").load(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0])
    events = {"topic": "events", "id": "id", "time": "time", "features": ["x1", "x2", "x3"]}
    one = Lab(config(events=events, labels={"field": "y", "delay": "1 event"}, **told))
    names = list(told["learners"])
    scores, batch = [], []
    for number, (x1, x2, x3, y, _) in enumerate(table.tolist()):
        batch.append((0, {"id": str(number), "time": number * 1000, "x1": x1, "x2": x2, "x3": x3, "y": y == 1}))
        if len(batch) == 5000:
            one.feed(batch)
            scores += [
                [{"answer": said["score"], **said["challengers"]}[name] for name in names] for said in one.output()
            ]
            one.said["predictions"], batch = [], []
    right = (np.array(scores) >= 0.5) == (table[:, 3:4] == 1)
    after = np.mean([right[change : change + 1000].mean(axis=0) for change in (12_500, 25_000, 37_500)], axis=0)
    return {name: [right[:, place].mean(), after[place]] for place, name in enumerate(names)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_a_change_the_blend_loses_the_least(sea):
    """And over all it is no worse than the best member, give or take half a percent."""
    members = [figures for name, figures in sea.items() if name != "answer"]
    assert sea["answer"][1] > max(after for _, after in members) + 0.005
    assert sea["answer"][0] > max(everything for everything, _ in members) - 0.005


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_tells_the_figures_of_sea(sea):
    """docs/blends.md, different memories, in percent."""
    for learner, told in _table("all events").items():
        assert told == [pytest.approx(100 * figure, abs=0.06) for figure in sea[learner]]


def _table(column: str) -> dict[str, list[float]]:
    """Figures of the page's table with this column, by learner."""
    rows = PAGE.split(f"| {column} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip(" `%*") for cell in row.strip("|").split("|")] for row in rows]
    return {name: [float(cell.removesuffix(" %")) for cell in figures] for name, *figures in cells}
