"""report.html: what an evaluation says, as one page for a person: no network, light and dark, on a phone and on paper.

What is told is in the evaluation (evaluate.py), the runs' facts, and their alarms and rejects; nothing is measured here.
The same input gives the same bytes. Read plots.py for the plots, tables.py for the tables, report.css for the looks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from stream.replay import tables
from stream.replay.canvas import Plot
from stream.replay.plots import Alarm, draw
from stream.replay.results import ALARMS, REJECTS, REPORT, Run
from stream.replay.tables import Page, text
from stream.replay.words import MAIN, capital, number, title

PLOTS: Final = "plots"
_PAIR: Final = 2

METHOD: Final = (
    "Every event whose label is known counts, with the score that was emitted at the time. Differences are told with a "
    "95% interval from a paired block bootstrap: {units} are drawn anew in blocks of {length}, the same ones for both. "
    "Bold marks the better one where the interval does not hold 0; elsewhere no difference can be told."
)

BANDS: Final = (
    "Events by their score: the mean of what was said, and the share that was positive. Where the two agree, scores are "
    "probabilities, and a threshold can be set by cost."
)
DECILES: Final = (
    "A tenth of the events each, highest scores first: how many positives are in it, and the share of all found so far."
)


class AlarmLine(msgspec.Struct):
    """What the page needs of an alarm."""

    time: int
    level: str = "alarm"
    detector: str = ""
    signal: str = ""
    before: float | None = None
    after: float | None = None
    response: str = ""
    detail: str = ""
    kind: str = "change"


class _Reason(msgspec.Struct):
    """What the page needs of a reject."""

    reason: str = "unknown"


def write_report(runs: Sequence[Run], evaluation: Mapping[str, Any], out: Path) -> Path:
    """Write the page, and each plot as PNG into ``out/plots/``.

    Parameters
    ----------
    runs : sequence of Run
        Those that were evaluated. Of their ``facts`` the page tells the settings (where they differ), ``counts``,
        ``digests``, ``frozen``, ``source`` and ``command``, and any other number or text by its name.
    evaluation : mapping
        As ``evaluate`` gave it.
    out : Path
        A directory; made when it is not there.

    Returns
    -------
    Path
        Of the page.
    """
    alarms = {run.name: read_alarms(run) for run in runs}
    marks = {
        name: [Alarm(one.time, one.detector or one.kind) for one in own if one.level == "alarm"]
        for name, own in alarms.items()
    }
    plots = list(draw(evaluation, marks))
    (out / PLOTS).mkdir(parents=True, exist_ok=True)
    for plot in plots:
        (out / PLOTS / f"{plot.name}.png").write_bytes(plot.png())
    page = Page(runs, evaluation)
    path = out / REPORT
    path.write_text(_html(page, plots, alarms), encoding="utf-8")
    return path


def read_alarms(run: Run) -> list[AlarmLine]:
    """Of the run's file, in its order; none when it is not there."""
    return list(_lines(run.path / ALARMS, AlarmLine))


def reasons(run: Run) -> Counter[str]:
    """How many rejects there are of each reason."""
    return Counter(line.reason for line in _lines(run.path / REJECTS, _Reason))


def _lines(path: Path, kind: type[Any]) -> Iterator[Any]:
    if not path.exists():
        return
    decode = msgspec.json.Decoder(kind).decode
    with path.open("rb") as lines:
        for line in lines:
            yield decode(line)


def _html(page: Page, plots: Sequence[Plot], alarms: Mapping[str, Sequence[AlarmLine]]) -> str:
    css = resources.files("stream.replay").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(piece for piece in _sections(page, plots, alarms) if piece)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Backtest: {text(", ".join(page.names))}</title>
<style>
{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _sections(page: Page, plots: Sequence[Plot], alarms: Mapping[str, Sequence[AlarmLine]]) -> Iterator[str]:
    drawn = {plot.name: plot for plot in plots}
    yield _opening(page)
    yield _section("Measures", _method(page), tables.measures(page))
    yield _plotted(drawn.pop("over-time", None))
    yield _section("What was replayed", "", tables.replayed(page, {name: len(own) for name, own in alarms.items()}))
    yield _section(*tables.settings(page))
    best = drawn.pop("top-k", None)
    yield f'<div class="pair">{"".join(_figure(plot) for plot in drawn.values())}</div>' if drawn else ""
    yield _plotted(best, tables.top_k(page))
    yield _section("What scores mean", BANDS, tables.bands(page))
    yield _section("Deciles of the score", DECILES, tables.deciles(page))
    yield _section("Errors", "Value minus truth: its mean, and its quantiles.", tables.errors(page))
    yield _section("Classes", "", tables.classes(page))
    first = MAIN[page.evaluation["problem"]][0]
    yield _section("Segments", f"{capital(title(first))} by part of the stream.", tables.segments(page, first))
    yield _section("Alarms", "", tables.alarms(page, alarms))
    yield _section("Rejects and drops", "", tables.refused(page, {run.name: reasons(run) for run in page.runs}))
    yield _closing(page)


def _section(head: str, words: str, table: str) -> str:
    if not table:
        return ""
    said = f'<p class="note">{text(words)}</p>' if words else ""
    return f'<section><h2>{text(head)}</h2>{said}<div class="scroll">{table}</div></section>'


def _plotted(plot: Plot | None, table: str = "") -> str:
    """A section of one plot, with its numbers below."""
    if plot is None:
        return _section("The best of each day", "", table)
    drawing = f'<div class="wide">{plot.svg()}</div>'
    numbers = f'<div class="scroll">{table}</div>' if table else ""
    return f'<section><h2>{text(plot.title)}</h2><p class="note">{text(plot.words)}</p>{drawing}{numbers}</section>'


def _figure(plot: Plot | None) -> str:
    if plot is None:
        return ""
    return f"<figure><figcaption><h3>{text(plot.title)}</h3><p>{text(plot.words)}</p></figcaption>{plot.svg()}</figure>"


def _opening(page: Page) -> str:
    """Names, what was replayed, and who is better."""
    names = " and ".join(page.names) if len(page.names) <= _PAIR else ", ".join(page.names)
    own = page.evaluation["runs"][page.names[0]]
    events, labelled = own["events"]["scored"], own["events"]["labelled"]
    span = ""
    if own["events"]["first"]:
        span = f", {own['events']['first'][:10]} to {own['events']['last'][:10]}"
    share = (
        f"{own['coverage']:.0%} of them with a label" if own["coverage"] is not None else "none of them with a label"
    )
    lead = f"{number(events)} events{span}; {share if labelled else 'none of them with a label'}."
    verdicts = "".join(f"<li>{text(words)}</li>" for words in _verdicts(page))
    told = f'<ul class="verdict">{verdicts}</ul>' if verdicts else ""
    return f'<header><h1>Backtest: {text(names)}</h1><p class="lead">{text(lead)}</p>{told}</header>'


def _verdicts(page: Page) -> Iterator[str]:
    """The main measures of every comparison of configurations; of champion and challengers where there is one."""
    compared = page.evaluation["comparisons"]
    between = [one for one in compared if one["one"]["run"] != one["other"]["run"]] or compared
    for one in between:
        for measure in MAIN[page.evaluation["problem"]]:
            if measure in one["measures"]:
                yield capital(one["measures"][measure]["words"])


def _method(page: Page) -> str:
    """How differences are told, and over how many events."""
    told = METHOD.partition(" Differences")[0]
    compared = page.evaluation["comparisons"]
    for one in compared:
        if one["blocks"] and any(row["low"] is not None for row in one["measures"].values()):
            unit, size = one["blocks"]["unit"], one["blocks"]["length"]
            told = METHOD.format(units=f"{unit}s" if unit[0].isalpha() else f"pieces of {unit}", length=size)
            break
    return " ".join([told, *_compared(compared)])


def _compared(compared: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not compared:
        return
    counts = sorted({one["events"] for one in compared})
    many = number(counts[0]) if len(counts) == 1 else f"{number(counts[0])} to {number(counts[-1])}"
    yield f"Compared are the {many} events that both scored and whose label is known."
    if differ := max(one["labels_differ"] for one in compared):
        yield f"Left out are {number(differ)} on whose label two configurations do not agree."


def _closing(page: Page) -> str:
    """How to get the same again, and how to know that it is the same."""
    digests = tables.digests(page)
    command = next((str(run.facts["command"]) for run in page.runs if run.facts.get("command")), "")
    told = f"<h3>The same again</h3><pre>{text(command)}</pre>" if command else ""
    proof = (
        f'<h3>Digests</h3><p class="note">Of the outputs\' bytes, by task. The same records, configuration and versions '
        f'give the same.</p><div class="scroll">{digests}</div>'
        if digests
        else ""
    )
    return f"<section><h2>Reproduce</h2>{told}{proof}</section>" if told or proof else ""
