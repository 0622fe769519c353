"""One seed: draw its history, play it, check it."""

import contextlib
import functools
import importlib.metadata
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any
from unittest import mock

from stream.config import Config, fold_config
from tests.simulation import clients
from tests.simulation.ends import check_end
from tests.simulation.history import History, draw_history
from tests.simulation.oracle import check
from tests.simulation.play import Play


@functools.cache
def _configured(answers: str) -> Config:
    return fold_config(json.loads(answers))


def _signature(of: Any) -> inspect.Signature:
    """Kept by function or class: by method, every estimator would be kept."""
    if inspect.ismethod(of):
        return _method_signature(of.__func__)
    return _kept_signature(of) if isinstance(of, type | FunctionType) else _plain_signature(of)


@functools.cache
def _method_signature(function: Any) -> inspect.Signature:
    plain = _plain_signature(function)
    return plain.replace(parameters=list(plain.parameters.values())[1:])


@functools.cache
def _kept_signature(of: Any) -> inspect.Signature:
    return _plain_signature(of)


@functools.cache
def _version(of: str) -> str:
    return _plain_version(of)


_plain_signature, _plain_version = inspect.signature, importlib.metadata.version


@contextlib.contextmanager
def installed(now: Callable[[], float]) -> Iterator[None]:
    """What is small or kept here, so that short histories go through everything, and quickly."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(clients.installed(now))
        for name, value in (
            # A short stream fills many blocks, and a short topic is looked through in several steps.
            ("stream.pipeline.waiting.BLOCK", 16),
            ("stream.transport.kafka_reader._BACK", (2, 8, 1 << 62)),
            # Every bin of the metrics is looked at by each checkpoint and each figure.
            ("learners.metrics.binary.BITS", 2),
            # Validated once a seed, and not with each recovery; River asks for signatures whenever it clones.
            ("stream.build_fold.fold_config", lambda answers: _configured(json.dumps(answers))),
            ("inspect.signature", _signature),
            ("importlib.metadata.version", _version),
        ):
            stack.enter_context(mock.patch(name, value))
        yield


def play(history: History) -> Counter[str]:
    """What happened. Raises Diverged, or whatever else should never come out."""
    _configured.cache_clear()
    one = Play(history)
    with installed(lambda: one.broker.now):
        one.run()
        check(one)
        check_end(one)
    return one.happened


def play_seed(seed: int) -> Counter[str]:
    return play(draw_history(seed))
