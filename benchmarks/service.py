"""``headrace run`` in a process of its own, as an operator starts it, and when its batches were committed.

The commits are seen from outside: a reader of the journal (``read_committed``, on the serving cores) notes the time and
the processor time used at each entry. So nothing is added to the process under test but a look at /metrics at either end.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks import feed
from benchmarks.bench import Bench, Mark, Timing
from benchmarks.machine import core_time, cpu_s, on_cores
from stream.records import Entry, decode_journal
from stream.transport.ledger import Journal
from tests.servers import free_port

STAGES = ("poll", "decode", "step", "encode", "commit", "stall")
PATIENCE_S = 300.0


@dataclass(slots=True)
class Running:
    """A worker at work."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def check(self) -> None:
        """Raises when it has ended badly, with what it wrote."""
        if self.process.poll() not in (None, 0):
            said = self.output.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"headrace run ended with {self.process.returncode}; it wrote:\n{said}")

    def scrape(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            return str(page.read().decode())

    def stages(self) -> dict[str, float]:
        page = self.scrape()
        return {
            stage: sum(
                float(found)
                for found in re.findall(
                    rf'^headrace_stage_seconds_total{{.*stage="{stage}".*}} (\S+)$', page, re.MULTILINE
                )
            )
            for stage in STAGES
        }


@contextmanager
def running(bench: Bench, told: dict[str, Any]) -> Iterator[Running]:
    """A worker on the core under test; told to end, and waited for, at the end."""
    port = free_port()
    path = feed.write_config(bench.directory, {**told, "serve": {"port": port}})
    output = path.with_suffix(".log")
    command = [str(Path(sys.executable).parent / "headrace"), "run", "--quiet", str(path)]
    with output.open("wb") as file, on_cores(bench.under_test):
        process = subprocess.Popen(command, stdout=file, stderr=file, env=_environment())
    worker = Running(process, output, port)
    try:
        yield worker
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        worker.check()
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    """Ours, without settings meant for other workers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


def on_kafka(bench: Bench, kind: str, events: str, **sections: Any) -> dict[str, Any]:
    """A pipeline with a new name, on this topic; its output topics are made."""
    name = bench.new_name(kind)
    bench.topics(*(f"{name}-{output}" for output in ("predictions", "alarms", "rejects", "journal")))
    return feed.config(
        name,
        source={"topic": events},
        kafka={"bootstrap.servers": bench.bootstrap},
        **{"checkpoints": {"store": bench.redis_url, "every": "10_000 events"}, **sections},
    )


def time_on_kafka(bench: Bench, told: dict[str, Any], count: int) -> Timing:
    """Run it until ``count`` events are committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bench.bootstrap, "group.id": "benchmarks", "enable.auto.commit": False,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 10, "log_level": 0,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(f"{told['name']}-journal", 0, 0)])

    def applied() -> int:
        """Events of the entries that came since the last call."""
        message = consumer.poll(0.05)
        events = 0
        for one in [] if message is None else [message, *consumer.consume(1000, 0)]:
            if one.error() is not None:
                raise KafkaException(one.error())
            record = decode_journal(one.value() or b"")
            events += sum(span.count for span in record.spans) if isinstance(record, Entry) else 0
        return events

    try:
        with running(bench, told) as worker:
            return _time(bench, worker, applied, count, with_stages=True)
    finally:
        consumer.close()


def time_on_files(bench: Bench, told: dict[str, Any], count: int) -> Timing:
    """The same with a directory's journal, looked at every two milliseconds."""
    out = bench.directory / str(told["out"])
    journal = Journal(out)
    seen = 0

    def applied() -> int:
        nonlocal seen
        time.sleep(0.002)
        journal.scan()
        before, seen = seen, journal.place.positions[0] if journal.place and journal.place.positions else 0
        return seen - before

    with running(bench, told) as worker:
        return _time(bench, worker, applied, count, with_stages=False)


def _time(bench: Bench, worker: Running, applied: Callable[[], int], count: int, *, with_stages: bool) -> Timing:
    deadline = time.monotonic() + PATIENCE_S
    done = first = 0
    begun = last = Mark(0.0, 0.0, core_time(0))
    before: dict[str, float] = {}
    while done < count:
        new = applied()
        if not new:
            worker.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{done} of {count} events in {PATIENCE_S} s; see {worker.output}")
            continue
        done += new
        last = Mark(time.perf_counter(), cpu_s(worker.process.pid), core_time(bench.core))
        if not first:
            first, begun = done, last
            before = worker.stages() if with_stages else {}
    timing = begun.until(last, done - first)
    if with_stages:
        timing.stages = {stage: seconds - before[stage] for stage, seconds in worker.stages().items()}
    return timing
