"""Where a replay's records come from: files, topics, or a journal's own order. Reading only: it owns nothing, writes nowhere.

A ``Source`` says what is to be replayed, in plain values that a process can be given; ``open_source`` opens it as a
``History``, and that opens a ``Strand`` for each task: its records, in the order in which they are applied. Of several
inputs the order is found as live does it (runtime/merge.py). Topics are in topics.py, the journal in journal.py; how a
file's stream is split over tasks in splitting.py. Read backtest.py next.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from stream.errors import ConfigError
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.clock import Clock
from stream.records import Input, Positions
from stream.replay.bounds import Bounds, Ends, Range, Reads, resolve
from stream.runtime.merge import Decoders, Merge
from stream.transport.base import Fetched
from stream.transport.files import FilesLog
from stream.transport.readers import expand

BATCH = 5000
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Source:
    """What is replayed, as plain values."""

    kind: Literal["files", "kafka", "journal"]
    events: tuple[str, ...] = ()
    """Files, in order."""
    labels: tuple[str, ...] | None = None
    """Files of labels; None when labels have no records of their own."""
    pipeline: str = ""
    """Whose topics, or whose journal."""
    out: str = ""
    """Of a pipeline on files: the directory of its journal."""
    kafka: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of ``KafkaLog`` but the topics; settings in clear."""
    topics: Mapping[str, str | None] = field(default_factory=dict)
    range: Range = field(default_factory=Range)
    tasks: int = 1
    """Over how many tasks files are split."""
    split: str = ""
    """The directory for files that are split."""
    key: str | None = None
    """The field of events that holds their key."""


class Place(NamedTuple):
    """Where a strand is: the next record of each input; of a journal also the next entry, and the offset of the last one."""

    positions: Positions
    number: int = 0
    offset: int = -1


class Piece(NamedTuple):
    """Some records in their order, and where the strand is after them."""

    batch: Batch | RawBatch
    """Its skips are those of a journal, made under ``lineage``."""
    place: Place
    lineage: Mapping[str, Any] | None = None


class Strand(Protocol):
    """One task's records, in order."""

    inputs: tuple[Input, ...]

    def start(self) -> Place: ...

    def pieces(self, place: Place, decoders: Decoders, clock: Clock) -> Iterator[Piece]:
        """From a place on. ``clock`` stands there: how far each input has come decides the order."""
        ...

    def done(self) -> float:
        """The share of it that is read, from 0 to 1; 0 while nobody can say."""
        ...

    def close(self) -> None: ...


class History(Protocol):
    """A source that is open."""

    tasks: tuple[int, ...]

    def identity(self) -> Mapping[str, object]:
        """As a log's: what of the source results depend on."""
        ...

    def bounds(self, decoders: Decoders, tasks: Sequence[int]) -> dict[int, Bounds]:
        """By task, where it begins and ends as of now: a replay that goes on later ends there too."""
        ...

    def strand(self, task: int, bounds: Bounds) -> Strand: ...

    def close(self) -> None: ...


class Ordered:
    """The records of a task's inputs in the order in which live would take them, within bounds.

    Parameters
    ----------
    log : Reads
    bounds : Bounds
    share : callable
        How much is read, where positions do not tell.
    """

    def __init__(self, log: Reads, bounds: Bounds, share: Callable[[], float] = lambda: 0.0) -> None:
        self.inputs = log.inputs
        self._log = log
        self._bounds = bounds
        self._share = share
        self._positions: Positions = bounds.start

    def start(self) -> Place:
        return Place(self._bounds.start)

    def pieces(self, place: Place, decoders: Decoders, clock: Clock) -> Iterator[Piece]:
        """From a place on; see Strand."""
        self._positions = place.positions
        self._log.seek(place.positions)
        ends = Ends(decoders, self._bounds, place.positions)
        if len(self.inputs) > 1:
            yield from self._merged(Merge(ends, place.positions, 4 * BATCH, clock.reaches, clock.jump_max_ms), ends)
            return
        while not ends.all_over:
            (records,) = self._poll(set(), ends).records
            if records.offsets:
                self._positions = (records.offsets[-1] + 1,)
                yield Piece(RawBatch(records), Place(self._positions))

    def _merged(self, merge: Merge, ends: "Ends") -> Iterator[Piece]:
        while not merge.at_end:
            if not merge.full(BATCH):
                merge.add(self._poll(merge.hold(), ends))
            taken = merge.take(BATCH)
            if taken is not None:
                self._positions = taken.positions
                yield Piece(taken.batch, Place(self._positions))

    def _poll(self, held: set[int], ends: "Ends") -> Fetched:
        self._log.hold(held | ends.over)
        return ends.cut(self._log.poll(BATCH, POLL_S))

    def done(self) -> float:
        start, stop = self._bounds.start, self._bounds.size_to
        if not stop:
            return self._share()
        size = sum(end - begun for begun, end in zip(start, stop, strict=False))
        read = sum(at - begun for begun, at, _ in zip(start, self._positions, stop, strict=False))
        return min(read / size, 1.0) if size > 0 else 1.0

    def close(self) -> None:
        self._log.close()


class Files:
    """Files as a history of one task."""

    tasks: tuple[int, ...] = (0,)

    def __init__(self, source: Source) -> None:
        self._range = source.range
        self._log = FilesLog(source.events, source.labels, Path(source.out or "."), source.pipeline)
        self._rows = _rows(expand(source.events))

    def identity(self) -> Mapping[str, object]:
        return self._log.identity()

    def bounds(self, decoders: Decoders, tasks: Sequence[int]) -> dict[int, Bounds]:  # noqa: ARG002 - there is one
        with closing(self._log.open(0)) as log:
            sizes = () if self._rows is None else (self._rows,)
            return {0: resolve(log, self._range, decoders, stop=(None,) * len(log.inputs), size_to=sizes)}

    def strand(self, task: int, bounds: Bounds) -> Strand:
        log = self._log.open(task)
        return Ordered(log, bounds, log.share)

    def close(self) -> None:
        self._log.close()


def _rows(files: Sequence[Path]) -> int | None:
    """How many rows there are, where the files say so without being read."""
    if not all(path.suffix in {".parquet", ".pq"} for path in files):
        return None
    from pyarrow import parquet  # noqa: PLC0415 - only where it is used

    return sum(int(parquet.read_metadata(path).num_rows) for path in files)


def open_source(source: Source) -> History:
    """Raises ConfigError, and what the log raises that does not answer or does not fit."""
    if source.kind == "files":
        if source.tasks > 1:
            from stream.replay.splitting import SplitFiles  # noqa: PLC0415 - only where it is used

            return SplitFiles(source)
        return Files(source)
    if source.tasks > 1:
        raise ConfigError("--tasks is for files: of topics, each partition is a task", "leave it out")
    from stream.replay.journals import open_journal  # noqa: PLC0415 - as above
    from stream.replay.topics import Topics  # noqa: PLC0415 - as above

    return open_journal(source) if source.kind == "journal" else Topics(source)
