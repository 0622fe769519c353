"""``headrace status``: who works, how far behind, and where the newest checkpoints stand. Looks from outside; changes nothing.

From Kafka (or the output directory) and the checkpoint store; a running worker itself tells more under ``/metrics``.
"""

import argparse
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stream.cli.checkpoints import instant
from stream.cli.output import age, print_json, size, table
from stream.cli.stores import Found, checkpoints_of, store_of, tasks_of
from stream.config import Config, load
from stream.errors import CheckpointError, LogMisfit
from stream.records import OUTPUTS, Claim, decode_journal
from stream.transport.ledger import LOCK, Journal

INPUTS = ("events", "labels")
COLUMNS = ("task", "owner", "behind", "entry", "checkpoint", "saved", "size", "stream time", "problem")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")


def run(arguments: argparse.Namespace) -> int:
    """Look, and tell."""
    config = load(arguments.config, os.environ)
    told = files_status(config) if config.on_files else kafka_status(config)
    told |= {"tasks": _with_checkpoints(config, told["tasks"])}
    if arguments.json:
        print_json(told)
    else:
        _print(told)
    return 0


def files_status(config: Config) -> dict[str, Any]:
    """Of a pipeline of files: its journal, its outputs, and the process that holds them. Raises JournalBroken."""
    directory = config.path(config.out)
    journal = Journal(directory)
    journal.scan()
    last, place = journal.last(), journal.place
    task: dict[str, Any] = {"task": 0, "owner": _owner(directory), "behind": None, "entry": None}
    if last is not None and place is not None:
        task["entry"] = _entry(last.value)
        task["positions"] = list(place.positions)
    outputs = {name: place.records.get(name, 0) if place is not None else 0 for name in OUTPUTS}
    return {"pipeline": config.name, "where": str(directory), "outputs": outputs, "tasks": [task]}


def _entry(journaled: bytes) -> int | None:
    """Number of the last entry, by the last record of a journal; a claim stands before the entry of its number."""
    record = decode_journal(journaled)
    number = record.number - isinstance(record, Claim)
    return number if number >= 0 else None


def _owner(directory: Path) -> str | None:
    """The process that holds the directory's lock: the last one to take it, if it lives."""
    try:
        pid = int((directory / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # it lives, and is somebody else's
    except (OSError, OverflowError):
        return None
    return f"process {pid}"


def kafka_status(config: Config) -> dict[str, Any]:
    """Of a pipeline of topics: its group's members, and how far each partition is behind. Raises LogError."""
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - the clients only where they are used
    from stream.transport.kafka_client import Settings  # noqa: PLC0415
    from stream.transport.kafka_reader import Reader  # noqa: PLC0415

    topics = config.topics()
    reader = Reader(Settings(config.client_settings(), config.group), config.group)
    with ControlPlane(config.client_settings()) as plane:
        found = plane.describe([topics["events"], topics["journal"]])
        if topics["events"] not in found:
            raise LogMisfit(
                f"there is no topic {topics['events']} (events)", "`headrace topics create CONFIG` says more"
            )
        members = plane.members(config.group)
        lag = plane.group_lag(config.group)
    owners = {place: f"{member.client_id} ({member.host})" for member in members for place in member.partitions}
    tasks: list[dict[str, Any]] = []
    for number in range(found[topics["events"]].partitions):
        own = {use: lag[f"{topics[use]}/{number}"] for use in INPUTS if f"{topics.get(use)}/{number}" in lag}
        journaled = topics["journal"] in found and number < found[topics["journal"]].partitions
        newest = reader.newest(topics["journal"], number, fenced=False) if journaled else None
        tasks.append(
            {
                "task": number,
                "owner": owners.get(f"{topics['events']}/{number}"),
                "lag": own,
                "behind": sum(own.values()) if own else None,
                "entry": None if newest is None else _entry(newest.value() or b""),
            }
        )
    return {
        "pipeline": config.name,
        "where": str(config.kafka["bootstrap.servers"]),
        "group": config.group,
        "members": [member._asdict() for member in members],
        "tasks": tasks,
    }


def _with_checkpoints(config: Config, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks with their newest checkpoint; tasks that only the store knows are added."""
    known = {task["task"]: dict(task) for task in tasks}
    try:
        with store_of(config) as store:
            for number in tasks_of(config, store):
                found = next(iter(checkpoints_of(config, store, number)), None)
                if found is not None:
                    known.setdefault(number, {"task": number})["checkpoint"] = _checkpoint(found)
    except CheckpointError as error:
        for task in known.values():
            task["problem"] = error.message
    return [known[number] for number in sorted(known)]


def _checkpoint(found: Found) -> dict[str, Any]:
    if found.head is None:
        return {"problem": found.problem}
    head = found.head
    return {
        "entry": head.entry_number,
        "records": head.records,
        "age_seconds": round(max(time.time() - head.saved_ms / 1000, 0.0), 3),
        "stream_time_ms": head.stream_time_ms,
        "bytes": sum(chunk.size for chunk in head.chunks),
    }


def _print(told: dict[str, Any]) -> None:
    print(f"{told['pipeline']}: {told['where']}")
    if "group" in told:
        count = len(told["members"])
        print(f"group {told['group']}: {_workers(count)}")
    if "outputs" in told:
        print(", ".join(f"{count:,} {name}" for name, count in told["outputs"].items()))
    print()
    print(table([_row(task) for task in told["tasks"]], COLUMNS))


def _workers(count: int) -> str:
    return "nobody works" if count == 0 else f"{count} worker{'s' if count > 1 else ''}"


def _row(task: dict[str, Any]) -> dict[str, object]:
    row = {name: task.get(name) for name in ("task", "owner", "behind", "entry", "problem")}
    checkpoint = task.get("checkpoint") or {}
    row["checkpoint"] = checkpoint.get("entry")
    with suppress(KeyError):
        row["saved"] = f"{age(checkpoint['age_seconds'])} ago"
        row["size"] = size(checkpoint["bytes"])
        row["stream time"] = instant(checkpoint["stream_time_ms"])
    if row["problem"] is None:
        row["problem"] = checkpoint.get("problem")
    return row
