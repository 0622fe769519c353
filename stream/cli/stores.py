"""The checkpoint store of a pipeline, to look into beside a worker that may be running. Opening it is build.py's."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream.build import local_directory, open_store, signing_key
from stream.checkpoints.base import CheckpointStore, Head
from stream.checkpoints.heads import open_head
from stream.checkpoints.memory import MemoryStore
from stream.checkpoints.redis import RedisStore
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.errors import StoreUnavailable, Unverified


class Found(NamedTuple):
    """A stored checkpoint: its head, or why it cannot be trusted."""

    task: int
    head: Head | None
    problem: str
    pin: str | None


@contextmanager
def store_of(config: Config) -> Iterator[CheckpointStore]:
    """The store, also while a worker holds its embedded Redis. Raises ConfigError, StoreUnavailable."""
    if config.checkpoints.store.kind != "embedded":
        with open_store(config, say=_warn) as store:
            yield store
        return
    directory = local_directory(config) / "redis"
    if not directory.exists():
        yield MemoryStore()  # nothing was ever saved, and to look is no reason to start a server
    elif (socket := _socket(directory)) is not None:
        beside = RedisStore(f"unix://{socket}?db=0")
        try:
            yield beside
        finally:
            beside.close()
    else:
        with open_store(config, say=_warn) as store:
            yield store


def _socket(directory: Path) -> Path | None:
    """Where a running embedded Redis listens (checkpoints/embedded.py says where); None when none answers."""
    note = directory / "socket"
    place = Path(note.read_text(encoding="utf-8")) if note.is_file() else directory
    socket = place / "redis.sock"
    if not socket.is_socket():
        return None
    asked = RedisStore(f"unix://{socket}?db=0", timeout_s=1.0)
    try:
        asked.tasks()
    except StoreUnavailable:
        return None
    finally:
        asked.close()
    return socket


def tasks_of(config: Config, store: CheckpointStore) -> list[int]:
    """Numbers of this pipeline's tasks that have a checkpoint."""
    prefix = f"{config.name}/"
    numbers = (name.removeprefix(prefix) for name in store.tasks() if name.startswith(prefix))
    return sorted(int(number) for number in numbers if number.isdecimal())


def checkpoints_of(config: Config, store: CheckpointStore, task: int) -> Iterator[Found]:
    """Newest first. One that does not verify is told as such, and never parsed."""
    name = f"{config.name}/{task}"
    pins: Mapping[int, str] = {position: pin for pin, position in store.pins(name).items()}
    signer = Signer(signing_key(config))
    for blob in store.heads(name):
        try:
            head = open_head(blob, signer, name)
        except Unverified as error:
            yield Found(task, None, error.message, None)
        else:
            yield Found(task, head, "", pins.get(head.entry_number))


def _warn(message: str) -> None:
    print(f"headrace: {message}", file=sys.stderr)
