"""Topics as a history: every partition a task, read to its end as of when the replay began. In no group, writing nothing."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from stream.errors import ConfigError, LogMisfit
from stream.replay.bounds import Bounds, resolve
from stream.replay.sources import Ordered, Source, Strand
from stream.runtime.merge import Decoders
from stream.transport.kafka import KafkaLog, KafkaTopics
from stream.transport.kafka_client import TopicFacts, describe
from stream.transport.kafka_reader import Reader


class TopicsToRead(KafkaLog):
    """A pipeline's topics for one who only reads: those of its outputs need not be there."""

    def _describe(self) -> dict[str, TopicFacts]:
        inputs = [topic for topic in (self.topics.events, self.topics.labels) if topic is not None]
        facts = describe(self.settings, list(dict.fromkeys([*inputs, *self.topics.all()])), self._request_timeout_s)
        if missing := [topic for topic in inputs if topic not in facts]:
            raise LogMisfit(
                f"topics are missing: {', '.join(missing)}",
                "is `bootstrap.servers` right? files are replayed with `--source FILE...`",
            )
        return facts

    def _check_counts(self) -> None:
        labels = self.topics.labels
        if labels is None or self.partitioning == "broadcast":
            return
        if self._facts[labels].partitions != self.partitions:
            raise LogMisfit(
                f"partition counts differ: {self.topics.events} has {self.partitions}, {labels} has "
                f"{self._facts[labels].partitions}",
                "a task is one partition of both: make the counts equal, or set `labels: {partitioning: broadcast}`",
            )

    def identity(self) -> Mapping[str, object]:
        """As live's, but for topics that are not there."""
        ids = {topic: self._facts[topic].id for topic in self.topics.all() if topic in self._facts}
        counts: dict[str, object] = {"topics": ids, "partitions": self.partitions}
        if self.topics.labels is not None and self.partitioning == "broadcast":
            counts["label_partitions"] = self._facts[self.topics.labels].partitions
        return counts


def open_topics(source: Source) -> TopicsToRead:
    """Raises LogMisfit, LogUnavailable, ConfigError."""
    arguments: dict[str, Any] = dict(source.kafka)
    return TopicsToRead(arguments.pop("settings"), topics=KafkaTopics(**source.topics), **arguments)  # type: ignore[arg-type]


class Topics:
    """The events topic and the labels topic of a configuration."""

    def __init__(self, source: Source) -> None:
        self._range = source.range
        self._log = open_topics(source)
        self._reader = Reader(self._log.settings, self._log.group)
        self.tasks: tuple[int, ...] = tuple(range(self._log.partitions))

    def identity(self) -> Mapping[str, object]:
        return self._log.identity()

    def bounds(self, decoders: Decoders, tasks: Sequence[int]) -> dict[int, Bounds]:
        if len(tasks) > 1 and (self._range.from_offset is not None or self._range.to_offset is not None):
            raise ConfigError(
                "offsets count in one partition, and there are several",
                "name it with `--task N`, or say the range in times",
            )
        found = {}
        for task in tasks:
            with closing(self._log.open(task)) as log:
                ends = tuple(self._reader.bounds(one.topic, one.partition, committed=True)[1] for one in log.inputs)
                found[task] = resolve(log, self._range, decoders, stop=ends, size_to=ends)
        return found

    def strand(self, task: int, bounds: Bounds) -> Strand:
        return Ordered(self._log.open(task), bounds)

    def close(self) -> None:
        self._log.close()
