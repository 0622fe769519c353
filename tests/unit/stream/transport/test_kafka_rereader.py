"""Records of spans read again, of partitions that go unequally fast; the consumer is a stand-in, the rest is real."""

from types import SimpleNamespace

import pytest

from stream.records import Input, Records
from stream.transport import kafka_reader
from stream.transport.kafka_reader import Rereader
from stream.transport.kafka_task import KafkaTaskLog
from stream.transport.spans import span_of

INPUTS = (Input("events", "events", 0), Input("labels", "labels", 0), Input("labels", "labels", 1))


def records(count):
    return Records(list(range(count)), list(range(count)), [None] * count, [b"v"] * count)


class Stand:
    """Two partitions, the second one short; what is paused brings nothing."""

    ends = (60_000, 100)

    def __init__(self, settings, group, topic, starts):
        self.closed = False
        self.topic, self.partitions, self.next = topic, tuple(starts), dict(starts)
        self.at_end = dict.fromkeys(starts, False)
        self.paused = set()

    def take(self, limit, timeout_s):
        taken = {}
        for partition in set(self.partitions) - self.paused:
            end = self.ends[partition]
            start, stop = self.next[partition], min(self.next[partition] + limit // 2, end)
            self.at_end[partition] = stop == end
            if stop > start:
                taken[partition] = records(stop).slice(start, stop)
                self.next[partition] = stop
        return taken

    def pause(self, partitions):
        self.paused = set(partitions)

    def close(self):
        self.closed = True


@pytest.mark.parametrize("count", [20_000, 30_000])
def test_a_span_may_be_longer_than_what_is_read_ahead(monkeypatch, count):
    """The partition that is awaited is never paused, however much of it is here already."""
    monkeypatch.setattr(kafka_reader, "Source", Stand)
    monkeypatch.setattr(kafka_reader, "REQUEST_S", 0.2)
    spans = [span_of(1, 0, records(count)), span_of(2, 0, records(100))]
    assert [len(part) for part in Rereader(None, "group", INPUTS).read(spans)] == [count, 100]


@pytest.fixture
def stand(monkeypatch):
    """In the place of the consumer; knows all that were opened."""

    class Own(Stand):
        opened = ()

        def __init__(self, *given):
            super().__init__(*given)
            Own.opened = (*Own.opened, self)

    monkeypatch.setattr(kafka_reader, "Source", Own)
    return Own


def test_an_end_that_was_reached_before_is_heard_anew(stand):
    """What came since is read, not taken for deleted."""
    rereader = Rereader(None, "group", INPUTS)
    assert [len(part) for part in rereader.read([span_of(2, 0, records(100))])] == [100]
    stand.ends = (60_000, 150)
    assert [len(part) for part in rereader.read([span_of(2, 100, records(150).slice(100, 150))])] == [50]


def test_who_polls_after_a_recovery_lets_go_of_what_it_read_with(stand):
    """Also where no seek follows: a consumer has threads and sockets of its own."""
    site = SimpleNamespace(settings=None, group="group", delivery="exactly_once")
    log = KafkaTaskLog(site, 0, INPUTS, None)
    for _ in range(2):
        log.read([span_of(1, 0, records(100)), span_of(2, 0, records(100))])
        log.poll(10, 0.0)
        assert stand.opened
        assert all(one.closed for one in stand.opened)
