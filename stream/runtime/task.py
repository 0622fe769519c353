"""A task's life: take it, recover, apply batches for ever. The one file that tells "exactly once".

::

    OPENING ── lineage fits ──▶ fence ──▶ claim ──▶ RECOVERING ──▶ RUNNING ──stop──▶ last checkpoint, closed
       ▲                                               newest checkpoint that verifies,        │
       │                                               the journal after it, in silence,       │
       └── back-off ◀── fenced, in doubt, log gone ────  what is missing of the outputs ◀──────┘

``life`` is a generator: it does one bounded piece of work at a time and yields what it waits for, so that a worker can
turn many lives in one thread, and a simulator can stop one at any touch of log or store. Nothing here knows Kafka, or
Redis, or what a record means. Read recovery.py next, then worker.py for the loop.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar, cast

import msgspec

from stream.checkpoints.checkpointer import Checkpointer
from stream.errors import Fenced, InDoubt, LogUnavailable, OwnedOutside, RecordsGone, StoreUnavailable
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.fold import Build, Fold
from stream.pipeline.learn import LearnFailure
from stream.pipeline.step import StageName
from stream.records import Claim, Entry, OutputName, Outputs, encode_journal
from stream.runtime.host import Host
from stream.runtime.lineages import check_lineage
from stream.runtime.merge import Merge, Taken
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import Recovery, newest_claim, standing_lineage, token_of
from stream.runtime.refold import Place, first_claim
from stream.runtime.saves import Cadence, Mark, Saves
from stream.runtime.warm import Warm, check_nothing_left, check_origin
from stream.transport.base import TaskLog

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do at the moment."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Not before this time (monotonic seconds)."""

    until: float


Wait: TypeAlias = "Future[object] | Idle | Pause | None"
"""What a life waits for; None: nothing, it only lets others have their turn."""
IDLE = Idle()
UNKNOWN_OFFSET = -1
TELL_EVERY_S = 1.0
GATHER = 0.1
"""Less than this share of a batch is not begun while a commit is in flight: it would cost latency and win nothing."""


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """How a task works; none of it changes answers."""

    worker: str = "worker"
    batch_records: int = 5000
    poll_wait_s: float = 0.02
    checkpoints: Cadence = field(default_factory=Cadence)
    accept_lineage: bool = False
    fenced_max: int = 8
    """Within ``fenced_window_s``, before the task is given up as owned outside the group."""
    fenced_window_s: float = 300.0
    store_patience: int = 16
    """Recoveries that wait for the checkpoint store, before one folds the whole journal instead: a minute with the back-off
    below, in which a store can restart."""
    quiet_s: float = 30.0
    """Without a record, before it is journaled how far the inputs are read, where that is further than their records."""
    backoff_s: float = 0.2
    backoff_max_s: float = 5.0


@dataclass(slots=True)
class InFlight:
    """A commit whose answer is not there yet."""

    entry: Entry
    future: "Future[int]"


class Task:
    """One task.

    Parameters
    ----------
    number : int
    open_log : callable
        Opens the task's log; reads only until fenced.
    checkpointer : Checkpointer
    build : callable
        From a lineage and the task's inputs to a fresh fold.
    lineage : dict
        What results depend on beside the records, as this worker would have it.
    readings : TaskReadings
        What the task tells of itself.
    warm : Warm, optional
        The state that a new journal begins with.
    """

    def __init__(
        self, number: int, open_log: Callable[[], TaskLog], checkpointer: Checkpointer, build: Build,
        lineage: dict[str, object], host: Host, settings: TaskSettings, readings: TaskReadings, warm: Warm | None = None,
    ) -> None:  # fmt: skip
        self.number = number
        self.readings = readings
        self.stopping = False
        self.alone = True
        """Whether no other life shares the thread, so that this one may wait for its records."""
        self._open_log = open_log
        self._checkpointer = checkpointer
        self._build = build
        self._lineage = lineage
        self._host = host
        self._settings = settings
        self._warm = warm
        self._log: TaskLog | None = None
        self._in_flight: InFlight | None = None
        self._saves = Saves(checkpointer, settings.checkpoints, host, self._save_lane, readings)
        self._told_at = self._took_at = host.monotonic()
        self._fenced_at: list[float] = []
        self._owner = "an unknown token"
        self._store_failures = 0
        self._busy = False
        self._doubtful: Entry | None = None
        self._accepting = settings.accept_lineage

    @property
    def at_end(self) -> bool:
        """Whether all that there is has been applied and committed."""
        return self.readings.phase == "running" and self._merge.at_end and self._in_flight is None

    # --- the life -----------------------------------------------------------------------------------------------

    def life(self) -> Generator[Wait, None, None]:
        """Until told to stop. Raises what an operator must see."""
        failures = 0
        try:
            while not self.stopping:
                try:
                    yield from self._take()
                    failures = 0
                    yield from self._apply_for_ever()
                    return
                except Fenced as error:
                    self._count_fenced(error)
                except InDoubt as error:
                    self.readings.in_doubt += 1
                    self._doubtful = self._in_flight.entry if self._in_flight else None
                    self.readings.say(f"commit in doubt, asking the journal: {error.message}")
                except LogUnavailable as error:
                    self.readings.say(f"the log does not answer: {error.message}")
                except StoreUnavailable as error:
                    self._store_failures += 1
                    self.readings.say(f"the checkpoint store does not answer: {error.message}")
                self._in_flight = None
                self.readings.phase = "waiting"
                failures += 1
                pause_s = min(self._settings.backoff_s * 2 ** min(failures - 1, 10), self._settings.backoff_max_s)
                yield Pause(self._host.monotonic() + pause_s)
        finally:
            self.readings.phase = "stopped"
            if self._log is not None:
                self._log.close()
            self._host.close_lane(self._commit_lane)
            self._host.close_lane(self._save_lane)

    def _take(self) -> Generator[Wait, None, None]:
        """Become the owner: nobody else writes from here on, and the journal says so."""
        self.readings.phase = "opening"
        if self._log is not None:
            self._log.close()
        self._log = log = yield from self._call(self._open_log)
        stands = yield from self._call(lambda: standing_lineage(log, self._checkpointer, self._lineage.get("log")))
        check_lineage(stands, self._lineage, accept=self._accepting)
        yield from self._call(log.fence)
        last = log.last()
        place = Place.at(last, log.start())
        claim = newest_claim(log)
        if claim is not None:
            check_lineage(claim.lineage, self._lineage, accept=self._accepting)  # again: now it cannot change
        if last is not None and claim is not None and claim.worker != self._settings.worker:
            self._owner = f"token {token_of(last)} ({claim.worker})"
        claim = Claim(place.number, self._settings.worker, place.positions, self._lineage, self._accepting)
        if last is None:
            claim = self._first(claim, log.last_seq())
        elif self._warm is not None:
            check_origin(first_claim(log), self._warm)
        self._token = yield from self._call(lambda: log.commit(encode_journal(claim), {}, claim.positions))
        self.readings.token = self._token
        yield from self._recover()
        clock = self._fold.state.clock
        self._merge = Merge(
            self._fold, self._place.positions, 4 * self._settings.batch_records, clock.reaches, clock.jump_max_ms
        )
        log.seek(self._place.positions)
        self._accepting = False
        self.readings.phase = "running"

    def _first(self, claim: Claim, last_seq: Mapping[OutputName, int]) -> Claim:
        """A journal's first claim: outputs may be older than it, and so may what its task knows."""
        claim = msgspec.structs.replace(claim, next_seq={name: seq + 1 for name, seq in last_seq.items()})
        if self._warm is None:
            return claim
        check_nothing_left(self._checkpointer)
        positions = self._warm.positions or claim.positions
        return msgspec.structs.replace(claim, number=1, positions=positions, origin=self._warm.origin)

    def _recover(self) -> Generator[Wait, None, None]:
        """The state at the journal's end, and every output that should be there."""
        yield from self._saves.settle()
        self.readings.phase = "recovering"
        self.readings.recoveries += 1
        assert self._log is not None
        without_store = self._store_failures >= self._settings.store_patience
        recovery = Recovery(
            self._log, self._checkpointer, self._build, self._lineage, self.readings, without_store=without_store,
            warm=self._warm,
        )  # fmt: skip
        try:
            yield from recovery.run()
        except RecordsGone as error:
            if not without_store:
                raise
            self._store_failures = 0  # a checkpoint may be needed; that the store is away is no reason to give it up
            raise StoreUnavailable(f"it is away, and without a checkpoint: {error.message}") from error
        if recovery.token != self._token:
            # what they wrote is folded here: a checkpoint of it under our token would make the rest of theirs void
            raise Fenced(f"somebody else claimed the task meanwhile, at journal offset {recovery.token}")
        self._fold: Fold = recovery.fold
        self._place = recovery.place
        self.readings.standing(self._fold.state)
        self._store_failures = 0
        self._saves.recovered(recovery.saved_ms, due=recovery.from_history)
        if self._doubtful is not None:
            committed = recovery.place.number > self._doubtful.number
            self.readings.in_doubt_committed += committed
            self.readings.say(f"entry {self._doubtful.number} was {'' if committed else 'not '}committed")
            self._doubtful = None

    # --- one batch, in five numbered steps --------------------------------------------------------------------------

    def _apply_for_ever(self) -> Generator[Wait, None, None]:
        while True:
            if self.stopping:
                yield from self._finish()
                return
            # 1  poll and order; decode, validate, fold: before any transaction is open
            taken = self._poll()
            if taken is None:
                if self._in_flight is not None and (self._busy or self._in_flight.future.done()):
                    yield from self._settle()  # what comes meanwhile goes into one batch
                elif self._in_flight is None and self._host.monotonic() - self._took_at >= self._settings.quiet_s:
                    self._pass_markers()
                self._saves.consider(self._fold, self._mark())
                self._tell()
                yield None if self._busy else IDLE
                continue
            batch, outputs = yield from self._fold_batch(taken)
            entry = Entry(
                number=self._place.number, token=self._token, spans=taken.spans, order=tuple(batch.order),
                positions=taken.positions, first_seq={name: out.first_seq for name, out in outputs.items()},
                skips=batch.skips,
            )  # fmt: skip
            # 2-5  journal entry, outputs, positions, commit: in the task's thread, while the next batch is folded
            yield from self._settle()
            self._commit(entry, outputs)
            self._saves.consider(self._fold, self._mark())
            self.readings.batch(self._fold.state, outputs)
            self._tell()
            yield None

    def _poll(self) -> Taken | None:
        assert self._log is not None
        begun = self._host.monotonic()
        limit = self._settings.batch_records
        if not self._merge.full(limit):
            self._log.hold(self._merge.hold())
            fetched = self._log.poll(limit, 0.0 if self._busy or not self.alone else self._settings.poll_wait_s)
            polled = self._host.monotonic()
            self.readings.stages["poll"].add(polled - begun)
            self._merge.add(fetched)
            begun = polled
        gathers = self._gathers(limit)
        taken = None if gathers else self._merge.take(limit)
        self._busy = taken is not None or gathers
        self.readings.stages["decode"].add(self._host.monotonic() - begun)
        return taken

    def _gathers(self, limit: int) -> bool:
        """Whether few records have come and the commit before them has no answer yet.

        Folded now they would wait for it all the same, and those that come in between for the batch after: at a low rate a
        record then waits for two commits and a half on average instead of one and a half.
        """
        pending = self._in_flight is not None and not self._in_flight.future.done()
        return pending and 0 < self._merge.buffered < limit * GATHER

    def _fold_batch(self, taken: Taken) -> Generator[Wait, None, tuple[Batch | RawBatch, Outputs]]:
        """Fold; when a learner raises, recover and fold again without what it could not learn."""
        batch = taken.batch
        while True:
            try:
                outputs = self._timed(self._fold.stages(batch))
            except LearnFailure as failure:
                self.readings.say(f"{failure}; the state is recovered without it")
                batch = replace(batch, skips=(*batch.skips, failure.skip))
                yield from self._settle()
                yield from self._recover()
                self._merge.decode_with(self._fold)
                self.readings.phase = "running"
            else:
                return batch, outputs

    def _timed(self, work: Generator[StageName, None, Outputs]) -> Outputs:
        """Drive a fold to its end; the clock that it does not know is looked at wherever it halts."""
        monotonic = self._host.monotonic
        spent: dict[StageName, float] = {}
        at = monotonic()
        while True:
            try:
                stage = next(work)
            except StopIteration as done:
                spent["step"] += monotonic() - at
                for stage, seconds in spent.items():
                    self.readings.stages[stage].add(seconds)
                outputs: Outputs = done.value
                return outputs
            before, at = at, monotonic()
            spent[stage] = spent.get(stage, 0.0) + at - before

    def _commit(self, entry: Entry, outputs: Outputs) -> None:
        log, host, stage = self._log, self._host, self.readings.stages["commit"]
        assert log is not None

        def commit() -> int:
            begun = host.monotonic()
            offset = log.commit(encode_journal(entry), outputs, entry.positions)
            stage.add(host.monotonic() - begun)
            return offset

        self._in_flight = InFlight(entry, host.submit(self._commit_lane, commit))
        self._place = Place(entry.number + 1, entry.positions, UNKNOWN_OFFSET)
        self._took_at = host.monotonic()

    def _pass_markers(self) -> None:
        """Journal that nothing but markers of transactions stands behind the last records, if so.

        Else the position is the marker's, and once Kafka has deleted that, a start could not tell it from a record.
        """
        positions = self._merge.positions
        if positions != self._place.positions:
            self._commit(Entry(self._place.number, self._token, (), (), positions, {}), {})

    def _settle(self) -> Generator[Wait, None, None]:
        """The answer to the commit in flight. Raises Fenced, InDoubt, OutputTooLarge, LogUnavailable."""
        if self._in_flight is not None:
            while not self._in_flight.future.done():
                yield cast("Future[object]", self._in_flight.future)
            offset = self._in_flight.future.result()
            self.readings.entry_number = self._in_flight.entry.number
            self._place = replace(self._place, offset=offset)
            self._in_flight = None

    def _mark(self) -> Mark:
        answer = None if self._in_flight is None else self._in_flight.future
        return Mark(self._place, self._token, self._lineage, answer)

    def _finish(self) -> Generator[Wait, None, None]:
        """Told to stop: the last answer, the last figures, a last checkpoint."""
        yield from self._settle()
        self._tell(now=True)
        yield from self._saves.finish(self._fold, self._mark())
        self._pass_markers()
        yield from self._settle()

    # --- small things ---------------------------------------------------------------------------------------------------

    def _call(self, work: Callable[[], T]) -> Generator[Wait, None, T]:
        """Something that blocks, on the task's thread."""
        future = self._host.submit(self._commit_lane, work)
        while not future.done():
            yield cast("Future[object]", future)
        try:
            return future.result()
        finally:
            del future  # its error holds this frame, and both whatever the work held, until a collection

    @property
    def _commit_lane(self) -> str:
        return f"task-{self.number}"

    @property
    def _save_lane(self) -> str:
        return f"save-{self.number}"

    def _count_fenced(self, error: Fenced) -> None:
        """Fenced and still assigned: recover again. When it goes on, the owner is not of our group."""
        now, settings = self._host.monotonic(), self._settings
        self.readings.fenced += 1
        self.readings.say(f"fenced: {error.message}")
        self._fenced_at = [at for at in self._fenced_at if now - at < settings.fenced_window_s] + [now]
        if len(self._fenced_at) > settings.fenced_max:
            raise OwnedOutside(
                f"task {self.number} is owned by {self._owner}, somebody outside the group (our token "
                f"{self.readings.token}): {error.message}",
                error.hint
                or "another worker uses this pipeline's name with another group: stop it, or rename one of them",
            )

    def _tell(self, *, now: bool = False) -> None:
        """The readings that cost more than a batch, once in a while."""
        time = self._host.monotonic()
        if now or time - self._told_at >= TELL_EVERY_S:
            self._told_at = time
            assert self._log is not None
            self.readings.tell(self._fold.state, self._log.lag(), self._fold.event_decoder.unknown_fields)
