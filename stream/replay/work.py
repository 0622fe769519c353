"""The loop of a replay: records in their order, folded by every configuration of the pass, with resume points on the way.

One ``Work`` is what one process does at one go: a task of the source under one or several configurations. It is plain
values, so that another process can be given it. Read lane.py for what is done with a record, resume.py for what survives.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stream.replay.bounds import Bounds
from stream.replay.lane import Contestant, Failed, Pass
from stream.replay.resume import Cadence, Points
from stream.replay.sources import History, Place, Source, Strand, open_source

AtEnd = Literal["flush", "keep"]
EVERY_S = 15.0
COLLECT = (50_000, 20, 50)
"""When the collector runs, as in a worker (runtime/host.py)."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task under some configurations."""

    source: Source
    task: int
    bounds: Bounds
    """Where the task begins and ends."""
    order: dict[str, Any]
    """The lineage that decides which record is next: the first configuration's."""
    contestants: tuple[Contestant, ...]
    places: tuple[int, ...]
    """Of the contestants, among all that are compared."""
    directory: Path
    """For resume points and parts; nobody else's."""
    key: bytes
    admitted: tuple[str, ...] = ()
    at_end: AtEnd = "flush"
    limit: int | None = None
    """Of records, after which the task ends as if there were no more; rounded up to whole batches."""
    every_s: float = EVERY_S
    every_records: int | None = None
    """Resume points, by time and by records."""
    state: tuple[Path, str, bytes] | None = None
    """Where the final state of the only contestant goes, under which name, signed with which key."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a pass tells on its way."""

    task: int
    places: tuple[int, ...]
    records: int
    share: float
    """From 0 to 1; 0 while nobody can say."""
    said: str = ""


Tell = Callable[[Progress], None]


def perform(work: Work, tell: Tell, history: History | None = None) -> None:
    """Do all of it, or what is left of it. Raises what an operator must see, and what reading raises.

    Parameters
    ----------
    history : History, optional
        The source, when it is open already.
    """
    points = Points(work.directory, work.contestants, work.key, work.admitted)
    with points.owned(), _calm():
        if points.is_over:
            return
        own = history or open_source(work.source)
        try:
            with closing(own.strand(work.task, work.bounds)) as strand:
                while not _went_through(work, points, strand, tell):
                    pass
        finally:
            if history is None:
                own.close()


@contextmanager
def _calm() -> Iterator[None]:
    """Python's cycle collector runs less often meanwhile: a replay makes tuples by the million, and no cycles."""
    former = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*former)
        gc.unfreeze()


def _went_through(work: Work, points: Points, strand: Strand, tell: Tell) -> bool:
    """Fold to the end. False: a learner raised on the way, and is to be passed over there."""
    whole, place = points.restored(work.order, strand.inputs)
    try:
        end = _fold_all(work, points, whole, strand, strand.start() if place is None else place, tell)
        _finish(work, points, whole, end)
    except Failed as failure:
        points.skip(failure.lane, failure.skip)
        tell(Progress(work.task, work.places, 0, 0.0, f"{failure}; going back to the last resume point without it"))
        return False
    finally:
        for lane in whole.lanes:
            lane.close()
    return True


def _fold_all(work: Work, points: Points, whole: Pass, strand: Strand, place: Place, tell: Tell) -> Place:
    """The loop. Returns the place at the end."""
    cadence = Cadence(work.every_s, work.every_records)
    before = whole.lanes[0].fold.state.clock.records
    limit = work.limit
    if limit is not None and before >= limit:
        return place
    for piece in strand.pieces(place, whole.order, whole.order.clock):
        whole.take(piece)
        place = piece.place
        records = whole.lanes[0].fold.state.clock.records
        tell(Progress(work.task, work.places, records, strand.done()))
        if cadence.is_due(records - before):
            begun = time.monotonic()
            points.save(whole, place)
            cadence.took(time.monotonic() - begun)
        before = records
        if limit is not None and records >= limit:
            break
    return place


def _finish(work: Work, points: Points, whole: Pass, end: Place) -> None:
    """What follows when no record is left: the state goes where it is wanted, then what still waits is revealed."""
    if work.state is not None:
        from stream.replay.state import save_state  # noqa: PLC0415 - only where it is wanted

        save_state(whole.lanes[0], *work.state, work.task, end)
    if work.at_end == "flush":
        whole.flush()
    points.save(whole, end, facts=True)


def shares(tasks: Sequence[int], contestants: int, jobs: int) -> list[tuple[int, tuple[int, ...]]]:
    """Which (task, contestants) are done together, so that ``jobs`` processes have something to do.

    All configurations of a task go in one pass, which decodes once, as long as there are tasks enough.
    """
    passes = min(max(-(-jobs // max(len(tasks), 1)), 1), contestants)
    cut = [tuple(range(first, contestants, passes)) for first in range(passes)]
    return [(task, share) for task in tasks for share in cut]
