"""Files as a log, beyond the common contract: crashes between two writes, damage, ownership, a disk that refuses."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.errors import ConfigError, Fenced, InDoubt, JournalBroken, LogError, LogMisfit, LogUnavailable, RecordsGone
from stream.records import OUTPUTS, OutputRecords, Outputs
from stream.transport import ledger
from stream.transport.files import FilesLog, FilesTaskLog, parse_reject, reject_line
from stream.transport.ledger import committed_lines, output_path
from stream.transport.spans import span_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "events.jsonl").write_bytes(b"".join(b'{"id":%d}\n' % number for number in range(20)))
    return tmp_path


@pytest.fixture
def logs(place: Path) -> Iterator[list[FilesLog]]:
    opened: list[FilesLog] = []
    yield opened
    for log in opened:
        log.close()


def task(place: Path, logs: list[FilesLog], pipeline: str = "p") -> FilesTaskLog:
    logs.append(FilesLog([place / "events.jsonl"], None, place / "out", pipeline))
    return logs[-1].open(0)


def fenced(place: Path, logs: list[FilesLog]) -> FilesTaskLog:
    opened = task(place, logs)
    opened.fence()
    return opened


def two_batches(place: Path, logs: list[FilesLog]) -> Path:
    """A directory in which a worker committed two batches of two predictions and ended."""
    opened = fenced(place, logs)
    opened.commit(b"first", predictions(0), (2,))
    opened.commit(b"second", predictions(2), (4,))
    opened.close()
    return place / "out"


def predictions(first_seq: int, count: int = 2) -> Outputs:
    values = [b'{"score":%d}' % number for number in range(first_seq, first_seq + count)]
    return {"predictions": OutputRecords(first_seq, [b"k"] * count, values)}


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def entries(opened: FilesTaskLog) -> list[bytes]:
    return [item.value for item in opened.entries(-1)]


def test_an_offset_is_a_lines_number(place: Path, logs: list[FilesLog]) -> None:
    """So the token is where an operator finds it."""
    opened = fenced(place, logs)
    assert [opened.commit(b"x", {}, (0,)) for _ in range(3)] == [0, 1, 2]
    assert (place / "out" / "journal").read_bytes().count(b"\n") == 3


def test_values_stay_as_given(place: Path, logs: list[FilesLog]) -> None:
    """A prediction's line is its value, byte for byte."""
    out = two_batches(place, logs)
    assert (out / "predictions.jsonl").read_bytes() == b'{"score":0}\n{"score":1}\n{"score":2}\n{"score":3}\n'


@pytest.mark.parametrize("name", OUTPUTS)
def test_recovery_cuts_outputs_without_an_entry(place: Path, logs: list[FilesLog], name: str) -> None:
    """A crash after outputs and before the journal leaves nothing, whole lines or torn."""
    out = two_batches(place, logs)
    before = {each: output_path(out, each).read_bytes() for each in OUTPUTS}
    append(out / f"{name}.jsonl", b'{"score":4}\n{"sco')
    opened = fenced(place, logs)
    assert {each: output_path(out, each).read_bytes() for each in OUTPUTS} == before
    assert opened.last_seq() == {"predictions": 3, "alarms": -1, "rejects": -1}


@pytest.mark.parametrize("torn", [b"0", b"00000000 {", b'deadbeef {"pipeline":"p"}\tthird', b"\0" * 100, b"x\n"])
def test_recovery_cuts_a_torn_line(place: Path, logs: list[FilesLog], torn: bytes) -> None:
    """A crash within the journal's write: the entry never happened, and the next one takes its place."""
    out = two_batches(place, logs)
    append(out / "predictions.jsonl", b'{"score":4}\n')
    append(out / "journal", torn)
    opened = fenced(place, logs)
    assert entries(opened) == [b"first", b"second"]
    assert opened.commit(b"third", predictions(4), (6,)) == 2
    assert entries(opened) == [b"first", b"second", b"third"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_any_prefix_of_the_journal_is_a_whole_past(place: Path, logs: list[FilesLog], cut: int) -> None:
    """However much of the last line is missing, the batches before it are whole."""
    out = two_batches(place, logs)
    data = (out / "journal").read_bytes()
    (out / "journal").write_bytes(data[:-cut])
    opened = fenced(place, logs)
    assert entries(opened) == [b"first"]
    assert list(committed_lines(out, "predictions")) == [b'{"score":0}', b'{"score":1}']
    assert opened.last_seq()["predictions"] == 1


def test_readers_do_not_see_what_is_not_committed(place: Path, logs: list[FilesLog]) -> None:
    """Nor a torn line; before anybody recovered."""
    out = two_batches(place, logs)
    append(out / "predictions.jsonl", b'{"score":4}\n')
    append(out / "journal", b"00000000 {")
    assert len(list(committed_lines(out, "predictions"))) == 4
    assert task(place, logs).last() == (1, b"second")
    assert task(place, logs).last_seq()["predictions"] == 3


def test_readers_of_an_empty_directory_see_nothing(place: Path) -> None:
    """It need not be there."""
    assert list(committed_lines(place / "nowhere", "predictions")) == []


def test_damage_in_the_middle_names_the_line(place: Path, logs: list[FilesLog]) -> None:
    """A line that was whole once is never passed over."""
    out = two_batches(place, logs)
    data = bytearray((out / "journal").read_bytes())
    data[20] ^= 1
    (out / "journal").write_bytes(data)
    with pytest.raises(JournalBroken, match=r"journal: line 1 is damaged"):
        task(place, logs).last()


def test_a_journal_changed_under_a_reader_is_noticed(place: Path, logs: list[FilesLog]) -> None:
    """Lines are checked each time they are read."""
    out = two_batches(place, logs)
    opened = task(place, logs)
    found = opened.entries(0)
    data = bytearray((out / "journal").read_bytes())
    data[20] ^= 1
    (out / "journal").write_bytes(data)
    with pytest.raises(JournalBroken, match="line 1 was changed"):
        list(found)


def test_lost_outputs_are_missing_and_can_be_emitted(place: Path, logs: list[FilesLog]) -> None:
    """An output that is shorter than the journal says shows in last_seq, and emit fills it to the same bytes."""
    out = two_batches(place, logs)
    before = (out / "predictions.jsonl").read_bytes()
    (out / "predictions.jsonl").write_bytes(before[: len(before) - 5])
    opened = fenced(place, logs)
    assert opened.last_seq()["predictions"] == 2
    opened.emit(predictions(2))
    assert (out / "predictions.jsonl").read_bytes() == before
    opened.commit(b"third", predictions(4), (6,))
    assert len(list(committed_lines(out, "predictions"))) == 6


def test_emitting_other_bytes_stops(place: Path, logs: list[FilesLog]) -> None:
    """The same records have to give the same outputs."""
    out = two_batches(place, logs)
    (out / "predictions.jsonl").write_bytes(b"")
    opened = fenced(place, logs)
    with pytest.raises(JournalBroken, match="emitted again"):
        opened.emit({"predictions": OutputRecords(0, [b"k"] * 4, [b'{"score":12345}'] * 4)})


def test_emitting_with_a_gap_stops(place: Path, logs: list[FilesLog]) -> None:
    """A seq is a line's number, so none may be left out."""
    out = two_batches(place, logs)
    (out / "predictions.jsonl").unlink()
    with pytest.raises(JournalBroken, match="seq 2 is to follow"):
        fenced(place, logs).emit(predictions(2))


def test_a_seq_that_does_not_follow_is_refused(place: Path, logs: list[FilesLog]) -> None:
    """And nothing is written."""
    opened = fenced(place, logs)
    with pytest.raises(JournalBroken, match="seq 5"):
        opened.commit(b"x", predictions(5), (2,))
    assert entries(opened) == []
    assert (place / "out" / "predictions.jsonl").read_bytes() == b""


def test_an_edited_output_is_noticed(place: Path, logs: list[FilesLog]) -> None:
    """A line that does not end where the journal says."""
    out = two_batches(place, logs)
    data = (out / "predictions.jsonl").read_bytes()
    (out / "predictions.jsonl").write_bytes(b" " + data)
    with pytest.raises(JournalBroken, match=r"predictions\.jsonl"):
        fenced(place, logs)


@pytest.mark.parametrize("value", [b"a\nb", b"\n"])
def test_a_line_break_in_a_value_is_refused(place: Path, logs: list[FilesLog], value: bytes) -> None:
    """It would be two lines; nothing of the batch is written."""
    opened = fenced(place, logs)
    with pytest.raises(LogError, match="line break"):
        opened.commit(b"x", {"alarms": OutputRecords(0, [b"k"], [value])}, (1,))
    with pytest.raises(LogError, match="line break"):
        opened.commit(value, {}, (1,))
    assert opened.commit(b"y", predictions(0), (2,)) == 0


def test_another_process_is_named(place: Path, logs: list[FilesLog]) -> None:
    """The lock holds against processes, and falls with the one that holds it."""
    out = place / "out"
    out.mkdir()
    code = (
        "import sys; from pathlib import Path; from stream.transport.ledger import Lock\n"
        "lock = Lock(Path(sys.argv[1])); lock.acquire(1); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(ledger.__file__).parents[2],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        opened = task(place, logs)
        with pytest.raises(Fenced, match=f"owned by process {other.pid}"):
            opened.fence()
        other.kill()
    opened.fence()
    opened.commit(b"x", {}, (0,))


def test_an_output_directory_that_cannot_be_is_the_operators_mistake(place: Path, logs: list[FilesLog]) -> None:
    """Below a file there is no directory: named, with the setting."""
    (place / "out").write_bytes(b"")
    with pytest.raises(ConfigError, match="out") as refused:
        task(place, logs).fence()
    assert "out:" in refused.value.hint


def test_an_output_that_is_a_directory_is_the_operators_mistake(place: Path, logs: list[FilesLog]) -> None:
    """Named, with the setting."""
    output_path(place / "out", "predictions").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"predictions\.jsonl: Is a directory"):
        task(place, logs).fence()


def test_a_lock_that_was_removed_fences(place: Path, logs: list[FilesLog]) -> None:
    """Who cleans a directory in use lets a second owner in; the first one stops."""
    opened = fenced(place, logs)
    (place / "out" / "lock").unlink()
    with pytest.raises(Fenced, match="removed"):
        opened.commit(b"x", {}, (0,))


def test_a_directory_of_another_pipeline_is_refused(place: Path, logs: list[FilesLog]) -> None:
    """Two pipelines never write into one directory."""
    two_batches(place, logs)
    with pytest.raises(LogMisfit, match="belongs to pipeline p"):
        task(place, logs, "q").last()


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("written", [0, 1])
def test_a_full_disk_leaves_nothing_of_the_batch(
    place: Path, logs: list[FilesLog], monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Whether it fills up at the outputs or at the journal; and when there is space again the batch goes through."""
    out = two_batches(place, logs)
    opened = fenced(place, logs)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    calls = []

    def write_some(fd: int, data: memoryview) -> int:
        calls.append(fd)
        if len(calls) > written + 1:
            no_space()
        return genuine(fd, data if len(calls) <= written else data[:5])

    genuine = os.write
    monkeypatch.setattr(ledger.os, "write", write_some)
    with pytest.raises(LogUnavailable, match="No space left"):
        opened.commit(b"third", predictions(4), (6,))
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert opened.commit(b"third", predictions(4), (6,)) == 2


def test_an_answer_that_is_lost_is_decided_by_the_journal(
    place: Path, logs: list[FilesLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is written, then nothing works any more: in doubt until the task is fenced again."""
    two_batches(place, logs)
    opened = fenced(place, logs)
    synced = []

    def sync(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 2:
            no_space()

    monkeypatch.setattr(ledger, "_sync", sync)
    monkeypatch.setattr(ledger.os, "ftruncate", no_space)
    with pytest.raises(InDoubt):
        opened.commit(b"third", predictions(4), (6,))
    monkeypatch.undo()
    with pytest.raises(Fenced, match="in doubt"):
        opened.commit(b"fourth", predictions(6), (8,))
    opened.fence()
    assert entries(opened) == [b"first", b"second", b"third"]
    assert opened.last_seq()["predictions"] == 5


def test_outputs_are_on_disk_before_the_journals_line(
    place: Path, logs: list[FilesLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each changed file is synced once a batch, the journal last."""
    opened = fenced(place, logs)
    names = {fd: name for name, fd in opened._ledger._fds.items()}
    synced: list[str] = []
    monkeypatch.setattr(ledger, "_sync", lambda fd: synced.append(names[fd]))
    opened.commit(b"x", predictions(0), (2,))
    assert synced == ["predictions", "journal"]


def test_a_source_that_changed_under_the_journal_is_noticed(place: Path, logs: list[FilesLog]) -> None:
    """By the CRC of the records that were applied."""
    opened = fenced(place, logs)
    span = span_of(0, 0, opened.poll(5, 0).records[0])
    opened.close()
    path = place / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"id":3}', b'{"id":9}'))
    with pytest.raises(RecordsGone, match=r"events\.jsonl: .*another CRC"):
        fenced(place, logs).read([span])


def test_a_source_that_became_shorter_is_noticed(place: Path, logs: list[FilesLog]) -> None:
    """Both when records are needed again and when only the place is."""
    opened = fenced(place, logs)
    span = span_of(0, 0, opened.poll(20, 0).records[0])
    opened.close()
    (place / "events.jsonl").write_bytes(b'{"id":0}\n')
    reopened = fenced(place, logs)
    with pytest.raises(RecordsGone):
        reopened.read([span])
    with pytest.raises(RecordsGone, match="1 records, offset 20"):
        reopened.seek((20,))


def test_identity_changes_with_names_and_sizes(place: Path, logs: list[FilesLog]) -> None:
    """And not with the directory, nor with the time."""
    task(place, logs)
    assert logs[-1].identity() == {"topics": {"events.jsonl": [["events.jsonl", 210 - 20]]}, "partitions": 1}
    append(place / "events.jsonl", b"\n")
    assert logs[-1].identity()["topics"] == {"events.jsonl": [["events.jsonl", 191]]}


def test_streams_of_one_name_are_told_apart(place: Path) -> None:
    """Events and labels may have equal file names in two directories."""
    (place / "labels").mkdir()
    (place / "labels" / "events.jsonl").write_bytes(b"{}\n")
    log = FilesLog([place / "events.jsonl"], [place / "labels" / "events.jsonl"], place / "out", "p")
    opened = log.open(0)
    assert [stream.topic for stream in opened.inputs] == ["events.jsonl", "labels:events.jsonl"]
    assert list(opened.lag()) == ["events.jsonl/0", "labels:events.jsonl/0"]
    log.close()


def test_files_are_one_task(place: Path) -> None:
    """There is no other."""
    log = FilesLog([place / "events.jsonl"], None, place / "out", "p")
    with pytest.raises(LogError, match="no task 1"):
        log.open(1)
    with pytest.raises(ConfigError):
        FilesLog([place / "none.jsonl"], None, place / "out", "p")


def test_opening_writes_nothing(place: Path, logs: list[FilesLog]) -> None:
    """Before fence a log only reads."""
    opened = task(place, logs)
    opened.last()
    opened.last_seq()
    opened.poll(5, 0)
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("key", "value"), [(b"k", b'{"a":1}'), (b"", b""), (b"\xff", b"\x00\xfe"), ("ä".encode(), b'"\n\x7f')]
)
def test_a_reject_can_be_redriven(key: bytes, value: bytes) -> None:
    """Key, value and headers come back as they were, from one line."""
    headers = {"reason": b"decode", "offset": b"17"}
    line = reject_line(key, value, headers)
    assert b"\n" not in line
    assert json.loads(line)["reason"] == "decode"
    assert parse_reject(line) == (key, value, headers)


def test_recoveries_leave_nothing_behind(place: Path) -> None:
    """Each opens the task's log anew; what was closed and dropped keeps no index of the journal in memory."""
    log = FilesLog([place / "events.jsonl"], None, place / "out", "p")
    for _ in range(5):
        opened = log.open(0)
        opened.fence()
        opened.close()
    assert list(log._opened) == [opened]
    log.close()
