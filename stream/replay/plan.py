"""What a backtest is asked for, checked before anything is read: configurations that can be compared, a source that fits them.

Plain values come out: contestants and a source, which any process can be given. Nothing is replayed here; read
backtest.py next.
"""

import datetime as dt
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stream.build import user_modules
from stream.config import Config, load, validate
from stream.config_loading import Source as ConfigSource
from stream.errors import ConfigError
from stream.replay.bounds import Range
from stream.replay.sources import Source

Given: TypeAlias = Config | Path | str | Mapping[str, Any]
"""A configuration: a file, its settings as a mapping, or one that is loaded."""
Moment: TypeAlias = str | int | dt.date | None
"""A time (ISO; UTC when it names no zone), or an offset in the input of events."""

AGREED = (
    ("problem", ("problem",)),
    ("events.id", ("events", "id")),
    ("events.key", ("events", "key")),
    ("events.time", ("events", "time")),
    ("labels.field", ("labels", "field")),
    ("labels.delay", ("labels", "delay")),
    ("labels.id", ("labels", "id")),
    ("labels.value", ("labels", "value")),
    ("labels.time", ("labels", "time")),
    ("labels.partitioning", ("labels", "partitioning")),
)
"""What compared configurations must have in common: the same events, with the same labels, known at the same time."""
APART = "compared configurations see the same events with the same labels: make it equal, or replay them apart"


def loaded(given: Given) -> Config:
    """Raises ConfigError with all mistakes."""
    if isinstance(given, Config):
        return given
    if isinstance(given, Mapping):
        return validate(ConfigSource(Path("configuration"), dict(given)))
    return load(given, os.environ)


def names_of(configs: Sequence[Config]) -> list[str]:
    """A name each: the configuration's own; where that is another's as well, its file's, and a number at last."""
    count = Counter(config.name for config in configs)
    names: list[str] = []
    for config in configs:
        name = config.name
        if count[name] > 1 and config.source is not None and config.source.is_file():
            name = config.source.stem
        number, unique = 2, name
        while unique in names:
            unique, number = f"{name}-{number}", number + 1
        names.append(unique)
    return names


def check_agreement(configs: Sequence[Config]) -> None:
    """They can be compared event by event. Raises ConfigError naming the setting that differs."""
    first = configs[0].answers()
    for config in configs[1:]:
        other = config.answers()
        if (other["labels"] is None) != (first["labels"] is None):
            with_them, without = (config, configs[0]) if other["labels"] is not None else (configs[0], config)
            told = f"{with_them.name} has labels, {without.name} none"
            raise ConfigError(f"{config.name} cannot be compared with {configs[0].name}: {told}", APART)
        for name, path in AGREED:
            ours, theirs = _at(first, path), _at(other, path)
            if ours != theirs:
                told = f"{name} is {theirs!r}, there it is {ours!r}"
                raise ConfigError(f"{config.name} cannot be compared with {configs[0].name}: {told}", APART)


def _at(answers: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = answers
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def moment(given: Moment, what: str) -> tuple[int | None, int | None]:
    """(time in milliseconds, offset), one of them. Raises ConfigError."""
    if given is None:
        return None, None
    if isinstance(given, int) or (isinstance(given, str) and given.isascii() and given.isdigit()):
        return None, int(given)
    try:
        time = dt.datetime.fromisoformat(given if isinstance(given, str) else given.isoformat())
    except ValueError:
        raise ConfigError(
            f"{what}: {given!r} is neither a time nor an offset", "write 2018-06-01, 2018-06-01T12:00, or a number"
        ) from None
    time = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time
    return round(time.timestamp() * 1000), None


def range_of(start: Moment, stop: Moment, *, late_labels: bool) -> Range:
    """Raises ConfigError."""
    (from_ms, from_offset), (to_ms, to_offset) = moment(start, "--from"), moment(stop, "--to")
    for first, last in ((from_ms, to_ms), (from_offset, to_offset)):
        if first is not None and last is not None and last <= first:
            raise ConfigError(f"--to {stop} does not lie after --from {start}: there is nothing to replay")
    return Range(from_ms, to_ms, from_offset, to_offset, late_labels)


def source_of(
    configs: Sequence[Config], given: Sequence[str | Path], labels: Sequence[str | Path], span: Range, tasks: int
) -> Source:
    """What is replayed. Raises ConfigError when that does not fit the configurations.

    Parameters
    ----------
    given : sequence of str or Path
        Files; or ``kafka`` or ``journal`` alone; empty: what the first configuration reads.
    """
    kind = _kind([str(one) for one in given])
    first = configs[0]
    if kind is None:
        kind = "files" if first.on_files else "kafka"
        for config in configs:
            if _reads(config) != _reads(first):
                raise ConfigError(
                    f"{config.name} reads {_reads(config)}, and {first.name} reads {_reads(first)}",
                    "say what all are to be replayed on: `--source FILE...`, `kafka` or `journal`",
                )
        return replace(_own(first, kind, span), tasks=tasks, key=first.events.key)
    if kind != "files":
        if labels:
            raise ConfigError(f"--labels goes with files; --source {kind} has its own labels", "leave it out")
        return replace(_own(first, kind, span), tasks=tasks)
    return Source(
        "files", tuple(map(str, given)), _label_files(first, labels), first.name, range=span, tasks=tasks, key=first.events.key
    )  # fmt: skip


def _kind(given: Sequence[str]) -> Literal["files", "kafka", "journal"] | None:
    words = [one for one in given if one in {"kafka", "journal"} and not Path(one).exists()]
    if not given:
        return None
    if not words:
        return "files"
    if len(given) > 1:
        raise ConfigError(f"--source {words[0]} stands alone", f"either `--source {words[0]}` or files")
    return "kafka" if words[0] == "kafka" else "journal"


def _reads(config: Config) -> str:
    events = config.events.topic or ", ".join(config.events.file or ())
    labels = "" if config.labels is None else config.labels.topic or ", ".join(config.labels.file or ())
    return f"{events} with {labels}" if labels else events


def _own(config: Config, kind: Literal["files", "kafka", "journal"], span: Range) -> Source:
    if config.on_files:
        if kind == "kafka":
            raise ConfigError(
                f"{config.name} reads files, so there is no topic to replay", "give `--source FILE...`, or leave it out"
            )
        labels = None
        if config.labels is not None and config.labels.file is not None:
            labels = tuple(str(config.path(one)) for one in config.labels.file)
        events = tuple(str(config.path(one)) for one in config.events.file or ())
        return Source(kind, events, labels, config.name, str(config.path(config.out)), range=span)
    arguments: dict[str, Any] = {
        "settings": dict(config.client_settings()),
        "pipeline": config.name,
        "partitioning": config.labels.partitioning if config.labels is not None else "copartitioned",
        "delivery": config.delivery,
        "group": config.group,
    }
    topics: dict[str, str | None] = {"labels": None, **config.topics()}
    return Source(kind, pipeline=config.name, kafka=arguments, topics=topics, range=span)


def _label_files(config: Config, labels: Sequence[str | Path]) -> tuple[str, ...] | None:
    """Raises ConfigError when labels are missing, or too many."""
    own_stream = config.labels is not None and config.labels.own_stream
    if own_stream and not labels:
        raise ConfigError(f"{config.name}: labels have records of their own", "say where they are: `--labels FILE...`")
    if labels and not own_stream:
        where = "ride in the events" if config.labels is not None else "are not configured"
        raise ConfigError(f"{config.name}: --labels is given, but labels {where}", "leave it out")
    for what, section in (("events", config.events), ("labels", config.labels if own_stream else None)):
        if section is not None and section.time is None:
            raise ConfigError(
                f"{config.name}: {what} take the time of their records in the topic, and a line of a file has none",
                f"name the field that holds it: `{what}: {{time: …}}`",
            )
    return tuple(map(str, labels)) if own_stream else None


def modules_of(configs: Sequence[Config]) -> tuple[str, ...]:
    """The users' own modules that states may name."""
    return tuple(dict.fromkeys(module for config in configs for module in user_modules(config)))


def told(source: Source) -> dict[str, Any]:
    """Of a source, what must be the same for a replay to go on: no settings of clients, which may hold secrets."""
    plain = {"kind": source.kind, "events": list(source.events), "labels": source.labels and list(source.labels)}
    span = source.range
    names = ("from_ms", "to_ms", "from_offset", "to_offset", "late_labels")
    return {
        **plain, "pipeline": source.pipeline, "topics": dict(source.topics), "tasks": source.tasks, "key": source.key,
        "range": {name: getattr(span, name) for name in names},
    }  # fmt: skip
