"""The frame of every plot: sizes in pixels, thin axes, dates, names at the ends of lines; and its SVG and PNG.

The SVG takes its colours from the page's variables, so that it follows light and dark. Not here: what is drawn (plots.py).
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73")
"""Okabe and Ito's blue, vermilion and green."""
INK: Final = "#222222"
MUTED: Final = "#6b6b6b"
FAINT: Final = "#d4d4d4"
WIDE: Final = 920

_VARIABLES: Final = {**{c: f"--c{i}" for i, c in enumerate(COLOURS)}, INK: "--ink", MUTED: "--muted", FAINT: "--faint"}
_POINTS: Final = 72  # an SVG of matplotlib has 72 units an inch, so a pixel is a unit
_STYLE: Final[Any] = {
    "svg.hashsalt": "headrace", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 10.5,
    "axes.titlesize": 11, "axes.titleweight": "normal", "axes.titlecolor": INK, "axes.labelsize": 10.5,
    "axes.labelcolor": MUTED, "text.color": INK, "axes.edgecolor": MUTED, "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 3, "ytick.major.size": 0,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": FAINT, "grid.linewidth": 0.5, "axes.axisbelow": True,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "auto", "axes.unicode_minus": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and what it says."""

    name: str
    """Of its file."""
    title: str
    words: str
    """One sentence: what is seen."""
    figure: "Figure"

    def svg(self) -> str:
        """To stand in a page: without a size of its own, with its sentence for those who cannot see it."""
        with styled():
            out = io.StringIO()
            self.figure.savefig(
                out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
            )
        text = out.getvalue()
        width, height = (round(inches * _POINTS) for inches in self.figure.get_size_inches())
        body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
        body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        used = set(re.findall(r"#([\w.-]+)[\")]", body))
        body = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", body)
        for colour, variable in _VARIABLES.items():
            body = body.replace(colour, f"var({variable})")
        body = re.sub(r"font-family: [^;\"]*; ?", "", body)  # the page's
        body = re.sub(r' transform="rotate\(-0 [^"]*"|<style.*?</style>', "", body, flags=re.DOTALL)
        label = escape(f"{self.title}. {self.words}", quote=True)
        return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{_tight(body)}</svg>'

    def png(self) -> bytes:
        """On white, two pixels for one."""
        with styled():
            out = io.BytesIO()
            self.figure.savefig(out, format="png", dpi=2 * _POINTS, facecolor="white", metadata={"Software": None})
        return out.getvalue()


def _tight(body: str) -> str:
    """Without the comments and line ends that matplotlib writes for readers of the file."""
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)).strip()


def styled() -> Any:
    """What is made and drawn inside has the looks of the page."""
    import matplotlib as mpl  # noqa: PLC0415 - a heavy import, only where plots are drawn

    return mpl.rc_context(_STYLE)


def figure(width: int, height: int) -> "Figure":
    """Of so many pixels, without pyplot and its registry of figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with styled():
        own = Figure(figsize=(width / _POINTS, height / _POINTS), dpi=_POINTS)
        FigureCanvasAgg(own)
    return own


def axes(own: "Figure", left: float, bottom: float, width: float, height: float) -> Any:
    """Axes in pixels from the lower left corner."""
    across, up = (inches * _POINTS for inches in own.get_size_inches())
    with styled():
        return own.add_axes((left / across, bottom / up, width / across, height / up))


def moment_ms(text: str) -> int:
    """Milliseconds of ``2025-01-06T00:00:00Z``."""
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() * 1000)


def time_axis(panel: Any, start_ms: float, end_ms: float) -> None:
    """Five to nine dates at even places of the calendar."""
    ticks = time_ticks(start_ms, end_ms)
    panel.set_xlim(start_ms, end_ms)
    panel.set_xticks([ms for ms, _ in ticks], [text for _, text in ticks])


def time_ticks(start_ms: float, end_ms: float) -> list[tuple[float, str]]:
    """Places and their names: hours, days, months or years, as the span asks for."""
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start_ms, end_ms))
    days = (end - start) / timedelta(days=1)
    for step in (1 / 1440, 5 / 1440, 15 / 1440, 1 / 24, 3 / 24, 6 / 24, 0.5, 1, 2, 7, 14):
        if days / step <= 9:
            return _even(start_ms, end_ms, step, ("%d %b" if step >= 1 else "%d %b %H:%M" if days > 1 else "%H:%M"))
    months = next((step for step in (1, 3, 6, 12, 24, 60, 120) if days / 30.4 / step <= 9), 240)
    ticks = []
    year, month = start.year, 1
    while year <= end.year and (at := datetime(year, month, 1, tzinfo=UTC)) <= end:
        if at >= start:
            ticks.append((at.timestamp() * 1000, at.strftime("%b %Y" if months < 12 else "%Y")))
        year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    return ticks


def _even(start_ms: float, end_ms: float, step_days: float, form: str) -> list[tuple[float, str]]:
    step = step_days * 86_400_000
    first = -(-start_ms // step) * step
    if step_days in {7, 14}:  # on Mondays
        first += (4 * 86_400_000 - first) % (7 * 86_400_000)
    count = int((end_ms - first) // step) + 1
    places = [first + step * i for i in range(max(count, 0))]
    return [(at, datetime.fromtimestamp(at / 1000, UTC).strftime(form).lstrip("0")) for at in places]


def name_line(panel: Any, y: float, name: str, colour: str) -> None:
    """To the right of the axes, at this height of the data."""
    panel.annotate(
        name, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
        va="center", color=colour, annotation_clip=False,
    )  # fmt: skip


def name_ends(panel: Any, names: Sequence[tuple[str, str]]) -> None:
    """Each line's name beside its end, moved apart where they would overlap. The lines are the panel's, in this order."""
    if len(names) < 2:
        return
    low, high = panel.get_ylim()
    pixels = panel.get_position().height * panel.figure.get_size_inches()[1] * _POINTS
    gap = 13 * (high - low) / pixels
    ends = []
    for line, (name, colour) in zip(panel.get_lines(), names, strict=False):
        known = [y for y in line.get_ydata() if y == y]  # noqa: PLR0124 - not NaN
        ends.append((known[-1] if known else low, name, colour))
    placed = -float("inf")
    heights = []
    for y, _, _ in sorted(ends):
        placed = max(y, placed + gap)
        heights.append(placed)
    over = max(heights[-1] - high, 0.0)
    for y, (_, name, colour) in zip(heights, sorted(ends), strict=True):
        name_line(panel, y - over, name, colour)
