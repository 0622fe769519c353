"""What would be too rare by chance: kinds of histories, each made of one that was drawn. Read history.py before."""

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.world import MISBEHAVING

if TYPE_CHECKING:
    from tests.simulation.history import Action, History


def add_rare(draw: random.Random, history: "History") -> None:
    """What would be too rare by chance: each kind in some histories, drawn apart, so that the others stay as they were."""
    kinds = draw.choices(list(RARE), RARE.values(), k=draw.choice([0, 0, 1, 1, 2]))
    for kind in sorted(set(kinds)):
        RARE_KINDS[kind](draw, history)


def _put(draw: random.Random, history: "History", action: "Action", first: float = 0.0) -> None:
    """In any place from a share of the actions on."""
    history.actions.insert(draw.randrange(int(first * len(history.actions)), len(history.actions) + 1), action)


def _restarts(draw: random.Random, history: "History") -> None:
    for _ in range(draw.choice([1, 1, 2])):
        _put(draw, history, ("restart",), 0.3)
    if draw.random() < 0.5:  # a backup from before it comes back
        at = history.actions.index(("restart",))
        later = draw.randrange(at + 1, len(history.actions) + 1)
        history.actions[later:later] = [("store", "go back", 0), ("kill", 0), ("kill", 1)]
        history.actions.insert(at, ("store", "remember", 0))


def _foreign(draw: random.Random, history: "History") -> None:
    for _ in range(draw.choice([2, 6, 15])):
        outcome = draw.choice(["committed", "aborted", "aborted"])
        _put(draw, history, ("foreign", draw.randrange(4), draw.choice([1, 3, 10]), outcome))


def _muted(draw: random.Random, history: "History") -> None:
    """One input is silent from the beginning, while another runs ahead."""
    history.batch_records = draw.choice([1, 1, 3])
    which = draw.randrange(4)
    history.actions[:0] = [("mute", which, draw.choice([5.0, 30.0])), ("feed", 0, 30), ("feed", 1, 30), ("turn", 0, 20)]
    for _ in range(2):
        _put(draw, history, ("mute", draw.randrange(4), draw.choice([1.0, 10.0])))
        _put(draw, history, ("kill", draw.randrange(2)))


def _trimmed(draw: random.Random, history: "History") -> None:
    """Retention, where nothing befalls the store but that it is away."""
    history.checkpoint_records = draw.choice([1, 5, 10])
    history.actions = [one for one in history.actions if one[0] not in {"store", "restart"}]
    history.faults = {at: fault for at, fault in history.faults.items() if not at[0].startswith("store")}
    for _ in range(draw.choice([0, 8])):
        _put(draw, history, ("gap", draw.randrange(4)))
        _put(draw, history, ("time", 12.0))
    for _ in range(10):
        _put(draw, history, ("trim", draw.randrange(4)))
    for what in draw.sample(["away", "back", "away", "back"], draw.choice([0, 2, 4])):
        _put(draw, history, ("store", what, 0))


def _heads_misled(draw: random.Random, history: "History") -> None:
    """A store whose heads are of another place, or of another task."""
    for number in draw.sample(range(2, 20), 8):
        history.faults["store heads", number] = (draw.choice(["misplaced", "misplaced", "crossed"]),)
    history.batch_records, history.checkpoint_records = draw.choice([1, 3, 10]), draw.choice([1, 5])
    for _ in range(6):
        _put(draw, history, ("kill", draw.randrange(2)), 0.3)
    for _ in range(draw.choice([0, 4])):
        _put(draw, history, ("store", "swap", 0), 0.3)


def _taken_away(draw: random.Random, history: "History") -> None:
    """Tasks wander, and a commit begins in the moment in which its task is lost."""
    history.workers = max(history.workers, 2)
    for number in draw.sample(range(1, 8), 4):
        history.faults["revoked", number] = ("jobs", draw.choice([1, 3]))
    for _ in range(6):
        _put(draw, history, ("rebalance", draw.randrange(1, 4)))


def _out_of_order(draw: random.Random, history: "History") -> None:
    """Times that fall back and leap just where workers end."""
    for values in (*history.world.events, *history.world.labels):
        for place in range(len(values)):
            if draw.random() < 0.25:
                by = draw.choice([-20_000, -5000, -5000, 20_000, 90_000])
                values[place] = _later(values[place], by)
    history.fed = draw.random() < 0.8
    history.batch_records = draw.choice([1, 3, 10])
    for _ in range(5):
        _put(draw, history, ("kill", draw.randrange(2)))


def _later(value: bytes | None, by_ms: int) -> bytes | None:
    return value and re.sub(rb'"time":(-?\d+)', lambda told: b'"time":%d' % (int(told[1]) + by_ms), value, count=1)


def _deaf(draw: random.Random, history: "History") -> None:
    """Who thaws works on for a while before it hears that its task is another's, which goes on meanwhile."""
    history.fed, history.workers, history.batch_records = False, 2, draw.choice([1, 3, 10])
    history.checkpoint_records = draw.choice([1, 5])
    (one, other), more = draw.sample([0, 1], 2), draw.choice([1, 3])
    few = [("feed", which, draw.choice([3, 6, 12])) for which in range(4)]
    turns = [("turn", other, 20)] * draw.choice([3, 5])
    theirs = [*turns, ("feed", 0, more), ("turn", other, 20), ("store", "back", 0)]
    theirs.insert(0, ("store", "away", 0))
    ours = [("turn", one, 20), ("jobs", one, 5), ("turn", one, 20), ("jobs", one, 5)]
    again = [("feed", 0, more), ("feed", 1, more), ("turn", other, 8), ("kill", other), ("turn", other, 20)]
    history.actions = [*few, ("turn", one, 20), *theirs, *ours, *again, *history.actions]
    frozen = ("freeze", 12.0, len(theirs), draw.choice([1.0, 5.0]))
    history.faults = {draw.choice([("commit done", 1), ("commit done", 2), ("marks", draw.randrange(1, 9))]): frozen}


def _lost_sends(draw: random.Random, history: "History") -> None:
    """Without transactions a journal entry that is lost is lost alone."""
    history.delivery = "at_least_once"
    for number in draw.sample(range(1, 30), 6):
        history.faults["send journal", number] = (draw.choice(["lost", "lost", "unanswered"]),)


def _forgetful(draw: random.Random, history: "History") -> None:
    """A store that loses things under workers that live on."""
    history.actions = [one for one in history.actions if one[0] not in {"kill", "stop", "freeze", "restart"}]
    history.faults = {at: fault for at, fault in history.faults.items() if fault[0] != "crash"}
    history.batch_records, history.checkpoint_records = draw.choice([1, 3, 10]), draw.choice([1, 5])
    for _ in range(4):
        _put(draw, history, ("store", draw.choice(["wipe", "evict", "evict"]), draw.randrange(1000)), 0.3)


def _unlearnable(draw: random.Random, history: "History") -> None:
    """A champion that raises often, at labels that come twice, or together."""
    changes = history.world.changes
    if changes["problem"] != "binary":
        return
    raises = {**MISBEHAVING, "parameters": {"limit": draw.choice([0.0, 1.0]), "score_limit": 9.0}}
    rest = {name: one for name, one in changes["learners"].items() if name != "misbehaving"}
    changes |= {"learners": {"misbehaving": raises, **rest}, "champion": "misbehaving"}
    changes["learn_errors_max"] = draw.choice([10, 1000])
    changes.get("labels", {}).get("assume", {}).pop("correction_weight", None)
    history.batch_records = draw.choice([1, 3, 10, 50, 1000])
    history.checkpoint_records = draw.choice([1, 5, 10])
    if draw.random() < 0.5:  # one life, to which a little comes again and again
        history.fed, history.batch_records, history.workers = False, draw.choice([1, 1, 3]), 1
        history.actions = []
        for _ in range(draw.choice([10, 25])):
            history.actions += [("feed", draw.randrange(4), draw.choice([1, 1, 2, 3])), ("turn", 0, 20)]
        history.faults = {at: fault for at, fault in history.faults.items() if fault[0] == "meanwhile"}
        history.checkpoint_records = draw.choice([5, 10])


RARE = {
    "restart": 3, "foreign": 3, "muted": 2, "trimmed": 2, "heads misled": 2, "taken away": 3, "out of order": 2,
    "unlearnable": 2, "forgetful": 2, "deaf": 4, "lost sends": 1,
}  # fmt: skip
RARE_KINDS: dict[str, "Callable[[random.Random, History], None]"] = {
    "restart": _restarts, "foreign": _foreign, "muted": _muted, "trimmed": _trimmed, "heads misled": _heads_misled,
    "taken away": _taken_away, "out of order": _out_of_order, "unlearnable": _unlearnable,
    "forgetful": _forgetful, "deaf": _deaf, "lost sends": _lost_sends,
}  # fmt: skip
