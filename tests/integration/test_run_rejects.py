"""Records that are refused, on real topics: one reject each, which an operator can look at and send again."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import (
    BEGIN_MS,
    MINUTE_MS,
    Pipeline,
    Run,
    Said,
    create_topics,
    end_all,
    feed,
    fill,
    pipeline,
    send,
    wait_for,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis]
GOOD = 300
AT_MS = BEGIN_MS + GOOD * MINUTE_MS


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


def event(**changes: object) -> bytes:
    """A good one, changed."""
    return json.dumps({"id": "odd", "card": "c1", "time": AT_MS, "amount": 1.0, "hour": 1.0} | changes).encode()


BAD: dict[str, tuple[bytes, str, str]] = {
    "not JSON": (b'{"id": "odd", "amou', "decode", "byte"),
    "not UTF-8": (b'{"id": "\xff"}', "decode", ""),
    "wrong type": (event(amount="ten"), "schema", "amount: expected number, got string"),
    "missing": (event().replace(b'"amount": 1.0, ', b""), "schema", "amount"),
    "not a number": (event().replace(b"1.0, ", b"NaN, ", 1), "non_finite", "amount"),
    "out of range": (event(amount=1e20), "out_of_range", "amount"),
    "too wide": (event(**{f"f{number}": 1 for number in range(10_000)}), "too_wide", ""),
    "too deep": (event(deep=0).replace(b'"deep": 0', b'"deep": ' + b"[" * 1000 + b"]" * 1000), "too_deep", ""),
    "too large": (event(note="x" * 600_000), "too_large", ""),
}
"""What it is, its bytes, the reason of its reject, and what its error names."""
DROPPED = {"tombstone": None, "again": json.dumps(next(feed(1))[0]).encode(), "unknown field": event(note="?")}


def refusing(kafka: str, redis: str, directory: Path) -> Pipeline:
    """A pipeline whose stream ends in one record of each kind, with good ones behind."""
    stream = fill(kafka, GOOD)
    made = pipeline(stream, directory, redis, limits={"record_bytes": 500_000})
    odd = [value for value, _, _ in BAD.values()] + list(DROPPED.values())
    good = [event(id=f"g{number}", time=AT_MS + number) for number in range(20)]
    send(kafka, ((stream.events, b"c1", value, 0) for value in odd + good))
    return made


TOTAL = 2 * GOOD + len(BAD) + len(DROPPED) + 20


@pytest.fixture
def made(kafka: str, redis_url: str, tmp_path: Path) -> Pipeline:
    return refusing(kafka, redis_url, tmp_path)


def reasons(rejects: list[Said]) -> list[str]:
    return [one.headers["reason"].decode() for one in rejects]


def test_each_bad_record_is_one_reject(made: Pipeline) -> None:
    """With the reason, the place and the original bytes; the good ones around it are answered."""
    run = Run(made.path)
    run.folded(TOTAL)
    run.stop()
    said = made.outputs()
    rejects = said["rejects"]
    assert reasons(rejects) == [reason for _, reason, _ in BAD.values()]
    for place, (one, (value, reason, error)) in enumerate(zip(rejects, BAD.values(), strict=True)):
        assert one.headers["stage"] == b"decode"
        assert error in one.headers["error"].decode()
        where = [one.headers[name].decode() for name in ("topic", "partition", "offset")]
        assert where == [made.stream.events, "0", str(GOOD + place)]
        assert int(one.headers["timestamp"]) > 0
        assert one.headers["seq"] == b"%d" % place
        if reason == "too_large":
            told: dict[str, Any] = one.told
            assert told["sha256"] == hashlib.sha256(value).hexdigest()
        else:
            assert one.value == value
    assert len(said["predictions"]) == GOOD + 20 + 1  # an unknown field is no reason to refuse


def test_what_is_refused_and_dropped_is_counted(made: Pipeline) -> None:
    """/metrics has rejects by reason, and the tombstone and the duplicate by what they were."""
    run = Run(made.path)
    run.folded(TOTAL)
    for reason in {reason for _, reason, _ in BAD.values()}:
        assert run.metric("rejects_total", reason=reason) == [r for _, r, _ in BAD.values()].count(reason)
    run.wait_until(lambda: run.metric("counted_total", what="events_duplicate") == 1)
    assert run.metric("counted_total", what="tombstones") == 1


def test_rejects_are_listed_and_sent_again(made: Pipeline) -> None:
    """`headrace rejects list` shows reasons; `redrive` sends the original bytes: what is wrong is refused once more."""
    run = Run(made.path)
    run.folded(TOTAL)
    wait_for(lambda: len(made.outputs()["rejects"]) == len(BAD))
    told = made.headrace("rejects", "list")
    assert "amount: expected number, got string" in told
    assert "2 decode" in told
    assert "2 schema" in told
    assert f"{len(BAD) - 1} records sent again" in made.headrace("rejects", "redrive", "--yes")
    run.folded(TOTAL + len(BAD) - 1)
    run.stop()
    rejects = made.outputs()["rejects"]
    assert reasons(rejects[len(BAD) :]) == [reason for _, reason, _ in BAD.values() if reason != "too_large"]


def test_an_output_above_the_limit_stops_the_worker(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """With the topic, both sizes and the setting to raise; once it is raised, work goes on."""
    made = pipeline(fill(kafka, 20), tmp_path, redis_url)
    small = f"{made.name}-small"
    create_topics(kafka, {small: 1}, {"max.message.bytes": "150"})
    made.change(predictions={"topic": small})
    run = Run(made.path)
    assert run.end() == 1
    assert f"raise max.message.bytes on {small}" in run.log
    assert "limit 150" in run.log
