"""The order in which records are applied, against the rule as one would write it down.

*Of the heads of the inputs, the smallest time; labels first on ties; an input that is empty is waited for, unless it is
read to its end.* A later record of an input is not applied before an earlier one of it, and a wild time counts for nothing.
"""

import random
from dataclasses import dataclass
from operator import le

import pytest

from stream.codec import EventDecoder, EventSpec, LabelDecoder, LabelSpec, Limits, Target, TimeField
from stream.errors import RecordsGone
from stream.pipeline.batch import Batch, RawBatch
from stream.pipeline.clock import ANY_JUMP, NEVER, Clock
from stream.records import Records
from stream.runtime.merge import Merge
from stream.transport.base import Fetched
from stream.transport.spans import check_span
from tests.harness import dumps

DOUBT_MAX = 3


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


def turns_by_rule(times, jump):
    """Of one input, all of which is there: the largest time so far, but for leaps that the next record does not confirm."""
    turns, now = [], NEVER
    for place, time in enumerate(times):
        behind = times[place + 1 : place + 1 + DOUBT_MAX]
        following = next((later for later in behind if later is not None), None)
        if time is None or time <= now + jump:
            now = now if time is None else max(now, time)
        elif following is None:
            now = now if len(behind) == DOUBT_MAX else time
        elif following > now + jump:
            now = time if time <= following + jump else following
        turns.append(now)
    return turns


def by_rule(inputs, jump):
    """Inputs, as (input, index), in the order of the rule when all is there and read to its end."""
    heads, order = [0] * len(inputs), []
    turns = [turns_by_rule(times, jump) for times in inputs]
    while any(head < len(times) for head, times in zip(heads, inputs, strict=True)):
        best = None
        for which in [*range(1, len(inputs)), 0]:
            if heads[which] < len(inputs[which]):
                time = turns[which][heads[which]]
                if best is None or time < best[0]:
                    best = time, which
        _, which = best
        order.append((which, heads[which]))
        heads[which] += 1
    return order


def taken_order(taken, done):
    for which, count in zip(taken.batch.order[::2], taken.batch.order[1::2], strict=True):
        for _ in range(count):
            yield which, done[which]
            done[which] += 1


@pytest.mark.parametrize("seed", range(400))
def test_the_order_is_the_rules_whatever_the_polls_the_limits_and_the_crashes(seed, monkeypatch):
    """Random times with ties, wild ones, tombstones; one to three inputs; any polls, holds, limits, and new beginnings."""
    monkeypatch.setattr("stream.pipeline.clock.DOUBT_MAX", DOUBT_MAX)
    draw = random.Random(seed)
    nothing = draw.choice([0.05, 0.6])
    spread = draw.choice([3, 30, 1000])
    jump = draw.choice([spread // 5, spread, 10 * spread, ANY_JUMP])
    wild = draw.choice([0, 0.03, 0.3])

    def time(place):
        return place * spread // 20 + draw.randrange(spread) + (draw.random() < wild) * draw.choice([2, 50]) * spread

    inputs = [
        [None if draw.random() < nothing else time(place) for place in range(draw.randrange(60))]
        for _ in range(draw.choice([1, 2, 2, 2, 3]))
    ]
    step = draw.choice([1, 3])
    clock = Clock(jump)
    polled, done, order, merge = [], [0] * len(inputs), [], None
    for _ in range(2000):
        if merge is None or draw.random() < 0.1:  # where a crash leaves it: what was applied, and the state after it
            positions = [step * (count - 1) + 1 if count else 0 for count in done]
            merge = Merge(decoders(), positions, draw.choice([1, 8, 100]), clock.reaches, jump)
            polled = list(done)
        part, at_end = [], []
        for which, times in enumerate(inputs):
            size = 0 if which in merge.hold() else draw.choice([0, 1, 2, 7, 50])
            part.append(records(times[polled[which] : polled[which] + size], step * polled[which], step))
            polled[which] = min(polled[which] + size, len(times))
            at_end.append(polled[which] == len(times))
        passed = tuple(step * count for count in polled) if draw.random() < 0.5 else ()
        stood = merge.positions
        merge.add(Fetched(tuple(part), tuple(at_end), passed))
        assert all(map(le, stood, merge.positions))
        limit = draw.choice([1, 2, 5, 100])
        while (taken := merge.take(limit)) is not None:
            assert 0 < sum(taken.batch.order[1::2]) <= limit
            before = list(done)
            order += taken_order(taken, done)
            if isinstance(taken.batch, Batch):  # of several inputs
                clock.follow([taken.batch.events.times_ms, *(labels.times_ms for labels in taken.batch.labels)])
            for span in taken.spans:
                assert span.count == done[span.input] - before[span.input]
                assert span.stop == step * (done[span.input] - 1) + 1
            for count, position in zip(
                done, taken.positions, strict=True
            ):  # behind the last one taken, before the next
                assert (step * (count - 1) + 1 if count else 0) <= position <= step * count
            if draw.random() < 0.3:
                break
        if merge.at_end:
            break
    assert merge.at_end
    assert order == by_rule(inputs, jump)


def test_one_wild_time_holds_up_nothing():
    """An event dated decades ahead goes in its place; the labels around it meet their events as if it were not there."""
    hour = 3_600_000
    events = [number * hour for number in range(10)]
    labels = [number * hour + hour // 2 for number in range(10)]
    events[4] += 10**13
    merge = Merge(decoders(), (0, 0), 100, jump_max_ms=24 * hour)
    merge.add(fetched(events, labels, True, True))
    assert merge.take(100).batch.order == [0, 1, 1, 1] * 3 + [0, 2, 1, 2] + [0, 1, 1, 1] * 5


def fetched(events, labels, *at_end):
    return Fetched((records(events), records(labels)), at_end)


def test_labels_go_first_on_ties():
    """A label of the time of an event is known before it is scored, as River does it."""
    merge = Merge(decoders(), (0, 0), 100)
    merge.add(fetched([5, 5, 6], [5, 6, 6], True, True))
    assert merge.take(100).batch.order == [1, 1, 0, 2, 1, 2, 0, 1]


def test_an_empty_input_is_waited_for():
    """Nothing is sure before its next record is there, or its end."""
    merge = Merge(decoders(), (0, 0), 100)
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
    merge = Merge(decoders(), (0, 0), 3)
    merge.add(fetched([1, 2, 3], [], False, False))
    assert merge.hold() == {0}


def test_a_span_tells_when_its_records_changed():
    """CRC and count of what was taken stand in it."""
    merge = Merge(decoders(), (0, 0), 100)
    merge.add(fetched([1, 2, 3], [], True, True))
    (span,) = merge.take(2).spans
    assert (span.input, span.start, span.stop, span.count) == (0, 0, 2, 2)
    assert check_span(span, records([1, 2]), "here").offsets == [0, 1]
    with pytest.raises(RecordsGone):
        check_span(span, records([1, 9]), "here")
    with pytest.raises(RecordsGone):
        check_span(span, records([1]), "here")


def test_records_of_a_single_input_stay_raw_until_they_are_folded():
    """No order is to be found among them, so nothing is decoded before its turn."""
    merge = Merge(decoders(), (5,), 100)
    merge.add(Fetched((records([30, None, 10], 5),), (False,)))
    merge.add(Fetched((records([20], 8),), (True,)))
    first, last = merge.take(3), merge.take(3)
    assert isinstance(first.batch, RawBatch)
    assert first.batch.records.offsets == [5, 6, 7]
    assert (first.positions, last.positions, merge.at_end) == ((8,), (9,), True)
    assert first.spans[0].count == 3
