"""A journal as a history: the records that a service applied, in the very order in which it did.

Claims are passed over: a backtest folds everything under its own configuration, whatever lineage an operator accepted on
the way. Entries that a former owner wrote under a token that was no longer the newest are void, as in a recovery.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.errors import ConfigError, JournalBroken
from stream.pipeline.clock import Clock
from stream.records import Claim, Entry, decode_journal
from stream.replay.bounds import Bounds
from stream.replay.sources import History, Piece, Place, Source, Strand
from stream.runtime.merge import Decoders, batch_of
from stream.transport.base import Log, TaskLog
from stream.transport.files import FilesLog


def open_journal(source: Source) -> History:
    """Raises ConfigError, and what the log raises."""
    span = source.range
    if any(bound is not None for bound in (span.from_ms, span.to_ms, span.from_offset, span.to_offset)):
        raise ConfigError(
            "a journal is replayed from its beginning: its order is that of a state which began there",
            "leave --from and --to out, or replay the inputs themselves",
        )
    if source.kafka:
        from stream.replay.topics import open_topics  # noqa: PLC0415 - librdkafka only where it is used

        log = open_topics(source)
        return Journal(log, tuple(range(log.partitions)))
    return Journal(FilesLog(source.events, source.labels, Path(source.out), source.pipeline), (0,))


class Journal:
    """All tasks' journals of a pipeline."""

    def __init__(self, log: Log, tasks: tuple[int, ...]) -> None:
        self._log = log
        self.tasks = tasks

    def identity(self) -> Mapping[str, object]:
        return self._log.identity()

    def bounds(self, decoders: Decoders, tasks: Sequence[int]) -> dict[int, Bounds]:  # noqa: ARG002 - entries name their records
        found = {}
        for task in tasks:
            log = self._log.open(task)
            try:
                last = log.last()
                first = next(iter(log.entries(-1)), None)
                claim = None if first is None else decode_journal(first.value)
            finally:
                log.close()
            if last is None or not isinstance(claim, Claim):
                raise ConfigError(
                    f"task {task} has no journal: nothing was applied yet, or its beginning was deleted",
                    "replay the inputs themselves: leave `--source journal` out",
                )
            if claim.origin is not None:
                raise ConfigError(
                    f"the journal of task {task} begins with the state of a backtest, which another configuration has not",
                    "replay the inputs themselves: leave `--source journal` out",
                )
            reached = decode_journal(last.value).positions
            # a journal's own end stands behind the inputs'
            found[task] = Bounds(claim.positions, (*[None] * len(reached), last.offset), size_to=reached)
        return found

    def strand(self, task: int, bounds: Bounds) -> Strand:
        return JournalStrand(self._log.open(task), bounds)

    def close(self) -> None:
        self._log.close()


class JournalStrand:
    """One task's journal and its inputs."""

    def __init__(self, log: TaskLog, bounds: Bounds) -> None:
        self.inputs = log.inputs
        self._log = log
        self._bounds = bounds
        self._place = self.start()

    def start(self) -> Place:
        return Place(self._bounds.start)

    def pieces(self, place: Place, decoders: Decoders, clock: Clock) -> Iterator[Piece]:  # noqa: ARG002 - the order is a fact
        """See Strand. Raises JournalBroken where entries do not follow one another, RecordsGone where their records are gone."""
        lineage, token = self._standing(place)
        end = self._bounds.stop[-1] or 0
        for item in self._log.entries(place.offset + 1 if place.offset >= 0 else -1):
            if item.offset > end:
                return
            record = decode_journal(item.value)
            if isinstance(record, Claim):
                lineage, token = record.lineage, item.offset
                continue
            if record.token != token:
                continue
            self._check(record, item.offset, place)
            batch = batch_of(decoders, record, self._log.read(record.spans), len(self.inputs))
            place = self._place = Place(record.positions, record.number + 1, item.offset)
            yield Piece(batch, place, lineage)

    def _standing(self, place: Place) -> tuple[Mapping[str, Any], int]:
        """The lineage and token as of a place: of the newest claim before it."""
        lineage: Mapping[str, Any] = {}
        token = -1
        if place.offset < 0:
            return lineage, token
        for item in self._log.entries(place.offset):
            record = decode_journal(item.value)
            token = item.offset if isinstance(record, Claim) else record.token
            break
        for item in self._log.entries(token):
            record = decode_journal(item.value)
            if isinstance(record, Claim):
                lineage = record.lineage
            break
        return lineage, token

    def _check(self, entry: Entry, offset: int, place: Place) -> None:
        if entry.number != place.number:
            raise JournalBroken(
                f"journal offset {offset}: entry {entry.number} follows entry {place.number - 1}",
                "replay the inputs themselves: leave `--source journal` out",
            )

    def done(self) -> float:
        size = sum(self._bounds.size_to) - sum(self._bounds.start)
        return (sum(self._place.positions) - sum(self._bounds.start)) / size if size > 0 else 1.0

    def close(self) -> None:
        self._log.close()
