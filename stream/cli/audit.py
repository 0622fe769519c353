"""``headrace audit``: fold the journal again, and compare every prediction, alarm and reject with what was emitted.

It reads only, and a worker may be at work meanwhile. Exit code 0: what could be compared is equal, byte for byte; 1: there is
a difference, or the journal does not replay. Comparing is replay/audit.py's.
"""

import argparse
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stream.cli.headway import Headway
from stream.cli.history import add_reading, open_history, tasks_asked, text_of
from stream.cli.output import print_json, table
from stream.config import Config, load
from stream.errors import ConfigError
from stream.records import OUTPUTS, OutputName
from stream.replay.audit import Audit, Audited, Difference, Range
from stream.replay.travel import Past
from stream.runtime.host import calm_collector
from stream.transport.outputs import OutputReader, Said

_AROUND = 30
"""Characters on either side of where two values differ."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration")
    parser.add_argument("--task", type=int, metavar="N", help="only this task (default: all)")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--from-checkpoint", action="store_true", help="only what came after the newest checkpoint")
    begin.add_argument(
        "--from", type=int, dest="first", metavar="ENTRY", help="only from this journal entry on (default: all)"
    )
    parser.add_argument("--to", type=int, dest="last", metavar="ENTRY", help="only up to this journal entry")
    for name in OUTPUTS:
        parser.add_argument(f"--{name}-topic", metavar="TOPIC", help=f"compare a copy of the {name} topic")
    parser.add_argument("--against", type=Path, metavar="DIR", help="of files: compare copies of the outputs in DIR")
    add_reading(parser, "table")


def run(arguments: argparse.Namespace) -> int:
    """Audit, tell. Raises HeadraceError."""
    config = load(arguments.config, os.environ)
    calm_collector()
    _check(config, arguments)
    with ExitStack() as stack:
        past = open_history(config, arguments, stack)
        told = [_audit(past, task, arguments) for task in tasks_asked(past, arguments.task)]
    if arguments.json:
        print_json({"pipeline": config.name, "equal": _equal(told), "tasks": [_facts(one) for one in told]})
    else:
        for one in told:
            _print(one)
        if _equal(told) and any(one.records for one in told):
            print("equal: what was emitted is what follows from the records")
    return 0 if _equal(told) else 1


def _check(config: Config, arguments: argparse.Namespace) -> None:
    copies = [name for name in OUTPUTS if getattr(arguments, f"{name}_topic")]
    if config.on_files and copies:
        raise ConfigError(f"{config.name} writes files, not topics", "name a directory of copies with --against DIR")
    if not config.on_files and arguments.against is not None:
        raise ConfigError(f"{config.name} writes topics, not files", "name a copy with --predictions-topic TOPIC")
    if arguments.against is not None and not arguments.against.is_dir():
        raise ConfigError(f"there is no directory {arguments.against}")


def _audit(past: Past, task: int, arguments: argparse.Namespace) -> Audited:
    headway = Headway("folded", quiet=arguments.quiet)
    with ExitStack() as stack:
        # before the journal's end is looked at: what stands in an output by then must be in the journal
        readers: dict[OutputName, OutputReader] = {
            name: stack.enter_context(
                closing(past.output(name, task, getattr(arguments, f"{name}_topic"), arguments.against))
            )
            for name in OUTPUTS
        }
        travel = stack.enter_context(closing(past.task(task)))
        audit = Audit(task, travel, readers, tell=headway.tell)
        try:
            return audit.run(Range(arguments.first, arguments.last), newest=arguments.from_checkpoint)
        finally:
            headway.done()


def _equal(told: list[Audited]) -> bool:
    return all(one.difference is None for one in told)


def _print(told: Audited) -> None:
    if told.next_entry == told.first_entry and told.difference is None:
        print(f"task {told.task}: the journal holds no entry to compare")
        return
    before = f", {told.folded - told.records:,} more before them" if told.folded > told.records else ""
    print(
        f"task {told.task}: entries {told.first_entry} to {told.next_entry - 1}, folded from {told.begun}: "
        f"{told.records:,} records{before} in {told.seconds:.1f} s, {told.folded / max(told.seconds, 1e-9):,.0f}/s"
    )
    rows = []
    for name, one in told.outputs.items():
        count = one.next_seq - one.first_seq
        rows.append(
            {
                "output": name, "where": one.where, "seq": f"{one.first_seq} to {one.next_seq - 1}" if count else None,
                "compared": one.compared, "digest": told.digests[name]["digest"] if count and told.difference is None else None,
            }
        )  # fmt: skip
    print(table(rows, ("output", "where", "seq", "compared", "digest")))
    for name, one in told.outputs.items():
        if one.gone:
            print(
                f"{name}: seq {one.first_seq} to {one.first_seq + one.gone - 1} are no longer in {one.where} (retention), "
                f"so {one.gone:,} of {one.next_seq - one.first_seq:,} could not be compared"
            )
        if one.repeats:
            print(f"{name}: {one.repeats:,} records stand there again, as `delivery: at_least_once` allows")
    if told.difference is not None:
        for line in difference_lines(told.difference):
            print(line)


_SAYS = {
    "value": "has another value",
    "key": "has another key",
    "headers": "has other headers",
    "seq": "has no header seq",
    "missing": "is missing",
    "surplus": "is in no journal entry",
    "duplicate": "stands there again",
}


def difference_lines(found: Difference) -> list[str]:
    """The difference for a person: where, of which event, and both values around the first byte that differs."""
    at = "" if found.offset is None else f", offset {found.offset:,}"
    lines = [f"DIFFERENT: {found.output} seq {found.seq} {_SAYS[found.kind]} ({found.where}{at}; entry {found.entry})"]
    if found.event:
        event = found.event
        place = f", {event['topic']}/{event['partition']} at offset {event['offset']:,}" if "offset" in event else ""
        lines.append(f"  event {event['id']}{place}" if "id" in event else f"  record{place.removeprefix(',')}")
    if found.expected is None or found.found is None:
        for name, one in (("folded", found.expected), ("stands", found.found)):
            if one is not None:
                lines.append(f"  {name}  {_shown(one.value)}")
        return lines
    for expected, stands in _pairs(found.expected, found.found):
        if expected != stands:
            lines += _beside(expected, stands)
    return lines


def _pairs(expected: Said, found: Said) -> list[tuple[bytes, bytes]]:
    pairs = [(expected.key, found.key), (expected.value, found.value)]
    names = sorted({*expected.headers, *found.headers})
    absent = b"(absent)"
    return pairs + [
        (
            name.encode() + b": " + expected.headers.get(name, absent),
            name.encode() + b": " + found.headers.get(name, absent),
        )
        for name in names
    ]


def _beside(expected: bytes, stands: bytes) -> list[str]:
    one, other = _shown(expected), _shown(stands)
    at = next(
        (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    start = max(at - _AROUND, 0)
    mark = "…" if start else ""
    cut = [f"{mark}{text[start : at + _AROUND]}{'…' if len(text) > at + _AROUND else ''}" for text in (one, other)]
    return [f"  folded  {cut[0]}", f"  stands  {cut[1]}", " " * (10 + len(mark) + at - start) + "^"]


def _shown(data: bytes) -> str:
    text = data.decode(errors="backslashreplace")
    return "".join(one if one.isprintable() else "·" for one in text)


def _facts(told: Audited) -> dict[str, Any]:
    found = told.difference
    return {
        "task": told.task,
        "entries": [told.first_entry, told.next_entry - 1] if told.next_entry > told.first_entry else None,
        "folded_from": told.begun,
        "records": told.records,
        "records_folded": told.folded,
        "seconds": round(told.seconds, 3),
        "outputs": {name: asdict(one) | told.digests[name] for name, one in told.outputs.items()},
        "difference": None if found is None else _difference_facts(found),
    }


def _difference_facts(found: Difference) -> dict[str, Any]:
    def said(one: Said | None) -> Mapping[str, Any] | None:
        if one is None:
            return None
        headers = {name: value.decode(errors="replace") for name, value in one.headers.items()}
        return {"seq": one.seq, "key": text_of(one.key), "value": text_of(one.value), "headers": headers}

    return {
        "kind": found.kind, "output": found.output, "where": found.where, "offset": found.offset, "seq": found.seq,
        "entry": found.entry, "event": dict(found.event), "expected": said(found.expected), "found": said(found.found),
    }  # fmt: skip
