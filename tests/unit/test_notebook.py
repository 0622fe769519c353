"""The notebook among the examples runs, from its first cell to its last, and shows what it says."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "backtest.ipynb"


def cells(kind: str) -> list[str]:
    told = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in told["cells"] if cell["cell_type"] == kind]


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, in order, in one namespace; both configurations answered every payment and fraud scores higher."""
    monkeypatch.setattr("tempfile.mkdtemp", lambda *_, **__: str(tmp_path))
    known: dict[str, Any] = {}
    for number, source in enumerate(cells("code")):
        exec(compile(source, f"cell {number}", "exec"), known)
    judged = known["judged"]
    assert len(known["both"]) == len(known["answers"]) > 1000
    assert judged[judged.label.astype(bool)].score.mean() > judged[~judged.label.astype(bool)].score.mean()
    assert known["result"].report.exists()


def test_it_holds_no_outputs() -> None:
    """What a run showed is not kept: it would grow old."""
    told = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in told["cells"] if "outputs" in cell)
