"""``headrace rejects``: what was refused and why, and sending it again once the cause is gone.

A reject keeps the original bytes; its headers say where it stood. Reading topics and files is transport/'s.
"""

import argparse
import base64
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stream.cli.arguments import count
from stream.cli.output import confirmed, print_json, table
from stream.config import Config, load
from stream.errors import ConfigError
from stream.transport.files import parse_reject
from stream.transport.ledger import committed_lines

LIMIT = 50
COLUMNS = ("reason", "error", "topic", "partition", "offset", "key", "value")
_SHOWN_CHARS = 48
_NO_BODY = "too_large"
"""These rejects hold a reference in place of the record."""


class StoredReject(NamedTuple):
    """A reject as it stands in the topic or the file."""

    key: bytes | None
    value: bytes
    headers: dict[str, bytes]

    def said(self, name: str) -> str:
        return self.headers.get(name, b"").decode(errors="replace")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes: list, redrive."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|redrive")
    words = {
        "list": "the newest rejects with their reasons, and how many there are of each",
        "redrive": "send the original bytes to the topic that they came from, again",
    }
    for action, word in words.items():
        each = actions.add_parser(action, help=word, description=f"{word[0].upper()}{word[1:]}.")
        each.add_argument("config", type=Path, metavar="CONFIG")
        each.add_argument("--reason", metavar="R", help="only of this reason: schema, label_orphan, ...")
        default = f" (default: {LIMIT})" if action == "list" else " (default: all)"
        each.add_argument("--limit", type=count, metavar="N", help=f"only the newest N{default}")
        if action == "list":
            each.add_argument("--json", action="store_true", help="JSON in place of a table")
        else:
            each.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked. Raises HeadraceError."""
    config = load(arguments.config, os.environ)
    if arguments.action == "list":
        return _list(config, arguments)
    return _redrive(config, arguments)


def stored_rejects(config: Config) -> Iterator[StoredReject]:
    """Every committed reject, oldest first within a partition. Raises LogError."""
    if config.on_files:
        for line in committed_lines(config.path(config.out), "rejects"):
            yield StoredReject(*parse_reject(line))
        return
    from stream.transport.kafka_topic import read_topic  # noqa: PLC0415 - librdkafka only where it is used

    for record in read_topic(config.client_settings(), config.group, config.rejects.topic):
        yield StoredReject(record.key, record.value or b"", record.headers)


def _newest(rejects: Iterable[StoredReject], limit: int | None) -> tuple[deque[StoredReject], Counter[str]]:
    """The last ones, and the count of all by reason."""
    last: deque[StoredReject] = deque(maxlen=limit)
    counts: Counter[str] = Counter()
    for reject in rejects:
        last.append(reject)
        counts[reject.said("reason")] += 1
    return last, counts


def _chosen(config: Config, reason: str | None) -> Iterator[StoredReject]:
    return (reject for reject in stored_rejects(config) if reason is None or reject.said("reason") == reason)


def _list(config: Config, arguments: argparse.Namespace) -> int:
    last, counts = _newest(_chosen(config, arguments.reason), arguments.limit or LIMIT)
    if arguments.json:
        print_json({"counts": dict(counts), "rejects": [_facts(reject) for reject in last]})
        return 0
    if not counts:
        print(f"{config.name} has no rejects{f' of reason {arguments.reason}' if arguments.reason else ''}")
        return 0
    print(table([_row(reject) for reject in last], COLUMNS))
    print(
        f"\n{sum(counts.values()):,} in all: "
        + ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    )
    return 0


def _text(data: bytes) -> dict[str, str] | None:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _facts(reject: StoredReject) -> dict[str, Any]:
    headers: dict[str, Any] = {name: value.decode(errors="replace") for name, value in reject.headers.items()}
    for name in ("partition", "offset", "timestamp", "seq"):
        if headers.get(name, "").lstrip("-").isdecimal():
            headers[name] = int(headers[name])
    return {**headers, "key": None if reject.key is None else _text(reject.key), "value": _text(reject.value)}


def _row(reject: StoredReject) -> dict[str, object]:
    row: dict[str, object] = {name: reject.said(name) for name in COLUMNS if name not in {"key", "value"}}
    row["key"] = _shown(reject.key or b"")
    row["value"] = _shown(reject.value)
    row["error"] = _cut(reject.said("error"))
    return row


def _shown(data: bytes) -> str:
    return _cut("".join(each if each.isprintable() else "·" for each in data.decode(errors="replace")))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def _redrive(config: Config, arguments: argparse.Namespace) -> int:
    if config.on_files:
        raise ConfigError(f"{config.name} reads files, which are not written to", "correct the files, and start over")
    ours = {config.events.topic, config.labels.topic if config.labels is not None else None}
    last, _ = _newest(_chosen(config, arguments.reason), arguments.limit)
    whole = [each for each in last if each.said("reason") != _NO_BODY and each.said("topic") in ours and each.value]
    if left := len(last) - len(whole):
        print(f"{left:,} cannot be sent again: they hold no original bytes, or are of a topic of another configuration")
    if not whole:
        print("nothing to send")
        return 0
    topics = Counter(each.said("topic") for each in whole)
    told = ", ".join(f"{count:,} to {topic}" for topic, count in topics.items())
    if not confirmed(f"Send {len(whole):,} records again ({told})?", yes=arguments.yes):
        return 1
    sent = send_again(config, whole)
    print(f"{sent:,} records sent again; what is refused once more is in {config.rejects.topic}")
    return 0


def send_again(config: Config, rejects: Iterable[StoredReject]) -> int:
    """Original bytes and key to the topic that they came from; how many were acknowledged. Raises LogError."""
    from stream.transport.feeder import Feeder  # noqa: PLC0415 - kafka-python only where it is used

    with Feeder(config.client_settings()) as feeder:
        for reject in rejects:
            feeder.send(reject.said("topic"), reject.key or None, reject.value)  # its key leads to its partition
        return feeder.flush()
