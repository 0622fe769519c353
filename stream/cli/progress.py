"""A line about work that goes on, and every message that needs a person, on standard error. Reads; changes nothing."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

from stream.runtime.readings import TaskReadings

EVERY_S = 0.5
LOG_EVERY_S = 10.0
"""Where there is no terminal, a line so often."""


class Progress:
    """Tells about tasks from a thread of its own while it is entered.

    Parameters
    ----------
    services : sequence of mapping
        Of each worker, readings by task.
    quiet : bool
        Only messages, no progress.
    """

    def __init__(self, services: Sequence[Mapping[int, TaskReadings]], *, quiet: bool = False) -> None:
        self._services = services
        self._quiet = quiet
        self._told: dict[int, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
        self._terminal = sys.stderr.isatty()
        self._last: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()
        self._messages()
        if self._terminal and not self._quiet:
            print(file=sys.stderr)

    def _tell(self) -> None:
        told_at = time.monotonic()
        while not self._done.wait(EVERY_S):
            self._messages()
            now = time.monotonic()
            if not self._quiet and now - told_at >= (0.0 if self._terminal else LOG_EVERY_S):
                told_at = now
                line = self._line(now)
                print(
                    f"\r\033[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr
                )
                sys.stderr.flush()

    def _messages(self) -> None:
        for service in self._services:
            for task in list(service.values()):
                said = self._told.get(id(task), 0)
                fresh = task.said - said
                for message in task.messages[-fresh:] if fresh else ():
                    start = "\r\033[K" if self._terminal else ""
                    print(f"{start}headrace: task {task.task}: {message}", file=sys.stderr, flush=True)
                self._told[id(task)] = task.said

    def _line(self, now: float) -> str:
        tasks = [task for service in self._services for task in list(service.values()) if task.phase != "stopped"]
        records = sum(task.records for task in tasks)
        rate = ""
        if self._last is not None and now > self._last[0] and records >= self._last[1]:
            rate = f", {(records - self._last[1]) / (now - self._last[0]):,.0f}/s"
        self._last = (now, records)
        phases = ", ".join(f"{p} {n}" for p in ("recovering", "waiting", "opening") if (n := _count(tasks, p)))
        waiting, lag = sum(task.waiting for task in tasks), sum(sum(task.lag.values()) for task in tasks)
        return (
            f"{len(tasks)} task{'s' * (len(tasks) != 1)}{f' ({phases})' if phases else ''}: {records:,} records{rate}, "
            f"lag {lag:,}, {waiting:,} events wait, {sum(task.checkpoints for task in tasks)} checkpoints"
        )


def _count(tasks: Sequence[TaskReadings], phase: str) -> int:
    return sum(task.phase == phase for task in tasks)
