"""The blend as a learner: what it promises is checked with its members beside it, as the step runs them."""

import numpy as np
import pytest
from river import linear_model, naive_bayes, preprocessing, tree

from learners.aged import Aged
from learners.base import EVENT, LABEL, Program
from learners.blend import Blend, Scored
from learners.conformance import CLASSES, Table, check, digest, synthetic
from learners.ensemble import Ensemble, whole
from learners.explanations.aside import asked
from learners.river import RiverLearner

NAN = float("nan")


def logistic(**parameters):
    return RiverLearner(preprocessing.StandardScaler() | linear_model.LogisticRegression(**parameters), "binary")


MEMBERS = {
    "binary": lambda: {"logistic": logistic(), "bayes": RiverLearner(naive_bayes.GaussianNB(), "binary")},
    "multiclass": lambda: {
        "bayes": RiverLearner(naive_bayes.GaussianNB(), "multiclass", 3),
        "tree": RiverLearner(tree.HoeffdingTreeClassifier(grace_period=20), "multiclass", 3),
    },
    "regression": lambda: {
        "line": RiverLearner(preprocessing.StandardScaler() | linear_model.LinearRegression(), "regression"),
        "tree": RiverLearner(tree.HoeffdingTreeRegressor(grace_period=20, leaf_prediction="mean"), "regression"),
    },
}
CASES = [
    ("binary", "fixed_share", {}),
    ("binary", "fixed_share", {"loss": "squared", "share": 0.1}),
    ("binary", "exponential", {"memory": 30}),
    ("binary", "stack", {"memory": 200}),
    ("multiclass", "fixed_share", {}),
    ("multiclass", "exponential", {}),
    ("regression", "fixed_share", {}),
    ("regression", "exponential", {"loss": "absolute", "memory": 50}),
]


def ensemble(problem, by, parameters):
    members = MEMBERS[problem]()
    width = len(CLASSES) if problem == "multiclass" else 1
    return whole({**members, "answer": Blend([*members], by, problem=problem, width=width, **parameters)}, "answer")


@pytest.mark.parametrize(("problem", "by", "parameters"), CASES)
def test_a_blend_keeps_every_promise_of_a_learner(problem, by, parameters):
    """Cuts, copies, saving in the middle, predicting between, explaining: with its members beside it."""
    again = ensemble(problem, by, parameters)
    assert check(ensemble(problem, by, parameters), problem, again=again) == []


def test_blends_of_blends_keep_them_too():
    """A member may be a blend that stands above."""
    members = MEMBERS["binary"]()
    first = Blend([*members], "exponential", problem="binary")
    both = Blend(["first", "bayes"], "stack", problem="binary")
    assert check(whole({**members, "first": first, "both": both}, "both"), "binary") == []


def given(*columns):
    """A program of one event and its label a row, and members' scores by name."""
    count = len(columns[0])
    scores = {f"m{place}": np.array(column, np.float64).reshape(count, -1) for place, column in enumerate(columns)}
    return Scored(Table({"a": [0.0] * count}), scores)


def program(targets, *, classes=(), labels_last=False):
    rows = np.arange(len(targets), dtype=np.int32)
    row = np.concatenate([rows, rows]) if labels_last else rows.repeat(2)
    op = np.tile(np.array([EVENT, LABEL], np.uint8), len(rows))
    if labels_last:
        op = np.array([EVENT] * len(rows) + [LABEL] * len(rows), np.uint8)
    target = np.where(op == LABEL, np.array(targets, np.float64)[row], NAN)
    nothing = np.full(len(op), NAN)
    return Program(op, row, np.arange(len(op)), target, nothing, np.ones(len(op)), classes)


def run(blend, rows, told, **more):
    scores = np.full((len(rows), len(blend.outputs)), NAN)
    return blend.run(rows, told, 0, len(told), scores, **more), scores


def test_it_weighs_the_scores_that_were_given():
    """At first all alike; after labels at which one was right, nearly that one's."""
    blend = Blend(["m0", "m1"], problem="binary")
    done, scores = run(blend, given([0.9] * 40, [0.2] * 40), program([1.0] * 40))
    assert (done, scores[0, 0]) == (80, pytest.approx(0.55))
    assert scores[-1, 0] > 0.88
    assert blend.weights["m0"] > 0.97


def test_the_loss_is_of_the_score_at_the_event_however_late_the_label():
    """All labels after all events: the same weights as with each label at once, though the scores differ."""
    late, soon = (Blend(["m0", "m1"], problem="binary") for _ in range(2))
    rows = given(np.linspace(0.1, 0.9, 30), np.linspace(0.8, 0.3, 30))
    targets = [float(i % 3 > 0) for i in range(30)]
    _, after = run(late, rows, program(targets, labels_last=True))
    _, between = run(soon, rows, program(targets))
    assert late.weights == soon.weights
    assert (after[:, 0] == pytest.approx((np.linspace(0.1, 0.9, 30) + np.linspace(0.8, 0.3, 30)) / 2)) is True
    assert not np.allclose(after, between)


def test_without_learning_nothing_moves():
    """``learn=False`` passes labels over, and the scores are those of the weights as they stand."""
    blend = Blend(["m0", "m1"], problem="binary")
    run(blend, given([0.9] * 9, [0.2] * 9), program([1.0] * 9), learn=False)
    assert blend.weights == {"m0": 0.5, "m1": 0.5}


def test_a_member_without_a_score_is_left_out():
    """NaN of one: the others' mean. NaN of all: no score, and the run stops there as it does for any learner."""
    blend = Blend(["m0", "m1"], problem="binary")
    done, scores = run(blend, given([NAN, 0.3, NAN], [0.4, 0.5, NAN]), program([1.0, 0.0, 1.0]))
    assert scores[0, 0] == 0.4
    assert 0.3 < scores[1, 0] < 0.5
    assert np.isnan(scores[2, 0])
    assert (done, blend.failure) == (5, "no member has a score")


def test_of_several_classes_what_a_member_does_not_know_is_nothing_to_it():
    """A class that nobody knows is NaN; one that some know counts as 0 for the others; one that knows none has no say."""
    blend = Blend(["m0", "m1", "m2"], problem="multiclass", width=3)
    rows = given([[0.6, 0.4, NAN]], [[1.0, NAN, NAN]], [[0.0, 0.0, 0.0]])
    _, scores = run(blend, rows, program([0.0], classes=("x", "y", "z")))
    assert scores[0, :2] == pytest.approx([0.8, 0.2])
    assert np.isnan(scores[0, 2])
    assert blend.weights["m1"] > blend.weights["m0"]
    assert blend.weights["m2"] == pytest.approx(1 / 3, abs=0.01)


def test_while_nobody_knows_a_class_neither_does_the_blend():
    """All zeros, as a member that has learned nothing answers."""
    blend = Blend(["m0", "m1"], problem="multiclass", width=2)
    done, scores = run(blend, given([[0.0, 0.0]], [[NAN, NAN]]), program([0.0], classes=("x", "y")))
    assert (done, scores.tolist()) == (2, [[0.0, 0.0]])


def test_a_new_classs_expert_wins_by_it():
    """The loss of a member that does not know the true class is that of the smallest probability."""
    blend = Blend(["m0", "m1"], problem="multiclass", width=2)
    run(blend, given([[1.0, NAN]] * 3, [[0.7, 0.3]] * 3), program([1.0] * 3, classes=("x", "y")))
    assert blend.weights["m1"] > 0.9


def test_rows_without_scores_beside_them_are_refused():
    """A blend cannot be asked alone."""
    with pytest.raises(TypeError, match="a blend of m0, m1 needs their scores"):
        asked(Blend(["m0", "m1"], problem="binary"), ("a",), [{"a": 1.0}])


@pytest.mark.parametrize(
    ("problem", "told", "words"),
    [
        ("binary", {"by": "stick"}, "a blend is by fixed_share, exponential, stack"),
        ("binary", {"share": 0}, "`share` is between 0 and 1, got 0"),
        ("binary", {"share": "much"}, "`share` is between 0 and 1"),
        ("binary", {"rate": -1}, "`rate` is a positive number"),
        ("binary", {"memory": 10}, "`by: fixed_share` takes no `memory`; it takes share, rate"),
        ("binary", {"by": "exponential", "memory": 0.5}, "`memory` is a number of labels"),
        ("binary", {"clip": 0.5}, "`clip` lies between 0 and 0.5"),
        ("binary", {"loss": "hinge"}, "there are log, squared, absolute"),
        ("binary", {"by": "stack", "loss": "squared"}, "has the log loss"),
        ("regression", {"by": "stack"}, "is for binary problems; this one is regression"),
        ("regression", {"loss": "log"}, "of values there are squared and absolute"),
        ("multiclass", {"loss": "squared"}, "of several classes there is `loss: log` only"),
        ("anomaly", {}, "learns from no labels"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(problem, told, words):
    """When it is built, not when it runs."""
    with pytest.raises(ValueError, match=words):
        Blend(["m0", "m1"], problem=problem, **told)


def test_two_members_at_least():
    """Of one there is nothing to weigh."""
    with pytest.raises(ValueError, match="two learners or more"):
        Blend(["m0"], problem="binary")


# --- explanations ------------------------------------------------------------------------------------------------------------


def used(learner, problem):
    load = synthetic(problem)
    learner.run(load.rows, load.program, 0, len(load.program), np.full((len(load.rows), len(learner.outputs)), NAN))
    return learner, load


def test_a_stack_of_linear_models_is_explained_exactly():
    """Log odds add up: weight times the member's contribution."""
    members = {"one": logistic(), "two": logistic(l2=0.1)}
    answer, load = used(whole({**members, "answer": Blend([*members], "stack", problem="binary")}, "answer"), "binary")
    told = answer.explain(load.rows, 7)
    score = asked(answer, load.rows.names, load.rows.dicts()[7:8])[0, 0]
    assert (told.method, told.of) == ("linear", "log_odds")
    assert 1 / (1 + np.exp(-told.value)) == pytest.approx(score)
    assert told.base + sum(told.contributions.values()) == pytest.approx(told.value)
    weights = answer.blend.stack.weights
    parts = [member.explain(load.rows, 7).contributions["number_0"] for member in members.values()]
    assert told.contributions["number_0"] == pytest.approx(weights[0] * parts[0] + weights[1] * parts[1])


def test_a_mean_of_values_is_explained_exactly():
    """The members' contributions, weighed."""
    members = {
        name: RiverLearner(tree.HoeffdingTreeRegressor(grace_period=grace, leaf_prediction="mean"), "regression")
        for name, grace in (("slow", 60), ("quick", 20))
    }
    answer, load = used(whole({**members, "answer": Blend([*members], problem="regression")}, "answer"), "regression")
    told = answer.explain(load.rows, 7)
    assert (told.method, told.of) == ("tree_path", "value")
    assert told.value == pytest.approx(asked(answer, load.rows.names, load.rows.dicts()[7:8])[0, 0])


@pytest.mark.parametrize("by", ["fixed_share", "exponential"])
def test_a_mean_of_probabilities_is_no_sum_of_log_odds(by):
    """Linear members tell log odds, and a mean of probabilities does not add those up: it is asked by sampling."""
    members = {"one": logistic(), "two": logistic(l2=0.1)}
    answer, load = used(whole({**members, "answer": Blend([*members], by, problem="binary")}, "answer"), "binary")
    assert answer.explain(load.rows, 7) is None


def test_the_digest_of_a_blend_is_that_of_the_next_build():
    """What ``headrace check`` compares over hash seeds."""
    told = {digest(ensemble("binary", "stack", {}), "binary") for _ in range(2)}
    assert len(told) == 1


def test_a_blend_that_learns_some_labels_only_is_a_blend():
    """Its members are seen through what says which labels."""
    aged = Aged(Blend(["one", "two"], problem="binary"), None, 60_000)
    answer = whole({"one": logistic(), "two": logistic(l2=0.1), "answer": aged}, "answer")
    assert isinstance(answer, Ensemble)
    assert check(answer, "binary") == []
