"""Parquet files as numbered records: each row a JSON object. Only readers.py uses it.

Timestamps become ISO text (to the microsecond), decimals numbers, bytes text or base64, NaN null (that is how pandas writes
what is missing). A row with an infinity in a column, with a time beyond Python's or in a zone that is not known here, or with
text that is not UTF-8 is not JSON, and the codec rejects it.
"""

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import parquet

_ROWS_PER_BATCH = 4096
_NO_VALUE = (OverflowError, ValueError, KeyError)
"""What pyarrow raises of a cell that Python has no value for; of an unknown time zone it is a KeyError."""


def read_parquet(source: Path | Any, start: int) -> Iterator[tuple[int, list[bytes]]]:
    """Rows from the row group that holds number ``start``: the first's number in the file, and the objects."""
    with parquet.ParquetFile(source) as file:
        groups = file.metadata.num_row_groups
        number = group = 0
        while group < groups and number + file.metadata.row_group(group).num_rows <= start:
            number += file.metadata.row_group(group).num_rows
            group += 1
        schema = _microseconds(file.schema_arrow)
        for batch in file.iter_batches(_ROWS_PER_BATCH, row_groups=list(range(group, groups))):
            values = _objects(pa.Table.from_batches([batch]).cast(schema, safe=False))
            yield number, values
            number += len(values)
        yield number, []


def _microseconds(schema: pa.Schema) -> pa.Schema:
    """Python's times know no nanoseconds."""
    for place, column in enumerate(schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            schema = schema.set(place, column.with_type(pa.timestamp("us", column.type.tz)))
        elif pa.types.is_time64(column.type) and column.type.unit == "ns":
            schema = schema.set(place, column.with_type(pa.time64("us")))
        elif pa.types.is_duration(column.type) and column.type.unit == "ns":
            schema = schema.set(place, column.with_type(pa.duration("us")))
    return schema


def _objects(rows: pa.Table) -> list[bytes]:
    try:
        return [_object(row) for row in rows.to_pylist()]
    except _NO_VALUE:
        if len(rows) > 1:
            return [value for place in range(len(rows)) for value in _objects(rows.slice(place, 1))]
        return [b"{" + b",".join(_member(rows.select([place])) for place in range(rows.num_columns)) + b"}"]


def _member(cell: pa.Table) -> bytes:
    """One cell under its name; one that Python has no value for by its type, which is not JSON."""
    try:
        return _object(cell.to_pylist()[0])[1:-1]
    except _NO_VALUE:
        return orjson.dumps(cell.column_names[0]) + f":<unreadable {cell.column(0).type}>".encode()


def _object(row: dict[str, Any]) -> bytes:
    if any(isinstance(cell, float) and math.isinf(cell) for cell in row.values()):
        return json.dumps(row, default=str).encode()
    return orjson.dumps(row, default=_other)


def _other(cell: object) -> object:
    if isinstance(cell, decimal.Decimal):
        return orjson.Fragment(str(cell)) if cell.is_finite() else None
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return base64.b64encode(cell).decode()
    if isinstance(cell, dt.timedelta):
        return cell.total_seconds()
    return str(cell)
