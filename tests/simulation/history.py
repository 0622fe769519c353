"""A history as data: what is in the topics, what is done to whom, and what goes wrong where. Drawn from a seed.

Everything that a play of it draws later comes from its own ``seed`` too, so a history, also one that was made shorter,
plays the same way every time. Commands (promote, pause, roll back) are not here: the product has none yet. Read play.py.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.rare import add_rare
from tests.simulation.world import World, world

Action = tuple[Any, ...]
Fault = tuple[Any, ...]
Point = tuple[str, int]
"""Which touch of log or store: its name ("" is any), and the how manieth of that name."""

WORKERS = 3

WRONG: dict[str, tuple[str, ...]] = {
    "commit": ("lost", "unanswered", "late", "late", "late", "late"),
    "offsets": ("unanswered",),
    "send to partition": ("lost", "unanswered"),
    "send journal": ("lost", "unanswered"),
    "produce": ("full",),
    "fetch": ("slow",),
    "marks": ("unanswered",),
    "store missing": ("away",),
    "store put": ("away", "torn", "some", "lost", "unanswered"),
    "store advance": ("away", "torn", "lost", "unanswered"),
    "store heads": ("away", "stale", "crossed"),
    "store get": ("away", "torn"),
}
"""What can be wrong with a request, by its name."""
RATES = (10, 2, 4, 3, 1, 1, 1, 1, 3, 3, 2, 2)
"""How often, in the order of ``WRONG``."""

EDGES = (
    "init done", "place added", "sent to partition", "offsets sent", "offsets done", "commit sent", "commit done",
    "abort sent", "store put done", "store advance", "store advance done", "store heads", "marks",
)  # fmt: skip
"""Touches between which a protocol's steps lie: an end or a pause exactly there is drawn more often than by chance."""

ACTIONS = {
    "turn": 100, "jobs": 20, "feed": 20, "time": 12, "kill": 3, "stop": 1, "freeze": 2, "rebalance": 3, "cut off": 2,
    "outage": 1, "slow markers": 1, "store": 5, "gap": 2,
}  # fmt: skip


@dataclass
class History:
    """One history."""

    seed: int
    world: World
    delivery: str = "exactly_once"
    fed: bool = False
    """Whether all records are there before anything begins; then the answers are known beforehand too."""
    workers: int = 2
    batch_records: int = 10
    checkpoint_records: int | None = 10
    actions: list[Action] = field(default_factory=list)
    faults: dict[Point, Fault] = field(default_factory=dict)

    def describe(self) -> str:
        """For people, and to be kept as a regression."""
        lines = [
            f"History({self.seed}, {self.world!r},",
            f"    delivery={self.delivery!r}, fed={self.fed}, workers={self.workers},",
            f"    batch_records={self.batch_records}, checkpoint_records={self.checkpoint_records},",
            "    actions=[",
            *(f"        {action!r}," for action in self.actions),
            "    ],",
            "    faults={",
            *(f"        {point!r}: {fault!r}," for point, fault in sorted(self.faults.items())),
            "    },",
            ")",
        ]
        return "\n".join(lines)


def draw_history(seed: int) -> History:
    """The history of a seed."""
    draw = random.Random(seed)
    made = History(
        seed,
        world(draw, (10, 50)),
        delivery=draw.choice(["exactly_once"] * 4 + ["at_least_once"]),
        fed=draw.random() < 0.4,
        workers=draw.choice([1, 2, 2, 2, 3]),
        batch_records=draw.choice([1, 3, 10, 10, 50, 1000]),
        checkpoint_records=draw.choice([1, 5, 10, 30, None]),
    )
    busy = draw.choice([20, 60, 120])
    made.actions = [draw_action(draw, made) for _ in range(busy)]
    made.faults = draw_faults(draw)
    add_rare(random.Random(f"{seed} rare"), made)
    return made


def draw_action(draw: random.Random, history: History) -> Action:
    kind = draw.choices(list(ACTIONS), list(ACTIONS.values()))[0]
    which = draw.randrange(history.workers)
    if kind == "turn":
        return kind, which, draw.choice([1, 3, 8, 20])
    if kind == "jobs":
        return kind, which, draw.choice([1, 1, 2, 5])
    if kind == "feed":
        return kind, draw.randrange(4), draw.choice([1, 3, 10, 30])
    if kind == "time":
        return kind, draw.choice([0.01, 0.1, 1.0, 12.0, 12.0])
    if kind == "freeze":
        return kind, which, draw.choice([1.0, 12.0, 70.0]), draw.choice([2, 10, 30])
    if kind in {"cut off", "outage"}:
        return kind, which, draw.choice([0.05, 2.0, 15.0, 70.0])
    if kind == "rebalance":
        return kind, draw.randrange(1, 4)
    if kind == "slow markers":
        return kind, draw.choice([0.0, 0.01, 0.5])
    if kind == "store":
        return kind, draw.choice(["wipe", "away", "back", "remember", "go back", "evict", "rot"]), draw.randrange(1000)
    if kind == "gap":
        return kind, draw.randrange(4)
    return kind, which


def draw_faults(draw: random.Random) -> dict[Point, Fault]:
    """Places of crashes and freezes among all touches, and of what is wrong with single requests."""
    faults: dict[Point, Fault] = {}
    for _ in range(draw.choice([0, 1, 3, 8, 20])):
        faults["", draw.randrange(1, draw.choice([100, 400, 1500]))] = draw.choice(
            [("crash",), ("crash",), ("freeze", draw.choice([0.5, 12.0, 70.0]), draw.choice([3, 10, 25])),
             ("meanwhile", draw.choice([1, 4, 10]))]
        )  # fmt: skip
    for name in draw.choices(list(WRONG), RATES, k=draw.choice([0, 1, 2, 4, 6])):
        for _ in range(draw.choice([1, 2, 5])):
            faults[name, draw.randrange(1, draw.choice([4, 12, 40]))] = (draw.choice(WRONG[name]),)
    for name in draw.choices(EDGES, k=draw.choice([0, 0, 1, 2, 4])):
        faults[name, draw.randrange(1, draw.choice([4, 20]))] = draw.choice(
            [("crash",), ("freeze", draw.choice([0.5, 12.0, 70.0]), draw.choice([5, 20])), ("meanwhile", 6)]
        )
    return faults
