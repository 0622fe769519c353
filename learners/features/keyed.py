"""State by key in compiled arrays: who is alive, what changed since the last checkpoint, what has expired.

A key has a *slot*, an index into columns. Slots are grouped into *generations* by when their key was last touched: the
newest generation is open, and a key that is touched moves there. So a generation that is closed only loses keys, its
chunk in a checkpoint never changes, and a checkpoint costs what was touched since the last one, not what there is (the
log-structured store of Rosenblum and Ousterhout, 1992, with keys for segments). A generation of which more than half
has moved on is cleaned: the rest moves, too. Whole generations expire by stream time.

Everything happens at a record's place in the log, so where a batch is cut changes nothing. Compiled by Numba when
windows.py imports it; read that next, ring.py and tiles.py for what is kept of a key.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.jit import uncounted

NOBODY = -1
"""No slot, no generation."""
CURRENT, FIRST, BASE, ALIVE, TOP, DROPPED = range(6)
"""Places in ``Columns.places``: open generation, oldest that may hold keys, generation of the first cell of the generations'
columns, keys in all, first free cell of the pool, slots in ``dropped``."""
GENERATION, POSITION, AFTER, BEFORE, TOUCHED_MS, START, CAPACITY, HEAD, SIZE, HIGH, CURSOR_MS, LOW = range(12)
"""Places in ``Columns.slots``.

GENERATION, POSITION: of the key, and its place there in the order of coming. AFTER, BEFORE: its neighbours among the live.
START, CAPACITY, HEAD, SIZE: its ring of entries (ring.py): first cell in the pool, cells, first entry, entries. CURSOR_MS:
the time as of which LOW, HIGH and ``sums`` stand: of each span the first entry within, and the first behind all. In tiles,
LOW: of each span the newest tile's number.
"""
GENERATION_MIN, GENERATION_MAX, GENERATION_SHARE = 64, 4096, 128
"""Keys in a generation: a share of those alive, within limits."""
GENERATIONS_AHEAD = 3 * (GENERATION_MAX // GENERATION_MIN)
"""Free cells of the generations' columns before an operation: more than any one operation opens."""
SPREAD = 4
"""Numbers of generations from the oldest to the open one, for each that is needed: then the oldest is cleaned."""
NEVER = -(2**62)


class Columns(NamedTuple):
    """All of a stage's keyed state. First slots' columns, then the pool of entries, then generations'."""

    slots: NDArray[np.int64]
    """``(slots, LOW + spans)``: all whole numbers of a key side by side, for each is where the processor must look anew."""
    sums: NDArray[np.float64]
    """``(slots, spans, 4)``: sum and sum of squares of what is within, each as an unevaluated sum of two numbers."""
    tiles: NDArray[np.float64]
    """``(slots, cells, 5)``: count, sum, sum of squares, least, largest."""
    newest: NDArray[np.float64]
    """``(slots, 2)``: where there are tiles, the time and the value of the newest entry."""
    dropped: NDArray[np.int32]
    is_dropped: NDArray[np.bool_]
    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    own_ms: NDArray[np.int64]
    """Of a label, its event's own time, also where that is ahead of stream time: by it a correction finds the entry."""
    free: NDArray[np.int64]
    """By power of two, the first free ring of that many cells; each names the next in ``time_ms``."""
    made: NDArray[np.int64]
    """Of a generation: keys that came, keys that are left, when its last came, first and last slot, keys it may take."""
    live: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    room: NDArray[np.int64]
    places: NDArray[np.int64]


@uncounted
def open_generation(c: Columns) -> None:
    """The next generation is the open one."""
    c.places[CURRENT] += 1
    at = c.places[CURRENT] - c.places[BASE]
    c.made[at] = c.live[at] = 0
    c.last_ms[at] = NEVER
    c.first[at] = c.last[at] = NOBODY
    c.room[at] = min(max(c.places[ALIVE] // GENERATION_SHARE, GENERATION_MIN), GENERATION_MAX)


@uncounted
def _enter(c: Columns, slot: int) -> None:
    at = c.places[CURRENT] - c.places[BASE]
    if c.made[at] >= c.room[at]:
        open_generation(c)
        at += 1
    last = c.last[at]
    c.slots[slot, GENERATION] = at + c.places[BASE]
    c.slots[slot, POSITION] = c.made[at]
    c.slots[slot, BEFORE], c.slots[slot, AFTER] = last, NOBODY
    if last == NOBODY:
        c.first[at] = slot
    else:
        c.slots[last, AFTER] = slot
    c.last[at] = slot
    c.made[at] += 1
    c.live[at] += 1
    c.last_ms[at] = max(c.last_ms[at], c.slots[slot, TOUCHED_MS])


@uncounted
def _leave(c: Columns, slot: int) -> None:
    at = c.slots[slot, GENERATION] - c.places[BASE]
    before, after = c.slots[slot, BEFORE], c.slots[slot, AFTER]
    if before == NOBODY:
        c.first[at] = after
    else:
        c.slots[before, AFTER] = after
    if after == NOBODY:
        c.last[at] = before
    else:
        c.slots[after, BEFORE] = before
    c.live[at] -= 1
    c.slots[slot, GENERATION] = NOBODY


@uncounted
def _drop(c: Columns, slot: int) -> None:
    """The key has expired: nothing of it is kept."""
    _leave(c, slot)
    c.places[ALIVE] -= 1
    if c.slots[slot, CAPACITY]:
        release(c, c.slots[slot, START], c.slots[slot, CAPACITY])
    clear(c, slot, slot + 1)
    if not c.is_dropped[slot]:
        c.is_dropped[slot] = True
        c.dropped[c.places[DROPPED]] = slot
        c.places[DROPPED] += 1


@uncounted
def clear(c: Columns, start: int, stop: int) -> None:
    """Make some slots empty."""
    c.slots[start:stop, :CURSOR_MS] = 0
    c.slots[start:stop, GENERATION] = NOBODY
    c.slots[start:stop, CURSOR_MS] = NEVER
    c.slots[start:stop, LOW:] = NEVER if c.tiles.size else 0
    c.tiles[start:stop] = 0.0
    c.newest[start:stop] = np.nan
    c.sums[start:stop] = 0.0


@uncounted
def touch(c: Columns, slot: int, now: int, horizon_ms: int) -> None:
    """The key changed: it belongs to the open generation. The one that it leaves may be cleaned."""
    old = c.slots[slot, GENERATION]
    c.slots[slot, TOUCHED_MS] = now
    if old == c.places[CURRENT]:
        c.last_ms[old - c.places[BASE]] = now
        return
    if old == NOBODY:
        c.places[ALIVE] += 1
    else:
        _leave(c, slot)
    _enter(c, slot)
    if old == NOBODY:
        return
    at = old - c.places[BASE]
    if 2 * c.live[at] < c.made[at]:
        _clean(c, at, now - horizon_ms)
    opened, oldest = c.places[CURRENT] - c.places[FIRST], c.places[FIRST] - c.places[BASE]
    if opened > SPREAD * (c.places[ALIVE] // c.room[oldest] + GENERATION_MIN):
        _clean(c, oldest, now - horizon_ms)
        c.places[FIRST] += 1


@uncounted
def _clean(c: Columns, at: int, before_ms: int) -> None:
    """Who is left in a generation moves to the open one; who was last touched at a time or before has expired."""
    slot = c.first[at]
    while slot != NOBODY:
        if c.slots[slot, TOUCHED_MS] <= before_ms:
            _drop(c, slot)
        else:
            _leave(c, slot)
            _enter(c, slot)
        slot = c.first[at]


@uncounted
def expire(c: Columns, now: int, horizon_ms: int) -> None:
    """Drop generations that were last touched ``horizon_ms`` ago or before."""
    at = c.places[FIRST] - c.places[BASE]
    while c.made[at] and not (c.live[at] and c.last_ms[at] > now - horizon_ms):
        if c.places[FIRST] == c.places[CURRENT]:
            open_generation(c)
        slot = c.first[at]
        while slot != NOBODY:
            _drop(c, slot)
            slot = c.first[at]
        c.places[FIRST] += 1
        at += 1


@uncounted
def can_hold(c: Columns, cells: int) -> bool:
    """Whether the pool has a ring of so many cells (a power of two) left."""
    return bool(c.free[_power(cells)] != NOBODY or c.places[TOP] + cells <= c.time_ms.size)


@uncounted
def hold(c: Columns, cells: int) -> int:
    """A ring of so many cells; ``can_hold`` has said that there is one."""
    power = _power(cells)
    start = c.free[power]
    if start == NOBODY:
        start = c.places[TOP]
        c.places[TOP] += cells
    else:
        c.free[power] = c.time_ms[start]
    return int(start)


@uncounted
def release(c: Columns, start: int, cells: int) -> None:
    """Give a ring back."""
    power = _power(cells)
    c.time_ms[start] = c.free[power]
    c.free[power] = start


@uncounted
def _power(cells: int) -> int:
    power = 0
    while cells > 1:
        cells >>= 1
        power += 1
    return power


@uncounted
def living(c: Columns, bits: NDArray[np.uint8], begins: NDArray[np.int64]) -> None:
    """Mark in ``bits`` which positions are live; a generation's begin at ``begins[generation - FIRST]``."""
    for slot in range(len(c.slots)):
        if c.slots[slot, GENERATION] != NOBODY:
            bits[begins[c.slots[slot, GENERATION] - c.places[FIRST]] + c.slots[slot, POSITION]] = 1
