"""What a Faust app costs: the same events through the worker, through Headrace in a Faust app, and through a bare agent.

``python -m benchmarks.faust_cost [--quick]`` from the repository's root. The bare agent is what a team writes without
Headrace: decode, predict, learn, send, one event at a time, no labels topic, no state kept. Every process has one core.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks import feed, service
from benchmarks.bench import Bench, Mark, Timing, median, quantile
from benchmarks.machine import ROOT, core_time, cpu_s, facts, on_cores

WORKER, HEADRACE, BARE = "headrace run", "headrace in Faust", "bare Faust agent"
RATE = 200


def faust_app(kind: str, path: str) -> None:
    """The process under test."""
    import faust  # noqa: PLC0415 - only where it is measured

    told = orjson.loads(Path(path).read_bytes())
    app = faust.App(
        told["name"], broker=f"kafka://{told['kafka']['bootstrap.servers']}", stream_wait_empty=False,
        datadir=str(Path(path).with_suffix(".data")), consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    if kind == HEADRACE:
        from stream.build_faust import attach  # noqa: PLC0415 - not in the bare one

        attach(app, Path(path), environment={})
    else:
        _bare(app, told)
    app.conf.web_enabled = False
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


def _bare(app: Any, told: dict[str, Any]) -> None:
    from river import linear_model, preprocessing  # noqa: PLC0415

    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    raw = {"value_type": bytes, "value_serializer": "raw", "key_type": bytes, "key_serializer": "raw"}
    out = app.topic(f"{told['name']}-predictions", **raw)
    names = feed.names(20)

    async def agent(stream: Any) -> None:
        async for value in stream:
            event = orjson.loads(value)
            x = {name: event[name] for name in names}
            score = model.predict_proba_one(x)[True]
            model.learn_one(x, bool(event["label"]))
            await out.send(key=event["key"].encode(), value=orjson.dumps({"id": event["id"], "score": score}))

    app.agent(app.topic(told["events"]["topic"], **raw))(agent)


@contextmanager
def running(bench: Bench, kind: str, told: dict[str, Any]) -> Iterator[service.Running]:
    """One of the three at work."""
    if kind == WORKER:
        with service.running(bench, told) as worker:
            yield worker
        return
    path = feed.write_config(bench.directory, {**told, "serve": False})
    output = path.with_suffix(".log")
    command = [sys.executable, "-m", "benchmarks.faust_cost", "--app", kind, str(path)]
    with output.open("wb") as file, on_cores(bench.under_test):
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, env=os.environ)
    app = service.Running(process, output, 0)
    try:
        yield app
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


@contextmanager
def reader(bench: Bench, topic: str) -> Iterator[Callable[[float], list[bytes]]]:
    """Calls give what came to a topic since the last one."""
    consumer = Consumer(
        {
            "bootstrap.servers": bench.bootstrap, "group.id": "benchmarks", "enable.auto.commit": False,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 10, "log_level": 0,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])

    def came(wait_s: float) -> list[bytes]:
        first = consumer.poll(wait_s)
        messages = [] if first is None else [first, *consumer.consume(10_000, 0)]
        for one in messages:
            if one.error() is not None:
                raise KafkaException(one.error())
        return [one.value() or b"" for one in messages]

    try:
        yield came
    finally:
        consumer.close()


def throughput(bench: Bench, kind: str, count: int) -> Timing:
    """A process that works and has nothing to do gets all events at once; until the last prediction."""
    events = bench.new_name("events")
    bench.topics(events)
    told = service.on_kafka(bench, "cost", events)
    producer = Producer(
        {"bootstrap.servers": bench.bootstrap, "linger.ms": 20, "log_level": 0, "enable.idempotence": True}
    )
    lines = feed.lines(count + 1)
    patience = time.perf_counter() + service.PATIENCE_S
    done = 0

    def wait_for(least: int) -> Mark:
        nonlocal done
        while done < least:
            done += len(came(0.05))
            process.check()
            if time.perf_counter() > patience:
                raise TimeoutError(f"{done} of {least} predictions; see {process.output}")
        return Mark(time.perf_counter(), cpu_s(process.process.pid), core_time(bench.core))

    with reader(bench, f"{told['name']}-predictions") as came, running(bench, kind, told) as process:
        producer.produce(events, next(lines), partition=0)
        producer.flush()
        begun = wait_for(1)
        for line in lines:
            producer.produce(events, line, partition=0)
            producer.poll(0)
        producer.flush()
        return begun.until(wait_for(count + 1), count)


def latency(bench: Bench, kind: str, seconds: int) -> list[float]:
    """Milliseconds from produce to prediction of each event, RATE a second; labels on a topic of their own that is quiet."""
    events, labels = bench.new_name("events"), bench.new_name("labels")
    bench.topics(events, labels)
    told = service.on_kafka(bench, "cost", events, labels={"topic": labels, "id": "id", "value": "label"})
    lines = list(feed.lines(seconds * RATE))
    sent_at, taken_ms = [0.0] * len(lines), [0.0] * len(lines)
    producer = Producer(
        {"bootstrap.servers": bench.bootstrap, "linger.ms": 0, "log_level": 0, "enable.idempotence": True}
    )
    with reader(bench, f"{told['name']}-predictions") as came, running(bench, kind, told) as process:
        sent = done = 0
        begun = patience = time.perf_counter()
        while done < len(lines):
            now = time.perf_counter()
            due = 1 if not done else min(int((now - begun) * RATE) + 1, len(lines))
            while sent < due:
                sent_at[sent] = time.perf_counter()
                producer.produce(events, lines[sent], partition=0)
                sent += 1
            producer.poll(0)
            for value in came(0.001):
                place = int(orjson.loads(value)["id"][1:])
                now = time.perf_counter()
                taken_ms[place] = (now - sent_at[place]) * 1e3
                begun = begun if done else now
                done += 1
            process.check()
            if time.perf_counter() - patience > service.PATIENCE_S:
                raise TimeoutError(f"{done} of {len(lines)} predictions; see {process.output}")
    return taken_ms[len(lines) // 5 :]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faust_cost", description="What a Faust app costs.")
    parser.add_argument("--quick", action="store_true", help="small: shows that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--app", nargs=2, metavar=("KIND", "CONFIG"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.app:
        faust_app(*told.app)
        return
    count, seconds = (5_000, 3) if told.quick else (30_000, 20)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-faust-")))
        bench = Bench(directory, stack)
        stack.enter_context(on_cores(bench.serving))
        print("\n".join(facts()), end="\n\n", flush=True)
        timings: dict[str, list[Timing]] = {kind: [] for kind in (WORKER, HEADRACE, BARE)}
        for _ in range(1 if told.quick else told.rounds):
            for kind, own in timings.items():
                own.append(throughput(bench, kind, count))
                one = own[-1]
                bench.said(
                    f"{kind}: {1e6 / one.rate:.0f} µs an event, {one.cpu_us:.0f} µs of CPU; of the core's time "
                    f"{one.foreign_s / one.seconds:.0%} went to others, {one.idle_s / one.seconds:.0%} to nobody"
                )
        waits = {kind: latency(bench, kind, seconds) for kind in (WORKER, HEADRACE)}
    print("| | µs an event | of CPU | events/s | p50, p99 ms |\n|---|---:|---:|---:|---:|")
    for kind, own in timings.items():
        clock, cpu = median([1e6 / one.rate for one in own]), median([one.cpu_us for one in own])
        wait = f"{quantile(waits[kind], 0.5):.0f}, {quantile(waits[kind], 0.99):.0f}" if kind in waits else ""
        print(f"| {kind} | {clock:.0f} | {cpu:.0f} | {1e6 / clock:,.0f} | {wait} |")


if __name__ == "__main__":
    main()
