"""Records as an attacker or a broken producer would send them, drawn from a seed. No tests here: see fold.py.

A ``Case`` is settings and a stream of events and labels in the order in which they are applied: some are right, some
nearly, some are not JSON at all. Operators' commands as records do not exist in the product yet, so none are made.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from stream.config import Config
from tests.harness import config

EVENT, LABEL = 0, 1


class Sent(NamedTuple):
    """A record where it stands."""

    input: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Case:
    """What a seed says."""

    seed: int
    settings: Config
    records: Sequence[Sent]

    def only(self, records: Sequence[Sent]) -> "Case":
        """The same settings with other records; each keeps its place."""
        return replace(self, records=records)


# --- values -----------------------------------------------------------------------------------------------------

NUMBERS = (
    b"-0.0", b"0", b"1e308", b"-1e308", b"1e309", b"1E400", b"-1e400", b"NaN", b"nan", b"Infinity", b"-Infinity", b"inf",
    b"1e-400", b"5e-324", b"00", b"01", b"+1", b".5", b"5.", b"1_000", b"0x10", b"1e", b"--1", b"1e15", b"-1e15",
    b"1000000000000001", b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"4611686018427387904", b"-4611686018427387904", b"1" * 400, b"-" + b"9" * 5000, b"1." + b"0" * 400,
    b"1e99999999999", b"0e99999999999", b"1,5",
)  # fmt: skip
SCALARS = (
    b"true", b"false", b"null", b"True", b"None", b"undefined", b'"1"', b'"1.5"', b'"NaN"', b'"true"', b'""', b'" "',
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\xf0\x9f\x98\x80"', b'"\xed\xa0\x80"', b'"\xff"',
    b'"\\x41"', b'"\n"', b'"\\', b"'a'", b'"' + b"x" * 513 + b'"', b'"' + b"x" * 512 + b'"', b'"' + b"y" * 20_000 + b'"',
    b'"__import__(\'os\').system(\'true\')"', b'"; DROP TABLE"', b'"${jndi:ldap://x}"', b'"%s%n"', b'"../../etc"',
    '"\u202e\u2066"'.encode(), '"\u0130\u0131\u017f"'.encode(), b'"a\\u0000b"',
)  # fmt: skip
NESTS = (
    b"{}", b"[]", b"[1]", b'{"a": 1}', b"[[[]]]", b'{"$numberDouble": "1"}', b'{"__class__": "os.system"}',
    b"[" * 400 + b"]" * 400, b"[" * 600 + b"]" * 600, b"[" * 5000, b'{"a":' * 499 + b"1" + b"}" * 499,
)  # fmt: skip
TIMES = (
    b'"2018-13-01"', b'"2018-02-30"', b'"0000-00-00"', b'"2018-06-01T25:00:00"', b'"2018-06-01T10:00:60"',
    b'"9999-12-31T23:59:59.999999"', b'"9999-12-31T23:59:59-23:59"', b'"0001-01-01T00:00:00+23:59"', b'"0001-01-01"',
    b'"2018-W01-1"', b'"20180601"', b'"2018-06-01T10:00:00Z"', b'"2018-06-01T10:00:00.123456789123"', b'"-2018-06-01"',
    b'"Thu, 01 Jan 1970 00:00:00 GMT"', b'" 2018-06-01"', b'"2018-06-01T10:00:00+99:99"', b'"\xef\xbc\x92018-06-01"',
    b'"2018-06-01T02:30:00[Europe/Paris]"', b'"now"', b'"1970-01-01T00:00:00+00:00:00.5"', b'"2018-06-01T"',
    b'"2018-03-25T02:30:00"', b'"24:00"', b'"2018-06-01T24:00:00"', b"253402300799999", b"253402300800000", b"-62135596800000",
    b"-62135596800001", b"9223372036854775807", b"-9223372036854775808", b"4611686018427387904", b"-4611686018427387904",
    b"1e18", b"1e300", b"0.5", b"-0.0", b"-1", b"1e12", b"1" * 30,
)  # fmt: skip
STAMPS = (-1, 0, -2, 2**63 - 1, -(2**63), 2**62, -(2**62), -(2**62) - 1, 2**31, 253402300800000, -62135596800001)
"""Kafka's own times of records, which a producer sets to any 64 bits."""


def _any(draw: random.Random) -> bytes:
    pool = draw.choice((NUMBERS, NUMBERS, SCALARS, SCALARS, NESTS, TIMES))
    return draw.choice(pool)


# --- whole records ----------------------------------------------------------------------------------------------


def _written(fields: dict[str, Any]) -> dict[str, bytes]:
    return {name: orjson.dumps(value) for name, value in fields.items()}


def _joined(fields: Sequence[tuple[bytes, bytes]], space: bytes = b"") -> bytes:
    return b"{" + b",".join([space + name + b":" + space + value for name, value in fields]) + b"}"


def _pairs(fields: dict[str, bytes]) -> list[tuple[bytes, bytes]]:
    return [(orjson.dumps(name), value) for name, value in fields.items()]


def _garbage(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    return draw.randbytes(draw.choice((0, 1, 2, 8, 60, 300)))


def _soup(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    """JSON's own pieces in no order."""
    pieces = (
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b"\\",
        b'"id"',
        b"1",
        b" ",
        b"null",
        b"\n",
        b"\x00",
        b"//",
        b"-",
    )
    return b"".join(draw.choices(pieces, k=draw.randrange(1, 40)))


def _odd_value(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        fields[draw.choice(list(fields))] = _any(draw)
    return _joined(_pairs(fields), draw.choice((b"", b"", b" ", b"\n\t")))


def _odd_time(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    if "time" in fields:
        fields["time"] = draw.choice(TIMES)
    return _joined(_pairs(fields))


def _odd_names(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    """A field is missing, misspelt, escaped, twice there, or one that means something to Python or JavaScript."""
    pairs = _pairs(fields)
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(pairs))
        name, value = pairs[at]
        change = draw.randrange(6)
        if change == 0:
            del pairs[at]
        elif change == 1:
            pairs[at] = (draw.choice((name.upper(), name[:-1], b'"' + name + b'"', b"1", b"", b'"\xff"')), value)
        elif change == 2:
            pairs[at] = (b'"' + b"".join(b"\\u%04x" % byte for byte in name.strip(b'"')) + b'"', value)
        elif change == 3:
            pairs.insert(draw.randrange(len(pairs) + 1), (name, _any(draw)))
        elif change == 4:
            pairs.insert(at, (name, value))
        else:
            odd = draw.choice(
                (
                    b'"__proto__"',
                    b'"__class__"',
                    b'""',
                    b'"\\u0000"',
                    b'"\\ud800"',
                    b'"id\\u0000"',
                    b'"' + b"n" * 3000 + b'"',
                )
            )
            pairs.append((odd, _any(draw)))
        if not pairs:
            break
    return _joined(pairs)


def _cut(draw: random.Random, value: bytes) -> bytes:
    return value[: draw.randrange(len(value) + 1)]


def _flip(draw: random.Random, value: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _splice(draw: random.Random, value: bytes) -> bytes:
    at, to = sorted((draw.randrange(len(value) + 1), draw.randrange(len(value) + 1)))
    return value[:at] + draw.choice((b"", value[at:to] * 2, draw.randbytes(3), b"\x00", b",", b'"', b"}")) + value[to:]


def _wrapped(draw: random.Random, value: bytes) -> bytes:
    return draw.choice(
        (
            b"[" + value + b"]", b'{"a":' + value + b"}", value + value, value + b"\n" + value, value + b",", b"\xef\xbb\xbf" + value,
            value + b"\x00", b"\x00" + value, value.decode().encode("utf-16"), value.decode().encode("utf-32-le"),
            orjson.dumps(value.decode()), b"  \r\n\t" + value + b"\n\n", b"\x00\x00\x00\x00\x01" + value, value + b"//x", b")]}',\n" + value,
        )
    )  # fmt: skip


def _mutated(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    value = _joined(_pairs(fields))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        try:
            value = draw.choice((_cut, _flip, _flip, _splice, _splice, _wrapped))(draw, value) or value
        except UnicodeDecodeError:
            continue
    return value


def _huge(draw: random.Random, fields: dict[str, bytes]) -> bytes:
    """Ten thousand fields, thousands of levels, more bytes than a record may have."""
    pairs = _pairs(fields)
    kind = draw.randrange(6)
    if kind == 0:
        pairs += [(b'"f%d"' % number, b"1") for number in range(draw.choice((990, 1001, 10_000)))]
    elif kind == 1:
        depth = draw.choice((498, 499, 500, 501, 5000, 100_000))
        pairs.append((b'"deep"', b"[" * depth + b"]" * depth))
    elif kind == 2:
        depth = draw.choice((499, 501, 3000))
        pairs.append((b'"deep"', b'{"a":' * depth + b"1" + b"}" * depth))
    elif kind == 3:
        pairs.append((b'"long"', b'"' + b"z" * draw.choice((1025, 100_000, 1_000_001)) + b'"'))
    elif kind == 4:
        pairs.append((b'"list"', b"[" + b",".join([b"{}"] * 20_000) + b"]"))
    else:
        return b" " * draw.choice((10_000, 1_000_001)) + _joined(pairs)
    draw.shuffle(pairs)
    return _joined(pairs)


_WAYS: tuple[tuple[Callable[[random.Random, dict[str, bytes]], bytes], float], ...] = (
    (_garbage, 1), (_soup, 1), (_odd_value, 5), (_odd_names, 2), (_mutated, 4), (_huge, 0.05),
)  # fmt: skip


# --- cases ------------------------------------------------------------------------------------------------------

_OWN = {"topic": "labels", "id": "id", "value": "y", "time": "time", "wait": "60s", "park": "20s"}
_SOURCES: tuple[dict[str, Any] | None, ...] = (
    {**_OWN, "conflict": "first"},
    {**_OWN, "conflict": "last", "waiting_max": 15, "park_max": 3},
    {**_OWN, "time": {"field": "time", "unit": "us", "zone": "Europe/Amsterdam"}},
    {**_OWN, "time": None},
    {**_OWN, "partitioning": "broadcast"},
    {**_OWN, "assume": {"value": 0, "after": "25s"}, "wait": "70s"},
    {"field": "y", "delay": "15s"},
    {"field": "y"},
    None,
)
_SCALED = "river.preprocessing.StandardScaler"
_LEARNERS: dict[str, dict[str, Any]] = {
    "binary": {
        "logistic": [_SCALED, "river.linear_model.LogisticRegression"],
        "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
        "compiled": [_SCALED, {"river.linear_model.LogisticRegression": {"l2": 0.01}}],
    },
    "regression": {
        "line": [_SCALED, "river.linear_model.LinearRegression"],
        "tree": {"river.tree.HoeffdingTreeRegressor": {"grace_period": 10}},
    },
    "multiclass": {
        "bayes": "river.naive_bayes.GaussianNB",
        "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
    },
    "anomaly": {
        "trees": {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 10, "height": 3, "n_trees": 3}},
    },
}
_DETECTORS = (
    "adwin",
    {"page_hinkley": {"threshold": 3.0, "min_instances": 5}},
    {"kswin": {"seed": 1, "window_size": 30, "stat_size": 10}},
)
_FEATURES: tuple[list[Any] | None, ...] = (
    ["a", "b"],
    ["a", {"b": {"required": False}}],
    ["a", {"b": {"type": "boolean", "required": False}}],
    ["a", {"b": {"type": "text"}}],
    None,
)
_TIMES: tuple[Any, ...] = (
    "time", "time", {"field": "time", "unit": "s"}, {"field": "time", "unit": "us", "zone": "America/New_York"}, None,
)  # fmt: skip
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000}


def _unit(section: Any) -> str | None:
    return None if section is None or section.time is None else section.time.unit


def _settings(draw: random.Random) -> Config:
    problem = draw.choice(("binary", "binary", "regression", "multiclass", "anomaly"))
    told = draw.choice(_SOURCES)
    labels = None if told is None else dict(told)
    if labels is not None and problem == "multiclass":
        labels |= {"new_classes": True, "classes_max": draw.choice((3, 10))}
        if "assume" in labels:
            labels |= {"classes": ["x"], "assume": {"value": "x", "after": "25s"}}
    names = draw.sample(list(_LEARNERS[problem]), draw.randint(1, len(_LEARNERS[problem])))
    detectors = []
    for _ in range(draw.randrange(3)):
        signal = draw.choice(("error", "loss", "score", "label", {"feature": "a"}))
        detectors.append(
            {"signal": signal, "detector": draw.choice(_DETECTORS), "response": draw.choice(("alarm", "reset"))}
        )
    if labels is None:
        detectors = [one for one in detectors if one["signal"] not in ("error", "loss", "label")]
    features = draw.choice(_FEATURES)
    if features is None or isinstance(features[1], dict):
        # text ends a scaler's learning at every label; a detector that lets it begin anew each time would do so for ever
        detectors = [{**one, "response": "alarm"} for one in detectors]
    return config(
        problem=problem,
        events={
            "topic": "events", "id": "id", "key": draw.choice(("card", "card", None)), "time": draw.choice(_TIMES),
            "features": features,
        },
        labels=labels,
        learners={name: _LEARNERS[problem][name] for name in names},
        detectors=detectors,
        learn_errors_max=draw.choice((0, 2, 10)),
        time_jump_max=draw.choice(("10s", "1d", "36500d")),
    )  # fmt: skip


class _World:
    """Makes the records of a case, one after the other."""

    def __init__(self, draw: random.Random, settings: Config) -> None:
        self.draw, self.settings = draw, settings
        self.offsets = [0, 0]
        self.ids: list[str] = ["e0"]
        self.wrong = draw.choice((0.1, 0.5, 0.9))  # how much of the stream is hostile
        self.wild = draw.choice((0.0, 0.0, 0.01, 0.2))  # and how many of its times are
        listed = settings.events.features
        self.kind_of_b = None if listed is None else listed[1].type

    def truth(self) -> object:
        draw = self.draw
        choices = {"regression": draw.gauss(0, 3), "multiclass": draw.choice("xyzq")}
        return choices.get(self.settings.problem, draw.choice((True, False, 0, 1)))

    def time(self, unit: str) -> int:
        seconds = len(self.ids) + self.draw.choice((0, 0, 0, 0, -3, 40 * (self.draw.random() < 0.1)))
        return seconds * _PER_SECOND[unit]

    def event(self) -> dict[str, Any]:
        draw = self.draw
        number = len(self.ids)
        event = draw.choice(self.ids) if draw.random() < 0.05 else f"e{number}"
        if event == f"e{number}":
            self.ids.append(event)
        b: Any = {"boolean": draw.random() < 0.5, "text": draw.choice("uvw")}.get(str(self.kind_of_b), draw.gauss(0, 1))
        fields = {"id": event, "card": f"c{number % 3}", "a": draw.gauss(0, 1), "b": b}
        if (unit := _unit(self.settings.events)) is not None:
            fields["time"] = self.time(unit)
        if self.settings.labels is not None and not self.settings.labels.own_stream and draw.random() < 0.7:
            fields["y"] = self.truth()
        return fields

    def label(self) -> dict[str, Any]:
        back = min(self.draw.randrange(30), len(self.ids) - 1)
        about = (
            self.ids[-1 - back]
            if self.draw.random() < 0.9
            else self.draw.choice(("nobody", f"e{len(self.ids)}", self.ids[0]))
        )
        fields: dict[str, Any] = {"id": about, "y": self.truth()}
        if (unit := _unit(self.settings.labels)) is not None:
            fields["time"] = self.time(unit)
        return fields

    def sent(self, which: int) -> Sent:
        draw = self.draw
        fields = _written(self.label() if which == LABEL else self.event())
        value: bytes | None
        if draw.random() < 0.02:
            value = draw.choice((None, b""))
        elif draw.random() < self.wrong:
            ways, weights = zip(*_WAYS, strict=True)
            value = draw.choices(ways, weights)[0](draw, fields)
        elif draw.random() < self.wild:
            value = _odd_time(draw, fields)
        else:
            value = _joined(_pairs(fields))
        offset = self.offsets[which]
        self.offsets[which] += draw.choice((1, 1, 1, 7))  # markers and compaction leave gaps
        stamp = draw.choice(STAMPS) if draw.random() < self.wild else 1000 * len(self.ids)
        key = draw.choice((None, b"", b"k", draw.randbytes(4)))
        return Sent(which, offset, stamp, key, value)


def case(seed: int, count: int) -> Case:
    """The same for ever for a seed and a count."""
    draw = random.Random(seed)
    settings = _settings(draw)
    world = _World(draw, settings)
    two = settings.labels is not None and settings.labels.own_stream
    return Case(seed, settings, [world.sent(LABEL if two and draw.random() < 0.4 else EVENT) for _ in range(count)])


def probes(case: Case) -> list[Sent]:
    """Clean events to ask a state with, at the end of the case's own."""
    world = _World(random.Random(0), case.settings)
    world.ids = [f"probe{number}" for number in range(len(case.records))]
    world.offsets = [1 + max((one.offset for one in case.records if one.input == which), default=0) for which in (0, 1)]
    world.wrong = world.wild = 0.0
    made = []
    for _ in range(3):
        fields = world.event() | {"id": f"probe-{len(made)}"}
        made.append(Sent(EVENT, world.offsets[EVENT] + len(made), 10**6, None, _joined(_pairs(_written(fields)))))
    return made
