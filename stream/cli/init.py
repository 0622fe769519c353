"""``headrace init``: a configuration that runs, to start from. The texts are in templates/."""

import argparse
import json
import random
from importlib.resources import files
from pathlib import Path

from stream.errors import ConfigError

SERVERS = "localhost:9092"
_SAMPLE_EVENTS = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "dir", nargs="?", type=Path, default=Path(), metavar="DIR", help="where to write it (default: here)"
    )
    parser.add_argument(
        "--template",
        choices=["fraud", "minimal"],
        default="fraud",
        help="fraud: payments with late labels (default); minimal: the least there is, with a file of events",
    )
    parser.add_argument(
        "--kafka",
        nargs="?",
        const=SERVERS,
        metavar="SERVERS",
        help=f"with fraud: topics of this cluster in place of files (default: {SERVERS})",
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def run(arguments: argparse.Namespace) -> int:
    """Write the files and say what to do next."""
    path = write(arguments.dir, arguments.template, kafka=arguments.kafka, force=arguments.force)
    print(f"wrote {path}\n\nnext:")
    for line in _next(path, arguments.template, arguments.kafka):
        print(f"  {line}")
    return 0


def write(directory: Path, template: str, *, kafka: str | None = None, force: bool = False) -> Path:
    """Write a template's files; the configuration's path.

    Raises
    ------
    ConfigError
        A file is there already, or there is no such variant.
    """
    if template == "minimal" and kafka is not None:
        raise ConfigError("the minimal template reads a file", "take `--template fraud` for Kafka")
    variant = "minimal" if template == "minimal" else f"{template}-{'kafka' if kafka else 'files'}"
    text = (files("stream.cli") / "templates" / f"{variant}.yaml").read_text(encoding="utf-8")
    contents = {directory / f"{template}.yaml": text.replace("@SERVERS@", kafka or SERVERS)}
    if template == "minimal":
        contents[directory / "events.jsonl"] = _sample()
    for path in contents:
        if path.exists() and not force:
            raise ConfigError(f"{path} is there already", "choose another directory, or write over it with --force")
    directory.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        path.write_text(content, encoding="utf-8")
    return next(iter(contents))


def _next(path: Path, template: str, kafka: str | None) -> list[str]:
    if template == "minimal":
        return [f"headrace check {path}", f"headrace run {path}"]
    if kafka is not None:
        return [
            f"headrace topics create {path} --partitions 1",
            f"headrace simulate fraud --days 60 --kafka {kafka}",
            f"headrace run {path}",
        ]
    return [f"headrace simulate fraud --days 60 --out {path.parent / 'feed'}", f"headrace run {path}"]


def _sample() -> str:
    """Points in a square, one a second; the label says on which side of a line they lie, and the line turns half-way."""
    draw = random.Random(1)
    lines = []
    for number in range(_SAMPLE_EVENTS):
        x, y = round(draw.uniform(-1, 1), 4), round(draw.uniform(-1, 1), 4)
        above = x + y > 0 if number < _SAMPLE_EVENTS // 2 else x - y > 0
        event = {"id": f"e{number}", "time": 1_750_000_000 + number, "x": x, "y": y, "above": above}
        lines.append(json.dumps(event))
    return "\n".join(lines) + "\n"
