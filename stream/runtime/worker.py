"""The worker: which tasks it owns, and a turn for each life in one thread. Read task.py for what a life is."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from stream.errors import HeadraceError
from stream.runtime.host import Host
from stream.runtime.readings import TaskReadings
from stream.runtime.task import Idle, Pause, Task, Wait
from stream.transport.base import Log

IDLE_S = 0.005
"""How long nothing happens before lives are asked again."""
TAKEN_AWAY = "taken away: the group gave it to another worker, or has not heard from this one (is the log there?)"


@dataclass(slots=True)
class Living:
    """A task and where its life stands."""

    task: Task
    life: Generator[Wait, None, None]
    waits_for: Wait = None

    def ready(self, now: float) -> bool:
        """Whether it is worth a turn."""
        if isinstance(self.waits_for, Future):
            return self.waits_for.done()
        return not isinstance(self.waits_for, Pause) or now >= self.waits_for.until


class Worker:
    """Runs the tasks that the log assigns until it is told to stop, or an operator must see to something.

    Parameters
    ----------
    log : Log
    make_task : callable
        From a task's number to a task.
    host : Host
    ends : bool
        Stop when every input of every task is read to its end and folded: for files.
    """

    def __init__(self, log: Log, make_task: Callable[[int], Task], host: Host, *, ends: bool = False) -> None:
        self._log = log
        self._make_task = make_task
        self._host = host
        self._ends = ends
        self._living: dict[int, Living] = {}
        self._stopping = False
        self._turned_at = host.monotonic()

    def stop(self) -> None:
        """End the batch, save a checkpoint, leave the group. May be called from a signal's handler, and again."""
        self._stopping = True

    def readings(self) -> list[TaskReadings]:
        """Of the tasks at hand."""
        return [living.task.readings for living in list(self._living.values())]

    def ready(self) -> bool:
        """Whether it answers: it has tasks and none of them is recovering. Who lost all of them, by an outage, does not."""
        tasks = self.readings()
        return bool(tasks) and not self._stopping and all(task.phase == "running" for task in tasks)

    def turned_s_ago(self) -> float:
        """Seconds since the loop last went round; much of it means that something hangs."""
        return self._host.monotonic() - self._turned_at

    def run(self) -> None:
        """Until stopped. Raises the first error that a task could not go on from, after the others have ended well."""
        try:
            while not (self._stopping and not self._living):
                self._assign()
                if self._ends and self._all_idle():
                    self.stop()
                self._turn()
        except HeadraceError:
            self._end_well()
            raise
        finally:
            for living in self._living.values():
                living.life.close()
            self._log.close()

    def _assign(self) -> None:
        assignment = self._log.assignment(0.0)
        for number in assignment.lost:
            if (living := self._living.pop(number, None)) is not None:
                living.task.readings.say(TAKEN_AWAY)
                living.life.close()
        for number in assignment.gained:
            if not self._stopping:
                task = self._make_task(number)
                self._living[number] = Living(task, task.life())

    def _turn(self) -> None:
        """One piece of work for each life that can do some; wait a little when none can."""
        self._turned_at = now = self._host.monotonic()
        idle = True
        for number, living in list(self._living.items()):
            living.task.stopping |= self._stopping
            living.task.alone = len(self._living) == 1
            if self._stopping and living.task.readings.phase != "running":
                living.life.close()  # it has nothing that a successor would miss
                del self._living[number]
                continue
            if living.ready(now):
                try:
                    living.waits_for = next(living.life)
                except StopIteration:
                    del self._living[number]
                    continue
                except BaseException:
                    del self._living[number]
                    raise
                idle &= isinstance(living.waits_for, (Idle, Pause, Future))
        if idle:
            futures = [w for living in self._living.values() if isinstance(w := living.waits_for, Future)]
            # a life that is alone and idle has waited in its poll already
            polled = len(self._living) == 1 and any(isinstance(one.waits_for, Idle) for one in self._living.values())
            self._host.wait(futures, 0.0 if polled and not futures else IDLE_S)

    def _all_idle(self) -> bool:
        lives: Iterable[Living] = self._living.values()
        return bool(self._living) and all(one.task.at_end and isinstance(one.waits_for, Idle) for one in lives)

    def _end_well(self) -> None:
        """One task failed: the others settle and save before the worker ends."""
        self._stopping = True
        deadline = self._host.monotonic() + 30.0
        while self._living and self._host.monotonic() < deadline:
            try:
                self._turn()
            except HeadraceError:
                continue
