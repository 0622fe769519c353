"""Parquet rows as JSON objects."""

import datetime as dt
import decimal
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from stream.errors import RecordsGone
from stream.transport.readers import open_records


def write(path: Path, columns: dict[str, object], rows_per_group: int = 1000) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=rows_per_group)
    return path


def values(path: Path, start: int = 0) -> list[bytes | None]:
    return [value for records in open_records([path], start) for value in records.values]


@pytest.mark.parametrize("start", [0, 1, 99, 100, 101, 250, 999, 1000])
def test_rows_from_any_place(tmp_path: Path, start: int) -> None:
    """Groups before the start are not read; the numbers are the rows'."""
    path = write(tmp_path / "a.parquet", {"n": list(range(1000))}, 100)
    assert values(path, start) == [b'{"n":%d}' % number for number in range(start, 1000)]


def test_types_become_json(tmp_path: Path) -> None:
    """Times are ISO text, decimals numbers, what is missing null."""
    when = dt.datetime(2018, 6, 1, 0, 1, 11)  # noqa: DTZ001 (a column without a zone)
    columns = {
        "time": pa.array([when], pa.timestamp("ns")),
        "zoned": pa.array([when], pa.timestamp("ms", "UTC")),
        "price": [decimal.Decimal("1.10")],
        "raw": [b"abc"],
        "odd": [b"\xff"],
        "none": pa.array([None], pa.float64()),
        "nan": [float("nan")],
        "flag": [True],
    }
    (value,) = values(write(tmp_path / "a.parquet", columns))
    assert value == (
        b'{"time":"2018-06-01T00:01:11","zoned":"2018-06-01T00:01:11+00:00","price":1.10,"raw":"abc","odd":"/w==",'
        b'"none":null,"nan":null,"flag":true}'
    )


def test_infinity_is_left_for_the_codec_to_reject(tmp_path: Path) -> None:
    """It is not turned into something missing."""
    (value,) = values(write(tmp_path / "a.parquet", {"x": [float("inf")]}))
    assert value is not None
    assert json.loads(value) == {"x": float("inf")}
    assert b"Infinity" in value


NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xff\xfe")]
)


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (pa.array([0, 9 * 10**18], pa.timestamp("us")), b'"1970-01-01T00:00:00"', b"<unreadable timestamp[us]>"),
        (pa.array([0, 10**17], pa.date64()), b'"1970-01-01"', b"<unreadable date32[day]>"),
        (pa.array([0, 10**18], pa.duration("s")), b"0.0", b"<unreadable duration[s]>"),
        (NOT_UTF8, b'"a"', b"<unreadable string>"),
        (pa.array([None, 0], pa.timestamp("us", "No/Where")), b"null", b"<unreadable timestamp[us, tz=No/Where]>"),
    ],
)
def test_a_cell_that_cannot_be_read_leaves_its_row_to_the_codec(
    tmp_path: Path, column: pa.Array, good: bytes, bad: bytes
) -> None:
    """The row comes with its other cells and is no JSON; the rows beside it are as ever."""
    path = write(tmp_path / "a.parquet", {"id": [1, 2], "x": column})
    first, second = values(path)
    assert first == b'{"id":1,"x":%s}' % good
    assert second == b'{"id":2,"x":%s}' % bad


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A Parquet file without its end cannot be read at all."""
    path = write(tmp_path / "a.parquet", {"n": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordsGone, match=r"a\.parquet"):
        values(path)
