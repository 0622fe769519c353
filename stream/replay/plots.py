"""Plots of an evaluation, each as SVG for the page and as PNG beside it. Lines and words, no decoration.

Everything drawn is in the evaluation, but for the alarms. A configuration has a colour of its own (Okabe and Ito's, told
apart by colour-blind people), its challengers are dashed; lines are named where they end. The same evaluation gives the
same bytes. Not here: the page (report.py), the frame of a plot and its SVG (canvas.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from stream.replay.canvas import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    WIDE,
    Plot,
    axes,
    figure,
    moment_ms,
    name_ends,
    name_line,
    styled,
    time_axis,
)
from stream.replay.words import MAIN, TOP, capital, length, number, title

SMALL: Final = (440, 300)
_NAME: Final = 15
_BIN_EVENTS: Final = 20
_RUG: Final = 13
_MARKS: Final = 100
_CLASSES_NUMBERED: Final = 12
_ODDS: Final = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999)


class Alarm(NamedTuple):
    """What is marked of an alarm."""

    time_ms: int
    detector: str


@dataclass(frozen=True, slots=True)
class Series:
    """One learner as it is drawn everywhere."""

    name: str
    run: str
    colour: str
    dashed: bool
    figures: Mapping[str, Any]

    @property
    def style(self) -> dict[str, Any]:
        return {
            "color": self.colour,
            "linestyle": (0, (4, 2)) if self.dashed else "-",
            "linewidth": 1.2 if self.dashed else 1.6,
        }


def series_of(evaluation: Mapping[str, Any]) -> list[Series]:
    """Every learner: colours by configuration, or by learner where there is one configuration."""
    runs = evaluation["runs"]
    drawn = []
    for place, (run, own) in enumerate(runs.items()):
        for turn, (learner, figures) in enumerate(own["learners"].items()):
            name = run if len(own["learners"]) == 1 else learner if len(runs) == 1 else f"{run}/{learner}"
            colour = COLOURS[(turn if len(runs) == 1 else place) % len(COLOURS)]
            drawn.append(Series(name, run, colour, turn > 0, figures))
    return drawn


def draw(evaluation: Mapping[str, Any], alarms: Mapping[str, Sequence[Alarm]]) -> list[Plot]:
    """Every plot that the evaluation has figures for, in the order of the page."""
    series = [one for one in series_of(evaluation) if one.figures["judged"]]
    if not series or len(evaluation["slices"]["edges"]) < 3:
        return []
    kinds: dict[str, tuple[Callable[..., Plot | None], ...]] = {
        "binary": (_scores, _precision_recall, _calibration, _top_k),
        "anomaly": (_scores, _precision_recall, _top_k),
        "regression": (_errors,),
        "multiclass": (_confusion,),
    }
    with styled():
        plots = [kind(evaluation, series) for kind in (*kinds[evaluation["problem"]], _label_delay)]
        return [_over_time(evaluation, series, alarms), *(plot for plot in plots if plot is not None)]


def _over_time(evaluation: Mapping[str, Any], series: list[Series], alarms: Mapping[str, Sequence[Alarm]]) -> Plot:
    """The main measures of each slice, alarms above them."""
    edges = np.array([moment_ms(edge) for edge in evaluation["slices"]["edges"]])
    middles = (edges[:-1] + edges[1:]) / 2
    measures = [name for name in MAIN[evaluation["problem"]] if any(name in one.figures["by_time"] for one in series)]
    runs = [run for run in evaluation["runs"] if alarms.get(run)]
    rows = len(runs) * _RUG + (6 if runs else 0)
    height = 190 * len(measures) + rows + 10
    own = figure(WIDE, height)
    top = height - rows
    if runs:
        _rug(own, runs, alarms, series, edges, height)
    for place, measure in enumerate(measures):
        panel = axes(own, 46, top - 190 * (place + 1) + 28, WIDE - 46 - 130, 190 - 58)
        panel.set_title(title(measure), loc="left")
        for one in series:
            values = np.array([np.nan if v is None else v for v in one.figures["by_time"].get(measure, [])], float)
            if len(values):
                panel.plot(middles, values, solid_joinstyle="round", **one.style)
        if measure != "r2":
            panel.set_ylim(bottom=0)
        time_axis(panel, edges[0], edges[-1])
        name_ends(panel, [(one.name, one.colour) for one in series])
    each = "day" if evaluation["slices"]["by"] == "day" else "part of the stream"
    words = f"{capital(' and '.join(title(measure) for measure in measures))} of each {each}, by the time of the event"
    return Plot("over-time", "Over stream time", words + ("; alarms are marked above." if runs else "."), own)


def _rug(
    own: Any, runs: list[str], alarms: Mapping[str, Sequence[Alarm]], series: list[Series], edges: Any, height: int
) -> None:
    """A row of marks a configuration."""
    for place, run in enumerate(runs):
        colour = next(one.colour for one in series if one.run == run)
        row = axes(own, 46, height - _RUG * (place + 1), WIDE - 46 - 130, _RUG - 3)
        row.set_axis_off()
        times = [alarm.time_ms for alarm in alarms[run] if edges[0] <= alarm.time_ms <= edges[-1]]
        few = len(times) <= _MARKS
        row.plot(
            times, np.full(len(times), 0.45), linestyle="", clip_on=False, color=colour, marker="v" if few else "|",
            markersize=5 if few else 6, markeredgewidth=0 if few else 0.5, alpha=None if few else 0.5,
        )  # fmt: skip
        row.set_xlim(edges[0], edges[-1])
        row.set_ylim(0, 1)
        count = f"{len(times):,} alarm{'' if len(times) == 1 else 's'}"
        name_line(row, 0.45, count if len(runs) == 1 else f"{run}: {count}", colour)


def _champions(series: list[Series]) -> list[Series]:
    """One a configuration; where there is one configuration, every learner."""
    return series if len({one.run for one in series}) == 1 else [one for one in series if not one.dashed]


def _scores(evaluation: Mapping[str, Any], series: list[Series]) -> Plot:
    """Shares of each class by score."""
    shown = _champions(series)[:4]
    shape = evaluation["scores"]
    edges = np.array(shape["edges"])
    place = np.log10(edges / (1 - edges)) if shape["scale"] == "logit" else edges
    height = 150 * len(shown) + 24
    own = figure(SMALL[0], height)
    for row, one in enumerate(shown):
        panel = axes(own, 40, height - 150 * (row + 1) + 12, SMALL[0] - 56, 150 - 40)
        panel.set_title(one.name, loc="left", color=one.colour)
        counts = {kind: np.array(values, float) for kind, values in one.figures["histogram"].items()}
        shares = {kind: values / max(values.sum(), 1.0) for kind, values in counts.items()}
        panel.stairs(shares["negative"], place, fill=True, color=FAINT)
        panel.stairs(shares["positive"], place, color=one.colour, linewidth=1.4)
        for kind, colour, side in (("negative", MUTED, 0.0), ("positive", one.colour, 1.0)):
            text = f"{int(counts[kind].sum()):,} {kind}"
            panel.text(
                side, 1.0, text, transform=panel.transAxes, ha="right" if side else "left", va="top", color=colour
            )
        if shape["scale"] == "logit":
            panel.set_xticks([np.log10(p / (1 - p)) for p in _ODDS], [f"{p:.4f}".strip("0") for p in _ODDS])
        panel.set_xlim(place[0], place[-1])
        panel.set_ylim(0, max(float(values.max()) for values in shares.values()) * 1.25 or 1.0)
        panel.set_yticks([])
    words = "Share of each class by score" + (
        ", on a scale that is even in the odds." if shape["scale"] == "logit" else "."
    )
    return Plot("scores", "Scores by class", words, own)


def _precision_recall(evaluation: Mapping[str, Any], series: list[Series]) -> Plot | None:  # noqa: ARG001 - all are called alike
    if not any(one.figures["precision_recall"] for one in series):
        return None
    own, panel = _named(series)
    for one in series:
        points = [(0.0, one.figures["precision_recall"][0]["precision"])] if one.figures["precision_recall"] else []
        points += [(point["recall"], point["precision"]) for point in one.figures["precision_recall"]]
        panel.plot([x for x, _ in points], [y for _, y in points], **one.style)
    _square(panel, "recall", "precision")
    words = "For every threshold: the share of what is told that is positive, and the share of positives that is told."
    return Plot("precision-recall", "Precision and recall", words, own)


def _calibration(evaluation: Mapping[str, Any], series: list[Series]) -> Plot:  # noqa: ARG001
    own, panel = _named(series, lambda one: f"error {number(one.figures['calibration']['expected_calibration_error'])}")
    panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    for one in series:
        bins = [row for row in one.figures["calibration"]["bins"] if row["events"] >= _BIN_EVENTS]
        said, was = [row["score_mean"] for row in bins], [row["positive_share"] for row in bins]
        panel.plot(said, was, marker="o", markersize=3.5, markeredgewidth=0, **one.style)
    _square(panel, "mean score", "share of positives")
    words = (
        "Ten bins of the score: what was said, what came true; on the dotted line both agree. "
        f"Bins of fewer than {_BIN_EVENTS} events are left out."
    )
    return Plot("calibration", "Calibration", words, own)


def _named(series: list[Series], more: Callable[[Series], str] | None = None) -> tuple[Any, Any]:
    """A small figure and its axes, with the names of the lines above to the right."""
    width, height = SMALL
    strip = _NAME * len(series) if len(series) > 1 or more else 0
    own = figure(width, height + strip)
    if strip:
        above = axes(own, 40, height - 16, width - 56, strip)
        above.set_axis_off()
        above.set_xlim(0, 1)
        above.set_ylim(len(series), 0)
        for place, one in enumerate(series):
            above.plot([0.40, 0.46], [place + 0.5, place + 0.5], **one.style)
            above.text(0.48, place + 0.5, one.name + (f", {more(one)}" if more else ""), va="center", color=one.colour)
    return own, axes(own, 40, 44, width - 56, height - 66)


def _square(panel: Any, across: str, up: str) -> None:
    panel.set_xlim(0, 1.005)
    panel.set_ylim(0, 1.03)
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    panel.set_xlabel(across, loc="right")
    panel.set_title(up, loc="left", color=MUTED, fontweight="normal")


def _top_k(evaluation: Mapping[str, Any], series: list[Series]) -> Plot | None:  # noqa: ARG001
    """By new keys if there are any, else by keys or events, for the ``k`` nearest to 100."""
    whats = ("new", "keys", "events")
    what = next(
        what for what in whats if what == "events" or all(what in one.figures["top_k_by_day"] for one in series)
    )
    ks = set.intersection(*(set(one.figures["top_k_by_day"].get(what, {})) for one in series))
    if not ks or len(series[0].figures["days"]) < 2:
        return None
    k = min(ks, key=lambda text: abs(int(text) - 100))
    own = figure(WIDE, 190)
    panel = axes(own, 46, 28, WIDE - 46 - 130, 190 - 58)
    for one in series:
        times = [moment_ms(f"{day}T12:00:00Z") for day in one.figures["days"]]
        panel.plot(times, np.array(one.figures["top_k_by_day"][what][k], float), **one.style)
    panel.set_ylim(0, 1.03)
    named = TOP.get(what, what)
    panel.set_title(f"precision of the best {int(k):,} {named} of a day", loc="left")
    days = [moment_ms(f"{day}T12:00:00Z") for one in series for day in one.figures["days"]]
    time_axis(panel, min(days), max(days))
    name_ends(panel, [(one.name, one.colour) for one in series])
    words = f"If {int(k):,} {named} can be looked at each day: the share of them that is positive."
    if what == "new":
        words += " New are keys of which no positive label had come when the day began (UTC)."
    return Plot("top-k", "The best of each day", words, own)


def _label_delay(evaluation: Mapping[str, Any], series: list[Series]) -> Plot | None:
    """Of each configuration whose labels came at ages that differ by more than 2%; one line where all agree."""
    curves = {run: own["label_delay_ms"]["curve"] for run, own in evaluation["runs"].items()}
    if len({str(curve) for curve in curves.values()}) == 1:
        curves = dict([next(iter(curves.items()))])
    curves = {run: curve for run, curve in curves.items() if curve and curve[-1][1] > 1.02 * curve[2][1]}
    if not curves:
        return None
    own = figure(*SMALL)
    panel = axes(own, 40, 44, SMALL[0] - 80, SMALL[1] - 66)
    longest = max(curve[-1][1] for curve in curves.values())
    for run, curve in curves.items():
        colour = INK if len(curves) == 1 else next(one.colour for one in series if one.run == run)
        panel.plot([ms for _, ms in curve], [share for share, _ in curve], color=colour, linewidth=1.6)
        if len(curves) > 1:
            panel.text(curve[-10][1], curve[-10][0], f" {run}", color=colour, va="top")
    panel.set_xlim(0, longest)
    panel.set_ylim(0, 1.03)
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    ticks = np.linspace(0, longest, 5)
    panel.set_xticks(ticks, ["0", *(length(tick) for tick in ticks[1:])])
    panel.set_title("share of labels that had come", loc="left", color=MUTED, fontweight="normal")
    return Plot("label-delay", "Delay of labels", "By time since the event; assumed labels are left out.", own)


def _errors(evaluation: Mapping[str, Any], series: list[Series]) -> Plot:  # noqa: ARG001
    """Value minus target."""
    own, panel = _named(series)
    for one in series:
        errors = one.figures["errors"]
        counts, edges = np.array(errors["counts"], float), np.array(errors["edges"])
        density = counts / max(counts.sum(), 1.0) / np.diff(edges)
        panel.stairs(density, edges, **{**one.style, "color": one.colour})
    panel.axvline(0, color=MUTED, linewidth=0.8, linestyle=":")
    panel.set_yticks([])
    panel.set_ylim(bottom=0)
    panel.set_xlabel("value minus truth", loc="right")
    return Plot("errors", "Errors", "How errors are distributed (99% of them); left of 0 the value was too low.", own)


def _confusion(evaluation: Mapping[str, Any], series: list[Series]) -> Plot:
    """A matrix a configuration, its rows adding up to 1."""
    shown = _champions(series)[:4]
    classes = evaluation["runs"][shown[0].run]["classes"]
    size = min(max(200, 26 * len(classes)), 380)
    own = figure(SMALL[0], (size + 60) * len(shown))
    for row, one in enumerate(shown):
        names = evaluation["runs"][one.run]["classes"]
        cells = np.array(one.figures["confusion"], float)
        shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1.0)
        panel = axes(own, 90, (size + 60) * (len(shown) - 1 - row) + 34, size, size)
        panel.set_title(one.name, loc="left", color=one.colour, pad=6)
        for true, decided in np.argwhere(shares > 0).tolist():
            share = shares[true, decided]
            panel.fill(
                [decided - 0.48, decided + 0.48, decided + 0.48, decided - 0.48],
                [true - 0.48, true - 0.48, true + 0.48, true + 0.48],
                color=one.colour, alpha=0.12 + 0.6 * share, linewidth=0,
            )  # fmt: skip
            if len(names) <= _CLASSES_NUMBERED:
                panel.text(decided, true, f"{share:.0%}", ha="center", va="center", color=INK)
        panel.set_xlim(-0.5, len(names) - 0.5)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xticks(range(len(names)), names)
        panel.set_yticks(range(len(names)), names)
        panel.set_xlabel("decided", loc="right")
        panel.tick_params(length=0)
        for side in panel.spines.values():
            side.set_visible(False)
        panel.grid(visible=False)
    return Plot("confusion", "Confusion", "True classes down, decisions across; a row adds up to 100%.", own)
