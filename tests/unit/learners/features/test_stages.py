"""Stages without a memory: a number made of two, and what the clock says at an event's own time."""

import numpy as np
import pytest

from learners.features.stages import Calendar, Pair
from tests.unit.learners.features.reference_windows import Cut, History, Op

HOUR_MS = 3_600_000


class Two:
    """Three events and an earlier one whose label came."""

    def times_ms(self):
        return np.array([0, 13 * HOUR_MS, 23 * HOUR_MS, 0], np.int64)

    def column(self, name):
        return {"a": [6.0, 1.0, None, 9.0], "b": [2.0, 0.0, 2.0, 9.0]}[name]


PROGRAM = Cut(History([0] * 4, ["k"] * 4, [0.0] * 4), [Op(0, 0, 0), Op(0, 1, 0), Op(0, 2, 0), Op(1, 3, 0, 1.0)]).program


@pytest.mark.parametrize(("kind", "want"), [("ratio", [3.0, np.nan, np.nan]), ("difference", [4.0, 1.0, np.nan])])
def test_a_pair(kind, want):
    """Missing where an operand is, a ratio also where the second is zero; the batch's events only."""
    stage = Pair(kind, "a", "b")
    np.testing.assert_array_equal(stage.run(PROGRAM, Two()), np.array(want)[:, None])
    assert stage.names == ({"ratio": "a_per_b", "difference": "a_minus_b"}[kind],)


def test_a_calendar():
    """By the events' own times, in its zone."""
    stage = Calendar(["hour", "night"], "Europe/Amsterdam", (22, 6))
    assert stage.run(PROGRAM, Two()).tolist() == [[1.0, 1.0], [14.0, 0.0], [0.0, 1.0]]


def test_they_have_no_state():
    """So that they are no part of a checkpoint."""
    for stage in (Pair("ratio", "a", "b"), Calendar(["hour"])):
        assert not stage.codec
        assert not list(stage.alive())
        assert not list(stage.dump(-1))


@pytest.mark.parametrize(
    ("kind", "a", "b"), [("ratio", 5.0, 5e-324), ("ratio", 5.0, 1e-170), ("difference", 1e200, 0.0)]
)
def test_a_pair_that_no_learner_could_bear_is_missing(kind, a, b, recwarn):
    """A record that is valid must not make a scaler's variance no number, and with it every score from there on."""

    class One(Two):
        def column(self, name):
            return [{"a": a, "b": b}[name], 1.0, 1.0]

    assert np.isnan(Pair(kind, "a", "b").run(PROGRAM, One())[0, 0])
    assert not recwarn
