"""Waiting for a call that may never return."""

import threading

import pytest

from stream.errors import LogUnavailable
from stream.transport.kafka_patience import Patience


def test_a_call_is_made_before_the_next_line() -> None:
    """It is over when ``call`` returns; one thread serves all calls."""
    patience, seen = Patience(), []
    for number in range(3):
        patience.call(lambda number=number: seen.append((number, threading.get_ident())), 5, "counting")
        assert seen[-1][0] == number
    assert len({thread for _, thread in seen}) == 1
    patience.close()


def test_what_a_call_raises_is_raised() -> None:
    """In the thread that asked for it, as it is."""
    patience = Patience()

    def fail() -> None:
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        patience.call(fail, 5, "failing")
    patience.close()


def test_a_call_that_hangs_is_left_behind() -> None:
    """LogUnavailable says what was asked; later calls are made, and what the first one says at last is heard by nobody."""
    patience, gate, seen = Patience(), threading.Event(), []
    with pytest.raises(LogUnavailable, match="giving offsets: no answer within"):
        patience.call(gate.wait, 0.05, "giving offsets")
    patience.call(lambda: seen.append(1), 5, "going on")
    gate.set()
    patience.call(lambda: seen.append(2), 5, "going on")
    assert seen == [1, 2]
    patience.close()
