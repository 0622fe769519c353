"""A task's checkpoints in time: when one is due, what became of the last. How one is made is checkpoints/checkpointer.py's.

A checkpoint is never ahead of the log: the snapshot is taken when a batch is folded, and stored once the commit of that
batch has answered. A store that is away costs a longer recovery, never results.
"""

from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import cast

from stream.checkpoints.checkpointer import Checkpointer, Saved
from stream.errors import CheckpointError, LogError
from stream.pipeline.fold import Fold
from stream.runtime.host import Host
from stream.runtime.readings import TaskReadings
from stream.runtime.refold import Place

AGAIN_S = 5.0
"""After a save that failed."""
GRACE_S = 300.0
"""Of saves that fail, for a worker that begins with a checkpoint that is too old already: a store may only be restarting."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a checkpoint is due; whichever comes first."""

    records: int | None = 100_000
    seconds: float | None = None
    age_max_s: float | None = None
    """Stop when none could be saved for so long: records that recovery needs would soon be deleted.

    What passed before this worker began is not counted, as long as its checkpoint is not twice as old.
    """


@dataclass(frozen=True, slots=True)
class Mark:
    """What a head says of the state that it holds, beside the state's own numbers."""

    place: Place
    token: int
    lineage: dict[str, object]
    answer: "Future[int] | None"
    """Of the commit that led to the place, while it is not there yet: the offset of its journal entry."""


class Saves:
    """The checkpoints of one task, one at a time, on a thread of their own.

    Parameters
    ----------
    checkpointer : Checkpointer
    cadence : Cadence
    host : Host
    lane : str
        The thread's.
    readings : TaskReadings
        Told what was saved and what not.
    """

    def __init__(
        self, checkpointer: Checkpointer, cadence: Cadence, host: Host, lane: str, readings: TaskReadings
    ) -> None:
        self._checkpointer = checkpointer
        self._cadence = cadence
        self._host = host
        self._lane = lane
        self._readings = readings
        self._running: tuple[Place, Future[Saved]] | None = None
        self._failing = self._due = False
        self._again_at = self._saved_at = host.monotonic()
        self._whole_at = -inf  # unknown of what came before this start: then the checkpoint's own age counts
        self._until = inf
        """Then this task stops, when saves still fail."""

    def recovered(self, saved_ms: int | None, *, due: bool = False) -> None:
        """The checkpoint that was taken up is as old as its head says; without one, age begins now. ``due``: save at once."""
        self._due = due
        now, age_s = self._host.monotonic(), 0.0
        if saved_ms is not None:
            age_s = max(self._host.wall_ms() - saved_ms, 0) / 1000
        self._saved_at = self._readings.checkpoint_at = now - age_s
        if (limit_s := self._cadence.age_max_s) is not None:
            # Who was away could save nothing, so what passed before this start counts only where little is left of the way
            # back. A further recovery wins no time.
            self._until = min(self._until, now + min(limit_s, max(2 * limit_s - age_s, GRACE_S)))

    def consider(self, fold: Fold, mark: Mark) -> None:
        """Save the state as it is, if that is due. Raises CheckpointError when there was no checkpoint for too long."""
        now = self._host.monotonic()
        self._collect()
        if self._new(fold) <= 0:
            self._whole_at = now  # what is needed beside the checkpoint has not come yet
            self._allow(now)
        if self._running is None and now >= self._again_at and self._is_due(fold, now):
            self._save(fold, mark)
        if now > self._until and self._failing and self._is_unsaved(fold):
            raise CheckpointError(
                f"task {self._readings.task}: no checkpoint could be saved for {self._age_s(now):.0f} s",
                "records that a recovery needs would soon be deleted: mend the checkpoint store, or raise retention.ms",
            )

    def finish(self, fold: Fold, mark: Mark) -> Generator["Future[object]", None, None]:
        """A last checkpoint, so that the next owner has no record to fold."""
        yield from self.settle()
        if self._is_unsaved(fold):
            self._save(fold, mark)
            yield from self.settle()

    def settle(self) -> Generator["Future[object]", None, None]:
        """Until the save that runs has ended."""
        while self._running is not None:
            if not self._running[1].done():
                yield cast("Future[object]", self._running[1])
            self._collect()

    def _is_due(self, fold: Fold, now: float) -> bool:
        new, cadence = self._new(fold), self._cadence
        if self._due:
            return True
        if cadence.records is not None and new >= cadence.records:
            return True
        if cadence.seconds is not None and new > 0 and now - self._saved_at >= cadence.seconds:
            return True
        # a stream so slow that its records would be deleted before there are enough of them
        return cadence.age_max_s is not None and new > 0 and self._age_s(now) >= cadence.age_max_s / 2

    def _allow(self, now: float) -> None:
        """All that was folded is saved: from now on saves may fail for so long."""
        self._until = now + (inf if self._cadence.age_max_s is None else self._cadence.age_max_s)

    def _age_s(self, now: float) -> float:
        """For how long there has been something that no checkpoint holds."""
        return now - max(self._saved_at, self._whole_at)

    def _new(self, fold: Fold) -> int:
        """Records that no checkpoint holds."""
        return fold.state.clock.records - max(self._checkpointer.saved_records, 0)

    def _is_unsaved(self, fold: Fold) -> bool:
        """A state into which nothing came needs no checkpoint: it has no entry yet whose place it could take."""
        return self._new(fold) > 0

    def _save(self, fold: Fold, mark: Mark) -> None:
        begun, clock, place = self._host.monotonic(), fold.state.clock, mark.place
        try:
            snapshot = self._checkpointer.take(fold.parts(), clock.records)
        except CheckpointError as error:
            self._failed(error)
            return
        self._readings.stages["stall"].add(self._host.monotonic() - begun)
        records, stream_time_ms, saved_ms = clock.records, clock.stream_time_ms, self._host.wall_ms()

        def save() -> Saved:
            try:
                offset = place.offset if mark.answer is None else mark.answer.result()
            except BaseException:
                snapshot.discard()
                raise
            return self._checkpointer.save(
                snapshot, entry_number=place.number - 1, journal_offset=offset, token=mark.token,
                positions=place.positions, records=records, stream_time_ms=stream_time_ms, saved_ms=saved_ms,
                lineage=mark.lineage,
            )  # fmt: skip

        self._running = place, self._host.submit(self._lane, save)

    def _collect(self) -> None:
        """What became of the save that ran."""
        if self._running is None or not self._running[1].done():
            return
        (place, future), self._running = self._running, None
        readings = self._readings
        try:
            saved = future.result()
        except (CheckpointError, LogError) as error:
            self._failed(error)
            return
        finally:
            del future  # its error holds this frame, and both the pieces, until a collection
        if not saved.advanced:
            self._failing = True
            readings.say("checkpoint not taken: the store holds one of this place, or a newer one")
            self._again_at = self._host.monotonic() + AGAIN_S
            return
        self._failing = self._due = False
        self._saved_at = readings.checkpoint_at = self._host.monotonic()
        self._allow(self._saved_at)
        readings.checkpoints += 1
        readings.checkpoint_bytes = saved.bytes_total
        readings.checkpoint_entry = place.number - 1

    def _failed(self, error: CheckpointError | LogError) -> None:
        self._failing = True
        self._readings.checkpoint_failures += 1
        self._readings.say(f"checkpoint not saved: {error.message}")
        self._again_at = self._host.monotonic() + AGAIN_S
