"""The only place where objects are wired: from settings to a log, a store, a worker. No logic of its own.

build_fold.py does the same for what is pure. Read runtime/worker.py for what is done with it.
"""

import functools
import os
import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.build_fold import build_fold, lineage
from stream.checkpoints.base import CheckpointStore
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import KEY_VARIABLE, Signer, load_key
from stream.config import Config
from stream.errors import ConfigError, LogError, StoreUnavailable
from stream.runtime.host import Host, ThreadHost
from stream.runtime.readings import TaskReadings
from stream.runtime.saves import Cadence
from stream.runtime.task import Task, TaskSettings
from stream.runtime.worker import Worker
from stream.transport.base import Log

ADMITTED = ("river", "learners", "detectors")
"""Packages whose parts any journal or checkpoint may name; further ones are those that the configuration names itself."""
LOCAL = ".headrace"
"""Beside the configuration: the generated key, and the embedded Redis."""
AGE_SHARE = 0.3
"""Of the inputs' retention: a worker that could save no checkpoint for so long stops, before a third of it is gone."""


@dataclass(slots=True)
class Service:
    """A worker and what it works with."""

    config: Config
    worker: Worker
    store: CheckpointStore
    readings: dict[int, TaskReadings]
    """Of every task that the worker ever had, by number: the newest."""


@contextmanager
def open_service(
    config: Config,
    *,
    accept_lineage: bool = False,
    warm_start: Path | None = None,
    say: Callable[[str], None] = print,
    host: Host | None = None,
    open_its_log: Callable[[Config], Log] | None = None,
) -> Iterator[Service]:
    """A worker for this configuration, and an end for everything that was opened.

    Parameters
    ----------
    accept_lineage : bool
        Go on with other settings than the journal's.
    warm_start : Path, optional
        Directory with the state of a backtest: a new journal begins with it.
    say : callable
        Told warnings for people.
    host : Host, optional
        The machine; shared by several services of one process.
    open_its_log : callable, optional
        In place of ``open_log``: a log of another kind.

    Raises
    ------
    HeadraceError
        Whatever an operator must see to before there can be a worker.
    """
    with ExitStack() as stack:
        store = stack.enter_context(open_store(config, say=say, absent=True))
        signer = Signer(signing_key(config))
        log = (open_its_log or open_log)(config)
        stack.callback(log.close)
        told = lineage(config, log.identity())
        build = functools.partial(build_fold, allow=(*ADMITTED, *user_modules(config)))
        build(told, ())  # what is wrong with a learner is said before anything is touched
        warm_of = None
        if warm_start is not None:
            from stream.build_warm import warm_starts  # noqa: PLC0415 - only where it is used

            warm_of = warm_starts(config, warm_start, log, say)
        machine: Host = host if host is not None else ThreadHost()
        settings = task_settings(config, accept_lineage=accept_lineage, retention_s=input_retention_s(config, say))
        readings: dict[int, TaskReadings] = {}

        def make_task(number: int) -> Task:
            readings[number] = own = TaskReadings(number)
            checkpointer = Checkpointer(
                store, signer, task_name(config, number), keep=config.checkpoints.keep, on_unverified=own.say,
                admitted=user_modules(config), monotonic=machine.monotonic,
            )  # fmt: skip
            warm = None if warm_of is None else warm_of(number)
            return Task(number, lambda: log.open(number), checkpointer, build, told, machine, settings, own, warm)

        yield Service(config, Worker(log, make_task, machine, ends=config.on_files), store, readings)


def task_name(config: Config, number: int) -> str:
    """As checkpoints name it."""
    return f"{config.name}/{number}"


def task_settings(config: Config, *, accept_lineage: bool = False, retention_s: float | None = None) -> TaskSettings:
    """How tasks of this configuration work. ``retention_s``: of the inputs; None when they stay for ever."""
    every = config.checkpoints.every
    return TaskSettings(
        worker=f"{socket.gethostname()}/{os.getpid()}",
        batch_records=config.batch.records,
        poll_wait_s=0.0 if config.on_files else config.batch.wait.seconds,
        checkpoints=Cadence(every.records, every.seconds, None if retention_s is None else AGE_SHARE * retention_s),
        accept_lineage=accept_lineage,
    )


def input_retention_s(config: Config, say: Callable[[str], None] = print) -> float | None:
    """The shortest retention of the topics that a recovery reads; None when they stay for ever, or nobody may know."""
    if config.on_files:
        return None
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - kafka-python only where it is used

    topics = [topic for use, topic in config.topics().items() if use in {"events", "labels"}]
    try:
        with ControlPlane(config.client_settings()) as plane:
            kept_ms = [info.retention_ms for info in plane.describe(topics).values() if info.retention_ms >= 0]
    except LogError as error:
        say(f"cannot see how long records are kept, so checkpoints that get too old are not noticed: {error.message}")
        return None
    return min(kept_ms) / 1000 if kept_ms else None


def open_log(config: Config) -> Log:
    """The log of this configuration: files or Kafka. Raises LogMisfit, LogUnavailable, ConfigError."""
    if config.on_files:
        return _files_log(config)
    from stream.transport.kafka import KafkaLog, KafkaTopics  # noqa: PLC0415 - librdkafka only where it is used

    return KafkaLog(
        config.client_settings(),
        pipeline=config.name,
        topics=KafkaTopics(**{"labels": None, **config.topics()}),  # type: ignore[arg-type] # the others are always there
        partitioning=config.labels.partitioning if config.labels is not None else "copartitioned",
        delivery=config.delivery,
        group=config.group,
        transaction_timeout_ms=config.transaction_timeout.ms,
        commit_deadline_s=config.commit_deadline.seconds,
    )


def _files_log(config: Config) -> Log:
    from stream.transport.files import FilesLog  # noqa: PLC0415 - as above

    assert config.events.file is not None
    labels = config.labels.file if config.labels is not None else None
    return FilesLog(
        [config.path(one) for one in config.events.file],
        None if labels is None else [config.path(one) for one in labels],
        config.path(config.out),
        config.name,
    )


@contextmanager
def open_store(
    config: Config, *, say: Callable[[str], None] = print, absent: bool = False
) -> Iterator[CheckpointStore]:
    """The checkpoint store of this configuration.

    Parameters
    ----------
    absent : bool
        Whether one that does not answer now will do: a worker goes on without it.

    Raises
    ------
    ConfigError
        It is none, refuses us, or would drop checkpoints.
    StoreUnavailable
        It does not answer.
    """
    address = config.checkpoints.store
    with ExitStack() as stack:
        if address.kind == "files":
            from stream.checkpoints.files import FileStore  # noqa: PLC0415 - only the one that is used

            store: CheckpointStore = FileStore(config.path(address.location.get()))
        else:
            from stream.checkpoints.redis import RedisStore  # noqa: PLC0415 - as above

            url = address.location.get()
            if address.kind == "embedded":
                from stream.checkpoints.embedded import EmbeddedRedis  # noqa: PLC0415 - as above

                url = stack.enter_context(EmbeddedRedis(local_directory(config) / "redis")).url
            redis_store = RedisStore(url)
            try:
                warnings = redis_store.verify()
            except StoreUnavailable as error:
                if not absent:
                    raise
                warnings = (f"{error.message}; until it does, no checkpoint is saved and a recovery takes longer",)
            for warning in warnings:
                say(warning)
            store = redis_store
        stack.callback(store.close)
        yield store


def signing_key(config: Config) -> bytes:
    """The key that signs checkpoints. Raises ConfigError."""
    key_file = config.checkpoints.key_file
    generate_at = local_directory(config) / "checkpoint.key"
    if key_file is None and not os.environ.get(KEY_VARIABLE):
        try:
            generate_at.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot keep a checkpoint key in {generate_at.parent}: {error.strerror}",
                f"set {KEY_VARIABLE}, or `checkpoints: {{key_file: …}}`",
            ) from error
    return load_key(None if key_file is None else config.path(key_file), os.environ.get(KEY_VARIABLE), generate_at)


def local_directory(config: Config) -> Path:
    """Where this configuration keeps what belongs to this machine."""
    return config.path(LOCAL) / config.name


def user_modules(config: Config) -> tuple[str, ...]:
    """Top-level modules of the user's own that checkpoints may name: those of factories and dotted paths."""
    found: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "factory" and isinstance(inner, str):
                    found.add(inner.partition(":")[0].partition(".")[0])
                elif isinstance(key, str) and "." in key:
                    found.add(key.partition(".")[0])
                look(inner)
        elif isinstance(value, (list, tuple)):
            for inner in value:
                look(inner)
        elif isinstance(value, str) and "." in value and value.replace(".", "").replace("_", "").isalnum():
            found.add(value.partition(".")[0])

    look(dict(config.learners))
    return tuple(sorted(found - {*ADMITTED, "numpy", "stream"}))


def machine() -> str:
    """The machine in a line, for reports."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores"
