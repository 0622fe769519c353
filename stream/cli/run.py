"""``headrace run``: the worker, until it is told to stop; on files, until they are read. All work is the runtime's."""

import argparse
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from stream.build import Service, open_service
from stream.cli.progress import Progress
from stream.config import load
from stream.errors import ConfigError
from stream.runtime.host import ThreadHost, calm_collector
from stream.serving.http import MetricsServer
from stream.serving.readings import WorkerReadings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="+", metavar="CONFIG", help="one file a pipeline")
    parser.add_argument(
        "--accept-lineage",
        action="store_true",
        help="go on with settings, or versions, that give other answers: journaled, unchanged parts keep their state",
    )
    parser.add_argument(
        "--warm-start",
        type=Path,
        metavar="DIR",
        help="begin with the state that `headrace backtest --save-state DIR` left; only a journal that is empty can",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only what needs attention")


def run(arguments: argparse.Namespace) -> int:
    """Work. Several configurations are several workers in this process, each in a thread of its own."""
    configs = [load(path, os.environ) for path in arguments.config]
    names = [config.name for config in configs]
    if arguments.warm_start is not None and len(configs) > 1:
        raise ConfigError("--warm-start is for one configuration", "start the others by themselves")
    if len(set(names)) < len(names):
        raise ConfigError(f"two configurations have one name: {', '.join(names)}", "give each pipeline its own `name:`")
    with ExitStack() as stack:
        services: list[Service] = []
        for config in configs:
            host = ThreadHost()  # one each: no pipeline waits behind another's commit
            service = stack.enter_context(
                open_service(
                    config,
                    accept_lineage=arguments.accept_lineage,
                    warm_start=arguments.warm_start,
                    say=_warn,
                    host=host,
                )
            )
            stack.enter_context(_served(service, host, first=not services))
            services.append(service)
        stack.enter_context(_stopped_by_signals(services))
        stack.enter_context(Progress([s.readings for s in services], quiet=arguments.quiet))
        calm_collector()
        _run_all(services)
    for service in services:
        if not arguments.quiet:
            print(_end(service))
    return 0


def _end(service: Service) -> str:
    """What a worker did, in a line; a line more for each learner that learns no longer."""
    tasks = list(service.readings.values())
    said: Counter[str] = Counter()
    for task in tasks:
        said.update(task.outputs)
    where = f" in {service.config.out}" if service.config.on_files else ""
    new = ", ".join(f"{count:,} {name}" for name, count in said.items()) or "nothing"
    lines = [f"{service.config.name}: {sum(task.records for task in tasks):,} records folded; {new} new{where}"]
    lines += [
        f"{service.config.name}: task {task.task}: learner {name} is frozen: {why}"
        for task in tasks
        for name, why in task.frozen.items()
    ]
    return "\n".join(lines)


def _run_all(services: list[Service]) -> None:
    """One worker in this thread, the others beside it; the first error ends all."""
    failures: list[BaseException] = []

    def work(service: Service) -> None:
        try:
            service.worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
            failures.append(error)
            for other in services:
                other.worker.stop()

    beside = [threading.Thread(target=work, args=(s,), name=s.config.name) for s in services[1:]]
    for thread in beside:
        thread.start()
    work(services[0])
    for thread in beside:
        thread.join()
    if failures:
        raise failures[0]


@contextmanager
def _served(service: Service, host: ThreadHost, *, first: bool) -> Iterator[None]:
    """Health and metrics. Several pipelines in one process: the first has the configured port, others a free one."""
    serve = service.config.serve
    if serve is None:
        yield
        return
    server = MetricsServer(
        WorkerReadings(service.worker, service.readings, host.monotonic), serve.host, serve.port if first else 0
    )
    server.start()
    _warn(f"{service.config.name}: health and metrics on {server.url}")
    try:
        yield
    finally:
        server.close()


@contextmanager
def _stopped_by_signals(services: list[Service]) -> Iterator[None]:
    """SIGTERM and SIGINT end the batch, save a checkpoint and leave the group; a second SIGINT ends at once."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what a handler is given
        for service in services:
            service.worker.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _warn(message: str) -> None:
    print(f"headrace: {message}", file=sys.stderr, flush=True)
