"""The windows that others are measured against, held to a loop that is plainer still, and to pandas' own."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.quality.windows_reference import windows

COMPUTE = ("count", "sum", "mean", "min", "max", "std", "distinct", "last", "time_since")


def table(seed: int, rows: int = 200) -> pd.DataFrame:
    """Few keys, many equal times, missing values."""
    chance = np.random.default_rng(seed)
    values = chance.integers(0, 6, rows).astype(float)
    values[chance.random(rows) < 0.1] = np.nan
    seconds = np.cumsum(chance.integers(0, 4, rows))
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame({"time": time, "key": chance.choice(["a", "b", "c"], rows), "x": values})


def plainly(frame: pd.DataFrame, place: int, span_s: float, lag_s: float, present: bool) -> dict[str, float]:
    """One row's window by looking at every other row."""
    now = frame["time"][place]
    ages = [(now - time).total_seconds() for time in frame["time"]]
    inside = [
        other
        for other in range(len(frame))
        if frame["key"][other] == frame["key"][place]
        and lag_s <= ages[other] < lag_s + span_s
        and (lag_s > 0 or other < place + present)
        and not np.isnan(frame["x"][other])
    ]
    x = frame["x"][inside].to_numpy()
    told = {"count": len(x), "sum": x.sum(), "distinct": len(set(x))}
    if not len(x):
        return told | dict.fromkeys(set(COMPUTE) - set(told), np.nan)
    return told | {
        "mean": x.mean(), "min": x.min(), "max": x.max(), "std": x.std(), "last": x[-1], "time_since": ages[inside[-1]],
    }  # fmt: skip


@pytest.mark.parametrize(("lag", "present"), [("0s", True), ("0s", False), ("5s", True)])
def test_each_window_is_what_a_look_at_every_row_finds(lag: str, present: bool) -> None:
    """All that can be computed, with equal times and missing values, with and without the present row, and with a lag."""
    frame = table(seed=3)
    found = windows(frame, by="key", of="x", over=["10s", "1min"], compute=COMPUTE, lag=lag, present=present)
    for place in range(len(frame)):
        for span, seconds in (("10s", 10.0), ("1min", 60.0)):
            expected = plainly(frame, place, seconds, float(lag.removesuffix("s")), present)
            for name, value in expected.items():
                ours = found[f"x_{name}_{span}_by_key"][place]
                assert ours == pytest.approx(value, abs=1e-12, nan_ok=True), (place, span, name)


def test_windows_with_the_present_row_are_the_rolling_windows_of_pandas() -> None:
    """``rolling("30s")`` is ``(t - 30 s, t]`` too; its standard deviation divides by the count less one."""
    frame = table(seed=4).dropna().reset_index(drop=True)
    names = ["sum", "mean", "min", "max", "std"]
    found = windows(frame, by="key", of="x", over=["30s"], compute=names, ddof=1)
    rolling = frame.set_index("time").groupby("key")["x"].rolling("30s").agg(names)
    order = frame.groupby("key").indices
    for name in names:
        theirs = np.empty(len(frame))
        theirs[np.concatenate([order[key] for key in sorted(order)])] = rolling[name].to_numpy()
        np.testing.assert_allclose(found[f"x_{name}_30s_by_key"], theirs, atol=1e-9)


def test_times_that_fall_are_refused() -> None:
    """The slices would be wrong."""
    frame = table(seed=5).iloc[::-1]
    with pytest.raises(ValueError, match="not in the order"):
        windows(frame, by="key", of="x", over=["1h"])
