"""A stream of files as Kafka would spread it over partitions: by the key, with murmur2, each partition a task of its own.

The files are written apart once, a directory of JSONL for each task; then every task is replayed as any files are. Labels
follow their events: by the same key where their records have it, else by the event's id. So ids are kept in memory while
the labels are spread (some hundred bytes an event). What has no key, and a label of an event that never comes, goes to
task 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import orjson

from stream.records import Input, Records
from stream.replay.bounds import Bounds, resolve
from stream.replay.durable import flushed
from stream.replay.partitioner import partition_of
from stream.replay.sources import Ordered, Source, Strand
from stream.runtime.merge import Decoders
from stream.transport.files import FilesLog, FilesTaskLog
from stream.transport.readers import open_records


class SplitFiles:
    """Files as a history of several tasks. They are written apart when the bounds are asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.tasks: tuple[int, ...] = tuple(range(source.tasks))
        with closing(FilesLog(source.events, source.labels, ".", source.pipeline)) as log:
            self._identity = {**log.identity(), "partitions": source.tasks}
            self._inputs = log.open(0).inputs

    def identity(self) -> Mapping[str, object]:
        return self._identity

    def bounds(self, decoders: Decoders, tasks: Sequence[int]) -> dict[int, Bounds]:
        self._split(decoders)
        found = {}
        for task in tasks:
            with closing(self._log(task)) as log:
                stop = (None,) * len(self._inputs)
                found[task] = resolve(log, self._source.range, decoders, stop=stop)
        return found

    def strand(self, task: int, bounds: Bounds) -> Strand:
        log = self._log(task)
        return Ordered(log, bounds, log.share)

    def close(self) -> None:
        """Nothing is held open between strands."""

    def _log(self, task: int) -> FilesTaskLog:
        files = [self._path(task, one.kind) for one in self._inputs]
        log = FilesLog(files[:1], files[1:] or None, ".", self._source.pipeline).open(0)
        log.inputs = tuple(Input(one.kind, one.topic, task) for one in self._inputs)
        return log

    def _path(self, task: int, kind: str) -> Path:
        return Path(self._source.split) / str(task) / f"{kind}.jsonl"

    def _split(self, decoders: Decoders) -> None:
        count, source = self._source.tasks, self._source
        task_of: dict[str, int] = {}
        keep = source.labels is not None
        with ExitStack() as stack:
            files = self._opened(stack, "events")
            for records in open_records(source.events):
                events = decoders.events(records)
                # of a record that the first configuration refuses, which another may accept, the key as it stands there
                keys = [
                    key.encode() if key else _key(value, source.key)
                    for key, value in zip(events.keys, records.values, strict=True)
                ]
                tasks = [partition_of(key, count) if key else 0 for key in keys]
                _append(files, records, tasks)
                if keep:
                    task_of.update(zip(events.ids, tasks, strict=True))
        if source.labels is None:
            return
        with ExitStack() as stack:
            files = self._opened(stack, "labels")
            for records in open_records(source.labels):
                ids = decoders.labels(records).ids
                keys = [_key(value, source.key) for value in records.values]
                _append(
                    files,
                    records,
                    [
                        partition_of(key, count) if key is not None else task_of.get(event, 0)
                        for key, event in zip(keys, ids, strict=True)
                    ],
                )

    def _opened(self, stack: ExitStack, kind: str) -> list[BinaryIO]:
        files: list[BinaryIO] = []
        for task in self.tasks:
            path = self._path(task, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("wb"))
            stack.callback(flushed, file)
            files.append(file)
        return files


def _append(files: list[BinaryIO], records: Records, tasks: Iterable[int]) -> None:
    """A line a record. JSON has no line break but between its tokens, where a space is the same."""
    for value, task in zip(records.values, tasks, strict=True):
        files[task].write((value or b"").replace(b"\n", b" ") + b"\n")


def _key(value: bytes | None, field: str | None) -> bytes | None:
    """A label's own key, when its record has the field."""
    if field is None or value is None or field.encode() not in value:
        return None
    try:
        key = orjson.loads(value).get(field)
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if isinstance(key, str):
        return key.encode()
    return str(key).encode() if isinstance(key, int) and not isinstance(key, bool) else None
