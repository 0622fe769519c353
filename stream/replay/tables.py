"""The tables of the report, each as HTML, or nothing where there is nothing to tell.

Not here: in which order they stand (report.py), what is in them (evaluate.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from stream.replay.bootstrap import more_is_better
from stream.replay.plots import Series, series_of
from stream.replay.results import Run
from stream.replay.words import MAIN, TOP, difference, length, number, title

if TYPE_CHECKING:
    from stream.replay.report import AlarmLine

ALARMS_SHOWN: Final = 40
_TOLD: Final = {
    "settings",
    "versions",
    "digests",
    "counts",
    "frozen",
    "outputs",
    "command",
    "classes",
    "stream_time_ms",
}
"""Facts that have a place of their own, or none."""

_NAMES: Final = {"waiting": "events remembered at the end"}


class Page:
    """What all sections look at."""

    def __init__(self, runs: Sequence[Run], evaluation: Mapping[str, Any]) -> None:
        self.runs, self.evaluation = runs, evaluation
        self.names = [run.name for run in runs]
        self.series = series_of(evaluation)

    @property
    def columns(self) -> list[Series]:
        """Every learner, champions first: what differs between configurations stands side by side."""
        return sorted(self.series, key=lambda one: one.figures["role"] != "champion")

    @property
    def champions(self) -> list[Series]:
        """One a run."""
        return [one for one in self.series if one.figures["role"] == "champion"]

    def comparison(self, series: Series) -> tuple[str, Mapping[str, Any]]:
        """What this learner is compared with, by name, and by which rows; nothing for the first one."""
        learner = self.learner(series)
        for one in self.evaluation["comparisons"]:
            if one["other"] == {"run": series.run, "learner": learner}:
                same = one["one"]["run"] == series.run
                return (one["one"]["learner"] if same else one["one"]["run"]), one["measures"]
        return "", {}

    def learner(self, series: Series) -> str:
        learners: Mapping[str, Any] = self.evaluation["runs"][series.run]["learners"]
        return next(name for name, figures in learners.items() if figures is series.figures)

    def colour(self, run: str) -> str:
        """The CSS class of a configuration; none where there is only one."""
        return f"c{self.names.index(run) % 3}" if len(self.names) > 1 else ""


def text(value: object) -> str:
    return escape(str(value), quote=True)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    """``head`` and ``rows`` are HTML."""
    if not rows:
        return ""
    return f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _th(words: str, colour: str = "", kind: str = "") -> str:
    inside = f'<span class="{colour}">{text(words)}</span>' if colour else text(words)
    return f'<th class="{kind}">{inside}</th>' if kind else f"<th>{inside}</th>"


def _row(first: str, cells: Sequence[object], kind: str = "") -> str:
    """Numbers and texts, written for people."""
    inside = "".join(
        f'<td class="{kind}">{text(number(cell))}</td>' if kind else f"<td>{text(number(cell))}</td>" for cell in cells
    )
    return f"<tr><th>{text(first)}</th>{inside}</tr>"


def _family(words: str, columns: int) -> str:
    return f'<tr class="family"><th colspan="{columns}">{text(words)}</th></tr>'


def _colour(series: Series) -> str:
    from stream.replay.canvas import COLOURS  # noqa: PLC0415 - beside its only use

    return f"c{COLOURS.index(series.colour)}"


def measures(page: Page) -> str:
    """A row a measure, a column a learner: its value, and how it differs from what it is compared with."""
    first = MAIN[page.evaluation["problem"]]
    names = dict.fromkeys(
        (*first, *(name for one in page.columns for name in one.figures["measures"] if not name.startswith("top_")))
    )
    head = ["<th></th>"]
    for one in page.columns:
        against, _ = page.comparison(one)
        note = f"<br>against {text(against)}" if against else ""
        head.append(f'<th><span class="{_colour(one)}">{text(one.name)}</span>{note}</th>')
    rows = []
    for name in names:
        if any(name in one.figures["measures"] for one in page.columns):
            cells = "".join(_measure(page, one, name) for one in page.columns)
            arrow = "" if more_is_better(name) else " <small>less is better</small>"
            rows.append(f"<tr><th>{text(title(name))}{arrow}</th>{cells}</tr>")
    return _table(head, rows)


def _measure(page: Page, series: Series, name: str) -> str:
    value = number(series.figures["measures"].get(name), 4)
    _, compared = page.comparison(series)
    kind, told = "", ""
    if name in compared:
        row = compared[name]
        told = f"<small>{text(difference(row))}</small>"
        kind = {"other": "better", "one": "worse", None: ""}[row["better"]]
    elif any(rows.get(name, {}).get("better") == "one" for rows in _rivals(page, series)):
        kind = "better"
    return f'<td class="{kind}">{text(value)}{told}</td>' if kind else f"<td>{text(value)}{told}</td>"


def _rivals(page: Page, series: Series) -> Iterator[Mapping[str, Any]]:
    """What is compared with the first learner: other configurations' champions, or challengers where there is one."""
    role = "champion" if len(page.names) > 1 else "challenger"
    for one in page.series[1:] if series is page.series[0] else ():
        if one.figures["role"] == role:
            yield page.comparison(one)[1]


def replayed(page: Page, alarms: Mapping[str, int]) -> str:
    """A column a configuration."""
    lines: dict[str, list[object]] = {}
    for place, run in enumerate(page.runs):
        for name, value in _facts(page.evaluation["runs"][run.name], run, alarms[run.name]):
            lines.setdefault(name, [None] * len(page.runs))[place] = value
    rows = [_row(name, values, "text") for name, values in lines.items()]
    return _table(["<th></th>", *(_th(name, page.colour(name), "text") for name in page.names)], rows)


def _facts(own: Mapping[str, Any], run: Run, alarms: int) -> Iterator[tuple[str, object]]:
    events = own["events"]
    if "source" in run.facts:
        yield "source", _words(run.facts["source"])
    if events["first"]:
        yield "first event", _when(events["first"])
        yield "last event", _when(events["last"])
    yield "events", events["scored"]
    if events["warm_up"]:
        yield "before that, not judged", events["warm_up"]
    assumed = f", of these {number(events['assumed'])} by silence" if events["assumed"] else ""
    yield "labelled", f"{number(events['labelled'])}{assumed}"
    positives = [figures.get("positives") for figures in own["learners"].values()]
    if positives[0] is not None:
        judged = max(next(iter(own["learners"].values()))["judged"], 1)
        yield "positive", f"{number(positives[0])} ({positives[0] / judged:.2%})"
    quantiles = own["label_delay_ms"]["quantiles"]
    if quantiles:
        low, middle, high = (length(quantiles[name]) for name in ("p05", "p50", "p95"))
        yield "delay of labels", middle if low == high else f"median {middle}; 5% to 95%: {low} to {high}"
    yield "learners", ", ".join(f"{name} ({figures['role']})" for name, figures in own["learners"].items())
    if own.get("threshold") is not None:
        yield "threshold", f"{own['threshold']:g}"
    alerts = own["learners"][own["champion"]].get("alerts_a_day", {})
    for what, told in alerts.items():
        yield f"alerts a day, {what}", f"median {told['median']:g}, at most {told['most']:,}"
    unscored = {name: figures["unscored"] for name, figures in own["learners"].items() if figures["unscored"]}
    if unscored:
        yield "labelled, not scored", ", ".join(f"{name}: {number(count)}" for name, count in unscored.items())
    yield "alarms", alarms
    if frozen := _mapping(run.facts.get("frozen")):
        yield "frozen", _words(frozen)
    for name, value in run.facts.items():
        if name not in _TOLD | {"source", "events", "labels"} and isinstance(value, (int, float, str)):
            yield _NAMES.get(name, name.replace("_", " ")), value


def _when(moment: str) -> str:
    return moment.replace("T", " ").removesuffix("Z") + " UTC"


def _words(value: object) -> str:
    """Lists and mappings as a person writes them; a part with its parameters in brackets."""
    if isinstance(value, Mapping):
        if _is_part(value):
            ((name, inner),) = value.items()
            return f"{name}({_words(inner) if inner else ''})"
        return ", ".join(f"{name}: {_words(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(inner) for inner in value) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def settings(page: Page) -> tuple[str, str, str]:
    """Heading, words and table of the settings that differ."""
    flat = [dict(_flat(run.facts.get("settings", {}))) for run in page.runs]
    if len(flat) < 2 or not any(flat):
        return "What differs", "", ""
    names = [
        name for name in dict.fromkeys(name for own in flat for name in own) if len({own.get(name) for own in flat}) > 1
    ]
    head = ["<th></th>", *(_th(name, page.colour(name), "text") for name in page.names)]
    if not names:
        return "What differs", "", "<p>Nothing: the settings that change answers are equal.</p>"
    return (
        "What differs",
        "Of the settings that change answers.",
        _table(head, [_row(name, [own.get(name) for own in flat], "text") for name in names]),
    )


def _flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their dotted names. What has a name in a list goes by it, other mappings in one by what they say; a
    part with its parameters, a chain of parts and a list of plain values stay whole.
    """
    if (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(one, Mapping) and not _is_part(one) for one in value)
    ):
        for one in value:
            if "name" in one:
                yield f"{path}.{one['name']}", _words({name: inner for name, inner in one.items() if name != "name"})
            else:
                yield f"{path}: {_words(one)}", "yes"
    elif isinstance(value, Mapping) and value and not _is_part(value):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif path:
        yield path, _words(value)


def _is_part(value: Mapping[str, object]) -> bool:
    """``{river.linear_model.LogisticRegression: {l2: 0.1}}``."""
    return len(value) == 1 and "." in next(iter(value))


def top_k(page: Page) -> str:
    """A row a ``k``, a column a learner; the last one is what could be reached."""
    rows: list[str] = []
    for what in ("new", "keys", "events"):
        ks = dict.fromkeys(k for one in page.columns for k in one.figures.get("top_k", {}).get(what, {}))
        if ks:
            rows.append(_family(f"by {TOP.get(what, what)}", len(page.series) + 2))
            rows += [
                _row(
                    f"best {int(k):,}",
                    [*(one.figures["top_k"].get(what, {}).get(k) for one in page.columns), _ceiling(page, what, k)],
                )
                for k in ks
            ]
    return _table(["<th></th>", *(_th(one.name, _colour(one)) for one in page.columns), _th("at best")], rows)


def _ceiling(page: Page, what: str, k: str) -> float | None:
    """The highest of all learners': they are judged by the same labels, where both have a score."""
    ceilings = [one.figures.get("top_k_ceiling", {}).get(what, {}).get(k) for one in page.columns]
    return max((one for one in ceilings if one is not None), default=None)


def bands(page: Page) -> str:
    """Calibration: a row a band of scores and one for all, two columns a learner."""
    shown = [one for one in page.columns if one.figures.get("calibration", {}).get("bands")]
    if not shown:
        return ""
    head = ["<th></th>"]
    for one in shown:
        colour = _colour(one) if len(shown) > 1 else ""
        head += [_th(f"{one.name}: events" if len(shown) > 1 else "events", colour), _th("mean score"), _th("positive")]
    found = [one.figures["calibration"] for one in shown]
    by_band = [{row["from"]: row for row in own["bands"]} for own in found]
    names = {row["from"]: f"{row['from']:g} to {row['to']:g}" for own in found for row in own["bands"]}
    keys = ("events", "score_mean", "positive_share")
    rows = [_row(names[low], [own.get(low, {}).get(key) for own in by_band for key in keys]) for low in sorted(names)]
    whole = [
        cell for one, own in zip(shown, found, strict=True) for cell in (one.figures["judged"], *map(own.get, keys[1:]))
    ]
    return _table(head, [*rows, _row("all", whole)])


def deciles(page: Page) -> str:
    """A row a tenth, three columns a champion."""
    shown = [one for one in page.champions if one.figures.get("deciles")]
    if not shown:
        return ""
    head = ["<th></th>"]
    for one in shown:
        head += [
            _th(f"{one.run}: score from" if len(shown) > 1 else "score from", _colour(one) if len(shown) > 1 else ""),
            _th("positives"),
            _th("found"),
        ]
    rows = []
    for place in range(10):
        cells: list[object] = []
        for one in shown:
            row = one.figures["deciles"][place] if place < len(one.figures["deciles"]) else {}
            found = row.get("found_share")
            cells += [row.get("score_from"), row.get("positives"), "" if found is None else f"{found:.1%}"]
        rows.append(_row("highest" if place == 0 else "lowest" if place == 9 else f"{place + 1}.", cells))
    return _table(head, rows)


def errors(page: Page) -> str:
    shown = [one for one in page.series if one.figures.get("errors", {}).get("counts")]
    if not shown:
        return ""
    names = ["bias", *shown[0].figures["errors"]["quantiles"]]
    rows = [
        _row(
            "mean" if name == "bias" else f"{name[1:].lstrip('0')}%",
            [({"bias": one.figures["errors"]["bias"]} | one.figures["errors"]["quantiles"]).get(name) for one in shown],
        )
        for name in names
    ]
    return _table(["<th></th>", *(_th(one.name, _colour(one)) for one in shown)], rows)


def classes(page: Page) -> str:
    shown = [one for one in page.champions if "classes" in one.figures]
    if not shown:
        return ""
    head = ["<th></th>", _th("events")]
    for one in shown:
        head += [
            _th(f"{one.run}: precision" if len(shown) > 1 else "precision", _colour(one) if len(shown) > 1 else ""),
            _th("recall"),
            _th("F1"),
        ]
    by_class = [{row["class"]: row for row in one.figures["classes"]} for one in shown]
    rows = [
        _row(
            name,
            [
                by_class[0][name]["events"],
                *(own.get(name, {}).get(figure) for own in by_class for figure in ("precision", "recall", "f1")),
            ],
        )
        for name in by_class[0]
    ]
    return _table(head, rows)


def segments(page: Page, measure: str) -> str:
    """Families of rows; the first run's segments, and each champion's measure in them."""
    by_run = {
        one.run: {(row["segment"], row["value"]): row for row in page.evaluation["runs"][one.run]["segments"]}
        for one in page.champions
    }
    first = next(iter(by_run.values()), {})
    positives = any("positives" in row for row in first.values())
    head = ["<th></th>", _th("labelled"), *([_th("positive")] if positives else [])]
    head += [_th(one.run, _colour(one) if len(by_run) > 1 else "") for one in page.champions]
    rows, family = [], ""
    for (segment, value), row in first.items():
        if segment != family:
            family = segment
            rows.append(_family(segment, len(head)))
        cells: list[object] = [row["labelled"]]
        cells += [f"{row['positives'] / row['labelled']:.2%}"] if positives else []
        for one in page.champions:
            own = by_run[one.run].get((segment, value), {}).get("learners", {}).get(page.learner(one), {})
            cells.append(own.get(measure))
        rows.append(_row(value, cells))
    return _table(head, rows)


def alarms(page: Page, found: Mapping[str, Sequence["AlarmLine"]]) -> str:
    """In the order of time, of all configurations."""
    both = sorted(((one.time, name, one) for name, own in found.items() for one in own), key=lambda each: each[:2])
    several = len(page.names) > 1
    head = [
        _th("time"),
        *([_th("configuration", "", "text")] if several else []),
        _th("what", "", "text"),
        _th("before"),
        _th("after"),
        _th("response", "", "text"),
    ]
    rows = []
    for time_ms, name, one in both[:ALARMS_SHOWN]:
        from stream.replay.groups import day_text  # noqa: PLC0415 - beside its only use

        own = f'<td class="text"><span class="{page.colour(name)}">{text(name)}</span></td>' if several else ""
        what = one.detector or one.detail or one.kind
        rows.append(
            f"<tr><th>{text(_when(day_text(time_ms))[:16])}</th>{own}"
            f'<td class="text">{text(what)}{" (warning)" if one.level == "warning" else ""}</td>'
            f'<td>{text(number(one.before))}</td><td>{text(number(one.after))}</td><td class="text">{text(one.response)}</td>'
            "</tr>"
        )
    more = len(both) - len(rows)
    return _table(head, rows) + (f'<p class="note">and {more:,} more in alarms.jsonl</p>' if more > 0 else "")


def refused(page: Page, reasons: Mapping[str, Mapping[str, int]]) -> str:
    """Rejects by reason, and what the step counted."""
    head = ["<th></th>", *(_th(name, page.colour(name)) for name in page.names)]
    rows: list[str] = []
    counts = {run.name: _mapping(run.facts.get("counts")) for run in page.runs}
    for words, found in (("rejects", reasons), ("counted by the step", counts)):
        names = sorted({name for own in found.values() for name in own})
        if names:
            rows.append(_family(words, len(head)))
            rows += [_row(name.replace("_", " "), [found[run].get(name, 0) for run in page.names]) for name in names]
    return _table(head, rows) or "<p>None: every record was accepted.</p>"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def digests(page: Page) -> str:
    rows = []
    for run in page.runs:
        for path, value in _leaves(run.facts.get("digests", {})):
            rows.append(f'<tr><th>{text(run.name)} {text(path)}</th><td class="text digest">{text(value)}</td></tr>')
    return _table([_th("output"), _th("digest", "", "text")], rows)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path} {name}".strip())
    elif path:
        yield path, str(value)
