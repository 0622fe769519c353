"""The consumer of the fake client library: assigned by hand, or a member of a group. See clients.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from tests.simulation.broker import Member, Place, Refused, Stored
from tests.simulation.site import Client, GroupMetadata, Message, failure


class Consumer(Client):
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
        self.site.beside()
        if self._member is not None and self.site.cut_off_until() <= self.broker.now:
            self.broker.group(self._settings["group.id"]).leave(self._member.id)
