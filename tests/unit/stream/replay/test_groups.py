"""Slices, units and segments hold every event once, and are what their names say."""

from datetime import UTC, datetime

import numpy as np
import pytest

from stream.replay.groups import DAY_MS, Groups, blocks_of, segments, slices, unit_of
from stream.replay.judged import Coded, Judged
from stream.replay.results import Run
from tests.unit.stream.replay.simulated import START_MS


def judged(time_ms: np.ndarray, keys: list[str]) -> Judged:
    n = len(time_ms)
    names, codes = np.unique(keys, return_inverse=True)
    key = Coded(codes.astype(np.int32), tuple(names.tolist()))
    return Judged(
        Run("one", "binary", None),
        time_ms,
        key,
        np.zeros(n),
        np.zeros(n, bool),
        np.zeros(n),
        {},
        (),
        {},
        np.full(len(names), np.inf),
        None,
        0,
    )  # type: ignore[arg-type]


def named(groups: Groups) -> list[str]:
    return [groups.names[code] for code in groups.codes.tolist()]


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0.0001, "second"), (0.01, "minute"), (1, "hour"), (5, "6 hours"), (14, "day"), (90, "day"), (400, "day"), (944, "week"), (8000, "4 weeks"), (40_000, "52 weeks")],
)  # fmt: skip
def test_the_unit_of_blocks(days: float, expected: str) -> None:
    """Days where there are enough and not too many of them, else what comes nearest: never under 14 units while seconds do."""
    name, ms = unit_of(START_MS, START_MS + int(days * DAY_MS) - 1)
    assert name == expected
    if expected != "second":
        assert days * DAY_MS / ms >= 13


def test_units_are_dense_and_in_order() -> None:
    """Units without events are not there, not even a century of them."""
    times = START_MS + DAY_MS * np.array([0, 0, 2, 3, 2, 36_500])
    codes, count = blocks_of(times, DAY_MS)
    assert codes.tolist() == [0, 0, 1, 2, 1, 3]
    assert count == 4
    assert blocks_of(np.zeros(0, np.int64), DAY_MS)[1] == 0


@pytest.mark.parametrize(("days", "count"), [(2, 40), (14, 14), (90, 90), (944, 40)])
def test_slices(days: int, count: int) -> None:
    """By day from two weeks to four months, else forty equal parts; each event is in the slice of its time."""
    times = START_MS + np.linspace(0, days * DAY_MS - 1, 1000).astype(np.int64)
    pieces = slices(int(times[0]), int(times[-1]))
    assert len(pieces) == count
    codes = pieces.codes(times)
    assert (pieces.edges_ms[codes] <= times).all()
    assert (times < pieces.edges_ms[codes + 1]).all()


def test_weekdays_and_hours() -> None:
    """They are those of the calendar, in UTC."""
    times = START_MS + np.arange(0, 20 * DAY_MS, 5_000_000)
    found = {groups.name: named(groups) for groups in segments(judged(times, ["k"] * len(times)))}
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in times.tolist()]
    assert found["weekday (UTC)"] == [moment.strftime("%A") for moment in moments]
    assert found["hour of day (UTC)"] == [f"{m.hour // 4 * 4:02} to {m.hour // 4 * 4 + 4:02} h" for m in moments]


def test_few_keys_go_by_name() -> None:
    """Where a key holds a share of the stream the largest are named, and the others are one group."""
    keys = [*["big"] * 50, *["middle"] * 30, *[f"small{i}" for i in range(20)]]
    (groups,) = [one for one in segments(judged(np.full(100, START_MS), keys)) if one.name == "key"]
    assert named(groups)[0] == "big"
    assert named(groups)[50] == "middle"
    assert groups.names[-1] == "14 others"
    assert (groups.codes >= 0).all()


def test_many_keys_go_by_their_activity() -> None:
    """Where no key is large, keys with about equally many events stand together, about a quarter of the events each."""
    counts = np.arange(1, 201)
    keys = [f"k{i}" for i, count in enumerate(counts.tolist()) for _ in range(count)]
    (groups,) = segments(judged(np.full(len(keys), START_MS), keys))
    assert groups.name == "activity of the key"
    sizes = np.bincount(groups.codes)
    assert len(sizes) == 4
    assert sizes.sum() == len(keys)
    assert sizes.min() > 0.2 * len(keys)
    assert groups.names[0] == "keys with 1 to 100 events"
    assert named(groups)[0] == groups.names[0]
    assert named(groups)[-1] == groups.names[-1] == "keys with 175 to 200 events"
