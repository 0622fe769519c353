"""The `features:` section: what is computed, what is refused and with which words."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stream.build_fold import build_fold, lineage
from stream.errors import ConfigError
from stream.pipeline.batch import RawBatch
from stream.pipeline.fold import Fold
from stream.records import Input, Records
from tests.harness import config, dumps

AMOUNTS = {"window": {"by": "card", "of": "a", "compute": ["count", "mean"], "over": ["1h"]}}
BASE: dict[str, Any] = {
    "events": {"topic": "events", "id": "id", "key": "card", "time": "time", "features": ["a", "b"]}
}


def fold(*features: dict[str, Any], partitions: int = 1, **changes: Any) -> Fold:
    settings = config(**{**BASE, "features": list(features), **changes})
    return build_fold(lineage(settings, {"topics": {}, "partitions": partitions}), [Input("events", "events", 0)])


def refused(*features: dict[str, Any], **changes: Any) -> str:
    with pytest.raises((ConfigError, ValidationError)) as caught:
        fold(*features, **changes)
    return str(caught.value)


def window(**changes: Any) -> dict[str, Any]:
    return {"window": {**AMOUNTS["window"], **changes}}


def test_computed_features_follow_the_events_own() -> None:
    """In the configured order, with names that say what they are."""
    own = fold(AMOUNTS, {"ratio": {"of": "a", "to": "a_mean_1h_by_card"}}, {"calendar": {"compute": ["hour"]}})
    assert [name for stage in own.state.features for name in stage.names] == [
        "a_count_1h_by_card", "a_mean_1h_by_card", "a_per_a_mean_1h_by_card", "hour",
    ]  # fmt: skip
    assert [name for name, _ in own.parts() if name.startswith("features/")] == ["features/a_by_card"]


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([window(by="a")], "listed as a number"),
        ([AMOUNTS, AMOUNTS], "features[1]: there is a feature 'a_count_1h_by_card' already"),
        ([window(of="y", by="y")], "a key of windows and has windows itself"),
        ([window(tiles=7)], "whole number of milliseconds"),
        ([window(compute=["median"])], "median"),
        ([window(of=None)], "of events themselves there is no mean"),
        ([{"ratio": {"of": "a", "to": "c"}}], "'c' is no feature"),
        ([AMOUNTS, window(of="a_mean_1h_by_card")], "is computed, and windows are over fields"),
        ([window(by=["card", "card"])], "names 'card' twice"),
        ([{"calendar": {"compute": ["minute"]}}], "minute"),
        ([{"calendar": {"compute": ["hour"]}, "ratio": {"of": "a", "to": "b"}}], "one of window, calendar"),
    ],
)
def test_what_cannot_be_computed_is_refused(features: list[dict[str, Any]], words: str) -> None:
    """With the reason."""
    assert words in refused(*features)


def test_the_label_is_no_field_of_a_window() -> None:
    """It is not known when the event is scored."""
    assert "windows of it are `of: {label: }`" in refused(window(of="y"), labels={"field": "y", "delay": "1h"})


def test_open_features_have_no_windows() -> None:
    """They are named first."""
    events = {**BASE["events"], "features": None}
    assert "events: {features: [...]}" in refused(AMOUNTS, events=events)


def test_labels_of_classes_have_no_windows() -> None:
    """They are no numbers."""
    labels = {"topic": "labels", "id": "id", "value": "y", "time": "time", "classes": ["x", "z"]}
    learners = {"bayes": "river.naive_bayes.GaussianNB"}
    told = refused(window(of="label"), labels=labels, problem="multiclass", learners=learners)
    assert "labels that are numbers or true and false" in told


def test_a_window_over_a_part_of_a_key_is_refused() -> None:
    """Unless there is one task, the events have that key, or it is accepted."""
    told = refused(window(by="terminal"), partitions=4)
    assert "a task sees only its part of each terminal" in told
    for features, partitions in (
        (window(by="terminal"), 1),
        (window(by="terminal", partial=True), 4),
        (window(by="card"), 4),
        (window(by=["terminal", "card"]), 4),
    ):
        assert fold(features, partitions=partitions).state.features


def test_a_detector_may_watch_a_computed_feature() -> None:
    """And no other that there is not."""
    watch = {"signal": {"feature": "a_mean_1h_by_card"}, "detector": "adwin"}
    assert fold(AMOUNTS, detectors=[watch]).state.watches
    assert "no feature 'a_men'" in refused(AMOUNTS, detectors=[{**watch, "signal": {"feature": "a_men"}}])


def events(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"e{n}", "card": f"c{n % 2}", "time": 1000 * n, "a": float(n), "b": 1.0}
        for n in range(start, start + count)
    ]


def test_what_waits_keeps_its_features_when_others_come() -> None:
    """An accepted change adds a window: rows that wait are learned with what they had, the new is missing there."""
    first = fold(AMOUNTS)
    values = dumps(events(4))
    first.step(RawBatch(Records(list(range(4)), [0] * 4, [None] * 4, values)))
    changed = fold(AMOUNTS, {"calendar": {"compute": ["hour"]}})
    anew = changed.take_over(first)
    assert "features/a_by_card" not in anew
    assert "join" not in anew
    kept = changed.state.join._rows.take([0, 1, 2, 3]).computed
    np.testing.assert_array_equal(kept, [[1, 0, np.nan], [1, 1, np.nan], [2, 1, np.nan], [2, 2, np.nan]])


@pytest.mark.parametrize("name", ["learners.compiled.ScaledLogisticRegression", "learners.boosting.BoostedTrees"])
def test_a_learner_on_arrays_needs_the_features_listed(name: str) -> None:
    """Said before anything runs, also of one that learns only some labels."""
    for learner in (name, {"learn": name, "labels": {"within": "1h"}}):
        with pytest.raises(ConfigError, match="features must be known beforehand"):
            fold(events={"topic": "events", "id": "id", "time": "time"}, learners={"m": learner})
