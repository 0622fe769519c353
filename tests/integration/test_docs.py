"""The tutorials in docs/ are true: a page's commands run in order, as a reader would run them, and say what it says they say.

Every block marked ``sh`` goes into one shell with ``set -e``. Of a block marked ``text`` behind one, each line must stand in
the output, in this order; ``…`` stands for anything, and a line of it alone for any number of lines.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from stream.checkpoints.embedded import EmbeddedRedis
from stream.checkpoints.redis import RedisStore
from stream.transport.admin import ControlPlane
from tests.servers import free_port

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("first-steps", "backtest", "explain")
TOPICS = ["transactions", "fraud-labels", "fraud-scores", "fraud-alarms", "fraud-rejects", "fraud-journal"]
PAGE_S = 600
MARK = "@@ block "

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(900)]


class Block(NamedTuple):
    """Commands of a page, and the lines that it says they print."""

    page: str
    line: int
    commands: str
    expected: tuple[str, ...]


def blocks(page: str) -> Iterator[Block]:
    """A page's blocks in order, each with the text behind it when there is one."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    found = list(re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    for place, block in enumerate(found):
        if block[1] == "sh":
            after = found[place + 1] if place + 1 < len(found) else None
            said = after[2].splitlines() if after is not None and after[1] == "text" else []
            yield Block(page, text.count("\n", 0, block.start()) + 1, block[2], tuple(said))


BLOCKS = {page: tuple(blocks(page)) for page in PAGES}


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """The first line that is not in the output behind those before it. Spaces count as one."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in expected:
        pattern = re.escape(" ".join(line.split())).replace("…", ".*")
        if line != "…" and not any(re.fullmatch(pattern, said) for said in lines):
            return line
    return None


@pytest.fixture(scope="module")
def pages() -> dict[str, dict[int, str]]:
    """What was said by the pages that were run."""
    return {}


@pytest.fixture
def said(
    block: Block, pages: dict[str, dict[int, str]], kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, str]:
    """What each block of the block's page printed, by its line; blocks that were not reached are missing. A page runs once."""
    if block.page not in pages:
        pages[block.page] = run(
            block.page, kafka, f"{redis_url.rpartition('/')[0]}/7", tmp_path_factory.mktemp(block.page)
        )
    return pages[block.page]


def run(page: str, kafka: str, redis: str, place: Path) -> dict[int, str]:
    """All of a page's commands in one shell."""
    ours = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HEADRACE_SERVE__PORT": str(free_port()),
        "KAFKA": kafka,
        "REDIS": redis,
        "PYTHONUNBUFFERED": "1",
    }
    _clean(kafka, redis)
    script = "".join(f"echo; echo '{MARK}{block.line}'\n{block.commands}\n" for block in BLOCKS[page])
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    with (place / "output").open("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-e", "-c", script], cwd=place, env=others | ours, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            with suppress(subprocess.TimeoutExpired):
                shell.wait(PAGE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        output.seek(0)
        parts = output.read().split(f"\n{MARK}")
    reached = {int(line): text for line, _, text in (part.partition("\n") for part in parts[1:])}
    if shell.returncode:
        reached[max(reached)] += f"(the page ended here, exit code {shell.returncode})"
        for directory in place.rglob("redis"):  # a worker that was ended by force leaves its server
            EmbeddedRedis(directory).stop()
    _clean(kafka, redis)
    return reached


def _clean(kafka: str, redis: str) -> None:
    """The page's topics have names of their own; servers that outlive a run keep them."""
    with ControlPlane({"bootstrap.servers": kafka}) as plane:
        for topic in TOPICS:
            plane.delete(topic)
    store = RedisStore(redis)
    for task in store.tasks():
        store.clear(task)
    store.close()


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"{page}-line-{block.line}") for page in PAGES for block in BLOCKS[page]],
)
def test_a_block_of_a_tutorial(block: Block, said: dict[int, str]) -> None:
    """A block of the page runs, and prints the lines that the page shows."""
    last = max(said)
    assert block.line in said, f"not reached; the page ended at line {last}:\n{said[last]}"
    output = said[block.line]
    assert "(the page ended here" not in output, output
    absent = missing(block.expected, output)
    assert absent is None, f"the page says\n  {absent}\nbut this was printed:\n{output}"
