"""The client table: what was measured when it was made (expected.toml), compared with what is measured now, and shown."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.clients.scenes import Cell

EXPECTED = Path(__file__).with_name("expected.toml")
BUILT_ON = {
    "kafka-python": "stream/transport/kafka_python.py",
    "aiokafka": "stream/runtime/faust.py",
    "librdkafka": "stream/transport/kafka_writer.py",
}
"""What in Headrace rests on a library's answers."""


class Row(NamedTuple):
    """One fault: its title, and of each library the answer as data and in words."""

    title: str
    cells: Mapping[str, Cell]
    words: Mapping[str, str]


class Table(NamedTuple):
    """Versions of the libraries, and a row a scene."""

    versions: Mapping[str, str]
    rows: Mapping[str, Row]

    def cell(self, scene: str, library: str) -> Cell:
        return self.rows[scene].cells[library]


def expected() -> Table:
    """As it was when it was made."""
    data = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    versions = data.pop("versions")
    return Table(versions, {scene: _row(row) for scene, row in data.items()})


def _row(data: Mapping[str, object]) -> Row:
    answers = {library: answer for library, answer in data.items() if isinstance(answer, dict)}
    cells = {library: Cell(tuple(one["said"]), tuple(one["found"])) for library, one in answers.items()}
    return Row(str(data["title"]), cells, {library: one["words"] for library, one in answers.items()})


def changes(table: Table, measured: Mapping[str, Mapping[str, Cell]], versions: Mapping[str, str]) -> Iterator[str]:
    """A message for each cell that is no longer what the table says."""
    for scene, row in table.rows.items():
        for library, then in row.cells.items():
            now = measured[scene][library]
            if now != then:
                yield (
                    f"{library} {versions[library]}: '{row.title}' is now\n"
                    f"    {_plain(now)}\n"
                    f"  and was with {table.versions[library]}\n"
                    f"    {_plain(then)}\n"
                    f"  Look at {BUILT_ON[library]}; when it still holds, write the answer into tests/clients/expected.toml."
                )


def _plain(cell: Cell) -> str:
    return f"{'; '.join(cell.said)}. Found: {', '.join(cell.found) or 'nothing'}"


def as_text(table: Table, measured: Mapping[str, Mapping[str, Cell]], versions: Mapping[str, str]) -> str:
    """For a terminal."""
    lines = [", ".join(f"{library} {version}" for library, version in versions.items())]
    for scene, row in table.rows.items():
        lines += ["", row.title]
        for library, then in row.cells.items():
            now = measured[scene][library]
            lines += [
                f"  {library:13} {row.words[library] if now == then else 'CHANGED'}",
                f"  {'':13} ({_plain(now)})",
            ]
    return "\n".join(lines)


def as_markdown(table: Table) -> str:
    """For docs/guarantees.md: the table as it was when it was made."""
    head = [f"{library} {version}" for library, version in table.versions.items()]
    lines = [["fault", *head], ["---"] * (len(head) + 1)]
    lines += [[row.title, *(row.words[library] for library in table.versions)] for row in table.rows.values()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
