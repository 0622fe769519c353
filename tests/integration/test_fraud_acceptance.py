"""June of the fraud data through `headrace run` on a real Kafka and a real Redis, killed on the way."""

import csv
import datetime as dt
import gzip
import itertools
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from river import linear_model, preprocessing

from stream.build import open_log, open_store, signing_key, task_name
from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.config import load
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import Recovery, newest_claim

JUNE = Path(__file__).parents[2].parent / "shared/data/fraud/transactions_2018-06-01_2018-06-29.csv.gz"
DELAY = dt.timedelta(days=7)
KILLS = 10
SEED = int(os.environ.get("HEADRACE_TEST_SEED", "1"))

CONFIG = """
name: {name}
events: {{topic: {stream}-transactions, id: transaction_id, key: customer_id,
          time: {{field: tx_datetime, zone: UTC}}, features: [amount, hour]}}
labels: {{topic: {stream}-labels, id: transaction_id, value: is_fraud, time: time}}
learners:
  logistic: [river.preprocessing.StandardScaler, river.linear_model.LogisticRegression]
detectors:
  - {{signal: error, detector: {{adwin: {{delta: 0.002}}}}}}
checkpoints: {{store: "{redis}", every: 30_000 events}}
kafka: {{bootstrap.servers: "{kafka}"}}
serve: false
"""


def june():
    """(event, label, time) of every transaction, in order."""
    with gzip.open(JUNE, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = dt.datetime.fromisoformat(row["TX_DATETIME"] + "+00:00")
            event = {
                "transaction_id": row["TRANSACTION_ID"],
                "customer_id": row["CUSTOMER_ID"],
                "terminal_id": row["TERMINAL_ID"],
                "tx_datetime": row["TX_DATETIME"],
                "amount": float(row["TX_AMOUNT"]),
                "hour": float(at.hour),
            }
            label = {
                "transaction_id": row["TRANSACTION_ID"],
                "is_fraud": row["TX_FRAUD"] == "1",
                "time": (at + DELAY).isoformat(),
            }
            yield event, label, at


def river_scores(records):
    """The plain loop: before an event is scored, every label that is due by its time is learned."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    scores, due = [], 0
    xs = [{"amount": event["amount"], "hour": event["hour"]} for event, _, _ in records]
    for i, (_, _, at) in enumerate(records):
        while records[due][2] + DELAY <= at:
            model.learn_one(xs[due], records[due][1]["is_fraud"])
            due += 1
        scores.append(model.predict_proba_one(xs[i])[True])
    return scores


def fill(kafka, stream, records):
    topics = [NewTopic(f"{stream}-{what}", 1, 1, config={"retention.ms": "-1"}) for what in ("transactions", "labels")]
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics(topics).values():
        future.result()
    settings = {"bootstrap.servers": kafka, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
    producer = Producer(settings | {"enable.idempotence": True})  # or a new partition reorders its first records
    for i, (event, label, _) in enumerate(records):
        key = event["customer_id"].encode()
        producer.produce(f"{stream}-transactions", orjson.dumps(event), key)
        producer.produce(f"{stream}-labels", orjson.dumps(label), key)
        if i % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def committed(kafka, topic):
    """(key, value, seq) of every committed record, in order."""
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": f"read-{uuid.uuid4().hex}", "isolation.level": "read_committed",
        "enable.partition.eof": True, "enable.auto.commit": False,
    })  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, deadline = [], time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.2):
                if message.error() is not None:
                    return found
                found.append((message.key(), message.value(), dict(message.headers())["seq"]))
    finally:
        consumer.close()
    raise AssertionError(f"{topic} was not read to its end in time")


class Run:
    """`headrace run`, as a user starts it."""

    def __init__(self, config):
        self.config = config
        self.process = None

    def start(self):
        command = [str(Path(sys.executable).parent / "headrace"), "run", str(self.config)]
        with (self.config.parent / "run.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, (self.config.parent / "run.log").read_text()[-3000:]


def records_folded(config):
    """Records in the journal so far, by what its newest entry leads to."""
    log = open_log(config)
    try:
        task = log.open(0)
        last = task.last()
        return sum(orjson.loads(last.value)["positions"]) if last is not None else 0
    finally:
        log.close()


def owner(config):
    """The process that claimed the task last."""
    log = open_log(config)
    try:
        claim = newest_claim(log.open(0))
        return int(claim.worker.rpartition("/")[2]) if claim is not None else None
    finally:
        log.close()


def wait_until(what, deadline_s, run):
    deadline = time.monotonic() + deadline_s
    while not what():
        assert run.process.poll() is None, (run.config.parent / "run.log").read_text()[-3000:]
        assert time.monotonic() < deadline, "too slow: " + (run.config.parent / "run.log").read_text()[-3000:]
        time.sleep(0.2)


def first_difference(one, other):
    """(place, value, other value) where two long lists first differ: no page could show them whole."""
    for place, pair in enumerate(itertools.zip_longest(one, other)):
        if pair[0] != pair[1]:
            return place, *pair
    return None


def final_state(config):
    """What a successor would start with: the newest checkpoint, and the journal after it."""
    with open_store(config) as store:
        checkpointer = Checkpointer(
            store, Signer(signing_key(config)), task_name(config, 0), keep=1, on_unverified=print
        )
        log = open_log(config)
        try:
            task = log.open(0)
            recovery = Recovery(task, checkpointer, build_fold, lineage(config, log.identity()), TaskReadings(0))
            for _ in recovery.run():
                pass
        finally:
            log.close()
        return recovery.fold.state


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not JUNE.exists(), reason="needs ../shared/data/fraud, which a user's machine has not")
def test_june_killed_ten_times_equals_a_plain_river_loop(kafka, redis_url, tmp_path):
    """Ten kill -9: every event has one prediction, its score is River's to the bit, and the state is the same at the end."""
    records = list(june())
    stream = f"june-{uuid.uuid4().hex[:8]}"
    fill(kafka, stream, records)
    total = 2 * len(records)
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    results = []
    for name, kills in ((f"{stream}-calm", 0), (f"{stream}-killed", KILLS)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "fraud.yaml"
        path.write_text(CONFIG.format(name=name, stream=stream, redis=redis_url, kafka=kafka))
        headrace = Path(sys.executable).parent / "headrace"
        subprocess.run([str(headrace), "topics", "create", str(path)], check=True, timeout=60)
        config, run = load(path, {}), Run(path)
        run.start()
        for kill in range(kills):
            goal = total * (kill + chance.random()) / kills
            wait_until(lambda goal=goal, config=config: records_folded(config) >= goal, 300, run)
            time.sleep(chance.random() * 0.05)
            run.kill()
            run.start()
        wait_until(
            lambda config=config, run=run: records_folded(config) >= total and owner(config) == run.process.pid,
            300,
            run,
        )
        run.stop()
        state = final_state(config)
        results.append((
            committed(kafka, f"{name}-predictions"), committed(kafka, f"{name}-alarms"),
            {learner: metrics.all() for learner, metrics in state.metrics.items()}, state.clock.records,
        ))  # fmt: skip
    calm, killed = results
    predictions = [orjson.loads(value) for _, value, _ in calm[0]]
    expected = [event["transaction_id"] for event, _, _ in records]
    assert first_difference([p["id"] for p in predictions], expected) is None
    assert first_difference([p["score"] for p in predictions], river_scores(records)) is None
    assert first_difference(calm[0], killed[0]) is None
    assert first_difference(calm[1], killed[1]) is None
    assert calm[2:] == killed[2:]
    assert calm[3] == total
    assert first_difference([int(seq) for _, _, seq in killed[0]], list(range(len(records)))) is None
