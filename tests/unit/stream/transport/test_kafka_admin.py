"""What the control plane says without a cluster: settings by either client's names, and what does not fit, in words."""

from collections.abc import Sequence
from typing import Any

import pytest
from kafka import KafkaAdminClient

from stream.errors import LogMisfit
from stream.transport import admin
from stream.transport.admin import ControlPlane, TopicInfo, problems
from stream.transport.kafka_python import translate

TOPICS = {"events": "e", "labels": "l", "predictions": "p", "alarms": "a", "rejects": "r", "journal": "j"}
DAY_MS = 86_400_000
FOR_EVER = TopicInfo(4, "id", -1, 1_000_000, "delete")


def found(**changes: TopicInfo | None) -> dict[str, TopicInfo]:
    all_of_them = dict.fromkeys(TOPICS.values(), FOR_EVER) | changes
    return {name: info for name, info in all_of_them.items() if info is not None}


def test_topics_that_fit_have_no_problems() -> None:
    """Equal counts, a journal that forgets nothing."""
    assert problems(TOPICS, found(), "copartitioned", 30 * DAY_MS) == []


@pytest.mark.parametrize(
    ("changes", "partitioning", "words"),
    [
        ({"p": None}, "copartitioned", "predictions: there is no topic p; `headrace topics create CONFIG` creates it"),
        ({"e": None}, "copartitioned", "events: there is no topic e; its producer, or you, must create it"),
        (
            {"l": FOR_EVER._replace(partitions=3)},
            "copartitioned",
            "labels: l has 3 partitions, but e has 4; .*broadcast",
        ),
        ({"l": FOR_EVER._replace(partitions=3)}, "broadcast", None),
        ({"a": FOR_EVER._replace(partitions=3)}, "broadcast", "--alter --topic a --partitions 4"),
        ({"a": FOR_EVER._replace(partitions=5)}, "broadcast", "a has 5 partitions, .* by creating it anew"),
        ({"j": FOR_EVER._replace(retention_ms=7 * DAY_MS)}, "broadcast", "j forgets after 7 days.* retention.ms=-1"),
        ({"j": FOR_EVER._replace(cleanup_policy="compact")}, "broadcast", "journal: j is compacted"),
        ({"e": FOR_EVER._replace(cleanup_policy="compact,delete")}, "broadcast", "events: e is compacted"),
        ({"e": FOR_EVER._replace(retention_ms=DAY_MS)}, "broadcast", "e keeps records for 1 days, .* for 30 days"),
        ({"p": FOR_EVER._replace(retention_ms=DAY_MS)}, "broadcast", None),
    ],
)
def test_what_does_not_fit_is_said_with_what_to_do(
    changes: dict[str, TopicInfo | None], partitioning: str, words: str | None
) -> None:
    """One sentence a problem: use, topic, numbers, remedy."""
    import re  # noqa: PLC0415

    said = problems(TOPICS, found(**changes), partitioning, 30 * DAY_MS)
    if words is None:
        assert said == []
    else:
        assert len(said) == 1
        assert re.search(words, said[0]), said[0]


def test_settings_have_librdkafkas_names() -> None:
    """SASL and TLS reach kafka-python by its own names; what only librdkafka knows is left out."""
    settings = {
        "bootstrap.servers": "a:1, b:2",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": "secret",
        "ssl.ca.location": "/ca.pem",
        "ssl.endpoint.identification.algorithm": "none",
        "queued.max.messages.kbytes": 1024,
    }
    ours = translate(settings)
    assert ours["bootstrap_servers"] == ["a:1", "b:2"]
    assert ours["security_protocol"] == "SASL_SSL"
    assert (ours["sasl_mechanism"], ours["sasl_plain_username"]) == ("SCRAM-SHA-512", "alice")
    assert (ours["ssl_cafile"], ours["ssl_check_hostname"]) == ("/ca.pem", False)
    assert set(ours) <= set(KafkaAdminClient.DEFAULT_CONFIG)


def test_unverified_certificates_are_a_context() -> None:
    """``enable.ssl.certificate.verification: false`` means the same to both clients."""
    ours = translate({"security.protocol": "ssl", "enable.ssl.certificate.verification": False})
    assert not ours["ssl_context"].check_hostname


class StandIn:
    """What kafka-python answers about two topics; of ``mute`` it tells no settings, as where it swallows a refusal."""

    def __init__(self, mute: str, asks_until_gone: int | None) -> None:
        self.mute, self.asks_until_gone = mute, asks_until_gone

    def describe_topics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        gone = self.asks_until_gone == 0
        if self.asks_until_gone:
            self.asks_until_gone -= 1
        return [
            {
                "name": name, "topic_id": "00000000-0000-0000-0000-000000000001", "partitions": [{}],
                "error_code": 3 if gone and name == self.mute else 0,
            }
            for name in names
        ]  # fmt: skip

    def describe_configs(self, resources: Sequence[Any], *, config_filter: str) -> dict[str, dict[str, Any]]:
        assert config_filter == "all"
        values = {"retention.ms": "-1", "max.message.bytes": "1000", "cleanup.policy": "delete"}
        told = {name: {"value": value} for name, value in values.items()}
        return {"topic": {one.name: {} if one.name == self.mute else told for one in resources}}


def control_plane(client: StandIn) -> ControlPlane:
    plane = object.__new__(ControlPlane)
    plane._client = client
    plane._ours = translate({})
    return plane


def test_a_topic_deleted_between_two_questions_is_gone() -> None:
    """Its settings come back empty, without an error; it is not there, and the others are."""
    assert list(control_plane(StandIn("e", asks_until_gone=2)).describe(["e", "p"])) == ["p"]


def test_settings_that_are_kept_from_us_are_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that stays and tells nothing is named, with the right that is missing."""
    monkeypatch.setattr(admin, "_SETTINGS_S", 0.0)
    with pytest.raises(LogMisfit, match=r"settings of e\b") as raised:
        control_plane(StandIn("e", asks_until_gone=None)).describe(["e", "p"])
    assert "DescribeConfigs" in raised.value.hint
