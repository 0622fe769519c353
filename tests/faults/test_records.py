"""Faults 1 to 9 and 11 to 17: what can be wrong with a record. One service meets all of them, between good records.

Four pipelines read the same topics in one ``headrace run``: one as most are; one where the last label wins; two with
classes, closed and open.
"""

import functools
import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.faults.scene import View, reject_of, why
from tests.integration.running import (
    BEGIN_MS,
    MINUTE_MS,
    Pipeline,
    Run,
    Said,
    create_topics,
    end_all,
    feed,
    pipeline,
    send,
)
from tests.integration.running import Stream as Topics

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

HOUR_MS, DAY_MS = 60 * MINUTE_MS, 1440 * MINUTE_MS
GOOD = 300
AT_MS = BEGIN_MS + GOOD * MINUTE_MS
PARK_MAX, ORPHANS, LEFT = 100, 120, 105
YEARS_MS = 3650 * DAY_MS


def event(**changes: object) -> bytes:
    """A good one, changed."""
    return json.dumps({"id": "odd", "card": "c1", "time": AT_MS, "amount": 1.0, "hour": 1.0} | changes).encode()


def later(days: float, **changes: object) -> bytes:
    return event(time=AT_MS + int(days * DAY_MS), **changes)


def label(event_id: str, fraud: object, time_ms: int, kind: str = "good") -> bytes:
    return json.dumps({"id": event_id, "fraud": fraud, "kind": kind, "time": time_ms}).encode()


EVENTS: dict[str, bytes | None] = {
    "not JSON": b'{"id": "odd", "a"1}',
    "not UTF-8": b'{"id": "\xff"}',
    "wrong type": event(amount="ten"),
    "missing": event().replace(b'"amount": 1.0, ', b""),
    "NaN": event().replace(b'"amount": 1.0', b'"amount": NaN'),
    "infinity": event().replace(b'"amount": 1.0', b'"amount": -Infinity'),
    "infinite": event().replace(b'"amount": 1.0', b'"amount": 1e999'),
    "too big": event(amount=1e20),
    "wide": event(**{f"f{number}": 1 for number in range(10_000)}),
    "deep": event(deep=0).replace(b'"deep": 0', b'"deep": ' + b"[" * 1000 + b"]" * 1000),
    "tombstone": None,
    "large": event(note="x" * 600_000),
    "again": event(id="e10", amount=2.0),
    "past": event(id="past", time=AT_MS - YEARS_MS),
    "future": event(id="future", time=AT_MS + YEARS_MS),
    "after": event(id="after", time=AT_MS + 1),
    "met": event(id="met", time=AT_MS + 7 * HOUR_MS),
    # stream time goes on, by less than a day at a time: waits and parking end
    **{f"day {step / 2}": later(step / 2, id=f"day {step / 2}") for step in range(1, 10)},
    "forgotten": later(4.5, id="e10"),
}
"""What they are -> their bytes; behind the good ones of the feed."""

TOLD_MS = AT_MS + 6 * HOUR_MS
"""When the odd labels begin: the feed's have all come."""
LABELS: dict[str, bytes | None] = {
    "one": label("e201", fraud=True, time_ms=TOLD_MS),
    "other": label("e201", fraud=False, time_ms=TOLD_MS, kind="stolen"),
    "maybe": label("e203", fraud="maybe", time_ms=TOLD_MS),
    "lost": label("e204", fraud=True, time_ms=TOLD_MS, kind="lost"),
    "tombstone": None,
    **{f"orphan {n}": label(f"nobody {n}", fraud=True, time_ms=TOLD_MS) for n in range(ORPHANS)},
    "early": label("met", fraud=True, time_ms=TOLD_MS),
    "late": label("e202", fraud=True, time_ms=AT_MS + 65 * HOUR_MS),
    **{f"left {n}": label(f"unborn {n}", fraud=True, time_ms=AT_MS + 4 * DAY_MS + n) for n in range(LEFT)},
}
"""The same, of labels; behind the feed's, which has none of these events."""
UNLABELLED = {"e201", "e202", "e203", "e204"}


class Scene(NamedTuple):
    """A service that has met everything."""

    topics: Topics
    run: Run
    first: Pipeline
    last: Pipeline
    closed: Pipeline
    open: Pipeline
    at: dict[str, int]
    """Offsets of events."""
    labelled: dict[str, int]
    """Offsets of labels."""

    def view(self, made: Pipeline) -> View:
        return View(self.run, made.name)

    def event(self, name: str, made: Pipeline | None = None) -> tuple[str, str, str]:
        """(reason, stage, error) of the reject of an event, which has its bytes."""
        found = self.reject(self.topics.events, self.at[name], made)
        assert found.value == EVENTS[name]
        assert found.key == b"c1"
        return why(found)

    def label(self, name: str, made: Pipeline | None = None) -> tuple[str, str, str]:
        found = self.reject(self.topics.labels, self.labelled[name], made)
        assert found.value == LABELS[name]
        return why(found)

    def reject(self, topic: str, offset: int, made: Pipeline | None = None) -> Said:
        return reject_of(outputs_of(made or self.first), topic, offset)

    def rejects(self, reason: str) -> float:
        """How many /metrics tells of."""
        return self.view(self.first).metric("rejects_total", reason=reason)

    def counted(self, what: str, made: Pipeline | None = None) -> float:
        return self.view(made or self.first).metric("counted_total", what=what)

    def answered(self) -> list[str]:
        """Ids of predictions, in order."""
        return [one.told["id"] for one in outputs_of(self.first)["predictions"]]


@functools.cache
def outputs_of(made: Pipeline) -> dict[str, list[Said]]:
    """They are read once: all is folded."""
    return made.outputs()


@pytest.fixture(scope="module")
def scene(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    topics = Topics(kafka, f"s{uuid.uuid4().hex[:8]}", 1, (0,))
    create_topics(kafka, {topics.events: 1, topics.labels: 1})
    good, labels = [], []
    for one, truth in feed(GOOD):
        # the first of all is one of those that are looked at for fields that nothing reads
        good.append(json.dumps(one | ({} if good else {"note": "?"})).encode())
        if truth["id"] not in UNLABELLED:
            labels.append(json.dumps(truth | {"kind": "stolen" if truth["fraud"] else "good"}).encode())
    send(kafka, ((topics.events, b"c1", value, 0) for value in [*good, *EVENTS.values()]))
    send(kafka, ((topics.labels, b"c1", value, 0) for value in [*labels, *LABELS.values()]))
    directory = tmp_path_factory.mktemp("faults")
    source = {"topic": topics.labels, "id": "id", "value": "fraud", "time": "time"}
    source |= {"wait": "2d", "park": "1d", "park_max": PARK_MAX}

    def made(**changes: Any) -> Pipeline:
        return pipeline(topics, directory, redis_url, **{"limits": {"record_bytes": 500_000}, **changes})

    classes = {
        "problem": "multiclass",
        "learners": {"bayes": "river.naive_bayes.GaussianNB"},
        "detectors": None,
    }
    kinds = source | {"value": "kind", "classes": ["good", "stolen"]}
    pipelines = [
        made(labels=source),
        made(labels=source | {"conflict": "last"}),
        made(labels=kinds, **classes),
        made(labels=kinds | {"new_classes": True}, **classes),
    ]
    run = Run(pipelines[0].path, *(str(one.path) for one in pipelines[1:]))
    at = {name: len(good) + place for place, name in enumerate(EVENTS)}
    labelled = {name: len(labels) + place for place, name in enumerate(LABELS)}
    total = len(good) + len(EVENTS) + len(labels) + len(LABELS)
    for one in pipelines:
        view = View(run, one.name)
        view.folded(total)
        view.wait_until(lambda view=view: view.metric("counted_total", what="tombstones") == 2)
    yield Scene(topics, run, *pipelines, at, labelled)
    end_all()


def test_fault_01_invalid_json_and_utf8_are_rejects_that_say_where(scene: Scene) -> None:
    """Invalid JSON, invalid UTF-8: reject `decode` with the byte, the original bytes, and a count by reason."""
    reason, stage, error = scene.event("not JSON")
    assert (reason, stage) == ("decode", "decode")
    assert error.startswith("not JSON at byte 17")
    assert scene.event("not UTF-8") == ("decode", "decode", "not UTF-8 at byte 8")
    assert scene.rejects("decode") == 2


def test_fault_02_a_wrong_type_is_a_reject_that_names_both(scene: Scene) -> None:
    """Wrong type: reject `schema` with the field, what is expected and what came."""
    assert scene.event("wrong type") == ("schema", "decode", "amount: expected number, got string")


def test_fault_03_a_missing_field_is_a_reject_that_names_it(scene: Scene) -> None:
    """Required field missing: reject `schema`."""
    assert scene.event("missing") == ("schema", "decode", "amount: required field missing")
    assert scene.rejects("schema") == 2


def test_fault_04_an_unknown_field_is_ignored_and_counted(scene: Scene) -> None:
    """Unknown field: the event is answered; one in a thousand is looked at, which /metrics and a line on stderr tell."""
    assert scene.answered()[0] == "e0"
    view = scene.view(scene.first)
    assert view.metric("unknown_fields_total", field="note") == 1
    assert "events have fields that nothing here reads (one in a thousand is looked at): note" in view.log


def test_fault_05_numbers_that_are_not_finite_are_rejects(scene: Scene) -> None:
    """NaN, infinity, and what float64 does not hold: reject `non_finite`, naming the field or the number."""
    for name in ("NaN", "infinity"):
        assert scene.event(name) == ("non_finite", "decode", "amount: not a finite number")
    assert scene.event("infinite")[:2] == ("non_finite", "decode")
    assert scene.rejects("non_finite") == 3


def test_fault_06_a_number_above_the_bound_is_a_reject(scene: Scene) -> None:
    """Magnitude above the bound: reject `out_of_range`, with field and bound."""
    assert scene.event("too big") == ("out_of_range", "decode", "amount: magnitude above 1e+15")
    assert scene.rejects("out_of_range") == 1


def test_fault_07_a_record_too_wide_or_too_deep_is_a_reject(scene: Scene) -> None:
    """Ten thousand features: reject `too_wide`; a thousand levels: `too_deep`; with the limits."""
    assert scene.event("wide") == ("too_wide", "decode", "more than 1000 fields")
    assert scene.event("deep") == ("too_deep", "decode", "more than 500 levels")
    assert scene.rejects("too_wide") == scene.rejects("too_deep") == 1


def test_fault_08_a_tombstone_is_counted_and_skipped(scene: Scene) -> None:
    """Tombstone, of events or labels: no output, no reject, a count."""
    assert scene.counted("tombstones") == 2
    places = {(one.headers["topic"].decode(), int(one.headers["offset"])) for one in outputs_of(scene.first)["rejects"]}
    assert (
        not {(scene.topics.events, scene.at["tombstone"]), (scene.topics.labels, scene.labelled["tombstone"])} & places
    )


def test_fault_09_a_message_above_the_limit_leaves_a_reference(scene: Scene) -> None:
    """Message above the limit: the reject has its place, its size and its SHA-256, not the body; no redrive takes it."""
    value = EVENTS["large"]
    assert value is not None
    found = scene.reject(scene.topics.events, scene.at["large"])
    assert why(found) == ("too_large", "decode", f"{len(value)} bytes, the limit is 500000")
    place = {"topic": scene.topics.events, "partition": 0, "offset": scene.at["large"]}
    assert found.told == place | {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    assert scene.rejects("too_large") == 1
    assert "nothing to send" in scene.first.headrace("rejects", "redrive", "--yes", "--reason", "too_large")


def test_fault_11_a_known_event_id_is_dropped_and_counted(scene: Scene) -> None:
    """Duplicate event id within the horizon: one answer, one count; when the id is forgotten it is an event like others."""
    offsets = [one.told["event"]["offset"] for one in outputs_of(scene.first)["predictions"] if one.told["id"] == "e10"]
    assert offsets == [10, scene.at["forgotten"]]
    assert scene.counted("events_duplicate") == 1


def test_fault_12_wild_event_times_are_answered_in_log_order_and_counted(scene: Scene) -> None:
    """Ten years ahead, ten years ago: answered in their turn and counted; stream time goes on as if they had not been."""
    answered = scene.answered()
    start = answered.index("past")
    assert answered[start : start + 4] == ["past", "future", "after", "met"]
    assert scene.counted("events_out_of_order") == 1
    assert scene.counted("time_leaps") == 1
    assert scene.view(scene.first).metric("stream_time_seconds") == (AT_MS + 108 * HOUR_MS) / 1000


def test_fault_13_a_label_before_its_event_waits_within_bounds(scene: Scene) -> None:
    """Parked, at most `park_max`, the oldest goes first; a gauge tells; when its event comes it is learned at once."""
    view = scene.view(scene.first)
    assert view.metric("parked_labels") == PARK_MAX
    for place in range(LEFT - PARK_MAX):
        assert scene.label(f"left {place}")[0] == "label_orphan"
    places = [
        one.headers["offset"]
        for one in outputs_of(scene.first)["rejects"]
        if one.headers["topic"] == scene.topics.labels.encode()
    ]
    assert b"%d" % scene.labelled["early"] not in places, "its event came"
    learned = view.metric("events_labelled_total")
    send(scene.topics.kafka, iter([(scene.topics.events, b"c1", later(4.5, id=f"unborn {LEFT - 1}"), 0)]))
    view.wait_until(lambda: view.metric("parked_labels") == PARK_MAX - 1)
    view.wait_until(lambda: view.metric("events_labelled_total") == learned + 1)


def test_fault_14_a_label_after_its_wait_is_a_reject(scene: Scene) -> None:
    """Label after its wait: reject `label_late`, naming the event."""
    assert scene.label("late") == ("label_late", "join", "event e202 no longer waits")
    assert scene.rejects("label_late") == scene.counted("labels_late") == 1


def test_fault_15_a_label_without_event_is_a_reject_and_many_get_a_hint(scene: Scene) -> None:
    """Label without event: reject `label_orphan` when parking is over; many of them: what is wrong with the partitioner."""
    for place in range(ORPHANS):
        assert scene.label(f"orphan {place}") == ("label_orphan", "join", f"no event nobody {place} came")
    assert scene.rejects("label_orphan") == scene.counted("labels_orphaned") == ORPHANS + LEFT - PARK_MAX
    assert "met no event: are events and labels keyed alike, and by one partitioner (murmur2)?" in scene.run.log
    assert "`labels: {partitioning: broadcast}`" in scene.run.log


def test_fault_16_of_conflicting_labels_one_wins_and_the_other_is_a_reject(scene: Scene) -> None:
    """First or last wins, as configured; the other is a reject `label_conflict` with both values.

    The one that was replaced has no body: its record is long gone, and the place is that of the one which replaced it.
    """
    told = ("label_conflict", "join", "event e201 has label true, this says false")
    assert scene.label("other") == told
    assert scene.rejects("label_conflict") == scene.counted("labels_conflicting") == 1
    replaced = scene.reject(scene.topics.labels, scene.labelled["other"], scene.last)
    assert replaced.value == b""
    assert why(replaced) == (*told[:2], "event e201 had label true, this says false and counts from here on")
    assert scene.counted("labels_replaced", scene.last) == 1
    assert scene.label("other", scene.closed)[2] == "event e201 has label 'good', this says 'stolen'"


def test_fault_17_an_unknown_class_is_a_reject_unless_new_ones_are_allowed(scene: Scene) -> None:
    """Unknown class: reject `label_domain`; with `new_classes` it is taken up, and counted."""
    assert scene.label("maybe")[:2] == ("label_domain", "decode")
    assert "true, false, 1 or 0: 'maybe'" in scene.label("maybe")[2]
    assert scene.label("lost", scene.closed) == ("label_domain", "decode", "kind: unknown class 'lost'")
    assert scene.view(scene.closed).metric("rejects_total", reason="label_domain") == 1
    assert scene.view(scene.open).metric("rejects_total", reason="label_domain") == 0
    assert scene.counted("classes_new", scene.open) == 1
    assert "lost" in outputs_of(scene.open)["predictions"][-1].told["scores"]
