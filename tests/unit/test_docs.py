"""The pages say what is there: links lead somewhere, and tables of metrics, counts, errors and reasons are complete."""

import ast
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stream import errors
from stream.cli.main import VERBS
from stream.config import validate
from stream.config_loading import Source
from stream.runtime.readings import TaskReadings
from stream.serving.readings import WorkerReadings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
ids = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def first_column(rows_of: str) -> set[str]:
    """Everything in backticks in the first column of the table under this header line."""
    table = OPERATING.split(f"\n| {rows_of} |", 1)[1].split("\n\n", 1)[0]
    return {word for row in table.splitlines()[2:] for word in re.findall(r"`([^`]+)`", row.split("|")[1])}


def literals(pattern: str, files: Iterable[Path]) -> set[str]:
    return {found for file in files for found in re.findall(pattern, file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the repository names a file that is there, and a heading that is in it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_are_there(page: Path) -> None:
    """A verb that a page lets somebody run exists, and so does a make target."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bheadrace ([a-z]+)", blocks)) <= set(VERBS)
    assert set(re.findall(r"(?:^\$ |`)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)


def test_every_metric_is_told() -> None:
    """The table of metrics is what a worker serves, no more and no less."""
    readings = TaskReadings(0, stream_time_ms=0, checkpoint_at=0.0)
    readings.lag, readings.counts, readings.outputs = {"a": 1}, {"a": 1}, {"a": 1}
    readings.rejects, readings.alarms, readings.frozen = {"a": 1}, {"a": 1}, {"a": "b"}
    readings.weights = {"a": {"b": 0.5}}
    readings.thresholds = {"a": 0.5}
    readings.metrics, readings.coverage = {"a": {"all": {"b": 1.0}}}, {"share": 1.0, "age_mean_ms": 1.0}
    readings.unknown_fields = {"a": 1}

    class NoWorker:
        def ready(self) -> bool:
            return True

    served = {sample.name for sample in WorkerReadings(NoWorker(), {0: readings}, lambda: 0.0).samples()}  # type: ignore[arg-type]
    assert first_column("metric") == served


def test_every_count_is_told() -> None:
    """The table of what is counted names every count of the step."""
    files = (ROOT / "stream" / "pipeline").glob("*.py")
    counted = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("counts"):
                counted |= {n.value for n in ast.walk(node.slice) if isinstance(n, ast.Constant)}
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_end_wait"):
                counted |= {n.value for n in node.args if isinstance(n, ast.Constant)}
    assert first_column("`what`") == counted


def test_every_reason_is_told() -> None:
    """The table of rejects names every reason that a record is refused for."""
    files = [*(ROOT / "stream").glob("codec*.py"), *(ROOT / "stream" / "pipeline").glob("*.py")]
    assert first_column("`reason`") == literals(r"(?:Reject|Refused)\(\s*\"([a-z_]+)\"", files)


def test_every_error_is_told() -> None:
    """The table of errors names each class, and the exit code that it ends with."""
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.HeadraceError) and kind is not errors.HeadraceError
    }
    assert first_column("error") == set(kinds)
    for name, kind in kinds.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*\| (\d*) ?\|$", OPERATING, re.MULTILINE)
        assert row in ("", str(kind.exit_code)), name


def test_the_readme_configuration_loads() -> None:
    """What the README shows as a pipeline is one."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    config = validate(Source(ROOT / "README.md", YAML(typ="safe").load(text), {}))
    assert config.champion == "logistic"
