"""Several passes at once, a process each. What a pass leaves does not depend on who does it, so results are the same.

Processes are started anew (``spawn``): no thread, socket or lock of this one is copied. One whose parent is gone ends.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from stream.errors import HeadraceError
from stream.replay.work import Progress, Tell, Work, perform

TELL_S = 0.2
"""A process tells of its progress so often."""
WATCH_S = 0.5


def perform_all(works: Sequence[Work], jobs: int, tell: Tell) -> None:
    """All of them, ``jobs`` at a time. The first error ends the others; what they have done stays."""
    context = multiprocessing.get_context("spawn")
    waiting = list(works)
    running: dict[Connection, BaseProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(waiting.pop(0), theirs, list(sys.path)), daemon=True)
                process.start()
                theirs.close()
                running[ours] = process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                _hear(ready, running, tell)
    finally:
        for left in running.values():
            left.terminate()
        for left in running.values():
            left.join()


def _hear(connection: Connection, running: dict[Connection, BaseProcess], tell: Tell) -> None:
    try:
        told = connection.recv()
    except EOFError:
        process = running.pop(connection)
        process.join()
        raise HeadraceError(
            f"a process of this backtest ended by itself (exit code {process.exitcode})",
            "was it killed, or out of memory? Call the same command again to go on",
        ) from None
    if isinstance(told, Progress):
        tell(told)
        return
    running.pop(connection).join()
    if told is not None:
        raise told


def _work(work: Work, connection: Connection, path: list[str]) -> None:
    """In the other process: the result is None, or the error."""
    sys.path[:] = path
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    told_at = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told_at
        if progress.said or time.monotonic() - told_at >= TELL_S:
            told_at = time.monotonic()
            connection.send(progress)

    try:
        perform(work, tell)
    except HeadraceError as error:
        connection.send(_plain(error))
    except KeyboardInterrupt:
        return
    else:
        connection.send(None)


def _plain(error: HeadraceError) -> HeadraceError:
    """As it can be sent: an exception is made anew from its arguments, and ours have two."""
    return _Sent(type(error).__name__, error.message, error.hint, error.exit_code)


class _Sent(HeadraceError):
    """An error of another process."""

    def __init__(self, kind: str, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.kind = kind
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type["_Sent"], tuple[str, str, str, int]]:
        return _Sent, (self.kind, self.message, self.hint, self.exit_code)


def _end_with(parent: int) -> None:
    """When the parent is gone, nobody wants the rest."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)
