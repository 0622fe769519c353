"""The order in which records are applied, against the rule as one would write it down.

*Of the heads of the inputs, the smallest time; labels first on ties; an input that is empty is waited for, unless it is
read to its end.* A later record of an input is not applied before an earlier one of it.
"""

import random
from dataclasses import dataclass

import pytest

from stream.codec import EventDecoder, EventSpec, LabelDecoder, LabelSpec, Limits, Target, TimeField
from stream.errors import RecordsGone
from stream.records import Records
from stream.runtime.merge import Merge
from stream.transport.base import Fetched
from stream.transport.spans import check_span
from tests.harness import dumps


@dataclass
class Decoders:
    """Of events and labels that say their time."""

    event_decoder: EventDecoder
    label_decoder: LabelDecoder

    def events(self, records):
        return self.event_decoder.decode(records)

    def labels(self, records):
        return self.label_decoder.decode(records)


def decoders():
    time = TimeField("t", "UTC", "ms")
    return Decoders(
        EventDecoder(EventSpec(id="id", time=time, features=()), Limits(), Target("binary")),
        LabelDecoder(LabelSpec(id="id", value="y", time=time), Limits(), Target("binary")),
    )


def records(times, first=0, step=1):
    """Records of one input; None is a tombstone. Offsets have gaps when ``step`` is more than 1."""
    values = [
        None if time is None else dumps([{"id": f"r{place}", "t": time, "y": True}])[0]
        for place, time in enumerate(times)
    ]
    offsets = [first + step * place for place in range(len(times))]
    return Records(offsets, [0] * len(times), [None] * len(times), values)


def by_rule(inputs):
    """Inputs, as (input, index), in the order of the rule when all is there and read to its end."""
    heads, order = [0] * len(inputs), []
    reached = [-(2**62)] * len(inputs)
    while any(head < len(times) for head, times in zip(heads, inputs, strict=True)):
        best = None
        for which in [*range(1, len(inputs)), 0]:
            if heads[which] < len(inputs[which]):
                time = inputs[which][heads[which]]
                time = reached[which] if time is None else max(time, reached[which])
                if best is None or time < best[0]:
                    best = time, which
        time, which = best
        order.append((which, heads[which]))
        heads[which] += 1
        reached[which] = time
    return order


def taken_order(taken, done):
    for which, count in zip(taken.batch.order[::2], taken.batch.order[1::2], strict=True):
        for _ in range(count):
            yield which, done[which]
            done[which] += 1


@pytest.mark.parametrize("seed", range(150))
def test_the_order_is_the_rules_whatever_the_polls_and_limits(seed):
    """Random times with ties, tombstones and records out of order; one to three inputs; any polls, holds and limits."""
    draw = random.Random(seed)
    spread = draw.choice([3, 30, 1000])
    inputs = [
        [None if draw.random() < 0.05 else i * spread // 20 + draw.randrange(spread) for i in range(draw.randrange(60))]
        for _ in range(draw.choice([1, 2, 2, 2, 3]))
    ]
    step = draw.choice([1, 3])
    merge = Merge(decoders(), len(inputs), (0,) * len(inputs), draw.choice([1, 8, 100]))
    polled, done, order = [0] * len(inputs), [0] * len(inputs), []
    for _ in range(1000):
        part, at_end = [], []
        for which, times in enumerate(inputs):
            size = 0 if which in merge.hold() else draw.choice([0, 0, 1, 2, 7, 50])
            part.append(records(times[polled[which] : polled[which] + size], step * polled[which], step))
            polled[which] = min(polled[which] + size, len(times))
            at_end.append(polled[which] == len(times))
        merge.add(Fetched(tuple(part), tuple(at_end)))
        limit = draw.choice([1, 2, 5, 100])
        while (taken := merge.take(limit)) is not None:
            assert 0 < sum(taken.batch.order[1::2]) <= limit
            before = list(done)
            order += taken_order(taken, done)
            for span in taken.spans:
                assert span.count == done[span.input] - before[span.input]
                assert span.stop == step * (done[span.input] - 1) + 1 == taken.positions[span.input]
            if draw.random() < 0.3:
                break
        if merge.at_end:
            break
    assert merge.at_end
    assert order == by_rule(inputs)


def fetched(events, labels, *at_end):
    return Fetched((records(events), records(labels)), at_end)


def test_labels_go_first_on_ties():
    """A label of the time of an event is known before it is scored, as River does it."""
    merge = Merge(decoders(), 2, (0, 0), 100)
    merge.add(fetched([5, 5, 6], [5, 6, 6], True, True))
    assert merge.take(100).batch.order == [1, 1, 0, 2, 1, 2, 0, 1]


def test_an_empty_input_is_waited_for():
    """Nothing is sure before its next record is there, or its end."""
    merge = Merge(decoders(), 2, (0, 0), 100)
    merge.add(fetched([5, 6], [], False, False))
    assert merge.take(100) is None
    merge.add(fetched([], [5], False, False))
    assert merge.take(100).batch.order == [1, 1]
    assert merge.take(100) is None
    merge.add(fetched([], [], False, True))
    assert merge.take(100).batch.order == [0, 2]
    assert not merge.at_end


def test_an_input_far_ahead_is_held():
    """So that the buffer of one does not grow while the other is slow."""
    merge = Merge(decoders(), 2, (0, 0), 3)
    merge.add(fetched([1, 2, 3], [], False, False))
    assert merge.hold() == {0}


def test_a_span_tells_when_its_records_changed():
    """CRC and count of what was taken stand in it."""
    merge = Merge(decoders(), 2, (0, 0), 100)
    merge.add(fetched([1, 2, 3], [], True, True))
    (span,) = merge.take(2).spans
    assert (span.input, span.start, span.stop, span.count) == (0, 0, 2, 2)
    assert check_span(span, records([1, 2]), "here").offsets == [0, 1]
    with pytest.raises(RecordsGone):
        check_span(span, records([1, 9]), "here")
    with pytest.raises(RecordsGone):
        check_span(span, records([1]), "here")
