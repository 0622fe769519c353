"""Back in a task's history, reading only: the state as it was at any place of the journal, entry by entry, and on from there.

What recovery.py does to take a task over is done here to look at it, also while a worker runs: nothing is fenced, claimed,
committed or stored, and no group joined. From the journal's start or from the newest checkpoint that fits. Read
runtime/refold.py for the folding; audit.py and explain.py for what it is good for.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.build import ADMITTED, open_log, signing_key, task_name, user_modules
from stream.build_fold import build_fold, lineage
from stream.checkpoints.base import CheckpointStore, Head
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.restored import Restored
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.errors import CheckpointError, RecordsGone, StoreUnavailable, Unverified
from stream.pipeline.fold import Build, Fold
from stream.pipeline.step import Witness
from stream.records import Entry, Input, OutputName, Outputs, Positions, Span, decode_journal
from stream.runtime.lineages import check_lineage, differences
from stream.runtime.recovery import newest_claim
from stream.runtime.refold import Place, Refold
from stream.runtime.warm import Warm
from stream.transport.base import Log, TaskLog
from stream.transport.outputs import FileOutput, OutputReader

Fits = Callable[[Head], bool]
Say = Callable[[str], None]


def anywhere(_: Head) -> bool:
    """Of a checkpoint: it fits."""
    return True


class Travel:
    """One task's history. ``begin`` somewhere, then go through ``entries`` and ``fold_entry`` each.

    Parameters
    ----------
    log : TaskLog
        Never fenced, so it cannot write.
    checkpointer : Checkpointer or None
        None: there is no store to ask.
    build, lineage
        As a Task's; the lineage counts only while there is no journal.
    say : callable
        Told what a person should know.
    warm : Warm, optional
        The state that the journal began with.
    """

    def __init__(
        self, log: TaskLog, checkpointer: Checkpointer | None, build: Build, lineage: dict[str, object], say: Say,
        warm: Warm | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._checkpointer = checkpointer
        self._say = say
        self._build = build
        self._refold = Refold(log, build, lineage, say, warm)
        self._now = lineage
        self.head: Head | None = None
        """The checkpoint that it began with."""

    @property
    def fold(self) -> Fold:
        return self._refold.fold

    @property
    def place(self) -> Place:
        return self._refold.place

    @property
    def lineage(self) -> dict[str, object]:
        """As of the place."""
        return self._refold.lineage

    @property
    def log(self) -> TaskLog:
        return self._log

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self._log.inputs

    def close(self) -> None:
        """Let go of the log; nothing was to be written."""
        self._log.close()

    def check(self) -> None:
        """Whether journal and topics are of one piece, and what else a person should know before they are folded.

        Raises
        ------
        LineageChanged
            Topics are not those that the journal tells of.
        """
        claim = newest_claim(self._log)
        if claim is None:
            return
        check_lineage(claim.lineage, self._now, accept=True)
        if claim.lineage != self._now:
            changes = "; ".join(differences(claim.lineage, self._now))
            self._say(f"folded with what the journal says, not with what would be used now: {changes}")

    @property
    def begun(self) -> str:
        """Where it began, for people."""
        return "the journal's start" if self.head is None else f"the checkpoint of entry {self.head.entry_number}"

    def fresh(self) -> Fold:
        """One that knows nothing, to decode with; of the journal's newest lineage."""
        claim = newest_claim(self._log)
        return self._build(self._now if claim is None else claim.lineage, self._log.inputs)

    def end(self) -> Place:
        """The journal's, as of now."""
        return Place.at(self._log.last(), self._log.start())

    def _restored(self) -> Iterator[Restored]:
        """Checkpoints of this journal, newest first."""
        last = self._log.last()
        if self._checkpointer is not None and last is not None:
            for restored in self._checkpointer.restore():
                head = restored.head
                if head.lineage.get("log") == self._now.get("log") and head.journal_offset <= last.offset:
                    yield restored

    def begin(self, fits: Fits | None = None) -> None:
        """At the newest checkpoint that fits and verifies; when there is none, or with None, at the journal's start.

        Raises
        ------
        RecordsGone
            There is no way to begin: journal or inputs no longer reach back. The hint says from where on there is one.
        StoreUnavailable
        """
        if fits is not None:
            for restored in self._restored():
                if fits(restored.head) and self._take_up(restored):
                    self.head = restored.head
                    break
        try:
            if self.head is None:
                self._refold.begin()
            self._check_inputs()
        except RecordsGone as error:
            raise RecordsGone(error.message, f"{error.hint}; or: {self._way_out()}") from error

    def _take_up(self, restored: Restored) -> bool:
        try:
            self._refold.take_up(restored)
        except Unverified:
            return False  # the checkpointer says so
        except StoreUnavailable:
            raise
        except CheckpointError as error:
            self._say(f"{error.message}; using an older one")
            return False
        return True

    def _check_inputs(self) -> None:
        lows = self._log.start()
        if (needed := self._deleted(self.place.offset, self.place.positions, lows)) is not None:
            one = self.inputs[needed.input]
            raise RecordsGone(
                f"{one.topic}/{one.partition} starts at offset {lows[needed.input]:,}, but {self.begun} needs it from offset "
                f"{needed.start:,} on: the records between were deleted"
            )

    def _deleted(self, offset: int, positions: Positions, lows: Positions) -> Span | None:
        """The first records that inputs which begin at ``lows`` lack to go on behind this place of the journal.

        A position alone says nothing: behind it may stand markers only, which the next entry passes.
        """
        short = {which for which, (low, position) in enumerate(zip(lows, positions, strict=True)) if low > position}
        for item in self._log.entries(offset + 1 if offset >= 0 else -1) if short else ():
            record = decode_journal(item.value)
            for span in record.spans if isinstance(record, Entry) else ():
                if span.input in short and span.start < lows[span.input]:
                    return span
                short.discard(span.input)
            if not short:
                break
        return None

    def _reaches(self, head: Head, lows: Positions) -> bool:
        try:
            return self._deleted(head.journal_offset, head.positions, lows) is None
        except RecordsGone:  # of the journal
            return False

    def _way_out(self) -> str:
        """From which checkpoint one could begin all the same."""
        lows = self._log.start()
        try:
            usable = [one.head for one in self._restored() if self._reaches(one.head, lows)]
        except StoreUnavailable as error:
            return f"checkpoints might help, but {error.message}"
        if not usable:
            return "no checkpoint is younger than what was deleted"
        number = usable[-1].entry_number
        return (
            f"the oldest checkpoint that can be begun with is of entry {number}: `headrace audit --from {number + 1} CONFIG`; "
            "`headrace explain` reaches the events after it"
        )

    def entries(self, to: int | None = None) -> Iterator[tuple[int, Entry]]:
        """Journal offset and entry of each entry after the place, up to number ``to``; ends at the journal's end as of now.

        The caller folds each one before asking for the next.

        Raises
        ------
        JournalBroken
        """
        for offset, entry in self._refold.follow():
            if entry is not None:
                if to is not None and entry.number > to:
                    return
                yield offset, entry

    def fold_entry(self, offset: int, entry: Entry, witness: Witness | None = None) -> Outputs:
        """What the entry said. Raises RecordsGone, JournalBroken."""
        return self._refold.replay(offset, entry, witness)


@dataclass(frozen=True, slots=True)
class Past:
    """A pipeline's history, open for reading."""

    config: Config
    log: Log
    tasks: int
    _store: CheckpointStore | None
    _build: Build
    _lineage: dict[str, object]
    _say: Say
    _warm: Callable[[int], Warm] | None

    def task(self, number: int) -> Travel:
        """Raises LogMisfit, LineageChanged."""
        checkpointer = None
        if self._store is not None:
            signer, name = Signer(signing_key(self.config)), task_name(self.config, number)
            checkpointer = Checkpointer(
                self._store,
                signer,
                name,
                keep=1,
                on_unverified=self._say,
                admitted=user_modules(self.config),
                fork=False,
            )
        warm = None if self._warm is None else self._warm(number)
        travel = Travel(self.log.open(number), checkpointer, self._build, self._lineage, self._say, warm)
        travel.check()
        return travel

    def output(
        self, name: OutputName, task: int, topic: str | None = None, directory: Path | None = None
    ) -> OutputReader:
        """What was emitted; or a copy of it, in another topic or another directory. Raises LogMisfit, LogUnavailable."""
        if self.config.on_files:
            return FileOutput(self.config.path(self.config.out) if directory is None else directory, name)
        from stream.transport.kafka_outputs import KafkaOutput  # noqa: PLC0415 - librdkafka only where it is used

        own = self.config.topics()[name]
        return KafkaOutput(self.config.client_settings(), self.config.group, topic or own, task)


@contextmanager
def open_past(
    config: Config, store: CheckpointStore | None, *, say: Say = print, warm_start: Path | None = None
) -> Iterator[Past]:
    """The history of a configuration's pipeline.

    Parameters
    ----------
    store : CheckpointStore or None
        None: do without checkpoints.
    warm_start : Path, optional
        Directory with the state that the journals began with.

    Raises
    ------
    HeadraceError
    """
    with ExitStack() as stack:
        log = open_log(config)
        stack.callback(log.close)
        identity = log.identity()
        tasks = identity["partitions"]
        assert isinstance(tasks, int)
        build = functools.partial(build_fold, allow=(*ADMITTED, *user_modules(config)))
        warm = None
        if warm_start is not None:
            from stream.build_warm import warm_starts  # noqa: PLC0415 - only where it is used

            warm = warm_starts(config, warm_start, log, say)
        yield Past(config, log, tasks, store, build, lineage(config, identity), say, warm)
