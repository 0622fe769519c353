"""Files as inputs: JSONL, CSV, TSV and Parquet, plain or compressed, one or many, as one run of numbered records.

A record's offset is its number over all files in order. Every line of JSONL and every row of a table has a number; blank
ones are passed over. A row that cannot be converted becomes a record with its bytes as they are, for the codec to reject.
Not here: following a file that still grows. cells.py says what a cell means, parquet.py reads Parquet; read files.py next.
"""

import bz2
import csv
import glob
import gzip
import io
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa

from stream.errors import ConfigError, LogMisfit, RecordsGone
from stream.records import Records
from stream.transport.cells import TableEncoder
from stream.transport.parquet import read_parquet

BLOCK_BYTES = 1 << 18
_ROWS_PER_BLOCK = 2000
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException)

Chunk: TypeAlias = tuple[int, list[bytes]]
"""The number, in its file, of the first of some records that follow one another; b"" for one to pass over."""

Index: TypeAlias = list[tuple[int, int]]
"""Of a file: pairs of a record's number and the byte where it begins, ascending."""


_COMPRESSIONS: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda file: pa.input_stream(file, compression="zstd"),
    ".lz4": lambda file: pa.input_stream(file, compression="lz4"),
}
_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_NAMES = f"{', '.join(_FORMATS)}, each also with {', '.join(_COMPRESSIONS)}"


def _format(path: Path) -> tuple[str, str]:
    """Format and compression by the name's ends; "" for what is not known."""
    compression = path.suffix.lower() if path.suffix.lower() in _COMPRESSIONS else ""
    return _FORMATS.get((path.with_suffix("") if compression else path).suffix.lower(), ""), compression


def expand(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """The files that paths, patterns and directories name, in order; within a pattern or a directory sorted by name.

    Raises
    ------
    ConfigError
        A path names no file, or a file of no known format.
    """
    files: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found = sorted(entry for entry in path.iterdir() if entry.is_file() and _format(entry)[0])
        elif path.exists():
            found = [path]
        else:
            found = [Path(name) for name in sorted(glob.glob(str(given)))]  # noqa: PTH207 (may be absolute)
        if not found:
            raise ConfigError(f"{given}: no such file", f"a file, a directory or a pattern of files: {_NAMES}")
        files += found
    for file in files:
        if not _format(file)[0]:
            raise ConfigError(f"{file}: its name does not say a known format", f"known are {_NAMES}")
    return tuple(files)


@contextmanager
def _open(path: Path, compression: str, raw: list[BinaryIO] | None = None) -> Iterator[Any]:
    """The file's content. ``raw`` holds the file itself from then on: how far that has been read is progress."""
    with path.open("rb") as file:
        if raw is not None:
            raw[:] = [file]
        if not compression:
            yield file
            return
        with _COMPRESSIONS[compression](file) as stream:
            yield stream


def _line_blocks(stream: Any) -> Iterator[bytes]:
    """Blocks that end where a line ends (but for the file's last).

    Where the stream is damaged, the whole lines before the damage come first, then its error.
    """
    parts: list[bytes] = []
    size = 0
    try:
        while block := stream.read1(BLOCK_BYTES):
            parts.append(block)
            size += len(block)
            if size < BLOCK_BYTES:
                continue
            data = b"".join(parts)
            cut = data.rfind(b"\n") + 1
            parts, size = [data[cut:]], 0
            if cut:
                yield data[:cut]
    except _DAMAGE:
        data = b"".join(parts)
        if cut := data.rfind(b"\n") + 1:
            yield data[:cut]
        raise
    if data := b"".join(parts):
        yield data


def read_jsonl(
    path: Path, compression: str, start: int, index: Index, raw: list[BinaryIO] | None = None
) -> Iterator[Chunk]:
    """A line is a record: its bytes without the line's end, not parsed. A plain file is entered near ``start``."""
    place = bisect_right(index, (start, 1 << 62)) - 1
    number, byte = index[place] if place >= 0 else (0, 0)
    with _open(path, compression, raw) as stream:
        if byte:
            stream.seek(byte)
        for block in _line_blocks(stream):
            if not compression and (not index or index[-1][0] < number):
                index.append((number, byte))
            values = block.removeprefix(b"\xef\xbb\xbf").split(b"\n") if byte == 0 else block.split(b"\n")
            if not values[-1]:
                values.pop()
            if b"\r" in block:
                values = [value.removesuffix(b"\r") for value in values]
            yield number, values
            number += len(values)
            byte += len(block)


def _text_lines(path: Path, compression: str, raw: list[BinaryIO]) -> Iterator[str]:
    """Lines with their ends; bytes that are not UTF-8 as surrogates, which stand for them until they are bytes again."""
    encoding = "utf-8-sig"
    with _open(path, compression, raw) as stream:
        for block in _line_blocks(stream):
            yield from io.StringIO(block.decode(encoding, "surrogateescape"), newline="")
            encoding = "utf-8"


def _as_they_are(lines: Sequence[str]) -> bytes:
    return "".join(lines).rstrip("\r\n").encode("utf-8", "surrogateescape")


def _convert(table: TableEncoder, rows: list[list[str]], lines: list[str], ends: Sequence[int]) -> list[bytes]:
    """Rows as values; ``ends[i]`` lines were used up when row ``i`` was complete."""
    width = len(table)
    good = rows if all(len(row) == width for row in rows) else [row for row in rows if len(row) == width]
    try:
        converted = table.encode(good)
        if good is rows:
            return converted
    except (TypeError, UnicodeError):
        converted = []
        for row in good:
            try:
                converted += table.encode([row])
            except (TypeError, UnicodeError):
                converted.append(b"")
    remaining = iter(converted)
    values = []
    for row, first, end in zip(rows, [0, *ends], ends, strict=False):
        value = next(remaining) if len(row) == width else b""
        values.append(value or _as_they_are(lines[first:end]))
    return values


def read_table(path: Path, compression: str, delimiter: str, raw: list[BinaryIO]) -> Iterator[Chunk]:
    """A row is a record: a JSON object. A row with too many or too few cells, or not in UTF-8: its bytes as they are.

    Raises
    ------
    LogMisfit
        The header names a column twice, is not UTF-8, or has a quote that is not closed.
    """
    with closing(_text_lines(path, compression, raw)) as source:  # type: ignore[type-var]  # a generator
        try:
            header = next(csv.reader(source, delimiter=delimiter, strict=True), [])
            "".join(header).encode()
        except csv.Error as error:
            raise LogMisfit(f"{path}: the header: {error}", "is a quote there never closed?") from error
        except UnicodeEncodeError as error:
            raise LogMisfit(f"{path}: the header is not UTF-8", "convert the file to UTF-8") from error
        doubles = sorted({name for name in header if header.count(name) > 1})
        if doubles:
            raise LogMisfit(
                f"{path}: the header names {', '.join(doubles)} twice", "give each column a name of its own"
            )
        table = TableEncoder(header)
        number = 0
        more = True
        while more:
            lines: list[str] = []
            rows, ends, damage = _rows(source, delimiter, lines)
            values = _convert(table, rows, lines, ends)
            if values:
                yield number, values
            if damage is not None:
                raise damage
            number += len(values)
            more = bool(values)


def _rows(
    source: Iterator[str], delimiter: str, lines: list[str]
) -> tuple[list[list[str]], Sequence[int], BaseException | None]:
    """The next rows, where in ``lines``, which are filled with theirs, each ends, and what came instead of a further one."""
    damage: BaseException | None = None
    try:
        lines.extend(islice(source, _ROWS_PER_BLOCK))
    except _DAMAGE as error:
        damage = error
    if not any('"' in line for line in lines):  # then a row is a line: 1 µs a row less
        with suppress(csv.Error):
            rows = list(csv.reader(lines, delimiter=delimiter))
            if len(rows) == len(lines):
                return rows, range(1, len(rows) + 1), damage
    return _quoted_rows(source, delimiter, lines, damage)


def _quoted_rows(
    source: Iterator[str], delimiter: str, lines: list[str], damage: BaseException | None
) -> tuple[list[list[str]], Sequence[int], BaseException | None]:
    """The same where a row may be several lines, the last row as far as it goes beyond ``lines``, or a cell too long."""
    first, read = list(lines), 0

    def recorded() -> Iterator[str]:
        nonlocal read
        for line in first:
            read += 1
            yield line
        if damage is not None:
            raise damage
        for line in source:
            lines.append(line)
            read += 1
            yield line

    reader = csv.reader(recorded(), delimiter=delimiter)
    rows: list[list[str]] = []
    ends: list[int] = []
    while read < len(first):
        try:
            rows.append(next(reader))
        except csv.Error:  # a cell above csv's limit: no row, so its lines stand as they are
            rows.append([])
        except StopIteration:
            break
        except _DAMAGE as error:
            return rows, ends, error
        ends.append(read)
    return rows, ends, damage


class FileSet:
    """The files of one input, and what reading them has taught: how many records each holds, and where some begin.

    Cursors over the same files share it, so that going back is quick.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self.known = 0
        """Records known to be there."""
        self._counts: list[int | None] = [None] * len(self.files)
        self._indexes: list[Index] = [[] for _ in self.files]
        self._raw: list[BinaryIO] = []
        self._place = 0

    def share(self) -> float:
        """Of the files' bytes, compressed as they are, how many whoever read last has read: from 0 to 1."""
        sizes = [path.stat().st_size for path in self.files]
        read = sum(sizes[: self._place])
        for file in self._raw:
            read += sizes[self._place] if file.closed else file.tell()
        return min(read / max(sum(sizes), 1), 1.0)

    def chunks(self, start: int) -> Generator[Records, None, None]:
        """All records from number ``start``.

        Raises
        ------
        RecordsGone
            There are fewer records than ``start``, or a file cannot be opened or is damaged: named, with the number reached.
        """
        base = 0
        for place, path in enumerate(self.files):
            count = self._counts[place]
            if count is not None and base + count <= start:
                base += count
                continue
            reached = 0
            _try(path)
            try:
                for first, values in self._read(place, max(start - base, 0)):
                    reached = first + len(values)
                    self.known = max(self.known, base + reached)
                    cut = max(start - base - first, 0)
                    if cut < len(values):
                        yield _records(base + first + cut, values[cut:] if cut else values)
            except _DAMAGE as error:
                raise RecordsGone(
                    f"{path}: damaged after record {reached} of this file (offset {base + reached}): {error}",
                    "bring the whole file back; what was read before stays",
                ) from error
            self._counts[place] = reached
            base += reached
        if start > base:
            names = ", ".join(path.name for path in self.files)
            raise RecordsGone(f"{names}: there are {base} records, offset {start} is needed", "bring the files back")

    def _read(self, place: int, start: int) -> Iterator[Chunk]:
        path = self.files[place]
        self._place = place
        kind, compression = _format(path)
        if kind == "jsonl":
            return read_jsonl(path, compression, start, self._indexes[place], self._raw)
        if kind == "parquet":
            return read_parquet(path if not compression else _whole(path, compression), start)
        return read_table(path, compression, "\t" if kind == "tsv" else ",", self._raw)


def _try(path: Path) -> None:
    """Raises RecordsGone where the file is not there for us, which is no damage."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise RecordsGone(
            f"{path}: cannot be read: {error.strerror}", "let it be a file that this user may read"
        ) from error


def _whole(path: Path, compression: str) -> Any:
    """A compressed Parquet file in memory: its directory stands at its end."""
    with _open(path, compression) as stream:
        return pa.BufferReader(stream.read())


def _records(first: int, values: list[bytes]) -> Records:
    offsets = list(range(first, first + len(values)))
    if not all(values):
        offsets = [offset for offset, value in zip(offsets, values, strict=True) if value]
        values = [value for value in values if value]
    # Files know no time of their records; their numbers keep the order.
    return Records(offsets, offsets.copy(), [None] * len(values), values)  # type: ignore[arg-type]  # list is invariant


def open_records(paths: Sequence[str | Path], start: int = 0) -> Iterator[Records]:
    """Records of all files from number ``start``, in pieces of any size; never an empty one.

    Raises ConfigError at once, RecordsGone on the way.

    Examples
    --------
    >>> for records in open_records(["events.csv.gz"]):  # doctest: +SKIP
    ...     print(len(records))
    """
    files = FileSet(expand(paths))
    return (records for records in files.chunks(start) if records.offsets)


class Cursor:
    """Reads on from a place in a set of files; knows when nothing is left."""

    def __init__(self, files: FileSet) -> None:
        self.files = files
        self.position = 0
        self._chunks: Generator[Records, None, None] = files.chunks(0)
        self._chunk = Records()
        self._used = 0
        self._error: RecordsGone | None = None
        self._opened = False

    def seek(self, start: int) -> None:
        """Reading goes on at ``start``. Raises RecordsGone."""
        self.close()
        self._chunks = self.files.chunks(start)
        self.position = start
        self._error = None
        self._opened = True
        self._load()
        if self._error is not None and not self._chunk.offsets:
            raise self._error

    @property
    def at_end(self) -> bool:
        """Whether no record is left; a damaged end is not an end."""
        if not self._opened:
            self.seek(self.position)
        return self._used >= len(self._chunk) and self._error is None

    def read(self, limit: int, stop: int | None = None) -> Records:
        """The next records: ``limit`` unless fewer are left, none at or after offset ``stop``. Raises RecordsGone."""
        if not self._opened:
            self.seek(self.position)
        taken = Records()
        while len(taken) < limit and self._used < len(self._chunk):
            end = min(self._used + limit - len(taken), len(self._chunk))
            if stop is not None and self._chunk.offsets[end - 1] >= stop:
                end = self._used + bisect_right(self._chunk.offsets[self._used : end], stop - 1)
                if end == self._used:
                    break
            taken.extend(self._chunk.slice(self._used, end))
            self._used = end
            if end == len(self._chunk):
                self._load()
        if taken.offsets:
            self.position = taken.offsets[-1] + 1
        elif self._error is not None and self._used >= len(self._chunk):
            raise self._error
        return taken

    def close(self) -> None:
        """Let go of the open file. Reading goes on where it was when asked to."""
        self._chunks.close()
        self._chunk = Records()
        self._used = 0
        self._opened = False

    def _load(self) -> None:
        """The next piece that holds records. An error waits until all before it is read."""
        self._used = 0
        self._chunk = Records()
        try:
            self._chunk = next((chunk for chunk in self._chunks if chunk.offsets), Records())
        except RecordsGone as error:
            self._error = error
