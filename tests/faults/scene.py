"""What the tests of faults share: a fault's reject as an operator finds it, and short ways to break topics.

The workers and pipelines are those of integration/running.py; every test of a fault carries its number in FAULTS' table.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from tests.integration.running import (
    Pipeline,
    Run,
    Said,
    Stream,
    create_topics,
    feed,
    learned,
    pipeline,
    send,
    wait_for,
)

EVERY = 100
"""Events between checkpoints."""
HEADERS = {"reason", "stage", "error", "topic", "partition", "offset", "timestamp", "seq"}
"""Of a reject; ``running.said`` leaves out ``lineage``, which holds topic ids."""


class View(Run):
    """One of several pipelines that one ``headrace run`` works on: its own port."""

    def __init__(self, run: Run, name: str) -> None:
        self.__dict__.update(run.__dict__)
        self.name = name

    @property
    def url(self) -> str | None:
        words = self.log.partition(f"{self.name}: health and metrics on ")[2].split()
        return words[0] if words else None


def reject_of(outputs: Mapping[str, Sequence[Said]], topic: str, offset: int) -> Said:
    """The only reject of the record at ``offset``, with its headers."""
    place = {"topic": topic.encode(), "offset": b"%d" % offset}
    (found,) = [one for one in outputs["rejects"] if place.items() <= one.headers.items()]
    assert found.headers.keys() == HEADERS
    assert found.headers["partition"] == b"0"
    assert int(found.headers["timestamp"]) > 0
    return found


def why(reject: Said) -> tuple[str, str, str]:
    """(reason, stage, error)."""
    reason, stage, error = (reject.headers[name].decode() for name in ("reason", "stage", "error"))
    return reason, stage, error


def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka, "log_level": 0})


def set_config(kafka: str, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Change settings of topics, and wait until they are heeded."""
    client = admin(kafka)
    resources = [
        ConfigResource(
            ResourceType.TOPIC, topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
            ],
        )
        for topic, settings in topics.items()
    ]  # fmt: skip
    for future in client.incremental_alter_configs(resources).values():
        future.result(30)


def delete_before(kafka: str, topic: str, offset: int) -> None:
    """What retention does: the records before ``offset`` are gone; -1: all of them."""
    client, place = admin(kafka), TopicPartition(topic, 0, offset)  # a client that is let go answers nothing
    client.delete_records([place])[place].result(30)


def widen(kafka: str, topics: Mapping[str, int]) -> None:
    """More partitions."""
    client = admin(kafka)
    for future in client.create_partitions([NewPartitions(topic, count) for topic, count in topics.items()]).values():
        future.result(30)
    wait_for(lambda: all(len(client.list_topics(t, timeout=5).topics[t].partitions) == n for t, n in topics.items()))


def without_topic(told: Mapping[str, object]) -> dict[str, object]:
    """A prediction of a copied stream: the same, but for the topic's name."""
    event = told["event"]
    assert isinstance(event, dict)
    return {**told, "event": {**event, "topic": ""}}


def stream_of(kafka: str, events: Sequence[bytes | None], labels: Sequence[bytes | None]) -> Stream:
    """New input topics, one partition each, with exactly these records."""
    stream = Stream(kafka, f"s{uuid.uuid4().hex[:8]}", 1, (len(events) + len(labels),))
    create_topics(kafka, {stream.events: 1, stream.labels: 1})
    send(kafka, ((stream.events, b"c1", value, 0) for value in events))
    send(kafka, ((stream.labels, b"c1", value, 0) for value in labels))
    return stream


class Growing:
    """A pipeline over a topic that is filled step by step, and what a calm run makes of it."""

    def __init__(self, kafka: str, directory: Path, redis_url: str) -> None:
        self.stream = Stream(kafka, f"s{uuid.uuid4().hex[:8]}", 1, (0,))
        self.count = 0
        self._directory, self._redis = directory, redis_url
        self._feed = feed(5000)
        create_topics(kafka, {self.stream.events: 1})

    def grow(self, events: int = EVERY) -> None:
        values = [json.dumps(one | {"fraud": truth["fraud"]}).encode() for one, truth in islice(self._feed, events)]
        send(self.stream.kafka, ((self.stream.events, b"c1", value, 0) for value in values))
        self.count += events

    def pipeline(self, store: str, **changes: object) -> Pipeline:
        """With checkpoints every hundred events, and a group that soon misses a worker that was killed."""
        settings: dict[str, object] = {
            "labels": {"field": "fraud", "delay": "5h"},
            "checkpoints": {"store": store, "every": f"{EVERY} events", "keep": 50},
            "kafka": {"bootstrap.servers": self.stream.kafka, "session.timeout.ms": 2000},
        }
        return pipeline(self.stream, self._directory, store, **(settings | changes))

    def folded(self, run: Run) -> None:
        """Wait until all that there is has been folded."""
        run.folded(self.count)

    def saved(self, run: Run, times: int) -> None:
        """Grow, and wait for the checkpoint, so many times."""
        for _ in range(times):
            self.grow()
            had = run.metric("checkpoints_total")
            self.folded(run)
            run.wait_until(lambda had=had: run.metric("checkpoints_total") > had or not had)

    def check(self, *pipelines: Pipeline) -> None:
        """What they said and know is what an uninterrupted run says and knows."""
        calm = self.pipeline(self._redis, batch={"records": 5000})
        run = Run(calm.path)
        self.folded(run)
        run.stop()
        outputs, state = calm.outputs(), learned(calm.final_state())
        assert len(outputs["predictions"]) == self.count
        for made in pipelines:
            assert made.outputs() == outputs
            assert learned(made.final_state()) == state
