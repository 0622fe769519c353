"""A fake of the client library: as much of ``confluent_kafka`` as stream/transport uses, over broker.py, without threads.

Errors are the real ``KafkaError`` with the flags that librdkafka 2.16 gives them. A call that would wait lets virtual
time pass. Before and after whatever a process asks of the broker the simulation is told (``Site``), so that it can end
the process there, freeze it, or spoil the request. ``installed`` puts all of it in the place of the real one.
"""

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol
from unittest import mock

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulation.broker import Broker, Member, Place, Refused, Stored

_FLAGS = {"fatal": False, "retriable": False, "txn_requires_abort": False}
_NETWORK_S = 0.0005
"""Of a request and its answer."""


class Site(Protocol):
    """The process in which a client lives, and what befalls it."""

    broker: Broker
    dead: bool
    deaf_until: float

    def touch(self, what: str) -> str | None:
        """Something is about to happen, or has just happened. May raise Crash. Returns what shall go wrong."""
        ...

    def cut_off_until(self) -> float:
        """When this process reaches the broker again."""
        ...

    def draw(self, limit: int) -> int:
        """From 0 to below ``limit``; what the simulation lets happen by chance."""
        ...

    def alive(self) -> bool:
        """Whether its background threads run."""
        ...

    def begins(self, name: str) -> None:
        """A transaction of this id is begun."""
        ...


class Here:
    """Whose code runs now."""

    site: Site | None = None


def here() -> Site:
    assert Here.site is not None, "a client was made outside of any process"
    return Here.site


def failure(code: int, reason: str = "", **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, reason or KafkaError(code).str(), **{**_FLAGS, **flags}))


class Message:
    """A record, or the sign of an end or of an error."""

    __slots__ = ("_error", "_partition", "_stored", "_topic")

    def __init__(self, topic: str, partition: int, stored: Stored, error: KafkaError | None = None) -> None:
        self._topic, self._partition, self._stored, self._error = topic, partition, stored, error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._stored.offset

    def key(self) -> bytes | None:
        return self._stored.key

    def value(self) -> bytes | None:
        return self._stored.value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._stored.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._stored.timestamp_ms


class _Client:
    """What all have: a process, its way to the broker, and the settings' callback for errors."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.site = here()
        self.broker = self.site.broker
        self._settings = dict(settings)
        self._error_cb: Callable[[KafkaError], None] = settings.get("error_cb", lambda _: None)

    def _reach(self, timeout_s: float, then: str) -> bool:
        """Wait for the broker; whether it was there in time. ``then`` names the touch before the request."""
        until = self.site.cut_off_until()
        if until > self.broker.now:
            self._error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all brokers are down"))
            if until - self.broker.now > timeout_s:
                self.broker.pass_time(timeout_s)
                self.site.touch("waited in vain")
                return False
            self.broker.pass_time(until - self.broker.now)
        self.site.touch(then)
        self.broker.pass_time(_NETWORK_S)
        self.broker.request()
        return True


class GroupMetadata(NamedTuple):
    group: str
    member: str
    generation: int


class Producer(_Client):
    """Transactional or not. Sends when it is flushed, or earlier, as the simulation draws."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._name: str | None = settings.get("transactional.id")
        self._timeout_s = settings.get("transaction.timeout.ms", 60_000) / 1000
        self._message_timeout_s = settings.get("message.timeout.ms", 300_000) / 1000
        self._id, self._epoch = -1, -1
        self._queue: list[tuple[Place, bytes | None, bytes | None, Any, Any, float]] = []
        self._reports: list[tuple[float, Any, KafkaError | None, Message]] = []
        """When each is there to be called back, and with what."""
        self._in_transaction = False
        self._asked = False
        """Whether the coordinator knows of the transaction: of an empty one librdkafka tells it nothing."""
        self._places: set[Place] = set()
        self._spoiled: KafkaError | None = None
        """Why the transaction must be aborted."""
        self._fatal: KafkaError | None = None
        self._told_fatal = False
        if self._name is None:
            self._id, self._epoch = self.broker.init_producer(None, 0)

    # --- transactions -----------------------------------------------------------------------------------------------

    def init_transactions(self, timeout: float = -1) -> None:
        if not self._reach(timeout, "init"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        deadline = self.broker.now + timeout
        while True:
            try:
                self._id, self._epoch = self.broker.init_producer(self._name, self._timeout_s)
                break
            except Refused:
                self.broker.pass_time(0.02)
                if self.broker.now > deadline:
                    raise failure(KafkaError._TIMED_OUT, retriable=True) from None
        self.site.touch("init done")

    def begin_transaction(self) -> None:
        self.site.begins(self._name or "")
        self._check_fatal()
        if self._in_transaction:
            raise failure(KafkaError._STATE, "Operation not valid in state InTransaction")
        self._in_transaction, self._asked = True, False
        self._places.clear()
        self._spoiled = None

    def send_offsets_to_transaction(
        self, offsets: Sequence[TopicPartition], metadata: GroupMetadata, timeout: float
    ) -> None:
        self._check_fatal()
        if self._spoiled is not None:
            raise KafkaException(self._spoiled)
        wrong = self.site.touch("offsets")
        if wrong == "unanswered" or not self._reach(timeout, "offsets sent"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        places = {(one.topic, one.partition): one.offset for one in offsets}
        self._ask(
            lambda: self.broker.add_offsets(
                self._name or "", self._id, self._epoch, metadata.group, places, (metadata.member, metadata.generation)
            )
        )
        self.site.touch("offsets done")

    def commit_transaction(self, timeout: float) -> None:
        self._check_fatal()
        self._send_all(timeout)
        self._end(timeout, commit=True)

    def abort_transaction(self, timeout: float) -> None:
        self._check_fatal()
        self._queue.clear()
        self._spoiled = None
        self._end(timeout, commit=False)

    def _end(self, timeout: float, *, commit: bool) -> None:
        if self._spoiled is not None:
            raise KafkaException(self._spoiled)
        kind = "commit" if commit else "abort"
        wrong = self.site.touch(kind)
        if not self._asked:
            self._in_transaction = False
            return
        if wrong == "lost":  # neither the request nor an answer
            self._wait_out(timeout)
        if not self._reach(timeout, f"{kind} sent"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        if wrong == "late":  # the first copy is held up on the way; this one is the repeated one
            self.broker.happened("EndTxn held up")
            self.broker.after_requests(1 + self.site.draw(12), self._late(commit=commit))
        self._ask(lambda: self.broker.end(self._name or "", self._id, self._epoch, commit=commit), ending=True)
        if wrong == "unanswered":
            self.broker.happened("EndTxn unanswered")
            self._wait_out(timeout)
        self._in_transaction = False
        self.site.touch(f"{kind} done")

    def _late(self, *, commit: bool) -> Callable[[], None]:
        name, producer, epoch, broker = self._name or "", self._id, self._epoch, self.broker

        def arrive() -> None:
            known = broker.transactions[name]
            if known.state == "open" and (known.producer, known.epoch) == (producer, epoch):
                broker.happened(f"late EndTxn ended the next transaction ({'commit' if commit else 'abort'})")
            with contextlib.suppress(Refused):
                broker.end(name, producer, epoch, commit=commit, late=True)

        return arrive

    def _wait_out(self, timeout: float) -> None:
        self.broker.pass_time(timeout)
        self.site.touch("waited in vain")
        raise failure(KafkaError._TIMED_OUT, retriable=True)

    def _ask(self, request: Callable[[], object], *, ending: bool = False) -> None:
        """Repeat while the transaction before is being finished; raise what the broker refuses as librdkafka does."""
        while True:
            try:
                request()
            except Refused as refused:
                if refused.code == KafkaError.CONCURRENT_TRANSACTIONS:
                    self.broker.pass_time(0.005)
                    continue
                raise self._refused(refused.code, ending=ending) from None
            self._asked = True
            return

    def _refused(self, code: int, *, ending: bool = False) -> KafkaException:
        if code in {KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH} or (
            ending and code == KafkaError.INVALID_TXN_STATE
        ):
            kind = KafkaError._FENCED if code != KafkaError.INVALID_TXN_STATE else code
            self.broker.happened("producer fenced" if kind == KafkaError._FENCED else "EndTxn in the wrong state")
            self._fatal = KafkaError(kind, KafkaError(code).str(), **{**_FLAGS, "fatal": True})
            self._told_fatal = True
            return KafkaException(self._fatal)
        self._spoiled = KafkaError(code, KafkaError(code).str(), **{**_FLAGS, "txn_requires_abort": True})
        self.broker.happened(f"refused: {self._spoiled.name()}")
        return KafkaException(self._spoiled)

    def _check_fatal(self) -> None:
        self.site.touch("call")
        if self._fatal is not None:
            raise KafkaException(self._fatal)

    # --- records ----------------------------------------------------------------------------------------------------

    def produce(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int = -1,
        callback: Any = None, on_delivery: Any = None, timestamp: int = 0,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        if self._name is not None and not self._in_transaction:
            raise failure(KafkaError._STATE, "Erroneous state")
        if self.site.touch("produce") == "full" and self._queue:
            raise BufferError("Local: Queue full")
        told = None if headers is None else list(headers.items())
        report = on_delivery or callback
        self._queue.append(((topic, partition), key, value, told, report, self.broker.now))
        if not self.site.draw(4):
            self._send_all(0.0, some=True)

    def flush(self, timeout: float = -1) -> int:
        self._send_all(timeout)
        self._serve(timeout)
        return len(self._queue) + len(self._reports)

    def poll(self, timeout: float = 0) -> int:
        """Without time to wait, what was sent just now is not answered yet."""
        if timeout > 0:
            self._send_all(timeout)
        if not self._reports:
            self.broker.pass_time(timeout)
        return self._serve(timeout)

    def _serve(self, timeout: float) -> int:
        """Call reports back. A fatal error is raised once, and what a report calls meanwhile fails too."""
        if self._reports:
            self.broker.pass_time(min(timeout, max(one[0] for one in self._reports) - self.broker.now))
        due = [one for one in self._reports if one[0] <= self.broker.now]
        self._reports = [one for one in self._reports if one[0] > self.broker.now]
        if self._fatal is not None and not self._told_fatal:
            self._told_fatal = True
            raised = KafkaException(self._fatal)
            if due and self.site.draw(2):
                text = "<method 'offset' of 'cimpl.Message'> returned a result with an exception set"
                raise SystemError(text) from raised
            raise raised
        for _, report, error, message in due:
            report(error, message)
        return len(due)

    def _send_all(self, timeout: float, *, some: bool = False) -> None:
        """Send what is queued, or ``some``. Partitions go in any order, each one's records in theirs."""
        if not self._queue or self._fatal is not None:
            return
        if not self._reach(timeout, "send"):
            self._give_up_old()
            return
        queue, self._queue = self._queue, []
        by_place: dict[Place, list[Any]] = {}
        for item in queue:
            by_place.setdefault(item[0], []).append(item)
        places = list(by_place)
        turn = self.site.draw(len(places))
        for place in places[turn:] + places[:turn]:
            items = by_place[place]
            wrong = self.site.touch("send journal" if place[0] == "journal" else "send to partition")
            if self._spoiled is not None:
                wrong = "lost"  # after an error that requires an abort nothing more is sent
            code = None
            if wrong == "lost" or (wrong == "unanswered" and self._name is not None):
                self.broker.happened("send lost" if wrong == "lost" else "send unknown")
            if self._name is not None and place not in self._places and wrong != "lost":
                try:
                    self._add_place(place)
                except KafkaException:
                    code = (self._fatal or self._spoiled or KafkaError(0)).code()
                    self._told_fatal = False  # nobody has heard of it yet: the next poll or flush raises it
            for _, key, value, headers, report, _ in items:
                offset = -1001
                if code is None and wrong != "lost":
                    try:
                        offset = self.broker.produce(place, self._name, self._id, self._epoch, key, value, headers)
                    except Refused as refused:
                        code = refused.code
                        self._send_refused(code)
                if wrong in {"lost", "unanswered"}:
                    code = KafkaError._MSG_TIMED_OUT
                    if self._name is not None:
                        self._spoiled = KafkaError(
                            code, "Local: Message timed out", **{**_FLAGS, "txn_requires_abort": True}
                        )
                self._report(report, place, offset, code, key, value)
            self.site.touch("sent to partition")

    def _add_place(self, place: Place) -> None:
        self._ask(lambda: self.broker.add_place(self._name or "", self._id, self._epoch, place))
        self._places.add(place)
        self.site.touch("place added")
        self.broker.request()

    def _send_refused(self, code: int) -> None:
        if code == KafkaError.INVALID_PRODUCER_EPOCH:
            self.broker.happened("producer fenced")
            self._fatal = KafkaError(KafkaError._FENCED, KafkaError(code).str(), **{**_FLAGS, "fatal": True})
        elif self._name is not None:
            self.broker.happened(f"send refused: {KafkaError(code).name()}")
            self._spoiled = KafkaError(code, KafkaError(code).str(), **{**_FLAGS, "txn_requires_abort": True})

    def _give_up_old(self) -> None:
        """Records that waited too long fail."""
        old = [item for item in self._queue if self.broker.now - item[5] >= self._message_timeout_s]
        if old:
            self._queue = [item for item in self._queue if item not in old]
            for place, key, value, _, report, _ in old:
                self._report(report, place, -1001, KafkaError._MSG_TIMED_OUT, key, value)
            if self._name is not None:
                self._spoiled = KafkaError(
                    KafkaError._MSG_TIMED_OUT, "Local: Message timed out", **{**_FLAGS, "txn_requires_abort": True}
                )

    def _report(
        self, report: Any, place: Place, offset: int, code: int | None, key: bytes | None, value: bytes | None
    ) -> None:
        if report is not None:
            error = None if code is None else KafkaError(code)
            self._reports.append(
                (
                    self.broker.now + _NETWORK_S,
                    report,
                    error,
                    Message(*place, Stored(offset, key, value, None, 0), error),
                )
            )

    def purge(self) -> None:
        self._queue.clear()

    def __len__(self) -> int:
        return len(self._queue)


class Consumer(_Client):
    """Assigned by hand, or a member of a group that is told its partitions."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._committed = settings.get("isolation.level", "read_committed") == "read_committed"
        self._next: dict[Place, int] = {}
        self._told_end: dict[Place, int] = {}
        self.behind: set[Place] = set()
        """Partitions of which the last look left committed records behind."""
        self._marks: dict[Place, tuple[int, int]] = {}
        self._paused: set[Place] = set()
        self._closed = False
        self._topic: str | None = None
        self._member: Member | None = None
        self._callbacks: dict[str, Any] = {}
        self._joins = 0
        self._owned: set[int] = set()

    # --- fetching ---------------------------------------------------------------------------------------------------

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._next = {(one.topic, one.partition): one.offset for one in places}
        self._told_end.clear()

    def incremental_assign(self, places: Sequence[TopicPartition]) -> None:
        self._next |= {(one.topic, one.partition): one.offset for one in places}

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self._paused |= {(one.topic, one.partition) for one in places}

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self._paused -= {(one.topic, one.partition) for one in places}

    def poll(self, timeout: float = -1) -> Message | None:
        if self._topic is not None:
            self._attend(timeout)
            return None
        found = self._fetch(1, timeout)
        return found[0] if found else None

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        return self._fetch(num_messages, timeout)

    def _fetch(self, limit: int, timeout: float) -> list[Message]:
        if self._closed:
            raise RuntimeError("Consumer closed")
        wrong = self.site.touch("fetch")
        if wrong == "slow" or self.site.cut_off_until() > self.broker.now:
            if self.site.cut_off_until() > self.broker.now:
                self._error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all brokers are down"))
            self.broker.pass_time(timeout)
            return []
        found: list[Message] = []
        places = [place for place in self._next if place not in self._paused]
        if len(places) > 1:
            turn = self.site.draw(len(places))
            places = places[turn:] + places[:turn]
        for place in places:
            found += self._fetch_one(place, limit - len(found))
        if not found:
            self.broker.pass_time(timeout)
            if timeout > 0:
                self.broker.request()
        return found

    def _fetch_one(self, place: Place, limit: int) -> list[Message]:
        if limit <= 0:
            return []
        try:
            partition = self.broker.partition(place)
        except Refused as refused:
            return [Message(*place, Stored(-1001, None, None, None, 0), KafkaError(refused.code))]
        if self.broker.muted.get(place, 0.0) > self.broker.now:
            return []
        start = self._next[place]
        if not partition.begin <= start <= partition.end:
            del self._next[place]
            error = KafkaError(KafkaError._AUTO_OFFSET_RESET, "fetch failed due to requested offset not available")
            return [Message(*place, Stored(start, None, None, None, 0), error)]
        some = 1 + self.site.draw(limit) if limit > 1 and not self.site.draw(3) else limit
        records, self._next[place] = partition.fetch(start, some, committed=self._committed)
        self._marks[place] = partition.begin, partition.end
        messages = [Message(*place, record) for record in records]
        left, _ = partition.fetch(self._next[place], 1, committed=True)
        (self.behind.add if left else self.behind.discard)(place)
        end = partition.stable if self._committed else partition.end
        at = self._next[place]
        if at >= end and len(messages) < limit and self._told_end.get(place) != at:
            self._told_end[place] = at
            error = KafkaError(KafkaError._PARTITION_EOF, "no more messages")
            messages.append(Message(*place, Stored(at, None, None, None, 0), error))
        return messages

    def get_watermark_offsets(
        self, place: TopicPartition, timeout: float = 10.0, cached: bool = False
    ) -> tuple[int, int] | None:
        at = place.topic, place.partition
        if cached:
            return self._marks.get(at, (-1001, -1001))
        if self.site.touch("marks") == "unanswered" or not self._reach(timeout, "marks asked"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        try:
            partition = self.broker.partition(at)
        except Refused as refused:
            raise failure(refused.code) from None
        return partition.begin, partition.stable if self._committed else partition.end

    # --- membership ---------------------------------------------------------------------------------------------------

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None:
        self._topic, self._callbacks = topics[0], callbacks

    def _attend(self, timeout: float) -> None:
        """A poll of a member: hear of a new generation, let go, take up, join anew when given up."""
        if self._closed:
            raise RuntimeError("Consumer closed")
        self.site.touch("membership")
        group_name = self._settings["group.id"]
        if max(self.site.cut_off_until(), self.site.deaf_until) > self.broker.now:
            self.broker.pass_time(timeout)
            if self._member is not None and self._owned and not self._known():
                return  # it will hear of it when it reaches the broker
            return
        group = self.broker.group(group_name)
        group.partitions = len(self.broker.topics[self._topic or ""].partitions)
        if self._member is not None and not self._known():
            self._member = None
            if owned := self._places(self._owned):
                self._owned = set()
                self._next.clear()
                self.broker.happened("membership lost")
                self._callbacks["on_lost"](self, owned)
                self.site.touch("revoked")
        if self._member is None:
            self._joins += 1
            seconds = self._settings.get("session.timeout.ms", 45_000) / 1000
            name = self.broker.new_member()
            self._member = Member(name, self._beats, seconds, self.broker.now)
            group.join(self._member)
        member = self._member
        if member.generation != group.generation:
            self._heed(member, group.generation)
            if gone := member.owned - member.target:
                member.owned -= gone
                self._owned -= gone
                self.broker.happened("task revoked")
                self._callbacks["on_revoke"](self, self._places(gone))
                self.site.touch("revoked")
                group.rebalance()
                self._heed(member, group.generation)
            if new := member.target - member.owned:
                member.owned |= new
                self._owned |= new
                self._callbacks["on_assign"](self, self._places(new))
        else:
            self.broker.pass_time(timeout)

    def _heed(self, member: Member, generation: int) -> None:
        member.generation = self._generation = generation

    _generation = -1

    def _known(self) -> bool:
        return self._member is not None and self._member.id in self.broker.group(self._settings["group.id"]).members

    def _beats(self) -> bool:
        """Heartbeats come from a thread of the library's own."""
        return not self._closed and self.site.alive() and self.site.cut_off_until() <= self.broker.now

    def _places(self, partitions: set[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic or "", partition) for partition in sorted(partitions)]

    def consumer_group_metadata(self) -> GroupMetadata:
        if self._closed:
            raise RuntimeError("Consumer closed")
        return GroupMetadata(self._settings["group.id"], self._member.id if self._member else "", self._generation)

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool = True) -> None:
        if self._closed:
            raise RuntimeError("Consumer closed")
        group = self.broker.group(self._settings["group.id"])
        if self._known() and self._generation == group.generation:
            group.offsets |= {(one.topic, one.partition): one.offset for one in offsets}

    def committed(self, places: Sequence[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        if not self._reach(timeout, "committed"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        offsets = self.broker.group(self._settings["group.id"]).offsets
        return [
            TopicPartition(one.topic, one.partition, offsets.get((one.topic, one.partition), -1001)) for one in places
        ]

    def close(self) -> None:
        if self._closed or self.site.dead:
            return
        self._closed = True
        if self._member is not None and self.site.cut_off_until() <= self.broker.now:
            self.broker.group(self._settings["group.id"]).leave(self._member.id)


class Described(NamedTuple):
    topic_id: str
    partitions: Sequence[int]


class AdminClient(_Client):
    """Asks for topics."""

    def poll(self, timeout: float = 0) -> int:
        self.broker.pass_time(timeout)
        return 0

    def describe_topics(self, topics: Any, request_timeout: float = 30.0) -> dict[str, "Future[Any]"]:
        futures: dict[str, Future[Any]] = {}
        there = self._reach(request_timeout, "describe")
        for name in topics.topic_names:
            future = futures[name] = Future()
            topic = self.broker.topics.get(name)
            if not there:
                future.set_exception(failure(KafkaError._TIMED_OUT, retriable=True))
            elif topic is None:
                future.set_exception(failure(KafkaError.UNKNOWN_TOPIC_OR_PART))
            else:
                future.set_result(Described(topic.id, range(len(topic.partitions))))
        return futures


class Patience:
    """In the place of the thread that can be left behind: no call of these clients hangs."""

    def call(self, work: Callable[[], object], timeout_s: float, doing: str) -> None:
        work()

    def close(self) -> None:
        """There is no thread."""


@contextlib.contextmanager
def installed(now: Callable[[], float]) -> Iterator[None]:
    """The fake in the place of the library, and virtual time in the place of the clock."""
    clock = types.SimpleNamespace(monotonic=now)
    names: dict[str, Mapping[str, Any]] = {
        "kafka": {"Consumer": Consumer},
        "kafka_client": {"AdminClient": AdminClient, "time": clock},
        "kafka_reader": {"Consumer": Consumer},
        "kafka_source": {"Consumer": Consumer},
        "kafka_writer": {"Producer": Producer, "AdminClient": AdminClient, "Patience": Patience},
    }
    with contextlib.ExitStack() as stack:
        for module, fakes in names.items():
            stack.enter_context(mock.patch.multiple(f"stream.transport.{module}", **fakes))
        yield
