"""Headrace in a Faust app, wired: from a configuration to agents and a service of the app. No logic of its own.

The same wiring as build.py's, with Faust's side of Kafka for a log. Read runtime/faust.py for what is done with it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stream.build import Service, open_store, signing_key, task_name, task_settings, user_modules
from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.config import Config, load
from stream.errors import ConfigError
from stream.runtime.faust import FaustApp, FaustLog, Intake, Pipeline
from stream.runtime.host import ThreadHost
from stream.runtime.readings import TaskReadings
from stream.runtime.task import Task
from stream.runtime.worker import Worker
from stream.transport.kafka_client import KafkaTopics


def attach(
    app: FaustApp,
    config: Config | Path | str,
    *,
    environment: Mapping[str, str] | None = None,
    accept_lineage: bool = False,
) -> Pipeline:
    """Let a Faust app run a pipeline. Nothing is connected to before the app starts.

    Parameters
    ----------
    app : faust.App
        Made with ``stream_wait_empty=False`` and the broker that the configuration names.
    config : Config | Path | str
        A configuration, or its file.
    environment : mapping
        For overrides when a file is given; ``os.environ`` by default.
    accept_lineage : bool
        Go on with other settings than the journal's.

    Raises
    ------
    ConfigError
        What a Faust app cannot run: files, broadcast labels.

    Examples
    --------
    ::

        app = faust.App("fraud", broker="kafka://localhost:9092", stream_wait_empty=False)
        pipeline = attach(app, "fraud.yaml")
    """
    if not isinstance(config, Config):
        config = load(config, os.environ if environment is None else environment)
    _refuse(config)
    names = config.topics()
    topics = KafkaTopics(
        names["events"], names.get("labels"), names["predictions"], names["alarms"], names["rejects"], names["journal"]
    )
    intake = Intake(app, topics.events, topics.labels)

    @contextmanager
    def open_worker() -> Iterator[Service]:
        with ExitStack() as stack:
            store = stack.enter_context(open_store(config))
            signer, host = Signer(signing_key(config)), ThreadHost()
            log = FaustLog(
                intake, config.client_settings(), pipeline=config.name, topics=topics, group=config.group,
                transaction_timeout_ms=config.transaction_timeout.ms, commit_deadline_s=config.commit_deadline.seconds,
            )  # fmt: skip
            stack.callback(log.close)
            told, settings = lineage(config, log.identity()), task_settings(config, accept_lineage=accept_lineage)
            build_fold(told, ())  # what is wrong with a learner is said before anything is touched
            readings: dict[int, TaskReadings] = {}

            def make_task(number: int) -> Task:
                readings[number] = own = TaskReadings(number)
                checkpointer = Checkpointer(
                    store, signer, task_name(config, number), keep=config.checkpoints.keep, on_unverified=own.say,
                    admitted=user_modules(config), monotonic=host.monotonic,
                )  # fmt: skip
                return Task(number, lambda: log.open(number), checkpointer, build_fold, told, host, settings, own)

            yield Service(config, Worker(log, make_task, host), store, readings)

    pipeline = Pipeline(app, intake, open_worker, str(config.client_settings()["bootstrap.servers"]))
    pipeline.attach()
    return pipeline


def _refuse(config: Config) -> None:
    if config.on_files:
        raise ConfigError("events come from files; a Faust app reads topics", "use `headrace run`")
    if config.labels is not None and config.labels.partitioning == "broadcast":
        raise ConfigError(
            "labels are broadcast; within a Faust group a partition is read by one worker only",
            "key the labels as the events are keyed (copartitioned), or use `headrace run`",
        )
