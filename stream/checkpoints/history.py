"""What a backtest leaves for a warm start: a directory with a checkpoint of each task, and ``history.json``, which says of what.

::

    DIR/history.json     History, as JSON
    DIR/state/           a FileStore: task ``<name>/<number>``, one checkpoint each

Written by replay/state.py, read by build_warm.py.
"""

from pathlib import Path
from typing import Final

import msgspec

from stream.errors import ConfigError
from stream.records import Positions

HISTORY: Final = "history.json"
STATE: Final = "state"


class History(msgspec.Struct, frozen=True):
    """What was replayed."""

    name: str
    """Of the configuration; its checkpoints are called so."""
    records: int
    """Of all tasks together."""
    stream_time_ms: int
    """The largest of any task."""
    tasks: int
    """Into how many models the stream was split."""
    topics: dict[str, str] = {}
    """Name to id of the topics that it was read from; empty: files."""
    positions: tuple[Positions, ...] = ()
    """By task, where each input of it ended; empty: files, which a live service does not go on with."""


def write_history(directory: Path, history: History) -> None:
    """The last thing to be written: a directory without it holds no whole state."""
    text = msgspec.json.format(msgspec.json.encode(history), indent=2)
    beside = directory / f"{HISTORY}.unfinished"
    beside.write_bytes(text + b"\n")
    beside.rename(directory / HISTORY)


def read_history(directory: Path) -> History:
    """Raises ConfigError when there is none, or one of another version."""
    hint = "make one with `headrace backtest CONFIG --save-state DIR`"
    try:
        return msgspec.json.decode((directory / HISTORY).read_bytes(), type=History)
    except OSError as error:
        raise ConfigError(f"{directory} holds no state of a backtest ({HISTORY}: {error.strerror})", hint) from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{directory / HISTORY} cannot be read: {error}", hint) from error
