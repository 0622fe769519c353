"""The scenes: one fault each, played to every library beside each other, on one real broker.

A scene gives two things a library: what the library *said*, verb by verb, and what a ``read_committed`` witness really
*found* in the topic afterwards, once a successor with the same transactional id has ended what was left open. The witness
is always another library. What was found when the tables were made is in expected.toml; table.py compares.

Conditions decide when a scene goes on, not sleeps: the broker has aborted the transaction, every send that can expire has
expired. Times are only where the time is the fault (the frozen broker), or where what is waited for may never come.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.clients.aio import Aiokafka
from tests.clients.drivers import VERB_S, Driver, Producing, Told, Tuning, together, within
from tests.clients.kafka_python import KafkaPython
from tests.clients.librdkafka import QUIET, Librdkafka
from tests.servers import KafkaServer

WAIT_S = 60.0
FROZEN_S = 8.0
REQUEST_MS = 3_000
SEND_MS = 2_000
REACTION_S = 5.0
HELD_S = 0.5
"""For a commit that has been called to reach its library."""
COMMITS_MAX = 5
SHORT = Tuning(transaction_timeout_ms=4_000)
"""Longer than any library needs, on a busy machine, for the first record of a transaction."""


class Cell(NamedTuple):
    """One library under one fault."""

    said: tuple[str, ...]
    found: tuple[str, ...]


Scene = Callable[["Stage"], Mapping[str, Cell]]


class Stage:
    """A broker of its own and the libraries."""

    def __init__(self, server: KafkaServer) -> None:
        self.server = server
        self.bootstrap = server.bootstrap
        self.drivers: tuple[Driver, ...] = (KafkaPython(), Aiokafka(), Librdkafka())
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})

    def topic(self, name: str) -> str:
        self.admin.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_S)
        return name

    def ends(self, topic: str) -> tuple[int, int]:
        """As far as ``read_committed`` readers get, and as far as there are records."""
        found = []
        for isolation in ("read_committed", "read_uncommitted"):
            reader = Consumer(
                {"bootstrap.servers": self.bootstrap, "group.id": "ends", "isolation.level": isolation, **QUIET}
            )
            try:
                found.append(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT_S)[1])
            finally:
                reader.close()
        return found[0], found[1]

    def witness(self, topic: str, library: str) -> tuple[str, ...]:
        """All committed records, read by another library."""
        reader = KafkaPython() if library == "librdkafka" else Librdkafka()
        return tuple(reader.read(self.bootstrap, topic, 0, 1_000, when_out_of_range="stop"))

    def committed(self, group: str, topic: str) -> int:
        """The group's offset; -1001 when there is none."""
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, **QUIET})
        try:
            return reader.committed([TopicPartition(topic, 0)], timeout=WAIT_S)[0].offset
        finally:
            reader.close()

    def succeed(self, transactional_id: str) -> None:
        """End what a producer left open, as the next owner of its id does."""
        successor = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": transactional_id, **QUIET})
        successor.init_transactions(WAIT_S)
        successor.close(0)

    def each(self, play: Callable[[Driver], Cell]) -> dict[str, Cell]:
        """A scene that leaves the broker alone, for all libraries."""

        def played(driver: Driver) -> Cell:
            try:
                return play(driver)
            except Exception as error:  # noqa: BLE001 - a changed library may also refuse what a scene begins with
                return Cell((f"the scene came to no end: {type(error).__name__}: {error}",), ())

        cells = together([partial(played, driver) for driver in self.drivers])
        return {driver.name: cell for driver, cell in zip(self.drivers, cells, strict=True)}


class Actor:
    """One library in one scene: a topic, a transactional id, and what was said."""

    def __init__(self, stage: Stage, driver: Driver, scene: str, tuning: Tuning) -> None:
        self.stage, self.driver, self.tuning = stage, driver, tuning
        self.topic = stage.topic(f"{scene}-{driver.name}")
        self.told = Told(driver)
        self._open: list[Producing] = []

    def producer(self) -> Producing:
        made = self.driver.producer(self.stage.bootstrap, self.topic, self.tuning)
        self._open.append(made)
        return made

    def begun(self, value: str) -> Producing:
        """A producer in a transaction with one acknowledged record; that much must work."""
        producer = self.producer()
        within(producer.init)
        within(producer.begin)
        within(partial(self.put, producer, value))
        return producer

    def put(self, producer: Producing, value: str) -> None:
        """Send, and wait for the answer."""
        producer.send(self.topic, value)()

    def send(self, producer: Producing, value: str, who: str = "", *, seconds: float = VERB_S) -> bool:
        return self.told.ask(f"{who}send", partial(self.put, producer, value), seconds)

    def ended(self) -> bool:
        """Whether no transaction is open in the topic."""
        readable, written = self.stage.ends(self.topic)
        return readable == written

    def close(self) -> None:
        for producer in self._open:
            with suppress(Exception):  # it may be in any state; what counts is said and found
                within(producer.close)
        self._open.clear()

    def cell(self, *further: str) -> Cell:
        self.close()
        self.stage.succeed(self.topic)
        found = self.stage.witness(self.topic, self.driver.name)
        return Cell(tuple(self.told.said), (*found, *further))


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"this never came: {what}"
        time.sleep(0.1)


def pause(stage: Stage) -> Mapping[str, Cell]:
    """A producer sleeps until the broker aborted its transaction, then sends and commits without waiting between.

    The broker is held meanwhile, so that the send is not answered before the commit is asked for.
    """
    actors = [Actor(stage, driver, "pause", SHORT) for driver in stage.drivers]
    producers = together([partial(slept, actor) for actor in actors])
    sent: dict[str, Callable[[], None]] = {}
    asked = threading.Barrier(len(actors) + 1)

    def send_and_commit(actor: Actor, producer: Producing) -> None:
        sent[actor.topic] = producer.send(actor.topic, "after")
        asked.wait(WAIT_S)
        producer.commit()

    def play(actor: Actor, producer: Producing) -> None:
        actor.told.ask("commit", partial(send_and_commit, actor, producer))
        actor.told.ask("send", sent[actor.topic])

    def thaw() -> None:
        with suppress(threading.BrokenBarrierError):
            asked.wait(WAIT_S)
            time.sleep(HELD_S)
        stage.server.thaw()

    stage.server.freeze()
    together([thaw, *(partial(play, a, p) for a, p in zip(actors, producers, strict=True))])
    return cells(actors)


def pause_heeded(stage: Stage) -> Mapping[str, Cell]:
    """As ``pause``, but the answer to the send is waited for before the commit."""

    def play(driver: Driver) -> Cell:
        actor = Actor(stage, driver, "pause-heeded", SHORT)
        producer = slept(actor)
        actor.send(producer, "after")
        actor.told.ask("commit", producer.commit)
        return actor.cell()

    return stage.each(play)


def slept(actor: Actor) -> Producing:
    """A producer in a transaction that the broker has aborted, because it was past its timeout."""
    producer = actor.begun("before")
    until(actor.ended, "the abort of a transaction that is past its timeout")
    return producer


def zombie(stage: Stage) -> Mapping[str, Cell]:
    """A producer whose transactional id was taken over sends on, commits, aborts; then the owner goes on."""

    def play(driver: Driver) -> Cell:
        actor = Actor(stage, driver, "zombie", Tuning())
        lost = actor.begun("of the zombie")
        owner = actor.begun("of the owner, 1")
        actor.send(lost, "of the zombie, late", "zombie's ")
        actor.told.ask("zombie's commit", lost.commit)
        actor.told.ask("zombie's abort", lost.abort)
        patience = time.monotonic() + REACTION_S  # a library may react to its being fenced, in the background
        until(lambda: time.monotonic() > patience or actor.ended(), "the zombie's reaction")
        actor.send(owner, "of the owner, 2", "owner's ")
        actor.told.ask("owner's commit", owner.commit)
        return actor.cell()

    return stage.each(play)


def stale(stage: Stage) -> Mapping[str, Cell]:
    """Offsets are committed, in a transaction, for a group that no longer knows the member and has another by now."""

    def play(driver: Driver) -> Cell:
        actor = Actor(stage, driver, "stale", Tuning())
        inputs, group = stage.topic(f"inputs-{driver.name}"), f"group-{driver.name}"
        left = driver.member(stage.bootstrap, group, inputs)
        proof = left.proof()
        left.close()
        present = driver.member(stage.bootstrap, group, inputs)
        try:
            producer = actor.begun("output")
            actor.told.ask("offsets", lambda: producer.offsets(inputs, 7, proof))
            actor.told.ask("commit", producer.commit)
            cell = actor.cell()
            return Cell(cell.said, (*cell.found, f"offset {stage.committed(group, inputs)}"))
        finally:
            present.close()

    return stage.each(play)


def gone(stage: Stage) -> Mapping[str, Cell]:
    """A position lies before the log's start: what a reader says that is told to stop, and one that is told to go on."""

    def play(driver: Driver) -> Cell:
        actor = Actor(stage, driver, "gone", Tuning())
        producer = actor.producer()
        within(producer.init)
        within(producer.begin)
        for number in range(6):
            within(partial(actor.put, producer, f"record {number}"))
        within(producer.commit)
        stage.admin.delete_records([TopicPartition(actor.topic, 0, 4)])[TopicPartition(actor.topic, 0)].result(WAIT_S)
        found: list[str] = []
        for word in ("stop", "earliest"):
            actor.told.ask(
                f"read, {word}",
                lambda word=word: found.extend(driver.read(stage.bootstrap, actor.topic, 0, 1, when_out_of_range=word)),
            )
        actor.close()
        return Cell(tuple(actor.told.said), tuple(found))

    return stage.each(play)


def ends(stage: Stage) -> Mapping[str, Cell]:
    """What a successor misses that reads the log's end before it calls ``init_transactions``: its predecessor goes on."""

    def play(driver: Driver) -> Cell:
        actor = Actor(stage, driver, "ends", Tuning())
        lost, successor = actor.begun("first"), actor.producer()
        _, before = stage.ends(actor.topic)
        actor.send(lost, "second", "predecessor's ")
        actor.told.ask("predecessor's commit", lost.commit)
        within(lost.begin)
        actor.send(lost, "third", "predecessor's ")
        actor.told.ask("successor's init", successor.init)
        readable, after = stage.ends(actor.topic)
        actor.told.ask("predecessor's commit", lost.commit)
        cell = actor.cell()
        numbers = f"end before init {before}, after {after}, all of it readable: {readable == after}"
        return Cell(cell.said, (*cell.found, numbers))

    return stage.each(play)


def frozen(stage: Stage) -> Mapping[str, Cell]:
    """The broker is frozen at the commit for longer than a request may take. What says "again" is called again."""
    actors = [Actor(stage, driver, "frozen", Tuning(request_timeout_ms=REQUEST_MS)) for driver in stage.drivers]
    producers = together([partial(actor.begun, "record") for actor in actors])
    thawed = threading.Event()

    def thaw() -> None:
        time.sleep(FROZEN_S)
        stage.server.thaw()
        thawed.set()

    def commit(actor: Actor, producer: Producing) -> None:
        for _ in range(COMMITS_MAX):
            if actor.told.ask("commit", producer.commit) or "retriable" not in actor.told.said[-1]:
                return
            thawed.wait(WAIT_S)

    stage.server.freeze()
    together([thaw, *(partial(commit, a, p) for a, p in zip(actors, producers, strict=True))])
    return cells(actors)


def outage(stage: Stage) -> Mapping[str, Cell]:
    """The broker is gone, a send expires (where a library lets sends expire); the broker is back, then commit."""
    tuning = Tuning(request_timeout_ms=1_000, send_timeout_ms=SEND_MS)
    actors = [Actor(stage, driver, "outage", tuning) for driver in stage.drivers]
    producers = together([partial(actor.begun, "before") for actor in actors])
    stage.server.kill()
    sends = [
        threading.Thread(
            target=actor.send, args=(producer, "in the outage"), kwargs={"seconds": 3 * WAIT_S}, daemon=True
        )
        for actor, producer in zip(actors, producers, strict=True)
    ]
    for send in sends:
        send.start()
    time.sleep(3 * SEND_MS / 1000)  # for a library that would only now begin to let sends expire
    until(lambda: all(actor.told.said for actor in actors if actor.driver.sends_expire), "the expiry of sends")
    stage.server.start()
    for send in sends:
        send.join()
    together([partial(a.told.ask, "commit", p.commit) for a, p in zip(actors, producers, strict=True)])
    return cells(actors)


def cells(actors: Sequence[Actor]) -> dict[str, Cell]:
    return {actor.driver.name: cell for actor, cell in zip(actors, together([a.cell for a in actors]), strict=True)}


BESIDE: Mapping[str, Scene] = {
    "pause_heeded": pause_heeded, "zombie": zombie, "stale": stale, "ends": ends, "gone": gone,
}  # fmt: skip
"""They leave the broker alone."""
ALONE: Mapping[str, Scene] = {"pause": pause, "frozen": frozen, "outage": outage}
"""They do not."""


def play() -> dict[str, Mapping[str, Cell]]:
    """All scenes, on a new broker. From the main thread (servers.py)."""
    with KafkaServer() as server:
        stage = Stage(server)
        beside = together([partial(scene, stage) for scene in BESIDE.values()])
        return dict(zip(BESIDE, beside, strict=True)) | {name: scene(stage) for name, scene in ALONE.items()}


def versions() -> dict[str, str]:
    """Of the libraries that are installed."""
    return {driver.name: driver.version() for driver in (KafkaPython(), Aiokafka(), Librdkafka())}
