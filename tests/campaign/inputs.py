"""The campaign's inputs: card payments with late labels, a pinch of dirt in them, and the topics that hold them.

June of the public fraud data where a checkout of it lies beside the repository, else the simulated feed. All of it is in
the topics before any worker starts, so the order of records is a fact and one uninterrupted run tells what is right.
"""

import csv
import datetime as dt
import gzip
import itertools
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream.feeds.fraud import FraudFeed
from tests.integration.running import Stream, create_topics, send

JUNE = Path(__file__).parents[2].parent / "shared/data/fraud/transactions_2018-06-01_2018-06-29.csv.gz"
DELAY = dt.timedelta(days=2)
DIRT = 200
"""One record in so many is followed by a bad one."""


def payments() -> Iterator[tuple[dict[str, Any], bool]]:
    """(event, fraud), in order of time, as many as there are."""
    if not JUNE.exists():
        feed = FraudFeed(45, 1)
        truth = {label["id"]: bool(label["fraud"]) for label in feed.labels()}
        for event in feed.events():
            at = dt.datetime.fromisoformat(str(event["time"]))
            told = {"id": event["id"], "card": event["customer"], "time": at.isoformat(), "amount": event["amount"]}
            yield told | {"hour": float(at.hour)}, truth.get(event["id"], False)
        return
    with gzip.open(JUNE, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = dt.datetime.fromisoformat(row["TX_DATETIME"] + "+00:00")
            told = {"id": row["TRANSACTION_ID"], "card": row["CUSTOMER_ID"], "time": at.isoformat()}
            yield told | {"amount": float(row["TX_AMOUNT"]), "hour": float(at.hour)}, row["TX_FRAUD"] == "1"


def dirt(chance: random.Random, event: dict[str, Any], late: str) -> tuple[str, bytes]:
    """Which topic, and what: nothing that a service should learn from."""
    label = {"id": event["id"], "fraud": True, "time": late}
    return chance.choice([
        ("events", b'{"id": "cut off'),
        ("events", json.dumps(event).encode()),  # again
        ("events", json.dumps(event | {"id": f"x{event['id']}", "amount": "much"}).encode()),
        ("labels", json.dumps(label).encode()),  # again, and often a conflicting one
        ("labels", json.dumps(label | {"id": f"x{event['id']}"}).encode()),  # of nothing
        ("labels", b"\xff\xfe"),
    ])  # fmt: skip


def fill(kafka: str, events: int, partitions: int, name: str) -> tuple[Stream, int]:
    """Topics with so many payments, their labels two days later, and the dirt; and how many payments there are."""
    create_topics(kafka, {f"{name}-events": partitions, f"{name}-labels": partitions})
    counts, paid = [0] * partitions, itertools.count()
    chance = random.Random(events)

    def records() -> Iterator[tuple[str, bytes | None, bytes | None, int]]:
        for number, (event, fraud) in enumerate(itertools.islice(payments(), events)):
            next(paid)
            key = event["card"].encode()
            place = zlib.crc32(key) % partitions
            late = (dt.datetime.fromisoformat(event["time"]) + DELAY).isoformat()
            label = {"id": event["id"], "fraud": fraud, "time": late}
            told = [("events", json.dumps(event).encode()), ("labels", json.dumps(label).encode())]
            if number % DIRT == DIRT - 1:
                told.append(dirt(chance, event, late))
            counts[place] += len(told)
            for topic, value in told:
                yield f"{name}-{topic}", key, value, place

    send(kafka, records())
    return Stream(kafka, name, partitions, tuple(counts)), next(paid)
