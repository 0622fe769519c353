"""Windows over the whole of the fraud data equal a second, independent computation from the table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.windows_reference import reduced, slices
from learners.base import EVENT, LABEL, Program
from learners.features.windows import COMPUTES, Windows

DATA = Path(__file__).parents[2].parent / "shared/data/fraud"
DAY_MS = 86_400_000
OVER = {f"{days}d": days * DAY_MS for days in (1, 7, 30)}
DELAY_MS = 7 * DAY_MS
CUT = 50_000

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/fraud, which a user's machine has not")


class Stream:
    """The three months: events, each label seven days after its event and before an event of that very time."""

    def __init__(self) -> None:
        self.table = pd.concat([pd.read_csv(file) for file in sorted(DATA.glob("*.csv.gz"))], ignore_index=True)
        self.times_ms = pd.to_datetime(self.table.TX_DATETIME).to_numpy().astype("datetime64[ms]").astype(np.int64)
        self.labels = self.table.TX_FRAUD.to_numpy(np.float64)

    def operations(self) -> tuple[np.ndarray, ...]:
        """Kind, event, stream time."""
        count = np.arange(len(self.times_ms))
        due = self.times_ms + DELAY_MS
        known = np.searchsorted(self.times_ms, due, side="left")  # the event before which it is known
        kinds = np.concatenate([np.zeros(len(count), int), np.ones(len(count), int)])
        order = np.lexsort((1 - kinds, np.concatenate([count, known])))
        order = order[np.concatenate([count, known])[order] < len(count)]
        events = np.concatenate([count, count])[order]
        now = self.times_ms[np.concatenate([count, known])[order]]
        return kinds[order], events, now


class Rows:
    """Some events of the stream as rows."""

    def __init__(self, stream: Stream, events: np.ndarray) -> None:
        self._stream, self._events = stream, events

    def times_ms(self) -> np.ndarray:
        return self._stream.times_ms[self._events]

    def column(self, name: str) -> list[object]:
        return self._stream.table[name].to_numpy()[self._events].tolist()


def run(stream: Stream, stage: Windows) -> np.ndarray:
    """What every event sees."""
    kinds, events, now = stream.operations()
    seen = []
    for start in range(0, len(kinds), CUT):
        kind, event, time_ms = (column[start : start + CUT] for column in (kinds, events, now))
        new = event[kind == EVENT]
        old = np.setdiff1d(event[kind == LABEL], new)
        shown = np.concatenate([new, old])
        row = pd.Series(np.arange(len(shown)), index=shown)[event].to_numpy(np.int32)
        target = np.where(kind == LABEL, stream.labels[event], np.nan)
        unknown = np.full(len(kind), np.nan)
        program = Program(kind.astype(np.uint8), row, time_ms, target, unknown, np.ones(len(kind)), ())
        seen.append(stage.run(program, Rows(stream, shown)))
    return np.concatenate(seen)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream()


@pytest.mark.parametrize(("by", "present"), [("CUSTOMER_ID", True), ("TERMINAL_ID", False)])
def test_windows_of_amounts(stream: Stream, by: str, present: bool) -> None:
    """863,006 events, every aggregate over 1, 7 and 30 days, to 1e-9."""
    got = run(stream, Windows([by], "TX_AMOUNT", COMPUTES, OVER, present=present))
    amounts, keys = stream.table.TX_AMOUNT.to_numpy(), stream.table[by].to_numpy()
    for span, (_, span_ms) in enumerate(OVER.items()):
        all_of_it = slices(stream.times_ms, keys, span_ms, present=present)
        before = slices(stream.times_ms, keys, span_ms, present=False)
        for place, what in enumerate(COMPUTES):
            windows = before if what in ("last", "time_since") else all_of_it
            want = reduced(windows, amounts, what, ddof=1)
            np.testing.assert_allclose(got[:, span * len(COMPUTES) + place], want, 1e-9, 1e-9)


def test_windows_of_labels(stream: Stream) -> None:
    """A terminal's frauds among the transactions of 1, 7 and 30 days that ended seven days ago, as the handbook counts."""
    got = run(stream, Windows(["TERMINAL_ID"], None, ["count", "mean"], OVER, lag_ms=DELAY_MS))
    keys = stream.table.TERMINAL_ID.to_numpy()
    for span, span_ms in enumerate(OVER.values()):
        windows = slices(stream.times_ms, keys, span_ms, lag_ms=DELAY_MS)
        for place, what in enumerate(("count", "mean")):
            want = reduced(windows, stream.labels, what)
            np.testing.assert_allclose(got[:, 2 * span + place], want, 1e-9, 1e-9)
