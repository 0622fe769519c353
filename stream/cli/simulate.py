"""``headrace simulate``: a made-up feed into files or into Kafka topics.

Into files the whole feed goes at once, with the truth about it beside; into Kafka it goes in order of time, events and the
labels that become known between them, as fast as it can or at a rate. The feed itself is feeds/fraud.py's; this file has
arguments, output and progress. Into Kafka it sends through transport/feeder.py's Feeder.
"""

import argparse
import contextlib
import gzip
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, TextIO

import orjson

from stream.cli.arguments import count, per_second
from stream.errors import ConfigError, LogMisfit
from stream.feeds.fraud import FraudFeed, Record

PROGRESS_S = 0.5
CHECK_S = 1.0
LINES_AT_ONCE = 2000
AHEAD_S = 0.001
"""Sleeping for less would not be worth the call."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("feed", choices=["fraud"], help="which feed: card payments with late fraud labels")
    parser.add_argument("--days", type=count, default=30, metavar="N", help="how many days of event time (default: 30)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which feed of its kind (default: 1)")
    parser.add_argument(
        "--customers", type=count, default=3000, metavar="N", help="about two payments a day each (3000)"
    )
    parser.add_argument(
        "--change-at", type=float, default=0.5, metavar="FRACTION", help="when the fraudsters change (0.5)"
    )
    parser.add_argument(
        "--labels",
        choices=["all", "positives"],
        default="all",
        help="whether genuine payments are confirmed after seven days, or only fraud is ever reported",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="write events.jsonl, labels.jsonl and truth.json there")
    where.add_argument("--kafka", metavar="SERVERS", help="send to the topics of this cluster (host:port,...)")
    parser.add_argument("--compress", choices=["gz"], help="with --out: compress the events and the labels")
    parser.add_argument("--events-topic", default="transactions", metavar="TOPIC", help="(default: transactions)")
    parser.add_argument("--labels-topic", default="fraud-labels", metavar="TOPIC", help="(default: fraud-labels)")
    parser.add_argument(
        "--rate", type=per_second, metavar="N", help="with --kafka: events a second (default: all at once)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Play the feed. Returns the exit code; raises HeadraceError."""
    try:
        feed = FraudFeed(
            arguments.days,
            arguments.seed,
            customers=arguments.customers,
            change_at=arguments.change_at,
            positives_only=arguments.labels == "positives",
        )
    except ValueError as error:
        raise ConfigError(f"simulate: {error}") from error
    if arguments.out is not None:
        if arguments.rate is not None:
            raise ConfigError("simulate: --rate goes with --kafka; files are written all at once")
        write(feed, arguments.out, compress=arguments.compress)
        return 0
    if arguments.compress is not None:
        raise ConfigError("simulate: --compress goes with --out")
    return _to_kafka(feed, arguments)


def write(feed: FraudFeed, directory: Path, *, compress: str | None = None) -> None:
    """Write the feed's two streams and the truth; a file has its name only when it is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    ending = ".jsonl" if compress is None else f".jsonl.{compress}"
    with _whole(directory / f"events{ending}") as events, _whole(directory / f"labels{ending}") as labels:
        streams = {"event": events, "label": labels}
        lines: dict[str, list[bytes]] = {"event": [], "label": []}
        for kind, record in _shown(feed, sys.stderr):
            waiting = lines[kind]
            waiting.append(orjson.dumps(record))
            if len(waiting) == LINES_AT_ONCE:
                streams[kind].write(b"\n".join(waiting) + b"\n")
                waiting.clear()
        for kind, waiting in lines.items():
            streams[kind].writelines(line + b"\n" for line in waiting)
    with _whole(directory / "truth.json") as truth:
        truth.write(orjson.dumps(asdict(feed.truth), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"{feed.truth.events:,} events and their labels in {directory}; truth.json says where the change is")


def play(
    feed: FraudFeed, send: Callable[[str, bytes, bytes], None], topics: Mapping[str, str], rate: float | None
) -> tuple[int, int]:
    """Send the feed's records in order of time, keyed by customer; returns how many events and labels.

    Parameters
    ----------
    feed
        What to play.
    send
        Called with topic, key and value.
    topics
        Where an ``event`` and where a ``label`` goes.
    rate
        Events a second; labels go with the events around them. None: as fast as ``send`` takes them.
    """
    counts = {"event": 0, "label": 0}
    begun_s = time.monotonic()
    for kind, record in _shown(feed, sys.stderr):
        if rate is not None and kind == "event":
            ahead_s = begun_s + counts["event"] / rate - time.monotonic()
            if ahead_s > AHEAD_S:
                time.sleep(ahead_s)
        send(topics[kind], str(record["customer"]).encode(), orjson.dumps(record))
        counts[kind] += 1
    return counts["event"], counts["label"]


def _to_kafka(feed: FraudFeed, arguments: argparse.Namespace) -> int:
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - files need no client
    from stream.transport.feeder import Feeder  # noqa: PLC0415 - as above

    settings = {"bootstrap.servers": arguments.kafka}
    topics = {"event": arguments.events_topic, "label": arguments.labels_topic}
    with ControlPlane(settings) as control:
        found = control.describe(list(topics.values()))
    if missing := [topic for topic in topics.values() if topic not in found]:
        raise LogMisfit(
            f"there is no topic {' and no topic '.join(missing)} at {arguments.kafka}",
            "create it, with as many partitions as models; `headrace topics --help` says how",
        )
    begun_s = time.monotonic()
    with Feeder(settings) as feeder:
        checked_s = begun_s

        def send(topic: str, key: bytes, value: bytes) -> None:
            nonlocal checked_s
            feeder.send(topic, key, value)
            # At a rate the feeder's own limit is far off; a refused record should be known at once all the same.
            if arguments.rate is not None and time.monotonic() - checked_s > CHECK_S:
                feeder.flush()
                checked_s = time.monotonic()

        events, labels = play(feed, send, topics, arguments.rate)
        feeder.flush()
    took_s = time.monotonic() - begun_s
    print(
        f"{events:,} events to {arguments.events_topic} and {labels:,} labels to {arguments.labels_topic}, all "
        f"acknowledged, in {took_s:,.0f} s"
    )
    change = feed.truth.change
    if change is not None:
        print(f"the fraudsters change their ways at {change['time']}, after {change['event']:,} events")
    return 0


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name at the end; the same content gives the same bytes, also compressed."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as plain:
            if path.suffix == ".gz":
                # No name and no time in the header: they would differ from run to run.
                with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=plain, mtime=0) as packed:
                    yield packed  # type: ignore[misc]  # GzipFile writes bytes; it is no BinaryIO by name
            else:
                yield plain
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _shown(feed: FraudFeed, screen: TextIO) -> Iterator[tuple[str, Record]]:
    """The feed's records, with progress on a terminal."""
    if not screen.isatty():
        yield from feed.records()
        return
    counts = {"event": 0, "label": 0}
    next_s = time.monotonic() + PROGRESS_S
    for kind, record in feed.records():
        counts[kind] += 1
        if time.monotonic() >= next_s:
            next_s += PROGRESS_S
            line = f"{str(record['time'])[:16]}  {counts['event']:,} events  {counts['label']:,} labels"
            print(f"\r{line}", end="", file=screen, flush=True)
        yield kind, record
    print(f"\r{counts['event']:,} events  {counts['label']:,} labels{'':20}", file=screen)
