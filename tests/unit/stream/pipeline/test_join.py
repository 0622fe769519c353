"""The rules of labels, each by a handful of records (FAULTS.md, rows 8 and 11 to 17)."""

import orjson
import pytest
from river import linear_model, preprocessing, stream

from tests.harness import config
from tests.simulation.lab import DAY, EVENT, HOUR, LABEL, MINUTE, Lab, event, label

LABELS = {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "first", "wait": "10d", "park": "1d"}


def lab(time_jump_max="1000d", **labels):
    return Lab(config(labels={**LABELS, **labels}, time_jump_max=time_jump_max))


class Recorder:
    """What a learner was taught, in order: (feature a, label)."""

    def __init__(self, lab):
        self.learned = []
        learner = lab.fold.state.learners["logistic"]
        teach = learner._teach
        learner._teach = lambda x, y: (self.learned.append((x["a"], y)), teach(x, y))[1]


# --- its own topic ---------------------------------------------------------------------------------------------------


def test_a_label_is_learned_with_the_features_of_its_event():
    """The label finds its event by id, however many others came between."""
    one = lab()
    seen = Recorder(one)
    one.feed([event(1, 0, 1.5), event(2, 1, 2.5), label(1, 2, True), event(3, 3), label(2, 4, False)], cut=2)
    assert seen.learned == [(1.5, True), (2.5, False)]


def test_a_duplicate_label_is_counted_and_not_learned():
    """The same label twice is one label."""
    one = lab()
    seen = Recorder(one)
    one.feed([event(1, 0), label(1, 1), label(1, 2)])
    assert seen.learned == [(1.0, True)]
    assert one.counts["labels_duplicate"] == 1
    assert one.reasons == []


def test_of_two_different_labels_the_first_wins_where_so_configured():
    """The other is a reject with both values, in its original bytes, and is not learned."""
    one = lab(conflict="first")
    seen = Recorder(one)
    second = orjson.dumps(label(1, 2, False)[1]) + b"  "
    one.feed([event(1, 0), label(1, 1, True), (LABEL, second)])
    assert seen.learned == [(1.0, True)]
    ((_, key, value, headers),) = one.said["rejects"]
    assert (key, value) == (b"key-1", second)
    assert headers["reason"] == b"label_conflict"
    assert headers["error"] == b"event e1 has label true, this says false"
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"labels", b"0", b"1")


def test_of_two_different_labels_the_last_wins_where_so_configured():
    """It is learned as well, as a correction: nothing is unlearned."""
    one = lab(conflict="last")
    seen = Recorder(one)
    one.feed([event(1, 0), label(1, 1, True), label(1, 2, False), label(1, 3, False)])
    assert seen.learned == [(1.0, True), (1.0, False)]
    assert one.counts["labels_replaced"] == 1
    assert one.counts["labels_duplicate"] == 1


def test_the_label_that_the_last_one_replaces_is_a_reject():
    """With both values and the place of the record that replaces it, and without a body: that record was not refused."""
    one = lab(conflict="last")
    one.feed([event(1, 0), label(1, 1, True), label(1, 2, False)])
    ((_, key, value, headers),) = one.said["rejects"]
    assert (key, value) == (b"key-1", b"")
    assert (headers["reason"], headers["topic"], headers["offset"]) == (b"label_conflict", b"labels", b"1")
    assert headers["error"] == b"event e1 had label true, this says false and counts from here on"


def test_a_label_after_the_wait_is_refused():
    """The wait is over when stream time is ``wait`` past the event; what came before that was in time."""
    one = lab(wait="2h")
    one.feed([event(1, 0), event(2, 1), event(3, 2 * HOUR), label(1, 9), label(2, 9)])
    assert one.reasons == ["label_late"]
    assert one.output("rejects")[0]["id"] == "e1"
    assert one.counts["events_unlabelled"] == 1


def test_a_corrected_label_after_the_wait_is_a_conflict_even_where_the_last_wins():
    """After the wait the features are gone, so nothing can be learned: the label is refused with both values."""
    one = lab(wait="2h", conflict="last")
    one.feed([event(1, 0), label(1, 1, True), event(2, 2 * HOUR), label(1, 3 * HOUR, False)])
    assert one.reasons == ["label_conflict"]


# --- early labels ----------------------------------------------------------------------------------------------------


def test_an_early_label_is_learned_right_after_its_event():
    """It is parked, and nothing comes between the event and it."""
    one = lab()
    seen = Recorder(one)
    one.feed([event(0, 0), label(2, 1, False), event(1, 2)])
    assert one.fold.state.join.parked == 1
    one.feed([event(2, 3, 7.0), event(3, 4)])
    assert seen.learned == [(7.0, False)]
    assert one.fold.state.join.parked == 0
    assert one.scores[1] == one.scores[2] != one.scores[3]


def test_two_early_labels_of_one_event_keep_their_order():
    """The first is learned, the second conflicts with it."""
    one = lab()
    one.feed([event(0, 0), label(1, 1, True), label(1, 2, False), event(1, 3)])
    assert one.reasons == ["label_conflict"]
    assert one.output("rejects")[0]["y"] is False


def test_a_parked_label_is_an_orphan_when_its_time_is_over():
    """Refused with its own bytes at the first event that is ``park`` later."""
    one = lab(park="1h")
    one.feed([event(0, 0), label(9, 1), event(1, HOUR - 1)])
    assert one.reasons == []
    one.feed([event(2, HOUR)])
    assert one.reasons == ["label_orphan"]
    assert one.output("rejects") == [label(9, 1)[1]]
    assert one.said["rejects"][0][1] == b"key-0"


@pytest.mark.parametrize("cut", [1, 100])
def test_labels_before_the_first_event_all_wait_equally_long(cut):
    """Before the first event there is no stream time: their wait begins with it, for all of them."""
    one = lab(park="1h")
    one.feed([label(7, 0), label(8, 0), label(9, 0), event(0, 5 * HOUR), event(1, 6 * HOUR)], cut)
    assert one.reasons == ["label_orphan"] * 3


def test_no_more_labels_are_parked_than_allowed():
    """One more than ``park_max`` pushes the oldest into the rejects."""
    one = lab(park_max=2)
    one.feed([event(0, 0), label(7, 1), label(8, 1), label(9, 1)])
    assert one.reasons == ["label_orphan"]
    assert one.output("rejects")[0]["id"] == "e7"
    assert one.fold.state.join.parked == 2


def test_broadcast_labels_that_meet_no_event_are_only_counted():
    """They are another task's."""
    one = lab(partitioning="broadcast", park_max=1)
    one.feed([event(0, 0), label(7, 1), label(8, 1)])
    assert one.reasons == []
    assert one.counts["labels_unmatched"] == 1


# --- a field of the event ----------------------------------------------------------------------------------------------


def field_labels(delay):
    return Lab(config(labels={"field": "y", "delay": f"{delay}ms", "wait": "30d"}, time_jump_max="1000d"))


@pytest.mark.parametrize("delay", [0, 1, 2, 7, 40, 1000])
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_label_in_the_event_is_learned_as_river_simulates_it(delay, cut):
    """The same scores to the bit as ``simulate_qa`` with this moment and delay, with many events at the same time."""
    history = [({"a": (i * 37 % 11) - 5.0, "b": float(i % 3)}, i // 3 * 2 // 1, i * 7 % 5 < 2) for i in range(200)]
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    expected = []
    dataset = (({**x, "time": time}, y) for x, time, y in history)
    for _, x, y in stream.simulate_qa(dataset, moment="time", delay=delay):
        features = {"a": x["a"], "b": x["b"]}
        if y is None:
            expected.append(model.predict_proba_one(features)[True])
        else:
            model.learn_one(features, y)
    steps = [event(i, time, **x, y=y) for i, (x, time, y) in enumerate(history)]
    assert field_labels(delay).feed(steps, cut).scores == expected


def test_an_event_whose_label_field_is_empty_is_scored_and_not_learned():
    """Null and absent are labels that are not known; at the end of the wait that is counted."""
    one = field_labels(5)
    seen = Recorder(one)
    one.feed([event(1, 0, y=None), event(2, 0), event(3, 0, 3.0, y=True), event(4, 30 * DAY, y=None)])
    assert seen.learned == [(3.0, True)]
    assert len(one.scores) == 4
    assert one.counts["events_unlabelled"] == 2


# --- silence -----------------------------------------------------------------------------------------------------------

ASSUME = {"assume": {"value": False, "after": "1h"}, "wait": "3h"}


def test_silence_counts_after_its_wait():
    """The assumed label is learned before the event at whose time it is due is scored."""
    one = lab(**ASSUME)
    seen = Recorder(one)
    one.feed([event(1, 0, 1.0), event(2, 1, 2.0), event(3, HOUR - 1)])
    assert seen.learned == []
    one.feed([event(4, HOUR)])
    assert seen.learned == [(1.0, False)]
    assert one.scores[3] != one.scores[2]
    assert one.counts["labels_assumed"] == 1


def test_a_label_that_came_is_not_assumed():
    """Neither a positive nor a negative one."""
    one = lab(**ASSUME)
    seen = Recorder(one)
    one.feed([event(1, 0, 1.0), event(2, 0, 2.0), label(1, 1, True), label(2, 1, False), event(3, HOUR)])
    assert seen.learned == [(1.0, True), (2.0, False)]
    assert "labels_assumed" not in one.counts


def test_a_later_positive_corrects_what_was_assumed():
    """Learned again as positive, never unlearned, and the metrics take the assumption back."""
    one = lab(**ASSUME)
    seen = Recorder(one)
    one.feed([event(1, 0), event(2, HOUR), label(1, HOUR + 1, True)], cut=1)
    assert seen.learned == [(1.0, False), (1.0, True)]
    assert one.counts["labels_corrected"] == 1
    assert one.fold.state.metrics["logistic"].count == 1
    assert one.reasons == []


def test_a_label_that_confirms_an_assumption_is_not_learned_again():
    """It is counted, and from then on the label is known: another one conflicts."""
    one = lab(**ASSUME)
    seen = Recorder(one)
    one.feed([event(1, 0), event(2, HOUR), label(1, HOUR + 1, False), label(1, HOUR + 2, True)])
    assert seen.learned == [(1.0, False)]
    assert one.counts["labels_confirming"] == 1
    assert one.reasons == ["label_conflict"]


def test_an_assumption_can_be_corrected_until_the_wait_is_over():
    """A positive after ``wait`` is too late."""
    one = lab(**ASSUME)
    seen = Recorder(one)
    one.feed([event(1, 0), event(2, HOUR), event(3, 3 * HOUR), label(1, 3 * HOUR)])
    assert (1.0, True) not in seen.learned
    assert one.reasons == ["label_late"]


# --- events --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 100])
def test_a_duplicate_event_is_dropped_and_counted(cut):
    """The first with an id is scored; the others are not, whatever they hold."""
    one = lab().feed([event(1, 0, 1.0), event(1, 1, 9.0), event(2, 2), event(1, 3)], cut)
    assert [p["id"] for p in one.output()] == ["e1", "e2"]
    assert one.counts["events_duplicate"] == 2


def test_an_id_is_known_for_the_wait_and_the_parking():
    """After ``wait + park`` the same id is another event."""
    one = lab(wait="2h", park="1h").feed([event(1, 0), event(1, 3 * HOUR - 1), event(1, 3 * HOUR)])
    assert len(one.scores) == 2
    assert one.counts["events_duplicate"] == 1


def test_no_more_events_wait_than_allowed():
    """One more than ``waiting_max`` drops the oldest: counted, and its label finds nothing."""
    one = lab(waiting_max=2).feed([event(1, 0), event(2, 1), event(3, 2), label(1, 3), label(2, 3)])
    assert one.counts["events_dropped"] == 1
    assert one.fold.state.join.waiting == 2
    assert one.fold.state.join.parked == 1
    assert one.fold.state.metrics["logistic"].count == 1


def test_an_event_that_comes_late_is_scored_in_the_order_of_the_log():
    """Stream time does not go back; the event waits from when it came."""
    one = lab(wait="2h").feed([event(1, 5 * HOUR), event(2, HOUR), event(3, 6 * HOUR), label(2, 0)])
    assert [p["time"] for p in one.output()] == [5 * HOUR, HOUR, 6 * HOUR]
    assert one.counts["events_out_of_order"] == 1
    assert one.reasons == []


def test_one_wild_time_ends_no_wait():
    """Not even twice, with an event between that is no newer: the leap is not believed, and nobody's wait is over."""
    one = lab(time_jump_max="1d", wait="2h")
    one.feed([event(1, 5), event(2, 900 * DAY), event(3, 5), event(4, 900 * DAY), event(5, 6), label(1, 7)], cut=2)
    assert one.fold.state.clock.stream_time_ms == 6
    assert one.counts["time_leaps"] == 2
    assert one.reasons == []


def test_a_sparse_stream_moves_on():
    """Where every gap is larger than the allowed jump stream time stays one event behind, and waits still end."""
    one = lab(time_jump_max="1d", wait="2h").feed([event(i, 3 * DAY * i) for i in range(6)])
    assert one.fold.state.clock.stream_time_ms == 12 * DAY
    assert one.counts["events_unlabelled"] == 5


def test_tombstones_are_counted_and_nothing_else():
    """Of events and of labels."""
    one = lab().feed([event(1, 0), (EVENT, None), (LABEL, None), event(2, 1)], cut=1)
    assert one.counts["tombstones"] == 2
    assert len(one.scores) == 2
    assert one.reasons == []


def test_a_record_that_cannot_be_read_is_refused_with_its_bytes():
    """A reject in the order of the log, with the bytes and key that were sent; the others are unharmed."""
    poison = b'{"id": "e2", "a": '
    one = lab().feed([event(1, 0), (EVENT, poison), (LABEL, b"\xff"), event(3, 1)])
    assert [p["id"] for p in one.output()] == ["e1", "e3"]
    assert [(key, value) for _, key, value, _ in one.said["rejects"]] == [(b"key-1", poison), (b"key-0", b"\xff")]
    assert one.reasons == ["decode", "decode"]


def test_an_event_may_come_after_its_own_labels_wait():
    """A parked label outlives nothing: its event comes after it was refused, and waits for another label."""
    one = lab(park="1h")
    seen = Recorder(one)
    one.feed([event(0, 0), label(1, 0), event(2, HOUR), event(1, HOUR + 1), label(1, HOUR + MINUTE)])
    assert one.reasons == ["label_orphan"]
    assert seen.learned == [(1.0, True)]


# --- what a refused label must not do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([event(1, 0), event(2, 10 * DAY), label(1, 10 * DAY, "zebra")], "label_late"),
        ([event(1, 0), label(1, 1, "x"), label(1, 2, "zebra")], "label_conflict"),
    ],
)
def test_a_refused_label_brings_no_class(records, reason):
    """Whoever may send labels must not fill the classes with those that are refused."""
    bayes = {"bayes": "river.naive_bayes.GaussianNB"}
    labels = {**LABELS, "classes": ["x"], "new_classes": True}
    one = Lab(config(problem="multiclass", labels=labels, learners=bayes, time_jump_max="1000d")).feed(records)
    assert one.reasons == [reason]
    assert one.fold.state.join.classes == ["x"]
