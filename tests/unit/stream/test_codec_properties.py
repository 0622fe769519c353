"""Whatever the bytes are, the codec accepts them or refuses them with a listed reason; and every way of reading agrees."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from learners.rows import Feature
from stream.codec import EventDecoder, Events, EventSpec, LabelDecoder, LabelSpec, Limits, Target, TimeField
from stream.codec_columns import ByRules
from stream.codec_rules import event_reader
from stream.codec_specs import DelayField
from stream.records import Records

REASONS = {"decode", "schema", "non_finite", "out_of_range", "too_wide", "too_deep", "too_large", "label_domain"}
LIMITS = Limits(magnitude=1e6, width=12, depth=6, record_bytes=300, text_chars=5, id_chars=6)
FEATURES = (Feature("a", "number"), Feature("b", "boolean", required=False), Feature("c", "text", required=False))
SPEC = EventSpec("id", "key", TimeField("at", "Europe/Amsterdam", "s"), FEATURES, label="y")
TARGETS = (Target("binary"), Target("regression"), Target("multiclass", ("x", "1")))
CLOSED = [EventDecoder(SPEC, LIMITS, target) for target in TARGETS]
DECODERS = [
    *CLOSED,
    EventDecoder(EventSpec("id", "key", TimeField("at"), None, label="y"), LIMITS, TARGETS[0]),
    EventDecoder(EventSpec("id", features=()), LIMITS, TARGETS[0]),
    EventDecoder(
        EventSpec("id", None, TimeField("at"), FEATURES, label="y", delay=DelayField("z", 10, 20)), LIMITS, TARGETS[0]
    ),
    *(LabelDecoder(LabelSpec("id", "y", TimeField("at")), LIMITS, target) for target in TARGETS),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 2)
    | st.floats()
    | st.text(max_size=7)
    | st.sampled_from(
        ["0", "true", "x", "2018-06-01T10:00:00", "2018-06-01 10:00+02:00", "0001-01-01", "9999-12-31T23:59"]
    )
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
names = st.sampled_from(["id", "key", "at", "a", "b", "c", "y", "z"]) | st.text(max_size=3)


@st.composite
def nearly_json(draw):
    """An object with the right names and any values, perhaps with some bytes changed."""
    value = json.dumps(draw(st.dictionaries(names, values, max_size=14)), ensure_ascii=draw(st.booleans())).encode(
        errors="surrogatepass"
    )
    if draw(st.booleans()):
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(st.binary(max_size=3)) + value[at + draw(st.integers(0, 3)) :]
    return value


@st.composite
def nearly_right(draw):
    """An event in which at most one field is wrong."""
    event = {"id": "e", "key": 1, "at": 5, "a": 1, "b": True, "c": "x", "y": 1}
    event[draw(names)] = draw(values)
    return json.dumps(event).encode(errors="surrogatepass")


def read(decoder, value):
    return decoder.decode(Records([0], [1], [None], [value]))


@given(st.binary(max_size=40) | nearly_json() | nearly_right())
@example(b"1" * 5000)
@example(b'{"id": ' + b"9" * 250 + b"}")
@example(b'{"id": "a", "at": 1e400, "a": 1}')
@example(b'{"id": "\\ud800", "at": 1}')
def test_accepted_or_refused_with_a_listed_reason(value):
    """Never an exception; and one of both for every decoder."""
    for decoder in DECODERS:
        out = read(decoder, value)
        if isinstance(out, Events) and out.delays_ms is not None:
            assert 0 <= out.delays_ms[0] <= 20
        if out.rejects:
            assert out.rejects[0].reason in REASONS
            assert out.rejects[0].error
            assert out.ids == [""]
        else:
            assert out.ids[0]


@given(nearly_json() | nearly_right())
def test_the_typed_decoder_and_the_rules_agree(value):
    """What the fast path accepts, the rules read to the same values; what it refuses, they refuse.

    But for what only a full parser minds (a number above float64 in a field that is skipped).
    """
    for decoder, target in zip(CLOSED, TARGETS, strict=True):
        slow = EventDecoder(SPEC, LIMITS, target)
        slow._parser = ByRules(event_reader(SPEC, LIMITS, target), 6)
        fast, exact = read(decoder, value), read(slow, value)
        if fast.rejects:
            assert exact.rejects == fast.rejects
        elif not exact.rejects:
            assert repr(fast) == repr(exact)
        else:
            assert exact.rejects[0].reason == "non_finite"


@given(st.lists(st.none() | nearly_right(), max_size=6), st.integers(0, 6))
def test_where_a_batch_is_cut_changes_nothing(batch, cut):
    """One record's neighbours do not change what becomes of it."""
    records = Records(list(range(len(batch))), [1] * len(batch), [None] * len(batch), batch)
    for decoder in DECODERS:
        whole = decoder.decode(records)
        joined = decoder.decode(records.slice(0, cut))
        joined.extend(decoder.decode(records.slice(cut, len(batch))))
        assert repr(joined) == repr(whole)
