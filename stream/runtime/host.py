"""The seam to the machine: time, threads, waiting. A simulator takes it over; nothing else in the runtime touches them."""

import gc
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

T = TypeVar("T")


class Host(Protocol):
    """What the runtime asks of the machine."""

    def monotonic(self) -> float:
        """Seconds, from anywhere."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970; for people and file names, never for answers."""
        ...

    def submit(self, lane: str, work: Callable[[], T]) -> "Future[T]":
        """Do it in another thread; work of one lane is done one after the other, in order."""
        ...

    def wait(self, futures: Iterable["Future[object]"], timeout_s: float) -> None:
        """Until one of them is done, or the time is over."""
        ...

    def close_lane(self, lane: str) -> None:
        """No more work comes on this lane; does not wait."""
        ...


class ThreadHost:
    """The real machine: a thread for each lane."""

    def __init__(self) -> None:
        self._lanes: dict[str, ThreadPoolExecutor] = {}

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def submit(self, lane: str, work: Callable[[], T]) -> "Future[T]":
        if lane not in self._lanes:
            self._lanes[lane] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=lane)
        return self._lanes[lane].submit(work)

    def wait(self, futures: Iterable["Future[object]"], timeout_s: float) -> None:
        pending = list(futures)
        if pending:
            wait(pending, timeout_s, FIRST_COMPLETED)
        else:
            time.sleep(timeout_s)

    def close_lane(self, lane: str) -> None:
        if (executor := self._lanes.pop(lane, None)) is not None:
            executor.shutdown(wait=False)


def calm_collector() -> None:
    """Let Python's cycle collector run less often. For a process that only works; called by whoever owns the process.

    Each batch makes tens of thousands of tuples and dicts that hold no cycles, and by default every 700 of them start a
    search; that is 5 to 8 % of the step with a linear model (``benchmarks``).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
