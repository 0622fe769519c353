"""A process of a played history: the real worker over the fake Kafka, and the host that turns it. Read play.py before.

It gives way only where it touches log or store: there it may end (``Crash``), be frozen while the others act, or have its
request spoiled. Work for other threads waits until the history runs it.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from stream.build_fold import build_fold
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.errors import HeadraceError, LogUnavailable, RecordsGone
from stream.runtime.readings import TaskReadings
from stream.runtime.saves import Cadence
from stream.runtime.task import Task, TaskSettings
from stream.runtime.worker import Worker
from stream.transport.kafka import KafkaLog, KafkaTopics
from stream.transport.memory import Crash
from tests.harness import KEY
from tests.simulation.site import Here
from tests.simulation.store import Access, Diverged, need

if TYPE_CHECKING:
    from tests.simulation.play import Play

T = TypeVar("T")
NAME = "test"
SPARE = 10
"""Of records whose turn is not sure yet, and are no reason to stop reading."""
TOPICS = KafkaTopics("events", None, "predictions", "alarms", "rejects", "journal")


class Job(Future[Any]):
    """Work of a thread that has not come to it yet. Who waits for its result has it done. No locks: nobody is beside it."""

    def __init__(self, lane: str, work: Callable[[], Any], process: "Process") -> None:
        self.lane, self.work, self.process = lane, work, process
        self._is_done = False
        self._value: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: Any) -> None:
        self._is_done, self._value = True, result

    def set_exception(self, exception: BaseException | None) -> None:
        self._is_done, self._error = True, exception

    def result(self, timeout: float | None = None) -> Any:
        while not self._is_done and not self.process.dead:
            if not self.process.run_job(self.lane):
                raise Diverged(f"waits for ever for {self.lane}")
        if self.process.dead:
            raise Crash
        if self._error is not None:
            raise self._error
        return self._value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._error


class Process:
    """A worker's process: its threads' work, its clients, its end. It is the site of its clients (clients.py)."""

    def __init__(self, play: "Play", name: str) -> None:
        self.play = play
        self.name = name
        self.broker = play.broker
        self.dead = False
        self.frozen = False
        self.cut_until = 0.0
        self.deaf_until = 0.0
        """Until then it does not hear of its group, as long as a heartbeat and its answer are on their way."""
        self.on_stack = 0
        self.log: KafkaLog | None = None
        self.worker: Worker | None = None
        self.lanes: dict[str, deque[Job]] = {}
        self.running: set[str] = set()
        self._closed_lanes = 0

    # --- as the site of clients

    def touch(self, what: str) -> str | None:
        if self.dead:
            raise Crash
        return self.play.touch(self, what)

    def cut_off_until(self) -> float:
        return max(self.cut_until, self.play.outage_until)

    def draw(self, limit: int) -> int:
        return self.play.chance.randrange(limit)

    def alive(self) -> bool:
        return not self.dead and not self.frozen

    def beside(self) -> None:
        while not self.play.beside.randrange(3) and self.run_any_job():
            pass

    def begins(self, name: str) -> None:
        self.play.begins(self, name)

    # --- as the host of the runtime

    def monotonic(self) -> float:
        return self.broker.now

    def wall_ms(self) -> int:
        return 1_000_000 + int(self.broker.now * 1000)

    def submit(self, lane: str, work: Callable[[], T]) -> "Future[T]":
        job = Job(lane, work, self)
        self.lanes.setdefault(lane, deque()).append(job)
        return job

    def wait(self, futures: Iterable["Future[object]"], timeout_s: float) -> None:
        if self.draw(3) == 0 and self.run_any_job():
            return
        self.broker.pass_time(max(timeout_s, 0.001) * self.play.chance.choice([1, 1, 5]))

    def close_lane(self, lane: str) -> None:
        """What was submitted is still done, by a thread that nobody knows any more."""
        jobs = self.lanes.pop(lane, None)
        if jobs or lane in self.running:
            self._closed_lanes += 1
            closed = f"{lane} closed {self._closed_lanes}"
            self.lanes[closed] = jobs if jobs is not None else deque()
            for job in self.lanes[closed]:
                job.lane = closed
            if lane in self.running:
                self.running.remove(lane)
                self.running.add(closed)

    # --- life

    def start(self) -> bool:
        """Whether the broker let it."""
        settings, history = self.play.settings, self.play.history
        own = settings.labels is not None and settings.labels.own_stream
        told = settings.labels.partitioning if settings.labels is not None else "copartitioned"
        topics = dataclasses.replace(TOPICS, labels="labels" if own else None)
        with self.playing():
            try:
                self.log = log = KafkaLog(
                    {"bootstrap.servers": "simulated"}, pipeline=NAME, topics=topics, partitioning=told,
                    delivery=history.delivery,  # type: ignore[arg-type]
                )  # fmt: skip
            except LogUnavailable:
                self.dead = True
                return False
            except Crash:
                self.die()
                return False
            identity = self.play.lineage(log.identity())
            store = Access(self.play.shelf, self.touch, functools.partial(self.play.check_head, log))
            cadence = Cadence(history.checkpoint_records)
            task_settings = TaskSettings(
                worker=self.name, batch_records=history.batch_records, poll_wait_s=0.0, checkpoints=cadence,
                fenced_max=10**6, store_patience=5, backoff_s=0.02, backoff_max_s=0.2, quiet_s=5.0,
            )  # fmt: skip

            def make(number: int) -> Task:
                readings = TaskReadings(number)
                checkpointer = Checkpointer(
                    store, Signer(KEY), f"{NAME}/{number}", keep=3, on_unverified=readings.say, fork=False,
                    admitted=["tests"], monotonic=self.monotonic, processor_time=self.monotonic,
                )  # fmt: skip
                return Task(
                    number, lambda: log.open(number), checkpointer, build_fold, identity, self, task_settings, readings
                )

            self.worker = Worker(log, make, self)
        return True

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Whose code runs."""
        before, Here.site = Here.site, self
        self.on_stack += 1
        try:
            yield
        finally:
            self.on_stack -= 1
            Here.site = before

    def die(self) -> None:
        """Nothing that it still had to do is ever done."""
        self.dead = True
        self.lanes.clear()
        self.worker = self.log = None

    def turn(self) -> None:
        """Once round the worker's loop, as ``Worker.run`` has it."""
        worker = self.worker
        if worker is None or "main" in self.running:
            return
        self.running.add("main")
        try:
            with self.playing():
                if worker._stopping and not worker._living:
                    self.leave(worker)
                    return
                worker._assign()
                worker._turn()
            self.check_turn(worker)
        except Crash:
            self.die()
        except HeadraceError as error:
            if isinstance(error, RecordsGone) and self.play.happened["trimmed"] and not self.is_member():
                self.play.happened["zombie behind retention"] += 1  # nobody told it yet that others went on
                self.die()
                return
            raise Diverged(f"{self.name} gave up at {self.broker.now:.3f}: {type(error).__name__}: {error}") from error
        finally:
            self.running.discard("main")

    def check_turn(self, worker: Worker) -> None:
        """What must hold between two turns: only owned tasks live, buffers are bounded, and an end is one."""
        log = self.log
        if log is None:
            return
        for number, living in worker._living.items():
            need(log.owns(number), f"{self.name} goes on with task {number}, which it lost")
            merge = getattr(living.task, "_merge", None)
            if merge is None or living.task.readings.phase != "running":
                continue
            bound = merge._hold_at + 2 * living.task._settings.batch_records + SPARE
            need(max(map(len, merge._buffers)) <= bound, f"task {number} buffers more than {bound} records of an input")
            for source in living.task._log._sources:  # type: ignore[union-attr]
                for topic, partition in source._consumer.behind:
                    at_end = source.at_end[partition]
                    need(not at_end, f"task {number}: {topic}/{partition} is not at its end, and not waited for")

    def is_member(self) -> bool:
        """Whether the group knows this worker."""
        member = None if self.log is None or self.log._member is None else self.log._member._member  # type: ignore[attr-defined]
        return any(member is not None and member.id in group.members for group in self.broker.groups.values())

    def leave(self, worker: Worker) -> None:
        """The end of ``Worker.run``."""
        assert self.log is not None
        self.log.close()
        while self.run_any_job():
            pass
        self.die()

    def run_any_job(self) -> bool:
        lanes = [lane for lane, jobs in self.lanes.items() if jobs and lane not in self.running]
        return bool(lanes) and self.run_job(lanes[self.draw(len(lanes))])

    def run_job(self, lane: str) -> bool:
        """The next work of a lane, in its thread. Raises Crash only into who waits for it on the same stack."""
        jobs = self.lanes.get(lane)
        if not jobs or lane in self.running or (self in self.play.partly and lane.startswith("save")):
            return False
        job = jobs.popleft()
        self.running.add(lane)
        try:
            with self.playing():
                result = job.work()
        except Crash:
            self.die()
        except Diverged:
            raise
        except Exception as error:  # noqa: BLE001 - as a thread would hold it
            job.set_exception(error)
        else:
            job.set_result(result)
        finally:
            self.running.discard(job.lane)
            if not self.lanes.get(job.lane):
                self.lanes.pop(job.lane, None)
        return True
