"""Compiling a function with Numba: kept on disk where that is possible, so that only the first process pays for it."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event

from learners import compiling

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit``. Nothing is fused or reordered, so a result is the same on every run."""
    return _kept(function, error_model="numpy")  # no look for zero before each division


def uncounted(function: F) -> F:
    """The same for code that makes no array, and calls only such code: references to arrays are not counted. Each call
    of a function would count those to each of its arrays, there and back.
    """
    return _kept(function, error_model="numpy", _nrt=False)


def _kept(function: F, **options: Any) -> F:
    made: Any
    try:
        made = numba.njit(cache=True, **options)(function)
        made._cache._cache_file._source_stamp = _sources(Path(function.__code__.co_filename).parent)  # noqa: SLF001 - see there
    except (RuntimeError, AttributeError):  # no place that may be written to, or another Numba
        made = numba.njit(**options)(function)
    return made  # type: ignore[no-any-return]


class _Listener(event.Listener):
    """Numba's own word that it compiles; it says none where it finds the code on disk."""

    def on_start(self, event: Any) -> None:  # noqa: ARG002 - what a listener is given
        for hear in compiling.hearers:
            hear()

    def on_end(self, event: Any) -> None:
        """Nothing."""


event.register("numba:compile", _Listener())  # type: ignore[no-untyped-call]


@functools.cache
def _sources(directory: Path) -> str:
    """What the compiled code of a directory is made of. Numba itself looks only at the file of the function that is called:
    after a change in another one, which that calls, it would go on with the old code.
    """
    digest = hashlib.sha256()
    for file in (Path(__file__), *sorted(directory.glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
