import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.build import signing_key
from stream.checkpoints.base import ChunkEntry, Head
from stream.checkpoints.files import FileStore
from stream.checkpoints.heads import digest_of, seal_head
from stream.checkpoints.signing import Signer
from stream.cli import checkpoints, stores
from stream.cli.main import main
from stream.config import Config, load

TEXT = """
name: cards
events: {file: events.jsonl, id: id, time: time}
learners: {one: river.linear_model.LogisticRegression}
checkpoints: {store: ./store}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration whose store has entries 5 and 9 of task 0."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT)
    for entry in (5, 9):
        save(load(path, {}), entry)
    return path


def save(config: Config, entry: int, task: int = 0, key: bytes | None = None) -> None:
    store = FileStore(config.path(config.checkpoints.store.location.get()))
    name, piece = f"{config.name}/{task}", b"state %d" % entry
    chunk = ChunkEntry("learner/one", "state", "bytes", (digest_of(piece),), len(piece))
    head = Head(
        task=name, entry_number=entry, journal_offset=entry + 100, token=1, positions=(7, 8), records=1000 * entry,
        stream_time_ms=1_700_000_000_000, saved_ms=1_700_000_000_000, lineage={"answers": {}}, chunks=(chunk,),
    )  # fmt: skip
    store.put(name, {digest_of(piece): piece})
    signer = Signer(key or signing_key(config))
    sealed = seal_head(head, signer)
    assert store.advance(name, sealed, token=1, position=entry, digests=chunk.pieces, keep=10)


Asked = Callable[..., tuple[int, str]]


@pytest.fixture
def asked(path: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The exit code and the output of `headrace checkpoints ACTION CONFIG …`."""

    def ask(action: str, *more: str) -> tuple[int, str]:
        code = main(["checkpoints", action, str(path), *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return ask


def test_the_newest_stands_first(asked: Asked) -> None:
    """The list has every checkpoint, newest first."""
    told = json.loads(asked("list", "--json")[1])
    assert [each["entry"] for each in told] == [9, 5]


def test_a_table_for_people(asked: Asked) -> None:
    """Without `--json` the list is a table with age and size."""
    code, said = asked("list")
    assert (code, "9,000" in said, "7 B" in said) == (0, True, True)


def test_one_that_does_not_verify_is_listed(asked: Asked, path: Path) -> None:
    """A checkpoint of another key is told as such, beside the good ones."""
    save(load(path, {}), 12, key=bytes(32))
    told = json.loads(asked("list", "--json")[1])
    assert ("failed verification" in told[0]["problem"], told[1]["entry"]) == (True, 9)


def test_show_is_of_the_newest(asked: Asked) -> None:
    """Without an entry the newest one is shown, with its positions and parts."""
    told = json.loads(asked("show", "--json")[1])
    assert (told["entry"], told["positions"], told["parts"]) == (9, [7, 8], {"learner/one": 7})


def test_show_for_people(asked: Asked) -> None:
    """The same in words."""
    assert "at journal entry 5 (offset 105)" in asked("show", "--entry", "5")[1]


def test_no_such_entry(asked: Asked) -> None:
    """An entry that is not stored is an error that names those that are."""
    code, said = asked("show", "--entry", "6")
    assert (code, "there are 9, 5" in said) == (1, True)


def test_no_such_task(asked: Asked) -> None:
    """A task without checkpoints is an error that names those with."""
    code, said = asked("show", "--task", "3")
    assert (code, "there are 0" in said) == (1, True)


def test_which_task(asked: Asked, path: Path) -> None:
    """With several tasks, one must be named."""
    save(load(path, {}), 3, task=1)
    code, said = asked("show")
    assert (code, "--task: 0, 1" in said) == (2, True)


def test_a_pin_holds(asked: Asked) -> None:
    """A pinned checkpoint is listed with its name and cannot be deleted."""
    asked("pin", "--entry", "5", "--name", "june")
    pins = [each["pin"] for each in json.loads(asked("list", "--json")[1])]
    code, said = asked("delete", "--entry", "5", "--yes")
    assert (pins, code, "is pinned" in said) == ([None, "june"], 1, True)


def test_a_pin_is_let_go(asked: Asked) -> None:
    """An unpinned checkpoint can be deleted."""
    asked("pin", "--entry", "5", "--name", "june")
    asked("unpin", "--name", "june")
    assert (asked("delete", "--entry", "5", "--yes")[0], len(json.loads(asked("list", "--json")[1]))) == (0, 1)


def test_a_pin_is_not_moved_unasked(asked: Asked) -> None:
    """A name in use stays where it is."""
    asked("pin", "--entry", "5", "--name", "june")
    assert asked("pin", "--entry", "9", "--name", "june")[0] == 2


def test_no_such_pin(asked: Asked) -> None:
    """An unknown pin is an error."""
    assert asked("unpin", "--name", "july")[0] == 1


def test_nothing_is_deleted_unasked(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--yes`, and nobody to ask, nothing is removed."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert (asked("delete", "--entry", "5")[0], len(json.loads(asked("list", "--json")[1]))) == (1, 2)


def test_a_wild_time_is_a_number() -> None:
    """A stream time outside the calendar does not stop the list."""
    assert checkpoints.instant(10**18) == f"{10**18} ms"


def test_an_embedded_store_that_never_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To look for checkpoints starts no Redis and leaves nothing behind."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT.replace("./store", "embedded"))
    assert (main(["checkpoints", "list", str(path)]), [each.name for each in tmp_path.iterdir()]) == (0, ["cards.yaml"])
    assert "has no checkpoint in embedded" in capsys.readouterr().out


@pytest.mark.redis
def test_a_running_embedded_store(tmp_path: Path) -> None:
    """While a worker holds its embedded Redis, the store can be looked into."""
    path = tmp_path / "cards.yaml"
    path.write_text(TEXT.replace("./store", "embedded"))
    config = load(path, {})
    with stores.open_store(config) as worker:
        worker.put("cards/0", {digest_of(b"x"): b"x"})
        with stores.store_of(config) as beside:
            assert beside.get("cards/0", digest_of(b"x")) == b"x"
