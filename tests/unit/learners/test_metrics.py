"""What all metrics share: cuts change nothing, states reload, corrections are taken back, the window is exact."""

import pickle
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.metrics.build import make

PROBLEMS = ("binary", "multiclass", "regression", "anomaly")
N = 400


def labels(problem, n=N, seed=3):
    """Targets, scores and corrections of one problem, with scores that do not count among them."""
    rng = np.random.default_rng(seed)
    if problem == "multiclass":
        target = rng.integers(0, 4, n).astype(np.float64)
        scores = rng.dirichlet(np.ones(4), n)
        scores[rng.random((n, 4)) < 0.1] = np.nan
        wrong = (target + 1) % 4
    elif problem == "regression":
        target = rng.normal(1e6, 3, n)
        scores = (target + rng.normal(0, 1, n))[:, np.newaxis]
        wrong = target + 1e12
    else:
        target = (rng.random(n) < 0.3).astype(np.float64)
        scores = rng.random((n, 1)) if problem == "binary" else rng.normal(0.5, 3, (n, 1))
        wrong = 1 - target
    scores[rng.random(n) < 0.05] = np.nan
    previous = np.full(n, np.nan)
    corrections = np.arange(n // 2, n, 7)  # each of an event of the first half
    scores[corrections] = scores[corrections - n // 2]
    previous[corrections] = target[corrections - n // 2]
    target[corrections] = wrong[corrections - n // 2]
    return target, scores, previous


def made(problem, window=150):
    return make(problem, threshold=0.5, window=window, width=4)


def updated(problem, rows, **settings):
    metrics = made(problem, **settings)
    metrics.update(*rows)
    return metrics


def figures(metrics):
    """All that can be read, with NaN equal to itself."""
    return repr((metrics.all(), metrics.recent(), metrics.count, metrics.unscored))


def reloaded(problem, metrics):
    chunks = pickle.loads(pickle.dumps(dict(metrics.dump(-1)), 5))
    assert set(chunks) == set(metrics.alive())
    other = made(problem)
    other.load(chunks)
    return other


@pytest.mark.parametrize("problem", PROBLEMS)
@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, N), max_size=10).map(sorted), reload=st.booleans())
def test_where_labels_are_cut_changes_nothing(problem, cuts, reload):
    """To the bit, all over and recent, also when the state goes through bytes at every cut."""
    rows = labels(problem)
    metrics = made(problem)
    for start, stop in zip([0, *cuts], [*cuts, N], strict=True):
        metrics.update(*(column[start:stop] for column in rows))
        if reload:
            metrics = reloaded(problem, metrics)

    assert figures(metrics) == figures(updated(problem, rows))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_label_at_a_time_changes_nothing(problem):
    """The smallest batches there are."""
    rows = labels(problem)
    metrics = made(problem)
    for at in range(N):
        metrics.update(*(column[at : at + 1] for column in rows))

    assert figures(metrics) == figures(updated(problem, rows))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_corrected_label_is_taken_back_exactly(problem):
    """First every label wrong, then each corrected: the figures over all are those of the right ones alone."""
    target, scores, _ = labels(problem)
    never = np.full(N, np.nan)
    wrong = target + 1e15 if problem == "regression" else (target + 1) % (4 if problem == "multiclass" else 2)
    metrics = updated(problem, (wrong, scores, never))
    metrics.update(target, scores, wrong)
    right = updated(problem, (target, scores, never))

    assert repr(metrics.all()) == repr(right.all())
    assert (metrics.count, metrics.unscored) == (right.count, right.unscored)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_recent_figures_are_those_of_the_last_labels_that_count(problem):
    """Exactly ``window`` of them, as if nothing had been before."""
    target, scores, _ = labels(problem)
    scored = ~np.isnan(scores).all(axis=1)
    last = (target[scored][-150:], scores[scored][-150:], np.full(150, np.nan))

    recent = updated(problem, (target, scores, np.full(N, np.nan))).recent()

    assert recent == pytest.approx(updated(problem, last).all(), rel=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_recent_window_sees_a_correction_as_one_label_more(problem):
    """Nothing is taken back from it."""
    target, scores, _ = labels(problem, n=10)
    scores = np.nan_to_num(scores, nan=0.25)
    metrics = updated(problem, (target, scores, np.full(10, np.nan)))
    metrics.update(target[:1], scores[:1], target[:1])
    twice = (np.r_[target, target[:1]], np.r_[scores, scores[:1]], np.full(11, np.nan))

    assert metrics.recent() == pytest.approx(updated(problem, twice).all(), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_scores_that_are_no_numbers_are_counted_and_skipped(problem):
    """The figures are those without them; a correction of one is no further event."""
    target, scores, _ = labels(problem)
    scored = ~np.isnan(scores).all(axis=1)
    never = np.full(N, np.nan)
    metrics = updated(problem, (target, scores, never))
    metrics.update(target[~scored], scores[~scored], target[~scored])
    without = updated(problem, (target[scored], scores[scored], never[scored]))

    assert (metrics.count, metrics.unscored) == (int(scored.sum()), int((~scored).sum()))
    assert metrics.all() == without.all()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_before_the_first_label_there_is_nothing_to_say(problem):
    """NaN, or 0 where River says 0; and no warning of NumPy."""
    metrics = made(problem)

    assert all(isnan(figure) or figure == 0.0 for figure in (metrics.all() | metrics.recent()).values())


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_state_is_pickled_without_numpy(problem):
    """So that the unpickler of checkpoints needs to admit nothing for it."""
    pickled = pickle.dumps(dict(updated(problem, labels(problem)).dump(-1)), 5)

    assert b"numpy" not in pickled


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_state_of_another_window_is_refused(problem):
    """Rather than read askew."""
    chunks = dict(updated(problem, labels(problem)).dump(-1))

    with pytest.raises(ValueError, match="window has 150 labels, this one 170"):
        made(problem, window=170).load(chunks)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_empty_update_changes_nothing(problem):
    """A batch without labels is no special case."""
    metrics = updated(problem, labels(problem))
    before = figures(metrics)
    metrics.update(np.empty(0), np.empty((0, 4 if problem == "multiclass" else 1)), np.empty(0))

    assert figures(metrics) == before


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_batch_longer_than_the_window_leaves_its_end(problem):
    """The recent figures of one large batch are those of many small ones (a window of 7)."""
    rows = labels(problem)
    metrics = made(problem, window=7)
    for at in range(N):
        metrics.update(*(column[at : at + 1] for column in rows))

    assert figures(metrics) == figures(updated(problem, rows, window=7))


def test_a_window_holds_something():
    """At least one label."""
    with pytest.raises(ValueError, match="holds nothing"):
        made("binary", window=0)
