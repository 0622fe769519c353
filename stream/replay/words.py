"""What measures are called, how numbers are written, and a comparison in a sentence. For evaluation, plots and report."""

from collections.abc import Mapping
from math import floor, isfinite, log10
from typing import Final

TITLES: Final = {
    "average_precision": "average precision", "roc_auc": "ROC AUC", "log_loss": "log loss", "brier": "Brier score",
    "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1", "macro_f1": "macro F1",
    "mae": "mean absolute error", "rmse": "root mean squared error", "r2": "R²",
    "expected_calibration_error": "calibration error",
}  # fmt: skip

TOP: Final = {"new": "new keys"}
"""What the best ``k`` are of, where its name does not say it."""

MAIN: Final = {
    "binary": ("average_precision", "log_loss"),
    "anomaly": ("average_precision", "roc_auc"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("mae", "rmse"),
}
"""The measures that are told first and drawn over time, by problem."""


def title(measure: str) -> str:
    """In words: ``top_keys_100`` is ``precision of the best 100 keys a day``, ``top_new_100`` that of new keys."""
    if measure.startswith("top_"):
        _, what, k = measure.split("_")
        return f"precision of the best {int(k):,} {TOP.get(what, what)} a day"
    return TITLES.get(measure, measure)


def number(value: object, digits: int = 3) -> str:
    """For people: counts with commas, measures with so many significant decimals, a dash where there is none."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "–"  # noqa: RUF001 - a dash
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return _plain(value, decimals(value, digits))


def decimals(value: float, digits: int) -> int:
    """Places behind the point: so many digits of a number below 1, of a small one two, of a larger one fewer places."""
    if not value:
        return 0
    if abs(value) >= 1:
        return max(digits - 1 - floor(log10(abs(value))), 0)
    return digits if abs(value) >= 10 ** (1 - digits) else min(1 - floor(log10(abs(value))), 6)


def difference(row: Mapping[str, object]) -> str:
    """``+0.012 (0.004 to 0.020)``: a difference as it is, with its interval."""
    delta, low, high = (row[name] for name in ("difference", "low", "high"))
    if not isinstance(delta, float):
        return number(None)
    places = _places(delta, low, high)
    if not isinstance(low, float) or not isinstance(high, float):
        return _signed(delta, places)
    return f"{_signed(delta, places)} ({_plain(low, places)} to {_plain(high, places)})"


def sentence(measure: str, one: str, other: str, row: Mapping[str, object], *, more_is_better: bool) -> str:
    """A comparison for people: who is better, by how much, and how sure that is."""
    delta, low, high, better = (row[name] for name in ("difference", "low", "high", "better"))
    if not isinstance(delta, float):
        return f"{title(measure)}: there is nothing to compare."
    if not isinstance(low, float) or not isinstance(high, float):
        return f"{title(measure)}: {other} {_signed(delta, _places(delta, None, None))} (too short a stream for an interval)."
    places = _places(delta, low, high)
    holds = row["sign_holds"]
    share = f"; the sign holds in {_share(holds)} resamples" if isinstance(holds, float) else ""
    if better is None:
        return (
            f"{title(measure)}: no difference can be told between {one} and {other} "
            f"({_signed(delta, places)}, 95%: {_plain(low, places)} to {_plain(high, places)}{share})."
        )
    gains = [delta, low, high] if (better == "other") == more_is_better else [-delta, -high, -low]
    gain, least, most = (abs(value) for value in gains)
    least, most = min(least, most), max(least, most)
    winner = other if better == "other" else one
    return (
        f"{title(measure)}: {winner} is better by {_plain(gain, places)} "
        f"(95%: {_plain(least, places)} to {_plain(most, places)}{share})."
    )


def _share(share: float) -> str:
    """A share that is not quite all is not called all."""
    return "all" if share == 1.0 else f"{min(share, 0.999):.1%} of the"


def _places(delta: float, low: object, high: object) -> int:
    """Two digits of the interval's width; one more place where a number in it would be 0 otherwise."""
    if not isinstance(low, float) or not isinstance(high, float):
        return decimals(delta, 3)
    if not high > low:
        return decimals(delta, 3)
    places = 1 - floor(log10(high - low))
    least = min((abs(value) for value in (delta, low, high) if value), default=1.0)
    return min(max(places, 0) + (round(least, max(places, 0)) == 0), 6)


def _plain(value: float, places: int) -> str:
    """Without a sign where nothing is left of the number; one too small for its places by its power of ten."""
    if value and round(value, places) == 0 and places >= 6:
        return f"{value:.0e}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:,.{max(places, 0)}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text.replace(",", "")) else text.lstrip("-")


def capital(words: str) -> str:
    """As the beginning of a sentence; what is written in capitals stays so."""
    return words[:1].upper() + words[1:]


def _signed(value: float, places: int) -> str:
    text = _plain(value, places)
    return text if text.startswith("\N{MINUS SIGN}") or not value else f"+{text}"


def length(ms: float | None) -> str:
    """A length of time in its largest fitting unit: ``7 days``, ``1.5 hours``."""
    if not ms:
        return number(None) if ms is None else "at once"
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if abs(ms) >= size:
            value = ms / size
            text = f"{value:.1f}".removesuffix(".0")
            return f"{text} {unit}" if text == "1" else f"{text} {unit}s"
    return f"{ms:.0f} ms"
