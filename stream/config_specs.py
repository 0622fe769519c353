"""Of a configuration, what the codec is told: fields, limits and what labels may be. Plain types out, no settings.

The codec knows no configuration, and schemas are published from the same types; read codec_specs.py for them.
"""

from typing import NamedTuple

from learners.base import Problem
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


def _delay(config: Config) -> DelayField | None:
    if config.labels is None or not isinstance(delay := config.labels.delay, FieldDelay):
        return None
    return DelayField(delay.field, delay.unit_ms, config.labels.wait.ms)


def _time(spec: TimeSpec | None) -> TimeField | None:
    return None if spec is None else TimeField(spec.field, spec.zone, spec.unit)
