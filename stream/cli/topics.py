"""``headrace topics``: whether a pipeline's topics fit one another, and creating missing ones. See transport/admin.py."""

import argparse
import os
from pathlib import Path
from typing import Any

from stream.cli.arguments import count
from stream.cli.output import print_json, table
from stream.config import Config, load
from stream.errors import ConfigError
from stream.transport.admin import ControlPlane

INPUTS = ("events", "labels")
COLUMNS = ("use", "topic", "partitions", "retention", "cleanup")
_WEEK_MS = 7 * 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes: check, create."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="check|create")
    words = {
        "check": "whether the topics exist and fit one another (exit code 1 when not)",
        "create": "create what is missing: outputs and journal; inputs too with --partitions",
    }
    for action, word in words.items():
        each = actions.add_parser(action, help=word, description=f"{word[0].upper()}{word[1:]}.")
        each.add_argument("config", type=Path, metavar="CONFIG")
        each.add_argument("--json", action="store_true", help="JSON in place of a table")
        if action == "create":
            each.add_argument(
                "--partitions",
                type=count,
                metavar="N",
                help="create missing inputs with N partitions: N tasks, N models",
            )
            each.add_argument("--replicas", type=count, metavar="R", help="of new topics (default: the cluster's)")


def run(arguments: argparse.Namespace) -> int:
    """Look, create, and say what does not fit. Raises HeadraceError."""
    config = load(arguments.config, os.environ)
    if config.on_files:
        raise ConfigError(
            f"{config.name} reads files and has no topics", "`headrace check CONFIG` checks everything else"
        )
    with ControlPlane(config.client_settings()) as plane:
        created: list[str] = []
        if arguments.action == "create":
            created = create(config, plane, arguments.partitions, arguments.replicas)
        found = plane.describe(list(config.topics().values()))
        problems = check(config, plane)
    rows: list[dict[str, Any]] = []
    for use, topic in config.topics().items():
        row: dict[str, Any] = {"use": use, "topic": topic}
        if topic in found:
            info = found[topic]
            row |= {"partitions": info.partitions, "retention_ms": info.retention_ms, "cleanup": info.cleanup_policy}
            row |= {"id": info.id, "max_message_bytes": info.max_message_bytes}
        rows.append(row)
    if arguments.json:
        print_json({"created": created, "topics": rows, "problems": problems})
    else:
        _print(rows, created, problems)
    return 1 if problems else 0


def check(config: Config, plane: ControlPlane) -> list[str]:
    """What does not fit, in words with what to do. Raises LogError."""
    labels = config.labels
    return plane.check_pipeline(
        config.topics(),
        partitioning=labels.partitioning if labels is not None else "copartitioned",
        wait_ms_longest=labels.wait.ms if labels is not None else 0,
    )


def create(config: Config, plane: ControlPlane, partitions: int | None, replicas: int | None) -> list[str]:
    """Create what is missing; names of what was. Raises LogError, ConfigError."""
    topics, copies = config.topics(), -1 if replicas is None else replicas
    missing = [topics[use] for use in INPUTS if use in topics]
    missing = [topic for topic in missing if topic not in plane.describe(missing)]
    if missing and partitions is None:
        raise ConfigError(
            f"there is no topic {' nor '.join(missing)}, which events and labels come from",
            "--partitions N creates inputs too; a partition is a task with a model of its own",
        )
    for topic in missing:
        assert partitions is not None
        plane.create(topic, partitions, {"retention.ms": str(_retention_ms(config))}, replicas=copies)
    return [*missing, *plane.ensure(topics, replicas=copies)]


def _retention_ms(config: Config) -> int:
    """Of inputs: twice as long as an event waits, and a week at least."""
    return max(2 * config.labels.wait.ms if config.labels is not None else 0, _WEEK_MS)


def _print(rows: list[dict[str, Any]], created: list[str], problems: list[str]) -> None:
    for row in rows:
        row["retention"] = _days(row["retention_ms"]) if "retention_ms" in row else "missing"
    print(table(rows, COLUMNS))
    if created:
        print(f"\ncreated {', '.join(created)}")
    print("\n" + ("\n".join(problems) if problems else "the topics fit one another"))


def _days(milliseconds: int) -> str:
    return "for ever" if milliseconds < 0 else f"{milliseconds / 86_400_000:.3g} days"
