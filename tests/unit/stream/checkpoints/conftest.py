"""A checkpointer over a store in memory. See saving.py."""

import pytest

from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from tests.unit.stream.checkpoints.saving import KEY, TASK, Store


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(store, said):
    def make(*, key=KEY, task=TASK, fork=False, **rest):
        return Checkpointer(store, Signer(key), task, keep=5, fork=fork, on_unverified=said.append, **rest)

    return make
