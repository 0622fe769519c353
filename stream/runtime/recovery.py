"""From a checkpoint and the journal to the state that would have been, had nothing ever failed.

The newest checkpoint that verifies, then the journal after it, folded in silence, then every output that is missing.
Anything else than entries that follow one another stops here, saying what is missing. A change of lineage that an operator
accepted stands in the journal, so it is folded like everything else. Read task.py before, refold.py for the folding.
"""

from collections.abc import Generator

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.restored import Restored
from stream.errors import RESTART, CheckpointError, JournalBroken, RecordsGone, StoreUnavailable, Unverified
from stream.pipeline.fold import Build, Fold
from stream.records import Claim, Outputs, decode_journal
from stream.runtime.readings import TaskReadings
from stream.runtime.refold import Place, Refold, first_claim
from stream.runtime.warm import Warm
from stream.transport.base import JournalItem, TaskLog

__all__ = ["Place", "Recovery", "newest_claim", "standing_lineage", "token_of"]


def token_of(item: JournalItem) -> int:
    """Under which token a journal record was written."""
    record = decode_journal(item.value)
    return item.offset if isinstance(record, Claim) else record.token


def newest_claim(log: TaskLog) -> Claim | None:
    """The claim that the journal's last entry was written under, None when it is no longer there."""
    item = log.last()
    return None if item is None else _claim_of(log, item)


def _claim_of(log: TaskLog, item: JournalItem) -> Claim | None:
    record = decode_journal(item.value)
    if isinstance(record, Claim):
        return record
    try:
        first = next(iter(log.entries(record.token)), None)
    except RecordsGone:
        return None
    claim = decode_journal(first.value) if first is not None and first.offset == record.token else None
    return claim if isinstance(claim, Claim) else None


def standing_lineage(log: TaskLog, checkpointer: Checkpointer, log_identity: object) -> dict[str, object] | None:
    """Of the journal's end, None when nothing is in it yet.

    The newest claim tells. Where retention deleted that, the checkpoints do that a recovery can begin with: they were saved
    under it, or it would still be needed.

    Parameters
    ----------
    log_identity : object
        The part of the lineage that names inputs and journal: a store may also hold checkpoints of a journal that is gone.

    Raises
    ------
    RecordsGone
        There is no such checkpoint, and the journal's beginning was deleted.
    StoreUnavailable
    """
    last = log.last()
    if last is None:
        return None
    claim = _claim_of(log, last)
    if claim is None:
        heads = [head for head in checkpointer.heads() if head.token >= token_of(last)]
        if heads:  # when all are of other inputs, the newest: what differs is to be shown
            return next((head for head in heads if head.lineage.get("log") == log_identity), heads[0]).lineage
        record = first_claim(log)
        claim = record if isinstance(record, Claim) else None
    return None if claim is None else claim.lineage


class Recovery:
    """One recovery. After ``run`` there are ``fold`` and ``place``."""

    def __init__(
        self, log: TaskLog, checkpointer: Checkpointer, build: Build, lineage: dict[str, object],
        readings: TaskReadings, *, without_store: bool = False, warm: Warm | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._checkpointer = checkpointer
        self._lineage = lineage
        self._readings = readings
        self._without_store = without_store
        self._refold = Refold(log, build, lineage, readings.say, warm)
        self.saved_ms: int | None = None
        """When the checkpoint that was taken up was saved."""
        self.from_history = False
        """Whether it began with the state of a backtest, which is no checkpoint of ours yet."""

    @property
    def fold(self) -> Fold:
        return self._refold.fold

    @property
    def place(self) -> Place:
        return self._refold.place

    @property
    def token(self) -> int:
        """Of the newest claim: who owned the task at the place."""
        return self._refold.token

    def run(self) -> Generator[None, None, None]:
        """Raises RecordsGone, JournalBroken, LineageChanged, and what emitting raises."""
        repeats = self._log.repeats
        said = {} if repeats else self._log.last_seq()
        newest: Outputs = {}
        self._restore()
        for offset, entry in self._refold.follow():
            if entry is not None:
                newest = outputs = self._refold.replay(offset, entry)
                self._readings.recovered_records += sum(span.count for span in entry.spans)
                missing = {name: rest for name, seq in said.items() if len(rest := outputs[name].after(seq))}
                if missing:
                    self._readings.say(f"outputs of entry {entry.number} were missing and are emitted")
                    self._log.emit(missing)
            yield
        if self._refold.changed:
            self._checkpointer.forget()  # parts of another shape: the next checkpoint is whole, and soon
        if repeats:  # older entries are whole: an owner writes the next one after all of the last was acknowledged
            self._log.emit(newest)
        next_seq = self.fold.state.clock.next_seq
        for name, seq in said.items():
            if seq >= next_seq[name]:
                raise JournalBroken(
                    f"{name} holds seq {seq}, but the journal leads only to {next_seq[name] - 1}", RESTART
                )

    def _restore(self) -> None:
        """The newest checkpoint that can be used, or nothing learned at all."""
        self._checkpointer.forget()
        if not self._without_store:
            for restored in self._checkpointer.restore():
                if self._use(restored):
                    return
        self.from_history = self._refold.begin()

    def _use(self, restored: Restored) -> bool:
        head, last = restored.head, self._log.last()
        ours = head.lineage.get("log") == self._lineage.get("log")
        if not ours and Place.at(last, ()).number > 0:
            # Redis came back from before a restart. (A journal without any entry was emptied: that is told below.)
            kept = "" if self._checkpointer.remove(restored) else "; it is pinned, and bars newer ones of lower number"
            self._readings.say(f"{restored} is of a journal that is gone, and passed over{kept}")
            return False
        if not ours or last is None or head.journal_offset > last.offset:
            raise JournalBroken(
                f"the checkpoint is of journal offset {head.journal_offset}, but the journal ends at "
                f"{last.offset if last else 'its start'}: acknowledged records were lost",
                RESTART,
            )
        try:
            self._refold.take_up(restored)
        except Unverified:
            return False  # the checkpointer says so, and names the one before
        except StoreUnavailable:
            raise
        except CheckpointError as error:
            self._readings.say(f"{error.message}; using an older one")
            return False
        self._checkpointer.adopt(restored)
        self.saved_ms = head.saved_ms
        return True
