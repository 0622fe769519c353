"""The published schemas say what the codec does."""

import doctest
import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.rows import Feature
from stream import schema
from stream.codec import EventDecoder, EventSpec, LabelDecoder, LabelSpec, Limits, Target, TimeField
from stream.codec_outputs import Alarm, Reason, Reasons, encode_alarm, encode_predictions, reject_value
from stream.codec_specs import DelayField
from stream.records import Claim, Entry, Input, Records, Skip, Span, encode_journal
from stream.schema import DIALECT, asyncapi, schemas

LIMITS = Limits(magnitude=100, width=8, text_chars=4, id_chars=5)
FEATURES = (Feature("a", "number"), Feature("b", "boolean", required=False), Feature("c", "text"))
CLOSED = EventSpec("id", "key", TimeField("at"), FEATURES, label="y")
DELAYED = EventSpec("id", "key", TimeField("at"), FEATURES[1:], label="y", delay=DelayField("a", 10, 500))
SHARED = EventSpec("id", "c", None, FEATURES, label="b")
OPEN = EventSpec("id", "key", None, None, exclude=("internal",), label="y")
LABELS = LabelSpec("id", "y", TimeField("at"))
TARGETS = {
    "binary": Target("binary"),
    "regression": Target("regression"),
    "multiclass": Target("multiclass", ("x", "1", "true", "-0", "٣")),
    "open": Target("multiclass", (), open_classes=True),
    "anomaly": Target("anomaly"),
}
SOURCE = Input("events", "transactions", 0)

_TYPES = {
    "object": dict, "array": list, "string": str, "null": type(None), "boolean": bool, "number": (int, float), "integer": int,
}  # fmt: skip


def _equal(one, other):
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _has_type(value, name):
    return isinstance(value, _TYPES[name]) and (isinstance(value, bool) == (name == "boolean") or name == "boolean")


def valid(schema, value):
    """The keywords of JSON Schema that the published schemas use; others fail the test."""
    if schema is True:
        return True
    checks = {
        "type": lambda wanted: any(
            _has_type(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted)
        ),
        "enum": lambda known: any(_equal(value, one) for one in known),
        "anyOf": lambda kinds: any(valid(kind, value) for kind in kinds),
        "allOf": lambda kinds: all(valid(kind, value) for kind in kinds),
        "minimum": lambda least: not _has_type(value, "number") or value >= least,
        "maximum": lambda most: not _has_type(value, "number") or value <= most,
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "maxLength": lambda most: not isinstance(value, str) or len(value) <= most,
        "minItems": lambda least: not isinstance(value, list) or len(value) >= least,
        "maxProperties": lambda most: not isinstance(value, dict) or len(value) <= most,
        "required": lambda names: not isinstance(value, dict) or all(name in value for name in names),
        "properties": lambda named: (
            not isinstance(value, dict) or all(valid(one, value[name]) for name, one in named.items() if name in value)
        ),
        "additionalProperties": lambda other: (
            not isinstance(value, dict)
            or all(valid(other, one) for name, one in value.items() if name not in schema.get("properties", {}))
        ),
        "items": lambda kind: (
            not isinstance(value, list)
            or (all(map(valid, kind, value)) if isinstance(kind, list) else all(valid(kind, one) for one in value))
        ),
    }
    told = {
        name: one
        for name, one in schema.items()
        if name not in {"$schema", "title", "description", "default", "examples"}
    }
    return all(checks[name](one) for name, one in told.items())


scalars = (
    st.none() | st.booleans() | st.integers(-101, 101) | st.floats(-200, 200).filter(lambda one: one % 1) | st.text(max_size=6)
    | st.sampled_from(["x", "1", "true", "0", "٣", 0, 1])
)  # fmt: skip
fields = st.sampled_from(["id", "key", "a", "b", "c", "y", "z", "internal"])
GOOD = {"id": "1", "key": "k", "at": 5, "a": 1.5, "c": "x"}


def refused(decoder, value):
    raw = json.dumps(value).encode(errors="surrogatepass")
    return bool(decoder.decode(Records([0], [0], [None], [raw])).rejects)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("spec", [CLOSED, DELAYED, SHARED, OPEN], ids=["closed", "delayed", "shared", "open"])
@settings(max_examples=40)
@given(changes=st.dictionaries(fields, scalars | st.lists(scalars, max_size=1), max_size=3), gone=st.none() | fields)
def test_the_schema_of_events_is_what_the_codec_accepts(spec, target, changes, gone):
    """Both accept, or both refuse."""
    event = {name: value for name, value in {**GOOD, **changes}.items() if name != gone}
    schema = schemas(spec, None, target, LIMITS)["events"]
    assert valid(schema, event) != refused(EventDecoder(spec, LIMITS, target), event)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@settings(max_examples=40)
@given(value=scalars | st.lists(scalars, max_size=1), name=st.sampled_from(["id", "y", "other"]))
def test_the_schema_of_labels_is_what_the_codec_accepts(target, value, name):
    """Both accept, or both refuse."""
    label = {"id": 1, "y": 1, "at": 5, name: value}
    schema = schemas(CLOSED, LABELS, target, LIMITS)["labels"]
    assert valid(schema, label) != refused(LabelDecoder(LABELS, LIMITS, target), label)


@pytest.mark.parametrize(
    ("problem", "answer"), [("binary", True), ("multiclass", "x"), ("regression", 1.5), ("anomaly", None)]
)
def test_predictions_keep_their_schema(problem, answer):
    """As they are encoded, with scores for multiclass problems only."""
    schema = schemas(CLOSED, LABELS, Target(problem, ("x",)), LIMITS)["predictions"]
    classes = {"classes": ("x",), "class_scores": [[1.0]]} if problem == "multiclass" else {}
    explained, not_explained = Reasons([Reason("a", -0.5)], "linear", "log_odds", 0.0), Reasons([], "", "", None)
    own = (None, [0.5], [None]) if problem in {"binary", "anomaly"} else (None,)
    for challengers, reasons, thresholds in product(({}, {"a": [None]}), (None, [explained], [not_explained]), own):
        (value,) = encode_predictions(
            ids=["e"], keys=["k"], times_ms=[1], scores=[0.5], predictions=[answer], models=["m@1"], source=SOURCE,
            offsets=[3], challengers=challengers, reasons=reasons, thresholds=thresholds, **classes,
        )  # fmt: skip
        told = json.loads(value)
        assert valid(schema, told)
        assert set(told) <= set(schema["properties"])
        assert ("reasons" in told) == (reasons is not None)
        assert ("threshold" in told) == (thresholds is not None)
    assert ("scores" in schema["properties"]) == (problem == "multiclass")


def test_alarms_and_references_keep_their_schemas():
    """As they are encoded."""
    told = schemas(CLOSED, None, TARGETS["binary"], LIMITS)
    alarm = Alarm("", "", "alarm", "e1", 5, 100, None, None, "freeze", ["logistic"], kind="frozen")
    assert valid(told["alarms"], json.loads(encode_alarm(alarm)))
    reference = json.loads(reject_value(b"x" * 11, SOURCE, 7, Limits(record_bytes=10)))
    assert valid(told["rejects"]["anyOf"][0], reference)


def test_labels_have_a_schema_only_with_a_topic():
    """A label that rides in the event has none of its own."""
    assert "labels" not in schemas(CLOSED, None, TARGETS["binary"], LIMITS)


def test_every_schema_names_its_dialect():
    """2020-12, with a title, and as JSON."""
    told = schemas(CLOSED, LABELS, TARGETS["binary"], LIMITS)
    assert {(one["$schema"], bool(one["title"])) for one in told.values()} == {(DIALECT, True)}
    assert json.loads(json.dumps(told)) == told


# --- AsyncAPI ---------------------------------------------------------------------------------------------------

TOPICS = {kind: f"fraud-{kind}" for kind in ("events", "labels", "predictions", "alarms", "rejects", "journal")}


@pytest.fixture
def document():
    told = schemas(CLOSED, LABELS, TARGETS["binary"], LIMITS)
    return asyncapi(title="fraud", version="1", schemas=told, topics=TOPICS)


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for one in node.values():
            yield from references(one)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


def test_the_document_has_every_topic(document):
    """A channel and an operation each, by their addresses."""
    assert {channel["address"] for channel in document["channels"].values()} == set(TOPICS.values())
    assert {name for name, one in document["operations"].items() if one["action"] == "receive"} == {
        "receive_events",
        "receive_labels",
    }
    assert len(document["operations"]) == len(TOPICS)


def test_every_reference_leads_somewhere(document):
    """Inside the document."""
    for reference in references(document):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert node


def test_the_journal_keeps_its_schema(document):
    """Claims and entries, as they are encoded."""
    schema = document["components"]["messages"]["journal"]["payload"]
    claim = Claim(0, "w", (0, 0), {"x": 1})
    entry = Entry(1, 0, (Span(0, 0, 1, 1, 5),), (0, 1), (1, 0), {"predictions": 0}, (Skip(0, 0, "e", "l", "x"),))
    for record in (claim, entry):
        assert valid(schema, json.loads(encode_journal(record)))


def test_headers_are_told(document):
    """Outputs carry seq; rejects say why and where besides."""
    messages = document["components"]["messages"]
    assert messages["predictions"]["headers"]["required"] == ["seq"]
    assert {"seq", "reason", "stage", "error", "lineage"} <= set(messages["rejects"]["headers"]["required"])
    assert "headers" not in messages["events"]


def test_a_kind_without_a_topic_is_left_out():
    """Such as alarms that nobody asked for."""
    told = schemas(CLOSED, LABELS, TARGETS["binary"], LIMITS)
    assert set(asyncapi(title="t", version="1", schemas=told, topics={"events": "e"})["channels"]) == {"events"}


def test_the_examples_run():
    """Those in the docstrings."""
    assert doctest.testmod(schema).failed == 0
