import random

import pytest

from stream.codec import Events, Labels
from stream.pipeline.batch import Batch


@pytest.mark.parametrize("seed", range(20))
def test_a_position_in_the_batch_is_a_place_in_an_input(seed):
    """The order says whose turn it is; runs may be empty or follow one another of the same input."""
    draw = random.Random(seed)
    order = [number for _ in range(draw.randrange(1, 20)) for number in (draw.randrange(3), draw.randrange(4))]
    batch = Batch(Events(), (Labels(), Labels()), order)
    expected = [(which, index) for which, start, stop in batch.runs() for index in range(start, stop)]
    assert [batch.place(position) for position in range(len(expected))] == expected
    with pytest.raises(IndexError):
        batch.place(len(expected))
