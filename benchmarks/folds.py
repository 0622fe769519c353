"""The service's fold in this process, without log or store: for benchmarks that look inside."""

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks import feed
from stream.build_fold import build_fold, lineage
from stream.config import Config
from stream.pipeline.batch import Batch
from stream.pipeline.fold import Fold
from stream.records import Input, Records


def fold(learner: Any = None, **sections: Any) -> Fold:
    """With nothing learned, on events of 20 features."""
    told = feed.config("fold", learner=learner, source={"topic": "events"}, kafka={"bootstrap.servers": "none"})
    config = Config.model_validate({**told, **sections})
    return build_fold(lineage(config, {}), [Input("events", "events", 0)])


def raw(lines: Iterable[bytes], size: int) -> Iterator[Records]:
    """Batches of raw records."""
    values: list[bytes | None] = []
    offset = 0
    for line in lines:
        values.append(line)
        if len(values) == size:
            yield Records(list(range(offset, offset + size)), [feed.START_MS] * size, [None] * size, values)
            values, offset = [], offset + size


def batches(own: Fold, lines: Iterable[bytes], size: int) -> Iterator[Batch]:
    """Decoded ones."""
    for records in raw(lines, size):
        yield Batch(own.events(records), (), (0, size))
