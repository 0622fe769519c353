"""A pipeline in memory, and its history as those see it who look back."""

from collections.abc import Sequence

from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.signing import Signer
from stream.records import OUTPUTS, OutputName, OutputRecords
from stream.replay.travel import Travel
from stream.transport.memory import MemoryBroker, MemoryLog, OutputRecord
from stream.transport.outputs import Stretch, formed
from tests.harness import KEY, Service, config, dumps

HOUR = 3_600_000


class MemoryOutput:
    """Records of an output in memory as an ``OutputReader``; ``before`` of them were deleted by retention."""

    def __init__(self, records: Sequence[OutputRecord], before: int = 0) -> None:
        self.where, self.trimmed = "memory", before > 0
        self._records, self._before = records, before
        self.end = len(records)
        self._at = before

    def seek(self, seq: int) -> None:
        self._at = self._before

    def take(self, limit: int, wait_s: float = 0.0) -> Stretch:
        taken = self._records[self._at : self._at + limit]
        offsets = list(range(self._at, self._at + len(taken)))
        self._at += len(taken)
        return Stretch(
            offsets, [one.seq for one in taken], [one.key for one in taken], [one.value for one in taken],
            [dict(one.headers) for one in taken],
        )  # fmt: skip

    def form(self, out: OutputRecords) -> Stretch:
        return formed(out.first_seq, out.keys, out.values, out.headers or [{}] * len(out))

    def close(self) -> None:
        pass


def write(broker: MemoryBroker, first: int, last: int, *, label_after: int = 10) -> None:
    """Events, an hour apart; labels some events later; now and then a duplicate and one that is refused."""
    events = []
    for i in range(first, last):
        events.append(
            {
                "id": f"e{i}",
                "card": f"c{i % 3}",
                "time": i * HOUR,
                "a": (i * 37 % 11) - (5.0 if i < 60 else -4.0),
                "b": float(i % 3),
            }
        )
        if i % 20 == 5:
            events.append(events[-1])
        if i % 20 == 7:
            events.append({"id": f"bad{i}", "card": "c", "time": i * HOUR, "a": "much", "b": 1.0})
    labels = [
        {"id": f"e{i}", "y": i % 4 < 2, "time": (i + label_after) * HOUR}
        for i in range(max(first - label_after, 0), last - label_after)
    ]
    broker.append("events", dumps(events))
    broker.append("labels", dumps(labels))


def service(count: int = 100, **changes: object) -> Service:
    """One that has folded so many events; batches of seven, a checkpoint every forty records."""
    broker = MemoryBroker({"events": 1, "labels": 1})
    write(broker, 0, count)
    made = Service(config(**changes), broker, MemoryStore(), batch_records=7, checkpoint_records=40)
    made.run()
    return made


def travel(of: Service, said: list[str] | None = None, *, store: bool = True, task: int = 0) -> Travel:
    """One of its tasks, not begun."""
    topics = of.config.topics()
    log = MemoryLog(of.broker, of.config.name, topics["events"], topics.get("labels"))
    told = said if said is not None else []
    checkpointer = Checkpointer(
        of.store, Signer(KEY), f"{of.config.name}/{task}", keep=3, on_unverified=told.append, fork=False
    )
    return Travel(
        log.open(task), checkpointer if store else None, build_fold, lineage(of.config, log.identity()), told.append
    )


def readers(of: Service, *, task: int = 0, **before: int) -> dict[OutputName, MemoryOutput]:
    """Its outputs; of those named, so many were deleted."""
    return {name: MemoryOutput(of.raw(name, task), before.get(name, 0)) for name in OUTPUTS}
