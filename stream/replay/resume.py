"""So that a replay that was killed goes on: resume points of one pass, each a state and the lengths of what is written.

::

    <directory>/point.json        the newest point; what it does not speak of never happened
    <directory>/state/            a checkpoint of each lane (checkpoints/files.py), the newest two
    <directory>/<lane>/           its files (lane.py)
    <directory>/lock              one process at a time

A point is written in this order: the lanes' files, their states, and last of all ``point.json``. A state is signed as a
checkpoint of the pipeline is, for it is opened like one.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.files import FileStore
from stream.checkpoints.signing import Signer
from stream.errors import CheckpointError, Fenced
from stream.records import Input, Skip
from stream.replay.durable import write_whole
from stream.replay.lane import Contestant, Lane, Order, Pass
from stream.replay.sources import Place

LOCK_WAIT_S = 10.0


class Point(msgspec.Struct):
    """How far a pass has come."""

    number: int = 0
    """Of the states that belong to it; 0: nothing is folded yet."""
    place: Place | None = None
    reaches: list[tuple[Any, ...]] = []
    lanes: list[dict[str, Any]] = []
    """What each lane's ``state`` said."""
    skips: list[list[Skip]] = []
    """By lane, what is known by now that it cannot learn."""
    facts: list[dict[str, Any]] = []
    """By lane, once the pass is over."""


class Points:
    """The resume points of a pass.

    Parameters
    ----------
    directory : Path
        Of this pass alone.
    contestants : sequence of Contestant
        Of its lanes.
    key : bytes
        Signs the states.
    admitted : iterable of str
        The user's own modules that states may name.
    """

    def __init__(
        self, directory: Path, contestants: Sequence[Contestant], key: bytes, admitted: Iterable[str] = ()
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._contestants = contestants
        self._store = FileStore(directory / "state")
        signer, admitted = Signer(key), tuple(admitted)
        self._checkpointers = [
            Checkpointer(
                self._store, signer, one.name, keep=2, on_unverified=_unusable, admitted=admitted, fork=False
            )
            for one in contestants
        ]  # fmt: skip
        self._path = directory / "point.json"
        self.point = self._read()

    def _read(self) -> Point:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Point)
        except FileNotFoundError:
            return Point(skips=[[] for _ in self._contestants])

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Nobody else works here meanwhile. Raises Fenced."""
        with (self.directory / "lock").open("ab") as file:
            deadline = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Fenced(
                            f"another process works in {self.directory}", "wait for it, or write to another directory"
                        ) from None
                    time.sleep(0.05)
            yield

    @property
    def is_over(self) -> bool:
        return bool(self.point.facts)

    def restored(self, order_lineage: dict[str, Any], inputs: Sequence[Input]) -> tuple[Pass, Place | None]:
        """The lanes as they were at the newest point, and where the records go on; None: at their beginning."""
        point = self.point = self._read()
        lanes = []
        for place, one in enumerate(self._contestants):
            told = {"skips": point.skips[place], "at": point.lanes[place]["at"] if point.number else None}
            lanes.append(Lane(one, inputs, self.lane_directory(place), told))
        for lane, checkpointer in zip(lanes, self._checkpointers, strict=True):
            self._load(lane, checkpointer, point.number)
        return Pass(lanes, Order(order_lineage, point.reaches)), point.place

    def _load(self, lane: Lane, checkpointer: Checkpointer, number: int) -> None:
        """The state of that number; newer ones belong to a point that was never finished."""
        for restored in checkpointer.restore():
            if restored.head.entry_number == number:
                restored.load(lane.fold.parts())
                checkpointer.adopt(restored)
                return
            checkpointer.remove(restored)
        if number:
            raise CheckpointError(
                f"{self.directory}: the state of {lane.name} at resume point {number} is not there",
                "begin anew with --overwrite",
            )

    def lane_directory(self, place: int) -> Path:
        return self.directory / f"lane-{place}"

    def save(self, whole: Pass, at: Place, *, facts: bool = False) -> None:
        """The pass stands here now. ``facts``: and it is over."""
        number = self.point.number + 1
        for lane, checkpointer in zip(whole.lanes, self._checkpointers, strict=True):
            lane.write()
            if facts:
                continue  # nothing is folded any more
            clock = lane.fold.state.clock
            snapshot = checkpointer.take(lane.fold.parts(), clock.records)
            checkpointer.save(
                snapshot, entry_number=number, journal_offset=at.offset, token=0, positions=at.positions,
                records=clock.records, stream_time_ms=clock.stream_time_ms, saved_ms=0, lineage={},
            )  # fmt: skip
        self._write(
            Point(
                number,
                at,
                [tuple(reach) for reach in whole.order.clock.reaches],
                [lane.state() for lane in whole.lanes],
                self.point.skips,
                [lane.facts() for lane in whole.lanes] if facts else [],
            )
        )

    def skip(self, lane: int, skip: Skip) -> None:
        """From here on that lane does without."""
        self.point.skips[lane].append(skip)
        self._write(self.point)

    def _write(self, point: Point) -> None:
        write_whole(self._path, msgspec.json.encode(point))
        self.point = point


class Cadence:
    """When a resume point is due: so that points cost a twentieth of the time at most.

    Parameters
    ----------
    every_s : float
        Not sooner than this after the one before.
    every_records : int, optional
        Besides, after so many records.
    """

    def __init__(
        self, every_s: float, every_records: int | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._every_s = every_s
        self._every_records = every_records
        self._monotonic = monotonic
        self._next_s = monotonic() + every_s
        self._records = 0

    def is_due(self, records: int) -> bool:
        """After ``records`` more."""
        self._records += records
        if self._every_records is not None and self._records >= self._every_records:
            return True
        return self._monotonic() >= self._next_s

    def took(self, seconds: float) -> None:
        """A point was made."""
        self._records = 0
        self._next_s = self._monotonic() + max(self._every_s, 20 * seconds)


def _unusable(failure: str) -> None:
    raise CheckpointError(f"{failure}: the replay cannot go on", "begin anew with --overwrite")


def parent_is_there(parent: int) -> bool:
    """Whether the process that started this one is still its parent."""
    return os.getppid() == parent
