"""Every entry of the spans that are asked for, in the order of time: windows that are exact.

A key's entries stand in a ring that doubles when it is full. Of each span an index says where it begins; sums move with
it, kept as unevaluated sums of two numbers (Dekker, 1971; error-free transformations after Knuth), so that what has left
leaves nothing behind: a sum of squares minus a squared sum is right to the last digits. Counts, sums, means and deviations
cost the same however many entries there are; ``min``, ``max`` and ``distinct`` look at each entry of the span.
"""

from math import frexp, sqrt

import numpy as np
from numpy.typing import NDArray

from learners.features.keyed import CAPACITY, CURSOR_MS, HEAD, HIGH, LOW, SIZE, START, Columns, can_hold, hold, release
from learners.jit import uncounted

CELLS_MIN = 4
SUMS = 4
"""A sum and one of squares, each as two numbers."""
HUGE = 2.0**40
SPREAD = 0x1E3779B97F4A7C15
"""A large odd number: multiplied with it, numbers that are near each other part (Knuth's multiplicative hashing)."""
COUNT, SUM, MEAN, STD, MIN, MAX, LAST, TIME_SINCE, DISTINCT = range(9)


@uncounted
def cell(c: Columns, slot: int, entry: int) -> int:
    """Where an entry stands in the pool."""
    return int(c.slots[slot, START] + ((c.slots[slot, HEAD] + entry) & (c.slots[slot, CAPACITY] - 1)))


@uncounted
def _add(sums: NDArray[np.float64], at: int, value: float, below: float) -> None:
    """``sums[at] + sums[at + 1] += value + below``."""
    high = sums[at] + value
    part = high - sums[at]
    low = sums[at + 1] + ((sums[at] - (high - part)) + (value - part)) + below
    sums[at] = high + low
    sums[at + 1] = low - (sums[at] - high)


@uncounted
def _product(a: float, b: float) -> tuple[float, float]:
    """``a * b`` as two numbers (Veltkamp's split, Dekker's product)."""
    product = a * b
    split = a * 134217729.0
    a_high = split - (split - a)
    split = b * 134217729.0
    b_high = split - (split - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@uncounted
def count_in(sums: NDArray[np.float64], value: float, sign: float) -> None:
    """Add a value (``sign`` 1) or take it away (-1)."""
    square, below = _product(value, value)
    _add(sums, 0, sign * value, 0.0)
    _add(sums, 2, sign * square, sign * below)


@uncounted
def _count_out(c: Columns, slot: int, span: int, value: float) -> None:
    """A value has left a span. One that was huge beside what stays leaves its rounding: then what stays is summed anew."""
    sums = c.sums[slot, span]
    count_in(sums, value, -1.0)
    if value * value > HUGE * sums[2]:
        sums[:] = 0.0
        for entry in range(c.slots[slot, LOW + span], c.slots[slot, HIGH]):
            count_in(sums, c.value[cell(c, slot, entry)], 1.0)


@uncounted
def deviation(sums: NDArray[np.float64], count: int) -> float:
    """Of a sample: ``sqrt((sum of squares - sum² / n) / (n - 1))``."""
    if count < 2:
        return np.nan
    high, low = _product(sums[0], sums[0])
    low += 2.0 * sums[0] * sums[1]
    quotient = high / count
    back, rest = _product(quotient, float(count))
    low = ((high - back) - rest + low) / count
    return sqrt(max((sums[2] - quotient) + (sums[3] - low), 0.0) / (count - 1))


@uncounted
def advance(c: Columns, slot: int, time_ms: int, spans: NDArray[np.int64], summed: bool) -> None:
    """Let windows end at a time that is not before the cursor."""
    c.slots[slot, CURSOR_MS] = time_ms
    while c.slots[slot, HIGH] < c.slots[slot, SIZE]:
        at = cell(c, slot, c.slots[slot, HIGH])
        if c.time_ms[at] > time_ms:
            break
        c.slots[slot, HIGH] += 1
        if summed:
            for span in range(spans.size):
                count_in(c.sums[slot, span], c.value[at], 1.0)
    for span in range(spans.size):
        limit = time_ms - spans[span]
        while c.slots[slot, LOW + span] < c.slots[slot, HIGH]:
            at = cell(c, slot, c.slots[slot, LOW + span])
            if c.time_ms[at] > limit:
                break
            c.slots[slot, LOW + span] += 1
            if summed:
                _count_out(c, slot, span, c.value[at])


@uncounted
def forget(c: Columns, slot: int, before_ms: int) -> None:
    """Let go entries that have left every span and are not after a time."""
    while c.slots[slot, SIZE] and c.time_ms[c.slots[slot, START] + c.slots[slot, HEAD]] <= before_ms:
        for span in range(LOW, c.slots.shape[1]):
            if c.slots[slot, span] == 0:
                return
        c.slots[slot, HEAD] = (c.slots[slot, HEAD] + 1) & (c.slots[slot, CAPACITY] - 1)
        c.slots[slot, SIZE] -= 1
        c.slots[slot, HIGH] -= 1
        for span in range(LOW, c.slots.shape[1]):
            c.slots[slot, span] -= 1


@uncounted
def lacks_room(c: Columns, slot: int) -> bool:
    """Whether the pool must grow before one more entry can come."""
    return c.slots[slot, SIZE] == c.slots[slot, CAPACITY] and not can_hold(
        c, max(2 * c.slots[slot, CAPACITY], CELLS_MIN)
    )


@uncounted
def insert(
    c: Columns, slot: int, time_ms: int, value: float, own_ms: int, spans: NDArray[np.int64], summed: bool
) -> None:
    """One more entry, behind those of its time. ``lacks_room`` has said no."""
    if c.slots[slot, SIZE] == c.slots[slot, CAPACITY]:
        cells = max(2 * c.slots[slot, CAPACITY], CELLS_MIN)
        start = hold(c, cells)
        for entry in range(c.slots[slot, SIZE]):
            at = cell(c, slot, entry)
            c.time_ms[start + entry], c.value[start + entry] = c.time_ms[at], c.value[at]
            if c.own_ms.size:
                c.own_ms[start + entry] = c.own_ms[at]
        if c.slots[slot, CAPACITY]:
            release(c, c.slots[slot, START], c.slots[slot, CAPACITY])
        c.slots[slot, START], c.slots[slot, CAPACITY], c.slots[slot, HEAD] = start, cells, 0
    entry = c.slots[slot, SIZE]
    c.slots[slot, SIZE] += 1
    while entry > 0:
        below = cell(c, slot, entry - 1)
        if c.time_ms[below] <= time_ms:
            break
        at = cell(c, slot, entry)
        c.time_ms[at], c.value[at] = c.time_ms[below], c.value[below]
        if c.own_ms.size:
            c.own_ms[at] = c.own_ms[below]
        entry -= 1
    at = cell(c, slot, entry)
    c.time_ms[at], c.value[at] = time_ms, value
    if c.own_ms.size:
        c.own_ms[at] = own_ms
    if time_ms <= c.slots[slot, CURSOR_MS]:
        c.slots[slot, HIGH] += 1
        for span in range(spans.size):
            if time_ms <= c.slots[slot, CURSOR_MS] - spans[span]:
                c.slots[slot, LOW + span] += 1
            elif summed:
                count_in(c.sums[slot, span], value, 1.0)


@uncounted
def take_back(c: Columns, slot: int, own_ms: int, value: float, spans: NDArray[np.int64], summed: bool) -> None:
    """Remove the newest label of an event's own time and value, if it is still there."""
    entry = c.slots[slot, SIZE] - 1
    while entry >= 0:
        at = cell(c, slot, entry)
        if c.own_ms[at] == own_ms and c.value[at] == value:
            break
        entry -= 1
    if entry < 0:
        return
    c.slots[slot, SIZE] -= 1
    for later in range(entry, c.slots[slot, SIZE]):
        at, above = cell(c, slot, later), cell(c, slot, later + 1)
        c.time_ms[at], c.value[at], c.own_ms[at] = c.time_ms[above], c.value[above], c.own_ms[above]
    if entry < c.slots[slot, HIGH]:
        c.slots[slot, HIGH] -= 1
        for span in range(spans.size):
            if entry < c.slots[slot, LOW + span]:
                c.slots[slot, LOW + span] -= 1
            elif summed:
                _count_out(c, slot, span, value)


@uncounted
def behind(c: Columns, slot: int, time_ms: int) -> int:
    """The first entry after a time."""
    low, high = 0, c.slots[slot, SIZE]
    while low < high:
        middle = (low + high) // 2
        if c.time_ms[cell(c, slot, middle)] <= time_ms:
            low = middle + 1
        else:
            high = middle
    return low


@uncounted
def scratch_size(c: Columns, slot: int) -> int:
    """Numbers that ``read`` needs room for when it counts distinct values, after one more entry."""
    return SUMS + 8 * max(int(c.slots[slot, CAPACITY]), CELLS_MIN)


@uncounted
def _distinct(c: Columns, slot: int, start: int, stop: int, table: NDArray[np.float64]) -> int:
    """How many different values there are; ``table`` becomes one of hashes, and NaN is an empty cell."""
    cells = 4
    while cells < 2 * (stop - start):
        cells *= 2
    for at in range(cells):
        table[at] = np.nan
    count = 0
    for entry in range(start, stop):
        value = c.value[cell(c, slot, entry)] + 0.0  # there is one zero
        mantissa, power = frexp(value)
        at = ((int(mantissa * 2.0**53) + power) * SPREAD >> 20) & (cells - 1)
        while not np.isnan(table[at]) and table[at] != value:
            at = (at + 1) & (cells - 1)
        if np.isnan(table[at]):
            table[at] = value
            count += 1
    return count


@uncounted
def read(
    c: Columns, slot: int, time_ms: int, spans: NDArray[np.int64], computes: NDArray[np.int64], summed: bool,
    out: NDArray[np.float64], scratch: NDArray[np.float64],
) -> None:  # fmt: skip
    """Windows that end at a time, into ``out`` ``(spans, computes)``; ``last`` and ``time_since`` are not touched.

    From the indices where the time is the cursor's; a time before it is looked up. ``scratch`` has room for SUMS, where
    distinct values are counted ``scratch_size``.
    """
    is_now = time_ms == c.slots[slot, CURSOR_MS]
    stop = c.slots[slot, HIGH] if is_now else behind(c, slot, time_ms)
    own = scratch[:SUMS]
    for span in range(spans.size):
        start = c.slots[slot, LOW + span] if is_now else behind(c, slot, time_ms - spans[span])
        count = stop - start
        if summed and is_now:
            for part in range(SUMS):
                own[part] = c.sums[slot, span, part]
        elif summed:
            own[:] = 0.0
            for entry in range(start, stop):
                count_in(own, c.value[cell(c, slot, entry)], 1.0)
        for place in range(computes.size):
            what = computes[place]
            if what == COUNT:
                out[span, place] = count
            elif what == SUM:
                out[span, place] = own[0] if count else 0.0
            elif what == MEAN:
                out[span, place] = own[0] / count if count else np.nan
            elif what == STD:
                out[span, place] = deviation(own, count)
            elif what == DISTINCT:
                out[span, place] = _distinct(c, slot, start, stop, scratch[SUMS:])
            elif what in (MIN, MAX):
                found = np.nan
                for entry in range(start, stop):
                    value = c.value[cell(c, slot, entry)]
                    if entry == start or (value < found if what == MIN else value > found):
                        found = value
                out[span, place] = found


@uncounted
def read_newest(
    c: Columns, slot: int, time_ms: int, spans: NDArray[np.int64], computes: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """``last`` and ``time_since`` (seconds) of the newest entry that is not after a time, where it is within the span."""
    entry = behind(c, slot, time_ms) - 1
    at = cell(c, slot, entry) if entry >= 0 else 0
    for span in range(spans.size):
        there = entry >= 0 and c.time_ms[at] > time_ms - spans[span]
        for place in range(computes.size):
            if computes[place] == LAST:
                out[span, place] = c.value[at] if there else np.nan
            elif computes[place] == TIME_SINCE:
                out[span, place] = (time_ms - c.time_ms[at]) / 1000.0 if there else np.nan
