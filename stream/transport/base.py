"""The types at which logs meet the runtime. Kafka, files and memory keep one contract (tests/conformance).

A task's life with its log: ``open`` (reads only), ``last`` and ``entries`` to check the lineage, ``fence`` (from
here on nobody else writes), ``entries`` and ``read`` to recover, ``last_seq`` and ``emit`` for what is missing,
``seek``, then ``poll`` and ``commit`` for ever, ``close``. Read files.py for the simplest one, kafka.py for the real one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.records import Input, OutputName, Outputs, Positions, Records, Span


class Assignment(NamedTuple):
    """Tasks that this worker gained and lost since it last asked."""

    gained: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


class Fetched(NamedTuple):
    """What a poll brought: per input of the task, records in order, and whether that input is now read to its end."""

    records: tuple[Records, ...]
    at_end: tuple[bool, ...]
    passed: Positions = ()
    """Per input, up to where it is read: every record before was brought, or is none. Empty: as far as its records go."""


class JournalItem(NamedTuple):
    """A record of the journal and its place."""

    offset: int
    value: bytes


class TaskLog(Protocol):
    """One task's side of the log: its inputs, its partition of the journal and of the outputs."""

    inputs: tuple[Input, ...]

    @property
    def repeats(self) -> bool:
        """Whether nothing but the journal's order tells owners apart (``at_least_once``): of the newest entry that counts
        some outputs may be missing in the middle, and a former owner may have said more than counts. So it is said again.
        """
        ...

    def last(self) -> JournalItem | None:
        """The newest committed record of the journal, None when there is none. Allowed before ``fence``."""
        ...

    def entries(self, start: int) -> Iterator[JournalItem]:
        """Committed journal records from offset ``start`` (-1: the first there is) to the end as of this call.

        After ``fence`` that end is final but for what this log commits itself. Raises RecordsGone when ``start`` was
        deleted.
        """
        ...

    def fence(self) -> None:
        """End what a predecessor left open; from here on its writes fail. Raises Fenced when no longer assigned."""
        ...

    def start(self) -> Positions:
        """Where each input begins: the first position of a task that has no journal."""
        ...

    def read(self, spans: Sequence[Span]) -> Sequence[Records]:
        """The records of each span again, aligned with ``spans``. Raises RecordsGone (gone, or another CRC)."""
        ...

    def seek(self, positions: Positions) -> None:
        """``poll`` continues here. What was fetched before is forgotten. Raises RecordsGone when out of range."""
        ...

    def hold(self, inputs: set[int]) -> None:
        """Do not read these inputs for now, and all others again: one must not run far ahead of the rest."""
        ...

    def poll(self, limit: int, timeout_s: float) -> Fetched:
        """Up to about ``limit`` records, waiting up to ``timeout_s`` for the first one. Raises RecordsGone, LogUnavailable."""
        ...

    def commit(self, entry: bytes, outputs: Outputs, positions: Positions) -> int:
        """All or nothing: the journal entry, acknowledged before any output, the outputs, the inputs' positions.

        A claim is an entry without outputs. Called from the task's thread, one at a time, also while ``poll`` runs.

        Returns
        -------
        int
            The entry's offset in the journal.

        Raises
        ------
        Fenced, InDoubt, OutputTooLarge, LogUnavailable
            After any of them the task recovers from the journal before it commits again.
        """
        ...

    def emit(self, outputs: Outputs) -> None:
        """Outputs of an entry that is in the journal already, that were found missing. Raises as ``commit``."""
        ...

    def last_seq(self) -> Mapping[OutputName, int]:
        """The largest committed ``seq`` of each output in this task's partition, -1 when there never was one.

        An output is absent when all its records were deleted: what was there is not missing.
        """
        ...

    def lag(self) -> Mapping[str, int]:
        """Records known to be in each input (``topic/partition``) and not yet polled; from memory, never a request."""
        ...

    def close(self) -> None:
        """Let go of everything; idempotent. What was not committed is not written."""
        ...


class Log(Protocol):
    """One worker's side of the log: which tasks it owns."""

    def assignment(self, timeout_s: float) -> Assignment:
        """Changes since the last call; waits up to ``timeout_s``. To be called often: it also keeps the group alive."""
        ...

    def open(self, task: int) -> TaskLog:
        """A log for an assigned task; reads only until ``fence``. May be called from a task's thread."""
        ...

    def identity(self) -> Mapping[str, object]:
        """What of the log results depend on: topic ids and partition counts; part of the lineage."""
        ...

    def close(self) -> None:
        """Leave the group; idempotent."""
        ...
