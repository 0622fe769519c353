"""Files that survive a crash: whole or not there, and lines up to a length that somebody vouches for."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson


def flushed(file: BinaryIO) -> None:
    """On the disk when this returns."""
    file.flush()
    os.fsync(file.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Beside its place, then renamed into it: a reader sees the former content or this one."""
    beside = path.with_name(f".{path.name}.unfinished")
    with beside.open("wb") as file:
        file.write(content)
        flushed(file)
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: object) -> None:
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def read_json(path: Path) -> Any:
    """None when there is no such file."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None


class Lines:
    """A file that only grows, a line at a time; what lies behind ``length`` at the beginning never happened."""

    def __init__(self, path: Path, length: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._file.truncate(length)
        self.length = length

    def add(self, lines: Iterable[bytes]) -> None:
        text = b"".join([line + b"\n" for line in lines])
        self._file.write(text)
        self.length += len(text)

    def sync(self) -> None:
        flushed(self._file)

    def close(self) -> None:
        self._file.close()
