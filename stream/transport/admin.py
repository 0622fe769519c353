"""Topics and groups as an operator sees them: create, check, describe, lag, members. On kafka-python.

Read kafka_python.py for its settings and failures, feeder.py for what it sends, and kafka.py for the data itself.
"""

import contextlib
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import kafka.errors
from kafka import KafkaAdminClient, OffsetSpec
from kafka.admin import ConfigResource, ConfigResourceType

from stream.errors import LogMisfit, LogUnavailable
from stream.transport.kafka_python import connected, said, translate

_CREATED = ("predictions", "alarms", "rejects", "journal")
_JOURNAL_CONFIG = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
_COORDINATOR_S = 15.0
_SETTINGS_S = 2.0


class TopicInfo(NamedTuple):
    """What a cluster says of a topic."""

    partitions: int
    id: str
    """As librdkafka writes it: 22 characters."""
    retention_ms: int
    """-1: for ever."""
    max_message_bytes: int
    cleanup_policy: str


class Member(NamedTuple):
    """A worker of a group."""

    client_id: str
    host: str
    partitions: tuple[str, ...]
    """``topic/partition``."""


class ControlPlane:
    """Questions and changes to a cluster's topics and groups. A context manager.

    Parameters
    ----------
    settings
        By librdkafka's names.

    Raises
    ------
    LogUnavailable, LogMisfit
        From the constructor and every method: nobody answers; or Kafka refuses us.
    """

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._ours = translate(settings)
        with connected(settings, self._ours) as make:
            self._client = KafkaAdminClient(**self._ours, kafka_client=make)

    def describe(self, topics: Sequence[str]) -> dict[str, TopicInfo]:
        """Those that exist. Raises LogMisfit for one whose settings Kafka keeps to itself."""
        deadline_s = time.monotonic() + _SETTINGS_S
        while topics:
            with self._said(f"asking for {', '.join(topics)}"):
                asked = self._client.describe_topics(list(topics))
                found = {one["name"]: one for one in asked if not one["error_code"]}
                resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
                configs = self._client.describe_configs(resources, config_filter="all")["topic"] if resources else {}
            # kafka-python leaves out why there are none: deleted in between, not known to that broker yet, or forbidden.
            untold = [name for name in found if not configs[name]]
            if not untold:
                return {name: _info(found[name], configs[name]) for name in topics if name in found}
            if time.monotonic() > deadline_s:
                raise LogMisfit(
                    f"Kafka does not tell the settings of {', '.join(untold)}",
                    "give this user the right DescribeConfigs on its topics",
                )
            time.sleep(0.1)
        return {}

    def create(
        self, name: str, partitions: int, config: Mapping[str, str] | None = None, *, replicas: int = -1
    ) -> None:
        """A topic, and wait until it can be used. ``replicas`` -1 is the cluster's default. Raises LogMisfit when it exists."""
        wish = {"num_partitions": partitions, "replication_factor": replicas, "configs": dict(config or {})}
        with self._said(f"creating topic {name}"):
            self._client.create_topics({name: wish}, wait_for_metadata=True)

    def delete(self, name: str, *, timeout_s: float = 30.0) -> None:
        """Remove a topic and wait until it is gone. Nothing when there is none. Raises LogUnavailable when it stays."""
        if name not in self.describe([name]):
            return
        with self._said(f"deleting topic {name}"):
            self._client.delete_topics([name])
        deadline = time.monotonic() + timeout_s
        while name in self.describe([name]):
            if time.monotonic() > deadline:
                raise LogUnavailable(f"topic {name} is still there {timeout_s:.0f} s after it was deleted")
            time.sleep(0.1)

    def ensure(self, topics: Mapping[str, str], *, replicas: int = -1) -> list[str]:
        """Create outputs and journal that are missing, with the events' partition count.

        Parameters
        ----------
        topics
            Uses (events, predictions, alarms, rejects, journal; labels when there are any) to names.
        replicas
            -1 is the cluster's default.

        Returns
        -------
        list of str
            What was created.

        Raises
        ------
        LogMisfit
            There is no events topic.
        """
        found = self.describe(list(topics.values()))
        if topics["events"] not in found:
            raise LogMisfit(
                f"there is no topic {topics['events']} (events)", "create it with as many partitions as models"
            )
        count = found[topics["events"]].partitions
        created = []
        for use in _CREATED:
            if use in topics and topics[use] not in found:
                self.create(topics[use], count, _JOURNAL_CONFIG if use == "journal" else {}, replicas=replicas)
                created.append(topics[use])
        return created

    def check_pipeline(
        self, topics: Mapping[str, str], *, partitioning: str = "copartitioned", wait_ms_longest: int = 0
    ) -> list[str]:
        """What does not fit, in words with what to do; empty when all is well.

        Parameters
        ----------
        topics
            As in ``ensure``.
        partitioning
            copartitioned or broadcast: of the labels.
        wait_ms_longest
            The longest that an event waits for its label, or a window looks back.
        """
        return problems(topics, self.describe(list(topics.values())), partitioning, wait_ms_longest)

    def group_lag(self, group: str) -> dict[str, int]:
        """Per ``topic/partition`` that the group committed: records behind. For Kafka a marker counts as a record."""
        with self._said(f"asking for group {group}"):
            committed = self._client.list_group_offsets({group: None}).get(group, {})
            places = {place: one.offset for place, one in committed.items() if one.offset >= 0}
            ends = self._client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST)) if places else {}
        return {
            f"{place.topic}/{place.partition}": max(ends[place].offset - places[place], 0) for place in sorted(places)
        }

    def members(self, group: str) -> list[Member]:
        """Who is in the group now."""
        deadline_s = time.monotonic() + _COORDINATOR_S
        with self._said(f"asking for group {group}"):
            while True:
                try:
                    found = self._client.describe_groups([group])[group]
                    break
                except kafka.errors.KafkaError as failure:  # a coordinator that starts: kafka-python does not ask again
                    if not failure.retriable or time.monotonic() > deadline_s:
                        raise
                    time.sleep(0.2)
        return [
            Member(
                one["client_id"],
                one["client_host"].lstrip("/"),
                tuple(
                    f"{topic['topic']}/{partition}"
                    for topic in (one["member_assignment"] or {}).get("assigned_partitions", ())
                    for partition in topic["partitions"]
                ),
            )
            for one in found["members"]
        ]

    @contextlib.contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        with said(self._ours, doing):
            yield

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _info(topic: Mapping[str, Any], config: Mapping[str, Mapping[str, Any]]) -> TopicInfo:
    topic_id = uuid.UUID(str(topic["topic_id"]))
    return TopicInfo(
        len(topic["partitions"]),
        b64encode(topic_id.bytes).decode().rstrip("="),
        int(config["retention.ms"]["value"]),
        int(config["max.message.bytes"]["value"]),
        str(config["cleanup.policy"]["value"]),
    )


def problems(
    topics: Mapping[str, str], found: Mapping[str, TopicInfo], partitioning: str, wait_ms_longest: int
) -> list[str]:
    """What ``check_pipeline`` says, from what was found."""
    said_so: list[str] = []
    events = found.get(topics["events"])
    for use, name in topics.items():
        info = found.get(name)
        if info is None:
            ours = use in _CREATED
            fix = "`headrace topics create CONFIG` creates it" if ours else "its producer, or you, must create it"
            said_so.append(f"{use}: there is no topic {name}; {fix}")
            continue
        free = use == "labels" and partitioning == "broadcast"
        if events is not None and info.partitions != events.partitions and not free:
            said_so.append(_unequal(use, name, info.partitions, topics["events"], events.partitions))
        if use == "journal":
            said_so += _journal_problems(name, info)
        if use in {"events", "labels"}:
            said_so += _input_problems(use, name, info, wait_ms_longest)
    return said_so


def _unequal(use: str, name: str, count: int, events: str, wanted: int) -> str:
    fix = f"a task is one partition of every topic: give it {wanted} partitions"
    if use == "labels":
        fix += ", partitioned by the events' key with murmur2, or set `labels: {partitioning: broadcast}`"
    elif count < wanted:
        fix += f" (kafka-topics.sh --alter --topic {name} --partitions {wanted}; a pipeline that has run must restart)"
    else:
        fix += " by creating it anew"
    return f"{use}: {name} has {count} partitions, but {events} has {wanted}; {fix}"


def _journal_problems(name: str, info: TopicInfo) -> list[str]:
    found = []
    if "compact" in info.cleanup_policy:
        found.append(f"journal: {name} is compacted and would lose entries; set cleanup.policy=delete")
    if info.retention_ms != -1:
        found.append(
            f"journal: {name} forgets after {_days(info.retention_ms)}; without a checkpoint that old nothing can be "
            "rebuilt: set retention.ms=-1"
        )
    return found


def _input_problems(use: str, name: str, info: TopicInfo, wait_ms_longest: int) -> list[str]:
    found = []
    if "compact" in info.cleanup_policy:
        found.append(f"{use}: {name} is compacted, so a replay would miss records; set cleanup.policy=delete")
    if wait_ms_longest and 0 <= info.retention_ms < wait_ms_longest:
        found.append(
            f"{use}: {name} keeps records for {_days(info.retention_ms)}, but events wait, or windows look back, for "
            f"{_days(wait_ms_longest)}: raise retention.ms"
        )
    return found


def _days(milliseconds: int) -> str:
    days = milliseconds / 86_400_000
    return f"{days:.3g} days" if days >= 1 else f"{milliseconds / 1000:.3g} s"
