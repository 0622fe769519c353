"""``headrace checkpoints``: what is stored, to look at, keep under a name, or remove. All real work is checkpoints/'s."""

import argparse
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream.checkpoints.base import CheckpointStore, Head
from stream.cli.output import age, confirmed, print_json, size, table
from stream.cli.stores import Found, checkpoints_of, store_of, tasks_of
from stream.config import Config, load
from stream.errors import CheckpointError, ConfigError
from stream.pipeline.clock import NEVER

COLUMNS = ("task", "entry", "records", "stream time", "age", "size", "pin", "problem")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes: list, show, pin, unpin, delete."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|pin|unpin|delete")
    words = {
        "list": "every stored checkpoint",
        "show": "one checkpoint: where it stands in the log, what it holds, its lineage",
        "pin": "keep one under a name, whatever becomes of newer ones",
        "unpin": "let a pinned one go the way of the others",
        "delete": "remove one that is not pinned",
    }
    for action, word in words.items():
        each = actions.add_parser(action, help=word, description=f"{word[0].upper()}{word[1:]}.")
        each.add_argument("config", type=Path, metavar="CONFIG")
        each.add_argument("--task", type=int, metavar="N", help="of this task (partition)")
        if action in {"list", "show"}:
            each.add_argument("--json", action="store_true", help="JSON in place of a table")
        if action in {"show", "pin", "delete"}:
            each.add_argument(
                "--entry",
                type=int,
                metavar="E",
                required=action == "delete",
                help="its journal entry (default: the newest)",
            )
        if action in {"pin", "unpin"}:
            each.add_argument("--name", required=True, help="the name of the pin")
        if action == "delete":
            each.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked. Raises HeadraceError."""
    config = load(arguments.config, os.environ)
    with store_of(config) as store:
        if arguments.action == "list":
            return _list(config, store, arguments)
        task = _task(config, store, arguments.task)
        if arguments.action == "unpin":
            return _unpin(config, store, task, arguments.name)
        head = _chosen(config, store, task, arguments.entry)
        if arguments.action == "show":
            return _show(config, store, head, as_json=arguments.json)
        if arguments.action == "pin":
            return _pin(store, head, arguments.name)
        return _delete(store, head, yes=arguments.yes)


def _list(config: Config, store: CheckpointStore, arguments: argparse.Namespace) -> int:
    tasks = tasks_of(config, store) if arguments.task is None else [arguments.task]
    found = [each for task in tasks for each in checkpoints_of(config, store, task)]
    if arguments.json:
        print_json([_facts(each) for each in found])
    elif not found:
        print(f"{config.name} has no checkpoint in {config.checkpoints.store}")
    else:
        print(table([_row(each, time.time()) for each in found], COLUMNS))
    return 0


def _facts(found: Found) -> dict[str, Any]:
    if found.head is None:
        return {"task": found.task, "problem": found.problem}
    return {
        "task": found.task,
        "entry": found.head.entry_number,
        "token": found.head.token,
        "records": found.head.records,
        "stream_time_ms": found.head.stream_time_ms,
        "saved_ms": found.head.saved_ms,
        "bytes": sum(chunk.size for chunk in found.head.chunks),
        "pin": found.pin,
        "problem": None,
    }


def _row(found: Found, now_s: float) -> dict[str, object]:
    facts = _facts(found)
    if found.head is None:
        return facts
    return {
        **facts,
        "stream time": instant(found.head.stream_time_ms),
        "age": age(now_s - found.head.saved_ms / 1000),
        "size": size(facts["bytes"]),
    }


def instant(time_ms: int) -> str:
    """A time for people; what lies outside the calendar as its number, and nothing where no event came."""
    if time_ms <= NEVER:
        return "-"
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def _task(config: Config, store: CheckpointStore, given: int | None) -> int:
    tasks = tasks_of(config, store)
    if given is not None:
        if given not in tasks:
            raise CheckpointError(f"task {given} of {config.name} has no checkpoint", _which(tasks))
        return given
    if len(tasks) == 1:
        return tasks[0]
    if not tasks:
        raise CheckpointError(f"{config.name} has no checkpoint in {config.checkpoints.store}")
    raise ConfigError(f"{config.name} has {len(tasks)} tasks", f"say which with --task: {', '.join(map(str, tasks))}")


def _which(numbers: list[int]) -> str:
    return f"there are {', '.join(map(str, numbers))}" if numbers else ""


def _chosen(config: Config, store: CheckpointStore, task: int, entry: int | None) -> Head:
    heads = [found.head for found in checkpoints_of(config, store, task) if found.head is not None]
    for head in heads:
        if entry is None or head.entry_number == entry:
            return head
    raise CheckpointError(
        f"task {task} of {config.name} has no {'checkpoint that verifies' if entry is None else f'checkpoint at entry {entry}'}",
        _which([head.entry_number for head in heads]),
    )


def _show(config: Config, store: CheckpointStore, head: Head, *, as_json: bool) -> int:
    task = int(head.task.rpartition("/")[2])
    pins = [name for name, position in store.pins(head.task).items() if position == head.entry_number]
    sizes: Counter[str] = Counter()
    for chunk in head.chunks:
        sizes[chunk.part] += chunk.size
    facts = {
        **_facts(Found(task, head, "", pins[0] if pins else None)),
        "journal_offset": head.journal_offset,
        "positions": list(head.positions),
        "parts": dict(sizes),
        "lineage": head.lineage,
    }
    if as_json:
        print_json(facts)
        return 0
    print(
        f"checkpoint of task {task} of {config.name}, at journal entry {head.entry_number} (offset {head.journal_offset})"
    )
    print(f"  saved        {instant(head.saved_ms)} UTC, {age(time.time() - head.saved_ms / 1000)} ago")
    print(f"  records      {head.records:,} folded; stream time {instant(head.stream_time_ms)}")
    print(f"  positions    {', '.join(map(str, head.positions))}   token {head.token}")
    print(f"  pinned as    {', '.join(pins) or '-'}")
    print(f"  size         {size(facts['bytes'])}\n")
    print(table([{"part": part, "bytes": count} for part, count in sorted(sizes.items())], ("part", "bytes")))
    return 0


def _pin(store: CheckpointStore, head: Head, name: str) -> int:
    taken = store.pins(head.task).get(name)
    if taken is not None and taken != head.entry_number:
        raise ConfigError(f"{name!r} is the pin of entry {taken} already", "unpin it first, or choose another name")
    try:
        store.pin(head.task, head.entry_number, name)
    except KeyError:
        raise CheckpointError(
            f"entry {head.entry_number} of {head.task} was pruned meanwhile", "pin a newer one"
        ) from None
    print(f"entry {head.entry_number} of {head.task} is kept as {name}")
    return 0


def _unpin(config: Config, store: CheckpointStore, task: int, name: str) -> int:
    name_of_task = f"{config.name}/{task}"
    pins = store.pins(name_of_task)
    if name not in pins:
        raise CheckpointError(f"{name_of_task} has no pin {name!r}", f"there are {', '.join(pins)}" if pins else "")
    store.pin(name_of_task, pins[name], None)
    print(f"entry {pins[name]} of {name_of_task} is no longer pinned")
    return 0


def _delete(store: CheckpointStore, head: Head, *, yes: bool) -> int:
    if not confirmed(f"Remove the checkpoint of {head.task} at entry {head.entry_number}?", yes=yes):
        return 1
    try:
        store.delete(head.task, head.entry_number)
    except KeyError:
        raise CheckpointError(f"entry {head.entry_number} of {head.task} is not there any more") from None
    except ValueError:
        raise CheckpointError(f"entry {head.entry_number} of {head.task} is pinned", "unpin it first") from None
    print(f"entry {head.entry_number} of {head.task} is removed")
    return 0
