"""Headrace inside a Faust app: the same worker, whose live records Faust brings and whose outputs Faust sends.

``FaustLog`` is Kafka as a log (transport/kafka.py), but for three things: Faust's group says which tasks are ours, agents
hand over what Faust's consumer delivers, and predictions, alarms and rejects leave through Faust's producer; only then are
their events acknowledged. Task, recovery, fold, journal and checkpoints are the worker's, so the answers are the worker's.

Faust is not trusted with completeness: positions are the journal's, and what Faust skips is read from Kafka (inflow.py). It is
at-least-once: between an entry of the journal and its outputs there is no transaction. docs/faust.md says what follows.
stream/build_faust.py wires this; nothing else here imports faust.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust import App, Service
from faust.exceptions import ConsumerNotStarted, FaustError
from faust.streams import Stream
from faust.types import TP, StreamT
from faust.types.enums import ProcessingGuarantee

from stream.errors import ConfigError, Fenced, HeadraceError, InDoubt, LogMisfit, OutputTooLarge
from stream.records import Entry, Input, OutputName, Outputs, Positions, Records, decode_journal
from stream.runtime.inflow import UNREAD_MAX, Inflow, Tap
from stream.runtime.readings import TaskReadings
from stream.runtime.worker import Worker
from stream.transport.base import Assignment, Fetched
from stream.transport.kafka import KafkaLog
from stream.transport.kafka_client import Deadline
from stream.transport.kafka_source import Source
from stream.transport.kafka_task import KafkaTaskLog
from stream.transport.kafka_writer import Writer

FaustApp: TypeAlias = App
"""So that the wiring can name it."""
YIELD_EVERY = 250
"""Sends between which Faust's loop may do something else."""
STOP_S = 60.0


class Intake:
    """Where Faust's loop and the worker's thread meet: whose tasks are ours, what came in, what goes out."""

    def __init__(self, app: App, events: str, labels: str | None) -> None:
        self._app = app
        self._topics = (events,) if labels is None else (events, labels)
        self._changed = threading.Condition()
        self._arrivals = 0
        self._taps: dict[tuple[str, int], Tap] = {}
        self._generation = 0
        self._owned: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._writing = 0
        self._failure: LogMisfit | None = None
        self.loop: asyncio.AbstractEventLoop

    # Faust's side

    def connect(self) -> None:
        """An agent for each topic, and word of every rebalance."""
        self._app.on_partitions_assigned.connect(self._assigned)
        self._app.on_partitions_revoked.connect(self._revoked)
        for topic in self._topics:
            raw = self._app.topic(
                topic, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw", allow_empty=True
            )
            self._app.agent(raw, name=f"headrace.{topic}")(self._receive)

    async def _receive(self, stream: StreamT[bytes]) -> None:
        """An agent: it only hands over. Acknowledged is what is committed, by ``send``."""
        assert isinstance(stream, Stream)
        async for event in stream.noack().events():
            message = event.message
            tap = self._taps.get((message.topic, message.partition))
            if tap is None:
                continue  # of a partition that is no longer ours
            if tap.offer(message) >= UNREAD_MAX:
                tap.full = True
                self._app.consumer.on_buffer_full(message.tp)
            self._arrivals += 1
            if self._arrivals % YIELD_EVERY == 0 or tap.unread == 1:
                with self._changed:
                    self._changed.notify_all()

    async def _assigned(self, *told: Any, **_: Any) -> None:
        assigned: AbstractSet[TP] = told[-1]
        events = self._topics[0]
        tasks = {tp.partition for tp in assigned if tp.topic == events}
        with self._changed:
            self._generation += 1
            self._taps = {(tp.topic, tp.partition): Tap() for tp in assigned if tp.topic in self._topics}
            lacking = sorted(task for task in tasks for topic in self._topics if (topic, task) not in self._taps)
            if lacking:
                self._failure = LogMisfit(
                    f"Faust gave partition {lacking[0]} of {events} to this worker, but not that of {self._topics[-1]}",
                    "leave table_standby_replicas at 1 or more: only then does Faust keep equal partitions together",
                )
            self._owned = dict.fromkeys(tasks - set(lacking), self._generation)
            self._changed.notify_all()

    async def _revoked(self, *_: object, **__: Any) -> None:
        """Faust revokes everything at each rebalance. What is being written is finished first, nothing more begins."""
        with self._changed:
            self._owned = {}
            self._taps = {}
            self._changed.notify_all()
        deadline = Deadline(self._app.conf.broker_session_timeout / 3)
        while self._writing and not deadline.passed:  # noqa: ASYNC110 - written in another thread
            await asyncio.sleep(0.01)

    async def send(self, task: int, outputs: Mapping[str, Any]) -> None:
        """All outputs (by topic), acknowledged. Raises what Faust and aiokafka raise."""
        pending = []
        for topic, records in outputs.items():
            seq, further = records.first_seq, records.headers
            for index, (key, value) in enumerate(zip(records.keys, records.values, strict=True)):
                headers = [("seq", b"%d" % (seq + index)), *(further[index].items() if further else ())]
                pending.append(await self._app.producer.send(topic, key, value, task, None, headers))
                if index % YIELD_EVERY == YIELD_EVERY - 1:
                    await asyncio.sleep(0)
        for answer in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def acknowledge(self, inputs: Sequence[Input], positions: Positions) -> None:
        """Faust commits these offsets at its next turn; lag tools and a first start see them, recovery does not."""
        for one, position in zip(inputs, positions, strict=True):
            tap = self._taps.get((one.topic, one.partition))
            for count, message in enumerate(tap.release(position) if tap is not None else ()):
                message.ack(self._app.consumer)
                if count % YIELD_EVERY == YIELD_EVERY - 1:
                    await asyncio.sleep(0)

    # The worker's side

    def changes(self, timeout_s: float) -> Assignment:
        with self._changed:
            if self._owned == self._told and timeout_s > 0:
                self._changed.wait(timeout_s)
            if self._failure is not None:
                raise self._failure
            lost = [task for task, since in self._told.items() if self._owned.get(task) != since]
            gained = [task for task, since in self._owned.items() if self._told.get(task) != since]
            self._told = dict(self._owned)
        return Assignment(tuple(sorted(gained)), tuple(sorted(lost)))

    def since(self, task: int) -> int:
        """The rebalance that gave us the task. Raises Fenced."""
        since = self._owned.get(task)
        if since is None:
            raise Fenced(f"task {task} is not assigned to this worker")
        return since

    @contextmanager
    def writing(self, task: int, since: int) -> Iterator[None]:
        """A rebalance waits for what is done in here. Raises Fenced when there was one since the task was opened."""
        with self._changed:
            if self._owned.get(task) != since:
                raise Fenced(f"task {task}: Faust has rebalanced since")
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1

    def tap(self, one: Input) -> Tap:
        """Raises Fenced when the partition is not ours."""
        tap = self._taps.get((one.topic, one.partition))
        if tap is None:
            raise Fenced(f"{one.topic}/{one.partition} is not assigned to this worker")
        return tap

    def resume(self, one: Input) -> None:
        """Fetch this partition again."""
        self.loop.call_soon_threadsafe(self._app.consumer.on_buffer_drop, TP(one.topic, one.partition))

    def high(self, one: Input) -> int | None:
        """The partition's end when Faust last fetched from it; from memory."""
        try:
            return self._app.consumer.highwater(TP(one.topic, one.partition))
        except (AssertionError, ConsumerNotStarted):  # aiokafka asserts that it is assigned
            return None

    @property
    def arrivals(self) -> int:
        return self._arrivals

    def wait(self, seen: int, timeout_s: float) -> None:
        """Until more came than ``seen``, or the time is over."""
        with self._changed:
            if self._arrivals == seen:
                self._changed.wait(timeout_s)


class FaustTaskLog(KafkaTaskLog):
    """See transport/base.py for what each method promises; ``commit`` promises less: outputs may repeat after a crash."""

    def __init__(self, log: "FaustLog", task: int, inputs: tuple[Input, ...], writer: Writer) -> None:
        super().__init__(log, task, inputs, writer)
        self._faust = log
        self._intake = log.intake
        self._since = log.intake.since(task)
        self._inflows: list[Inflow] = []

    def _check_assigned(self) -> None:
        with self._intake.writing(self._task, self._since):
            pass

    def commit(self, entry: bytes, outputs: Outputs, positions: Positions) -> int:
        """The entry, in a transaction that fences; then the outputs; then the events are acknowledged."""
        with self._intake.writing(self._task, self._since):
            place = self._writer.commit(entry, {}, (), dict)
            self._send(outputs)
            self._on_loop(lambda: self._intake.acknowledge(self.inputs, positions), "acknowledging events")
        return place

    def emit(self, outputs: Outputs) -> None:
        with self._intake.writing(self._task, self._since):
            self._send(outputs)

    def _send(self, outputs: Outputs) -> None:
        by_topic = {self._log.topics.output(name): records for name, records in outputs.items() if len(records)}
        if by_topic:
            self._on_loop(lambda: self._intake.send(self._task, by_topic), f"sending to {', '.join(by_topic)}")

    def _on_loop(self, work: Callable[[], Any], doing: str) -> None:
        doing = f"task {self._task}, {doing}"
        future = asyncio.run_coroutine_threadsafe(work(), self._intake.loop)
        try:
            future.result(self._faust.send_deadline_s)
        except MessageSizeTooLargeError as error:
            raise OutputTooLarge(
                f"{doing}: an output is above a limit: {error}",
                "raise max.message.bytes on the topic and producer_max_request_size in the app",
            ) from error
        except (KafkaError, FaustError, TimeoutError, CancelledError) as error:
            future.cancel()
            raise InDoubt(f"{doing}: Faust did not say that it was done: {error!r}") from error

    def last_seq(self) -> Mapping[OutputName, int]:
        """Of the newest entry nothing counts as said: of what Faust sent last, the end may be there without the middle."""
        newest = super().last_seq()
        message = self._reader.newest(
            self._log.topics.journal, self._task, fenced=self._fenced,
            accept=lambda one: isinstance(decode_journal(one.value() or b""), Entry),
        )  # fmt: skip
        if message is None:
            return newest
        entry = decode_journal(message.value() or b"")
        assert isinstance(entry, Entry)
        return {name: min(seq, entry.first_seq.get(name, seq + 1) - 1) for name, seq in newest.items()}

    def seek(self, positions: Positions) -> None:
        self._close_sources()
        self._rereader.close()
        self._inflows = [self._inflow(one, at) for one, at in zip(self.inputs, positions, strict=True)]

    def _inflow(self, one: Input, position: int) -> Inflow:
        intake, log = self._intake, self._log
        return Inflow(
            one, intake.tap(one), position, high=lambda: intake.high(one), resume=lambda: intake.resume(one),
            read=lambda start: Source(log.settings, log.group, one.topic, {one.partition: start}),
        )  # fmt: skip

    def hold(self, inputs: AbstractSet[int]) -> None:
        self._held = frozenset(inputs)

    def poll(self, limit: int, timeout_s: float) -> Fetched:
        self._rereader.close()
        deadline = Deadline(timeout_s)
        while True:
            seen = self._intake.arrivals
            records = tuple(
                Records() if place in self._held else inflow.take(limit) for place, inflow in enumerate(self._inflows)
            )
            if any(map(len, records)) or deadline.passed:
                return Fetched(records, tuple(inflow.at_end for inflow in self._inflows))
            self._intake.wait(seen, deadline.left())

    def lag(self) -> Mapping[str, int]:
        return {
            f"{one.topic}/{one.partition}": inflow.lag for one, inflow in zip(self.inputs, self._inflows, strict=True)
        }

    def _close_sources(self) -> None:
        for inflow in self._inflows:
            inflow.close()
        self._inflows = []
        super()._close_sources()


class FaustLog(KafkaLog):
    """One worker's side of Kafka within a Faust app.

    Parameters
    ----------
    intake
        What Faust brings.
    send_deadline_s
        How long Faust may take to send a batch's outputs before they are in doubt.
    settings, options
        As in KafkaLog; ``delivery`` is fixed: the journal's entries stand in transactions, outputs do not.
    """

    def __init__(
        self, intake: Intake, settings: Mapping[str, object], *, send_deadline_s: float = 60.0, **options: Any
    ) -> None:
        super().__init__(settings, **options, delivery="exactly_once")
        self.intake = intake
        self.send_deadline_s = send_deadline_s

    def assignment(self, timeout_s: float) -> Assignment:
        return self.intake.changes(timeout_s)

    def owns(self, task: int) -> bool:
        return self.intake.since(task) > 0

    def open(self, task: int) -> FaustTaskLog:
        writer = Writer(
            self.settings, self.topics, task, transactional_id=self.transactional_id(task),
            transaction_timeout_ms=self._transaction_timeout_ms, deadline_s=self._commit_deadline_s,
        )  # fmt: skip
        return FaustTaskLog(self, task, self._inputs(task), writer)


class Working(Protocol):
    """What runs: a worker, and what its tasks tell (build.py's Service)."""

    worker: Worker
    readings: dict[int, TaskReadings]


class Pipeline:
    """A pipeline in a Faust app.

    Parameters
    ----------
    app : faust.App
    intake : Intake
    open_worker : callable
        Opens a worker over the intake, and closes what it opened; called in the worker's thread when the app starts.
    brokers : str
        ``host:port``, with commas: where ``open_worker`` finds Kafka.
    """

    def __init__(
        self, app: App, intake: Intake, open_worker: Callable[[], AbstractContextManager[Working]], brokers: str
    ) -> None:
        self._app = app
        self._intake = intake
        self._open_worker = open_worker
        self._brokers = brokers
        self._stopping = False
        self.working: Working | None = None

    def attach(self) -> None:
        """Agents and a service for the app to start; nothing is connected to yet."""
        pipeline = self
        self._intake.connect()

        class Headrace(Runner):
            """The worker's thread, as long as the app runs."""

            runs = pipeline

        self._app.service(Headrace)

    def check(self) -> None:
        """Raise ConfigError when the app is set in a way that does not go together."""
        conf = self._app.conf
        if conf.stream_wait_empty:
            raise ConfigError(
                "the app waits at each rebalance until every event is acknowledged, and events here may wait for labels",
                "make the app with stream_wait_empty=False",
            )
        guarantee: object = conf.processing_guarantee  # Faust's annotation says the class
        if guarantee is not ProcessingGuarantee.AT_LEAST_ONCE:
            raise ConfigError(
                "the app is set to processing_guarantee exactly_once, which Faust's producer would need transactions for",
                "use at_least_once; `headrace run` is exactly once",
            )
        theirs = {f"{url.host}:{url.port or 9092}" for url in conf.broker}
        ours = {one if ":" in one else f"{one}:9092" for one in map(str.strip, self._brokers.split(","))}
        if not theirs & ours:
            raise ConfigError(
                f"the app's broker is {', '.join(sorted(theirs))}, but `kafka: {{bootstrap.servers: {self._brokers}}}`",
                "both must name the same Kafka",
            )

    def run(self) -> None:
        """Work until stopped, in the thread of the caller. Raises what an operator must see."""
        with self._open_worker() as self.working:
            if self._stopping:
                self.working.worker.stop()
            self.working.worker.run()

    def stop(self) -> None:
        """End the batch, save a checkpoint."""
        self._stopping = True
        if self.working is not None:
            self.working.worker.stop()

    async def started(self) -> None:
        self._intake.loop = asyncio.get_running_loop()
        await self._app.maybe_start_producer()


class Runner(Service):
    """Starts and stops a pipeline with its app; when it fails, the app fails."""

    runs: Pipeline

    async def on_start(self) -> None:
        self.runs.check()
        await self.runs.started()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace")
        self._ended = asyncio.get_running_loop().run_in_executor(self._thread, self.runs.run)

    @Service.task
    async def _watch(self) -> None:
        """Log what tasks say, and crash the app with the worker."""
        said: dict[int, tuple[TaskReadings, int]] = {}
        while not self.should_stop and not self._ended.done():
            await asyncio.wait([self._ended], timeout=0.5)
            for task, readings in list(self.runs.working.readings.items()) if self.runs.working else ():
                known, count = said.get(task, (readings, 0))
                new = readings.said - (count if known is readings else 0)
                for message in readings.messages[-new:] if new else ():
                    self.log.info("task %s: %s", task, message)
                said[task] = (readings, readings.said)
        if self._ended.done() and not self._ended.cancelled() and (error := self._ended.exception()) is not None:
            if isinstance(error, HeadraceError):
                self.log.error("%s", error)
            await self.crash(error)

    async def on_stop(self) -> None:
        self.runs.stop()
        await asyncio.wait([self._ended], timeout=STOP_S)
        self._thread.shutdown(wait=False)
