"""A Kafka broker in one process, without a network: logs, transactions, groups, in virtual time.

It answers requests at once and atomically; what goes wrong on the way (lost, late and repeated requests) is clients.py's,
which is the fake client library over it. Modelled on Kafka 4.1 as clients without KIP-890's second part see it: a commit
that arrives late ends whatever transaction of that producer is open then. tests/integration/test_fake_kafka.py holds it
against a real one.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

Place = tuple[str, int]
"""Topic and partition."""


class Refused(Exception):
    """The broker's answer is an error."""

    def __init__(self, code: int) -> None:
        super().__init__(KafkaError(code).name())
        self.code = code


@dataclass(slots=True)
class Share:
    """What one transaction wrote to one partition; its marker decides."""

    first: int
    outcome: str = "open"


@dataclass(slots=True)
class Stored:
    """A record as it lies in a partition; a marker has no ``value`` and ``control``."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | None
    timestamp_ms: int
    share: Share | None = None
    control: bool = False

    @property
    def void(self) -> bool:
        """Nothing to readers of what is committed, for ever."""
        return self.control or (self.share is not None and self.share.outcome == "aborted")


class Partition:
    """Offsets are dense here: records and markers. A gap is a marker of nobody."""

    def __init__(self) -> None:
        self.slots: list[Stored] = []
        self.begin = 0
        self.open: dict[int, Share] = {}
        """Of each producer, its unfinished share."""
        self.epochs: dict[int, int] = {}

    @property
    def end(self) -> int:
        return len(self.slots)

    @property
    def stable(self) -> int:
        """The last stable offset."""
        return min((share.first for share in self.open.values()), default=self.end)

    def append(self, key: bytes | None, value: bytes | None, headers: object, now_ms: int, share: Share | None) -> int:
        self.slots.append(Stored(self.end, key, value, headers, now_ms, share))  # type: ignore[arg-type]
        return self.end - 1

    def mark(self, producer: int, epoch: int, outcome: str) -> None:
        """A control record at the end."""
        self.epochs[producer] = epoch
        if (share := self.open.pop(producer, None)) is not None:
            share.outcome = outcome
        self.slots.append(Stored(self.end, None, None, None, 0, None, control=True))

    def fetch(self, start: int, limit: int, *, committed: bool) -> tuple[list[Stored], int]:
        """Records from ``start`` on, and where to go on. Aborted ones and markers are passed over."""
        end = self.stable if committed else self.end
        found: list[Stored] = []
        while start < end and len(found) < limit:
            slot = self.slots[start]
            start += 1
            if not slot.control and (slot.share is None or not committed or slot.share.outcome == "committed"):
                found.append(slot)
        return found, start


@dataclass(slots=True)
class Topic:
    id: str
    partitions: list[Partition]


@dataclass(slots=True)
class Transaction:
    """A transactional id, as its coordinator knows it."""

    producer: int
    epoch: int
    timeout_s: float
    state: str = "empty"
    places: set[Place] = field(default_factory=set)
    offsets: dict[tuple[str, Place], int] = field(default_factory=dict)
    begun: int = 0
    """Counts transactions, so that a timer knows its own."""
    cut: int = -1
    """Which one a late EndTxn ended; what its producer still sends of it makes the next one."""


@dataclass(slots=True)
class Member:
    """As the group's coordinator knows it."""

    id: str
    alive: Callable[[], bool]
    session_s: float
    heard: float
    generation: int = -1
    owned: set[int] = field(default_factory=set)
    target: set[int] = field(default_factory=set)


class Group:
    """Classic protocol, cooperative: a partition goes to its new owner after the former one let it go, or was given up."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.generation = 0
        self.members: dict[str, Member] = {}
        self.offsets: dict[Place, int] = {}
        self.turn = 0
        """Whom the balance begins with; a simulation turns it to have partitions wander."""

    def rebalance(self) -> None:
        self.generation += 1
        names = sorted(self.members)
        if not names:
            return
        names = names[self.turn % len(names) :] + names[: self.turn % len(names)]
        wanted: dict[str, set[int]] = {
            name: {p for p in range(self.partitions) if (p + self.turn) % len(names) == place}
            for place, name in enumerate(names)
        }
        for name, member in self.members.items():
            others = set[int]().union(*(one.owned for one in self.members.values() if one is not member))
            member.target = wanted[name] - others

    def join(self, member: Member) -> None:
        self.members[member.id] = member
        self.rebalance()

    def leave(self, name: str) -> None:
        if self.members.pop(name, None) is not None:
            self.rebalance()

    def check(self, name: str, generation: int) -> None:
        if name not in self.members:
            raise Refused(KafkaError.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(KafkaError.ILLEGAL_GENERATION)


class Broker:
    """Time is ``now``; who waits lets it pass, and whatever is due then happens in between."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.now = 0.0
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self.transactions: dict[str, Transaction] = {}
        self.happened: Callable[[str], None] = lambda _: None
        self.check_commit: Callable[[Transaction], None] = lambda _: None
        """Told of each transaction whose own producer commits it, before it is."""
        self.muted: dict[Place, float] = {}
        """Partitions that bring nothing, and until when: their leader is gone, and those of others are not."""
        self.slow_markers_s = 0.0
        """So long a decided transaction takes until its markers are written."""
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._requests = 0
        self._made = 0
        for name, count in topics.items():
            self.create(name, count)

    # --- time -----------------------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, what))

    def after_requests(self, count: int, what: Callable[[], None]) -> None:
        """A message that is on its way: it arrives before the request that is so many further on."""
        self._later.append((self._requests + count, what))

    def request(self) -> None:
        """Somebody's request arrives now."""
        self._requests += 1
        if self._later:
            due = [what for number, what in self._later if number <= self._requests]
            self._later = [pair for pair in self._later if pair[0] > self._requests]
            for what in due:
                what()

    def pass_time(self, seconds: float) -> None:
        until = self.now + max(seconds, 0.0)
        while self._timers and self._timers[0][0] <= until:
            when, _, what = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            what()
            self._expire()
        self.now = max(self.now, until)
        self._expire()

    def _expire(self) -> None:
        for group in self.groups.values():
            for member in list(group.members.values()):
                if member.alive():
                    member.heard = self.now
                elif self.now - member.heard > member.session_s:
                    self.happened("member expired")
                    group.leave(member.id)

    # --- topics ---------------------------------------------------------------------------------------------------

    def create(self, topic: str, partitions: int) -> None:
        self._made += 1
        self.topics[topic] = Topic(f"id-{self._made}", [Partition() for _ in range(partitions)])

    def partition(self, place: Place) -> Partition:
        topic = self.topics.get(place[0])
        if topic is None or place[1] >= len(topic.partitions):
            raise Refused(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return topic.partitions[place[1]]

    def committed(self, topic: str, partition: int) -> list[Stored]:
        """What a reader of committed records sees."""
        one = self.partition((topic, partition))
        return one.fetch(one.begin, 1 << 60, committed=True)[0]

    def append(self, topic: str, partition: int, values: Sequence[bytes | None], keys: Sequence[bytes | None]) -> None:
        """As a producer without transactions."""
        for key, value in zip(keys, values, strict=True):
            one = self.partition((topic, partition))
            one.append(key, value, None, 1000 + one.end, None)

    def gap(self, topic: str, partition: int) -> None:
        """An offset without a record, as a foreign producer's transaction leaves."""
        self.partition((topic, partition)).mark(-1, 0, "committed")

    def append_open(self, place: Place, values: Sequence[bytes | None], keys: Sequence[bytes | None]) -> int:
        """As a foreign producer with transactions, whose one ends with ``mark``; it is the answer."""
        self._made += 1
        one = self.partition(place)
        share = one.open[-self._made] = Share(one.end)
        for key, value in zip(keys, values, strict=True):
            one.append(key, value, None, 1000 + one.end, share)
        return -self._made

    # --- transactions -----------------------------------------------------------------------------------------------

    def init_producer(self, name: str | None, timeout_s: float) -> tuple[int, int]:
        """Ends what a predecessor left open, and fences it."""
        self._made += 1
        if name is None:
            return self._made, 0
        known = self.transactions.get(name)
        if known is None:
            known = self.transactions[name] = Transaction(self._made, -1, timeout_s)
        if known.state in {"prepared commit", "prepared abort"}:
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        known.epoch += 1
        known.timeout_s = timeout_s
        if known.state == "open":
            self.happened("open transaction fenced")
            self._decide(known, commit=False)
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        known.state = "empty"
        return known.producer, known.epoch

    def _check(self, name: str, producer: int, epoch: int) -> Transaction:
        known = self.transactions.get(name)
        if known is None or known.producer != producer:
            raise Refused(KafkaError.INVALID_PRODUCER_ID_MAPPING)
        if known.epoch != epoch:
            raise Refused(KafkaError.PRODUCER_FENCED)
        return known

    def add_place(self, name: str, producer: int, epoch: int, place: Place) -> None:
        known = self._check(name, producer, epoch)
        self._open(known)
        known.places.add(place)

    def _open(self, known: Transaction) -> None:
        if known.state in {"prepared commit", "prepared abort"}:
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        if known.state != "open":
            known.state = "open"
            known.begun += 1
            begun = known.begun
            self.at(self.now + known.timeout_s, lambda: self._time_out(known, begun))

    def _time_out(self, known: Transaction, begun: int) -> None:
        if known.state == "open" and known.begun == begun:
            self.happened("transaction timed out")
            known.epoch += 1
            self._decide(known, commit=False)

    def produce(
        self, place: Place, name: str | None, producer: int, epoch: int,
        key: bytes | None, value: bytes | None, headers: object,
    ) -> int:  # fmt: skip
        partition = self.partition(place)
        if name is None:
            return partition.append(key, value, headers, int(self.now * 1000), None)
        if epoch < partition.epochs.get(producer, -1):
            raise Refused(KafkaError.INVALID_PRODUCER_EPOCH)
        share = partition.open.get(producer)
        if share is None:
            known = self.transactions.get(name)
            if known is None or known.producer != producer or known.epoch != epoch:
                raise Refused(KafkaError.INVALID_PRODUCER_EPOCH)
            if known.state != "open" or place not in known.places:
                raise Refused(KafkaError.INVALID_TXN_STATE)
            share = partition.open[producer] = Share(partition.end)
        partition.epochs[producer] = epoch
        return partition.append(key, value, headers, int(self.now * 1000), share)

    def add_offsets(
        self, name: str, producer: int, epoch: int, group: str, offsets: Mapping[Place, int], member: tuple[str, int]
    ) -> None:
        """AddOffsetsToTxn and TxnOffsetCommit: who is not of the group, as it is now, is refused."""
        known = self._check(name, producer, epoch)
        self._open(known)
        self.group(group).check(*member)
        for place, offset in offsets.items():
            known.offsets[group, place] = offset

    def end(self, name: str, producer: int, epoch: int, *, commit: bool, late: bool = False) -> None:
        """EndTxn; ``late`` when it was held up on the way. A repeated one that agrees with what was decided is answered as the first one was."""
        known = self._check(name, producer, epoch)
        if known.state == "open":
            if commit and not late and known.begun != known.cut + 1:
                self.check_commit(known)
            known.cut = known.begun if late else known.cut
            self._decide(known, commit=commit)
        elif known.state == ("prepared commit" if commit else "prepared abort"):
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        elif known.state != ("committed" if commit else "aborted"):
            raise Refused(KafkaError.INVALID_TXN_STATE)

    def _decide(self, known: Transaction, *, commit: bool) -> None:
        known.state = "prepared commit" if commit else "prepared abort"

        def complete() -> None:
            outcome = "committed" if commit else "aborted"
            for place in sorted(known.places):
                try:
                    self.partition(place).mark(known.producer, known.epoch, outcome)
                except Refused:
                    continue  # the topic was deleted
            if commit:
                for (group, place), offset in known.offsets.items():
                    self.group(group).offsets[place] = offset
            known.places.clear()
            known.offsets.clear()
            known.state = outcome

        if self.slow_markers_s:
            self.at(self.now + self.slow_markers_s, complete)
        else:
            complete()

    # --- groups -----------------------------------------------------------------------------------------------------

    def new_member(self) -> str:
        """A name for one; in the order in which they came."""
        self._made += 1
        return f"member-{self._made:06d}"

    def group(self, name: str) -> Group:
        return self.groups.setdefault(name, Group(0))
