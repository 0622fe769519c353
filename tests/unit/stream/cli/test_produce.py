from pathlib import Path

import pytest

from stream.cli.produce import key_of, keyed, paced
from stream.errors import ConfigError


def test_records_with_their_keys(tmp_path: Path) -> None:
    """Values are the lines' own bytes; keys are a field's text."""
    (tmp_path / "a.jsonl").write_bytes(b'{"k": "x",  "v": 1}\n{"k": 7}\n')
    assert list(keyed([str(tmp_path / "a.jsonl")], "k")) == [(b"x", b'{"k": "x",  "v": 1}'), (b"7", b'{"k": 7}')]


def test_tables_become_json(tmp_path: Path) -> None:
    """A row of a CSV file is a JSON object."""
    (tmp_path / "a.csv").write_text("k,v\nx,1\n")
    assert [key for key, _ in keyed([str(tmp_path / "a.csv")], "k")] == [b"x"]


def test_records_without_keys(tmp_path: Path) -> None:
    """Without a field there is no key, and the records are not parsed."""
    (tmp_path / "a.jsonl").write_bytes(b"not JSON\n")
    assert list(keyed([str(tmp_path / "a.jsonl")], None)) == [(None, b"not JSON")]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"a": 1}', "record 3 has no field `k`"),
        (b"{", "record 3 is not a JSON object"),
        (b"[1]", "record 3 is not a JSON object"),
        (b'{"k": 1.5}', "text or a whole number, got 1.5"),
        (b'{"k": true}', "got True"),
        (b'{"k": null}', "got None"),
    ],
)
def test_no_key(value: bytes, said: str) -> None:
    """A record without a usable key stops the verb and is named."""
    with pytest.raises(ConfigError, match=said):
        key_of(value, "k", 3)


def test_a_rate_spreads_records() -> None:
    """Record number n goes no earlier than n / rate after the first."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    records = paced(iter([(None, b"x")] * 4), 2.0, monotonic=lambda: now[0], sleep=sleep)
    assert [now[0] for _ in records] == [0.0, 0.5, 1.0, 1.5]


def test_no_rate_waits_for_nothing() -> None:
    """Without a rate nothing sleeps."""
    assert len(list(paced(iter([(None, b"x")] * 4), None, sleep=lambda seconds: pytest.fail("slept")))) == 4
