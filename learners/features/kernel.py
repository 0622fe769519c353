"""The compiled fold of windows: operations in the order of the log, entries that come and go, and how they are stored.

One function a batch; keyed.py, ring.py and tiles.py are what it calls. What the numbers mean is in windows.py.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT
from learners.features import keyed, ring, tiles
from learners.features.keyed import (
    AFTER,
    BASE,
    BEFORE,
    CAPACITY,
    CURRENT,
    CURSOR_MS,
    GENERATION,
    HEAD,
    NOBODY,
    POSITION,
    SIZE,
    START,
    Columns,
)
from learners.jit import compiled, uncounted

FIELDS, ARRIVALS, OWN_TIMES = range(3)
"""What is counted: fields of events, labels when they come, labels at their events' times."""


class Settings(NamedTuple):
    """Of a stage. Times in milliseconds."""

    kind: int
    lag_ms: int
    late_ms: int
    horizon_ms: int
    """After this nothing of an entry can be seen: the longest span, the lag and ``late_ms``."""
    present: bool
    tiled: bool
    summed: bool
    """Whether sums are kept."""
    newest: bool
    """Whether the newest entry is asked for."""
    distinct: bool
    """Whether distinct values are counted."""


@uncounted
def fold(
    c: Columns, settings: Settings, spans: NDArray[np.int64], widths: NDArray[np.int64], firsts: NDArray[np.int64],
    computes: NDArray[np.int64], op: NDArray[np.uint8], rows: NDArray[np.int32], now_ms: NDArray[np.int64],
    target: NDArray[np.float64], previous: NDArray[np.float64], times_ms: NDArray[np.int64], slots: NDArray[np.int64],
    values: NDArray[np.float64], out: NDArray[np.float64], scratch: NDArray[np.float64], start: int,
) -> int:  # fmt: skip
    """Fold operations from ``start`` on. How many are done: fewer than there are when there is no room for the next."""
    kind, horizon = settings.kind, settings.horizon_ms
    present, tiled, summed = settings.present, settings.tiled, settings.summed
    for at in range(start, op.size):
        if c.places[CURRENT] - c.places[BASE] + keyed.GENERATIONS_AHEAD >= c.made.size:
            return at
        row, now = rows[at], now_ms[at]
        slot, own = slots[row], min(times_ms[row], now)
        keyed.expire(c, now, horizon)
        if slot == NOBODY or (op[at] == EVENT and kind != FIELDS and c.slots[slot, GENERATION] == NOBODY):
            continue
        if not tiled and ring.lacks_room(c, slot):
            return at
        if settings.distinct and scratch.size < ring.scratch_size(c, slot):
            return at
        keyed.touch(c, slot, now, horizon)
        seen = (own if op[at] == EVENT else now - settings.late_ms) - settings.lag_ms
        if not tiled and seen >= c.slots[slot, CURSOR_MS]:
            ring.advance(c, slot, seen, spans, summed)
            ring.forget(c, slot, now - horizon)
        if op[at] == EVENT:
            adds = kind == FIELDS and not np.isnan(values[row]) and own > now - horizon
            if tiled:
                if settings.newest:
                    tiles.read_newest_tile(c, slot, seen, spans, computes, out[row])
                if adds and present:
                    tiles.put(c, slot, own, values[row], widths, firsts, 1.0)
                tiles.read_tiles(c, slot, seen, spans, widths, firsts, computes, out[row])
                if adds and not present:
                    tiles.put(c, slot, own, values[row], widths, firsts, 1.0)
            else:
                if settings.newest:
                    ring.read_newest(c, slot, seen, spans, computes, out[row])
                if adds and present:
                    ring.insert(c, slot, own, values[row], own, spans, summed)
                ring.read(c, slot, seen, spans, computes, summed, out[row], scratch)
                if adds and not present:
                    ring.insert(c, slot, own, values[row], own, spans, summed)
            continue
        when = now if kind == ARRIVALS else own
        corrects = not np.isnan(previous[at])
        if tiled:
            if corrects and kind == ARRIVALS:
                tiles.correct(c, slot, when, target[at], previous[at], widths, firsts)
                continue
            if corrects:
                tiles.put(c, slot, when, previous[at], widths, firsts, -1.0)
            tiles.put(c, slot, when, target[at], widths, firsts, 1.0)
        else:
            if corrects:
                ring.take_back(c, slot, times_ms[row], previous[at], spans, summed)
            if when > now - horizon:
                ring.insert(c, slot, when, target[at], times_ms[row], spans, summed)
    return op.size


@compiled
def slots_in(c: Columns, at: int) -> NDArray[np.int64]:
    """A generation's, in order."""
    found = np.empty(c.live[at], np.int64)
    slot = c.first[at]
    for place in range(found.size):
        found[place] = slot
        slot = c.slots[slot, AFTER]
    return found


@compiled
def entries(c: Columns, slots: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All entries of the slots, one after the other."""
    count = 0
    for slot in slots:
        count += c.slots[slot, SIZE]
    times, values = np.empty(count, np.int64), np.empty(count, np.float64)
    own = np.empty(count if c.own_ms.size else 0, np.int64)
    place = 0
    for slot in slots:
        for entry in range(c.slots[slot, SIZE]):
            at = ring.cell(c, slot, entry)
            times[place], values[place] = c.time_ms[at], c.value[at]
            if own.size:
                own[place] = c.own_ms[at]
            place += 1
    return times, values, own


@uncounted
def restore_entries(
    c: Columns, slots: NDArray[np.int64], begins: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float64],
    own: NDArray[np.int64],
) -> None:  # fmt: skip
    for place in range(slots.size):
        slot, cells = slots[place], ring.CELLS_MIN
        if not c.slots[slot, SIZE]:
            continue
        while cells < c.slots[slot, SIZE]:
            cells *= 2
        c.slots[slot, START], c.slots[slot, CAPACITY], c.slots[slot, HEAD] = keyed.hold(c, cells), cells, 0
        for entry in range(c.slots[slot, SIZE]):
            at = c.slots[slot, START] + entry
            c.time_ms[at], c.value[at] = times[begins[place] + entry], values[begins[place] + entry]
            if c.own_ms.size:
                c.own_ms[at] = own[begins[place] + entry]


@uncounted
def restore_order(c: Columns, at: int, slots: NDArray[np.int64], positions: NDArray[np.int32]) -> None:
    last = NOBODY
    for place in range(slots.size):
        slot = slots[place]
        c.slots[slot, GENERATION], c.slots[slot, POSITION] = at + c.places[BASE], positions[place]
        c.slots[slot, BEFORE], c.slots[slot, AFTER] = last, NOBODY
        if last == NOBODY:
            c.first[at] = slot
        else:
            c.slots[last, AFTER] = slot
        last = slot
    c.last[at] = last
    c.live[at] = slots.size
    c.places[keyed.ALIVE] += slots.size
