"""The stream that most tests of workers read."""

import pytest

from tests.integration.running import Stream, fill


@pytest.fixture(scope="module")
def stream(kafka: str) -> Stream:
    """3,000 events and their labels in topics of one partition."""
    return fill(kafka, 3000)
