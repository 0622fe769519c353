"""The way back: predictions, alarms and rejects to the bytes that stand in their topics.

A struct an output, which says the order of its fields; schema.py publishes them. It is not the place where it is decided
what is said: that is pipeline/step.py. Pure. Read schema.py next.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, Literal, NamedTuple

import msgspec

from stream.codec_specs import Limits
from stream.records import Input, Reject

_encode = msgspec.json.Encoder().encode

_ERROR_CHARS: Final = 1000
"""Of the header ``error``."""


class EventPlace(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands in the log."""

    topic: str
    partition: int
    offset: int


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """The answer to one event."""

    id: str
    key: str
    time: int
    """Event time, milliseconds since 1970."""
    score: float | None
    """Of the positive class, or of the predicted one; the value, for regression and anomaly; null when there is none."""
    prediction: bool | float | str | None
    model: str
    """``<learner's name>@<count of records applied>``."""
    event: EventPlace


class Reason(msgspec.Struct, frozen=True, gc=False):
    """What one feature adds to the score."""

    feature: str
    contribution: float


class Reasons(NamedTuple):
    """Why a score is what it is: the largest contributions, and what they are of."""

    top: list[Reason]
    method: str
    """``learners.explanations.base.Method``; empty when there was nothing to explain."""
    of: str
    """``learners.explanations.base.Scale``."""
    base: float | None


class DetailedPrediction(msgspec.Struct, frozen=True, gc=False):
    """The answer to one event with what not every pipeline has: scores of classes, challengers, reasons. The same fields else."""

    id: str
    key: str
    time: int
    score: float | None
    scores: dict[str, float] | msgspec.UnsetType
    """By class; only of multiclass problems."""
    prediction: bool | float | str | None
    threshold: float | msgspec.UnsetType | None
    """What the score was held against, null where no score would do; absent where it is the same for all."""
    model: str
    challengers: dict[str, float | None] | msgspec.UnsetType
    """Their scores by name; absent when there are none."""
    reasons: list[Reason] | msgspec.UnsetType
    """The largest contributions to the champion's score, largest first; absent when none are asked for."""
    reasons_method: str | msgspec.UnsetType
    """How they were found: linear and tree_path are exact, shapley_sampling is an estimate."""
    reasons_of: str | msgspec.UnsetType
    """The scale on which contributions add up: log_odds, probability, value, log, score."""
    reasons_base: float | msgspec.UnsetType | None
    """What is there without any feature: base and all contributions add up to the score on that scale."""
    event: EventPlace


class Alarm(msgspec.Struct, frozen=True):
    """A detector's finding, or that a learner was frozen."""

    detector: str
    """Empty when no detector found it."""
    signal: str
    level: Literal["warning", "alarm"]
    event: str
    """Id of the event at which it was known."""
    time: int
    """Stream time, milliseconds since 1970."""
    records: int
    """Its position: the count of records applied."""
    before: float | None
    """Level of the signal before and after the change; null when there is none."""
    after: float | None
    response: str
    learners: list[str]
    """That the response changed."""
    detail: str = ""
    kind: Literal["change", "frozen"] = "change"


class RejectReference(msgspec.Struct, frozen=True):
    """What stands in the rejects for a record that is too large to be repeated."""

    topic: str
    partition: int
    offset: int
    bytes: int
    sha256: str


def encode_predictions(
    *,
    ids: Sequence[str],
    keys: Sequence[str],
    times_ms: Sequence[int],
    scores: Sequence[float | None],
    predictions: Sequence[bool | float | str | None],
    models: Sequence[str],
    source: Input,
    offsets: Sequence[int],
    classes: Sequence[str] = (),
    class_scores: Sequence[Sequence[float]] = (),
    challengers: Mapping[str, Sequence[float | None]] | None = None,
    reasons: Sequence[Reasons] | None = None,
    thresholds: Sequence[float] | None = None,
) -> list[bytes]:
    """Encode a batch of predictions, given as aligned columns. A number that is not finite becomes null.

    Parameters
    ----------
    source : Input
        Where the events stand, at ``offsets``.
    classes, class_scores
        For multiclass problems: names, and a row of scores an event, ``(n_events, n_classes)``.
    challengers : mapping of str to sequence, optional
        A column of scores for each challenger, in the order in which they are told.
    reasons : sequence of Reasons, optional
        None when the configuration asks for none.
    thresholds : sequence of float, optional
        Where each prediction has its own.
    """
    topic, partition = source.topic, source.partition
    if not classes and not challengers and reasons is None and thresholds is None:
        places = map(EventPlace, repeat(topic), repeat(partition), offsets)
        columns = (ids, keys, times_ms, scores, predictions, models)
        if len({len(offsets), *map(len, columns)}) > 1:
            raise ValueError("one column is shorter than another")
        return list(map(_encode, map(Prediction, *columns, places)))  # no loop of our own: 0.25 µs, against 0.29
    by_class = (
        [dict(zip(classes, row, strict=True)) for row in class_scores] if classes else repeat(msgspec.UNSET, len(ids))
    )
    names = tuple(challengers or ())
    by_name = (
        [dict(zip(names, row, strict=True)) for row in zip(*challengers.values(), strict=True)]
        if challengers
        else repeat(msgspec.UNSET, len(ids))
    )
    why: Iterable[tuple[Any, Any, Any, Any]] = repeat((msgspec.UNSET,) * 4, len(ids)) if reasons is None else reasons
    held: Iterable[Any] = repeat(msgspec.UNSET, len(ids)) if thresholds is None else thresholds
    return [
        _encode(
            DetailedPrediction(
                event, key, time_ms, score, of_classes, answer, threshold, model, of_others, top, method, of, base,
                EventPlace(topic, partition, offset),
            )
        )
        for event, key, time_ms, score, of_classes, answer, threshold, model, of_others, (top, method, of, base), offset in zip(
            ids, keys, times_ms, scores, by_class, predictions, held, models, by_name, why, offsets, strict=True
        )
    ]  # fmt: skip


def encode_alarm(alarm: Alarm) -> bytes:
    """A level that is not finite becomes null."""
    return _encode(alarm)


def reject_headers(reject: Reject, source: Input, offset: int, timestamp_ms: int, lineage: str) -> dict[str, bytes]:
    """Say why a record was refused and where it stands. The log adds ``seq``."""
    return {
        "reason": reject.reason.encode(),
        "stage": reject.stage.encode(),
        "error": reject.error[:_ERROR_CHARS].encode(errors="backslashreplace"),
        "topic": source.topic.encode(),
        "partition": b"%d" % source.partition,
        "offset": b"%d" % offset,
        "timestamp": b"%d" % timestamp_ms,
        "lineage": lineage.encode(),
    }


def reject_value(value: bytes | None, source: Input, offset: int, limits: Limits) -> bytes:
    """The record's bytes as they are; of one that is too large a reference with its digest."""
    if value is None:
        return b""
    if len(value) <= limits.record_bytes:
        return value
    digest = hashlib.sha256(value).hexdigest()
    return _encode(RejectReference(source.topic, source.partition, offset, len(value), digest))
