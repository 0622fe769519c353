"""Some of the histories again, with thresholds that follow the scores: they too are those of an uninterrupted run."""

import dataclasses
import itertools

from tests.simulation.history import draw_history
from tests.simulation.seeds import play

BUDGETS = (
    {"alerts": "2 per 20s", "per": "key", "median_of": 1, "most": 2},
    {"alerts": "4 per 60s", "at_first": 0.4, "most": 5},
)
HISTORIES = 25


def test_thresholds_survive_whatever_happens():
    """Outputs and state, after crashes, takeovers and lost checkpoints: the budget is in them."""
    drawn = map(draw_history, itertools.count())
    fit = (one for one in drawn if one.world.changes["problem"] in {"binary", "anomaly"})
    for history, budget in zip(itertools.islice(fit, HISTORIES), itertools.cycle(BUDGETS), strict=False):
        changes = {**history.world.changes, "predictions": {"threshold": budget}}
        play(dataclasses.replace(history, world=dataclasses.replace(history.world, changes=changes)))
