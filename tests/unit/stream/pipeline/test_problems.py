"""Each problem through the fold: what is learned when, and what an answer says."""

import pytest
from river import anomaly, linear_model, naive_bayes, preprocessing

from tests.harness import config
from tests.simulation.lab import EVENT, Lab, event, label

LABELS = {"topic": "labels", "id": "id", "value": "y", "time": "time", "conflict": "first", "wait": "10d", "park": "1d"}


def multiclass(learner="river.naive_bayes.GaussianNB", **labels):
    return Lab(config(problem="multiclass", labels={**LABELS, **labels}, learners={"bayes": learner}))


def classes_stream(n=60):
    steps = []
    for i in range(n):
        steps += [event(i, 2 * i, float(i % 3), float(i % 5))]
        if i >= 4:
            steps.append(label(i - 4, 2 * i + 1, "xyz"[(i - 4) % 3]))
    return steps


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_multiclass_scores_equal_river(cut):
    """Each class has the probability that River gives; classes that the model does not know yet are null."""
    one = multiclass(classes=["x", "y", "z"]).feed(classes_stream(), cut)
    model = naive_bayes.GaussianNB()
    expected, features = [], {}
    for which, record in classes_stream():
        if which == EVENT:
            features[record["id"]] = {"a": record["a"], "b": record["b"]}
            told = model.predict_proba_one(features[record["id"]])
            expected.append({name: told.get(name) if told else 0.0 for name in "xyz"})
        else:
            model.learn_one(features[record["id"]], record["y"])
    assert [p["scores"] for p in one.output()] == expected


def test_an_unknown_class_is_refused():
    """Reject label_domain, with the class in its words."""
    one = multiclass(classes=["x", "y"]).feed([event(1, 0), label(1, 1, "q")])
    assert one.reasons == ["label_domain"]
    assert b"'q'" in one.said["rejects"][0][3]["error"]


@pytest.mark.parametrize("learner", ["river.naive_bayes.GaussianNB", "river.neighbors.KNNClassifier"])
def test_where_a_batch_is_cut_does_not_tell_which_classes_are_known(learner):
    """A prediction speaks of the classes that were known when it was made, and not of those learned later in its batch."""
    told = [
        multiclass(new_classes=True, classes_max=3).feed(classes_stream(), cut).said["predictions"]
        for cut in (1, 7, 1000)
    ]
    assert told[0] == told[1] == told[2]


def test_new_classes_are_taken_up_to_their_number():
    """One more than ``classes_max`` is refused."""
    one = multiclass(new_classes=True, classes_max=2)
    one.feed([event(i, i) for i in range(3)] + [label(i, 9, "xyz"[i]) for i in range(3)])
    assert one.fold.state.join.classes == ["x", "y"]
    assert one.reasons == ["label_domain"]
    assert one.counts["classes_new"] == 2


def test_an_event_with_one_class_too_many_in_its_label_field_is_refused():
    """As an event with an unknown class is where classes are listed: whole, before any of it is applied."""
    labels = {"field": "y", "delay": "1ms", "new_classes": True, "classes_max": 2}
    one = Lab(config(problem="multiclass", labels=labels, learners={"bayes": "river.naive_bayes.GaussianNB"}))
    one.feed([event(i, i, y="xyz"[i]) for i in range(3)])
    assert [p["id"] for p in one.output()] == ["e0", "e1"]
    assert one.reasons == ["label_domain"]


def test_a_model_that_knows_no_class_is_wrong():
    """It answers null, so the error that detectors see is 1 for every class, also for the first."""
    one = multiclass(classes=["x", "y"])
    one.fold.state.watches = (watched := Watched(one),)
    one.feed([event(1, 0), event(2, 0), label(1, 1, "x"), label(2, 1, "y")])
    assert [p["prediction"] for p in one.output()] == [None, None]
    assert watched.values == [1.0, 1.0]


class Watched:
    """A watch on the error whose detector only remembers."""

    name, signal, feature, response, learners, says = "w", "error", None, "alarm", (), "error"
    codec = "pickle"

    def __init__(self, lab):
        self.values = []
        self.detector = self

    def watch(self, values):
        self.values += values.tolist()
        return []


@pytest.mark.parametrize("cut", [1, 1000])
def test_regression_scores_equal_river(cut):
    """The value is score and prediction."""
    steps = []
    for i in range(50):
        steps += [event(i, 2 * i, i % 7 / 7), label(i, 2 * i + 1, float(i % 7))]
    chain = ["river.preprocessing.StandardScaler", "river.linear_model.LinearRegression"]
    one = Lab(config(problem="regression", labels=LABELS, learners={"line": chain})).feed(steps, cut)
    model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    expected = []
    for i in range(50):
        x = {"a": i % 7 / 7, "b": 0.0}
        expected.append(model.predict_one(x))
        model.learn_one(x, float(i % 7))
    assert one.scores == [p["prediction"] for p in one.output()] == expected


@pytest.mark.parametrize("cut", [1, 13, 1000])
def test_anomaly_learns_at_the_event(cut):
    """Scored, then learned at once, as River's progressive validation does; labels are only for the metrics."""
    spec = {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 20}}
    one = Lab(config(problem="anomaly", labels=LABELS, learners={"trees": spec}))
    steps = []
    for i in range(120):
        steps += [event(i, i, (i * 37 % 100) / 100, (i * 11 % 100) / 100), label(i, i, i % 9 == 0)]
    one.feed(steps, cut)
    model = anomaly.HalfSpaceTrees(seed=1, window_size=20)
    expected = []
    for i in range(120):
        x = {"a": (i * 37 % 100) / 100, "b": (i * 11 % 100) / 100}
        expected.append(model.score_one(x))
        model.learn_one(x)
    assert one.scores == expected
    assert one.fold.state.metrics["trees"].count == 120
