"""How the fraud figures are judged: which events, which cards, and what no learner is shown."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.quality import fraud
from stream.build_fold import build_fold, lineage
from stream.config import load

CONFIG = Path(fraud.__file__).with_name("fraud.yaml")


def frame(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Day, card, fraud."""
    return pd.DataFrame(rows, columns=["day", "customer", "fraud"])


@pytest.mark.parametrize(
    ("day_of_fraud", "judged"),
    [
        (
            46,
            [True, True, False],
        ),  # before the week of training of 1 June: nobody looks at it; of 8 June's week likewise
        (47, [False, True, False]),
        (53, [False, True, False]),
        (
            54,
            [True, False, False],
        ),  # in the gap before 1 June; eight days before 2 June; in the week of training of 8 June
        (60, [True, False, False]),
    ],
)
def test_a_card_is_left_out_once_its_fraud_is_known(day_of_fraud: int, judged: list[bool]) -> None:
    """On 1 June and on 8 June, by the day of its fraud; what is not of June is never judged."""
    told = frame((61, 7, 0), (68, 7, 0), (day_of_fraud, 7, 1))
    assert fraud.population(told).tolist() == judged


def test_as_a_test_week_goes_on_more_cards_are_known() -> None:
    """A fraud on day 54 is known on day 62, eight days later, and not on day 61."""
    told = frame((54, 7, 1), (61, 7, 0), (62, 7, 0), (62, 8, 0))
    assert fraud.population(told).tolist() == [False, True, False, True]


def test_the_population_is_the_same_whatever_the_scores() -> None:
    """It is a matter of days, cards and labels: a frame without scores is enough, and other columns change nothing."""
    told = frame((61, 1, 0), (61, 2, 1), (75, 2, 0))
    assert fraud.population(told).tolist() == fraud.population(told.assign(score=1.0)).tolist() == [True, True, False]


def test_card_precision_takes_the_best_score_of_each_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two cards a day one is found; a card that was found is not looked at on the next day."""
    monkeypatch.setattr(fraud, "TOP", 2)
    told = frame((61, 1, 1), (61, 1, 0), (61, 2, 0), (61, 3, 0), (62, 1, 1), (62, 2, 1), (62, 3, 0))
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.9, 0.3, 0.4])
    assert fraud.card_precision(told, scores) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert fraud.card_precision(told, scores, forget_found=False) == pytest.approx((1 / 2 + 1 / 2) / 2)
    knowing = told["fraud"].to_numpy(float)
    assert fraud.card_precision(told, knowing, forget_found=False) == pytest.approx((1 / 2 + 2 / 2) / 2)


def test_the_configuration_is_shown_neither_the_scenario_nor_the_label() -> None:
    """The event's own feature is its amount; labels are known after seven days."""
    config = load(CONFIG, {})
    assert [feature.name for feature in config.events.features or ()] == ["TX_AMOUNT"]
    assert "SCENARIO" not in CONFIG.read_text(encoding="utf-8")
    assert config.answers()["labels"]["delay"] == "7d"
    assert "TX_FRAUD_SCENARIO" not in fraud.COLUMNS


def test_the_forest_gets_as_many_features_as_the_learners_of_the_configuration() -> None:
    """The independent computation makes the same set."""
    config = load(CONFIG, {})
    fold = build_fold(lineage(config, {}), ())
    computed = [name for stage in fold.state.features for name in stage.names]
    told = pd.DataFrame({
        "time": pd.to_datetime(["2018-04-01", "2018-04-02"]), "customer": [1, 1], "terminal": [2, 2],
        "amount": [1.0, 3.0], "fraud": [0, 0],
    })  # fmt: skip
    assert fraud.own_features(told).shape == (2, 1 + len(computed))
