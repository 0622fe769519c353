"""Boosted trees over a stream: what they can learn, what they remember, and that no way of running them changes a bit."""

import numpy as np
import pytest

from learners.base import EVENT, LABEL, Program
from learners.boosting import BLOCK, BoostedTrees
from learners.conformance import NUMBERS, Table, check, synthetic

SMALL = {"trees": 10, "every": 20, "keep": 1.0, "positives": 200, "negatives": 200, "curve": 0.1}


class Matrix(Table):
    """Rows of one matrix."""

    def __init__(self, matrix):
        super().__init__({f"f{place}": column for place, column in enumerate(matrix.T.tolist())})
        self._matrix = matrix

    def matrix(self):
        return self._matrix


def stream(matrix, labels, *, delay=0):
    """Every event's label comes ``delay`` events after it."""
    count = len(labels)
    at = np.arange(count)
    places = np.concatenate([at * 2, (at + delay) * 2 + 1])
    order = np.argsort(places, kind="stable")
    op = np.repeat([EVENT, LABEL], count)[order].astype(np.uint8)
    row = np.concatenate([at, at])[order].astype(np.int32)
    program = Program(
        op=op,
        row=row,
        time_ms=np.arange(2 * count),
        target=np.where(op == LABEL, labels[row], np.nan),
        previous=np.full(2 * count, np.nan),
        weight=np.ones(2 * count),
        classes=(),
    )
    return Matrix(matrix), program


def scores_of(learner, rows, program):
    scores = np.full((len(rows), 1), np.nan)
    assert learner.run(rows, program, 0, len(program), scores) == len(program)
    return scores[:, 0]


def ranked(scores, labels):
    """ROC AUC."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    positive = labels == 1
    return (ranks[positive].mean() - (positive.sum() + 1) / 2) / (~positive).sum()


def crossed(count, seed=0, turned=None):
    """True where two features are on one side of zero: no sum of functions of one feature tells. Turns around at a row."""
    chance = np.random.default_rng(seed)
    matrix = chance.standard_normal((count, 4))
    labels = (matrix[:, 0] * matrix[:, 1] > 0).astype(float)
    if turned is not None:
        labels[turned:] = 1 - labels[turned:]
    return matrix, labels


@pytest.mark.parametrize(
    ("kinds", "settings"),
    [
        (NUMBERS, {}),
        ({"amount": "number", "known": "boolean", "wood": "text"}, {"keep": 0.3}),
        (NUMBERS, {"rows": 1.0, "features": 1.0, "depth": 1, "positives": 30, "negatives": 30}),
    ],
)
def test_every_promise_of_a_learner_is_kept(kinds, settings):
    """Cuts, predictions between, saves, loads, copies and late labels change no bit of a score, also when memory is full."""
    given = {**SMALL, **settings}
    assert (
        check(BoostedTrees(**given), "binary", synthetic("binary", kinds, events=600), again=BoostedTrees(**given))
        == []
    )


def test_what_no_single_feature_tells_is_learned():
    """A cross of two features."""
    matrix, labels = crossed(3000)
    scores = scores_of(BoostedTrees(**SMALL), *stream(matrix, labels))
    assert ranked(scores[1500:], labels[1500:]) > 0.8


def test_the_ensemble_follows_a_stream_that_turns_around():
    """The memory and the trees are of the newest labels."""
    matrix, labels = crossed(4000, turned=2000)
    scores = scores_of(BoostedTrees(**SMALL, features=1.0), *stream(matrix, labels))
    assert ranked(scores[2000:2200], labels[2000:2200]) < 0.5
    assert ranked(scores[3000:], labels[3000:]) > 0.85


def test_scores_stay_probabilities_though_few_false_labels_are_kept():
    """A row stands for those of its class that were left out."""
    chance = np.random.default_rng(2)
    matrix = chance.standard_normal((20_000, 3))
    chances = 1 / (1 + np.exp(4 - 2 * matrix[:, 0]))
    labels = (chance.random(20_000) < chances).astype(float)
    smooth = {"depth": 2, "curve": 20.0, "every": 50, "keep": 0.1, "positives": 1000, "negatives": 2000}
    scores = scores_of(BoostedTrees(**smooth), *stream(matrix, labels))[5000:]
    assert scores.mean() == pytest.approx(labels[5000:].mean(), rel=0.15)
    assert np.mean((scores - chances[5000:]) ** 2) < 0.2 * np.mean((labels[5000:].mean() - chances[5000:]) ** 2)


def test_a_missing_value_tells_something():
    """It goes its own way at a question."""
    chance = np.random.default_rng(3)
    matrix = chance.standard_normal((2000, 2))
    labels = (chance.random(2000) < 0.3).astype(float)
    matrix[labels == 1, 1] = np.nan
    scores = scores_of(BoostedTrees(**SMALL, features=1.0), *stream(matrix, labels))
    assert ranked(scores[500:], labels[500:]) > 0.95


def test_before_the_first_tree_the_score_is_the_share_of_true_labels():
    """Half an event of each class is added, so that it is never sure."""
    matrix, labels = crossed(9)
    labels[:] = 0
    scores = scores_of(BoostedTrees(), *stream(matrix, labels))
    assert scores.tolist() == pytest.approx([0.5 / (seen + 1) for seen in range(9)])


def test_labels_that_come_late_are_not_known_before():
    """What was scored before a label came is the same whatever it is."""
    matrix, labels = crossed(600)
    changed = labels.copy()
    changed[300:] = 1 - changed[300:]
    one, other = (scores_of(BoostedTrees(**SMALL), *stream(matrix, y, delay=50)) for y in (labels, changed))
    assert one[:350].tolist() == other[:350].tolist()
    assert one[351:].tolist() != other[351:].tolist()


def test_a_block_of_the_memory_that_was_not_written_to_is_the_same_bytes():
    """So a checkpoint store keeps it once."""
    matrix, labels = crossed(3 * BLOCK)
    rows, program = stream(matrix, labels)
    learner = BoostedTrees(positives=4 * BLOCK, negatives=4 * BLOCK, keep=1.0, every=400, trees=4)
    scores, half = np.empty((len(rows), 1)), len(program) * 9 // 10
    learner.run(rows, program, 0, half, scores)
    before = dict(learner.dump(-1))
    learner.run(rows, program, half, len(program), scores)
    after = dict(learner.dump(-1))
    assert sorted(after) == sorted(learner.alive())
    assert before["rows-0"] == after["rows-0"]
    assert before["rows-1"] != after["rows-1"]


def test_bytes_that_are_no_state_are_refused():
    """With what is wrong."""
    matrix, labels = crossed(100)
    learner = BoostedTrees(**SMALL)
    scores_of(learner, *stream(matrix, labels))
    chunks = dict(learner.dump(-1))
    for name in chunks:
        with pytest.raises(ValueError, match=f"the chunk {name} "):
            learner.fresh().load({**chunks, name: chunks[name][:-1]})


@pytest.mark.parametrize(
    "wrong",
    [{"depth": 0}, {"depth": 11}, {"bins": 1}, {"keep": 0.0}, {"keep": 1.5}, {"rate": float("nan")}, {"l2": -1.0},
     {"trees": 2.5}, {"every": True}, {"seed": -1}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    """With their name and what they may be."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is a (whole )?number"):
        BoostedTrees(**wrong)
