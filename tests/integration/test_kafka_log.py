"""Kafka's own promises, on a real broker: what a transaction hides, what inputs bring and what is gone, whose topics fit."""

import random
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stream.errors import Fenced, LogError, LogMisfit, OutputTooLarge, RecordsGone
from stream.records import OutputRecords, Records, Span
from stream.transport.kafka import KafkaLog
from stream.transport.spans import span_of
from tests.integration.kafka_tasks import Factory, fenced, poll_until, scores
from tests.kafka_place import KafkaPlace, own

pytestmark = pytest.mark.kafka

# A transaction


def test_what_a_crash_left_open_is_never_seen(kafka_log_factory: Factory) -> None:
    """An entry and outputs of a transaction without its commit are skipped, and the next entry follows the last one."""
    place = kafka_log_factory()
    log = place.log()
    task = fenced(log)
    task.commit(b"one", scores(0, 3), (0, 0))
    producer = task._writer._producer
    producer.begin_transaction()
    producer.produce(place.topics.journal, b"never", partition=0)
    producer.produce(place.topics.predictions, b"never", partition=0, headers=[("seq", b"3")])
    producer.flush(10)
    heir = log.open(0)
    heir.fence()
    offset = heir.commit(b"two", scores(3, 1), (0, 0))
    assert [item.value for item in heir.entries(-1)] == [b"one", b"two"]
    assert heir.last() == (offset, b"two")
    assert dict(heir.last_seq()) == {"predictions": 3, "alarms": -1, "rejects": -1}
    assert [seq for seq, _ in place.outputs("predictions")] == [0, 1, 2, 3]


def test_before_the_fence_only_the_committed_is_read(kafka_log_factory: Factory) -> None:
    """A look at the journal neither sees nor waits for a transaction that is open."""
    place = kafka_log_factory()
    log = place.log()
    task = fenced(log)
    offset = task.commit(b"one", {}, (0, 0))
    producer = task._writer._producer
    producer.begin_transaction()
    producer.produce(place.topics.journal, b"open", partition=0)
    producer.flush(10)
    onlooker = log.open(0)
    assert onlooker.last() == (offset, b"one")
    assert [item.value for item in onlooker.entries(-1)] == [b"one"]


def test_the_commit_leaves_the_inputs_offsets_in_the_group(kafka_log_factory: Factory) -> None:
    """A claim carries the real positions, so that lag tools and the group's fencing see them."""
    place = kafka_log_factory()
    log = place.log()
    place.append(place.topics.events, [b"a", b"b", b"c"])
    fenced(log).commit(b"claim", {}, (2, 0))
    assert committed_offset(place, place.topics.events) == 2


def committed_offset(place: KafkaPlace, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": place.bootstrap, "group.id": f"headrace-{place.name}"})
    found = consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset
    consumer.close()
    return found


def test_last_seq_is_found_behind_many_aborted_records(kafka_log_factory: Factory) -> None:
    """However much was aborted after it."""
    place = kafka_log_factory()
    log = place.log()
    task = fenced(log)
    task.commit(b"one", scores(0, 5), (0, 0))
    producer = task._writer._producer
    producer.begin_transaction()
    for _ in range(3000):
        producer.produce(place.topics.predictions, b"never", partition=0, headers=[("seq", b"99")])
    producer.flush(10)
    producer.abort_transaction(10)
    assert task.last_seq()["predictions"] == 4


def test_a_big_batch_goes_through(kafka_log_factory: Factory) -> None:
    """5,000 predictions and as many rejects with their headers, in one transaction."""
    place = kafka_log_factory()
    task = fenced(place.log())
    outputs = scores(0, 5000)
    headers = [{"reason": b"schema", "error": b"amount: expected number"}] * 5000
    outputs["rejects"] = OutputRecords(0, [b"k"] * 5000, [b"{"] * 5000, headers)
    task.commit(b"big", outputs, (0, 0))
    assert task.last_seq() == {"predictions": 4999, "alarms": -1, "rejects": 4999}
    reject = place.committed(place.topics.rejects)[-1]
    assert dict(reject.headers) == {"seq": b"4999", "reason": b"schema", "error": b"amount: expected number"}


def bounded(place: KafkaPlace, topic: str) -> None:
    """A topic takes no record of more than 2,000 bytes."""
    change = ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET)
    limit = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    place.admin.incremental_alter_configs([limit])[limit].result(10)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_an_output_above_the_limit_names_topic_and_setting(kafka_log_factory: Factory, delivery: str) -> None:
    """The batch fails and its entry does not count."""
    place = kafka_log_factory()
    bounded(place, place.topics.predictions)
    task = fenced(place.log(delivery=delivery))
    with pytest.raises(OutputTooLarge, match=rf"{place.topics.predictions} .*5000 bytes, limit 2000") as raised:
        task.commit(b"large", scores(0, 1, size=5000), (0, 0))
    assert "max.message.bytes" in raised.value.hint
    assert place.outputs("predictions") == []


@pytest.mark.parametrize("count", [0, 1])
def test_an_entry_above_the_limit_names_the_journal(kafka_log_factory: Factory, count: int) -> None:
    """And no output, with outputs or without."""
    place = kafka_log_factory()
    bounded(place, place.topics.journal)
    task = fenced(place.log())
    with pytest.raises(OutputTooLarge, match=rf"limit: {place.topics.journal} .*5000 bytes, limit 2000\)"):
        task.commit(b"e" * 5000, scores(0, count), (0, 0))


def test_after_a_failed_commit_only_a_fence_goes_on(kafka_log_factory: Factory) -> None:
    """The producer of a failed batch is gone; a fence makes another, in the same worker."""
    place = kafka_log_factory()
    task = fenced(place.log())
    with pytest.raises(OutputTooLarge):
        task.commit(b"large", scores(0, 1, size=2_000_000), (0, 0))
    with pytest.raises(Fenced):
        task.commit(b"again", {}, (0, 0))
    task.fence()
    task.commit(b"again", scores(0, 1), (0, 0))
    assert [item.value for item in task.entries(-1)] == [b"again"]


def test_commits_while_the_main_thread_polls(kafka_log_factory: Factory) -> None:
    """Polling and committing share no client: a commit's thread beside the main loop, over many batches."""
    place = kafka_log_factory()
    log = place.log()
    task = fenced(log)
    failures: list[BaseException] = []

    def commit() -> None:
        try:
            for number in range(50):
                task.commit(b"%d" % number, scores(number * 10, 10), (0, 0))
        except LogError as failure:
            failures.append(failure)

    thread = threading.Thread(target=commit)
    thread.start()
    while thread.is_alive():
        log.assignment(0)
        task.poll(100, 0.01)
    thread.join()
    assert not failures
    assert [int(item.value) for item in task.entries(-1)] == list(range(50))


# at_least_once


def test_at_least_once_writes_entry_outputs_and_offsets(kafka_log_factory: Factory) -> None:
    """No transaction: readers of any isolation see it, and recovery reads it the same way."""
    place = kafka_log_factory()
    log = place.log(delivery="at_least_once")
    task = fenced(log)
    place.append(place.topics.events, [b"a"])
    offset = task.commit(b"one", scores(0, 3), (1, 0))
    assert task.last() == (offset, b"one")
    task.emit(scores(3, 1))
    assert task.last_seq()["predictions"] == 3
    assert [seq for seq, _ in place.outputs("predictions")] == [0, 1, 2, 3]
    deadline = time.monotonic() + 10
    while committed_offset(place, place.topics.events) != 1:
        assert time.monotonic() < deadline
        log.assignment(0.1)


# Inputs


def test_broadcast_labels_reach_every_task(kafka_log_factory: Factory) -> None:
    """Each task reads its events and all label partitions, each with its own position."""
    place = kafka_log_factory(partitions=2, label_partitions=3)
    log = place.log(partitioning="broadcast")
    for partition in range(3):
        place.append(place.topics.labels, [b"label %d" % partition], partition)
    for task_number in range(2):
        own_task = log.open(task_number)
        own_task.seek(own_task.start())
        assert [one.kind for one in own_task.inputs] == ["events", "labels", "labels", "labels"]
        taken = poll_until(own_task, lambda taken: sum(map(len, taken)) == 3)
        assert [one.values for one in taken] == [[], [b"label 0"], [b"label 1"], [b"label 2"]]
        again = own_task.read([Span(2, 0, 1, 1, span_of(2, 0, taken[2]).crc), span_of(3, 0, taken[3])])
        assert [one.values for one in again] == [[b"label 1"], [b"label 2"]]


def test_broadcast_positions_stay_out_of_the_group(kafka_log_factory: Factory) -> None:
    """Tasks would overwrite one another's positions of the same label partitions."""
    place = kafka_log_factory(partitions=1, label_partitions=2)
    log = place.log(partitioning="broadcast")
    fenced(log).commit(b"claim", {}, (0, 0, 0))
    assert committed_offset(place, place.topics.labels) == -1001


def test_holding_loses_nothing(kafka_log_factory: Factory) -> None:
    """Inputs held and let go at random, single partitions of a topic included: each record once, in order."""
    place = kafka_log_factory(partitions=1, label_partitions=3)
    log = place.log(partitioning="broadcast")
    task = log.open(0)
    place.append(place.topics.events, [b"%d" % number for number in range(5000)])
    for partition in range(3):
        place.append(place.topics.labels, [b"%d" % number for number in range(5000)], partition)
    task.seek(task.start())
    chance = random.Random(4)
    taken = [Records() for _ in task.inputs]
    deadline = time.monotonic() + 60
    while sum(map(len, taken)) < 20_000:
        assert time.monotonic() < deadline, [len(one) for one in taken]
        held = set(chance.sample(range(4), chance.randrange(4)))
        task.hold(held)
        for place_of, (all_of_it, records) in enumerate(zip(taken, task.poll(200, 0.05).records, strict=True)):
            assert not (held and place_of in held and len(records)), "a held input brought records"
            all_of_it.extend(records)
    assert [one.offsets for one in taken] == [list(range(5000))] * 4


def test_the_end_is_known_behind_transaction_markers(kafka_log_factory: Factory) -> None:
    """Inputs written by transactions end with a marker; the input is at its end all the same, and stays usable."""
    place = kafka_log_factory()
    feeder = place.log()
    writer = fenced(feeder)
    writer.commit(b"x", scores(0, 3), (0, 0))
    reader = place.log(kind=PredictionsAsEvents)
    task = reader.open(0)
    task.seek(task.start())
    deadline = time.monotonic() + 10
    while not task.poll(10, 0.1).at_end[0]:
        assert time.monotonic() < deadline
    writer.commit(b"y", scores(3, 2), (0, 0))
    values = poll_until(task, lambda taken: len(taken[0]) == 2)[0].values
    assert [int(value or b"") for value in values] == [3, 4]


def test_markers_are_passed_and_may_be_deleted(kafka_log_factory: Factory) -> None:
    """Behind records, and behind an aborted transaction: what was read to the end is needed no more, its end stands."""
    place = kafka_log_factory()
    producer = Producer({"bootstrap.servers": place.bootstrap, "transactional.id": place.name, "log_level": 0})
    producer.init_transactions(10)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for number in range(3):
            producer.produce(place.topics.events, b"%d" % number, partition=0)
        assert producer.flush(10) == 0
        end(10)
    task = place.log().open(0)
    task.seek((0, 0))
    deadline = time.monotonic() + 10
    taken = 0
    while (fetched := task.poll(10, 0.1)).passed != (8, 0):
        taken += len(fetched.records[0])
        assert fetched.passed[0] >= taken
        assert time.monotonic() < deadline
    assert taken + len(fetched.records[0]) == 3
    gone = TopicPartition(place.topics.events, 0, 8)
    place.admin.delete_records([gone])[gone].result(10)
    with pytest.raises(RecordsGone):
        task.seek((3, 0))
    task.seek(fetched.passed)
    place.append(place.topics.events, [b"new"])
    assert poll_until(task, lambda taken: bool(taken[0]))[0].offsets == [8]


class PredictionsAsEvents(KafkaLog):
    """Reads what another pipeline wrote."""

    def _inputs(self, task: int):
        from stream.records import Input  # noqa: PLC0415

        return (Input("events", self.topics.predictions, task),)


def test_deleted_records_are_gone_not_skipped(kafka_log_factory: Factory) -> None:
    """Both offsets and the command: of the position, and of what the topic holds."""
    place = kafka_log_factory()
    place.append(place.topics.events, [b"%d" % number for number in range(10)])
    task = place.log().open(0)
    task.seek((0, 0))
    records = poll_until(task, lambda taken: len(taken[0]) == 10)[0]
    gone = TopicPartition(place.topics.events, 0, 6)
    place.admin.delete_records([gone])[gone].result(10)
    with pytest.raises(RecordsGone, match=r"events/0: needs the record at offset 3, but the topic holds 6 to 10"):
        task.seek((3, 0))
    with pytest.raises(RecordsGone, match="headrace restart"):
        task.read([span_of(0, 0, records)])


def test_records_that_vanish_under_a_reader_are_noticed(kafka_log_factory: Factory) -> None:
    """Retention that overtakes a reader that lags: it never goes on at the first record there is."""
    place = kafka_log_factory()
    place.append(place.topics.events, [b"x" * 1000] * 100)
    log = place.log()
    task = log.open(0)
    gone = TopicPartition(place.topics.events, 0, 60)
    position_before = task.start()
    place.admin.delete_records([gone])[gone].result(10)
    with pytest.raises(RecordsGone, match="holds 60 to 100"):
        task.seek(position_before)


def test_a_journal_that_lost_its_start_is_gone(kafka_log_factory: Factory) -> None:
    """Entries from a deleted offset are asked for in vain, and from an offset behind the end too."""
    place = kafka_log_factory()
    task = fenced(place.log())
    for number in range(4):
        task.commit(b"%d" % number, {}, (0, 0))
    gone = TopicPartition(place.topics.journal, 0, 4)
    place.admin.delete_records([gone])[gone].result(10)
    with pytest.raises(RecordsGone):
        task.entries(0)
    with pytest.raises(RecordsGone):
        task.entries(1000)


def test_lag_is_counted_from_memory(kafka_log_factory: Factory) -> None:
    """What is known to be there and was not taken."""
    place = kafka_log_factory()
    place.append(place.topics.events, [b"x"] * 100)
    task = place.log().open(0)
    task.seek((0, 0))
    poll_until(task, lambda taken: len(taken[0]) > 0, limit=1)
    assert 0 < task.lag()[f"{place.topics.events}/0"] <= 99


# Topics


def test_missing_topics_are_named(kafka_log_factory: Factory) -> None:
    """With the command that makes them."""
    place = kafka_log_factory()
    place.admin.delete_topics([place.topics.alarms])[place.topics.alarms].result(10)
    deadline = time.monotonic() + 10
    while place.topics.alarms in place.admin.list_topics(timeout=5).topics:
        assert time.monotonic() < deadline
    with pytest.raises(LogMisfit, match=place.topics.alarms):
        place.log()


def test_partition_counts_that_differ_are_refused(kafka_log_factory: Factory) -> None:
    """A labels topic of another size cannot be co-partitioned."""
    place = kafka_log_factory(partitions=2, label_partitions=3)
    with pytest.raises(LogMisfit, match=r"labels has 3"):
        place.log()


def test_a_recreated_topic_stops_the_task(kafka_log_factory: Factory) -> None:
    """A topic of the same name is another topic."""
    place = kafka_log_factory()
    log = place.log()
    own(log, 0)
    place.admin.delete_topics([place.topics.alarms])[place.topics.alarms].result(10)
    deadline = time.monotonic() + 10
    while place.topics.alarms in place.admin.list_topics(timeout=5).topics:
        assert time.monotonic() < deadline
    place.create(place.topics.alarms)
    while place.topics.alarms not in place.admin.list_topics(timeout=5).topics:
        assert time.monotonic() < deadline
    with pytest.raises(LogMisfit, match="was recreated"):
        log.open(0).fence()
