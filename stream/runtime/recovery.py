"""From a checkpoint and the journal to the state that would have been, had nothing ever failed.

The newest checkpoint that verifies, then the journal after it, folded in silence, then every output that is missing.
Entries number densely and each starts where the last ended; anything else stops here, saying what is missing. A change
of lineage that an operator accepted stands in the journal, so it is folded like everything else. Read task.py before.
"""

from collections.abc import Generator
from dataclasses import dataclass

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.restored import Restored
from stream.errors import (
    RESHARD,
    RESTART,
    CheckpointError,
    JournalBroken,
    LineageChanged,
    RecordsGone,
    StoreUnavailable,
    Unverified,
)
from stream.pipeline.fold import Build, Fold
from stream.pipeline.learn import LearnFailure
from stream.records import OUTPUTS, Claim, Entry, Outputs, Positions, decode_journal
from stream.runtime.merge import batch_of
from stream.runtime.readings import TaskReadings
from stream.runtime.warm import Warm, needed
from stream.transport.base import JournalItem, TaskLog


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is: the number of the next entry, the positions before it, the journal offset of the last record."""

    number: int
    positions: Positions
    offset: int

    @classmethod
    def at(cls, last: JournalItem | None, start: Positions) -> "Place":
        """After the last record of the journal."""
        if last is None:
            return cls(0, start, -1)
        record = decode_journal(last.value)
        return cls(record.number + isinstance(record, Entry), record.positions, last.offset)


def token_of(item: JournalItem) -> int:
    """Under which token a journal record was written."""
    record = decode_journal(item.value)
    return item.offset if isinstance(record, Claim) else record.token


def newest_claim(log: TaskLog) -> Claim | None:
    """The claim that the journal's last entry was written under, None when it is no longer there."""
    item = log.last()
    if item is None:
        return None
    record = decode_journal(item.value)
    if isinstance(record, Claim):
        return record
    try:
        first = next(iter(log.entries(record.token)), None)
    except RecordsGone:
        return None
    claim = decode_journal(first.value) if first is not None and first.offset == record.token else None
    return claim if isinstance(claim, Claim) else None


def first_claim(log: TaskLog) -> Claim | None:
    """With which a journal begins, None when it is empty. Raises RecordsGone when its beginning was deleted."""
    item = next(iter(log.entries(-1)), None)
    record = None if item is None else decode_journal(item.value)
    if record is None or (isinstance(record, Claim) and record.number == (record.origin is not None)):
        return record
    raise RecordsGone(
        f"cannot rebuild: no usable checkpoint, and the journal starts at entry {record.number}, need 0", RESTART
    )


def check_lineage(claim: Claim | None, lineage: dict[str, object], *, accept: bool) -> None:
    """Raise LineageChanged, with the difference, when the journal was made by another lineage."""
    if claim is None or claim.lineage == lineage:
        return
    changes = list(differences(claim.lineage, lineage))
    lost = [line for line in changes if line.startswith("log.")]
    if lost:
        other = "a topic was recreated, renamed or has other partitions, or a file was changed"
        if any(line.startswith(("log.partitions:", "log.label_partitions:")) for line in lost):
            other = RESHARD
        raise LineageChanged(
            "the inputs are not those that this pipeline's journal tells of:\n    " + "\n    ".join(lost),
            f"{other}; {RESTART}",
        )
    if not accept:
        told = [line.removeprefix("answers.") for line in changes]  # settings by the names that stand in the file
        raise LineageChanged(
            "this would give other answers than those in the journal:\n    " + "\n    ".join(told),
            "go back to the former settings, or `headrace run --accept-lineage CONFIG` to go on with the new ones: "
            "what is unchanged keeps its state, and the change is journaled",
        )


def differences(old: object, new: object, at: str = "") -> Generator[str, None, None]:
    """Lines that say what differs between two plain values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif old != new:
        yield f"{at}: {_short(old)} -> {_short(new)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


class Recovery:
    """One recovery. After ``run`` there are ``fold`` and ``place``."""

    def __init__(
        self, log: TaskLog, checkpointer: Checkpointer, build: Build, lineage: dict[str, object],
        readings: TaskReadings, *, without_store: bool = False, warm: Warm | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._checkpointer = checkpointer
        self._build = build
        self._lineage = lineage
        self._readings = readings
        self._without_store = without_store
        self._warm = warm
        self.token = -1
        """Of the newest claim: who owned the task at the place."""
        self.fold: Fold
        self.place: Place
        self.saved_ms: int | None = None
        """When the checkpoint that was taken up was saved."""
        self.from_history = False
        """Whether it began with the state of a backtest, which is no checkpoint of ours yet."""

    def run(self) -> Generator[None, None, None]:
        """Raises RecordsGone, JournalBroken, LineageChanged, and what emitting raises."""
        repeats = self._log.repeats
        said = {} if repeats else self._log.last_seq()
        newest: Outputs = {}
        self._restore()
        for item in self._journal():
            record = decode_journal(item.value)
            if isinstance(record, Claim):
                self._claimed(item.offset, record)
            elif record.token != self.token:
                self._readings.say(
                    f"entry {record.number} of token {record.token} is void: {self.token} owned the task"
                )
            else:
                newest = outputs = self._replay(item.offset, record)
                missing = {name: rest for name, seq in said.items() if len(rest := outputs[name].after(seq))}
                if missing:
                    self._readings.say(f"outputs of entry {record.number} were missing and are emitted")
                    self._log.emit(missing)
            yield
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
        self._fresh()

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
        fold = self._build(head.lineage, self._log.inputs)
        try:
            restored.load(fold.parts())
        except Unverified:
            return False  # the checkpointer says so, and names the one before
        except StoreUnavailable:
            raise
        except CheckpointError as error:
            self._readings.say(f"{error.message}; using an older one")
            return False
        self._checkpointer.adopt(restored)
        self.fold, self.token, self.saved_ms = fold, head.token, head.saved_ms
        self.place = Place(head.entry_number + 1, head.positions, head.journal_offset)
        self._lineage_now = head.lineage
        return True

    def _fresh(self) -> None:
        claim = first_claim(self._log)
        self._lineage_now = self._lineage if claim is None else claim.lineage
        if claim is None:
            self.fold, self.place = self._build(self._lineage_now, self._log.inputs), Place(0, self._log.start(), -1)
            return
        if claim.origin is None:
            self.fold = self._build(self._lineage_now, self._log.inputs)
        else:
            warm, self.from_history = needed(claim.origin, self._warm), True
            self.fold, anew = warm.fold(self._build, self._lineage_now, self._log.inputs)
            self._readings.say(f"begun with the state of {warm.where}; begun anew: {', '.join(anew) or 'nothing'}")
        self.place = Place(claim.number, claim.positions, -1)
        self.fold.state.clock.next_seq.update({name: claim.next_seq.get(name, 0) for name in OUTPUTS})

    def _journal(self) -> Generator[JournalItem, None, None]:
        """Journal records after the place."""
        for item in self._log.entries(self.place.offset + 1 if self.place.offset >= 0 else -1):
            if item.offset > self.place.offset:
                yield item

    def _claimed(self, offset: int, claim: Claim) -> None:
        self.token = offset
        self.place = Place(self.place.number, self.place.positions, offset)
        if claim.lineage != self._lineage_now:
            if not claim.accepted:
                changes = "; ".join(differences(self._lineage_now, claim.lineage))
                raise JournalBroken(
                    f"the claim at journal offset {offset} changes the lineage unasked: {changes}", RESTART
                )
            fold = self._build(claim.lineage, self._log.inputs)
            anew = fold.take_over(self.fold)
            self.fold, self._lineage_now = fold, claim.lineage
            self._checkpointer.forget()  # parts of another shape: the next checkpoint is whole, and soon
            self._readings.say("lineage changed as accepted; begun anew: " + (", ".join(anew) or "nothing"))

    def _replay(self, offset: int, entry: Entry) -> Outputs:
        place = self.place
        if entry.number != place.number:
            raise JournalBroken(
                f"journal offset {offset}: entry {entry.number} follows entry {place.number - 1}", RESTART
            )
        for span in entry.spans:
            if span.start < place.positions[span.input]:
                raise JournalBroken(
                    f"entry {entry.number} takes offset {span.start} of input {span.input} again "
                    f"(next is {place.positions[span.input]})",
                    RESTART,
                )
        batch = batch_of(self.fold, entry, self._log.read(entry.spans), len(self._log.inputs))
        try:
            outputs = self.fold.step(batch)
        except LearnFailure as failure:
            raise JournalBroken(f"entry {entry.number} does not replay: {failure}", RESTART) from failure
        for name, seq in entry.first_seq.items():
            if outputs[name].first_seq != seq:  # type: ignore[index]
                raise JournalBroken(f"entry {entry.number} does not replay: {name} starts at another seq", RESTART)
        self.place = Place(entry.number + 1, entry.positions, offset)
        self._readings.recovered_records += sum(span.count for span in entry.spans)
        return outputs
