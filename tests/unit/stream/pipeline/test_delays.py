"""Labels that ride in their events and are known later: after a time, after some events, as each event says, at the end."""

import ast
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from river import stream

from stream.build_fold import build_fold
from stream.pipeline.batch import Batch
from stream.pipeline.due import Due
from stream.pipeline.learn import LearnFailure
from stream.pipeline.rules import FOREVER, JoinRules
from tests.harness import MemoryBroker, Service, config, dumps
from tests.simulation.lab import DAY, EVENT, HOUR, Lab, event, recovered, settled

ROOT = Path(__file__).parents[4]
OWN = {"topic": "labels", "id": "id", "value": "y", "time": "time"}


class Seen:
    """A witness: what was scored and learned, in order, by the numbers of the events; and when."""

    def __init__(self):
        self.order = []
        self.times = []

    def saw(self, batch, arranged, scores, changes):
        new = [batch.events.ids[index] for index in arranged.draft.accepted]
        ids = [int(name[1:]) for name in (*new, *arranged.old_ids)]
        program = arranged.program
        for op, row, time in zip(program.op.tolist(), program.row.tolist(), program.time_ms.tolist(), strict=True):
            self.order.append(f"?{ids[row]}" if op == 0 else f"!{ids[row]}")
            self.times.append(time)


def lab(delay, **changes):
    labels = {"field": "y", "delay": delay, "wait": "30d", **changes.pop("labels", {})}
    return Lab(config(labels=labels, time_jump_max="1000d", **changes))


def order_of(delay, events, *, flush=False, cut=1000, **changes):
    """Scored is ``?1``, learned is ``!1``: words in a row."""
    one, seen = lab(delay, **changes), Seen()
    for start in range(0, len(events), cut):
        one.fold.step(one.batch(events[start : start + cut]), seen)
    if flush:
        one.fold.flush(seen)
    return " ".join(seen.order)


def times(*times_ms, **more):
    return [event(i, time, y=True, **more) for i, time in enumerate(times_ms)]


def waits(*pairs):
    """Events of (time, delay in milliseconds)."""
    return [event(i, time, y=True, after=delay) for i, (time, delay) in enumerate(pairs)]


AFTER = {"field": "after", "unit": "ms"}


# --- which label when --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 1000])
@pytest.mark.parametrize(
    ("delay", "events", "expected"),
    [
        ("10ms", times(0, 5, 10, 15), "?0 ?1 !0 ?2 !1 ?3"),  # due at the event's own time: known before it
        ("10ms", times(0, 0, 10, 11), "?0 ?1 !0 !1 ?2 ?3"),
        ("0 events", times(0, 0, 0), "?0 !0 ?1 !1 ?2 !2"),
        ("1 event", times(0, 0, 0), "?0 !0 ?1 !1 ?2"),
        ("2 events", times(0, 0, 0, 0), "?0 ?1 !0 ?2 !1 ?3"),
        ("2 events", times(9, 5, 0, 2), "?0 ?1 !0 ?2 !1 ?3"),  # times have no part in it
        (AFTER, waits((0, 30), (5, 5), (10, 20), (30, 0), (31, 0)), "?0 ?1 !1 ?2 !0 !2 ?3 !3 ?4"),
        (AFTER, waits((0, 10), (5, 5), (6, 4), (10, 0)), "?0 ?1 ?2 !0 !1 !2 ?3"),  # ties in the order of arrival
        (AFTER, waits((0, 0.4), (0, 0.6), (0, 0), (1, 0)), "?0 !0 ?1 ?2 !2 !1 ?3"),  # rounded to milliseconds
    ],
)
def test_a_label_is_known_just_before_the_event_at_which_it_is_due(delay, events, expected, cut):
    """Wherever batches are cut."""
    assert order_of(delay, events, cut=cut) == expected


def river_order(pairs, delay):
    """What River does with events of (time, delay): ``delay`` is its constant, or the field's name."""
    data = [({"time": time, "after": after}, True) for time, after in pairs]
    told = stream.simulate_qa(data, moment="time", delay=delay)
    return " ".join(f"?{i}" if y is None else f"!{i}" for i, _, y in told)


@settings(max_examples=60)
@given(at=st.lists(st.integers(0, 60), min_size=1, max_size=25), delay=st.integers(1, 40))
@example(at=[100, 40, 105, 50, 110], delay=10)
@example(at=[100, 108, 40, 110, 118], delay=10)
def test_a_constant_delay_is_rivers_also_where_times_go_back(at, delay):
    """River keeps a queue that its head blocks, and asks the time of the event at hand; here an event that comes late waits
    from the stream time at which it came. That is the same: a queue blocks until the largest time before has waited.
    """
    assert order_of(f"{delay}ms", times(*at), flush=True) == river_order([(time, 0) for time in at], delay)


@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=25), cut=st.integers(1, 9))
def test_delays_of_events_are_rivers_where_times_do_not_fall(pairs, cut):
    """With many ties of due times, and of due times and event times."""
    at = list(itertools.accumulate(gap for gap, _ in pairs))
    told = [(time, delay) for time, (_, delay) in zip(at, pairs, strict=True)]
    assert order_of(AFTER, waits(*told), flush=True, cut=cut) == river_order(told, "after")


@settings(max_examples=30)
@given(count=st.integers(1, 25), delay=st.integers(0, 30), cut=st.integers(1, 9))
def test_a_delay_in_events_is_rivers_without_a_moment(count, delay, cut):
    """Whatever the times are: 0 and 1 are no delay, and at the end all are revealed."""
    data = [({}, True)] * count
    told = " ".join(f"?{i}" if y is None else f"!{i}" for i, _, y in stream.simulate_qa(data, moment=None, delay=delay))
    assert order_of(f"{delay} events", times(*[7 * i % 5 for i in range(count)]), flush=True, cut=cut) == told


def test_an_event_that_comes_late_and_says_its_delay_waits_from_stream_time():
    """River would have 1 known at 45, so before 2. Here it came at 100, and is known at 105 with the others of that time."""
    told = [(100, 50), (40, 5), (104, 1), (105, 0), (106, 0)]
    assert river_order(told, "after") == "?0 ?1 !1 ?2 !2 ?3 !3 ?4 !4 !0"
    assert order_of(AFTER, waits(*told), flush=True) == "?0 ?1 ?2 !1 !2 ?3 !3 ?4 !4 !0"


def test_refused_and_repeated_events_do_not_count():
    """Events are counted that were accepted: a duplicate, a tombstone and what cannot be read move no label."""
    events = times(0, 0, 0)
    noise = [events[0], (EVENT, None), (EVENT, b"{")]
    assert order_of("2 events", [events[0], *noise, events[1], *noise, events[2]]) == "?0 ?1 !0 ?2"


def test_an_event_without_a_label_keeps_its_place():
    """It counts as an event; at its turn nothing is learned, and that is counted."""
    one, seen = lab("2 events"), Seen()
    one.fold.step(one.batch([event(0, 0, y=True), event(1, 0), event(2, 0, y=True), event(3, 0)]), seen)
    assert " ".join(seen.order) == "?0 ?1 !0 ?2 ?3"
    assert one.counts["events_unlabelled"] == 1


def test_what_waits_for_events_does_not_expire_by_time():
    """A stream that counts in events may have any times: the label comes at its event, be it years after ``wait``."""
    events = times(0, 400 * DAY, 800 * DAY)
    assert order_of("2 events", events, labels={"wait": "1h", "park": "1h"}) == "?0 ?1 !0 ?2"


def test_an_id_is_known_while_its_label_waits_and_as_long_as_configured():
    """After its label came an id is forgotten when ``wait`` and ``park`` are over; not in bunches, not later."""
    one = lab("2 events", labels={"wait": "1h", "park": "1h"})
    one.feed([event(0, 0, y=True), event(1, HOUR, y=True), event(0, HOUR, y=True), event(2, HOUR, y=True)])
    one.feed([event(0, 2 * HOUR - 1, y=True)])
    assert (len(one.scores), one.counts["events_duplicate"]) == (3, 2)
    one.feed([event(0, 2 * HOUR, y=True)])
    assert len(one.scores) == 4


@pytest.mark.parametrize(("delay", "learned"), [("3 events", "!3 !4"), ("3h", "!4"), (AFTER, "!4")])
def test_of_too_many_waiting_events_the_oldest_lose_their_labels(delay, learned):
    """``waiting_max`` holds for every kind of delay; who had to go is counted, and learned neither later nor at the end."""
    events = [event(i, i * HOUR, y=True, after=3 * HOUR) for i in range(6)]
    if delay == "3 events":
        with pytest.raises(ValueError, match=r"`waiting_max` \(2\) must not be smaller than `delay` \(3 events\)"):
            lab(delay, labels={"waiting_max": 2})
        return
    order = order_of(delay, events, flush=True, labels={"waiting_max": 2})
    assert order == f"?0 ?1 ?2 ?3 ?4 ?5 {learned} !5"


def test_the_heap_of_due_times_is_bounded():
    """Also where every row has to go before it is due."""

    class Rows:
        next = 0

        def fall_due_at(self, due_ms):
            pass

    due = Due(JoinRules(wait_ms=1, field_delays=True, waiting_max=10), Rows())
    for number in range(1000):
        due.add(number, 10**15 - number, labelled=True)
        due.begin_at(number - 9)
        assert due.left <= 21
    assert list(due.by(FOREVER)) == [*range(999, 989, -1)]


# --- delays that cannot be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "reason", "error"),
    [
        (None, "schema", "after: expected number, got null"),
        ("5", "schema", "after: expected number, got string"),
        (True, "schema", "after: expected number, got boolean"),
        (-1, "out_of_range", "after: not between 0 and 30"),
        (-0.5, "out_of_range", "after: not between 0 and 30"),
        (30.001, "out_of_range", "after: not between 0 and 30"),
        (10**14, "out_of_range", "after: not between 0 and 30"),
        ("missing", "schema", "after: required field missing"),
        ("NaN", "non_finite", "after: not a finite number"),
        ("1e999", "non_finite", "after: not a finite number"),
    ],
)
@pytest.mark.parametrize("features", [["a", "b"], None, ["a", "after"]])
def test_an_event_whose_delay_is_no_number_or_too_long_is_refused(delay, reason, error, features):
    """With its reason, whatever way its fields are read; one longer than ``wait`` could never be learned."""
    events = {"topic": "events", "id": "id", "time": "time", "features": features}
    one = lab({"field": "after", "unit": "d"}, events={key: value for key, value in events.items() if value})
    value = event(0, 0, y=True)[1]
    if delay in {"NaN", "1e999"}:
        raw = b'{"id": "e0", "time": 0, "a": 1, "b": 1, "y": true, "after": %s}' % delay.encode()
    else:
        raw = value if delay == "missing" else json.dumps({**value, "after": delay}).encode()
    one.feed([(EVENT, raw), event(1, 0, y=True, after=30), event(2, 1, y=True, after=0.5)])
    assert one.reasons == [reason]
    assert error in one.said["rejects"][0][3]["error"].decode()
    assert [said["id"] for said in one.output()] == ["e1", "e2"]


def test_the_delay_is_no_feature_unless_it_is_listed():
    """It may tell of the outcome, so learners see it only where somebody says so."""
    for listed, known in ((None, {"a", "b"}), (["a", "after"], {"a", "after"})):
        events = {
            "topic": "events",
            "id": "id",
            "key": "card",
            "time": "time",
            **({"features": listed} if listed else {}),
        }
        one = lab(AFTER, events=events)
        one.feed(waits((0, 0), (1, 0)))
        assert set(one.model["StandardScaler"].means) == known


# --- the end of a stream ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 500])
@pytest.mark.parametrize(
    ("delay", "events", "expected"),
    [
        ("10ms", times(0, 5, 10, 15), "?0 ?1 !0 ?2 !1 ?3 | !2@20 !3@25"),
        ("0s", times(0, 5), "?0 !0 ?1 !1 |"),
        ("3 events", times(0, 5, 10, 15), "?0 ?1 ?2 !0 ?3 | !1@15 !2@15 !3@15"),
        (AFTER, waits((0, 30), (5, 5), (8, 1), (8, 100)), "?0 ?1 ?2 ?3 | !2@9 !1@10 !0@30 !3@108"),
    ],
)
def test_at_the_end_all_that_is_left_is_revealed_in_order(delay, events, expected, size, monkeypatch):
    """As if stream time went on to each; where events are counted there is no such time. However much is done at a time."""
    monkeypatch.setattr("stream.pipeline.fold.SLICE", size)
    one, before, after = lab(delay), Seen(), Seen()
    one.fold.step(one.batch(events), before)
    one.flush(witness=after)
    left = [f"{word}@{time}" for word, time in zip(after.order, after.times, strict=True)]
    assert " ".join([*before.order, "|", *left]) == expected
    assert one.fold.state.join.left == 0
    assert one.fold.state.clock.records == len(events)
    assert one.fold.state.metrics["logistic"].count == len(events)


def test_silence_that_has_not_lasted_long_enough_is_no_label():
    """At the end nothing is assumed, and labels with records of their own are not made up."""
    one = Lab(config(labels={**OWN, "assume": {"value": False, "after": "1h"}, "wait": "3h"}))
    one.feed([event(0, 0), event(1, HOUR)])
    assert one.counts["labels_assumed"] == 1
    assert one.fold.state.join.left == 0
    assert one.flush().fold.state.metrics["logistic"].count == 1


@pytest.mark.parametrize("delay", ["0s", "3 events", "1h", AFTER])
def test_a_stream_without_records_can_end(delay):
    """Then every output is there, and empty."""
    assert {name: len(out) for name, out in lab(delay).fold.flush().items()} == {
        "predictions": 0, "alarms": 0, "rejects": 0,
    }  # fmt: skip


def test_what_follows_at_the_end_is_said_like_any_output():
    """An alarm that the last labels cause has the next number, and names the event and how many records there were."""
    detectors = [{"signal": "label", "detector": {"page_hinkley": {"threshold": 1.0, "min_instances": 2}}}]
    one = lab("50 events", detectors=detectors)
    one.feed([event(i, i, y=i >= 20) for i in range(40)])
    assert one.output("alarms") == []
    one.flush()
    first = one.output("alarms")[0]
    assert (first["records"], first["time"]) == (40, 39)
    assert int(first["event"][1:]) > 20
    assert [seq for seq, *_ in one.said["alarms"]] == list(range(len(one.said["alarms"])))
    assert len(one.said["predictions"]) == 40


@pytest.mark.parametrize("size", [3, 500])
def test_a_label_that_cannot_be_learned_at_the_end_is_skipped(size, monkeypatch):
    """The fold is dropped; a recovered one, flushed with the failure's skip, refuses that label and learns the others."""
    monkeypatch.setattr("stream.pipeline.fold.SLICE", size)

    def fed():
        one = lab("50 events")
        one.feed([event(i, i, y=i % 2) for i in range(10)])
        learner, learned = one.fold.state.learners["logistic"], []
        teach = learner._teach

        def picky(x, y):
            if len(learned) == 5 and not learner_skips:
                raise ValueError("no")
            learned.append(y)
            teach(x, y)

        learner._teach = picky
        return one, learned

    learner_skips = ()
    one, _ = fed()
    with pytest.raises(LearnFailure) as failure:
        one.flush()
    learner_skips = (failure.value.skip,)
    assert (failure.value.skip.event, failure.value.skip.input, failure.value.skip.offset) == ("e5", 0, -1)
    one, learned = fed()
    one.flush(skips=learner_skips)
    assert len(learned) == 9
    assert one.reasons == ["learn_error"]
    assert b"at event e5" in one.said["rejects"][0][3]["error"]
    assert one.fold.state.roles.learn_errors == {"logistic": 1}


def test_no_worker_can_end_a_stream():
    """Nothing in the runtime, the transports or the commands that serve a live pipeline flushes a fold or makes such a batch."""
    for room in ("runtime", "transport", "checkpoints", "serving"):
        for path in (ROOT / "stream" / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    assert node.attr != "ending", path
                    assert node.attr != "flush" or "fold" not in ast.unparse(node.value), path
    assert Batch.__dataclass_fields__["flush"].default == 0


def test_rows_that_say_their_delay_begin_anew_where_others_waited():
    """Another kind of delay over old state: what waited has no time of its own, so the join begins anew, and nothing else."""
    former = lab("10ms").feed(times(0, 1)).fold
    told = lab(AFTER)
    assert build_fold(told.lineage, told.inputs).take_over(former) == ["join"]
    counted = lab("2 events")
    fold = build_fold(counted.lineage, counted.inputs)
    assert fold.take_over(former) == []
    counted.fold = fold
    seen = Seen()
    counted.fold.step(counted.batch([event(7, 2, y=True)]), seen)
    assert " ".join(seen.order) == "!0 ?7"


@pytest.mark.parametrize("delay", ["7 events", {"field": "after", "unit": "s"}])
def test_a_checkpoint_of_what_waits_is_what_the_journal_folds_to(delay):
    """Through the store's bytes: the state recovered from a checkpoint is the one folded from the journal's start."""
    broker = MemoryBroker({"events": 1})
    broker.append("events", dumps(event(i, i * 1000, i % 7, i % 3, y=i % 2, after=i * 37 % 20)[1] for i in range(100)))
    settings = config(labels={"field": "y", "delay": delay, "wait": "1d"})
    service = Service(settings, broker, batch_records=9, checkpoint_records=20)
    service.run()
    whole = Lab(settings).feed([event(i, i * 1000, i % 7, i % 3, y=i % 2, after=i * 37 % 20) for i in range(100)])
    assert [said["score"] for said in service.output()] == whole.scores
    assert settled(recovered(service)) == settled(recovered(service, without_store=True))
    assert recovered(service).state.join.left == whole.fold.state.join.left > 0
