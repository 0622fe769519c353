"""Plays a history: processes with the real worker in them, over the fake Kafka and a moody store, in virtual time.

One thing happens at a time. A process gives way only where it touches log or store: there it may end (``Crash``), be
frozen while the others act, or have its request spoiled. Work for other threads waits until the history runs it. What
must hold afterwards is oracle.py's.
"""

import dataclasses
import json
import random
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from stream.build_fold import lineage
from stream.checkpoints.heads import open_head
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.records import OUTPUTS, Entry, decode_journal
from stream.runtime.task import Task
from stream.transport.kafka import KafkaLog
from stream.transport.memory import Crash
from tests.harness import KEY
from tests.simulation.broker import Broker, Partition, Transaction
from tests.simulation.history import Action, History
from tests.simulation.process import NAME, Process
from tests.simulation.site import Here
from tests.simulation.store import Diverged, Shelf, need

DEPTH_MAX = 3
ROUNDS_MAX = 3000
"""Of every process, with all faults over, until everything must be folded."""


class Play:
    """One history, from its beginning to the moment when everything is folded."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.settings = history.world.settings
        self.chance = random.Random(history.seed * 7919 + 1)
        self.beside = random.Random(history.seed * 7919 + 2)
        self.happened: Counter[str] = Counter()
        self.tasks = range(len(history.world.events))
        streams = history.world.streams()
        counts = {name: len(partitions) for name, partitions in streams.items()}
        outputs = dict.fromkeys(("predictions", "alarms", "rejects", "journal"), len(self.tasks))
        self.broker = Broker(counts | outputs)
        self.broker.happened = lambda what: self.happened.update([what])
        self.broker.check_commit = self.check_commit
        self.shelf = Shelf()
        self.outage_until = 0.0
        self.left = {
            (name, number): deque(values) for name, parts in streams.items() for number, values in enumerate(parts)
        }
        self.processes: list[Process] = []
        self.seats: list[Process | None] = [None] * history.workers
        self.counts: Counter[str] = Counter()
        self.depth = 0
        self.partly: tuple[Process, ...] = ()
        """Processes one of whose threads is held while the others work on."""
        self.calm = False
        self.actions: Iterator[Action] = iter(history.actions)
        self._lineage: dict[str, str] = {}
        self.foreign: dict[tuple[str, int], tuple[int, str]] = {}
        """Of each input, a foreign producer whose transaction is open, and how it is to end."""
        self.restarted: dict[tuple[str, int], int] = {}
        """Where each output ended when the journal was begun anew."""

    def lineage(self, identity: Mapping[str, object]) -> dict[str, object]:
        """As each worker makes its own; asking for versions takes longer than everything else in a start."""
        key = json.dumps(identity)
        if key not in self._lineage:
            self._lineage[key] = json.dumps(lineage(self.settings, identity))
        plain: dict[str, object] = json.loads(self._lineage[key])
        return plain

    def run(self) -> None:
        """All actions, then everything is well and the rest is folded. Raises Diverged."""
        if self.history.fed:
            self.feed_all()
        for action in self.actions:
            self.act(action)
        self.settle()

    # --- what happens to a process where it touches log or store

    def touch(self, process: Process, what: str) -> str | None:
        if self.calm:
            return None
        self.counts[what] += 1
        self.counts[""] += 1
        faults = self.history.faults
        fault = faults.get(("", self.counts[""])) or faults.get((what, self.counts[what]))
        if fault is None:
            return None
        kind = fault[0]
        self.happened[
            f"{kind} ({what})" if what.startswith("store") or kind not in {"crash", "freeze", "meanwhile"} else kind
        ] += 1
        if kind == "crash":
            process.die()
            raise Crash
        if kind == "jobs":  # its other threads go on
            for _ in range(fault[1]):
                process.run_any_job()
            return None
        if kind in {"freeze", "meanwhile"}:
            if self.depth < DEPTH_MAX:
                self._aside(process, fault)
            if process.dead:
                raise Crash
            return None
        return str(kind)

    def _aside(self, process: Process, fault: tuple[Any, ...]) -> None:
        """The others act while this process, or only this thread of it, stands still."""
        self.depth += 1
        site = Here.site
        partly = self.partly
        try:
            if fault[0] == "freeze":
                was, process.frozen = process.frozen, True
                self.broker.pass_time(fault[1])
                self._some_actions(fault[2])
                process.frozen = was
                process.deaf_until = self.broker.now + (fault[3] if len(fault) > 3 else 0.0)
            else:
                self.partly = (*partly, process)
                self._some_actions(fault[1])
        finally:
            self.partly = partly
            self.depth -= 1
            Here.site = site

    def _some_actions(self, count: int) -> None:
        for _ in range(count):
            action = next(self.actions, None)
            if action is None:
                return
            self.act(action)

    # --- actions

    def act(self, action: Action) -> None:
        self.happened[f"action {action[0]}"] += 1
        getattr(self, "do_" + action[0].replace(" ", "_"))(*action[1:])

    def seat(self, which: int) -> Process | None:
        """The process at this seat, started when there is none; None when it is frozen."""
        which %= len(self.seats)
        process = self.seats[which]
        if process is None or process.dead:
            process = Process(self, f"worker-{which}-{len(self.processes)}")
            self.seats[which] = process
            self.processes.append(process)
            process.start()
        return None if process.frozen or process.dead else process

    def do_turn(self, which: int, count: int) -> None:
        process = self.seat(which)
        for _ in range(count):
            if process is not None and process.alive():
                process.turn()
                while process.alive() and self.chance.randrange(4) and process.run_any_job():
                    pass

    def do_jobs(self, which: int, count: int) -> None:
        process = self.seats[which % len(self.seats)]
        for _ in range(count):
            if process is not None and process.alive():
                process.run_any_job()

    def do_feed(self, which: int, count: int) -> None:
        keys = [key for key, values in self.left.items() if values]
        if keys:
            self.feed(keys[which % len(keys)], count)

    def feed(self, key: tuple[str, int], count: int) -> None:
        values = self.left[key]
        partition = self.broker.partition(key)
        for _ in range(min(count, len(values))):
            number = sum(not slot.control for slot in partition.slots)
            self.broker.append(*key, [values.popleft()], [b"key-%d" % number])

    def feed_all(self) -> None:
        for key, values in self.left.items():
            self.feed(key, len(values))

    def do_gap(self, which: int) -> None:
        keys = list(self.left)
        if not self.history.fed:
            self.broker.gap(*keys[which % len(keys)])

    def do_foreign(self, which: int, count: int, outcome: str) -> None:
        """A producer with transactions: one is open until its next, and ends in ``outcome``. What is aborted was never there."""
        keys = list(self.left)
        key = keys[which % len(keys)]
        if key in self.foreign:
            self.end_foreign(key)
            return
        values = list(self.left[key])[:count]
        if outcome == "aborted":
            values = [(value or b"?").replace(b'"id":"', b'"id":"aborted-') for value in values] or [b"?"]
        elif self.history.fed:
            return
        else:
            for _ in values:
                self.left[key].popleft()
        self.happened[f"foreign transaction {outcome}"] += 1
        producer = self.broker.append_open(key, values, [b"foreign"] * len(values))
        self.foreign[key] = producer, outcome
        if self.history.fed:
            self.end_foreign(key)

    def end_foreign(self, key: tuple[str, int]) -> None:
        producer, outcome = self.foreign.pop(key)
        self.broker.partition(key).mark(producer, 0, outcome)

    def do_mute(self, which: int, seconds: float) -> None:
        """One partition's leader is away."""
        keys = list(self.left)
        self.broker.muted[keys[which % len(keys)]] = self.broker.now + seconds

    def do_restart(self) -> None:
        """``headrace restart``: with all workers gone, checkpoints are removed, and the journal is a new topic. Outputs stay."""
        for process in self.processes:
            if not process.dead:
                process.die()
        self.broker.pass_time(12.0)  # the group forgets them
        if self.shelf.away or self.broker.now < self.outage_until:
            return  # it fails, and says so
        for task in self.tasks:
            self.shelf.clear(f"{NAME}/{task}")
        self.broker.create("journal", len(self.tasks))
        self.restarted = {
            (name, task): self.broker.partition((name, task)).end for name in OUTPUTS for task in self.tasks
        }
        self.happened["restarted"] += 1

    def do_trim(self, which: int) -> None:
        """Retention takes of an input what lies before all checkpoints, and the markers behind it that are journaled as passed.

        Nothing ever befalls the store in such a history.
        """
        keys = list(self.left)
        topic, partition = keys[which % len(keys)]
        shared = self.settings.labels is not None and self.settings.labels.partitioning == "broadcast"
        oldest: list[int] = []
        passed: list[int] = []
        for task in self.tasks if topic == "labels" and shared else (partition,):
            heads = [
                open_head(blob, Signer(KEY), f"{NAME}/{task}")
                for blob in MemoryStore.heads(self.shelf, f"{NAME}/{task}")
            ]
            place = 0 if topic == "events" else 1 + partition * shared
            oldest.append(min((head.positions[place] for head in heads), default=0))
            journal = self.broker.committed("journal", task)
            passed.append(decode_journal(journal[-1].value or b"").positions[place] if journal else 0)
        one = self.broker.partition((topic, partition))
        until = min(oldest)
        while self.history.delivery == "exactly_once" and until < min(passed) and one.slots[until].void:
            until += 1
            self.happened["marker trimmed"] += 1
        if until > one.begin:
            one.begin = until
            self.happened["trimmed"] += 1

    def do_time(self, seconds: float) -> None:
        self.broker.pass_time(seconds)

    def do_kill(self, which: int) -> None:
        process = self.seats[which % len(self.seats)]
        if process is not None and not process.dead:
            process.die()

    def do_stop(self, which: int) -> None:
        process = self.seats[which % len(self.seats)]
        if process is not None and process.worker is not None:
            process.worker.stop()

    def do_freeze(self, which: int, seconds: float, count: int) -> None:
        """A zombie is made: the others go on meanwhile."""
        process = self.seats[which % len(self.seats)]
        if process is None or process.dead or process.frozen or self.depth >= DEPTH_MAX:
            return
        self._aside(process, ("freeze", seconds, count))

    def do_rebalance(self, turn: int) -> None:
        for group in self.broker.groups.values():
            group.turn += turn
            group.rebalance()

    def do_cut_off(self, which: int, seconds: float) -> None:
        process = self.seats[which % len(self.seats)]
        if process is not None:
            process.cut_until = self.broker.now + seconds

    def do_outage(self, _: int, seconds: float) -> None:
        self.outage_until = self.broker.now + seconds

    def do_slow_markers(self, seconds: float) -> None:
        self.broker.slow_markers_s = seconds

    def do_store(self, what: str, which: int) -> None:
        if what == "go back" and self.restarted and not all(map(self._has_entries, self.tasks)):
            return  # a journal without entries would look like one that was emptied: a refusal (docs/guarantees.md)
        self.happened[f"store {what}"] += 1
        if what in {"away", "back"}:
            self.shelf.away = what == "away"
        elif what in {"evict", "rot"}:
            getattr(self.shelf, what)(which)
        else:
            getattr(self.shelf, what.replace(" ", "_"))()

    def _has_entries(self, number: int) -> bool:
        return any(isinstance(decode_journal(slot.value), Entry) for slot in self.broker.committed("journal", number))

    # --- the end

    def settle(self) -> None:
        """No more faults: all that is left is fed, whoever lives works on, and everything must come to its end."""
        self.calm = True
        self.shelf.away = False
        self.outage_until = self.broker.slow_markers_s = 0.0
        self.broker.muted.clear()
        for key in list(self.foreign):
            self.end_foreign(key)
        for process in self.processes:
            process.cut_until = process.deaf_until = 0.0
        self.feed_all()
        settled_at = self._entries()
        self.happened["entries under faults"] += settled_at
        self.broker.pass_time(2.0)  # what was decided is written everywhere
        for round_ in range(ROUNDS_MAX):
            self.seat(0)
            for process in self.seats:
                if process is not None and process.alive():
                    self._hurry(process)
                    process.turn()
                    while process.run_any_job():
                        pass
            self.broker.pass_time(0.05 if round_ < 10 else 0.5)
            if self.owners() is not None:
                self.happened["entries at the end"] += self._entries() - settled_at
                return
        told = [
            (p.name, {n: one.task.readings for n, one in p.worker._living.items()}) for p in self.processes if p.worker
        ]
        raise Diverged(f"it never came to its end: {told}")

    def _entries(self) -> int:
        """Journal records so far, whatever became of them."""
        return sum(not one.control for part in self.broker.topics["journal"].partitions for one in part.slots)

    @staticmethod
    def _hurry(process: Process) -> None:
        """What is left is not worth small batches."""
        for living in process.worker._living.values() if process.worker is not None else ():
            living.task._settings = dataclasses.replace(living.task._settings, batch_records=100)

    def owners(self) -> dict[int, Task] | None:
        """Who has each task, when all of them are folded to their end."""
        found: dict[int, Task] = {}
        for process in self.seats:
            if process is None or process.worker is None or process.log is None:
                continue
            for number, living in process.worker._living.items():
                if (
                    living.task.at_end
                    and process.log.owns(number)
                    and all(
                        position >= self._last(one.topic, one.partition)
                        for one, position in zip(living.task._log.inputs, living.task._place.positions, strict=True)  # type: ignore[union-attr]
                    )
                ):
                    found[number] = living.task
        return found if len(found) == len(self.tasks) else None

    def _last(self, topic: str, partition: int) -> int:
        slots: list[Any] = self.broker.partition((topic, partition)).slots
        there = (one for one in slots if not one.void and (one.share is None or one.share.outcome == "committed"))
        return max((slot.offset + 1 for slot in there), default=0)

    # --- what must hold at every moment

    @property
    def store_was_well(self) -> bool:
        """Whether nothing befell the store but that it was away."""
        spoilt = any(
            action[0] == "store" and action[1] not in {"away", "back", "remember"} for action in self.history.actions
        )
        return not spoilt and not any(name.startswith("store") for name, _ in self.history.faults)

    def stop_all(self) -> None:
        """All workers are told to stop, and do."""
        for process in self.seats:
            if process is not None and process.worker is not None:
                process.worker.stop()
        for _ in range(ROUNDS_MAX):
            left = [process for process in self.seats if process is not None and process.alive()]
            if not left:
                return
            for process in left:
                process.turn()
                while process.run_any_job():
                    pass
        raise Diverged("a worker that was told to stop never did")

    def begins(self, process: Process, name: str) -> None:
        """Who was told that it lost a task begins no transaction for it."""
        if process.log is not None:
            need(process.log.owns(int(name.rpartition("-")[2])), f"{process.name} writes for a task that it lost")

    def check_commit(self, known: Transaction) -> None:
        """A journal record is committed by its writer only together with offsets, which the group has checked."""
        journaled = any(topic == "journal" for topic, _ in known.places)
        need(known.offsets or not journaled, "a journal record was committed without offsets")

    def check_head(self, log: KafkaLog, name: str, blob: bytes) -> None:
        """A checkpoint is of an entry that is committed, and says where that is."""
        task = int(name.rpartition("/")[2])
        head = open_head(blob, Signer(KEY), name)
        journal: Partition = self.broker.partition(("journal", task))
        slot = journal.slots[head.journal_offset] if head.journal_offset < journal.end else None
        if slot is None or slot.control or slot.value is None:
            raise Diverged(f"a checkpoint of journal offset {head.journal_offset}, where there is nothing")
        known = self.broker.transactions.get(log.transactional_id(task))
        decided = known is not None and known.state == "prepared commit"
        if slot.share is not None and slot.share.outcome != "committed" and not decided:
            raise Diverged(f"a checkpoint of journal offset {head.journal_offset}, which is {slot.share.outcome}")
        record = decode_journal(slot.value)
        if not isinstance(record, Entry) and self.history.delivery == "at_least_once":
            return  # a claim may have been misled by what a zombie wrote in vain
        if head.entry_number != record.number - (not isinstance(record, Entry)) or head.positions != record.positions:
            raise Diverged(f"a checkpoint of entry {head.entry_number} says journal offset {head.journal_offset}")
