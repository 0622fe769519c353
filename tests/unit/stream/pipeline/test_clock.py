"""Stream time, as a table: the events' times and what stream time is after each."""

import pytest

from stream.pipeline.clock import Clock

JUMP = 100


@pytest.mark.parametrize(
    ("told", "seen", "expected"),
    [
        ("the largest so far", [5, 9, 7, 20], [5, 9, 9, 20]),
        ("a jump of the allowed size", [0, 100, 200], [0, 100, 200]),
        ("one wild value is passed over", [0, 9999, 1, 2], [0, 0, 1, 2]),
        ("two wild values that are not neighbours", [0, 9999, 1, 9999, 2], [0, 0, 1, 1, 2]),
        ("wild values around a value that is not new", [5, 9999, 5, 9999, 5], [5, 5, 5, 5, 5]),
        ("a second leap confirms the first, up to the smaller", [0, 9999, 500, 510], [0, 0, 500, 510]),
        ("every gap is a leap: one event behind, and never stuck", [0, 300, 600, 900, 901], [0, 0, 300, 600, 900]),
        ("the first value is believed", [9999, 1, 2], [9999, 9999, 9999]),
    ],
)
def test_stream_time(told, seen, expected):
    """Never falls; a leap is believed only when the next event leaps as well."""
    clock = Clock(JUMP)
    assert [clock.see(time) for time in seen] == expected, told
