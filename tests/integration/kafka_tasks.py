"""One task of a real Kafka log, taken and polled. Topics are tests/kafka_place.py's."""

import time
from collections.abc import Callable

from stream.errors import LogUnavailable
from stream.records import OutputRecords, Outputs, Records
from stream.transport.base import TaskLog
from stream.transport.kafka import KafkaLog
from tests.kafka_place import KafkaPlace, own

Factory = Callable[..., KafkaPlace]


def scores(first_seq: int, count: int, size: int = 10) -> Outputs:
    values = [b"%0*d" % (size, seq) for seq in range(first_seq, first_seq + count)]
    return {"predictions": OutputRecords(first_seq, [b"k"] * count, values)}


def fenced(log: KafkaLog, task: int = 0) -> TaskLog:
    own(log, task)
    opened = log.open(task)
    opened.fence()
    opened.seek(opened.start())
    return opened


def poll_until(
    task: TaskLog, done: Callable[[list[Records]], bool], limit: int = 1000, *, patient: bool = False
) -> list[Records]:
    taken = [Records() for _ in task.inputs]
    deadline = time.monotonic() + 30
    while not done(taken):
        assert time.monotonic() < deadline, [len(one) for one in taken]
        try:
            fetched = task.poll(limit, 0.1)
        except LogUnavailable:
            if not patient:
                raise
            continue
        for all_of_it, records in zip(taken, fetched.records, strict=True):
            all_of_it.extend(records)
    return taken
