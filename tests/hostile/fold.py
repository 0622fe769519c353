"""A hostile case through the real decoders and the real step, and what must hold of it whatever the records are.

Not tests: test_records.py asks for some cases, ``python -m tests.hostile`` for a million records. Read records.py before.

1. Nothing raises but a learner's own error, which the service recovers from (here as there: fold again with a skip).
2. Every record is in exactly one of output, reject, counted drop, waiting.
3. Batches cut elsewhere give the same outputs and the same state.
4. Refused records leave no trace: without them the rest is scored, learned, watched and measured to the same bits.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson

from stream.pipeline.batch import Batch
from stream.pipeline.learn import LearnFailure
from stream.records import Records, Skip
from tests.hostile.records import EVENT, LABEL, Case, probes
from tests.simulation.lab import Lab, canonical, dumped, settled

RESTARTS_MAX: Final = 60
_REPLACED: Final = b"and counts from here on"
_COUNT_OF_RECORDS: Final = re.compile(rb'"model":"([^"@]*)@\d+"')


class Broken(AssertionError):
    """A case for which something does not hold."""


def demand(holds: object, what: str) -> None:
    if not holds:
        raise Broken(what)


@dataclass
class Folded(Lab):
    """A lab that is fed with records where they stand, and recovers from a learner's error as the runtime does."""

    case: Case
    skips: list[Skip] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.case.settings)

    def batch(self, steps: Sequence[Any]) -> Batch:
        records = [Records() for _ in self.inputs]
        order: list[int] = []
        for one in steps:
            into = records[one.input]
            into.offsets.append(one.offset)
            into.timestamps_ms.append(one.timestamp_ms)
            into.keys.append(one.key)
            into.values.append(one.value)
            if order and order[-2] == one.input:
                order[-1] += 1
            else:
                order += [one.input, 1]
        labels = tuple(self.fold.labels(part) for part in records[1:])
        return Batch(self.fold.events(records[0]), labels, tuple(order), tuple(self.skips))


def folded(case: Case, cut: int) -> Folded:
    """The case's records folded in batches of ``cut``."""
    skips: list[Skip] = []
    for _ in range(RESTARTS_MAX):
        lab = Folded(case, skips)
        try:
            lab.feed(case.records, cut)  # type: ignore[arg-type]
        except LearnFailure as failure:
            demand(failure.skip not in skips, f"skipped, and raised all the same: {failure}")
            skips = [*skips, failure.skip]
            continue
        return lab
    raise Broken(f"after {RESTARTS_MAX} recoveries a learner still raises: {skips[-1]}")


# --- what must hold ---------------------------------------------------------------------------------------------


def _rejected(lab: Folded) -> dict[tuple[int, int], str]:
    """(input, offset) to the reason.

    Without what could not be learned, and the label that a later one replaced: there the record did what it was to do.
    """
    found: dict[tuple[int, int], str] = {}
    for _, _, value, headers in lab.said["rejects"]:
        reason = headers["reason"].decode()
        if reason == "learn_error" or (reason == "label_conflict" and _REPLACED in headers["error"]):
            continue
        place = (LABEL if headers["topic"] == b"labels" else EVENT, int(headers["offset"]))
        demand(place not in found, f"refused twice: {place} for {found.get(place)} and {reason}")
        demand(reason and headers["error"] and headers["stage"], f"a reject at {place} without a reason")
        demand(value is not None, f"a reject at {place} without a value")
        found[place] = reason
    return found


def balance(lab: Folded) -> Counter[tuple[str, str, str]]:
    """(stream, outcome, reason) of every record; raises Broken unless each has exactly one."""
    clock, join, coverage = lab.fold.state.clock, lab.fold.state.join, lab.fold.state.coverage.all()
    counts, records = clock.counts, lab.case.records
    said = [(EVENT, orjson.loads(value)["event"]["offset"]) for _, _, value, _ in lab.said["predictions"]]
    demand(len(said) == len(set(said)), "an event is answered twice")
    outcomes: dict[tuple[int, int], tuple[str, str]] = dict.fromkeys(said, ("output", "prediction"))
    for place, reason in _rejected(lab).items():
        demand(place not in outcomes, f"answered and refused: {place}")
        outcomes[place] = ("reject", reason)
    for label in join._parking._labels.values():
        place = (label.input, label.offset)
        demand(place not in outcomes, f"it waits, and has been refused: {place}")
        outcomes[place] = ("waiting", "label parked")
    for one in records:
        if one.value is None:
            demand(one[:2] not in outcomes, f"a tombstone has an outcome: {one[:2]}")
            outcomes[one.input, one.offset] = ("counted", "tombstone")
    places = {(one.input, one.offset) for one in records}
    demand(outcomes.keys() <= places, f"an outcome without a record: {sorted(outcomes.keys() - places)[:3]}")
    tally = Counter(("events" if place[0] == EVENT else "labels", *outcome) for place, outcome in outcomes.items())
    rest = Counter(which for which, _ in places - outcomes.keys())
    demand(rest[EVENT] == counts["events_duplicate"], f"{rest[EVENT]} events are lost, {dict(counts)}")
    tally["events", "counted", "duplicate"] += counts["events_duplicate"]
    demand(clock.records == len(records), f"{clock.records} of {len(records)} records counted")
    tombstones = sum(one.value is None for one in records)
    demand(counts["tombstones"] == tombstones, f"{counts['tombstones']} tombstones counted, {tombstones} sent")
    reasons = Counter(reason for place, reason in _rejected(lab).items() if place[0] == EVENT)
    demand(coverage["events"] == len(said) + reasons["predict_error"], "events that are not in the coverage")
    if len(lab.inputs) > 1:
        _labels_balance(lab, tally, rest[LABEL])
    return +tally


def _labels_balance(lab: Folded, tally: Counter[tuple[str, str, str]], rest: int) -> None:
    """Labels that are neither refused nor parked met an event, each in one way."""
    counts, coverage = lab.fold.state.clock.counts, lab.fold.state.coverage.all()
    refused = {key[2]: n for key, n in tally.items() if key[:2] == ("labels", "reject")}
    for reason, kind in (("label_late", "late"), ("label_orphan", "orphaned"), ("label_conflict", "conflicting")):
        demand(refused.get(reason, 0) == counts[f"labels_{kind}"], f"{kind}: {refused} against {dict(counts)}")
    # `confirming` and `corrected` are the first labels that came for these events, so the coverage has them already
    first = int(coverage["labelled"]) - counts["labels_confirming"] - counts["labels_corrected"]
    kinds = ("duplicate", "replaced", "confirming", "corrected", "unmatched")
    met = {"learned": first, **{kind: counts[f"labels_{kind}"] for kind in kinds}}
    demand(rest == sum(met.values()), f"{rest} labels met an event or nobody, counted are {met}")
    for kind, number in met.items():
        outcome = "counted" if kind in {"duplicate", "unmatched"} else "learned"
        tally["labels", outcome, "as the truth" if kind == "learned" else kind] += number


def _same(one: Folded, other: Folded, what: str) -> None:
    for name in one.said:
        demand(one.said[name] == other.said[name], f"{what}: other {name}")
    demand(settled(one.fold) == settled(other.fold), f"{what}: another state")


def _finite(lab: Folded) -> None:
    """No answer and no detector's or metric's number is infinite or NaN, and no learner that still learns is ruined."""
    for _, _, value, _ in lab.said["predictions"]:
        score = orjson.loads(value)["score"]
        demand(isinstance(score, (int, float)) and np.isfinite(score), f"an answer without a number: {value!r}")
    for _, _, value, _ in lab.said["alarms"]:
        orjson.loads(value)
    for watch in lab.fold.state.watches:
        demand(
            b"nan" not in repr(canonical(dict(watch.detector.dump(-1)))).lower().encode(), f"{watch.name} holds a NaN"
        )


def _without_refused(case: Case, whole: Folded) -> Case:
    """The case's records but for tombstones and the refused ones that must not have touched anything.

    An event whose class is one too many is refused in the join, when its time has been seen; and where few labels may
    be parked, one that is refused later had put out another.
    """
    roomy = case.settings.labels is not None and case.settings.labels.park_max > len(case.records)
    gone = set()
    for _, _, _, headers in whole.said["rejects"]:
        reason, place = headers["reason"].decode(), (headers["topic"] == b"labels", int(headers["offset"]))
        joined = roomy and reason in {"label_late", "label_conflict", "label_domain"} and place[0] == LABEL
        if headers["stage"] == b"decode" or (joined and _REPLACED not in headers["error"]):
            gone.add(place)
    return case.only([one for one in case.records if one.value is not None and one[:2] not in gone])


def _said_but_counts(lab: Folded, name: str) -> list[tuple[bytes, bytes]]:
    """Without the count of records applied, which refused ones are in."""
    if name == "alarms":
        return [
            (key, orjson.dumps({k: v for k, v in orjson.loads(value).items() if k != "records"}))
            for _, key, value, _ in lab.said[name]
        ]
    return [(key, _COUNT_OF_RECORDS.sub(rb'"model":"\1"', value)) for _, key, value, _ in lab.said[name]]


def _state_but_counts(lab: Folded) -> dict[object, object]:
    clock = lab.fold.state.clock
    chunks = {key: content for key, content in dumped(lab.fold).items() if key[0] != "clock"}
    join: Any = dict(chunks["join", "join"])  # type: ignore[call-overload]
    join["places"] = join["places"][:3]
    join["parking"] = [fields for _, fields in join["parking"][1]]  # without the numbers given on the way
    chunks["join", "join"] = join
    told = {key: canonical(content) for key, content in chunks.items()}
    return {**told, ("clock", "times"): (clock.stream_time_ms, clock._leap_ms)}


def _no_trace(whole: Folded, case: Case, cut: int) -> None:
    clean = folded(_without_refused(case, whole), cut)
    for name in ("predictions", "alarms"):
        demand(_said_but_counts(whole, name) == _said_but_counts(clean, name), f"refused records change {name}")
    with_them, without = _state_but_counts(whole), _state_but_counts(clean)
    different = [key for key in with_them.keys() | without.keys() if with_them.get(key) != without.get(key)]
    demand(not different, f"refused records left a trace in {different}")


def check(case: Case) -> Counter[tuple[str, str, str]]:
    """Everything that must hold. Returns the tally of the case's records; raises Broken, or what raised."""
    draw = random.Random(case.seed)
    asked = case.only([*case.records, *probes(case)])
    whole = folded(asked, 10**9)
    balance(whole)
    demand(sum(b'"probe-' in value for _, _, value, _ in whole.said["predictions"]) <= 3, "a probe is answered twice")
    _finite(whole)
    _same(whole, folded(asked, draw.choice((1, 2, 7, 50, 333))), "batches cut elsewhere")
    _no_trace(whole, asked, draw.choice((11, 100, 10**9)))
    return balance(whole)


# --- a smaller case ---------------------------------------------------------------------------------------------


def shrink(case: Case, fails: Callable[[Case], bool], tries: int = 400) -> Case:
    """A case that still fails with as few records as some hundred tries find."""
    records, size = list(case.records), max(len(case.records) // 2, 1)
    while tries > 0:
        at, smaller = 0, False
        while at < len(records) and tries > 0:
            rest = records[:at] + records[at + size :]
            tries -= 1
            if rest and fails(case.only(rest)):
                records, smaller = rest, True
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(size // 2, 1)
    return replace(case, records=records)
