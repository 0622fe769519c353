"""Rows of features keep their order, types and bits in every view and through storage."""

import copy
import doctest
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners import rows
from learners.base import Rows
from learners.rows import Feature, Frame, Layout, Row

NUMBERS = Layout((Feature("a", "number"), Feature("b", "number")))
MIXED = Layout(
    (
        Feature("amount", "number"),
        Feature("country", "text", required=False),
        Feature("online", "boolean", required=False),
        Feature("age", "number", required=False),
        Feature('odd "name"\n{', "text"),
    )
)
OPEN = Layout(None)

mixed_rows = st.lists(
    st.tuples(
        st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.text(max_size=3),
        st.none() | st.booleans(),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=3),
    ),
    max_size=8,
)


def exactly(rows):
    """With types and the sign of zero."""
    return [[(type(value), repr(value)) for value in row] for row in rows]


def test_dicts_have_the_configured_order():
    """Features stand in the layout's order."""
    assert [list(one.items()) for one in NUMBERS.dicts([(1.0, 2.0)])] == [[("a", 1.0), ("b", 2.0)]]


def test_a_missing_feature_is_an_absent_key():
    """None never reaches a learner."""
    assert MIXED.dicts([(1.0, None, False, None, "x")]) == [{"amount": 1.0, "online": False, 'odd "name"\n{': "x"}]


def test_names_are_only_names():
    """A name that looks like code or formatting is a key and nothing else."""
    names = ("__import__('os')", "{0}", "'", '"', "\\", "\u2028", "lambda", "", "r0")
    layout = Layout(tuple(Feature(name, "number") for name in names))
    assert layout.dicts([tuple(map(float, range(9)))]) == [dict(zip(names, map(float, range(9)), strict=True))]


@pytest.mark.parametrize("count", [0, 1, 2, 300, 3000])
def test_any_number_of_features(count):
    """No, one, and very many features make dicts, a matrix and rows again."""
    layout = Layout(tuple(Feature(f"f{n}", "number") for n in range(count)))
    rows = [tuple(map(float, range(count)))] * 3
    assert layout.matrix(rows).shape == (3, count)
    assert layout.dicts(rows) == [dict(zip(layout.names, rows[0], strict=True))] * 3
    assert layout.pack(rows).take([2, 0]) == rows[:2]


def test_the_matrix_has_nan_where_missing_or_text():
    """Text that looks like a number is not one."""
    matrix = MIXED.matrix([(1.5, "7", True, None, "8"), (2.5, None, None, 3.0, "")])
    np.testing.assert_array_equal(matrix, [[1.5, np.nan, 1, np.nan, np.nan], [2.5, np.nan, np.nan, 3, np.nan]])


def test_the_matrix_of_no_rows():
    """An empty batch has a matrix too."""
    assert MIXED.matrix([]).shape == (0, 5)
    assert NUMBERS.matrix([]).shape == (0, 2)


def test_open_rows_have_no_matrix():
    """The error says what to do."""
    with pytest.raises(TypeError, match="list the features"):
        OPEN.matrix([{"a": 1.0}])


def test_open_dicts_are_the_rows():
    """Nothing is copied for an open layout."""
    row = {"z": 1.0, "a": "x"}
    assert OPEN.dicts([row])[0] is row


def test_a_feature_listed_twice_is_refused():
    """A layout's names are distinct."""
    with pytest.raises(ValueError, match="listed twice"):
        Layout((Feature("a", "number"), Feature("a", "text")))


@given(mixed_rows)
def test_packed_rows_come_back_to_the_bit(rows):
    """Storage keeps values, types, signs of zero and what is missing."""
    assert exactly(MIXED.unpack(MIXED.pack(rows))) == exactly(rows)


@given(mixed_rows)
def test_tables_come_back_to_the_bit(rows):
    """So do the tables of a checkpoint, after pickling."""
    tables = pickle.loads(pickle.dumps(MIXED.pack(rows).tables()))
    assert exactly(MIXED.unpack(MIXED.packed_from(tables))) == exactly(rows)


def test_numbers_come_back_as_floats_of_python():
    """No NumPy scalar reaches a learner."""
    (row,) = NUMBERS.pack([(1.0, 2.0)]).take([0])
    assert [type(value) for value in row] == [float, float]


def test_open_rows_come_back():
    """An open layout keeps its dicts through storage and tables."""
    rows = [{"a": 1.0, "b": True}, {"c": "x"}]
    assert OPEN.packed_from(OPEN.pack(rows).tables()).take([1, 0]) == rows[::-1]


def test_tables_of_another_layout_are_refused():
    """State with other features is not taken up."""
    with pytest.raises(ValueError, match="other features"):
        NUMBERS.packed_from(MIXED.pack([]).tables())
    with pytest.raises(ValueError, match="leaves them open"):
        OPEN.packed_from(MIXED.pack([]).tables())


def test_a_layout_can_be_pickled():
    """It is rebuilt from its features."""
    assert pickle.loads(pickle.dumps(MIXED)).features == MIXED.features
    assert copy.deepcopy(OPEN).is_open


def test_a_frame_is_rows():
    """It has every member of the protocol."""
    members = {name for name in vars(Rows) if not name.startswith("_")}
    assert members <= set(dir(Frame(NUMBERS, [])))


def test_views_are_built_once():
    """Dicts and matrix are cached."""
    frame = Frame(NUMBERS, [(1.0, 2.0)])
    assert frame.dicts() is frame.dicts()
    assert frame.matrix() is frame.matrix()


def test_computed_features_go_to_the_end():
    """Of the names, the dicts and the matrix, whenever the views were built."""
    frame = Frame(NUMBERS, [(1.0, 2.0), (3.0, 4.0)])
    before = frame.dicts()
    frame.matrix()
    frame.add(("m",), np.array([[5.0], [6.0]]))
    frame.add(("k",), np.array([[7.0], [8.0]]))
    assert frame.names == ("a", "b", "m", "k")
    assert list(frame.dicts()[0].items()) == [("a", 1.0), ("b", 2.0), ("m", 5.0), ("k", 7.0)]
    assert frame.matrix().tolist() == [[1, 2, 5, 7], [3, 4, 6, 8]]
    assert before == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]


def test_a_computed_nan_is_missing():
    """Absent from the dict, NaN in the matrix, None in the column."""
    frame = Frame(NUMBERS, [(1.0, 2.0), (3.0, 4.0)])
    frame.add(("m", "k"), np.array([[math.nan, 1.0], [6.0, math.nan]]))
    assert frame.dicts() == [{"a": 1.0, "b": 2.0, "k": 1.0}, {"a": 3.0, "b": 4.0, "m": 6.0}]
    assert frame.column("m") == [None, 6.0]
    assert np.isnan(frame.matrix()[0, 2])


def test_computed_features_do_not_enter_open_rows():
    """The rows wait for their labels without them."""
    row = {"a": 1.0}
    frame = Frame(OPEN, [row])
    frame.add(("m",), np.array([[5.0]]))
    assert frame.dicts() == [{"a": 1.0, "m": 5.0}]
    assert row == {"a": 1.0}
    assert frame.names == ()


def test_columns():
    """By name, None where missing; an unknown name of a closed layout is a KeyError."""
    frame = Frame(MIXED, [(1.0, None, True, 2.0, "x"), (3.0, "NL", None, None, "y")])
    assert frame.column("country") == [None, "NL"]
    assert frame.column("online") == [True, None]
    assert Frame(OPEN, [{"a": 1.0}, {}]).column("a") == [1.0, None]
    with pytest.raises(KeyError):
        frame.column("none")


def test_added_values_must_fit():
    """Shape and names are checked."""
    frame = Frame(NUMBERS, [(1.0, 2.0)])
    with pytest.raises(ValueError, match="shape"):
        frame.add(("m",), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="already"):
        frame.add(("a",), np.zeros((1, 1)))


def test_the_examples_run():
    """Those in the docstrings."""
    assert doctest.testmod(rows).failed == 0


HIDDEN = Layout(
    (
        Feature("amount", "number"),
        Feature("country", "text", required=False),
        Feature("card", "key", hidden=True),
        Feature("spent", "number", required=False, hidden=True),
    )
)


def test_learners_do_not_see_hidden_features() -> None:
    """Dicts, matrix and names leave them out; a column by its name gives them, also after rows have waited."""
    rows: list[Row] = [(1.0, "NL", "c1", 5.0), (2.0, None, "c2", None)]
    for kept in (rows, HIDDEN.pack(rows).take([0, 1]), HIDDEN.packed_from(HIDDEN.pack(rows).tables()).take([0, 1])):
        frame = Frame(HIDDEN, kept, lambda: [7, 5])
        assert frame.names == ("amount", "country")
        assert frame.dicts() == [{"amount": 1.0, "country": "NL"}, {"amount": 2.0}]
        assert frame.matrix().shape == (2, 2)
        assert frame.column("card") == ["c1", "c2"]
        assert frame.column("spent") == [5.0, None]
        assert frame.times_ms().tolist() == [7, 5]


def test_hidden_features_come_last() -> None:
    """So that what learners see is the beginning of a row."""
    with pytest.raises(ValueError, match="last"):
        Layout((Feature("card", "key", hidden=True), Feature("amount", "number")))
