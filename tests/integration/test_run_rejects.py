"""Records that are refused, on real topics: an operator can look at them and send them again. Each kind: tests/faults."""

import json
from pathlib import Path

import pytest

from tests.integration.running import (
    BEGIN_MS,
    MINUTE_MS,
    Pipeline,
    Run,
    Said,
    fill,
    pipeline,
    send,
    wait_for,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.usefixtures("ended")]
GOOD = 30
AT_MS = BEGIN_MS + GOOD * MINUTE_MS


def event(**changes: object) -> bytes:
    """A good one, changed."""
    return json.dumps({"id": "odd", "card": "c1", "time": AT_MS, "amount": 1.0, "hour": 1.0} | changes).encode()


BAD: dict[str, bytes] = {
    "decode": b'{"id": "odd", "amou',
    "schema": event(amount="ten"),
    "too_large": event(note="x" * 600_000),
}
"""Reasons of rejects, and bytes that are refused so."""


def refusing(kafka: str, redis: str, directory: Path) -> Pipeline:
    """A pipeline whose stream ends in one record of each kind, with good ones behind."""
    stream = fill(kafka, GOOD)
    made = pipeline(stream, directory, redis, limits={"record_bytes": 500_000})
    good = [event(id=f"g{number}", time=AT_MS + number) for number in range(20)]
    send(kafka, ((stream.events, b"c1", value, 0) for value in [*BAD.values(), *good]))
    return made


TOTAL = 2 * GOOD + len(BAD) + 20


@pytest.fixture
def made(kafka: str, redis_url: str, tmp_path: Path) -> Pipeline:
    return refusing(kafka, redis_url, tmp_path)


def reasons(rejects: list[Said]) -> list[str]:
    return [one.headers["reason"].decode() for one in rejects]


def test_rejects_are_listed_and_sent_again(made: Pipeline) -> None:
    """`headrace rejects list` shows reasons; `redrive` sends the original bytes: what is wrong is refused once more."""
    run = Run(made.path)
    run.folded(TOTAL)
    wait_for(lambda: len(made.outputs()["rejects"]) == len(BAD))
    told = made.headrace("rejects", "list")
    assert "amount: expected number, got string" in told
    assert "1 decode" in told
    assert "1 schema" in told
    assert f"{len(BAD) - 1} records sent again" in made.headrace("rejects", "redrive", "--yes")
    run.folded(TOTAL + len(BAD) - 1)
    run.stop()
    rejects = made.outputs()["rejects"]
    assert reasons(rejects[len(BAD) :]) == ["decode", "schema"]
