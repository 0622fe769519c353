"""One partition of an output topic, read back as committed readers see it. See outputs.py for what each method promises."""

from collections.abc import Mapping
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from stream.records import OutputRecords
from stream.transport.kafka_client import END, REQUEST_S, TIMED_OUT, Deadline
from stream.transport.kafka_source import Aside, missing, watermarks
from stream.transport.outputs import SEQ, Stretch, formed

_POLL_S = 0.05
NEAR = 5000
"""So few records are read and passed over, rather than looked for."""


class KafkaOutput:
    """A partition of an output topic, or of a copy of one that kept the headers.

    Takes what ``Aside.open`` takes and raises what it raises; LogMisfit also when there is no such partition.
    """

    def __init__(self, given: Mapping[str, object], group: str, topic: str, partition: int) -> None:
        self.where = f"{topic}/{partition}"
        self._topic, self._partition = topic, partition
        self._settings, self._watcher, self._consumer, partitions = Aside.open(given, group, topic, needs=self.where)
        if partition >= partitions:
            self._consumer.close()
            raise missing(self.where)
        self._low, self.end = watermarks(self._settings, self._consumer, self._watcher, topic, partition)
        self.trimmed = self._low > 0
        self._at_end = False
        self._go(self._low)

    def _go(self, offset: int) -> None:
        self._consumer.assign([TopicPartition(self._topic, self._partition, offset)])
        self._at_end = False

    def seek(self, seq: int) -> None:
        """By steps: between two records there are at least as many offsets as there are numbers between their ``seq``."""
        before = offset = self._low
        while True:
            self._go(offset)
            first = self.take(1)
            found = first.seqs[0] if len(first) else None
            if found is None or found > seq:
                break  # it lies before, or nobody knows: whoever reads passes over what is too old
            before = first.offsets[0]
            if seq - found <= NEAR:
                break
            offset = before + seq - found
            if offset >= self.end:
                break
        self._go(before)

    def take(self, limit: int, wait_s: float = 0.0) -> Stretch:
        deadline = Deadline(wait_s if self._at_end else REQUEST_S)
        while True:
            first = self._consumer.poll(_POLL_S)
            messages = [] if first is None else [first, *(self._consumer.consume(limit - 1, 0) if limit > 1 else ())]
            failed = [message for message in messages if message.error() is not None]
            good = messages if not failed else [message for message in messages if message.error() is None]
            for message in failed:
                error = message.error()
                assert error is not None
                if error.code() != END:
                    raise self._settings.error(error, f"reading {self.where}", self._watcher)
                if not self._at_end:
                    self._at_end = True
                    deadline = Deadline(wait_s)
            if good:
                self._at_end = self._at_end and messages[-1].error() is not None
                return _stretch(good)
            if deadline.passed or self._watcher.refused is not None:
                if self._at_end and self._watcher.refused is None:
                    return Stretch()
                raise self._settings.error(KafkaError(TIMED_OUT), f"reading {self.where}", self._watcher)

    def form(self, out: OutputRecords) -> Stretch:
        headers = out.headers if out.headers is not None else [{}] * len(out)
        return formed(out.first_seq, out.keys, out.values, headers)

    def close(self) -> None:
        try:
            self._consumer.close()
        except KafkaException as failure:
            raise self._settings.error(failure.args[0], f"reading {self.where}", self._watcher) from failure


def _stretch(messages: list[Message]) -> Stretch:
    split = [_split(message.headers()) for message in messages]
    return Stretch(
        [message.offset() or 0 for message in messages],
        [seq for seq, _ in split],
        [message.key() or b"" for message in messages],
        [message.value() or b"" for message in messages],
        [rest for _, rest in split],
    )


_NO_MORE: dict[str, bytes] = {}


def _split(headers: object) -> tuple[int | None, dict[str, bytes]]:
    """``seq``, and the headers beside it."""
    told = cast("list[tuple[str, bytes]]", headers or [])
    if len(told) == 1 and told[0][0] == SEQ:
        seq, rest = told[0][1], _NO_MORE
    else:
        rest = dict(told)
        seq = rest.pop(SEQ, b"")
    return int(seq) if seq and seq.isdigit() else None, rest
