"""The page tells what the evaluation says, needs nothing from anywhere, and is the same again."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.replay.canvas import time_ticks
from stream.replay.evaluate import evaluate
from stream.replay.report import write_report
from stream.replay.results import Run
from stream.replay.words import difference, length, number, sentence, title
from tests.unit.stream.replay.simulated import DAY_MS, START_MS, scores_of, write

N = 4000
ALARM = {"detector": "adwin-loss", "signal": "loss", "level": "alarm", "time": START_MS + 9 * DAY_MS, "before": 0.1, "after": 0.3, "response": "alarm"}  # fmt: skip
VOID = {"meta", "br", "hr", "img", "link", "input"}


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, rng: np.random.Generator) -> list[Run]:
    """Two configurations, the second one better; one with a challenger, alarms and rejects."""
    place = tmp_path_factory.mktemp("runs")
    label = rng.random(N) < 0.1
    common: Any = {
        "label": label,
        "time_ms": START_MS + np.sort(rng.integers(0, 40 * DAY_MS, N)),
        "key": [f"c{i}" for i in rng.integers(0, 200, N)],
    }
    week, month = ({"window": {"by": ["card"], "over": [span]}} for span in ("7d", "30d"))
    facts = {"settings": {"champion": "logistic", "learners": {"logistic": {"l2": 0.1}}, "features": [week]}, "command": "headrace backtest a.yaml <b>.yaml", "counts": {"labels_assumed": 3}, "digests": {"0": {"predictions": "af0c"}}}  # fmt: skip
    one = write(
        place / "a", score=scores_of(label, 1.0, rng), challengers={"tree": scores_of(label, 0.8, rng)}, alarms=[ALARM],
        rejects=[{"reason": "schema", "value": "{"}] * 2, name="a", facts=facts, **common,
    )  # fmt: skip
    two = write(place / "b", score=scores_of(label, 2.0, rng), name="<b>", facts={**facts, "settings": {"champion": "logistic", "learners": {"logistic": {"l2": 0.2}}, "features": [week, month]}}, **common)  # fmt: skip
    return [one, two]


@pytest.fixture(scope="module")
def page(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(runs, evaluate(runs, resamples=400), tmp_path_factory.mktemp("out")).read_text(encoding="utf-8")


def words(page: str) -> str:
    """What stands on the page, as one line of text."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.DOTALL)).split())


def test_it_tells_what_scores_mean_and_who_is_new(page: str) -> None:
    """A band of scores by name, the row of all, and the best of each day among keys that are not known yet."""
    told = words(page)
    assert "0.1 to 0.2" in told
    assert re.search(r"What scores mean .* all 4,000 ", told)
    assert "by new keys" in told
    assert "at best" in told


class Balance(HTMLParser):
    """Whether every element ends where it should."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_it_needs_nothing_from_anywhere(page: str) -> None:
    """No address is fetched and nothing runs: no link, script, image or import, and a policy that forbids them."""
    assert not re.findall(r"<(?:script|link|img|iframe|object)\b|@import|url\((?!#)|src=", page)
    assert re.findall(r'href="(?!#)', page) == []
    assert "default-src 'none'" in page


def test_it_is_well_formed(page: str) -> None:
    """Elements are closed in order, ids are there once, and each plot is XML with a sentence for those who cannot see it."""
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 5
    for plot in plots:
        root = ET.fromstring(plot.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
        assert root.attrib["aria-label"].endswith(".")
        named = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
        assert set(re.findall(r"#([\w.-]+)[\")]", plot)) <= named


def test_colours_follow_the_page(page: str) -> None:
    """Plots name no colour of their own, so that light and dark hold for them too."""
    plots = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert re.findall(r"#[0-9a-fA-F]{6}\b", plots) == []
    assert "var(--c0)" in plots
    assert "prefers-color-scheme: dark" in page


def test_it_says_who_is_better_and_how_sure_that_is(page: str, runs: list[Run]) -> None:
    """The first lines compare the configurations in words; names from files are escaped."""
    said = words(page)
    rows = evaluate(runs, resamples=400)["comparisons"][0]["measures"]
    assert rows["average_precision"]["better"] == "other"
    for measure in ("average_precision", "log_loss"):
        expected = rows[measure]["words"]
        assert (expected[0].upper() + expected[1:]).replace("<b>", "&lt;b&gt;") in said
    assert "<b>" not in page
    assert re.search(r'<td class="better">0\.\d+<small>\+0\.\d+ \(0\.\d+ to 0\.\d+\)</small></td>', page)


@pytest.mark.parametrize(
    "said",
    [
        "What differs", "learners.logistic.l2 0.1 0.2", "features: window: by: card, over: 30d \u2013 yes",
        "adwin-loss 0.1 0.3 alarm", "schema 2 0", "labels assumed 3 3",
        "a 0 predictions af0c", "headrace backtest a.yaml &lt;b&gt;.yaml", "delay of labels 7 days", "hour of day (UTC)",
        "a/tree against logistic", "Compared are the 4,000 events that both scored and whose label is known.", "&lt;b&gt; against a", "Deciles of the score", "best 10",
    ],
)  # fmt: skip
def test_what_a_reader_looks_for_is_there(page: str, said: str) -> None:
    """Settings that differ, alarms, rejects, drops, digests, the command, delays, segments, challengers."""
    plain = words(page).replace("0.100", "0.1").replace("0.300", "0.3")
    assert said in plain


def test_what_is_equal_does_not_differ(page: str) -> None:
    """A computed feature that both have is no row among the settings that differ."""
    assert "over: 7d" not in words(page)


def test_the_same_input_gives_the_same_bytes(runs: list[Run], tmp_path: Path) -> None:
    """Page and pictures, drawn twice."""
    evaluation = evaluate(runs, resamples=50)
    first, second = (write_report(runs, evaluation, tmp_path / name).parent for name in ("one", "two"))
    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert [path.as_posix() for path in files] == ["plots/calibration.png", "plots/over-time.png", "plots/precision-recall.png", "plots/scores.png", "plots/top-k.png", "report.html"]  # fmt: skip
    for path in files:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path
    assert (first / files[0]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("problem", ["binary", "anomaly", "regression", "multiclass"])
@pytest.mark.parametrize("known", [True, False])
def test_every_problem_has_a_page(tmp_path: Path, rng: np.random.Generator, problem: Any, known: bool) -> None:
    """Also one whose events have no labels yet."""
    n = 400
    columns: dict[str, Any] = {"score": rng.random(n), "label": rng.random(n) < 0.5, "prediction": None}
    if problem == "multiclass":
        scores = rng.dirichlet((1, 1, 1), n)
        columns = {"score": scores.max(axis=1), "label": rng.choice(["a", "b", "c"], n), "scores": scores.tolist(), "classes": ["a", "b", "c"], "prediction": [["a", "b", "c"][i] for i in scores.argmax(axis=1)]}  # fmt: skip
    if problem == "regression":
        columns["label"] = rng.random(n)
    if not known:
        columns["label"] = [None] * n
    run = write(tmp_path, problem=problem, alarms=[ALARM], **columns)
    page = write_report([run], evaluate([run], resamples=50), tmp_path / "out").read_text(encoding="utf-8")
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])
    extra = {"binary": "Precision and recall", "anomaly": "Precision and recall", "regression": "Errors", "multiclass": "Confusion"}  # fmt: skip
    assert (extra[problem] in page) == known
    assert ("none of them with a label" in page) != known


def test_no_events_at_all(tmp_path: Path) -> None:
    """A page that says so."""
    run = write(tmp_path, score=[], label=[], prediction=np.array([], float))
    page = write_report([run], evaluate([run]), tmp_path / "out").read_text(encoding="utf-8")
    assert "0 events; none of them with a label." in page


def test_labels_that_come_at_any_age_are_drawn(tmp_path: Path, rng: np.random.Generator, runs: list[Run]) -> None:
    """A constant delay is a number; others are a curve."""
    evaluation = evaluate(runs, resamples=50)
    own = replace(runs[0])
    evaluation["runs"]["a"]["label_delay_ms"]["curve"] = [[i / 40, i * DAY_MS / 4] for i in range(41)]
    page = write_report([own, runs[1]], evaluation, tmp_path).read_text(encoding="utf-8")
    assert "Delay of labels" in page
    assert (tmp_path / "plots" / "label-delay.png").exists()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((0.012, 0.004, 0.020, "other", 1.0), "average precision: new is better by 0.012 (95%: 0.004 to 0.020; the sign holds in all resamples)."),
        ((-0.012, -0.020, -0.004, "one", 0.9996), "average precision: old is better by 0.012 (95%: 0.004 to 0.020; the sign holds in 99.9% of the resamples)."),
        ((0.002, -0.010, 0.014, None, 0.62), "average precision: no difference can be told between old and new (+0.002, 95%: \u22120.010 to 0.014; the sign holds in 62.0% of the resamples)."),
        ((0.012, None, None, None, None), "average precision: new +0.012 (too short a stream for an interval)."),
        ((None, None, None, None, None), "average precision: there is nothing to compare."),
    ],
)  # fmt: skip
def test_a_comparison_in_words(row: tuple[Any, ...], expected: str) -> None:
    """Who is better, by how much, and how sure that is; or that it cannot be told."""
    named = dict(zip(("difference", "low", "high", "better", "sign_holds"), row, strict=True))
    assert sentence("average_precision", "old", "new", named, more_is_better=True) == expected


def test_less_is_better_where_it_is() -> None:
    """A log loss that fell is a gain, told as one; the table shows it as it is."""
    row = {"difference": -0.03, "low": -0.05, "high": -0.01, "better": "other", "sign_holds": 0.99}
    assert (
        sentence("log_loss", "old", "new", row, more_is_better=False)
        == "log loss: new is better by 0.030 (95%: 0.010 to 0.050; the sign holds in 99.0% of the resamples)."
    )
    assert difference(row) == "\u22120.030 (\u22120.050 to \u22120.010)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234, "1,234"), (0.5, "0.500"), (0.0123, "0.012"), (0.00123, "0.0012"), (-0.25, "\u22120.250"), (1234.5, "1,234"), (0.0, "0"),
     (2.5, "2.50"), (None, "\u2013"), (float("nan"), "\u2013"), (3e-9, "3e\u221209"), ("text", "text"), (True, "True")],
)  # fmt: skip
def test_numbers_for_people(value: object, expected: str) -> None:
    """As many digits as say something."""
    assert number(value) == expected


def test_other_words() -> None:
    """Lengths of time, and names of measures."""
    assert [length(ms) for ms in (0, 7 * DAY_MS, 5_400_000, 60_000, 250)] == [
        "at once",
        "7 days",
        "1.5 hours",
        "1 minute",
        "250 ms",
    ]
    assert title("top_keys_100") == "precision of the best 100 keys a day"
    assert title("top_new_1000") == "precision of the best 1,000 new keys a day"
    assert title("roc_auc") == "ROC AUC"


@pytest.mark.parametrize("span_ms", [10_000, 600_000, 3_600_000 * 5, DAY_MS, 3 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS, 944 * DAY_MS, 8000 * DAY_MS, 40_000 * DAY_MS])  # fmt: skip
def test_dates_of_an_axis(span_ms: int) -> None:
    """A few different names, in order, within the span, for spans from seconds to a century."""
    ticks = time_ticks(START_MS + 12_345, START_MS + 12_345 + span_ms)
    places = [at for at, _ in ticks]
    assert len(ticks) <= 10
    assert places == sorted(places)
    assert all(START_MS <= at <= START_MS + 12_345 + span_ms for at in places)
    assert len({name for _, name in ticks}) == len(ticks)
    assert len(ticks) >= (2 if span_ms >= 600_000 else 0)
