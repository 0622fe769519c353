"""The end of a history: what a checkpoint is good for, that damage is noticed, and that a recreated topic stops everybody.

Costly, so only some seeds have it. Here things are broken on purpose that no service survives, and what must come is a
refusal. Read oracle.py for what must hold before that.
"""

from stream.build_fold import build_fold
from stream.checkpoints.base import Head
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.heads import digest_of, open_head
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.errors import JournalBroken, LineageChanged, LogMisfit, RecordsGone, Unverified
from stream.records import Entry, decode_journal
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import Recovery
from stream.runtime.task import Task
from tests.harness import KEY
from tests.simulation.lab import settled
from tests.simulation.play import NAME, Play, Process
from tests.simulation.store import Diverged, misled, need

GIVE_UP_ROUNDS = 100
"""Of every worker, after a topic was recreated, until all must have stopped."""


class Audit:
    """Recoveries of one task by somebody who only looks."""

    def __init__(self, play: Play, number: int, task: Task) -> None:
        self.play, self.number = play, number
        self.name = f"{NAME}/{number}"
        self.told = task._lineage
        self.log = task._log._log  # type: ignore[union-attr]
        self.site = Process(play, "auditor")
        self.readings = TaskReadings(number)

    def recover(self) -> Recovery:
        with self.site.playing():
            self.readings = readings = TaskReadings(self.number)
            checkpointer = Checkpointer(
                self.play.shelf, Signer(KEY), self.name, keep=3, on_unverified=readings.say, fork=False,
                admitted=["tests"], processor_time=self.site.monotonic,
            )  # fmt: skip
            log = self.log.open(self.number)
            if log.repeats:
                log.emit = lambda _: None  # who only looks says nothing again
            recovery = Recovery(log, checkpointer, build_fold, self.told, readings)
            for _ in recovery.run():
                pass
            log.close()
        return recovery

    def refused(self, *errors: type[Exception]) -> bool:
        try:
            self.recover()
        except errors:
            return True
        return False

    def usable(self) -> list[Head]:
        """Heads that verify and have all their pieces, newest first."""
        found = []
        stored = self.play.shelf._task(self.name).pieces
        for blob in MemoryStore.heads(self.play.shelf, self.name):
            try:
                head = open_head(blob, Signer(KEY), self.name)
            except Unverified:
                continue
            if all(d in stored and digest_of(stored[d]) == d for chunk in head.chunks for d in chunk.pieces):
                found.append(head)
        return found


def check_end(play: Play) -> None:
    """After everybody stopped well: nothing is left to fold, an older checkpoint will do, and damage is noticed."""
    owners = play.owners()
    assert owners is not None
    swapped = any(action[:2] == ("store", "swap") for action in play.history.actions)
    for number in play.tasks:
        if not swapped:  # a later head in this task's place refuses saves until it is passed (docs/guarantees.md)
            _save(play, number, owners[number])
    if play.history.seed % 3:  # costly
        return
    alone = sum(process is not None and not process.dead for process in play.seats) == 1
    if play.history.seed % 4 == 0:
        if not swapped:  # else what was not saved would be, of a journal that is gone by then
            _recreate(play)
        return
    states = {number: settled(owners[number]._fold) for number in play.tasks}
    play.stop_all()
    audits = {number: Audit(play, number, owners[number]) for number in play.tasks}
    for number, audit in audits.items():
        if alone and play.store_was_well and play.history.delivery == "exactly_once":
            audit.recover()
            need(audit.readings.recovered_records == 0, f"task {number}: after a clean stop something is left to fold")
    for number, audit in audits.items():
        if len(usable := audit.usable()) > 1:
            _lose_the_newest(play, audit, usable)
            need(settled(audit.recover().fold) == states[number], f"task {number}: an older checkpoint, another state")
        _damage(play, audit, number)


def _save(play: Play, number: int, task: Task) -> None:
    """Whatever befell the store: once it is well, the third attempt at the latest has a checkpoint there."""
    process = next(one for one in play.seats if one and one.worker and number in one.worker._living)
    saves = task._saves
    with process.playing():
        for _ in range(3):
            for future in saves.finish(task._fold, task._mark()):
                while not future.done() and process.run_any_job():
                    pass
    newest = max(play.shelf._task(f"{NAME}/{number}").heads, default=-2)
    done = not saves._is_unsaved(task._fold) or newest >= task._place.number - 1
    need(done, f"task {number}: no checkpoint is saved any more")


def _recreate(play: Play) -> None:
    """A topic that is made anew under running workers stops all of them, and whoever comes next."""
    names = sorted(play.broker.topics)
    name = names[play.history.seed // 12 % len(names)]
    left = play.broker.topics[name].partitions
    owners = play.owners() or {}
    audits = [Audit(play, number, owners[number]) for number in play.tasks]
    play.broker.create(name, len(left))
    for number, values in enumerate(play.history.world.streams().get(name, [])):
        if play.history.seed // 12 % 2:  # as many as were there: a position fits
            many = values * 2
            play.broker.append(name, number, many, [b"anew"] * len(many))
    for _ in range(2):
        _give_up(play, name)
        play.broker.pass_time(12.0)
        if name == "journal" and not all(audit.usable() for audit in audits):
            return  # as after a restart: nothing is left that could tell
        play.seat(0)
    play.happened["recreated topic noticed"] += 1


def _give_up(play: Play, name: str) -> None:
    for _ in range(GIVE_UP_ROUNDS):
        left = [process for process in play.seats if process is not None and process.alive()]
        for process in left:
            try:
                process.turn()
                while process.run_any_job():
                    pass
            except Diverged as error:
                if not isinstance(error.__cause__, (LogMisfit, LineageChanged, RecordsGone, JournalBroken)):
                    raise
                process.die()
        if not left:
            return
        play.broker.pass_time(0.2)
    raise Diverged(f"a worker goes on although {name} was recreated")


def _lose_the_newest(play: Play, audit: Audit, usable: list[Head]) -> None:
    """All heads from the newest usable one on can no longer be read, and retention took what only older ones need."""
    heads = play.shelf._task(audit.name).heads
    for position, one in heads.items():
        if position >= usable[0].entry_number:
            one.head = misled(one.head, play.history.seed)
    with audit.site.playing():
        inputs = audit.log._inputs(audit.number)
    for one, position in zip(inputs, usable[1].positions, strict=True):
        partition = play.broker.partition((one.topic, one.partition))
        if sum(input_.topic == one.topic for input_ in inputs) == 1 and len(play.tasks) == 1:
            partition.begin = max(partition.begin, position)
    play.happened["older checkpoint taken"] += 1


def _damage(play: Play, audit: Audit, number: int) -> None:
    """A log that lost or changed what it had acknowledged is never carried on from."""
    journal = play.broker.partition(("journal", number))
    entries = [
        slot for slot in play.broker.committed("journal", number)
        if isinstance(decode_journal(slot.value or b""), Entry)
    ]  # fmt: skip
    kind = play.history.seed // 3 % 3
    if not entries or play.history.delivery != "exactly_once":
        return
    if kind == 0 and (usable := audit.usable()):
        last = max(slot.offset for slot in play.broker.committed("journal", number))
        if usable[0].journal_offset == last:
            del journal.slots[last:]
            need(audit.refused(JournalBroken), f"task {number}: goes on from a checkpoint ahead of the journal")
    elif kind == 1 and len(entries) > 1:
        play.shelf.wipe()
        entries[len(entries) // 2 - 1].control = True
        broken = audit.refused(JournalBroken, RecordsGone)
        need(broken, f"task {number}: goes on although an entry of the journal is gone")
    elif kind == 2 and len(play.tasks) == 1:
        play.shelf.wipe()
        told = [decode_journal(slot.value or b"") for slot in entries]
        spans = [span for one in told if isinstance(one, Entry) for span in one.spans]
        span = spans[play.history.seed % len(spans)]
        one = audit.log._inputs(number)[span.input]
        slot = play.broker.partition((one.topic, one.partition)).slots[span.stop - 1]
        slot.value = (slot.value or b"") + b" "
        need(audit.refused(RecordsGone), f"task {number}: goes on although an applied record was changed")
    else:
        return
    play.happened["damage noticed"] += 1
