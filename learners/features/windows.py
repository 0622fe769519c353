"""Aggregates over the past of a key: count, sum, mean and more of a field or of labels, over sliding spans of event time.

An event at time ``t`` sees the entries of its key in ``(t - lag - span, t - lag]`` that came before it in the log; with
``present`` itself, too. ``t`` is the event's own time, or stream time where that is less. An event that comes late is
counted in its place in time, and sees what is still there: entries are kept for the longest span, the lag and ``late``.
Labels count from the moment at which they came, or with ``lag`` at their event's own time; one that corrects another takes
its place. Of keys the state is compact and expires by stream time (keyed.py); exact windows keep every entry (ring.py),
windows in tiles a bounded number of aggregates (tiles.py). The fold is compiled (kernel.py); read that next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from learners.base import EVENT, LABEL, Program, Rows
from learners.features import kernel, keyed, ring
from learners.features.kernel import ARRIVALS, FIELDS, OWN_TIMES, Settings
from learners.features.keyed import BASE, CURRENT, DROPPED, FIRST, NOBODY, TOP, Columns

Compute: TypeAlias = Literal["count", "sum", "mean", "std", "min", "max", "last", "time_since", "distinct"]
COMPUTES: tuple[Compute, ...] = ("count", "sum", "mean", "std", "min", "max", "last", "time_since", "distinct")
"""In the order of their numbers in ring.py."""
_NEWEST = {"last", "time_since"}
_SUMMED = {"sum", "mean", "std"}
_EMPTY = {"count": 0.0, "sum": 0.0, "distinct": 0.0}
_SLOTS, _CELLS = 64, 512
_NUMBERS = (keyed.TOUCHED_MS, keyed.SIZE, keyed.HIGH, keyed.CURSOR_MS)
"""Of a key's whole numbers those that a checkpoint holds, and what begins at LOW."""
_AGGREGATES = ("sums", "tiles", "newest")


class Windows:
    """A feature stage (``learners.features.base.FeatureStage``).

    Parameters
    ----------
    by : sequence of str
        The fields that make the key. An event without one of them sees nothing: all features are missing.
    of : str or None
        The field that is aggregated, None for the label, empty for the events themselves. Entries without it are not counted.
    compute : sequence of str
        Of ``COMPUTES``. ``std`` is of a sample; ``last`` and ``time_since`` (seconds) never see the present event.
    over_ms : mapping of str to int
        Spans: what each is called in the features' names, and its length in milliseconds.
    lag_ms : int, optional
        Of labels: counted at their events' own times, in windows that end so long before the present.
    late_ms : int
        How late an event may come and still see its spans whole.
    present : bool
        Whether an event's own value counts in what it sees.
    tiles : int, optional
        Keep aggregates of so many parts of each span, not entries: a window then misses up to one part at its older end.
    text : bool
        Whether the field is text: then only ``count``, ``distinct`` and ``time_since``. Texts are told apart by 53 bits of
        their hash.
    name : str, optional
        In place of what is aggregated in the features' names.

    Raises
    ------
    ValueError
        Computes, spans and the rest do not fit one another.
    """

    codec = "pickle"

    def __init__(
        self, by: Sequence[str], of: str | None, compute: Sequence[Compute], over_ms: Mapping[str, int], *,
        lag_ms: int | None = None, late_ms: int = 0, present: bool = True, tiles: int | None = None, text: bool = False,
        name: str | None = None,
    ) -> None:  # fmt: skip
        _check(of, compute, over_ms, lag_ms, tiles, text=text)
        self.by, self.of = tuple(by), of
        what = name or ("label" if of is None else of or "events")
        self.name = f"{what}_by_{'_'.join(by)}"
        self.names = tuple(f"{what}_{one}_{span}_by_{'_'.join(by)}" for span in over_ms for one in compute)
        self._text = text
        self._spans = np.array(list(over_ms.values()), np.int64)
        self._computes = np.array([COMPUTES.index(one) for one in compute], np.int64)
        lag = lag_ms or 0
        parts = tiles or 1
        self._widths = np.maximum(self._spans // parts, 1)
        cells = [int(parts + -(-(lag + late_ms) // width) + 1) for width in self._widths.tolist()] if tiles else []
        self._firsts = np.cumsum([0, *cells])
        self._settings = Settings(
            kind=FIELDS if of is not None else ARRIVALS if lag_ms is None else OWN_TIMES, lag_ms=lag, late_ms=late_ms,
            horizon_ms=int(self._spans.max()) + lag + late_ms, present=present, tiled=tiles is not None,
            summed=bool(_SUMMED & set(compute)), newest=bool(_NEWEST & set(compute)),
            distinct="distinct" in compute,
        )  # fmt: skip
        self._empty = np.array([_EMPTY.get(what, np.nan) for what in compute])
        self._begin()
        self._compile()

    def _compile(self) -> None:
        """Now, and not when the first batch or the first checkpoint waits for it."""
        nothing, none, bits = np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint8)
        self._fold(bits, none.astype(np.int32), none, nothing, nothing, none, none, nothing, np.empty((0, 1, 1)))
        kernel.restore_entries(self._columns, none, none, none, nothing, none)
        kernel.restore_order(self._columns, 0, none, none.astype(np.int32))
        kernel.entries(self._columns, kernel.slots_in(self._columns, 0))
        keyed.living(self._columns, bits, none)

    def _fold(self, *operations: Any, start: int = 0) -> int:
        asked = (self._columns, self._settings, self._spans, self._widths, self._firsts, self._computes)
        return kernel.fold(*asked, *operations, self._scratch, start)  # type: ignore[call-arg] # how many, mypy cannot tell

    def _begin(self) -> None:
        """Nothing is known."""
        self._slots: dict[str, int] = {}
        self._keys: list[str] = []
        self._free: list[int] = []
        self._stamps: dict[int, int] = {}
        self._stamped = 0
        self._columns = self._no_columns()
        self._scratch = np.empty(ring.SUMS)

    def _no_columns(self) -> Columns:
        settings, spans = self._settings, len(self._spans)
        rings, cells, tiled_slots = (0, 0, _SLOTS) if settings.tiled else (_SLOTS, _CELLS, 0)
        generations = keyed.GENERATIONS_AHEAD + 64

        def integers(size: int, fill: int = 0) -> NDArray[np.int64]:
            return np.full(size, fill, np.int64)

        def small(size: int, fill: int = 0) -> NDArray[np.int32]:
            return np.full(size, fill, np.int32)

        columns = Columns(
            slots=np.zeros((_SLOTS, keyed.LOW + spans), np.int64),
            sums=np.zeros((rings, spans, ring.SUMS if settings.summed else 0)),
            tiles=np.zeros((tiled_slots, int(self._firsts[-1]), 5)), newest=np.full((tiled_slots, 2), np.nan),
            dropped=small(_SLOTS), is_dropped=np.zeros(_SLOTS, np.bool_), time_ms=integers(cells), value=np.zeros(cells),
            own_ms=integers(cells if settings.kind != FIELDS else 0), free=integers(40, NOBODY), made=integers(generations),
            live=integers(generations), last_ms=integers(generations), first=small(generations), last=small(generations),
            room=integers(generations), places=integers(6),
        )  # fmt: skip
        keyed.clear(columns, 0, _SLOTS)
        columns.places[CURRENT] = -1
        keyed.open_generation(columns)
        return columns

    # --- the fold -------------------------------------------------------------------------------------------------

    def run(self, program: Program, rows: Rows) -> NDArray[np.float64]:
        """See ``FeatureStage``. ``(n_events, len(names))``."""
        kind = self._settings.kind
        events = int(np.count_nonzero(program.op == EVENT))
        wide = np.tile(self._empty, (events, len(self._spans), 1))
        keys = self._keys_of(rows)
        ops = np.flatnonzero(program.op == EVENT) if kind == FIELDS else np.arange(len(program))
        known = self._slots_of(keys, program, events)
        values = self._values_of(rows, events)
        operations = (
            program.op[ops], program.row[ops], program.time_ms[ops], program.target[ops], program.previous[ops],
            rows.times_ms(), known, values, wide,
        )  # fmt: skip
        done = self._fold(*operations)
        while done < len(ops):
            self._make_room()
            done = self._fold(*operations, start=done)
        self._let_go()
        for row in [row for row, key in enumerate(keys[:events]) if key is None]:
            wide[row] = np.nan
        return wide.reshape(events, len(self.names))

    def _keys_of(self, rows: Rows) -> Sequence[str | None]:
        """Of each row; of several fields, one text that no other values make."""
        columns = [rows.column(field) for field in self.by]
        if len(columns) == 1:
            return cast("Sequence[str | None]", columns[0])
        return [
            None if None in values else "".join(f"{len(cast('str', value))}:{value}" for value in values)
            for values in zip(*columns, strict=True)
        ]

    def _slots_of(self, keys: Sequence[str | None], program: Program, events: int) -> NDArray[np.int64]:
        """Where each row's key has its state. Keys that will get an entry get a slot."""
        find = self._slots.get
        if self._settings.kind == FIELDS:
            known = [find(key, NOBODY) for key in keys[:events]]  # type: ignore[arg-type] # None is nobody's key
            if NOBODY in known:
                known = [NOBODY if key is None else self._slot(key) for key in keys[:events]]
            return np.array(known, np.int64)
        for row in program.row[program.op == LABEL].tolist():
            if (key := keys[row]) is not None:
                self._slot(key)
        # an event of this batch may come before the first label of its key
        return np.array([find(key, NOBODY) for key in keys], np.int64)  # type: ignore[arg-type]

    def _slot(self, key: str) -> int:
        slot = self._slots.get(key)
        return self._new_slot(key) if slot is None else slot

    def _values_of(self, rows: Rows, events: int) -> NDArray[np.float64]:
        if self.of is None:
            return np.empty(0)
        if not self.of:
            return np.zeros(events)
        column = rows.column(self.of)[:events]
        if self._text:
            return np.array([np.nan if value is None else _number_of(str(value)) for value in column], np.float64)
        return np.array(column, np.float64)  # None becomes NaN

    def _new_slot(self, key: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
        else:
            slot = len(self._keys)
            self._keys.append(key)
            if slot >= len(self._columns.slots):
                self._grow_slots()
        self._slots[key] = slot
        return slot

    def _grow_slots(self) -> None:
        """Twice as many."""
        c, had = self._columns, len(self._columns.slots)
        grown = {}
        for name in ("slots", "dropped", "is_dropped", *_AGGREGATES):
            column = getattr(c, name)
            if len(column):
                grown[name] = np.concatenate([column, np.zeros_like(column)])
        self._columns = c._replace(**grown)
        keyed.clear(self._columns, had, 2 * had)

    def _make_room(self) -> None:
        """Scratch, pool or the generations' columns are too small for what comes: twice as much, without what is gone."""
        c = self._columns
        if self._settings.distinct:
            asked = ring.scratch_size(c, int(c.slots[:, keyed.CAPACITY].argmax()))
            if len(self._scratch) < asked:
                self._scratch = np.empty(2 * asked)
                return
        if c.places[CURRENT] - c.places[BASE] + keyed.GENERATIONS_AHEAD >= len(c.made):
            gone = int(c.places[FIRST] - c.places[BASE])
            size = max(int(2 * (c.places[CURRENT] - c.places[FIRST] + keyed.GENERATIONS_AHEAD)), len(c.made))
            for name in ("made", "live", "last_ms", "first", "last", "room"):
                column = getattr(c, name)
                moved = np.zeros(size, column.dtype)
                moved[: len(column) - gone] = column[gone:]
                self._columns = self._columns._replace(**{name: moved})
            c.places[BASE] = c.places[FIRST]
        else:
            grown = {name: np.concatenate([getattr(c, name)] * 2) for name in ("time_ms", "value", "own_ms")}
            self._columns = c._replace(**grown)

    def _let_go(self) -> None:
        """Keys that expired, and did not come again in the same batch."""
        c = self._columns
        for slot in c.dropped[: c.places[DROPPED]].tolist():
            c.is_dropped[slot] = False
            if c.slots[slot, keyed.GENERATION] == NOBODY:
                del self._slots[self._keys[slot]]
                self._keys[slot] = ""
                self._free.append(slot)
        c.places[DROPPED] = 0

    # --- as a part of the state -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Keys that have not expired."""
        return len(self._slots)

    def nbytes(self) -> int:
        """Of the columns; the keys' own texts are not counted."""
        return sum(column.nbytes for column in self._columns)

    def stamp(self, records: int) -> None:
        """What changed since the last call was changed by record number ``records``."""
        current, first = int(self._columns.places[CURRENT]), int(self._columns.places[FIRST])
        for generation in range(max(self._stamped, first), current + 1):
            self._stamps[generation] = records
        for gone in [one for one in self._stamps if one < first]:
            del self._stamps[gone]
        self._stamped = current

    def _generations(self) -> list[int]:
        """Those that hold keys."""
        c = self._columns
        first, base, current = (int(c.places[place]) for place in (FIRST, BASE, CURRENT))
        return [one for one in range(first, current + 1) if c.live[one - base]]

    def alive(self) -> Iterable[str]:
        return ("windows", *(f"keys/{generation}" for generation in self._generations()))

    def dump(self, since: int) -> Iterator[tuple[str, object]]:
        c = self._columns
        first, base, current = (int(c.places[place]) for place in (FIRST, BASE, CURRENT))
        span = slice(first - base, current - base + 1)
        begins = np.concatenate([[0], np.cumsum(c.made[span])])
        bits = np.zeros(int(begins[-1]), np.uint8)
        keyed.living(c, bits, begins)
        told = {name: getattr(c, name)[span].copy() for name in ("made", "last_ms", "room")}
        yield "windows", {"first": first, "living": np.packbits(bits), **told}
        for generation in self._generations():
            if self._stamps.get(generation, 0) > since:
                yield f"keys/{generation}", self._dump(kernel.slots_in(c, generation - base))

    def _dump(self, slots: NDArray[np.int64]) -> dict[str, object]:
        c = self._columns
        told: dict[str, object] = {name: getattr(c, name)[slots] for name in _AGGREGATES if len(getattr(c, name))}
        if not len(c.tiles):
            told["time_ms"], told["value"], told["own_ms"] = kernel.entries(c, slots)
        told["numbers"] = c.slots[slots][:, [*_NUMBERS, *range(keyed.LOW, c.slots.shape[1])]]
        keys = [self._keys[slot] for slot in slots.tolist()]
        return {"keys": keys, "positions": c.slots[slots, keyed.POSITION], **told}

    def load(self, chunks: Mapping[str, object]) -> None:
        self._begin()
        told: Any = chunks["windows"]
        first, made = told["first"], told["made"]
        begins = np.concatenate([[0], np.cumsum(made)])
        living = np.unpackbits(told["living"], count=int(begins[-1])).astype(np.bool_)
        self._columns.places[[BASE, FIRST, CURRENT]] = first, first, first + len(made) - 1
        while len(made) - 1 + keyed.GENERATIONS_AHEAD >= len(self._columns.made):
            self._make_room()
        c = self._columns
        c.live[: len(made)] = 0
        c.first[: len(made)] = c.last[: len(made)] = NOBODY
        for name in ("made", "last_ms", "room"):
            getattr(c, name)[: len(made)] = told[name]
        for at, (start, stop) in enumerate(pairwise(begins.tolist())):
            if living[start:stop].any():
                self._load(chunks[f"keys/{first + at}"], at, living[start:stop])
        self._stamped = first + len(made) - 1

    def _load(self, told: Any, at: int, living: NDArray[np.bool_]) -> None:
        """One generation: of the keys that its chunk holds, those that did not move on since."""
        kept = np.flatnonzero(living[told["positions"]])
        slots = np.array([self._new_slot(told["keys"][place]) for place in kept.tolist()], np.int64)
        numbers = told["numbers"]
        if "time_ms" in told:
            sizes = numbers[:, _NUMBERS.index(keyed.SIZE)]
            begins = np.cumsum(sizes) - sizes
            needed = sum(_cells(size) for size in sizes[kept].tolist())
            while self._columns.places[TOP] + needed > len(self._columns.time_ms):
                self._make_room()
        c = self._columns
        c.slots[slots[:, None], [*_NUMBERS, *range(keyed.LOW, c.slots.shape[1])]] = numbers[kept]
        for name in _AGGREGATES:
            if len(getattr(c, name)):
                getattr(c, name)[slots] = told[name][kept]
        if "time_ms" in told:
            own_ms = told["own_ms"] if len(told["own_ms"]) else told["time_ms"]  # labels with a lag had none once
            kernel.restore_entries(c, slots, begins[kept], told["time_ms"], told["value"], own_ms)
        kernel.restore_order(c, at, slots, told["positions"][kept])


def _check(
    of: str | None, compute: Sequence[Compute], over_ms: Mapping[str, int], lag_ms: int | None, tiles: int | None, *,
    text: bool,
) -> None:  # fmt: skip
    if unknown := [what for what in compute if what not in COMPUTES]:
        raise ValueError(f"there is no {unknown[0]!r}; windows compute {', '.join(COMPUTES)}")
    if not compute or not over_ms or min(over_ms.values()) < 1:
        raise ValueError("windows need something to compute, and lengths above nothing")
    if lag_ms is not None and of is not None:
        raise ValueError("only labels have a lag")
    if of == "" and (wrong := sorted(set(compute) - {"count", "time_since"})):
        raise ValueError(f"of events themselves there is no {wrong[0]}; there are count and time_since")
    if text and (wrong := sorted(set(compute) - {"count", "distinct", "time_since"})):
        raise ValueError(f"{of} is text, of which there is no {wrong[0]}; there are count, distinct, time_since")
    if tiles is not None and "distinct" in compute:
        raise ValueError("tiles cannot tell how many values are distinct: leave `tiles` out")
    if tiles is not None and of is None and {"min", "max"} & set(compute):
        raise ValueError("tiles cannot take back a label's min or max: leave `tiles` out")
    for name, span in over_ms.items():
        if tiles is not None and span % tiles:
            raise ValueError(f"{name} in {tiles} tiles is not a whole number of milliseconds each; take 6, 8, 10 or 24")


def _number_of(text: str) -> float:
    return float(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 11)


def _cells(size: int) -> int:
    return max(ring.CELLS_MIN, 1 << (size - 1).bit_length()) if size else 0
