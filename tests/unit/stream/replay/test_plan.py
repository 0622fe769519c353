"""What a backtest is asked for, before anything is read."""

import pytest

from stream.errors import ConfigError
from stream.replay.plan import moment


def test_a_moment_is_an_offset_or_a_time() -> None:
    """Digits are an offset."""
    assert moment("12", "--from") == (None, 12)
    assert moment("1970-01-02", "--from") == (86_400_000, None)


@pytest.mark.parametrize("given", ["²", "①", "12²", "-3", ""])
def test_what_only_looks_like_a_number_is_refused(given: str) -> None:
    """With the option's name."""
    with pytest.raises(ConfigError, match=r"--from: .* is neither a time nor an offset"):
        moment(given, "--from")
