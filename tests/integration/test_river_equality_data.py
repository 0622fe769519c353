"""As unit/stream/pipeline/test_river_equality.py, on real histories: elec2 whole, and a month of card payments."""

import csv
import datetime as dt
import gzip
from pathlib import Path

import pytest

from tests.evaluations import Moment, fold_says, river_says, same, ties

DATA = Path(__file__).parents[2].parent / "shared/data"
ELEC = DATA / "elec2/elec.csv.gz"
APRIL = DATA / "fraud/transactions_2018-04-01_2018-04-30.csv.gz"
HALF_HOUR = 1_800_000
WEEK = dt.timedelta(days=7)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def elec():
    """A row each half hour; its label is known after 0 to 96 half hours, as it says."""
    if not ELEC.exists():
        pytest.skip("needs shared/data/elec2 beside the checkout")
    with gzip.open(ELEC, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "class"]
    return [
        Moment({name: float(row[name]) for name in names}, row["class"] == "1", i * HALF_HOUR, i * 7919 % 97 / 2)
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("delay", "by_river"),
    [
        ("0s", {"moment": None, "delay": None}),
        ("1d", {"moment": "time", "delay": 48 * HALF_HOUR}),
        ("48 events", {"moment": None, "delay": 48}),
        ({"field": "after", "unit": "h"}, {"moment": "time", "delay": lambda x, _: int(x["after"] * 2 * HALF_HOUR)}),
    ],
    ids=["none", "a day", "48 events", "each its own"],
)
def test_elec2_is_rivers_evaluation(elec, delay, by_river):
    """All 45,312 scores, the order of learning, accuracy and log loss, to the bit."""
    names = list(elec[0].x)
    fold, lab = fold_says(elec, names, delay=delay)
    assert same(fold, river_says(elec, names, **by_river))
    assert (len(fold.scores), lab.reasons) == (45_312, [])


def test_a_day_and_48_half_hours_are_the_same(elec):
    """Where a row comes each half hour, one is the other; and every label is due at the very time of an event."""
    names = list(elec[0].x)
    assert fold_says(elec, names, delay="1d")[0] == fold_says(elec, names, delay="48 events")[0]
    assert ties(elec, lambda _: 48 * HALF_HOUR) == len(elec) - 48


def test_a_month_of_payments_is_rivers_evaluation():
    """Seven days of delay over April, with River's own datetimes: 288,062 scores, the order, accuracy and log loss."""
    if not APRIL.exists():
        pytest.skip("needs shared/data/fraud beside the checkout")
    history = []
    with gzip.open(APRIL, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = dt.datetime.fromisoformat(row["TX_DATETIME"]).replace(tzinfo=dt.UTC)
            x = {"amount": float(row["TX_AMOUNT"]), "hour": float(at.hour), "weekday": float(at.weekday())}
            history.append(Moment(x, row["TX_FRAUD"] == "1", round(at.timestamp() * 1000)))
    names = list(history[0].x)
    assert ties(history, lambda _: 7 * 86_400_000) > 20_000
    fold, lab = fold_says(history, names, delay="7d", cut=5000)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    dated = (one._replace(time_ms=epoch + dt.timedelta(milliseconds=one.time_ms)) for one in history)
    assert same(fold, river_says(dated, names, moment="time", delay=WEEK))
    assert (len(fold.scores), lab.reasons, lab.fold.state.join.left) == (288_062, [], 0)
