"""Calls of librdkafka that may never return, made by a thread that can be left behind.

``rd_kafka_send_offsets_to_transaction`` does not heed its timeout while it looks for the group's coordinator, and hangs
for ever when the connections end at the wrong moment (librdkafka#5456 and #5511, open as of 2.16). Whoever waits for it
here gets LogUnavailable instead, and goes on with a new producer, which fences the one that hangs. Used by kafka_writer.py.
"""

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from stream.errors import LogUnavailable

Call: TypeAlias = Callable[[], object]


class Patience:
    """One call at a time, in a thread that starts with the first one and stays for the next (20 µs a call)."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._serving = False

    def call(self, work: Call, timeout_s: float, doing: str) -> None:
        """Do it, and raise what it raises; LogUnavailable when it has not come back in time."""
        if not self._serving:
            self._serving = True
            threading.Thread(target=_serve, args=(self._asked, self._told), daemon=True, name="patience").start()
        self._asked.put(work)
        try:
            failure = self._told.get(timeout=timeout_s)
        except queue.Empty:
            self.close()
            raise LogUnavailable(
                f"{doing}: no answer within {timeout_s:.0f} s, and the client does not come back"
            ) from None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End the thread; one that hangs ends when its call returns, and the process does not wait for it."""
        if self._serving:
            self._asked.put(None)
            self._asked, self._told, self._serving = queue.SimpleQueue(), queue.SimpleQueue(), False


def _serve(asked: "queue.SimpleQueue[Call | None]", told: "queue.SimpleQueue[BaseException | None]") -> None:
    while (work := asked.get()) is not None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001 - it is raised where the call was asked for
            failure = raised
        del work
        told.put(failure)
        del failure
