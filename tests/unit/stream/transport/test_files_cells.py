"""What a cell of a table means, one by one and by the column."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.transport.cells import TableEncoder, cell_json


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0", "0"),
        ("-0", "-0"),
        ("12", "12"),
        ("-1.50", "-1.50"),
        ("1e5", "1e5"),
        ("1E+05", "1E+05"),
        ("", "null"),
        ("true", "true"),
        ("False", "false"),
        ("TRUE", '"TRUE"'),
        ("007", '"007"'),
        ("+1", '"+1"'),
        ("1.", '"1."'),
        (".5", '".5"'),
        ("1 ", '"1 "'),
        ("1\n", '"1\\n"'),
        ("nan", '"nan"'),
        ("Infinity", '"Infinity"'),
        ("12e456", '"12e456"'),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("2018-06-01 00:01:11", '"2018-06-01 00:01:11"'),
        ('say "a\\b"', '"say \\"a\\\\b\\""'),
        ("٣", '"٣"'),
    ],
)
def test_a_cell(cell: str, expected: str) -> None:
    """Numbers only when written canonically and within float64."""
    assert cell_json(cell) == expected


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=6),
    st.from_regex(r"\A-?[0-9]{1,22}(\.[0-9]{1,20})?\Z"),
    st.sampled_from(
        ["", "true", "True", "false", "1\n2", "a\n", "\n", "0x1", "1e9", "%s", '"', "\\", "\x7f", "\u2028"]
    ),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_columns_are_converted_as_their_cells_are(rows: list[tuple[str, str]]) -> None:
    """The short ways by the column give what each cell gives by itself."""
    expected = ['{"a%%":' + cell_json(a) + ',"b\\"":' + cell_json(b) + "}" for a, b in rows]
    assert [value.decode() for value in TableEncoder(["a%%", 'b"']).encode(rows)] == expected


@given(CELLS)
def test_a_cell_is_json_of_the_same_meaning(cell: str) -> None:
    """Text comes back as it was, a number as float reads it."""
    value = json.loads(cell_json(cell))
    if isinstance(value, str):
        assert value == cell
    elif isinstance(value, int | float) and not isinstance(value, bool):
        assert float(value) == float(cell)


def test_text_that_is_not_unicode_raises() -> None:
    """The caller keeps the row's bytes."""
    with pytest.raises(TypeError):
        TableEncoder(["a"]).encode([["\udcff"]])


def test_cells_seen_before_are_forgotten_at_a_bound() -> None:
    """A column of ids does not fill the memory."""
    table = TableEncoder(["a"])
    table.encode([[f'"{number}'] for number in range(40_000)])
    assert len(table._memos[0]) <= 1 << 15
