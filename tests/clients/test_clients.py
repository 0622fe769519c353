"""The client libraries still do under faults what Headrace was built on: each cell of the table, measured on a broker."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import scenes, table
from tests.clients.scenes import Cell

TABLE = table.expected()
CELLS = [(scene, library) for scene, row in TABLE.rows.items() for library in row.cells]

PLAY_S = 280
ROOT = Path(__file__).parents[2]
Measured = Mapping[str, Mapping[str, Cell]]


@pytest.fixture(scope="module")
def measured() -> Measured:
    """All scenes, once; in a process of their own, because the libraries leave sockets open after such faults."""
    played = subprocess.run(
        [sys.executable, "-m", "tests.clients", "--json"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=PLAY_S,
    )
    assert played.returncode == 0, played.stderr[-4000:]
    answers = json.loads(played.stdout)
    return {
        scene: {library: Cell(tuple(said), tuple(found)) for library, (said, found) in row.items()}
        for scene, row in answers.items()
    }


def test_every_scene_has_its_row() -> None:
    """Scenes and rows of the table are the same, and every library stands in every row."""
    assert set(TABLE.rows) == set(scenes.BESIDE) | set(scenes.ALONE)
    assert all(set(row.cells) == set(TABLE.versions) == set(table.BUILT_ON) for row in TABLE.rows.values())


def test_the_page_shows_the_table() -> None:
    """docs/guarantees.md has these rows, and the versions that they were measured with."""
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert page.split("<!-- clients:begin -->")[1].split("<!-- clients:end -->")[0].strip() == table.as_markdown(TABLE)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(("scene", "library"), CELLS, ids=[f"{scene}-{library}" for scene, library in CELLS])
def test_a_library_answers_as_it_did(scene: str, library: str, measured: Measured) -> None:
    """One library under one fault: what it says, and what a witness finds."""
    versions = f"{scenes.versions()[library]} (the table: {TABLE.versions[library]}); look at {table.BUILT_ON[library]}"
    assert measured[scene][library] == TABLE.cell(scene, library), f"{library} {versions}"


def test_a_changed_answer_is_told() -> None:
    """A cell that differs is told with version, fault, both answers, and the file that rests on it."""
    measured = {scene: dict(row.cells) for scene, row in TABLE.rows.items()}
    measured["outage"]["librdkafka"] = Cell(("send: returns",), ("before",))
    versions = {**TABLE.versions, "librdkafka": "2.17.0"}
    (said,) = table.changes(TABLE, measured, versions)
    for part in (
        "librdkafka 2.17.0: 'a send expires",
        "send: returns. Found: before",
        "abort required",
        "kafka_writer.py",
    ):
        assert part in said
