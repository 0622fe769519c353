"""The list of planted bugs cannot rot: each still applies to the source as it is."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.simulation.mutants.catalogue import Mutant, catalogue

ROOT = Path(__file__).parents[3]
MUTANTS = catalogue()


def test_there_are_at_least_thirty():
    """As many as the issue asks for."""
    assert len(MUTANTS) >= 30


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_applies_to_the_source(mutant: Mutant, tmp_path: Path):
    """Its old text stands in its file exactly once, and what comes of it, where it is Python, says something else."""
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.file, copy)
    mutant.apply(tmp_path)
    if copy.suffix != ".py":
        return
    assert ast.dump(ast.parse(copy.read_text("utf-8"))) != ast.dump(ast.parse((ROOT / mutant.file).read_text("utf-8")))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_says_what_it_breaks(mutant: Mutant):
    """In one sentence."""
    assert mutant.breaks.endswith(".")
