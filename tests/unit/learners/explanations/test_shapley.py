"""Sampled Shapley values keep the axioms on games that are small enough to be counted out."""

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from river import naive_bayes

from learners.base import EVENT
from learners.explanations.aside import Sample, asked, copy_of
from learners.explanations.base import Explanation
from learners.explanations.explain import explain
from learners.explanations.shapley import shapley
from learners.river import RiverLearner

NAMES = ("a", "b", "c", "d")
X = {"a": 1.0, "b": 2.0, "c": -1.0, "d": 0.5}
ZEROS = dict.fromkeys(NAMES, 0.0)


class Game:
    """A learner that answers a function of the features and never learns; it counts the rows that it was asked about."""

    outputs = ("score",)
    codec = "pickle"

    def __init__(self, worth: Callable[[dict], float]) -> None:
        self.worth = worth
        self.asked = 0

    def run(self, rows, program, start, stop, scores, *, learn=True):
        for op in range(start, stop):
            assert program.op[op] == EVENT
            scores[program.row[op], 0] = self.worth(rows.dicts()[program.row[op]])
            self.asked += 1
        return stop - start

    def fresh(self):
        return Game(self.worth)

    def alive(self):
        return ()

    def dump(self, since) -> Iterator[tuple[str, object]]:
        yield from ()

    def load(self, chunks):
        pass


GAMES = {
    "product": lambda x: x["a"] * x["b"] + x["c"],
    "all or nothing": lambda x: float(all(x[name] for name in ("a", "b", "c"))),
    "any": lambda x: float(any(x[name] for name in NAMES)),
    "nonlinear": lambda x: math.tanh(x["a"] + 2 * x["b"] * x["c"]) + x["d"] ** 2,
}


def counted(worth, x, z):
    """Shapley values by their definition: the mean over all orders."""
    values = dict.fromkeys(x, 0.0)
    orders = list(itertools.permutations(x))
    for order in orders:
        current = dict(z)
        for name in order:
            before = worth(current)
            current[name] = x[name]
            values[name] += (worth(current) - before) / len(orders)
    return values


def told(worth, *, background=(ZEROS,), pairs=400, seed=1, x=X) -> Explanation:
    found = shapley(Game(worth), NAMES, x, list(background), problem="regression", seed=seed, pairs=pairs)
    assert found is not None
    return found


@pytest.mark.parametrize("name", GAMES)
def test_sampled_values_come_near_the_counted_ones(name):
    """With many orders, within what chance leaves."""
    found, counts = told(GAMES[name]), counted(GAMES[name], X, ZEROS)
    assert found.contributions == pytest.approx(counts, abs=0.12)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("pairs", [1, 3])
def test_however_few_the_samples_they_add_up_to_the_score(name, pairs):
    """Efficiency: base and contributions are the score; the base is the mean score of the background rows taken."""
    background = [ZEROS, {**X, "a": 0.0}, dict.fromkeys(NAMES, -0.5)]
    found = told(GAMES[name], background=background, pairs=pairs)
    assert found.base + sum(found.contributions.values()) == pytest.approx(GAMES[name](X), abs=1e-12)
    if pairs == 3:
        assert found.base == pytest.approx(np.mean([GAMES[name](z) for z in background]))


def test_a_feature_that_is_not_used_gets_exactly_nothing():
    """Dummy."""
    assert told(GAMES["product"], pairs=2).contributions["d"] == 0.0


def test_features_that_do_the_same_get_the_same():
    """Symmetry: for a pair of antithetic orders exactly, in a game of two that both are needed for."""
    x = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}
    found = told(lambda x: x["a"] * x["b"], pairs=1, x=x)
    assert found.contributions == {"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0}


def test_an_additive_game_is_exact_with_one_pair():
    """Each feature's own part, less that of the background row."""
    worth = lambda x: 3 * x["a"] - x["b"] + x["c"] ** 2  # noqa: E731
    z = {"a": 0.5, "b": 1.0, "c": 2.0, "d": 7.0}
    found = told(worth, background=[z], pairs=1)
    assert found.contributions == pytest.approx({"a": 1.5, "b": -1.0, "c": -3.0, "d": 0.0})


def test_without_a_background_nothing_contributes():
    """The row is compared with itself: the base is its score."""
    found = told(GAMES["nonlinear"], background=[])
    assert (found.base, set(found.contributions.values())) == (found.value, {0.0})


def test_a_feature_that_only_others_have_contributes_by_its_absence():
    """Also where the record does not have it."""
    found = shapley(
        Game(lambda x: x.get("b", 0.0) + x.get("a", 0.0)), (), {"a": 1.0}, [{"b": 5.0}], problem="regression", seed=1,
        pairs=2,
    )  # fmt: skip
    assert found is not None
    assert found.contributions == {"a": 1.0, "b": -5.0}


def test_rows_keep_the_configured_order_whatever_is_missing():
    """A mixed row has the order of the names: River's sums depend on it."""
    orders = []
    learner = Game(lambda x: float(len(orders.append(tuple(x)) or x)))  # type: ignore[func-returns-value]
    shapley(
        learner, NAMES, {"b": 1.0, "d": 2.0}, [{"a": 1.0, "c": 1.0, "d": 3.0}], problem="regression", seed=1, pairs=3
    )
    assert all(list(order) == sorted(order) for order in orders)


def test_a_score_that_is_not_finite_is_not_explained():
    """There is nothing that parts could add up to."""
    assert shapley(Game(lambda x: math.nan), NAMES, X, [ZEROS], problem="regression", seed=1, pairs=1) is None


def test_the_cost_is_bounded_and_equal_values_cost_nothing():
    """2 · pairs · features predictions and one at most; a feature with the background's value is not asked about."""
    game = Game(GAMES["product"])
    shapley(game, NAMES, X, [ZEROS], problem="regression", seed=1, pairs=5)
    assert game.asked == 1 + 2 * 5 * 4
    game = Game(GAMES["product"])
    shapley(game, NAMES, X, [{**X, "a": 0.0}], problem="regression", seed=1, pairs=5)
    assert game.asked == 1 + 2 * 5


def bayes():
    learner = RiverLearner(naive_bayes.GaussianNB(), "binary")
    for i in range(100):
        learner.model.learn_one({name: math.sin(i * (place + 1)) for place, name in enumerate(NAMES)}, i % 3 == 0)
    return learner


def explained() -> str:
    background = [{name: math.cos(i + place) for place, name in enumerate(NAMES)} for i in range(7)]
    found = explain(bayes(), Sample(NAMES, [X]), 0, problem="binary", background=lambda: background, seed=4711, pairs=3)
    return repr(found)


def test_an_explanation_is_the_same_in_every_process_whatever_its_hash_seed():
    """To the bit, in three processes."""
    root = Path(__file__).parents[4]
    out = [
        subprocess.run(
            [sys.executable, str(Path(__file__))], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    ]  # fmt: skip
    assert out == [explained() + "\n"] * 3


def test_an_estimator_that_raises_is_not_explained():
    """Its score says what is wrong."""
    assert explain(bayes(), Sample(("a",), [{"a": "text"}]), 0, problem="binary", background=list, seed=0) is None


def test_a_copy_answers_the_same_and_shares_nothing():
    """Teaching it leaves the first as it was."""
    learner = bayes()
    before = asked(learner, NAMES, [X])
    copy = copy_of(learner)
    assert asked(copy, NAMES, [X]).tobytes() == before.tobytes()
    for _ in range(20):
        copy.model.learn_one(X, True)
    assert asked(copy, NAMES, [X]).tobytes() != before.tobytes()
    assert asked(learner, NAMES, [X]).tobytes() == before.tobytes()


if __name__ == "__main__":
    print(explained())
