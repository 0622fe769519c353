"""The configuration of one pipeline: every setting validated, every default filled in. Nothing is constructed here.

``load(path, environment)`` reads a file; ``Config.answers()`` is what of it changes answers (a part of the lineage),
and ``fold_config(answers)`` makes a configuration of that again, to fold old records as they were folded. Sections are
in config_sections.py, reading in config_loading.py; parts.py constructs learners and detectors from their grammar.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core.core_schema import ValidationInfo

from stream.config_features import Features
from stream.config_learners import ages_of, members_of
from stream.config_loading import Source, explain, nearest, read
from stream.config_sections import (
    DAY,
    Alarms,
    Batch,
    Checkpoints,
    DetectorSpec,
    Events,
    FeatureSignal,
    FieldDelay,
    Journal,
    Labels,
    LearnerSpec,
    Limits,
    Metrics,
    Predictions,
    Rejects,
    Serve,
    Text,
)
from stream.config_thresholds import AlertThreshold, CostThreshold
from stream.config_values import (
    OWNED_BY_HEADRACE,
    Duration,
    EventCount,
    KafkaSetting,
    Secret,
    Section,
    is_secret,
    wrong,
)
from stream.errors import ConfigError

_ANSWERS = (
    "problem",
    "events",
    "labels",
    "predictions",
    "features",
    "learners",
    "champion",
    "learn_errors_max",
    "detectors",
    "metrics",
    "limits",
    "time_jump_max",
)


def _served(value: Any) -> Any:
    return None if value is False else {} if value is True else value


def _kafka_settings(settings: dict[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        if name in OWNED_BY_HEADRACE:
            raise wrong(f"`{name}` is not yours to set: {OWNED_BY_HEADRACE[name]}")
        if is_secret(name) and not isinstance(value, Secret):
            settings = {**settings, name: Secret(str(value))}
    return settings


def _unique_names(detectors: tuple[DetectorSpec, ...]) -> tuple[DetectorSpec, ...]:
    """Derived names are numbered where they repeat; two equal names that were written are refused."""
    written = [spec.name for spec in detectors if "name" in spec.model_fields_set]
    if twice := sorted({name for name in written if written.count(name) > 1}):
        raise wrong(f"two detectors are named {twice[0]!r}")
    taken, named = set(written), []
    for spec in detectors:
        name, number = spec.name, 1
        if "name" not in spec.model_fields_set:
            while name in taken:
                number += 1
                name = f"{spec.name}-{number}"
            taken.add(name)
        named.append(spec.model_copy(update={"name": name}))
    return tuple(named)


class Config(Section):
    """One pipeline: events in, predictions out."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9._-]+$", max_length=100)] = Field(
        description="Name of the pipeline; topics and the group are named after it. Small letters, digits, `-`, `_`, `.`."
    )
    problem: Literal["binary", "multiclass", "regression", "anomaly", "ranking"] = Field(
        default="binary", description="What is predicted. `ranking` is not available in this version."
    )
    events: Events = Field(description="What is scored.")
    labels: Labels | None = Field(
        default=None, description="Where the truth comes from. Omitted: nothing is learned from labels."
    )
    predictions: Predictions = Field(
        default=Predictions.model_construct(), description="The answers.", validate_default=True
    )
    alarms: Alarms = Field(default=Alarms.model_construct(), description="What detectors find.", validate_default=True)
    rejects: Rejects = Field(default=Rejects.model_construct(), description="Refused records.", validate_default=True)
    journal: Journal = Field(
        default=Journal.model_construct(), description="The order of records.", validate_default=True
    )
    out: Text = Field(
        default_factory=lambda data: f"./{data.get('name', 'pipeline')}-out",
        description="File pipelines: directory of predictions, alarms, rejects and journal. Default: `./<name>-out`.",
    )
    features: Features = Field(
        default=(), description="Computed features, in this order. A ratio or a difference may use those above it."
    )
    learners: Annotated[dict[Text, LearnerSpec], Field(min_length=1)] = Field(
        description="Names of learners, each with a part, a chain (list) of parts, or `{factory: module:function}`. "
        "All of them predict and learn; the champion answers. `{blend: {of: [names], by: fixed_share}}` weighs the scores of "
        "others above it (`exponential` and `stack` weigh otherwise: docs/blends.md). `{learn: …, labels: {within: 1h}}` learns "
        "only labels that come within an hour of their event; `after: 1h` those that come later."
    )
    champion: Text = Field(
        default_factory=lambda data: next(iter(data.get("learners", {"champion": None}))),
        description="The learner that answers at first. Default: the first one.",
    )
    learn_errors_max: Annotated[int, Field(ge=0)] = Field(
        default=10, description="After how many errors in learning the champion is frozen."
    )
    detectors: Annotated[tuple[DetectorSpec, ...], Field(strict=False), AfterValidator(_unique_names)] = Field(
        default=(), description="What watches."
    )
    metrics: Metrics = Field(default=Metrics(), description="Prequential metrics.")
    limits: Limits = Field(default=Limits(), description="What a record may be.")
    time_jump_max: Duration = Field(
        default=DAY, description="How far one record may move stream time; a single wild time does not end all waits."
    )
    checkpoints: Checkpoints = Field(default=Checkpoints(), description="Where and how often the state is saved.")
    kafka: Annotated[dict[Text, KafkaSetting], AfterValidator(_kafka_settings)] = Field(
        default={},
        description="Kafka's settings by librdkafka's names (`bootstrap.servers`, `sasl.password`, …). "
        "A value may be `{env: NAME}` or `{file: path}`; secrets print as `***`.",
    )
    group: Text = Field(
        default_factory=lambda data: f"headrace-{data.get('name', 'pipeline')}",
        description="Consumer group. Default: `headrace-<name>`.",
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        default="exactly_once", description="`at_least_once`: no transactions, lower latency, repeats after a crash."
    )
    batch: Batch = Field(default=Batch(), description="How much is folded between two commits.")
    transaction_timeout: Duration = Field(
        default=Duration(60_000), description="After this the broker ends a transaction that is left open."
    )
    commit_deadline: Duration = Field(default=Duration(30_000), description="For how long a commit is called again.")
    serve: Annotated[Serve | None, BeforeValidator(_served)] = Field(
        default=Serve(), description="Health and metrics over HTTP; `false` for none."
    )

    _source: Path | None = PrivateAttr(default=None)

    @field_validator("predictions", "alarms", "rejects", "journal", mode="before")
    @classmethod
    def _named_after_the_pipeline(cls, value: Any, info: ValidationInfo) -> Any:
        written = value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
        if isinstance(written, Mapping) and written.get("topic") is None and "name" in info.data:
            return {**written, "topic": f"{info.data['name']}-{info.field_name}"}
        return written

    @field_validator("time_jump_max")
    @classmethod
    def _moves(cls, value: Duration) -> Duration:
        if not value.ms:
            raise wrong("stream time must be able to move; to believe every time, write a long one such as `36500d`")
        return value

    @field_validator("transaction_timeout")
    @classmethod
    def _as_brokers_count(cls, value: Duration) -> Duration:
        if not 1000 <= value.ms < 1 << 31:
            raise wrong(f"a transaction may be open for 1s to 24d, not {value}")
        return value

    @model_validator(mode="after")
    def _check(self) -> "Config":
        self._check_streams()
        self._check_labels()
        self._check_learners()
        self._check_features()
        self._check_threshold()
        return self

    def _check_streams(self) -> None:
        if self.events.file is not None and self.events.time is None and not self._counts_events():
            raise wrong(
                "events: `time` is required: a line of a file has no time of its own. Where there is no clock, labels of the "
                "events may be known some events later: `labels: {field: …, delay: 2 events}`"
            )
        if self.labels is not None and self.labels.own_stream and self.labels.topic is None and self.events.topic:
            raise wrong("events come from a topic and labels from files; both must be the same")
        if self.labels is not None and self.labels.topic is not None and self.events.file is not None:
            raise wrong("events come from files and labels from a topic; both must be the same")
        if not self.on_files and "bootstrap.servers" not in self.kafka:
            raise wrong("events come from a topic, so `kafka: {bootstrap.servers: …}` is needed")
        topics = list(self.topics().values())
        if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
            raise wrong(f"topic {twice[0]!r} has two uses; each needs its own")

    def _counts_events(self) -> bool:
        return self.labels is not None and isinstance(self.labels.delay, EventCount)

    def _check_labels(self) -> None:
        labels = self.labels
        if self.problem == "multiclass" and labels is not None and labels.classes is None and not labels.new_classes:
            raise wrong("a multiclass problem needs `labels: {classes: [...]}`, or `new_classes: true`")
        if self.problem != "multiclass" and labels is not None and (labels.classes is not None or labels.new_classes):
            raise wrong(f"`labels: {{classes}}` are for multiclass problems; this one is {self.problem}")
        if labels is None or labels.assume is None:
            return
        value = labels.assume.value
        if self.problem in {"binary", "anomaly"} and value not in {0, 1}:
            raise wrong(f"`assume: {{value: {value}}}`: the label of a problem of this kind is true or false")
        if self.problem == "regression" and (isinstance(value, (str, bool))):
            raise wrong(f"`assume: {{value: {value}}}`: the label of a regression is a number")

    def _check_learners(self) -> None:
        if "champion" in self.learners:
            raise wrong("`champion` is a role; give that learner another name")
        if self.champion not in self.learners:
            raise wrong(f"champion: there is no learner {self.champion!r}{nearest(self.champion, self.learners)}")
        self._check_blends()
        for spec in self.detectors:
            if self.labels is None and spec.signal in {"error", "loss", "label"}:
                raise wrong(
                    f"detector {spec.name}: there is no `{spec.signal}` without labels; watch `score`, or say `labels:`"
                )
            for name in spec.learners:
                if name not in self.learners and name != "champion":
                    raise wrong(
                        f"detector {spec.name}: there is no learner {name!r}{nearest(name, (*self.learners, 'champion'))}"
                    )

    def _check_blends(self) -> None:
        before: list[str] = []
        for name, spec in self.learners.items():
            for member in members_of(spec):
                if member not in self.learners:
                    raise wrong(f"learner {name}: there is no learner {member!r}{nearest(member, self.learners)}")
                if member not in before:
                    raise wrong(
                        f"learner {name}: it blends {member!r}, which must stand above it: members score an event first"
                    )
            if self.problem == "anomaly" and (members_of(spec) or ages_of(spec)):
                raise wrong(
                    f"learner {name}: an anomaly problem learns from events, and a blend or `labels` need labels"
                )
            if ages_of(spec) and self.events.file is not None and self.events.time is None:
                raise wrong(f"learner {name}: labels have an age where events have a time: `events: {{time: …}}`")
            before.append(name)

    def _check_features(self) -> None:
        events = self.events
        label = self.labels.field if self.labels is not None else None
        delay = (
            self.labels.delay.field if self.labels is not None and isinstance(self.labels.delay, FieldDelay) else None
        )
        listed = None if events.features is None else [feature.name for feature in events.features]
        if label is not None and label in (listed or ()):
            raise wrong(f"events.features: {label!r} is the label; a learner must not see it")
        if self.features and listed is None:
            raise wrong("features: computed ones need those of the events listed: `events: {features: [...]}`")
        for stage in self.features:
            window = stage.window
            if window is None:
                continue
            if self.events.file is not None and events.time is None:
                raise wrong("features: windows need the events' times: `events: {time: …}`")
            for field in (window.of, *(one.field for one in window.by)):
                if field is not None and field == label:
                    raise wrong(f"features: {field!r} is the label, known later; windows of it are `of: {{label: }}`")
        hidden = {events.id, events.key, events.time and events.time.field, label, delay, *events.exclude}
        texts = {feature.name for feature in events.features or () if feature.type == "text"}
        for spec in self.detectors:
            if not isinstance(spec.signal, FeatureSignal):
                continue
            name = spec.signal.feature
            if name in texts:
                raise wrong(f"detector {spec.name}: {name!r} is text; a detector watches numbers")
            if self.features:  # names of computed ones are known when they are built
                continue
            if listed is not None and name not in listed:
                raise wrong(f"detector {spec.name}: there is no feature {name!r}{nearest(name, listed)}")
            if listed is None and name in hidden:
                raise wrong(f"detector {spec.name}: {name!r} is not a feature")

    def _check_threshold(self) -> None:
        threshold = self.predictions.threshold
        if isinstance(threshold, float) and threshold != 0.5 and self.problem not in {"binary", "anomaly"}:
            raise wrong(f"`threshold` is for binary and anomaly problems; this one is {self.problem}: leave it out")
        if isinstance(threshold, CostThreshold) and self.problem != "binary":
            raise wrong(f"`threshold: {{cost: …}}` is held against probabilities; this problem is {self.problem}")
        if isinstance(threshold, AlertThreshold) and self.problem not in {"binary", "anomaly"}:
            raise wrong(f"`threshold: {{alerts: …}}` is for binary and anomaly problems; this one is {self.problem}")
        if isinstance(threshold, AlertThreshold) and threshold.per == "key" and self.events.key is None:
            raise wrong("`threshold: {alerts: …, per: key}` needs `events: {key: …}`")

    @property
    def on_files(self) -> bool:
        """Whether events come from files, not from Kafka."""
        return self.events.file is not None

    @property
    def source(self) -> Path | None:
        """The file that this was loaded from."""
        return self._source

    def at(self, source: Path) -> "Config":
        """The same settings, as if loaded from this file: relative paths start beside it."""
        moved = self.model_copy()
        moved._source = source  # noqa: SLF001 - our own
        return moved

    def path(self, text: str) -> Path:
        """A path of the configuration: relative ones start at the directory of its file."""
        return (self._source.parent if self._source is not None else Path()) / Path(text).expanduser()

    def topics(self) -> dict[str, str]:
        """Uses (events, labels, predictions, alarms, rejects, journal) to topics, in that order."""
        found: dict[str, str | None] = {"events": self.events.topic}
        found["labels"] = self.labels.topic if self.labels is not None else None
        found |= {"predictions": self.predictions.topic, "alarms": self.alarms.topic}
        found |= {"rejects": self.rejects.topic, "journal": self.journal.topic}
        return {use: topic for use, topic in found.items() if topic is not None}

    def client_settings(self) -> dict[str, str | int | float | bool]:
        """Kafka's settings as a client takes them, secrets in clear. Never to be printed or logged."""
        return {name: value.get() if isinstance(value, Secret) else value for name, value in self.kafka.items()}

    def answers(self) -> dict[str, Any]:
        """Of the settings, those that change answers: plain JSON values, every default filled in, in a fixed order.

        Names of topics and files are not among them (topic ids are in the lineage). ``order`` holds the learners'
        names as configured, for a mapping has none once it is compared.
        """
        dumped = self.model_dump(mode="json", include=set(_ANSWERS))
        answers = {name: dumped[name] for name in _ANSWERS}
        answers["features"] = [  # without what is not said, so that a kind that comes later changes no lineage
            {kind: told for kind, told in one.items() if told is not None} for one in answers["features"]
        ]
        answers["predictions"] = {"threshold": dumped["predictions"]["threshold"]}
        if self.predictions.reasons:  # journals of before know no such setting
            answers["predictions"]["reasons"] = self.predictions.reasons
        if answers["metrics"]["top"] is None:  # as above
            del answers["metrics"]["top"]
        if (labels := answers["labels"]) is not None:  # as above
            if labels["exclude_if"] is None:
                del labels["exclude_if"]
            if labels["assume"] is not None and labels["assume"]["correction_weight"] == 1.0:
                del labels["assume"]["correction_weight"]
        for section in ("events", "labels"):
            if answers[section] is not None and (answers[section].pop("topic") or answers[section]["file"]):
                answers[section] = {"topic": section, **answers[section]}
            if answers[section] is not None:
                del answers[section]["file"]
        return {**answers, "order": list(self.learners)}


def fold_config(answers: Mapping[str, Any]) -> Config:
    """A configuration that folds as the one did whose ``answers()`` these are. Everything else is a default.

    Raises
    ------
    ConfigError
        When this version does not know them.
    """
    data = {name: value for name, value in answers.items() if name != "order"}
    try:
        data["learners"] = {name: answers["learners"][name] for name in answers["order"]}
        return Config.model_validate({"name": "fold", "kafka": {"bootstrap.servers": "none"}, **data})
    except (KeyError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"the recorded configuration does not load in this version: {error}", "run the version that wrote it"
        ) from None


def load(path: Path | str, environment: Mapping[str, str]) -> Config:
    """Read a configuration file with everything that it extends and the environment's overrides.

    Parameters
    ----------
    path : Path | str
        The YAML file.
    environment : Mapping[str, str]
        ``os.environ``, or what stands for it.

    Raises
    ------
    ConfigError
        With all mistakes at once, each with its file, line, key and the nearest right one.
    """
    source = read(Path(path), environment)
    return validate(source)


def validate(source: Source) -> Config:
    """Check what was read. Raises ConfigError with all mistakes at once."""
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, source)) from None
    return config.at(source.path)
