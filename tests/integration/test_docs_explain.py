"""docs/explain.md is true: its commands run in order, as a reader would run them, and say what it says they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream.checkpoints.embedded import EmbeddedRedis
from tests.integration.test_docs import MARK, Block, blocks, missing
from tests.servers import free_port

PAGE = Path(__file__).parents[2] / "docs" / "explain.md"
PAGE_S = 300
BLOCKS = tuple(blocks(PAGE.read_text(encoding="utf-8")))

pytestmark = [pytest.mark.redis, pytest.mark.slow]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block printed, by its line; the page is one shell, which ends where a command fails."""
    place = tmp_path_factory.mktemp("explain")
    script = "".join(f"echo; echo '{MARK}{block.line}'\n{block.commands}\n" for block in BLOCKS)
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    ours = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HEADRACE_SERVE__PORT": str(free_port()),
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script], check=False, cwd=place, env=others | ours, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PAGE_S,
    )  # fmt: skip
    for directory in place.rglob("redis"):
        if done.returncode:
            EmbeddedRedis(directory).stop()  # a worker that was ended by force leaves its server
    parts = done.stdout.split(f"\n{MARK}")
    reached = {int(line): text for line, _, text in (part.partition("\n") for part in parts[1:])}
    if done.returncode:
        reached[max(reached)] += f"(the page ended here, exit code {done.returncode})"
    return reached


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line-{block.line}")
def test_a_block_of_the_tutorial(block: Block, said: dict[int, str]) -> None:
    """A block of the page runs, and prints the lines that the page shows."""
    last = max(said)
    assert block.line in said, f"not reached; the page ended at line {last}:\n{said[last]}"
    output = said[block.line]
    assert "(the page ended here" not in output, output
    absent = missing(block.expected, output)
    assert absent is None, f"the page says\n  {absent}\nbut this was printed:\n{output}"


def test_the_score_that_is_explained_is_the_one_that_was_emitted(said: dict[int, str]) -> None:
    """The page shows a prediction, and explains that one."""
    asked = next(block for block in BLOCKS if "--event $event" in block.commands)
    assert "the same bytes were emitted" in said[asked.line]
