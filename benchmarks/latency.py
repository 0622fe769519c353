"""From produce to the committed prediction, at a thousand events a second, as a client of both topics sees it.

One thread produces when an event is due and reads the predictions (``read_committed``) in between; both ends are on one
clock. The worker has its one core, broker and client may use all. The first half minute does not count: until a broker's
virtual machine has compiled what a small transaction takes, one costs three times as much.
"""

import time
from collections.abc import Sequence

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks import feed, service
from benchmarks.bench import Bench, Figure, judged, quantile

RATE = 1000
NAMES = ("latency",)


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    seconds, warm = (3, 1) if bench.quick else (30, 30)
    events = bench.new_name("latency-events")
    bench.topics(events)
    bench.spread()
    told = service.on_kafka(bench, "latency", events)
    lines = list(feed.lines((seconds + warm) * RATE))
    with service.running(bench, told) as worker:
        taken_ms = _measure(bench.bootstrap, events, f"{told['name']}-predictions", lines, worker)[warm * RATE :]
    p50, p99 = quantile(taken_ms, 0.5), quantile(taken_ms, 0.99)
    text = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, largest {max(taken_ms):.1f} ms"
    return [
        judged(
            "latency", f"produce to committed prediction, {RATE} events/s for {seconds} s, p99", p99, 25.0, "at most",
            text=text, unit=" ms",
        )
    ]  # fmt: skip


def _measure(
    bootstrap: str, events: str, predictions: str, lines: Sequence[bytes], worker: service.Running
) -> list[float]:
    """Milliseconds of each event. The first is sent alone, so that the clock starts with a worker that works."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0, "enable.idempotence": True})
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "benchmarks", "enable.auto.commit": False,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 50, "fetch.min.bytes": 1, "log_level": 0,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(predictions, 0, 0)])
    sent_at = [0.0] * len(lines)
    taken_ms = [0.0] * len(lines)
    sent = came = 0
    begun = time.perf_counter()
    look = begun
    patience = begun + service.PATIENCE_S
    while came < len(lines):
        now = time.perf_counter()
        due = 1 if not came else min(int((now - begun) * RATE) + 1, len(lines))
        while sent < due:
            sent_at[sent] = time.perf_counter()
            producer.produce(events, lines[sent], partition=0)
            sent += 1
        producer.poll(0)
        message = consumer.poll(0.0005)
        for one in [] if message is None else [message, *consumer.consume(10_000, 0)]:
            if one.error() is not None:
                raise KafkaException(one.error())
            place = int(orjson.loads(one.value() or b"")["id"][1:])
            now = time.perf_counter()
            taken_ms[place] = (now - sent_at[place]) * 1e3
            if not came:
                begun = now
            came += 1
        if now > look:
            worker.check()
            look = now + 1.0
        if now > patience:
            raise TimeoutError(f"{came} of {len(lines)} predictions; see {worker.output}")
    producer.flush()
    consumer.close()
    return taken_ms
