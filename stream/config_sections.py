"""The sections of a configuration: events, labels, learners' watchers, limits, checkpoints. Models only, no reading.

Each checks itself; what concerns several sections is checked in config.py. Every field's description is the text of
docs/configuration.md. Read config.py next.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from stream.config_learners import learner_shape
from stream.config_thresholds import AlertThreshold, CostThreshold, Threshold
from stream.config_values import (
    UNITS_MS,
    Duration,
    EventCount,
    Every,
    Secret,
    Section,
    StoreAddress,
    finite,
    part_shape,
    wrong,
)

DAY = Duration(86_400_000)


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise wrong(f"{name!r} is not a time zone; write a name such as UTC or Europe/Paris") from error
    return name


Text: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Files: TypeAlias = Annotated[tuple[Text, ...], Field(strict=False, min_length=1), BeforeValidator(_one_or_more)]
Names: TypeAlias = Annotated[tuple[Text, ...], Field(strict=False)]
Number: TypeAlias = Annotated[float, AfterValidator(finite)]
Topic: TypeAlias = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]


def _short(key: str) -> BeforeValidator:
    """A section that may be written as the value of its main key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class TimeSpec(Section):
    """Where a record says its time. Short: `time: tx_datetime`."""

    field: Text = Field(description="Name of the field that holds the time: ISO 8601 text, or a number.")
    zone: Annotated[str, AfterValidator(known_zone)] = Field(
        default="UTC", description="Time zone of texts that name none."
    )
    unit: Literal["s", "ms", "us"] = Field(default="ms", description="Unit of times that are numbers since 1970.")


Time: TypeAlias = Annotated[TimeSpec, _short("field")]


class FeatureSpec(Section):
    """One field that learners may see. Short: `amount`, `{amount: number}` or `{amount: {type: number, required: false}}`."""

    name: Text = Field(description="Name of the field.")
    type: Literal["number", "boolean", "text"] = Field(default="number", description="What it must be.")
    required: bool = Field(default=True, description="Whether an event without it is refused.")


def _feature(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, rest),) = value.items()
        if rest is None or isinstance(rest, str):
            return {"name": name, "type": rest or "number"}
        return {"name": name, **rest} if isinstance(rest, Mapping) else value
    return value


Feature: TypeAlias = Annotated[FeatureSpec, BeforeValidator(_feature)]


def _one_source(topic: str | None, file: tuple[str, ...] | None, what: str) -> None:
    if topic is not None and file is not None:
        raise wrong(f"`topic` and `file` are both given; {what} come from one of them")


class Events(Section):
    """What is scored: where events come from and what their fields mean."""

    topic: Topic | None = Field(default=None, description="Kafka topic of the events. Or `file`.")
    file: Files | None = Field(
        default=None,
        description="File or files of events, in order (JSONL, CSV, Parquet; plain or compressed). Or `topic`.",
    )
    id: Text = Field(description="Field with the event's id, by which labels find it.")
    key: Text | None = Field(
        default=None, description="Field with the event's key (card, user); written as the output's key."
    )
    time: Time | None = Field(
        default=None,
        description="Where the event's time is. Omitted: the record's own time in its topic; of a file, which may omit it "
        "only where `labels: {delay: 2 events}` counts events, its number.",
    )
    features: Annotated[tuple[Feature, ...], Field(strict=False)] | None = Field(
        default=None,
        description="The fields that learners may see, in this order. Omitted: every number, boolean and text "
        "but id, key, time and label.",
    )
    exclude: Names = Field(default=(), description="Fields that learners may not see, where `features` is omitted.")
    remember: Duration = Field(
        default=DAY, description="For how long ids are remembered to drop duplicates, where no labels are waited for."
    )

    @model_validator(mode="after")
    def _check(self) -> "Events":
        _one_source(self.topic, self.file, "events")
        if self.topic is None and self.file is None:
            raise wrong("say where events come from: `topic: …` or `file: …`")
        if self.features is not None and self.exclude:
            raise wrong("`exclude` is for open features; leave it out, or leave `features` out")
        names = [feature.name for feature in self.features or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise wrong(f"feature {twice[0]!r} is listed twice")
        return self


Class: TypeAlias = str | int | bool


def _finite(value: Class | float) -> Class | float:
    return finite(value) if isinstance(value, float) else value


Known: TypeAlias = Annotated[Class | float, AfterValidator(_finite)]


class Assume(Section):
    """What silence means."""

    value: Known = Field(description="The label of an event for which none came.")
    after: Duration = Field(description="How long after the event silence counts as this label, in event time.")
    correction_weight: Annotated[Number, Field(gt=0)] = Field(
        default=1.0,
        description="How much a label weighs that differs from what silence was taken for: it is learned on top of the "
        "wrong one, which is not unlearned. Other than 1, every learner must take weights.",
    )


class ExcludeIf(Section):
    """Of which events silence says nothing: a blocked payment never gets a label."""

    field: Text = Field(description="A field of the event, a feature or not.")
    equals: Known = Field(description="Its value: text, a number, true or false. An event without one does not match.")


class FieldDelay(Section):
    """Each event says in a field how long after it its label is known: a finite number that is not negative."""

    field: Text = Field(
        description="Name of the field. An event without such a number, or with one beyond `wait`, is refused. Where "
        "`features` is omitted it is none of them: a delay may tell of the outcome."
    )
    unit: Literal["ms", "s", "m", "h", "d", "w"] = Field(default="s", description="What the field counts.")

    @property
    def unit_ms(self) -> int:
        return UNITS_MS[self.unit]


def _delay_kind(value: Any) -> str:
    if isinstance(value, (Mapping, FieldDelay)):
        return "of the event"
    return "events" if isinstance(value, EventCount) or (isinstance(value, str) and "event" in value) else "duration"


Delay: TypeAlias = Annotated[
    Annotated[Duration, Tag("duration")]
    | Annotated[EventCount, Tag("events")]
    | Annotated[FieldDelay, Tag("of the event")],
    Discriminator(_delay_kind),
]


def _wait(data: dict[str, Any]) -> Duration:
    assume, delay = data.get("assume"), data.get("delay")
    if data.get("field") is not None and not isinstance(delay, FieldDelay):
        return Duration(max(DAY.ms, delay.ms if isinstance(delay, Duration) else 0))
    return Duration(max(30 * DAY.ms, 2 * assume.after.ms if assume is not None else 0))


def _class_names(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return [
        str(item).lower() if isinstance(item, bool) else str(item) if isinstance(item, int) else item for item in value
    ]


class Labels(Section):
    """Where the truth comes from: a stream of its own (`topic` or `file`), or a field of the event, and what silence means."""

    topic: Topic | None = Field(default=None, description="Kafka topic of the labels, partitioned as the events.")
    file: Files | None = Field(default=None, description="File or files of labels, in order.")
    field: Text | None = Field(default=None, description="Field of the event that holds its label (history, demos).")
    delay: Delay = Field(
        default=Duration(0),
        description="With `field`: how long after the event the label is known. `7d`: in event time. `2 events`: just "
        "before the second event after it. `{field: settlement_days, unit: d}`: as each event says, in event time.",
    )
    id: Text | None = Field(default=None, description="Field of a label with the id of its event.")
    value: Text | None = Field(default=None, description="Field of a label with its value.")
    time: Time | None = Field(default=None, description="Where a label's time is. Omitted: the record's own time.")
    classes: Annotated[Names, BeforeValidator(_class_names)] | None = Field(
        default=None, description="Names of the classes of a multiclass problem."
    )
    new_classes: bool = Field(default=False, description="Whether classes that are not listed are taken up.")
    classes_max: Count = Field(default=32, description="With `new_classes`: how many classes at most.")
    assume: Assume | None = Field(default=None, description="What silence means: `{value: false, after: 7d}`.")
    exclude_if: ExcludeIf | None = Field(
        default=None,
        description="`{field: status, equals: blocked}`: such an event is scored and waits, and a label of its own is "
        "learned, but its silence is not taken for `assume`.",
    )
    wait: Duration = Field(
        default_factory=_wait,
        description="How long an event waits for its label, in event time. Default: 30d, or twice `assume: {after}` if "
        "longer; with `field` its delay, and a day at least. Where the delay is counted in events that is the wait, and this "
        "only says for how long ids are remembered.",
    )
    conflict: Literal["first", "last"] = Field(
        default="first", description="Which of two different labels of an event counts. `last` keeps features for it."
    )
    park: Duration = Field(default=DAY, description="How long a label waits for its event.")
    park_max: Count = Field(default=10_000, description="How many labels wait for their events at most, per task.")
    waiting_max: Count = Field(
        default=1_000_000, description="How many events wait for their labels at most, per task."
    )
    partitioning: Literal["copartitioned", "broadcast"] = Field(
        default="copartitioned",
        description="`copartitioned`: labels lie in the partition of their event. `broadcast`: every task reads all labels.",
    )

    @property
    def own_stream(self) -> bool:
        """Whether labels are records of their own."""
        return self.field is None

    @property
    def at_once(self) -> bool:
        """Whether a label is known as soon as its event is."""
        return self.field is not None and self.delay in {Duration(0), EventCount(0)}

    @model_validator(mode="after")
    def _check(self) -> "Labels":
        _one_source(self.topic, self.file, "labels")
        stream = self.topic or self.file
        if self.field is not None:
            extra = [key for key in ("topic", "file", "id", "value", "time") if getattr(self, key) is not None]
            if extra:
                raise wrong(f"`field` says that the label rides in the event, so `{extra[0]}` has no meaning; drop one")
        elif not stream:
            raise wrong("say where labels come from: `topic`, `file`, or `field` (of the event)")
        elif self.id is None or self.value is None:
            raise wrong("labels of their own need `id` (the event's) and `value`")
        elif self.file is not None and self.time is None:
            raise wrong("`time` is required: a line of a file has no time of its own")
        elif self.delay != Duration(0):
            raise wrong("`delay` is for `field`; records of labels say their own time")
        if self.field is not None and self.assume is not None:
            raise wrong("`assume` is for labels of their own; a label that rides in its event is not waited for")
        if self.exclude_if is not None and self.assume is None:
            raise wrong("`exclude_if` says of which events silence means nothing, so it needs `assume`")
        if self.field is not None and self.partitioning == "broadcast":
            raise wrong("`partitioning: broadcast` is for a labels topic")
        if self.assume is not None and self.wait < self.assume.after:
            raise wrong(f"`wait` ({self.wait}) must not be shorter than `assume: {{after: {self.assume.after}}}`")
        if isinstance(self.delay, Duration) and self.wait < self.delay:
            raise wrong(f"`wait` ({self.wait}) must not be shorter than `delay` ({self.delay})")
        if isinstance(self.delay, EventCount) and self.waiting_max < self.delay.events:
            raise wrong(f"`waiting_max` ({self.waiting_max:_}) must not be smaller than `delay` ({self.delay})")
        if isinstance(self.delay, FieldDelay) and self.delay.field == self.field:
            raise wrong(f"`delay` is read from {self.field!r}, which is the label itself")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise wrong("a class is listed twice")
        if self.classes is not None and len(self.classes) > self.classes_max:
            raise wrong(f"{len(self.classes)} classes are listed, `classes_max` is {self.classes_max}")
        return self


class Predictions(Section):
    """The answers."""

    topic: Topic = Field(default="", description="Where predictions go. Default: `<name>-predictions`.")
    threshold: Threshold = Field(
        default=0.5,
        description="Binary, anomaly: scores from here on are predicted positive. Or what it follows from: what mistakes "
        "`cost`, or how many `alerts` there may be.",
    )
    reasons: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="How many of the largest contributions to the score each prediction tells; 0: none."
    )

    @property
    def fixed_threshold(self) -> float | None:
        """None where it follows the stream."""
        if isinstance(self.threshold, AlertThreshold):
            return None
        return self.threshold.value if isinstance(self.threshold, CostThreshold) else self.threshold


class Alarms(Section):
    """What detectors find."""

    topic: Topic = Field(default="", description="Where alarms go. Default: `<name>-alarms`.")


class Rejects(Section):
    """Records that were refused, with the reason."""

    topic: Topic = Field(default="", description="Where rejects go. Default: `<name>-rejects`.")


class Journal(Section):
    """Which records were applied, in which order."""

    topic: Topic = Field(default="", description="Where the journal is. Default: `<name>-journal`.")


class FeatureSignal(Section):
    """A named feature as a signal."""

    feature: Text = Field(description="Name of the feature.")


SignalName: TypeAlias = Literal["error", "loss", "score", "label"]
_SIGNALS = ("error", "loss", "score", "label")


def _signal(value: Any) -> Any:
    if isinstance(value, (Mapping, FeatureSignal)) or value in _SIGNALS:
        return value
    raise wrong(f"expected one of {', '.join(_SIGNALS)} or {{feature: name}}, got {value!r}")


LearnerSpec: TypeAlias = Annotated[Any, BeforeValidator(learner_shape)]
"""A part, a chain of parts, or `{factory: "module:function", parameters: {…}}`; constructed by parts.py."""
PartSpec: TypeAlias = Annotated[Any, BeforeValidator(part_shape)]


def _detector_name(data: dict[str, Any]) -> str:
    part, signal = data.get("detector"), data.get("signal")
    kind = (part if isinstance(part, str) else next(iter(part), "") if isinstance(part, Mapping) else "").rpartition(
        "."
    )[2]
    return f"{kind.lower()}-{signal.feature if isinstance(signal, FeatureSignal) else signal}"


class DetectorSpec(Section):
    """A detector on a signal, and what is done about its alarms."""

    signal: Annotated[SignalName | FeatureSignal, BeforeValidator(_signal)] = Field(
        description="What is watched: `error` or `loss` of the emitted prediction, `score`, `label`, or `{feature: name}`."
    )
    detector: PartSpec = Field(description="The detector, as a part: `adwin`, `{page_hinkley: {threshold: 50}}`.")
    response: Literal["alarm", "reset"] = Field(
        default="alarm", description="`alarm` says so; `reset` also lets learners start over."
    )
    learners: Names = Field(default=("champion",), description="With `reset`: which learners, or `champion`.")
    name: Text = Field(
        default_factory=_detector_name,
        description="Its name in alarms. Default: detector and signal, as `adwin-error`.",
    )


class Metrics(Section):
    """Prequential metrics: the prediction that was emitted against the label when it came."""

    window: Count = Field(default=10_000, description="How many labels the recent metrics cover.")
    top: Count | None = Field(
        default=None,
        description="How many keys can be looked at a day: tells card precision, the share of positives among the best "
        "so many keys of each day that were not known before. Of binary and anomaly problems, by task.",
    )


class Limits(Section):
    """What a record may be; larger ones go to the rejects."""

    magnitude: Annotated[Number, Field(gt=0)] = Field(default=1e15, description="Largest absolute value of a number.")
    width: Count = Field(default=1000, description="Most fields of a record.")
    depth: Annotated[int, Field(ge=1, le=500)] = Field(default=500, description="Deepest nesting of a record.")
    record_bytes: Count = Field(default=1_000_000, description="Largest record, in bytes.")
    text_chars: Count = Field(default=1024, description="Longest text of a feature, in characters.")
    id_chars: Count = Field(default=512, description="Longest id, key or class, in characters.")


class Checkpoints(Section):
    """Where and how often the state is saved."""

    store: StoreAddress = Field(
        default=StoreAddress("embedded", Secret("embedded")),
        description="`redis://host:6379/0`, `embedded` (a Redis of its own), or a directory such as `./checkpoints`; "
        "`{env: NAME}` reads it from the environment.",
    )
    every: Every = Field(
        default=Every(100_000, None), description="How often: `100_000 events`, or a duration such as `30s`."
    )
    keep: Count = Field(default=10, description="How many checkpoints are kept, beside pinned ones.")
    key_file: Text | None = Field(default=None, description="File with the key that signs checkpoints.")


class Batch(Section):
    """How many records are folded between two commits. Changes nothing in the results."""

    records: Count = Field(default=5000, description="Most records of a batch.")
    wait: Duration = Field(default=Duration(50), description="How long a poll waits for the first record.")


class Serve(Section):
    """Health and metrics over HTTP."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=9464, description="Port to listen on; 0 takes a free one."
    )
