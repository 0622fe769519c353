import json

import pytest

from stream.cli.output import age, confirmed, print_json, size, table


def test_a_table_aligns() -> None:
    """Numbers stand to the right, text to the left, absent values are dashes."""
    rows = [{"topic": "a", "lag": 1}, {"topic": "events", "lag": 12_345}, {"topic": None, "lag": None}]
    assert table(rows, ["topic", "lag"]).splitlines() == [
        "topic      lag",
        "a            1",
        "events  12,345",
        "-            -",
    ]


def test_an_empty_table_has_its_head() -> None:
    """Without rows the columns are still named."""
    assert table([], ["task", "age"]) == "task  age"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0s"), (59.9, "59s"), (3661, "1h 1m"), (90_000, "1d 1h"), (86_400, "1d")]
)
def test_ages(seconds: float, said: str) -> None:
    """A length of time is told in its two largest units."""
    assert age(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5120.0 GiB")])
def test_sizes(count: int, said: str) -> None:
    """Bytes are told in the largest unit that fits."""
    assert size(count) == said


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody can be asked, nothing is done, and `--yes` is named."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert (confirmed("Send?", yes=False), "--yes" in capsys.readouterr().err) == (False, True)


def test_yes_needs_no_question() -> None:
    """`--yes` is the answer."""
    assert confirmed("Send?", yes=True)


def test_the_end_of_the_input_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-D at a question."""

    def ends(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ends)
    assert not confirmed("Send?", yes=False)


def test_programs_are_told_no_number_that_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever it stands, it is null."""
    print_json({"a": float("nan"), "b": [1.5, {"c": float("-inf")}], "d": (float("inf"), "inf", 2, True)})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": None, "b": [1.5, {"c": None}], "d": [None, "inf", 2, True],
    }  # fmt: skip
