"""From produce to the committed prediction, at a thousand events a second, as a client of both topics sees it.

One thread produces when an event is due and reads the predictions (``read_committed``) in between; both ends are on one
clock. The worker has its one core, broker and client may use all. The first half minute does not count: until a broker's
virtual machine has compiled what a small transaction takes, one costs three times as much.

*bare exactly-once* is the plain loop of loops.py in the worker's place: it commits whatever has come, at once.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks import feed, service
from benchmarks.bench import Bench, Figure, judged, quantile
from benchmarks.throughput import LOOP

RATE = 1000
NAMES = ("latency",)


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    seconds, warm = (3, 1) if bench.quick else (30, 30)
    lines = list(feed.lines((seconds + warm) * RATE))
    worker = _Taken.of(_worker(bench, lines)[warm * RATE :])
    loop = _Taken.of(_loop(bench, lines)[warm * RATE :])
    what = f"produce to committed prediction, {RATE} events/s for {seconds} s"
    return [
        judged("latency", f"{what}, p99", worker.p99, 25.0, "at most", text=str(worker), unit=" ms"),
        Figure("latency", f"the same of {LOOP}", str(loop)),
        Figure("latency", f"÷ {LOOP}", f"p50 {worker.p50 / loop.p50:.2f}, p99 {worker.p99 / loop.p99:.2f}"),
    ]


class _Taken(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    largest: float

    @classmethod
    def of(cls, taken_ms: Sequence[float]) -> "_Taken":
        return cls(quantile(taken_ms, 0.5), quantile(taken_ms, 0.99), max(taken_ms))

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, largest {self.largest:.1f} ms"


def _topic(bench: Bench) -> str:
    events = bench.new_name("latency-events")
    bench.topics(events)
    bench.spread()
    return events


def _worker(bench: Bench, lines: Sequence[bytes]) -> list[float]:
    events = _topic(bench)
    told = service.on_kafka(bench, "latency", events)
    with service.running(bench, told) as worker:
        return _measure(bench.bootstrap, events, f"{told['name']}-predictions", lines, worker.check)


def _loop(bench: Bench, lines: Sequence[bytes]) -> list[float]:
    events, out = _topic(bench), bench.new_name("latency-loop")
    bench.topics(out)
    with ThreadPoolExecutor(1) as pool:
        arguments = (bench.bootstrap, events, out, str(len(lines)))
        loop = pool.submit(bench.child, "benchmarks.loops", "at_once", *arguments, patience_s=service.PATIENCE_S)

        def check() -> None:
            if loop.done():
                loop.result()

        return _measure(bench.bootstrap, events, out, lines, check)


def _measure(
    bootstrap: str, events: str, predictions: str, lines: Sequence[bytes], check: Callable[[], None]
) -> list[float]:
    """Milliseconds of each event. The first is sent alone, so that the clock starts with a worker that works.

    ``check`` raises when the process under test has failed.
    """
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
            check()
            look = now + 1.0
        if now > patience:
            raise TimeoutError(f"{came} of {len(lines)} predictions came in {service.PATIENCE_S:.0f} s")
    producer.flush()
    consumer.close()
    return taken_ms
