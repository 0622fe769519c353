"""Some of the histories again, with thresholds that follow the scores: they too are those of an uninterrupted run."""

import dataclasses
import itertools

from tests.simulation.history import draw_history
from tests.simulation.seeds import play

BUDGETS = (
    {"alerts": "2 per 10s", "per": "key"},
    {"alerts": "5 per 30s", "at_first": 0.4, "median_of": 1, "most": 6},
)
HISTORIES = 25


def test_thresholds_survive_whatever_happens():
    """Outputs and state, after crashes, takeovers and lost checkpoints: the budget is in them."""
    drawn = map(draw_history, itertools.count())
    fit = (one for one in drawn if one.world.changes["problem"] in {"binary", "anomaly"})
    for history, budget in zip(itertools.islice(fit, HISTORIES), itertools.cycle(BUDGETS), strict=False):
        changes = {**history.world.changes, "predictions": {"threshold": budget}}
        play(dataclasses.replace(history, world=dataclasses.replace(history.world, changes=changes)))
