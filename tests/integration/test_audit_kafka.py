"""Audit and explain beside real servers: after kills, while a worker works, of copies, and of what retention has deleted."""

import json
import random
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.cli.stores import store_of
from stream.records import OUTPUTS, Entry, OutputName
from stream.replay.audit import Audit, Audited
from stream.replay.explain import Explain, Explained, changes_of
from stream.replay.travel import Past, open_past
from tests.integration.running import (
    HEADRACE,
    WAIT_S,
    Pipeline,
    Run,
    Stream,
    committed,
    create_topics,
    fill,
    pipeline,
    send,
)

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.redis,
    pytest.mark.usefixtures("ended"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
EVENTS = 2400
KILLS = 10


def filled(kafka: str, events: int) -> Stream:
    """Events, labels five hours later in a topic of their own, some duplicates, some records that are refused."""
    stream = fill(kafka, events)
    old = committed(kafka, stream.events)[: 2 * (events // 10) : 20]
    more = [(stream.events, one.key(), one.value(), 0) for one in old]
    more += [(stream.events, b"c", b'{"id": "broken", "amount": ', 0) for _ in old]
    send(kafka, iter(more))
    return stream._replace(counts=(stream.total + len(more),))


def made_over(stream: Stream, directory: Path, store: str, **changes: object) -> Pipeline:
    return pipeline(
        stream, directory, store, checkpoints={"store": store, "every": "700 events", "keep": 4},
        kafka={"bootstrap.servers": stream.kafka, "session.timeout.ms": 1500},
        features=[
            {"window": {"by": "card", "of": "amount", "compute": ["count", "mean", "max"], "over": ["1h", "1d"]}},
            {"window": {"by": "card", "of": {"label": None}, "compute": ["count", "mean"], "over": ["1d"], "tiles": 24}},
        ],
        learners={
            "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
            "bayes": "river.naive_bayes.GaussianNB",
        },
        **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline that came to the end of its stream over ten kill -9."""
    stream = filled(kafka, EVENTS)
    made = made_over(stream, tmp_path_factory.mktemp("audit"), redis_url)
    for time in range(1, KILLS + 1):
        run = Run(made.path)
        run.folded(time * stream.total // (KILLS + 1))
        run.kill()
    run = Run(made.path)
    run.folded(stream.total)
    run.stop()
    return made


def headrace(*words: str) -> tuple[int, str, str]:
    done = subprocess.run([HEADRACE, *words], check=False, capture_output=True, text=True, timeout=WAIT_S)
    return done.returncode, done.stdout, done.stderr


@contextmanager
def past(made: Pipeline) -> Iterator[Past]:
    with ExitStack() as stack:
        store = stack.enter_context(store_of(made.config))
        yield stack.enter_context(open_past(made.config, store))


def audited(made: Pipeline, topic: str | None = None) -> Audited:
    with past(made) as open_one, ExitStack() as stack:
        readers = {
            name: stack.enter_context(closing(open_one.output(name, 0, topic if name == "predictions" else None)))
            for name in OUTPUTS
        }
        return Audit(0, open_one.task(0), readers).run()


def explained(made: Pipeline, offset: int) -> Explained:
    with past(made) as open_one:
        return Explain(0, open_one.task(0), lambda name: open_one.output(name, 0), lambda records, share: None).at(
            offset
        )


def copied(made: Pipeline, name: OutputName, changed: int) -> str:
    """A copy of an output topic with its headers, in which one byte of a record is another."""
    topic = f"copy-{uuid.uuid4().hex[:8]}"
    create_topics(made.stream.kafka, {topic: 1})
    producer = Producer({"bootstrap.servers": made.stream.kafka, "linger.ms": 10, "enable.idempotence": True})
    for place, one in enumerate(committed(made.stream.kafka, made.config.topics()[name])):
        value = bytearray(one.value() or b"")
        if place == changed:
            value[60] ^= 1
        producer.produce(topic, bytes(value), one.key(), 0, headers=one.headers())
        producer.poll(0)
    assert producer.flush(60) == 0
    return topic


def test_ten_kills_later_everything_is_equal(done: Pipeline) -> None:
    """What a reader of committed records finds is what follows from the records: every output, every byte."""
    code, said, _ = headrace("audit", "--json", str(done.path))
    told = json.loads(said)
    assert (code, told["equal"]) == (0, True)
    (task,) = told["tasks"]
    assert task["records"] == done.stream.total
    for name, one in task["outputs"].items():
        assert one["compared"] == one["records"] == len(done.outputs()[name]) > 0


def test_one_changed_byte_is_found_and_shown(done: Pipeline) -> None:
    """In a copy of the topic: both values, the event, its offset, the record's offset and seq, and the journal entry."""
    topic = copied(done, "predictions", 1500)
    code, said, _ = headrace("audit", "--predictions-topic", topic, str(done.path))
    assert code == 1
    prediction = done.outputs()["predictions"][1500].told
    entry = next(
        one.number
        for one in reversed([e for e in done.journal() if isinstance(e, Entry)])
        if one.first_seq["predictions"] <= 1500
    )
    assert f"predictions seq 1500 has another value ({topic}/0, offset 1,500; entry {entry})" in said
    assert f"event {prediction['id']}, {done.stream.events}/0 at offset {prediction['event']['offset']:,}" in said
    folded, stands = (
        next(line for line in said.splitlines() if line.startswith(f"  {w}")) for w in ("folded", "stands")
    )
    assert sum(a != b for a, b in zip(folded, stands, strict=True) if a not in "folde") <= 7
    assert folded[10:] != stands[10:]
    found = audited(done, topic).difference
    assert found is not None
    assert found.expected is not None
    assert found.expected.value == done.outputs()["predictions"][1500].value


def test_decisions_come_back(done: Pipeline) -> None:
    """Some tens of events, in the middle of entries, before and after checkpoints: the emitted prediction, to the byte.

    Asking what another record would have got changes nothing: everything is still equal afterwards.
    """
    predictions = done.outputs()["predictions"]
    chosen = random.Random(1).sample(range(len(predictions)), 24)
    begun = set()
    for seq in [0, len(predictions) - 1, *chosen]:
        said = predictions[seq].told
        told = explained(done, said["event"]["offset"])
        assert (told.outcome, told.seq, told.differs) == ("scored", seq, False)
        assert told.emitted is not None
        assert told.prediction == told.emitted.value == predictions[seq].value
        assert told.moment is not None
        assert float(told.moment.scores()["logistic"][0]) == said["score"]
        assert float(told.moment.scores()["bayes"][0]) == said["challengers"]["bayes"]
        told.moment.what_if(changes_of(told.moment, ["amount=20"]))
        begun.add(told.begun)
    assert len(begun) > 1
    assert audited(done).difference is None


def test_why_by_the_id(done: Pipeline) -> None:
    """The command finds the event, its duplicate, its label, and says what another amount would have got."""
    events = [one.value() or b"" for one in committed(done.stream.kafka, done.stream.events)]
    labels = [json.loads(one.value() or b"")["id"] for one in committed(done.stream.kafka, done.stream.labels)]
    twin = max(place for place, value in enumerate(events) if events.index(value) < place and b"broken" not in value)
    event = json.loads(events[twin])["id"]
    code, said, _ = headrace("explain", "--event", event, "--what-if", "amount=500", str(done.path))
    assert code == 0, said
    assert f"event {event}: prediction" in said
    assert f"{done.stream.events}/0 offset {events.index(events[twin]):,}; journal entry" in said
    assert "the same bytes were emitted" in said
    assert f"the same id stands at offset {twin:,} too" in said
    assert "in log odds (linear, exact)" in said
    assert "what if: amount 500 in place of" in said
    assert f"5h after the event ({done.stream.labels}/0 offset {labels.index(event):,})" in said
    code, said, _ = headrace("explain", "--at", str(twin), "--json", str(done.path))
    told: dict[str, Any] = json.loads(said)
    assert (code, told["outcome"], told["event"]["id"]) == (0, "duplicate", event)
    code, _, said = headrace("explain", "--event", "nobody", str(done.path))
    assert (code, "there is no event 'nobody'" in said) == (1, True)


def test_a_worker_may_be_at_work(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Audited again and again while it answers: always equal, always more; and no member of its group was disturbed."""
    stream = filled(kafka, 6000)
    made = made_over(stream, tmp_path, redis_url, batch={"records": 10})
    run = Run(made.path)
    run.folded(500)
    seen = []
    while run.metric("records_total") < stream.total and len(seen) < 4:
        told = audited(made)
        assert told.difference is None
        seen.append(told.records)
        predictions = made.outputs()["predictions"]
        assert not explained(made, predictions[-1].told["event"]["offset"]).differs
    assert run.metric("recoveries_total") == 1
    run.folded(stream.total)
    run.stop()
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert audited(made).records == stream.total


def test_inputs_that_retention_deleted(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """From the start it cannot be done, and the message says from where: so done it is equal, of outputs that are left."""
    stream = filled(kafka, 1500)
    made = made_over(stream, tmp_path, redis_url)
    run = Run(made.path)
    run.folded(stream.total)
    run.stop()
    predictions = made.config.topics()["predictions"]
    cuts = [TopicPartition(stream.events, 0, 200), TopicPartition(predictions, 0, 1200)]
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_records(cuts).values():
        future.result(30)
    code, _, said = headrace("audit", str(made.path))
    assert code == 1
    assert f"{stream.events}/0 starts at offset 200" in said
    first = said.rpartition("--from ")[2].split()[0]
    code, said, _ = headrace("audit", "--from", first, "--json", str(made.path))
    (task,) = json.loads(said)["tasks"]
    assert code == 0
    assert task["entries"][0] == int(first)
    one = task["outputs"]["predictions"]
    assert one["compared"] > 0
    assert one["compared"] + one["gone"] == one["records"]
