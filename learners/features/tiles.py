"""Windows in tiles: a span is cut into equal parts, and of a part only its aggregates are kept. Bounded memory a key.

Tile ``number`` of a span holds what falls into ``[number * width, (number + 1) * width)``. A window that ends at a time is
that time's tile and the ones before it, as many as the span has. So it holds every entry of the last ``span - width``, none
older than ``span``, and no more than one tile's worth is in doubt. (Tiles, or panes: Li et al., 2005, "No pane, no gain".)
"""

import numpy as np
from numpy.typing import NDArray

from learners.features.keyed import LOW, NEVER, Columns
from learners.features.ring import COUNT, LAST, MAX, MEAN, MIN, SUM, TIME_SINCE
from learners.jit import uncounted


@uncounted
def tile_of(time_ms: int, width_ms: int) -> int:
    """The number of the tile that holds a time."""
    return time_ms // width_ms


@uncounted
def _cell(number: int, first: int, cells: int) -> int:
    return first + number % cells


@uncounted
def turn(c: Columns, slot: int, span: int, number: int, first: int, cells: int) -> None:
    """Let a tile be the newest: those that it takes the place of are emptied."""
    newest = c.slots[slot, LOW + span]
    if number <= newest:
        return
    for empty in range(max(newest + 1, number - cells + 1), number + 1):
        at = _cell(empty, first, cells)
        c.tiles[slot, at, :3] = 0.0
        c.tiles[slot, at, 3:] = np.nan
    c.slots[slot, LOW + span] = number


@uncounted
def put(
    c: Columns, slot: int, time_ms: int, value: float, widths: NDArray[np.int64], firsts: NDArray[np.int64], sign: float
) -> None:  # fmt: skip
    """Add an entry to its tile of each span (``sign`` 1), or take one away again (-1); nothing where the tile is gone."""
    if sign > 0 and not c.newest[slot, 0] > time_ms:
        c.newest[slot, 0], c.newest[slot, 1] = time_ms, value
    for span in range(widths.size):
        cells = firsts[span + 1] - firsts[span]
        number = tile_of(time_ms, widths[span])
        turn(c, slot, span, number, firsts[span], cells)
        if number <= c.slots[slot, LOW + span] - cells:
            continue
        own = c.tiles[slot, _cell(number, firsts[span], cells)]
        own[0] += sign
        own[1] += sign * value
        own[2] += sign * value * value
        if sign > 0 and not own[3] <= value:
            own[3] = value
        if sign > 0 and not own[4] >= value:
            own[4] = value


@uncounted
def correct(
    c: Columns, slot: int, time_ms: int, value: float, previous: float, widths: NDArray[np.int64], firsts: NDArray[np.int64]
) -> None:  # fmt: skip
    """A label that takes the place of another, of which nobody knows when it came: the difference counts from here on."""
    for span in range(widths.size):
        cells = firsts[span + 1] - firsts[span]
        number = tile_of(time_ms, widths[span])
        turn(c, slot, span, number, firsts[span], cells)
        own = c.tiles[slot, _cell(number, firsts[span], cells)]
        own[1] += value - previous
        own[2] += value * value - previous * previous


@uncounted
def read_tiles(
    c: Columns, slot: int, time_ms: int, spans: NDArray[np.int64], widths: NDArray[np.int64], firsts: NDArray[np.int64],
    computes: NDArray[np.int64], out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Windows that end at a time, into ``out`` ``(spans, computes)``."""
    for span in range(spans.size):
        cells, newest = firsts[span + 1] - firsts[span], c.slots[slot, LOW + span]
        last = tile_of(time_ms, widths[span])
        count, total, squares, least, largest = 0.0, 0.0, 0.0, np.nan, np.nan
        if newest != NEVER:
            for number in range(last - spans[span] // widths[span] + 1, min(last, newest) + 1):
                if number > newest - cells:
                    own = c.tiles[slot, _cell(number, firsts[span], cells)]
                    count += own[0]
                    total += own[1]
                    squares += own[2]
                    if not least <= own[3]:
                        least = own[3] if own[3] == own[3] else least
                    if not largest >= own[4]:
                        largest = own[4] if own[4] == own[4] else largest
        for place in range(computes.size):
            what = computes[place]
            if what == COUNT:
                out[span, place] = count
            elif what == SUM:
                out[span, place] = total
            elif what == MEAN:
                out[span, place] = total / count if count > 0 else np.nan
            elif what == MIN:
                out[span, place] = least
            elif what == MAX:
                out[span, place] = largest
            elif what not in (LAST, TIME_SINCE):
                variance = (squares - total * total / count) / (count - 1) if count > 1 else np.nan
                out[span, place] = np.sqrt(max(variance, 0.0)) if count > 1 else np.nan


@uncounted
def read_newest_tile(
    c: Columns, slot: int, time_ms: int, spans: NDArray[np.int64], computes: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """``last`` and ``time_since`` (seconds) of the newest entry, where it is within the span and not after the time."""
    came, value = c.newest[slot, 0], c.newest[slot, 1]
    for span in range(spans.size):
        there = time_ms - spans[span] < came <= time_ms
        for place in range(computes.size):
            if computes[place] == LAST:
                out[span, place] = value if there else np.nan
            elif computes[place] == TIME_SINCE:
                out[span, place] = (time_ms - came) / 1000.0 if there else np.nan
