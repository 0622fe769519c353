"""What is published about the topics: a JSON Schema (2020-12) for each kind of record, and one AsyncAPI document for all.

The codec refuses what these schemas refuse, and a little more that they cannot say: times that are none, 1.0 as an id,
levels of nesting. It is not the place that validates; that is codec.py. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from learners.base import Problem
from learners.rows import Feature
from stream.codec_outputs import Alarm, DetailedPrediction, RejectReference
from stream.codec_specs import DelayField, EventSpec, LabelSpec, Limits, Target, TimeField
from stream.records import Claim, Entry

Schema: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TITLES: Final = {
    "events": "An event: something to score",
    "labels": "A label: the truth about an earlier event, found by the event's id",
    "predictions": "The answer to one event",
    "alarms": "A detector's finding, or a learner that was frozen",
    "rejects": "A record that was refused: its bytes as they were; of one that is too large, a reference",
    "journal": "Which records were applied in which order, and who owns the task",
}

_HEADERS: Final = {
    "seq": "Dense number of this output in its partition; a reader that has seen it drops the record",
    "reason": "Why: decode, schema, non_finite, out_of_range, too_wide, too_deep, too_large, label_domain, label_late, ...",
    "stage": "Where: decode, join, predict, learn",
    "error": "What is wrong, for people",
    "topic": "Where the record stands",
    "partition": "Where the record stands",
    "offset": "Where the record stands",
    "timestamp": "The record's, milliseconds since 1970",
    "lineage": "What the results depended on",
}

_RECEIVED: Final = ("events", "labels")
_OPTIONAL: Final = {"scores", "threshold", "challengers", "reasons", "reasons_method", "reasons_of", "reasons_base"}
"""Fields of a prediction that not every pipeline has."""


def _text_or_integer(limits: Limits, description: str, least: int = 1) -> Schema:
    return {
        "description": description,
        "anyOf": [{"type": "string", "minLength": least, "maxLength": limits.id_chars}, {"type": "integer"}],
    }


def _time(field: TimeField) -> Schema:
    return {
        "description": f"A number counts {field.unit} since 1970-01-01T00:00Z; a string is ISO 8601, "
        f"in {field.zone} when it has no offset.",
        "type": ["number", "string"],
        "examples": ["2018-06-01T10:20:30Z"],
    }


def _delay(field: DelayField) -> Schema:
    return {
        "description": f"How long after the event its label is known; 1 is {field.unit_ms} milliseconds.",
        "type": "number",
        "minimum": 0,
        "maximum": field.max_ms / field.unit_ms,
    }


def _number(limits: Limits) -> Schema:
    return {"type": "number", "minimum": -limits.magnitude, "maximum": limits.magnitude}


def _feature(feature: Feature, limits: Limits) -> Schema:
    if feature.kind == "number":
        schema = _number(limits)
    elif feature.kind == "boolean":
        schema = {"type": "boolean"}
    elif feature.kind == "key":
        either = _text_or_integer(limits, "What windows are kept per.", least=0)
        return either if feature.required else {**either, "anyOf": [*either["anyOf"], {"type": "null"}]}
    else:
        schema = {"type": "string", "maxLength": limits.text_chars}
    if not feature.required:
        schema["type"] = [schema["type"], "null"]
    return schema


def _label(target: Target, limits: Limits) -> Schema:
    if target.problem == "regression":
        return _number(limits)
    if target.problem != "multiclass":
        return {"enum": [True, False, 1, 0, "true", "false", "1", "0"]}
    if target.open_classes:
        return {"type": ["string", "integer", "boolean"], "minLength": 1, "maxLength": limits.id_chars}
    return {"enum": [written for name in target.classes for written in _written(name)]}


def _written(name: str) -> list[object]:
    """How JSON may write a class: as text, or as the integer or boolean whose text it is."""
    if name in {"true", "false"}:
        return [name, name == "true"]
    digits = name.removeprefix("-")
    is_integer = digits.isascii() and digits.isdecimal() and len(digits) < 16 and str(int(name)) == name
    return [name, int(name)] if is_integer else [name]


def _object(name: str, properties: Schema, required: list[str], **more: object) -> Schema:
    """Unknown fields are ignored, so others are allowed."""
    return {
        "$schema": DIALECT,
        "title": _TITLES[name],
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys(required)),
        **more,
    }


def _merged(properties: Schema, name: str, schema: Schema) -> None:
    """A field with two uses satisfies both."""
    properties[name] = {"allOf": [properties[name], schema]} if name in properties else schema


def event_schema(spec: EventSpec, target: Target, limits: Limits) -> Schema:
    """Of the events topic."""
    properties: Schema = {}
    required = [spec.id]
    _merged(properties, spec.id, _text_or_integer(limits, "The event's id; later ones with the same id are dropped."))
    if spec.key is not None:
        _merged(properties, spec.key, _text_or_integer(limits, "What the event belongs to: a card, a user.", least=0))
        required.append(spec.key)
    if spec.time is not None:
        _merged(properties, spec.time.field, _time(spec.time))
        required.append(spec.time.field)
    if spec.label is not None:
        label = {
            "description": "The label, null or absent while it is not known.",
            "anyOf": [_label(target, limits), {"type": "null"}],
        }
        _merged(properties, spec.label, label)
    if spec.delay is not None:
        _merged(properties, spec.delay.field, _delay(spec.delay))
        required.append(spec.delay.field)
    for feature in spec.features or ():
        _merged(properties, feature.name, _feature(feature, limits))
        if feature.required:
            required.append(feature.name)
    if spec.features is not None:
        return _object("events", properties, required, maxProperties=limits.width)
    for name in spec.exclude:
        properties.setdefault(name, True)
    others = {
        "description": "Every number, boolean and string is a feature; null, objects and arrays are passed over.",
        "minimum": -limits.magnitude,
        "maximum": limits.magnitude,
        "maxLength": limits.text_chars,
    }
    return _object("events", properties, required, additionalProperties=others, maxProperties=limits.width)


def label_schema(spec: LabelSpec, target: Target, limits: Limits) -> Schema:
    """Of the labels topic."""
    properties: Schema = {}
    required = [spec.id, spec.value]
    _merged(properties, spec.id, _text_or_integer(limits, "Id of the event that it is the truth about."))
    _merged(properties, spec.value, _label(target, limits))
    if spec.time is not None:
        _merged(properties, spec.time.field, _time(spec.time))
        required.append(spec.time.field)
    return _object("labels", properties, required, maxProperties=limits.width)


def _inlined(schema: Any, definitions: Mapping[str, Schema]) -> Any:
    """Without references: inside an AsyncAPI document they would point into that document."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"]], definitions)
    return {name: _inlined(one, definitions) for name, one in schema.items() if name != "discriminator"}


def _of_struct(name: str, kind: Any) -> Schema:
    """From a msgspec type."""
    (schema,), definitions = msgspec.json.schema_components(
        [kind],
        schema_hook=lambda _: {"description": "Anything."},
        ref_template="{name}",  # the hook is asked of `object`: anything
    )
    return {"$schema": DIALECT, **_inlined(schema, definitions), "title": _TITLES[name]}


def prediction_schema(problem: Problem) -> Schema:
    """Of the predictions topic."""
    schema = _of_struct("predictions", DetailedPrediction)
    schema.pop("description")
    schema["required"] = [name for name in schema["required"] if name not in _OPTIONAL]
    properties = schema["properties"]
    if problem in {"multiclass", "regression"}:
        del properties["threshold"]
    if problem == "multiclass":
        schema["required"].append("scores")
    else:
        del properties["scores"]
    answers = {"binary": "boolean", "anomaly": "boolean", "multiclass": "string", "regression": "number"}
    properties["prediction"] = {"type": [answers[problem], "null"]}
    return schema


def reject_schema() -> Schema:
    """Of the rejects topic: whatever the record was, or a reference to it. The reason stands in the headers."""
    reference = _of_struct("rejects", RejectReference)
    return {
        "$schema": reference.pop("$schema"),
        "title": reference.pop("title"),
        "anyOf": [reference, {"description": "The record's bytes as they were; they need not be JSON."}],
    }


def schemas(events: EventSpec, labels: LabelSpec | None, target: Target, limits: Limits) -> dict[str, Schema]:
    """A JSON Schema for each kind of record, by kind: events, labels (when they have a topic), predictions, alarms, rejects.

    Examples
    --------
    >>> told = schemas(EventSpec("id", features=(Feature("amount", "number"),)), None, Target("binary"), Limits())
    >>> told["events"]["required"]
    ['id', 'amount']
    """
    told = {"events": event_schema(events, target, limits)}
    if labels is not None:
        told["labels"] = label_schema(labels, target, limits)
    told["predictions"] = prediction_schema(target.problem)
    told["alarms"] = _of_struct("alarms", Alarm)
    told["rejects"] = reject_schema()
    return told


def _embedded(schema: Any) -> Any:
    """As AsyncAPI's own schema object, a superset of draft 7, which every tool takes: it calls the places of an array items."""
    if isinstance(schema, list):
        return [_embedded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    names = {"prefixItems": "items"}
    return {names.get(name, name): _embedded(one) for name, one in schema.items() if name != "$schema"}


def _message(kind: str, schema: Schema) -> Schema:
    message: Schema = {
        "name": kind,
        "title": _TITLES[kind],
        "contentType": "application/json",
        "payload": _embedded(schema),
    }
    names = () if kind in {*_RECEIVED, "journal"} else tuple(_HEADERS) if kind == "rejects" else ("seq",)
    if names:
        headers = {name: {"type": "string", "description": _HEADERS[name]} for name in names}
        message["headers"] = {"type": "object", "properties": headers, "required": list(names)}
    return message


def asyncapi(*, title: str, version: str, schemas: Mapping[str, Schema], topics: Mapping[str, str]) -> Schema:
    """One AsyncAPI 3.0 document over all topics, as the service sees them: it receives events and labels, and sends the rest.

    Parameters
    ----------
    title, version : str
        Of the pipeline.
    schemas : mapping
        What ``schemas`` gives.
    topics : mapping of str to str
        Topic of each kind; "journal" may be among them. A kind without a topic is left out.
    """
    told = dict(schemas)
    if "journal" in topics:
        told["journal"] = _of_struct("journal", Claim | Entry)
    kinds = [kind for kind in told if kind in topics]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {
            kind: {
                "address": topics[kind],
                "title": _TITLES[kind],
                "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
                "bindings": {"kafka": {"topic": topics[kind], "bindingVersion": "0.5.0"}},
            }
            for kind in kinds
        },
        "operations": {
            f"{'receive' if kind in _RECEIVED else 'send'}_{kind}": {
                "action": "receive" if kind in _RECEIVED else "send",
                "channel": {"$ref": f"#/channels/{kind}"},
                "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
            }
            for kind in kinds
        },
        "components": {"messages": {kind: _message(kind, told[kind]) for kind in kinds}},
    }
