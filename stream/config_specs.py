"""Of a configuration, what the codec is told: fields, limits and what labels may be. Plain types out, no settings.

The codec knows no configuration, and schemas are published from the same types; read codec_specs.py for them.
"""

from typing import Literal, NamedTuple

from learners.base import Problem, Value
from learners.rows import Feature
from stream.codec_specs import DelayField, EventSpec, LabelSpec, Limits, Target, TimeField
from stream.config import Config
from stream.config_sections import FieldDelay, TimeSpec
from stream.errors import ConfigError


class CodecSpecs(NamedTuple):
    """Fields of events and of labels (None: labels have no records of their own), what labels may be, and what is too much."""

    events: EventSpec
    labels: LabelSpec | None
    target: Target
    limits: Limits


def codec_specs(config: Config) -> CodecSpecs:
    """What the codec is told. Raises ConfigError for a problem that this version does not have."""
    if config.problem == "ranking":
        raise ConfigError(
            "problem: ranking is not available in this version", "use binary, multiclass, regression, anomaly"
        )
    problem: Problem = config.problem
    events, labels = config.events, config.labels
    features = None
    if events.features is not None:
        features = tuple(Feature(one.name, one.type, one.required) for one in events.features)
        features += hidden_features(config, features)
    label_spec = None
    if labels is not None and labels.id is not None and labels.value is not None:
        label_spec = LabelSpec(labels.id, labels.value, _time(labels.time))
    return CodecSpecs(
        events=EventSpec(
            id=events.id,
            key=events.key,
            time=_time(events.time),
            features=features,
            exclude=events.exclude,
            label=labels.field if labels is not None else None,
            delay=_delay(config),
        ),
        labels=label_spec,
        target=Target(
            problem,
            (labels.classes or ()) if labels is not None else (),
            labels is not None and labels.new_classes,
        ),
        limits=Limits(**config.limits.model_dump()),
    )


def hidden_features(config: Config, listed: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """Fields that windows need and learners do not see. Raises ConfigError when one cannot be a key."""
    kinds = {feature.name: feature.kind for feature in listed}
    hidden: dict[str, Feature] = {}
    for stage in config.features:
        if stage.window is None:
            continue
        for one in stage.window.by:
            if kinds.get(one.field, "text") != "text":
                raise ConfigError(
                    f"features: windows by {one.field!r}, which is listed as a {kinds[one.field]}",
                    f"leave it out of `events: {{features}}`, or list it as `{{{one.field}: text}}`",
                )
            if one.field not in kinds:
                hidden.setdefault(one.field, Feature(one.field, "key", one.required, hidden=True))
        of = stage.window.of
        if isinstance(of, str) and of not in kinds:
            if of in hidden:
                raise ConfigError(f"features: {of!r} is a key of windows and has windows itself")
            hidden[of] = Feature(of, "number", hidden=True)
    if (exempt := exempt_if(config)) is not None and exempt[0] not in {*kinds, *hidden}:
        hidden[exempt[0]] = Feature(exempt[0], _kind(exempt[1]), required=False, hidden=True)
    key = config.events.key
    if config.metrics.top is not None and key is not None and key not in {*kinds, *hidden}:
        hidden[key] = Feature(key, "key", hidden=True)
    return tuple(hidden.values())


def exempt_if(config: Config) -> tuple[str, Value] | None:
    """Field and value of events whose silence says nothing. Raises ConfigError when the field cannot have that value."""
    told = config.labels.exclude_if if config.labels is not None else None
    if told is None:
        return None
    equals = float(told.equals) if isinstance(told.equals, int) and not isinstance(told.equals, bool) else told.equals
    events, keys = config.events, {one.field for stage in config.features if stage.window for one in stage.window.by}
    if events.features is None and told.field in {events.id, events.key, *events.exclude}:
        raise ConfigError(
            f"labels.exclude_if: {told.field!r} is not read while features are open",
            "list them: `events: {features: [...]}`",
        )
    kinds = {one.name: one.type for one in events.features or ()}
    kind = kinds.get(told.field, "text" if told.field in keys else _kind(equals))
    if kind != _kind(equals):
        raise ConfigError(f"labels.exclude_if: {told.field!r} is a {kind}, and {told.equals!r} is none")
    return told.field, equals


def _kind(value: Value) -> Literal["number", "boolean", "text"]:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _delay(config: Config) -> DelayField | None:
    if config.labels is None or not isinstance(delay := config.labels.delay, FieldDelay):
        return None
    return DelayField(delay.field, delay.unit_ms, config.labels.wait.ms)


def _time(spec: TimeSpec | None) -> TimeField | None:
    return None if spec is None else TimeField(spec.field, spec.zone, spec.unit)
