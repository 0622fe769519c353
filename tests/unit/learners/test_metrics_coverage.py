"""Coverage and label age."""

import pickle
from math import isnan

import numpy as np
import pytest

from learners.metrics.coverage import Coverage


def test_share_is_labels_by_events():
    """Events without labels count."""
    coverage = Coverage()
    coverage.update(7, np.array([], dtype=np.int64))
    coverage.update(3, np.array([5, 5], dtype=np.int64))

    assert {name: coverage.all()[name] for name in ("events", "labelled", "share")} == {
        "events": 10,
        "labelled": 2,
        "share": 0.2,
    }


def test_the_mean_age_is_exact_however_old():
    """Seven days, and a sum that is above 64 bits."""
    coverage = Coverage()
    coverage.update(2, np.array([604_800_000, 604_800_001], dtype=np.int64))
    assert coverage.all()["age_mean_ms"] == 604_800_000.5

    coverage.update(4, np.full(4, 2**62))
    assert coverage.all()["age_mean_ms"] == pytest.approx(2**62 * 4 / 6)


@pytest.mark.parametrize(("name", "share"), [("age_p50_ms", 50), ("age_p99_ms", 99)])
@pytest.mark.parametrize("scale", [3.0, 3_000.0, 3e8])
def test_quantiles_are_within_three_percent(name, share, scale):
    """From milliseconds to days."""
    ages = np.random.default_rng(1).exponential(scale, 5000).astype(np.int64) + 1
    coverage = Coverage()
    coverage.update(5000, ages)

    assert coverage.all()[name] == pytest.approx(np.percentile(ages, share, method="inverted_cdf"), rel=1 / 31)


@pytest.mark.parametrize("age", [0, -5])
def test_a_label_that_was_there_first_has_age_0(age):
    """Labels may come before their events."""
    coverage = Coverage()
    coverage.update(1, np.array([age]))

    assert (coverage.all()["age_mean_ms"], coverage.all()["age_p99_ms"]) == (0.0, 0.0)


def test_before_the_first_label_ages_are_nan():
    """There is nothing to say."""
    found = Coverage().all()

    assert isnan(found["share"])
    assert isnan(found["age_mean_ms"])
    assert isnan(found["age_p50_ms"])


def test_cuts_and_reloads_change_nothing():
    """Half of it, through bytes, and the other half."""
    ages = np.random.default_rng(2).exponential(1e6, 1000).astype(np.int64)
    whole, first, second = Coverage(), Coverage(), Coverage()
    whole.update(1500, ages)
    first.update(700, ages[:300])
    second.load(pickle.loads(pickle.dumps(dict(first.dump(-1)), 5)))
    second.update(800, ages[300:])

    assert second.all() == whole.all()
