import json
from pathlib import Path

import pytest

from stream.cli.init import write
from stream.cli.main import main


def told(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["schema", str(path), *more])
    said = capsys.readouterr()
    return code, said.out or said.err


def test_every_topic_has_a_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events, labels and all outputs are described."""
    code, said = told(write(tmp_path, "fraud"), capsys)
    assert (code, list(json.loads(said))) == (0, ["events", "labels", "predictions", "alarms", "rejects"])


def test_one_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--of` gives one schema, with the fields of the configuration."""
    _, said = told(write(tmp_path, "fraud"), capsys, "--of", "events")
    assert {"id", "customer", "time", "amount", "online"} <= set(json.loads(said)["properties"])


def test_labels_that_ride_in_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where labels have no records of their own, there is no schema of them."""
    code, said = told(write(tmp_path, "minimal"), capsys, "--of", "labels")
    assert (code, "ride in the events" in said) == (2, True)


def test_asyncapi_names_the_topics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The AsyncAPI document has the configured topics as addresses."""
    _, said = told(write(tmp_path, "fraud", kafka="b:1"), capsys, "--asyncapi")
    assert json.loads(said)["channels"]["predictions"]["address"] == "fraud-scores"


def test_asyncapi_is_about_topics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline of files has no AsyncAPI document."""
    assert told(write(tmp_path, "fraud"), capsys, "--asyncapi")[0] == 2
