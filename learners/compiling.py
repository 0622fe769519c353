"""Whom to tell that code is being compiled: whoever is first on a machine waits for it. Read jit.py next."""

from collections.abc import Callable

hearers: list[Callable[[], None]] = []
"""Called when it begins, once a function."""
