"""A backtest that was killed goes on: the files at the end are those of one that never was."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from stream.errors import ConfigError
from stream.replay import sources
from stream.replay.backtest import RESUME
from tests.unit.stream.replay.histories import TREE, backtest, history, settings, write

ROOT = Path(__file__).parents[4]
KILLED = """
import os, signal, sys
import orjson
from stream.replay import sources
from stream.replay.backtest import backtest

sources.BATCH = 50
data, out, kind, number = orjson.loads(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
left = number

def count(*ignored):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if kind == "piece":
    tell = count
else:
    tell, fsync = lambda _: None, os.fsync
    os.fsync = lambda descriptor: (count(), fsync(descriptor))[1]
backtest(data, out=out, report=False, every_s=1e9, every_records=120, tell=tell)
"""


def start(data, out: Path, kind: str, number: int) -> int:
    """In a process of its own, which kills itself at the given piece, or at the given touch of the disk."""
    arguments = [sys.executable, "-c", KILLED, orjson.dumps(data).decode(), str(out), kind, str(number)]
    return subprocess.run(arguments, cwd=ROOT, check=False, timeout=60, capture_output=True).returncode


class Enough(Exception):
    pass


def begin(data, out: Path) -> None:
    """In this process, ended by an error after 400 records."""

    def stop(progress):
        if progress.records >= 400:
            raise Enough

    with pytest.raises(Enough):
        backtest(data, out=out, every_records=100, tell=stop)


def files(path: Path) -> dict[str, bytes]:
    """Everything that is there, by its name."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 50)


@pytest.fixture
def data(tmp_path):
    history(tmp_path, 500)
    return settings(tmp_path)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(("kind", "numbers"), [("piece", (7,)), ("fsync", (9, 30)), ("fsync", (17, 41))])
def test_killed_and_called_again(tmp_path, data, kind, numbers):
    """Killed at any piece or any touch of the disk, again and again, it ends with the same bytes in every file."""
    whole = backtest(data, out=tmp_path / "whole").path
    for number in numbers:
        assert start(data, tmp_path / "killed", kind, number) == -9
        assert (tmp_path / "killed" / RESUME).exists()
    goes_on = backtest(data, out=tmp_path / "killed", every_records=120)
    assert files(goes_on.path) == files(whole)
    assert not (goes_on.path / RESUME).exists()


@pytest.mark.usefixtures("small_batches")
def test_it_does_go_on(tmp_path, data):
    """What was folded before the last resume point is not folded again."""
    begin(data, tmp_path / "out")
    seen = []
    backtest(data, out=tmp_path / "out", every_records=100, tell=lambda progress: seen.append(progress.records))
    assert seen[0] > 300


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("change", ["threshold", "file", "stop", "at_end"])
def test_another_backtest_is_refused(tmp_path, data, change):
    """What would not give the same files does not go on there, and the message names the difference."""
    begin(data, tmp_path / "out")
    more = {}
    other = dict(data)
    if change == "threshold":
        other["predictions"] = {"threshold": 0.9}
    elif change == "file":
        with (tmp_path / "events.jsonl").open("ab") as file:
            file.write(b"{}\n")
    elif change == "stop":
        more = {"stop": "2020-09-14"}
    else:
        more = {"at_end": "keep"}
    words = {"threshold": "threshold", "file": "events.jsonl", "stop": "to_ms", "at_end": "at_end"}
    with pytest.raises(ConfigError, match=f"(?s)not done.*{words[change]}.*--overwrite"):
        backtest(other, out=tmp_path / "out", **more)
    result = backtest(other, out=tmp_path / "out", overwrite=True, **more)
    assert not (result.path / RESUME).exists()


def test_results_are_not_written_over_unasked(tmp_path, data):
    """A directory that holds results is refused; with ``overwrite`` they go, and what is not ours stays."""
    first = backtest(data, out=tmp_path / "out")
    before = files(first.path)
    write(first.path / "notes.txt", [b"mine"])
    with pytest.raises(ConfigError, match="holds a backtest already"):
        backtest(data, out=tmp_path / "out")
    again = backtest(data, out=tmp_path / "out", overwrite=True)
    assert files(again.path) == {**before, "notes.txt": b"mine\n"}


@pytest.mark.usefixtures("small_batches")
def test_several_in_one_pass_go_on_together(tmp_path, data):
    """Two configurations in a pass are saved at one place, whichever was written first."""
    both = [data, {**data, "name": "tree", "learners": {"main": TREE}}]
    whole = backtest(both, out=tmp_path / "whole").path
    for number in (15, 31):
        assert start(both, tmp_path / "killed", "fsync", number) == -9
    assert files(backtest(both, out=tmp_path / "killed", every_records=120).path) == files(whole)
