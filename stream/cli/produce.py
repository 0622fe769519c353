"""``headrace produce``: records of files into a topic, keyed by one of their fields. Files are read as a pipeline reads them."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from stream.cli.arguments import per_second
from stream.config import load
from stream.errors import ConfigError
from stream.transport.feeder import Feeder
from stream.transport.readers import open_records

AHEAD_S = 0.002
"""Shorter waits than this are not worth a system call."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="JSONL, CSV, TSV or Parquet, plain or compressed; patterns, directories",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--kafka", metavar="SERVERS", help="host:port,...")
    where.add_argument(
        "--config", type=Path, metavar="CONFIG", help="take the `kafka:` settings (SASL, TLS) of a pipeline"
    )
    parser.add_argument("--topic", required=True, metavar="T", help="where to; it must exist")
    parser.add_argument(
        "--key", metavar="FIELD", help="field that becomes the key: records of a key stay in one partition"
    )
    parser.add_argument("--rate", type=per_second, metavar="N", help="records a second (default: as fast as it goes)")


def run(arguments: argparse.Namespace) -> int:
    """Send them all; every one is acknowledged, or it is an error. Raises HeadraceError."""
    settings: dict[str, str | int | float | bool] = {"bootstrap.servers": arguments.kafka or ""}
    if arguments.config is not None:
        settings = load(arguments.config, os.environ).client_settings()
    records = keyed(arguments.files, arguments.key)
    shown = _shown if sys.stderr.isatty() else None
    begun_s = time.monotonic()
    with Feeder(settings, progress=shown) as feeder:
        for key, value in paced(records, arguments.rate):
            feeder.send(arguments.topic, key, value)
        sent = feeder.flush()
    spent_s = max(time.monotonic() - begun_s, 1e-9)
    if shown is not None:
        print(file=sys.stderr)
    print(f"{sent:,} records to {arguments.topic}, {sent / spent_s:,.0f} a second")
    return 0


def keyed(files: list[str], field: str | None) -> Iterator[tuple[bytes | None, bytes]]:
    """Keys and values of all records. Raises ConfigError for a record without the field, naming it."""
    for records in open_records(files):
        for offset, value in zip(records.offsets, records.values, strict=True):
            if value is not None:
                yield (None if field is None else key_of(value, field, offset)), value


def key_of(value: bytes, field: str, number: int) -> bytes:
    """The field's value as a key: text as it is, a whole number in digits."""
    try:
        found = orjson.loads(value)[field]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"has no field `{field}`" if isinstance(error, KeyError) else "is not a JSON object"
        raise ConfigError(
            f"record {number:,} {reason} (counted from 0): {value[:80].decode(errors='replace')}",
            "those before it were sent: mend it, and send the rest",
        ) from None
    if isinstance(found, str):
        return found.encode()
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found).encode()
    raise ConfigError(f"record {number:,}: the key `{field}` is text or a whole number, got {found!r}")


def paced(
    records: Iterator[tuple[bytes | None, bytes]],
    rate: float | None,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[bytes | None, bytes]]:
    """The same records, no more than ``rate`` a second from the beginning on."""
    begun_s = monotonic()
    for number, record in enumerate(records):
        if rate is not None and (ahead_s := begun_s + number / rate - monotonic()) > AHEAD_S:
            sleep(ahead_s)
        yield record


def _shown(acknowledged: int) -> None:
    print(f"\r{acknowledged:,} records", end="", file=sys.stderr, flush=True)
