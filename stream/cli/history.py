"""What the verbs that look back have in common: their arguments, and a pipeline's history opened for them."""

import argparse
import base64
import sys
from contextlib import ExitStack
from pathlib import Path

from stream.checkpoints.base import CheckpointStore
from stream.cli.stores import store_of
from stream.config import Config
from stream.errors import ConfigError, StoreUnavailable
from stream.replay.travel import Past, open_past


def add_reading(parser: argparse.ArgumentParser, instead_of: str) -> None:
    """The last arguments: what the journal began with, and how it is told."""
    parser.add_argument(
        "--warm-start", type=Path, metavar="DIR", help="the state that the journal began with, as for `headrace run`"
    )
    parser.add_argument("--json", action="store_true", help=f"JSON in place of a {instead_of}")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def open_history(config: Config, arguments: argparse.Namespace, stack: ExitStack) -> Past:
    """Open until the stack ends. Without a store that answers it is folded from its start. Raises HeadraceError."""
    return stack.enter_context(
        open_past(config, _store_or_none(config, stack), say=_say, warm_start=arguments.warm_start)
    )


def _store_or_none(config: Config, stack: ExitStack) -> CheckpointStore | None:
    try:
        return stack.enter_context(store_of(config))
    except StoreUnavailable as error:
        _say(f"{error.message}; without checkpoints")
        return None


def tasks_asked(past: Past, task: int | None) -> range:
    """That one, or all. Raises ConfigError."""
    if task is None:
        return range(past.tasks)
    if not 0 <= task < past.tasks:
        raise ConfigError(f"there is no task {task}", f"there are {past.tasks}, numbered from 0")
    return range(task, task + 1)


def text_of(data: bytes) -> dict[str, str]:
    """For JSON."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _say(message: str) -> None:
    print(f"headrace: {message}", file=sys.stderr)
