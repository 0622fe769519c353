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

from learners.jit import compiled

NOBODY = -1
"""No slot, no generation."""
CURRENT, FIRST, BASE, ALIVE, TOP, DROPPED = range(6)
"""Places in ``Columns.places``: open generation, oldest that may hold keys, generation of the first cell of the generations'
columns, keys in all, first free cell of the pool, slots in ``dropped``."""
GENERATION_MIN, GENERATION_MAX, GENERATION_SHARE = 64, 4096, 128
"""Keys in a generation: a share of those alive, within limits."""
GENERATIONS_AHEAD = 3 * (GENERATION_MAX // GENERATION_MIN)
"""Free cells of the generations' columns before an operation: more than any one operation opens."""
SPREAD = 4
"""Numbers of generations from the oldest to the open one, for each that is needed: then the oldest is cleaned."""
NEVER = -(2**62)


class Columns(NamedTuple):
    """All of a stage's keyed state. First slots' columns, then the pool of entries, then generations'."""

    generation: NDArray[np.int64]
    position: NDArray[np.int32]
    """Of the key within its generation, in the order of coming."""
    after: NDArray[np.int32]
    before: NDArray[np.int32]
    """The generation's live slots, in the order of their positions."""
    touched_ms: NDArray[np.int64]
    start: NDArray[np.int64]
    """Rings of entries (ring.py): first cell in the pool, cells, first entry, entries."""
    capacity: NDArray[np.int32]
    head: NDArray[np.int32]
    size: NDArray[np.int32]
    cursor_ms: NDArray[np.int64]
    """The time as of which ``low``, ``high`` and ``sums`` stand."""
    high: NDArray[np.int32]
    low: NDArray[np.int32]
    """``(slots, spans)``: of each span the first entry within; ``high`` is the first behind all."""
    sums: NDArray[np.float64]
    """``(slots, spans, 4)``: sum and sum of squares of what is within, each as an unevaluated sum of two numbers."""
    tile: NDArray[np.int64]
    """``(slots, spans)``: number of the newest tile (tiles.py)."""
    tiles: NDArray[np.float64]
    """``(slots, cells, 5)``: count, sum, sum of squares, least, largest."""
    newest: NDArray[np.float64]
    """``(slots, 2)``: where there are tiles, the time and the value of the newest entry."""
    dropped: NDArray[np.int32]
    is_dropped: NDArray[np.bool_]
    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    own_ms: NDArray[np.int64]
    """Of an entry that counts when its label came, the event's own time."""
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


@compiled
def open_generation(c: Columns) -> None:
    """The next generation is the open one."""
    c.places[CURRENT] += 1
    at = c.places[CURRENT] - c.places[BASE]
    c.made[at] = c.live[at] = 0
    c.last_ms[at] = NEVER
    c.first[at] = c.last[at] = NOBODY
    c.room[at] = min(max(c.places[ALIVE] // GENERATION_SHARE, GENERATION_MIN), GENERATION_MAX)


@compiled
def _enter(c: Columns, slot: int) -> None:
    at = c.places[CURRENT] - c.places[BASE]
    if c.made[at] >= c.room[at]:
        open_generation(c)
        at += 1
    last = c.last[at]
    c.generation[slot] = at + c.places[BASE]
    c.position[slot] = c.made[at]
    c.before[slot], c.after[slot] = last, NOBODY
    if last == NOBODY:
        c.first[at] = slot
    else:
        c.after[last] = slot
    c.last[at] = slot
    c.made[at] += 1
    c.live[at] += 1
    c.last_ms[at] = max(c.last_ms[at], c.touched_ms[slot])


@compiled
def _leave(c: Columns, slot: int) -> None:
    at = c.generation[slot] - c.places[BASE]
    before, after = c.before[slot], c.after[slot]
    if before == NOBODY:
        c.first[at] = after
    else:
        c.after[before] = after
    if after == NOBODY:
        c.last[at] = before
    else:
        c.before[after] = before
    c.live[at] -= 1
    c.generation[slot] = NOBODY


@compiled
def _drop(c: Columns, slot: int) -> None:
    """The key has expired: nothing of it is kept."""
    _leave(c, slot)
    c.places[ALIVE] -= 1
    if c.capacity.size and c.capacity[slot]:
        release(c, c.start[slot], c.capacity[slot])
    clear(c, slot)
    if not c.is_dropped[slot]:
        c.is_dropped[slot] = True
        c.dropped[c.places[DROPPED]] = slot
        c.places[DROPPED] += 1


@compiled
def clear(c: Columns, slot: int) -> None:
    """An empty slot."""
    c.generation[slot] = NOBODY
    if c.capacity.size:
        c.capacity[slot] = c.head[slot] = c.size[slot] = c.high[slot] = 0
        c.cursor_ms[slot] = NEVER
        c.low[slot] = 0
        c.sums[slot] = 0.0
    if c.tile.size:
        c.tile[slot] = NEVER
        c.tiles[slot] = 0.0
        c.newest[slot] = np.nan


@compiled
def touch(c: Columns, slot: int, now: int, horizon_ms: int) -> None:
    """The key changed: it belongs to the open generation. The one that it leaves may be cleaned."""
    old = c.generation[slot]
    c.touched_ms[slot] = now
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


@compiled
def _clean(c: Columns, at: int, before_ms: int) -> None:
    """Who is left in a generation moves to the open one; who was last touched at a time or before has expired."""
    slot = c.first[at]
    while slot != NOBODY:
        if c.touched_ms[slot] <= before_ms:
            _drop(c, slot)
        else:
            _leave(c, slot)
            _enter(c, slot)
        slot = c.first[at]


@compiled
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


@compiled
def can_hold(c: Columns, cells: int) -> bool:
    """Whether the pool has a ring of so many cells (a power of two) left."""
    return bool(c.free[_power(cells)] != NOBODY or c.places[TOP] + cells <= c.time_ms.size)


@compiled
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


@compiled
def release(c: Columns, start: int, cells: int) -> None:
    """Give a ring back."""
    power = _power(cells)
    c.time_ms[start] = c.free[power]
    c.free[power] = start


@compiled
def _power(cells: int) -> int:
    power = 0
    while cells > 1:
        cells >>= 1
        power += 1
    return power


@compiled
def living(c: Columns, bits: NDArray[np.uint8], begins: NDArray[np.int64]) -> None:
    """Mark in ``bits`` which positions are live; a generation's begin at ``begins[generation - FIRST]``."""
    for slot in range(c.generation.size):
        if c.generation[slot] != NOBODY:
            bits[begins[c.generation[slot] - c.places[FIRST]] + c.position[slot]] = 1
