"""Compiled code on disk: found again, not when a source changed, and its compilation is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OTHER = "from learners.jit import compiled\n\n@compiled\ndef inner(x):\n    return x + {}\n"
MODULE = (
    "from learners.jit import compiled\nfrom other import inner\n\n@compiled\ndef outer(x):\n    return 2 * inner(x)\n"
)
CALL = (
    "from learners import compiling; told = []; compiling.hearers.append(lambda: told.append(1)); "
    "from module import outer; print(outer(3), bool(told))"
)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "other.py").write_text(OTHER.format(1))
    return tmp_path


def called(directory: Path) -> str:
    """What a new process gets of ``outer(3)``, and whether it was told of a compilation."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(directory / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CALL], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_is_compiled_once(code: Path) -> None:
    """The first process compiles and says so; the second one finds the code, and says nothing."""
    assert [called(code), called(code)] == ["8 True", "8 False"]


def test_follows_a_change_in_another_file(code: Path) -> None:
    """Numba itself looks only at the file of the function that is called."""
    called(code)
    (code / "other.py").write_text(OTHER.format(2))
    assert called(code) == "10 True"
