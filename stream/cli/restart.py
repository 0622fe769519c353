"""``headrace restart``: a new lineage, from the records that there are. What was said stays said; what was learned goes.

The journal and the checkpoints of every task are removed, so the next worker starts at the beginning of its inputs with
nothing learned. Outputs stay: on Kafka new ones follow them (``seq`` goes on); of files the whole directory is moved aside.
"""

import argparse
import os
from pathlib import Path

from stream.build import open_store, task_name
from stream.cli.output import confirmed
from stream.cli.stores import tasks_of
from stream.config import Config, load
from stream.errors import ConfigError, Fenced
from stream.transport.ledger import Lock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    journal = config.out if config.on_files else config.topics()["journal"]
    question = f"Forget what {config.name} has learned: its checkpoints and its journal ({journal})?"
    if not confirmed(question, yes=arguments.yes):
        return 1
    _refuse_while_running(config)
    removed = _remove_checkpoints(config)  # first: checkpoints without their journal would stop the next worker
    if config.on_files:
        moved = _move_aside(config)
        print(
            f"moved {config.path(config.out)} to {moved}"
            if moved
            else f"there was nothing in {config.path(config.out)}"
        )
    else:
        _new_journal(config)
        print(f"topic {journal} is new and empty")
    print(f"removed {removed} checkpoints\n`headrace run {arguments.config}` starts over")
    return 0


def _refuse_while_running(config: Config) -> None:
    if config.on_files:
        _refuse_while_locked(config.path(config.out))
        return
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - kafka-python only where it is used

    with ControlPlane(config.client_settings()) as plane:
        members = plane.members(config.group)
        if members:
            raise ConfigError(
                f"{len(members)} workers of {config.name} are running ({', '.join(m.host for m in members)})",
                "stop them first (SIGTERM; a killed one leaves the group after ten seconds)",
            )


def _refuse_while_locked(out: Path) -> None:
    if not out.exists():
        return
    lock, own = Lock(out), object()
    try:
        lock.acquire(own)
    except Fenced as error:
        raise ConfigError(error.message, "stop that worker first (SIGTERM)") from error
    lock.release(own)


def _new_journal(config: Config) -> None:
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - as above

    topics = config.topics()
    with ControlPlane(config.client_settings()) as plane:
        plane.delete(topics["journal"])
        plane.ensure(topics)


def _move_aside(config: Config) -> Path | None:
    out = config.path(config.out)
    if not out.exists():
        return None
    number = 1
    while (aside := out.with_name(f"{out.name}.before-{number}")).exists():
        number += 1
    return out.rename(aside)


def _remove_checkpoints(config: Config) -> int:
    with open_store(config) as store:
        return sum(store.clear(task_name(config, number)) for number in tasks_of(config, store))
