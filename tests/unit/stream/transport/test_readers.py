"""Files as numbered records: every format, every compression, from every place, and what damage becomes."""

import bz2
import errno
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from stream.errors import ConfigError, LogMisfit, RecordsGone
from stream.records import Records
from stream.transport import readers
from stream.transport.readers import Cursor, FileSet, expand, open_records


def arrow_compress(codec: str) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()

    return compress


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": arrow_compress("zstd"),
    ".lz4": arrow_compress("lz4"),
}
LINES = [b'{"n":%d}' % number for number in range(3000)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files meet the edges of blocks as large ones do."""
    monkeypatch.setattr(readers, "BLOCK_BYTES", 512)
    monkeypatch.setattr(readers, "_ROWS_PER_BLOCK", 7)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(data))
    return path


def all_of(*paths: Path | str, start: int = 0) -> Records:
    records = Records()
    for piece in open_records(paths, start):
        records.extend(piece)
    return records


def values(*paths: Path | str, start: int = 0) -> list[bytes | None]:
    return all_of(*paths, start=start).values


def rows(*paths: Path | str, start: int = 0) -> list[object]:
    return [json.loads(value) for value in values(*paths, start=start) if value is not None]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("start", [0, 1, 1234, 2999, 3000])
def test_jsonl_from_any_place(tmp_path: Path, suffix: str, start: int) -> None:
    """Lines without their ends, from a record's number on, however the file is compressed."""
    path = write(tmp_path / f"a.jsonl{suffix}", b"\n".join(LINES) + b"\n")
    records = all_of(path, start=start)
    assert records.values == LINES[start:]
    assert records.offsets == records.timestamps_ms == list(range(start, 3000))


def test_a_last_line_without_end_is_a_record(tmp_path: Path) -> None:
    """A file need not end with a line's end."""
    assert values(write(tmp_path / "a.jsonl", b"{}\n{}")) == [b"{}", b"{}"]


def test_blank_lines_count_and_are_passed_over(tmp_path: Path) -> None:
    """An offset is a line's number, so an editor finds it."""
    records = all_of(write(tmp_path / "a.jsonl", b"\n1\n\n\r\n2\n\n"))
    assert (records.offsets, records.values) == ([1, 4], [b"1", b"2"])


def test_carriage_returns_and_byte_order_marks_are_not_data(tmp_path: Path) -> None:
    """Files that were written on Windows read as others."""
    assert values(write(tmp_path / "a.jsonl", b"\xef\xbb\xbf1\r\n2\r\n")) == [b"1", b"2"]
    assert rows(write(tmp_path / "b.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n")) == [{"a": 1, "b": 2}]


def test_invalid_utf8_lines_come_as_they_are(tmp_path: Path) -> None:
    """The codec says what is wrong with them."""
    assert values(write(tmp_path / "a.jsonl", b'{"a":"\xff"}\n1\n')) == [b'{"a":"\xff"}', b"1"]


def test_a_line_longer_than_a_block(tmp_path: Path) -> None:
    """Lines have no limit of their own."""
    long = b"x" * 5000
    assert values(write(tmp_path / "a.jsonl", b"1\n" + long + b"\n2\n")) == [b"1", long, b"2"]


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    """Neither does a table with a header only."""
    assert (
        values(write(tmp_path / "a.jsonl", b""), write(tmp_path / "b.csv", b""), write(tmp_path / "c.csv", b"a\n"))
        == []
    )


def test_files_follow_one_another(tmp_path: Path) -> None:
    """Offsets count on from file to file, also over formats; any start is found."""
    one = write(tmp_path / "1.jsonl.gz", b"10\n11\n12")
    two = write(tmp_path / "2.jsonl", b"")
    three = write(tmp_path / "3.csv", b"a\n13\n14\n")
    four = write(tmp_path / "4.jsonl", b"15\n")
    whole = all_of(one, two, three, four)
    assert whole.offsets == [0, 1, 2, 3, 4, 5]
    for start in range(7):
        assert values(one, two, three, four, start=start) == whole.values[start:]


def test_a_directory_and_a_pattern_are_sorted_by_name(tmp_path: Path) -> None:
    """Files of no known format in a directory are passed over."""
    for name in ("b.jsonl", "a.jsonl", "c.jsonl.gz", "README.md"):
        write(tmp_path / name, name.encode())
    expected = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl.gz")]
    assert list(expand([tmp_path])) == expected
    assert list(expand([str(tmp_path / "*.jsonl*")])) == expected
    assert list(expand([tmp_path / "b.jsonl", tmp_path / "a.jsonl"])) == expected[1::-1]


@pytest.mark.parametrize("name", ["gone.jsonl", "*.csv", "a.txt"])
def test_an_unknown_path_is_the_operators_mistake(tmp_path: Path, name: str) -> None:
    """It is named."""
    write(tmp_path / "a.txt", b"")
    with pytest.raises(ConfigError, match=name.replace("*", r"\*")):
        expand([str(tmp_path / name)])


def test_a_start_behind_the_end_is_gone(tmp_path: Path) -> None:
    """The message has both numbers."""
    path = write(tmp_path / "a.jsonl", b"1\n2\n")
    with pytest.raises(RecordsGone, match="2 records, offset 3"):
        values(path, start=3)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".lz4"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_truncated_stream_ends_with_its_name_and_place(tmp_path: Path, suffix: str, kind: str) -> None:
    """Whole records before the damage come first, and never a torn one; the error names file and offset."""
    lines = [b"%d" % (number * 7919 % 1_000_003) for number in range(20_000)]
    packed = COMPRESS[suffix](b"h\n" + b"\n".join(lines) + b"\n")
    path = tmp_path / f"a.{kind}{suffix}"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    got = Records()

    def read() -> None:
        for piece in open_records([path]):
            got.extend(piece)

    with pytest.raises(RecordsGone, match=rf"a\.{kind}.*damaged after record"):
        read()
    expected = lines if kind == "csv" else [b"h", *lines]
    got_values = [b"%d" % json.loads(value)["h"] for value in got.values] if kind == "csv" else got.values
    assert got_values == expected[: len(got)]


def test_a_table_becomes_objects(tmp_path: Path) -> None:
    """Numbers, booleans, null and text by how a cell is written."""
    path = write(tmp_path / "a.csv", b"i,f,e,z,b,n,t\n-5,0.50,1e-3,007,true,,a b\n")
    assert rows(path) == [{"i": -5, "f": 0.5, "e": 0.001, "z": "007", "b": True, "n": None, "t": "a b"}]


def test_tsv_is_cut_at_tabs(tmp_path: Path) -> None:
    """Commas are text."""
    assert rows(write(tmp_path / "a.tsv", b"a\tb\n1,5\t2\n")) == [{"a": "1,5", "b": 2}]


def test_quoted_cells_may_hold_anything(tmp_path: Path) -> None:
    """Delimiters, quotes, line ends; and a row over several lines is one record."""
    path = write(tmp_path / "a.csv", b'a,b\n"x,""y""\nz",1\nw,2\n')
    assert rows(path) == [{"a": 'x,"y"\nz', "b": 1}, {"a": "w", "b": 2}]


def test_rows_with_other_widths_come_as_they_are(tmp_path: Path) -> None:
    """Nothing is lost and their neighbours are whole, wherever blocks are cut."""
    lines = [b"%d,x" % number if number % 5 else b"%d,x,y,z" % number for number in range(40)]
    got = values(write(tmp_path / "a.csv", b"a,b\n" + b"\n".join(lines) + b"\n"))
    assert [value for value in got if value in lines] == lines[::5]
    assert [json.loads(value)["a"] for value in got if value not in lines] == [n for n in range(40) if n % 5]


def test_rows_that_are_not_utf8_come_as_they_are(tmp_path: Path) -> None:
    """Byte for byte, and alone."""
    got = values(write(tmp_path / "a.csv", b"a,b\n1,\xff\xfe\n2,\xc3\xa4\n"))
    assert got == [b"1,\xff\xfe", '{"a":2,"b":"ä"}'.encode()]


def test_a_cell_above_the_limit_comes_as_it_is(tmp_path: Path) -> None:
    """An open quote swallows what follows, up to csv's limit; the bytes are there for the codec to reject."""
    body = b'1,"' + b"x" * 200_000 + b"\n"
    got = values(write(tmp_path / "a.csv", b"a,b\n" + body + b"2,3\n"))
    assert b"\n".join(value for value in got if value is not None).startswith(b'1,"xxx')
    assert got[-1] == b'{"a":2,"b":3}'


def test_blank_rows_count_and_are_passed_over(tmp_path: Path) -> None:
    """As blank lines do."""
    records = all_of(write(tmp_path / "a.csv", b"a\n1\n\n3\n"))
    assert (records.offsets, records.values) == ([0, 2], [b'{"a":1}', b'{"a":3}'])


@pytest.mark.parametrize("header", [b"a,b,a", b"\xff,b"])
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, header: bytes) -> None:
    """A column named twice, or not text."""
    with pytest.raises(LogMisfit, match="header"):
        values(write(tmp_path / "a.csv", header + b"\n1,2,3\n"))


def test_a_plain_file_is_entered_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back reads what is needed, not the file from its start."""
    files = FileSet([write(tmp_path / "a.jsonl", b"\n".join(LINES) + b"\n")])
    assert sum(len(records) for records in files.chunks(0)) == 3000
    first = next(read_first for read_first in readers.read_jsonl(files.files[0], "", 2500, files._indexes[0]))
    assert 2400 < first[0] <= 2500
    assert next(iter(files.chunks(2500))).values[0] == LINES[2500]


@pytest.mark.parametrize("limit", [1, 13, 5000])
def test_a_cursor_reads_on_and_knows_its_end(tmp_path: Path, limit: int) -> None:
    """At the end with the last record, not before; blank lines behind it are no record."""
    cursor = Cursor(FileSet([write(tmp_path / "a.jsonl", b"\n".join(LINES[:100]) + b"\n\n\n")]))
    got = Records()
    while not cursor.at_end:
        got.extend(cursor.read(limit))
    assert got.values == LINES[:100]
    assert len(cursor.read(limit)) == 0
    cursor.close()


def test_a_cursor_stops_before_an_offset(tmp_path: Path) -> None:
    """And reads on there."""
    cursor = Cursor(FileSet([write(tmp_path / "a.jsonl", b"0\n1\n\n3\n4\n")]))
    assert cursor.read(10, 3).values == [b"0", b"1"]
    assert cursor.read(10, 4).values == [b"3"]
    assert cursor.read(10).values == [b"4"]
    cursor.close()


def test_a_cursor_gives_what_is_whole_before_it_raises(tmp_path: Path) -> None:
    """The error comes when all before the damage was read, again and again, and it is no end."""
    packed = gzip.compress(b"\n".join(LINES) + b"\n")
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[:-8])
    cursor = Cursor(FileSet([path]))
    got = Records()
    while len(got) < 3000:
        got.extend(cursor.read(700))
    assert got.values == LINES
    assert not cursor.at_end
    for _ in range(2):
        with pytest.raises(RecordsGone, match="offset 3000"):
            cursor.read(1)
    cursor.close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.xz"])
def test_how_much_is_read_shows_in_the_bytes(tmp_path: Path, name: str) -> None:
    """The share of two files' bytes that is read only grows, from 0 to 1, and is about a half between them."""
    lines = [b'{"a":%d}' % number for number in range(50_000)]
    content = b"\n".join([b"a", *[b"%d" % number for number in range(50_000)]] if ".csv" in name else lines) + b"\n"
    files = FileSet([write(tmp_path / f"{number}{name}", content) for number in (1, 2)])
    assert files.share() == 0.0
    seen = [(records.offsets[-1], files.share()) for records in files.chunks(0)]
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert next(share for offset, share in seen if offset >= 49_999) == pytest.approx(0.5, abs=0.01)
    assert files.share() == 1.0


@pytest.mark.parametrize("lines", [1, 60_000])
def test_a_header_with_an_open_quote_is_named(tmp_path: Path, lines: int) -> None:
    """Short or long, the file is not all header: nothing would be read of it, in silence."""
    path = write(tmp_path / "a.csv", b'id,"amount\n' + b"1,2\n" * lines)
    with pytest.raises(LogMisfit, match=r"a\.csv: the header: .*") as refused:
        values(path)
    assert "quote" in refused.value.hint


def test_a_file_that_cannot_be_opened_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory by that name, or no right to read: told as that, after the records of the files before it."""
    write(tmp_path / "a.jsonl", b'{"n":1}\n')
    (tmp_path / "b.jsonl").mkdir()
    with pytest.raises(RecordsGone, match=r"b\.jsonl: cannot be read: Is a directory") as refused:
        values(str(tmp_path / "*.jsonl"))
    assert "damaged" not in str(refused.value)

    def forbidden(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(RecordsGone, match=r"a\.jsonl: cannot be read: Permission denied"):
        values(tmp_path / "a.jsonl")
