"""``headrace simulate fraud --kafka``: what is in a real broker's topics afterwards."""

import json
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition

from stream.cli.main import main
from stream.feeds.fraud import FraudFeed
from stream.transport.admin import ControlPlane

pytestmark = pytest.mark.kafka
PARTITIONS = 3


@pytest.fixture(scope="module")
def topics(kafka):
    """Names of two topics of this test."""
    names = [f"{use}-{uuid.uuid4().hex[:8]}" for use in ("events", "labels")]
    with ControlPlane({"bootstrap.servers": kafka}) as control:
        for name in names:
            control.create(name, PARTITIONS)
    return names


def content(kafka, topic):
    """Per partition: key and value of each record."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "none", "enable.partition.eof": True})
    found = {}
    for partition in range(PARTITIONS):
        consumer.assign([TopicPartition(topic, partition, 0)])
        found[partition] = []
        while (message := consumer.poll(10.0)) is not None and message.error() is None:
            found[partition].append((message.key().decode(), json.loads(message.value())))
    consumer.close()
    return found


@pytest.fixture(scope="module")
def played(kafka, topics):
    """Both topics' content after the feed."""
    words = ["--days", "3", "--seed", "4", "--customers", "60", "--kafka", kafka]
    assert main(["simulate", "fraud", *words, "--events-topic", topics[0], "--labels-topic", topics[1]]) == 0
    return [content(kafka, topic) for topic in topics]


def test_every_record_is_in_its_topic_once(played):
    """Nothing is lost, nothing comes twice."""
    feed = FraudFeed(3, 4, customers=60)
    for partitions, wanted in zip(played, (feed.events(), feed.labels()), strict=True):
        got = [record for records in partitions.values() for _, record in records]
        assert sorted(got, key=json.dumps) == sorted(wanted, key=json.dumps)


def test_each_partition_is_in_order_of_time(played):
    """As the feed played them."""
    for partitions in played:
        for records in partitions.values():
            times = [record["time"] for _, record in records]
            assert times == sorted(times)


def test_label_lies_in_the_partition_of_its_event(played):
    """Both topics are keyed by customer."""
    place = {record["id"]: partition for partition, records in played[0].items() for _, record in records}
    for partition, records in played[1].items():
        assert all(place[label["id"]] == partition and key == label["customer"] for key, label in records)


def test_missing_topic_is_told(kafka, topics, capsys):
    """With the way to create it, not a traceback."""
    words = ["--days", "1", "--customers", "60", "--kafka", kafka, "--events-topic", "not-there"]
    assert main(["simulate", "fraud", *words, "--labels-topic", topics[1]]) == 2
    assert "there is no topic not-there" in capsys.readouterr().err
