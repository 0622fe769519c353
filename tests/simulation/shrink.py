"""From a history that fails to a short one that fails in the same way: fewer faults, actions and records (ddmin)."""

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.simulation.history import History, draw_history
from tests.simulation.seeds import play

T = TypeVar("T")
TRIES_MAX = 1500


def failure(history: History) -> str:
    """What kind of failure a history ends in, "" for none: the error without its numbers."""
    try:
        play(copy.deepcopy(history))
    except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
        return re.sub(r"\d+", "#", f"{type(error).__name__}: {error}")[:60]
    return ""


def fewer(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """A subsequence that still fails, from which nothing alone can be left out (delta debugging, Zeller 2002)."""
    kept, parts = list(items), 2
    while kept:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept


def shrink(history: History) -> History:
    """Raises ValueError when the history does not fail."""
    kind = failure(history)
    if not kind:
        raise ValueError("this history does not fail")
    tries = 0
    best = history

    def still(**changes: Any) -> bool:
        nonlocal best, tries
        tries += 1
        if tries > TRIES_MAX:
            return False
        one = copy.copy(best)
        for name, value in changes.items():
            setattr(one, name, value)
        if failure(one) != kind:
            return False
        best = one
        return True

    def streams(side: str, number: int, values: list[Any]) -> bool:
        world = copy.deepcopy(best.world)
        getattr(world, side)[number] = values
        return still(world=world)

    for _ in range(2):
        fewer(list(best.faults.items()), lambda rest: still(faults=dict(rest)))
        fewer(best.actions, lambda rest: still(actions=rest))
        for side in ("events", "labels"):
            for number, values in enumerate(getattr(best.world, side)):
                fewer(values, lambda rest, s=side, n=number: streams(s, n, rest))  # type: ignore[misc]
    return best


def shrunk(seed: int) -> str:
    """For people: the short history of a seed."""
    history = draw_history(seed)
    try:
        short = shrink(history)
    except ValueError:
        return f"seed {seed} does not fail here"
    return f"seed {seed} shortened; fails with {failure(short)}\n{short.describe()}"
