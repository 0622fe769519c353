"""What there is to compare with: the loop with nothing around it, and a plain exactly-once loop. Run in a process each.

``python -m benchmarks.loops bare FILE``, ``… tree FILE``, ``… exactly_once BOOTSTRAP TOPIC OUT COUNT`` and ``… at_once`` with
the same print one JSON object. Nothing of Headrace is imported here: machine.py only looks at the system.
"""

import json
import sys
import time
from pathlib import Path

import orjson
from confluent_kafka import Consumer, KafkaException, Message, Producer
from river import base, compose, linear_model, preprocessing, tree

from benchmarks.machine import CoreTime, core_time, cores


def model() -> compose.Pipeline:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def bare(file: str, river: base.Classifier) -> dict[str, float]:
    """Decode, predict, learn: everything that any service must do, and nothing else."""
    values = Path(file).read_bytes().splitlines()
    begun = _mark()
    for value in values:
        x = orjson.loads(value)
        del x["id"], x["key"], x["time"]
        y = x.pop("label")
        river.predict_proba_one(x)
        river.learn_one(x, y)
    return _told(begun, len(values))


def exactly_once(bootstrap: str, topic: str, out: str, count: int, *, whole: bool = True) -> dict[str, float]:
    """Consume, decode, predict, learn, produce, send offsets, commit. Timed from the first commit to the last.

    ``whole``: waits for a whole batch, up to 0.2 s; else takes what is there.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": f"group-{out}", "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "isolation.level": "read_committed", "log_level": 0,
        }
    )  # fmt: skip
    producer = Producer(
        {
            "bootstrap.servers": bootstrap, "transactional.id": out, "log_level": 0,
            "retry.backoff.ms": 5,  # with the default, offsets wait 100 ms for the commit before: a third of the speed
        }
    )  # fmt: skip
    producer.init_transactions(30.0)
    consumer.subscribe([topic])
    river = model()
    first = done = 0
    begun = _mark()
    while done < count:
        limit = min(5000, count - done)
        messages = consumer.consume(limit, 0.2) if whole else _there(consumer, limit)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            x = orjson.loads(message.value())
            event, key = x.pop("id"), x.pop("key")
            del x["time"]
            y = x.pop("label")
            score = river.predict_proba_one(x).get(True, 0.0)
            river.learn_one(x, y)
            producer.produce(out, orjson.dumps({"id": event, "score": score}), key, 0)
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()
        done += len(messages)
        if not first:
            first, begun = done, _mark()
    timing = _told(begun, done - first)
    consumer.close()
    return timing


def _there(consumer: Consumer, limit: int) -> list[Message]:
    first = consumer.poll(0.2)
    return [] if first is None else [first, *(consumer.consume(limit - 1, 0) if limit > 1 else [])]


def _mark() -> tuple[float, float, CoreTime]:
    return time.perf_counter(), time.process_time(), core_time(cores()[-1] if len(cores()) == 1 else -1)


def _told(begun: tuple[float, float, CoreTime], events: int) -> dict[str, float]:
    at, cpu_s, core = _mark()
    return {
        "events": events, "seconds": at - begun[0], "cpu_s": cpu_s - begun[1],
        "busy_s": core.busy_s - begun[2].busy_s, "idle_s": core.idle_s - begun[2].idle_s,
    }  # fmt: skip


def main(kind: str, *arguments: str) -> None:
    if kind == "bare":
        print(json.dumps(bare(arguments[0], model())))
    elif kind == "tree":
        print(json.dumps(bare(arguments[0], tree.HoeffdingTreeClassifier())))
    else:
        bootstrap, topic, out, count = arguments
        print(json.dumps(exactly_once(bootstrap, topic, out, int(count), whole=kind == "exactly_once")))


if __name__ == "__main__":
    main(*sys.argv[1:])
