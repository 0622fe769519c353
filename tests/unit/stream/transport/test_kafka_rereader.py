"""Records of spans read again, of partitions that go unequally fast; the consumer is a stand-in, the rest is real."""

import pytest

from stream.records import Input, Records
from stream.transport import kafka_reader
from stream.transport.kafka_reader import Rereader
from stream.transport.spans import span_of

INPUTS = (Input("events", "events", 0), Input("labels", "labels", 0), Input("labels", "labels", 1))


def records(count):
    return Records(list(range(count)), list(range(count)), [None] * count, [b"v"] * count)


class Stand:
    """Two partitions, the second one short; what is paused brings nothing."""

    def __init__(self, settings, group, topic, starts):
        self.topic, self.partitions, self.next = topic, tuple(starts), dict(starts)
        self.at_end = dict.fromkeys(starts, False)
        self.paused = set()

    def take(self, limit, timeout_s):
        taken = {}
        for partition in set(self.partitions) - self.paused:
            end = (60_000, 100)[partition]
            start, stop = self.next[partition], min(self.next[partition] + limit // 2, end)
            self.at_end[partition] = stop == end
            if stop > start:
                taken[partition] = records(stop).slice(start, stop)
                self.next[partition] = stop
        return taken

    def pause(self, partitions):
        self.paused = set(partitions)

    def close(self):
        pass


@pytest.mark.parametrize("count", [20_000, 30_000])
def test_a_span_may_be_longer_than_what_is_read_ahead(monkeypatch, count):
    """The partition that is awaited is never paused, however much of it is here already."""
    monkeypatch.setattr(kafka_reader, "Source", Stand)
    monkeypatch.setattr(kafka_reader, "REQUEST_S", 0.2)
    spans = [span_of(1, 0, records(count)), span_of(2, 0, records(100))]
    assert [len(part) for part in Rereader(None, "group", INPUTS).read(spans)] == [count, 100]
