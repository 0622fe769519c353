"""What a journal says of the records of a batch, computed one way by all: count and CRC of a span. Read memory.py next."""

import zlib
from collections.abc import Sequence

from stream.errors import RecordsGone
from stream.records import Records, Span


def values_crc(values: Sequence[bytes | None]) -> int:
    """CRC-32 of all values, one behind the other; a tombstone adds nothing (its absence shows in the count)."""
    return zlib.crc32(b"".join([value or b"" for value in values]))


def span_of(index: int, start: int, records: Records) -> Span:
    """The span of ``records``, taken from input ``index`` whose position was ``start``."""
    stop = records.offsets[-1] + 1 if records.offsets else start
    return Span(index, start, stop, len(records), values_crc(records.values))


def check_span(span: Span, records: Records, where: str) -> Records:
    """``records``, when they are what the span says. Raises RecordsGone."""
    if len(records) != span.count:
        raise RecordsGone(
            f"{where}: offsets {span.start} to {span.stop} held {span.count} records when they were applied, "
            f"now {len(records)}",
            "bring the records back, or start over with `headrace restart`",
        )
    if values_crc(records.values) != span.crc:
        raise RecordsGone(
            f"{where}: the records at offsets {span.start} to {span.stop} are not those that were applied (another CRC)",
            "bring the records back as they were, or start over with `headrace restart`",
        )
    return records
