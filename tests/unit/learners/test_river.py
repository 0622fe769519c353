"""RiverLearner: what a score is for each problem, where a run stops, and which estimators it refuses."""

import math

import numpy as np
import pytest
from river import (
    anomaly,
    base,
    cluster,
    compose,
    dummy,
    ensemble,
    imblearn,
    linear_model,
    multiclass,
    multioutput,
    naive_bayes,
    preprocessing,
    reco,
    tree,
)

from learners.base import EVENT, LABEL, Learner, LearnError, Program
from learners.conformance import Table
from learners.river import RiverLearner

NAN = math.nan


def program(*operations, classes=()):
    """Operations as ``(EVENT, row)`` or ``(LABEL, row, target[, weight])``."""
    padded = [(*operation, NAN, 1.0)[:4] if len(operation) == 2 else (*operation, 1.0)[:4] for operation in operations]
    op, row, target, weight = zip(*padded, strict=True)
    return Program(
        op=np.array(op, dtype=np.uint8),
        row=np.array(row, dtype=np.int32),
        time_ms=np.arange(len(op)),
        target=np.array(target, dtype=np.float64),
        previous=np.full(len(op), NAN),
        weight=np.array(weight, dtype=np.float64),
        classes=classes,
    )


def run(learner, work, rows=None, **options):
    """The scores, and how many operations were done."""
    rows = rows or Table({"a": [1.0, 2.0, -3.0, 0.5], "b": [0.0, 1.0, 0.0, 1.0]})
    scores = np.full((len(rows), len(learner.outputs)), -1.0)
    done = learner.run(rows, work, 0, len(work), scores, **options)
    return scores.tolist(), done


class Moody(base.Classifier):
    """Predicts what the feature ``a`` says: a number, an error, or nothing."""

    def learn_one(self, x, y):
        if x["a"] == 2.0:
            raise RuntimeError("no twos")

    def predict_proba_one(self, x):
        return {True: {1.0: 0.5, 2.0: NAN, -3.0: math.inf}[x["a"]]} if x["a"] != 0.5 else {}


class Constant(base.Regressor):
    """Answers whatever it was given, also None."""

    def __init__(self, answer=None):
        self.answer = answer

    def learn_one(self, x, y):
        self.answer = y

    def predict_one(self, x):
        return self.answer


def scaled(estimator):
    return preprocessing.StandardScaler() | estimator


def test_it_is_a_learner():
    """The protocol of base.py."""
    assert isinstance(RiverLearner(naive_bayes.GaussianNB(), "binary"), Learner)


def test_a_binary_score_is_the_probability_of_true():
    """The same numbers as River's own loop."""
    model = scaled(linear_model.LogisticRegression())
    scores, done = run(RiverLearner(model.clone(), "binary"), program((EVENT, 0), (LABEL, 0, 1.0), (EVENT, 1)))
    model.learn_one({"a": 1.0, "b": 0.0}, True)
    assert scores[0] == [0.5]
    assert scores[1] == [model.predict_proba_one({"a": 2.0, "b": 1.0})[True]]
    assert done == 3


def test_rows_without_an_event_in_the_range_are_left_alone():
    """Only events write; a label's row keeps what it had."""
    scores, _ = run(RiverLearner(naive_bayes.GaussianNB(), "binary"), program((LABEL, 2, 1.0), (EVENT, 1)))
    assert scores == [[-1.0], [1.0], [-1.0], [-1.0]]


def test_a_classifier_that_has_learned_nothing_scores_zero():
    """River answers an empty dict."""
    assert run(RiverLearner(naive_bayes.GaussianNB(), "binary"), program((EVENT, 0)))[0][0] == [0.0]


@pytest.mark.parametrize(
    "wrap", [lambda voting: voting, lambda voting: imblearn.RandomUnderSampler(voting, {True: 0.5, False: 0.5}, seed=1)]
)
def test_a_classifier_without_probabilities_answers_zero_or_one(wrap):
    """VotingClassifier only decides, and so does what wraps it."""
    learner = RiverLearner(
        wrap(ensemble.VotingClassifier([naive_bayes.GaussianNB(), naive_bayes.GaussianNB()])), "binary"
    )
    scores, _ = run(learner, program((EVENT, 3), *[(LABEL, 0, 1.0)] * 20, (EVENT, 0)))
    assert [scores[3], scores[0]] == [[0.0], [1.0]]


def test_without_learning_labels_are_passed_over():
    """``learn=False`` leaves the learner as it was."""
    learner = RiverLearner(naive_bayes.GaussianNB(), "binary")
    scores, done = run(learner, program((LABEL, 0, 1.0), (EVENT, 0)), learn=False)
    assert (scores[0], done) == ([0.0], 2)


def test_classes_have_columns_in_the_programs_order():
    """What is not known yet is NaN; labels reach River as the text of the class."""
    learner = RiverLearner(naive_bayes.GaussianNB(), "multiclass", 3)
    work = program((EVENT, 3), (LABEL, 0, 2.0), (LABEL, 1, 0.0), (EVENT, 0), classes=("red", "green", "blue"))
    scores, _ = run(learner, work)
    assert learner.outputs == ("class_0", "class_1", "class_2")
    assert set(learner.model.class_counts) == {"blue", "red"}
    assert scores[3] == [0.0, 0.0, 0.0]
    assert np.isnan(scores[0]).tolist() == [False, True, False]


def test_more_classes_than_columns_are_refused():
    """A learner of two classes is not run on three."""
    learner = RiverLearner(naive_bayes.GaussianNB(), "multiclass", 2)
    with pytest.raises(ValueError, match="3 classes, but the learner was built for 2"):
        run(learner, program((EVENT, 0), classes=("red", "green", "blue")))


def test_a_regressors_score_is_its_value():
    """The label reaches River as a float."""
    scores, _ = run(RiverLearner(Constant(4.5), "regression"), program((EVENT, 0), (LABEL, 0, 7.25), (EVENT, 1)))
    assert scores[:2] == [[4.5], [7.25]]


def test_a_regressor_that_answers_none_scores_zero():
    """Some have no answer before they learned."""
    assert run(RiverLearner(Constant(), "regression"), program((EVENT, 0)))[0][0] == [0.0]


def test_an_anomaly_detector_learns_each_event_after_its_score():
    """The same numbers as River's own loop; labels are passed over."""
    model = anomaly.HalfSpaceTrees(seed=1, window_size=2, limits={"a": (-5, 5), "b": (0, 1)})
    rows = Table({"a": [1.0, 2.0, -3.0, 0.5], "b": [0.0, 1.0, 0.0, 1.0]})
    work = program((EVENT, 0), (LABEL, 0, 1.0), (EVENT, 1), (EVENT, 2), (EVENT, 3))
    scores, done = run(RiverLearner(model.clone(), "anomaly"), work, rows)
    expected = []
    for x in rows.dicts():
        expected.append([model.score_one(x)])
        model.learn_one(x)
    assert scores == expected
    assert done == 5


def test_an_anomaly_detector_told_not_to_learn_only_scores():
    """``learn=False`` holds at events, too."""
    learner = RiverLearner(anomaly.OneClassSVM(), "anomaly")
    before = dict(learner.model.weights)
    run(learner, program((EVENT, 0), (EVENT, 1)), learn=False)
    assert learner.model.weights == before


@pytest.mark.parametrize("row", [1, 2])
def test_a_score_that_is_not_finite_is_nan_and_the_last_one(row):
    """NaN and infinity: the run stops after that operation."""
    learner = RiverLearner(Moody(), "binary")
    scores, done = run(learner, program((EVENT, 0), (EVENT, row), (EVENT, 3)))
    assert done == 2
    assert math.isnan(scores[row][0])
    assert scores[3] == [-1.0]
    assert learner.failure.startswith("the score is ")


def test_an_error_in_predicting_is_nan_and_the_last_one():
    """What River raised is kept in words."""
    learner = RiverLearner(Moody(), "binary")
    scores, done = run(learner, program((EVENT, 0), (EVENT, 1)), Table({"a": [7.0, 1.0]}))
    assert done == 1
    assert math.isnan(scores[0][0])
    assert learner.failure == "KeyError: 7.0"


def test_a_failing_class_makes_the_whole_row_nan():
    """Unknown classes are NaN in part of a row; a failure in all of it."""
    model = multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    work = program((LABEL, 0, 0.0), (EVENT, 0), (EVENT, 1), classes=("red", "green"))
    learner = RiverLearner(model, "multiclass", 2)
    scores, done = run(learner, work, Table({"a": [math.inf, 1.0]}))
    assert done == 2
    assert np.isnan(scores[0]).all()
    assert scores[1] == [-1.0, -1.0]


def test_an_error_in_learning_names_the_operation():
    """LearnError carries the index into the program and River's own words."""
    with pytest.raises(LearnError, match=r"^RuntimeError: no twos$") as caught:
        run(RiverLearner(Moody(), "binary"), program((EVENT, 0), (LABEL, 0, 1.0), (LABEL, 1, 1.0)))
    assert caught.value.operation == 2


def test_operations_are_counted_in_the_program_not_in_the_range():
    """A range that starts late names the same operation."""
    work = program((EVENT, 0), (LABEL, 0, 1.0), (LABEL, 1, 1.0))
    learner, rows = RiverLearner(Moody(), "binary"), Table({"a": [1.0, 2.0]})
    with pytest.raises(LearnError) as caught:
        learner.run(rows, work, 2, 3, np.zeros((2, 1)))
    assert caught.value.operation == 2


def test_a_label_of_another_weight_is_learned_with_it():
    """The same numbers as River's ``w``."""
    model = scaled(linear_model.LogisticRegression())
    work = program((LABEL, 0, 1.0, 1.0), (LABEL, 1, 0.0, 3.0), (EVENT, 1))
    scores, _ = run(RiverLearner(model.clone(), "binary"), work)
    model.learn_one({"a": 1.0, "b": 0.0}, True)
    model.learn_one({"a": 2.0, "b": 1.0}, False, w=3.0)
    assert scores[1] == [model.predict_proba_one({"a": 2.0, "b": 1.0})[True]]


def test_a_weight_that_the_estimator_does_not_take_is_an_error():
    """A pipeline would drop it without a word."""
    learner = RiverLearner(scaled(naive_bayes.GaussianNB()), "binary")
    with pytest.raises(LearnError, match="GaussianNB learns without weights, and this label has weight 3"):
        run(learner, program((LABEL, 1, 0.0, 3.0)))


def test_a_fresh_copy_knows_nothing_and_shares_nothing():
    """It is what was given to the constructor, whatever was learned since."""
    learner = RiverLearner(scaled(linear_model.LogisticRegression()), "binary")
    run(learner, program((LABEL, 0, 1.0), (LABEL, 1, 0.0)))
    fresh = learner.fresh()
    assert fresh.model["LogisticRegression"].weights == {}
    assert fresh.model["LogisticRegression"].optimizer is not learner.model["LogisticRegression"].optimizer


def test_the_model_that_was_given_stays_as_it_is():
    """The learner works on a copy, so two learners of one object share nothing."""
    model = scaled(linear_model.LogisticRegression())
    run(RiverLearner(model, "binary"), program((LABEL, 0, 1.0)))
    assert model["LogisticRegression"].weights == {}


def test_an_empty_range_does_nothing():
    """No operations, no scores."""
    learner = RiverLearner(naive_bayes.GaussianNB(), "binary")
    assert learner.run(Table({"a": [1.0]}), program((EVENT, 0)), 1, 1, np.zeros((1, 1))) == 0


def test_learning_during_prediction_is_refused():
    """River's context flag would make predictions learn."""
    with compose.learn_during_predict(), pytest.raises(ValueError, match="predictions would learn"):
        run(RiverLearner(scaled(naive_bayes.GaussianNB()), "binary"), program((EVENT, 0)))


@pytest.mark.parametrize(
    ("model", "problem", "words"),
    [
        (linear_model.LinearRegression(), "binary", "LinearRegression is a regressor; a binary problem needs a class"),
        (scaled(linear_model.LinearRegression()), "multiclass", "LinearRegression is a regressor; a multiclass"),
        (linear_model.LogisticRegression(), "regression", "is a classifier; a regression problem needs a regressor"),
        (linear_model.LogisticRegression(), "multiclass", "two classes apart; river.multiclass.OneVsRestClassifier"),
        (anomaly.GaussianScorer(), "anomaly", "a supervised anomaly detector .its score needs the label."),
        (anomaly.QuantileFilter(anomaly.OneClassSVM(), q=0.9), "anomaly", "is an anomaly filter"),
        (tree.HoeffdingTreeClassifier(), "anomaly", "is a classifier; an anomaly problem"),
        (
            multioutput.RegressorChain(linear_model.LinearRegression()),
            "regression",
            "a regressor of several targets at once",
        ),
        (preprocessing.StandardScaler(), "binary", "is a transformer"),
        (cluster.KMeans(), "binary", "is a clusterer"),
        (reco.BiasedMF(), "regression", "BiasedMF is of another kind; a regression problem needs a regressor"),
        (object(), "binary", "object is no River estimator"),
    ],
)
def test_estimators_that_do_not_fit_the_problem_are_refused_by_kind(model, problem, words):
    """The message says what the estimator is and what is needed."""
    with pytest.raises(ValueError, match=words):
        RiverLearner(model, problem)


def test_a_width_that_does_not_fit_the_problem_is_refused():
    """Only multiclass problems have several columns."""
    with pytest.raises(ValueError, match="a binary problem has one score, not 3"):
        RiverLearner(naive_bayes.GaussianNB(), "binary", 3)


def test_an_estimator_that_cannot_be_saved_is_refused():
    """A lambda in a chain has no name under which a checkpoint could find it."""
    model = compose.FuncTransformer(lambda x: x) | naive_bayes.GaussianNB()
    with pytest.raises(ValueError, match=r"GaussianNB cannot be kept in a checkpoint: .*lambda"):
        RiverLearner(model, "binary")


def test_seeds_that_are_not_set_are_named():
    """Wherever they are in the chain."""
    model = scaled(multiclass.OneVsRestClassifier(tree.HoeffdingAdaptiveTreeClassifier()))
    assert RiverLearner(model, "multiclass", 3).unseeded() == ["OneVsRestClassifier.classifier.seed"]


def test_a_decision_among_classes_is_one_for_its_class_and_zero_elsewhere():
    """OneVsOneClassifier has no probabilities."""
    learner = RiverLearner(multiclass.OneVsOneClassifier(naive_bayes.GaussianNB()), "multiclass", 3)
    work = program((LABEL, 0, 1.0), (LABEL, 2, 0.0), (EVENT, 0), classes=("red", "green", "blue"))
    scores, _ = run(learner, work)
    assert sorted(scores[0]) == [0.0, 0.0, 1.0]


def test_a_baseline_of_river_fits_as_well():
    """Dummy estimators are classifiers like others."""
    scores, _ = run(
        RiverLearner(dummy.PriorClassifier(), "binary"), program((LABEL, 0, 1.0), (LABEL, 1, 0.0), (EVENT, 0))
    )
    assert scores[0] == [0.5]
