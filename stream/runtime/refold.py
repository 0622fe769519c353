"""A task's state from its journal: begun somewhere, then record by record, each checked against the one before.

Claims make entries of former owners void and may change the lineage; entries number densely, and each starts where the last
ended. It only reads: recovery.py takes a task over with it, replay/travel.py looks back with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stream.checkpoints.restored import Restored
from stream.errors import RESTART, JournalBroken, RecordsGone
from stream.pipeline.fold import Build, Fold
from stream.pipeline.learn import LearnFailure
from stream.pipeline.step import Witness
from stream.records import OUTPUTS, Claim, Entry, Outputs, Positions, decode_journal
from stream.runtime.lineages import differences
from stream.runtime.merge import batch_of
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


def first_claim(log: TaskLog) -> Claim | None:
    """With which a journal begins, None when it is empty. Raises RecordsGone when its beginning was deleted."""
    item = next(iter(log.entries(-1)), None)
    record = None if item is None else decode_journal(item.value)
    if record is None or (isinstance(record, Claim) and record.number == (record.origin is not None)):
        return record
    raise RecordsGone(
        f"cannot rebuild: no usable checkpoint, and the journal starts at entry {record.number}, need 0", RESTART
    )


class Refold:
    """``begin`` or ``take_up``, then ``follow``; ``replay`` each entry that comes.

    Attributes
    ----------
    fold : Fold
    place : Place
    token : int
        Of the newest claim: who owned the task at the place.
    lineage : dict
        As of the place.
    changed : bool
        Whether a claim that was followed changed the lineage.
    """

    def __init__(
        self,
        log: TaskLog,
        build: Build,
        lineage: dict[str, object],
        say: Callable[[str], None],
        warm: Warm | None = None,
    ) -> None:
        self._log = log
        self._build = build
        self._say = say
        self._warm = warm
        self.lineage = lineage
        self.token = -1
        self.changed = False
        self.fold: Fold
        self.place: Place

    def begin(self) -> bool:
        """Where the journal does. Returns whether that is the state of a backtest.

        Raises
        ------
        RecordsGone
            The journal's beginning was deleted, or the state that it began with is not at hand.
        """
        claim = first_claim(self._log)
        if claim is None:
            self.fold, self.place = self._build(self.lineage, self._log.inputs), Place(0, self._log.start(), -1)
            return False
        self.lineage = claim.lineage
        if claim.origin is None:
            self.fold = self._build(self.lineage, self._log.inputs)
        else:
            warm = needed(claim.origin, self._warm)
            self.fold, anew = warm.fold(self._build, self.lineage, self._log.inputs)
            self._say(f"begun with the state of {warm.where}; begun anew: {', '.join(anew) or 'nothing'}")
        self.place = Place(claim.number, claim.positions, -1)
        self.fold.state.clock.next_seq.update({name: claim.next_seq.get(name, 0) for name in OUTPUTS})
        return claim.origin is not None

    def take_up(self, restored: Restored) -> None:
        """Begin with a checkpoint. Raises as ``Restored.load``; then nothing is changed."""
        head = restored.head
        fold = self._build(head.lineage, self._log.inputs)
        restored.load(fold.parts())
        self.fold, self.token, self.lineage = fold, head.token, head.lineage
        self.place = Place(head.entry_number + 1, head.positions, head.journal_offset)

    def follow(self) -> Iterator[tuple[int, Entry | None]]:
        """Offsets of the journal's records after the place, to its end as of now; with each entry that is to be replayed.

        Raises
        ------
        JournalBroken
            A claim changes the lineage unasked.
        """
        for item in self._log.entries(self.place.offset + 1 if self.place.offset >= 0 else -1):
            if item.offset <= self.place.offset:
                continue
            record = decode_journal(item.value)
            if isinstance(record, Claim):
                self._claimed(item.offset, record)
            elif record.token != self.token:
                self._say(f"entry {record.number} of token {record.token} is void: {self.token} owned the task")
            else:
                yield item.offset, record
                continue
            yield item.offset, None

    def _claimed(self, offset: int, claim: Claim) -> None:
        self.token = offset
        self.place = Place(self.place.number, self.place.positions, offset)
        if claim.lineage != self.lineage:
            if not claim.accepted:
                changes = "; ".join(differences(self.lineage, claim.lineage))
                raise JournalBroken(
                    f"the claim at journal offset {offset} changes the lineage unasked: {changes}", RESTART
                )
            fold = self._build(claim.lineage, self._log.inputs)
            anew = fold.take_over(self.fold)
            self.fold, self.lineage, self.changed = fold, claim.lineage, True
            self._say("lineage changed as accepted; begun anew: " + (", ".join(anew) or "nothing"))

    def replay(self, offset: int, entry: Entry, witness: Witness | None = None) -> Outputs:
        """Fold an entry that follows the place; what it said.

        Raises
        ------
        RecordsGone
            Its records are not there any more, or are others.
        JournalBroken
            It is not the next one, or does not give again what it gave.
        """
        self._check(offset, entry)
        batch = batch_of(self.fold, entry, self._log.read(entry.spans), len(self._log.inputs))
        try:
            outputs = self.fold.step(batch, witness)
        except LearnFailure as failure:
            raise JournalBroken(f"entry {entry.number} does not replay: {failure}", RESTART) from failure
        for name, seq in entry.first_seq.items():
            if outputs[name].first_seq != seq:  # type: ignore[index]
                raise JournalBroken(f"entry {entry.number} does not replay: {name} starts at another seq", RESTART)
        self.place = Place(entry.number + 1, entry.positions, offset)
        return outputs

    def _check(self, offset: int, entry: Entry) -> None:
        """Whether it follows the place."""
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
