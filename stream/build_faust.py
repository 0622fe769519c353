"""Headrace in a Faust app, wired: from a configuration to agents and a service of the app. No logic of its own.

The same wiring as build.py's, with Faust's side of Kafka for a log. Read runtime/faust.py for what is done with it.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from stream.build import Service, open_service
from stream.config import Config, load
from stream.errors import ConfigError
from stream.runtime.faust import FaustApp, FaustLog, Intake, Pipeline
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
    topics = KafkaTopics(**{"labels": None, **config.topics()})  # type: ignore[arg-type] # the others are always there
    intake = Intake(app, topics.events, topics.labels)

    def open_its_log(config: Config) -> FaustLog:
        return FaustLog(
            intake, config.client_settings(), pipeline=config.name, topics=topics, group=config.group,
            transaction_timeout_ms=config.transaction_timeout.ms, commit_deadline_s=config.commit_deadline.seconds,
        )  # fmt: skip

    def open_worker() -> AbstractContextManager[Service]:
        return open_service(config, accept_lineage=accept_lineage, open_its_log=open_its_log)

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
