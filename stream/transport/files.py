"""Files as a log: events and labels from files, outputs and journal in a directory. One task, number 0.

It keeps Kafka's contract: all or nothing, one owner, the same records again. ``out/`` holds ``predictions.jsonl``,
``alarms.jsonl``, ``rejects.jsonl`` (``seq`` is a line's number, from 0), ``journal`` (an entry's offset is its line's
number) and ``lock``. Not here: files that still grow. Read ledger.py for how a batch is written, readers.py for how files
are read.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from weakref import WeakSet

import orjson

from stream.errors import Fenced, InDoubt, JournalBroken, LogError
from stream.records import OUTPUTS, Input, OutputName, OutputRecords, Outputs, Positions, Records, Span
from stream.transport.base import Assignment, Fetched, JournalItem
from stream.transport.ledger import Ledger, Lock
from stream.transport.readers import Cursor, FileSet, expand
from stream.transport.spans import check_span


class FilesLog:
    """One worker's side of a log made of files.

    Parameters
    ----------
    events
        Files, patterns or directories, in order (see readers.py).
    labels
        The same for the labels; None when there is no stream of labels.
    out
        The directory of outputs and journal; made when the task is fenced.
    pipeline
        Whose directory ``out`` is.

    Raises
    ------
    ConfigError
        A path names no file, or a file of no known format.

    Examples
    --------
    >>> log = FilesLog(["events-*.jsonl.gz"], None, Path("out"), "fraud")  # doctest: +SKIP
    """

    def __init__(
        self, events: Sequence[str | Path], labels: Sequence[str | Path] | None, out: str | Path, pipeline: str
    ) -> None:
        self._sets = [FileSet(expand(events))]
        names = [_stream_name(events)]
        if labels is not None:
            self._sets.append(FileSet(expand(labels)))
            name = _stream_name(labels)
            names.append(name if name != names[0] else f"labels:{name}")
        kinds = ("events", "labels")
        self._inputs = tuple(Input(kind, name, 0) for kind, name in zip(kinds, names, strict=False))  # type: ignore[arg-type]
        self._out = Path(out)
        self._pipeline = pipeline
        self._lock = Lock(self._out)
        self._told = False
        self._opened: WeakSet[FilesTaskLog] = WeakSet()  # each recovery opens one, and drops the one before

    def assignment(self, timeout_s: float) -> Assignment:  # noqa: ARG002 (nothing to wait for)
        """Task 0, once."""
        gained = () if self._told else (0,)
        self._told = True
        return Assignment(gained)

    def open(self, task: int) -> "FilesTaskLog":
        if task != 0:
            raise LogError(f"files make one task, number 0; there is no task {task}")
        opened = FilesTaskLog(self._inputs, self._sets, Ledger(self._out, self._pipeline), self._lock)
        self._opened.add(opened)
        return opened

    def identity(self) -> Mapping[str, object]:
        """Names and sizes of the files; what is in them is held by the CRCs of the journal."""
        topics = {
            stream.topic: [[file.name, file.stat().st_size] for file in files.files]
            for stream, files in zip(self._inputs, self._sets, strict=True)
        }
        return {"topics": topics, "partitions": 1}

    def close(self) -> None:
        for opened in list(self._opened):
            opened.close()


class FilesTaskLog:
    """The one task of a log made of files. See base.py for what each method promises."""

    repeats = False

    def __init__(self, inputs: tuple[Input, ...], sets: Sequence[FileSet], ledger: Ledger, lock: Lock) -> None:
        self.inputs = inputs
        self._ledger = ledger
        self._lock = lock
        self._polled = [Cursor(files) for files in sets]
        self._reread = [Cursor(files) for files in sets]
        self._held: frozenset[int] = frozenset()
        self._recovered = False

    def last(self) -> JournalItem | None:
        self._ledger.scan()
        return self._ledger.journal.last()

    def entries(self, start: int) -> Iterator[JournalItem]:
        self._ledger.scan()
        return self._ledger.journal.entries(start)

    def fence(self) -> None:
        """Take the lock and cut off what a crash left. Raises Fenced when another process owns the directory."""
        self._lock.acquire(self)
        self._ledger.recover()
        self._recovered = True

    def start(self) -> Positions:
        return (0,) * len(self.inputs)

    def read(self, spans: Sequence[Span]) -> Sequence[Records]:
        return [self._read(span) for span in spans]

    def _read(self, span: Span) -> Records:
        if span.start == span.stop:
            return Records()
        cursor = self._reread[span.input]
        if cursor.position != span.start:
            cursor.seek(span.start)
        records = cursor.read(span.stop - span.start, span.stop)
        return check_span(span, records, self.inputs[span.input].topic)

    def seek(self, positions: Positions) -> None:
        """Quick when ``read`` has just ended there, as after a recovery."""
        for place, position in enumerate(positions):
            if self._reread[place].position == position:
                self._polled[place], self._reread[place] = self._reread[place], self._polled[place]
            else:
                self._polled[place].seek(position)

    def hold(self, inputs: set[int]) -> None:
        """``poll`` brings nothing of exactly these inputs until the next call."""
        self._held = frozenset(inputs)

    def poll(self, limit: int, timeout_s: float) -> Fetched:  # noqa: ARG002 (files never keep one waiting)
        """Up to ``limit`` records of each input; at once."""
        records = tuple(
            Records() if place in self._held else cursor.read(limit) for place, cursor in enumerate(self._polled)
        )
        return Fetched(records, tuple(cursor.at_end for cursor in self._polled))

    def commit(self, entry: bytes, outputs: Outputs, positions: Positions) -> int:
        self._own()
        lines: dict[OutputName, Sequence[bytes]] = {}
        for name, output in outputs.items():
            if output and output.first_seq != self._ledger.records[name]:
                raise JournalBroken(
                    f"{name}: the batch starts at seq {output.first_seq}, the file holds {self._ledger.records[name]} lines",
                    "recover from the journal; when it stays, start over with `headrace restart`",
                )
            lines[name] = _lines(name, output)
        try:
            return self._ledger.append(entry, lines, positions)
        except InDoubt:
            self._recovered = False
            raise

    def emit(self, outputs: Outputs) -> None:
        self._own()
        lines: dict[OutputName, Sequence[bytes]] = {}
        for name, output in outputs.items():
            missing = output.after(self._ledger.records[name] - 1)
            if missing and missing.first_seq != self._ledger.records[name]:
                raise JournalBroken(
                    f"{name}: seq {missing.first_seq} is to follow, but the file holds {self._ledger.records[name]} lines",
                    "bring the file back, or recover from an older checkpoint",
                )
            lines[name] = _lines(name, missing)
        self._ledger.add(lines)
        self._ledger.check_added()

    def last_seq(self) -> Mapping[OutputName, int]:
        if self._recovered:
            return {name: self._ledger.records[name] - 1 for name in OUTPUTS}
        self._ledger.scan()
        place = self._ledger.journal.place
        return {name: (place.records.get(name, 0) if place else 0) - 1 for name in OUTPUTS}

    def share(self) -> float:
        """How much of the events' files is read, from 0 to 1."""
        return self._polled[0].files.share()

    def lag(self) -> Mapping[str, int]:
        """Of what has been read ahead; how much a file holds shows only at its end."""
        return {
            f"{stream.topic}/{stream.partition}": max(0, cursor.files.known - cursor.position)
            for stream, cursor in zip(self.inputs, self._polled, strict=True)
        }

    def close(self) -> None:
        self._recovered = False
        self._ledger.close()
        self._lock.release(self)
        for cursor in (*self._polled, *self._reread):
            cursor.close()

    def _own(self) -> None:
        self._lock.check(self)
        if not self._recovered:
            raise Fenced("the last commit is in doubt", "fence and recover the task before it commits again")


def _stream_name(paths: Sequence[str | Path]) -> str:
    name = Path(paths[0]).name
    return name if len(paths) == 1 else f"{name}+{len(paths) - 1}"


def _lines(name: OutputName, output: OutputRecords) -> Sequence[bytes]:
    if name != "rejects":
        return output.values
    headers = output.headers if output.headers is not None else [{}] * len(output)
    return [reject_line(*reject) for reject in zip(output.keys, output.values, headers, strict=True)]


def reject_line(key: bytes, value: bytes, headers: Mapping[str, bytes]) -> bytes:
    """A reject as one line of JSON, with its original bytes (as base64 when they are not text), for people and redriving.

    Examples
    --------
    >>> reject_line(b"k", b"{", {"reason": b"decode"})
    b'{"reason":"decode","key":"k","value":"{"}'
    """
    document = {name: header.decode(errors="replace") for name, header in headers.items()}
    for name, data in (("key", key), ("value", value)):
        try:
            document[name] = data.decode()
        except UnicodeDecodeError:
            document[f"{name}_base64"] = base64.b64encode(data).decode()
    return orjson.dumps(document)


def parse_reject(line: bytes) -> tuple[bytes, bytes, dict[str, bytes]]:
    """Key, value and headers of a line that ``reject_line`` wrote."""
    document: dict[str, str] = orjson.loads(line)
    parts: list[bytes] = []
    for name in ("key", "value"):
        text = document.pop(name, None)
        parts.append(base64.b64decode(document.pop(f"{name}_base64")) if text is None else text.encode())
    return parts[0], parts[1], {name: header.encode() for name, header in document.items()}
