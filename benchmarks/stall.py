"""How long a checkpoint keeps the stream waiting when the state is large: ten adaptive random trees of 10 MB and more.

A process of its own (``python -m benchmarks.stall``) folds events with the service's own step, beside live Kafka clients
and a second task's 100,000 waiting rows, and takes a checkpoint now and then, saved to a real Redis by a thread as the
worker does. The stall is the time of ``Checkpointer.take``: what follows is off the stream's path.

A fork copies the page tables of the whole process, so this one holds what a worker holds and no more: events are read
from a file (made here, 50,000 of them are 130 MB), and the second task learns with River, as the first one does.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import feed, folds
from benchmarks.bench import Bench, Figure, judged, quantile
from benchmarks.machine import rss_mb

NAMES = ("stall",)
LEARNER = {"river.forest.ARFClassifier": {"n_models": 10, "seed": 1}}
EVENTS, WAITING = 50_000, 100_000
BATCH = 25
"""Few, so that the state hardly grows between two takes."""


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:  # noqa: ARG001 - there is only one
    takes, large_mb = (5, 2.0) if bench.quick else (60, 10.0)
    events = feed.write_lines(bench.directory / "stall.jsonl", EVENTS, step_ms=10)
    waiting = str(bench.events_file(10_000 if bench.quick else WAITING))
    servers = bench.bootstrap, bench.redis_url
    found = bench.child("benchmarks.stall", *servers, str(events), waiting, str(takes), str(large_mb))
    stalls = found["stalls_ms"]
    p50, p99 = quantile(stalls, 0.5), quantile(stalls, 0.99)
    text = (
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, largest {max(stalls):.1f} ms; state {found['state_mb']:.0f} MB in a process "
        f"of {found['rss_mb']:.0f} MB; serialised beside the stream in {found['serialise_ms']:.0f} ms"
    )
    what = f"stall of a checkpoint, {len(stalls)} takes, p99"
    return [judged("stall", what, p99, 15.0, "at most", text=text, unit=" ms")]


def measure(bootstrap: str, redis_url: str, events: str, waiting: str, takes: int, large_mb: float) -> dict[str, Any]:
    """In this process."""
    from stream.build import open_service  # noqa: F401, PLC0415 - all that a worker has in memory
    from stream.checkpoints.checkpointer import Checkpointer  # noqa: PLC0415 - only the child needs it
    from stream.checkpoints.redis import RedisStore  # noqa: PLC0415 - as above
    from stream.checkpoints.signing import Signer  # noqa: PLC0415 - as above
    from stream.runtime.host import calm_collector  # noqa: PLC0415 - as above

    clients = _clients(bootstrap)
    beside = _neighbour(waiting)
    fold = folds.fold(LEARNER, labels={"field": "label", "delay": "1s", "wait": "1h"})
    batches = folds.batches(fold, _lines(events), BATCH)
    calm_collector()  # as `headrace run` does
    store = RedisStore(redis_url)
    checkpointer = Checkpointer(store, Signer(b"b" * 32), "stall/0", keep=2, on_unverified=print)
    saver = ThreadPoolExecutor(1)
    stalls_ms, saves, state_mb, number = [], [], 0.0, 0
    while len(stalls_ms) < takes:
        for _ in range(40 if state_mb < large_mb else 2):
            fold.step(next(batches))
        records = fold.state.clock.records
        begun = time.perf_counter()
        snapshot = checkpointer.take(fold.parts(), records)
        stall_ms = (time.perf_counter() - begun) * 1e3
        number += 1
        future = saver.submit(
            checkpointer.save, snapshot, entry_number=number, journal_offset=number, token=0, positions=(records,),
            records=records, stream_time_ms=0, saved_ms=0, lineage={},
        )  # fmt: skip
        fold.step(next(batches))  # the stream goes on meanwhile, as it does in the worker
        saved = future.result()
        state_mb = saved.bytes_total / 1e6
        if state_mb >= large_mb:
            stalls_ms.append(stall_ms)
            saves.append(saved.serialise_s * 1e3)
    told = {
        "stalls_ms": stalls_ms, "state_mb": state_mb, "rss_mb": rss_mb(os.getpid()), "threads": threading.active_count(),
        "serialise_ms": quantile(saves, 0.5),
    }  # fmt: skip
    store.close()
    saver.shutdown()
    del clients, beside
    return told


def _lines(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        for line in file:
            yield line[:-1]


def _neighbour(events: str) -> object:
    """Another task of the same worker, with 100,000 waiting rows: its memory is copied on write by the same fork."""
    fold = folds.fold(labels={"field": "label", "delay": "30d", "wait": "60d"})
    for batch in folds.batches(fold, _lines(events), 5000):
        fold.step(batch)
    return fold


def _clients(bootstrap: str) -> list[object]:
    """Librdkafka's threads, as in a worker."""
    from confluent_kafka import Consumer, Producer  # noqa: PLC0415 - only the child needs it

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "enable.idempotence": True})
    producer.list_topics(timeout=30.0)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "stall", "log_level": 0})
    consumer.list_topics(timeout=30.0)
    return [producer, consumer]


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:5], int(sys.argv[5]), float(sys.argv[6]))))
