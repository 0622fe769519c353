"""The producer of the fake client library: transactions as the broker knows them, and as they go wrong. See clients.py."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulation.broker import Place, Refused, Stored
from tests.simulation.site import NETWORK_S, Client, GroupMetadata, Message, failure, kafka_error


class Producer(Client):
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
            self._fatal = kafka_error(kind, KafkaError(code).str(), fatal=True)
            self._told_fatal = True
            return KafkaException(self._fatal)
        self._spoiled = kafka_error(code, txn_requires_abort=True)
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
        if not self._queue:
            return  # purged meanwhile: the task was taken away
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
                        self._spoiled = kafka_error(code, "Local: Message timed out", txn_requires_abort=True)
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
            self._fatal = kafka_error(KafkaError._FENCED, KafkaError(code).str(), fatal=True)
        elif self._name is not None:
            self.broker.happened(f"send refused: {KafkaError(code).name()}")
            self._spoiled = kafka_error(code, txn_requires_abort=True)

    def _give_up_old(self) -> None:
        """Records that waited too long fail."""
        old = [item for item in self._queue if self.broker.now - item[5] >= self._message_timeout_s]
        if old:
            self._queue = [item for item in self._queue if item not in old]
            for place, key, value, _, report, _ in old:
                self._report(report, place, -1001, KafkaError._MSG_TIMED_OUT, key, value)
            if self._name is not None:
                self._spoiled = kafka_error(
                    KafkaError._MSG_TIMED_OUT, "Local: Message timed out", txn_requires_abort=True
                )

    def _report(
        self, report: Any, place: Place, offset: int, code: int | None, key: bytes | None, value: bytes | None
    ) -> None:
        if report is not None:
            error = None if code is None else KafkaError(code)
            self._reports.append(
                (
                    self.broker.now + NETWORK_S,
                    report,
                    error,
                    Message(*place, Stored(offset, key, value, None, 0), error),
                )
            )

    def purge(self) -> None:
        self._queue.clear()

    def __len__(self) -> int:
        return len(self._queue)
