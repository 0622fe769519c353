"""Records to decode, and what becomes of them. Read test_codec.py."""

import json

from learners.rows import Feature
from stream.codec import (
    EventDecoder,
    EventSpec,
    LabelDecoder,
    LabelSpec,
    Limits,
    Target,
    TimeField,
)
from stream.records import Records

BINARY = Target("binary")
CARD = EventSpec(
    id="id",
    key="card",
    time=TimeField("at"),
    features=(Feature("amount", "number"), Feature("online", "boolean", required=False), Feature("shop", "text")),
    label="fraud",
)
GOOD = {"id": "e1", "card": 7, "at": 1527811200000, "amount": 12, "online": True, "shop": "x", "fraud": 1}
LIMITS = Limits(width=20, depth=10, record_bytes=1000, text_chars=8, id_chars=10)


def records(*values):
    raw = [value if value is None or isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    return Records(list(range(len(raw))), [5000 + n for n in range(len(raw))], [None] * len(raw), raw)


def decode(*values, spec=CARD, limits=LIMITS, target=BINARY):
    return EventDecoder(spec, limits, target).decode(records(*values))


def labels(*values, spec=None, target=BINARY):
    spec = spec or LabelSpec("id", "y", TimeField("at"))
    return LabelDecoder(spec, LIMITS, target).decode(records(*values))


def why(value, **settings):
    """Reason and error of the one record, which is refused."""
    reject = decode(value, **settings).rejects[0]
    assert reject.stage == "decode"
    return reject.reason, reject.error


def changed(**fields):
    return {name: value for name, value in {**GOOD, **fields}.items() if value is not ...}


def raw(text, **fields):
    """GOOD with the amount written as ``text``."""
    return json.dumps(changed(amount="AMOUNT", **fields)).replace('"AMOUNT"', text).encode()


OPEN = EventSpec("id", "card", TimeField("at"), None, exclude=("internal",), label="fraud")
