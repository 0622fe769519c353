"""Calibrators: what they do to scores, what they never do, and what they refuse."""

import math

import numpy as np
import pytest
from river import base, compose, dummy, ensemble, linear_model, naive_bayes, preprocessing, tree

from learners.calibration import Beta, Platt, PriorCorrection
from learners.imbalance import ClassWeight, UnderSampler


class Told(base.Classifier):
    """Its score is what the event says; it counts what it learns, and raises the score after."""

    def __init__(self):
        self.learned = 0

    def learn_one(self, x, y):
        self.learned += 1

    def predict_proba_one(self, x):
        score = x["score"]
        return {} if score is None else {False: 1.0 - score, True: score}


class Hindsight(Told):
    """It remembers the labels of what it learned: right about them, wrong about all else."""

    def __init__(self):
        super().__init__()
        self.known = {}

    def learn_one(self, x, y):
        self.known[x["id"]] = 0.999 if y else 0.001

    def predict_proba_one(self, x):
        score = self.known.get(x["id"], x["score"])
        return {False: 1.0 - score, True: score}


def stream(events, *, seed=0, base_rate=-3.0, distort):
    """Events whose score is the distorted one of their true chance, and their labels."""
    generator = np.random.default_rng(seed)
    for log_odds, chance in zip(
        generator.normal(base_rate, 1.5, events).tolist(), generator.random(events).tolist(), strict=True
    ):
        yield {"score": 1.0 / (1.0 + math.exp(-distort(log_odds)))}, chance < 1.0 / (1.0 + math.exp(-log_odds))


def calibrated(model, events):
    """Learned from these; then the error of what it says against the truth, over the same distribution."""
    for x, y in events:
        model.learn_one(x, y)
    return model


def error(model, distort):
    """Mean distance of the calibrated score and the true chance."""
    off = []
    for log_odds in np.random.default_rng(9).normal(-3.0, 1.5, 2000).tolist():
        said = model.predict_proba_one({"score": 1.0 / (1.0 + math.exp(-distort(log_odds)))})[True]
        off.append(abs(said - 1.0 / (1.0 + math.exp(-log_odds))))
    return float(np.mean(off))


STRETCHED = {"too sure": lambda t: 2.0 * t + 1.0, "far too high": lambda t: t + 4.0, "too unsure": lambda t: 0.4 * t}


@pytest.mark.parametrize("calibrator", [Platt, Beta])
@pytest.mark.parametrize("how", STRETCHED)
def test_a_straight_distortion_of_log_odds_is_taken_back(calibrator, how):
    """Both maps hold that family; one pass over twenty thousand labels finds it."""
    distort = STRETCHED[how]
    model = calibrated(calibrator(Told(), memory=None), stream(20_000, distort=distort))
    assert error(model, distort) < 0.012
    assert error(Told(), distort) > 0.02


def test_what_is_right_already_stays_right():
    """Calibrating a calibrated score costs little."""
    model = calibrated(Platt(Told(), memory=None), stream(20_000, distort=lambda t: t))
    assert error(model, lambda t: t) < 0.005
    assert model.parameters == pytest.approx((1.0, 0.0), abs=0.12)


def test_beta_bends_where_platt_cannot():
    """Scores right near 0 and far too sure near 1."""

    def distort(log_odds):
        score = 1.0 / (1.0 + math.exp(-log_odds))
        return math.log(score) - 4.0 * math.log(1.0 - score)

    platt, beta = (
        calibrated(one(Told(), memory=None), stream(40_000, base_rate=0.0, distort=distort)) for one in (Platt, Beta)
    )
    told = [-2.0, -1.0, 0.0, 1.0, 2.0]

    def worst(model):
        return max(
            abs(
                model.predict_proba_one({"score": 1.0 / (1.0 + math.exp(-distort(t)))})[True]
                - 1.0 / (1.0 + math.exp(-t))
            )
            for t in told
        )

    assert worst(beta) < 0.02 < worst(platt)


def test_a_memory_follows_a_change():
    """Half-way scores become four times too high in their odds; who forgets is right again."""
    short, long = Platt(Told(), memory=3000), Platt(Told(), memory=None)
    for model in (short, long):
        calibrated(model, stream(20_000, distort=lambda t: t))
        calibrated(model, stream(15_000, seed=1, distort=lambda t: t + 3.0))
    assert error(short, lambda t: t + 3.0) < 0.012 < error(long, lambda t: t + 3.0)


def test_the_order_of_scores_stays():
    """Whatever was learned, also from labels that contradict every score: a higher score stays higher."""
    for calibrator in (Platt, Beta):
        model = calibrated(
            calibrator(Told()), ((x, not y) for x, y in stream(3000, base_rate=0.0, distort=lambda t: 3.0 * t))
        )
        said = [model.predict_proba_one({"score": score})[True] for score in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)]
        assert said == sorted(set(said))


def test_the_map_is_fitted_to_scores_of_before_the_label_is_learned():
    """A classifier that knows by heart what it learned, and nothing else: with its hindsight the map would trust it."""
    generator = np.random.default_rng(3)
    model = Platt(Hindsight(), memory=None)
    for event in range(4000):
        model.learn_one({"id": event, "score": 0.5}, bool(generator.random() < 0.1))
    assert model.predict_proba_one({"id": "new", "score": 0.5})[True] == pytest.approx(0.1, abs=0.02)


def test_a_prediction_learns_nothing():
    """Asked a thousand times, the same answer."""
    model = calibrated(Platt(Told()), stream(500, distort=lambda t: t + 1.0))
    before = model.parameters
    assert len({model.predict_proba_one({"score": 0.3})[True] for _ in range(1000)}) == 1
    assert model.parameters == before


def test_a_classifier_without_an_answer_has_none_calibrated():
    """Nothing is made up of an empty answer, nothing is fitted to it, and the classifier learns."""
    model = Platt(Told())
    model.learn_one({"score": None}, True)
    assert model.predict_proba_one({"score": None}) == {}
    assert (model.parameters, model.classifier.learned) == ((1.0, 0.0), 1)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_score_at_the_end_is_clipped(score):
    """Log odds of 0 and 1 are infinite; the calibrated score is neither."""
    model = calibrated(Platt(Told()), [({"score": score}, False), ({"score": score}, True)] * 50)
    assert 0.0 < model.predict_proba_one({"score": score})[True] < 1.0


def test_a_score_that_is_no_probability_is_an_error():
    """NaN would stay in the map for ever."""
    model = Platt(Told())
    with pytest.raises(ValueError, match="the score of Told is nan"):
        model.learn_one({"score": math.nan}, True)
    assert model.parameters == (1.0, 0.0)


def test_a_weight_goes_to_the_classifier_and_not_to_the_map():
    """The map says how many of a hundred are positive, so each label counts once there."""
    light, heavy = Platt(linear_model.LogisticRegression()), Platt(linear_model.LogisticRegression())
    light.learn_one({"a": 1.0}, True)
    heavy.learn_one({"a": 1.0}, True, w=5.0)
    assert light.parameters == heavy.parameters
    assert heavy.classifier.weights["a"] == pytest.approx(5.0 * light.classifier.weights["a"])


def test_a_weight_that_the_classifier_does_not_take_is_an_error():
    """It is not dropped."""
    with pytest.raises(TypeError, match="GaussianNB learns without weights"):
        Platt(naive_bayes.GaussianNB()).learn_one({"a": 1.0}, True, w=2.0)


def test_a_list_is_a_chain():
    """Steps as they stand in a configuration."""
    model = Platt([preprocessing.StandardScaler(), linear_model.LogisticRegression()])
    assert isinstance(model.classifier, compose.Pipeline)
    model.learn_one({"a": 1.0}, True)
    assert model.classifier["StandardScaler"].means["a"] == 1.0


def test_a_correction_undoes_what_undersampling_did():
    """Dal Pozzolo's formula: trained at even shares of a stream with one positive in fifty, scores are right again."""
    generator = np.random.default_rng(4)
    model = PriorCorrection(UnderSampler(dummy.PriorClassifier(), positive_share=0.5, seed=1))
    labels = (generator.random(20_000) < 0.02).tolist()
    for y in labels:
        model.learn_one({}, y)
    assert model.classifier.predict_proba_one({})[True] == pytest.approx(0.5, abs=0.1)
    assert model.predict_proba_one({})[True] == pytest.approx(sum(labels) / len(labels))


def test_a_correction_takes_back_class_weights():
    """Weights of one to fifty make odds fifty times too high."""
    generator = np.random.default_rng(4)
    model = PriorCorrection(ClassWeight(tree.HoeffdingTreeClassifier(), {"true": 50}))
    for y in (generator.random(20_000) < 0.02).tolist():
        model.learn_one({"a": 1.0}, y)
    assert model.classifier.predict_proba_one({"a": 1.0})[True] == pytest.approx(0.5, abs=0.1)
    assert model.predict_proba_one({"a": 1.0})[True] == pytest.approx(0.02, abs=0.004)


def test_a_correction_by_a_given_factor_keeps_the_ends():
    """0 stays 0 and 1 stays 1."""
    model = PriorCorrection(Told(), factor=20)
    assert [model.predict_proba_one({"score": score})[True] for score in (0.0, 0.5, 1.0)] == [0.0, 1.0 / 21.0, 1.0]
    assert model.predict_proba_one({"score": None}) == {}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: Platt(linear_model.LinearRegression()),
            "Platt is put around a classifier, and LinearRegression is none",
        ),
        (
            lambda: Beta(ensemble.VotingClassifier([Told(), Told()])),
            "Beta needs probabilities, and VotingClassifier only decides",
        ),
        (
            lambda: Platt(["river.preprocessing.StandardScaler", Told()]),
            r"written \{river.preprocessing.StandardScaler: \}",
        ),
        (lambda: Platt(Told(), memory=0), "memory counts labels, from 1 on, not 0"),
        (lambda: Platt(Told(), prior=0), "prior is above 0"),
        (lambda: Platt(Told(), clip=0.5), "clip lies between 0 and 0.5"),
        (lambda: PriorCorrection(Told()), "Told does not say by how much its odds are too high; give `factor`"),
        (lambda: PriorCorrection(Told(), factor=0), "factor is above 0"),
    ],
)
def test_what_cannot_work_is_refused_in_words(build, words):
    """When it is built, not at the first label."""
    with pytest.raises((TypeError, ValueError), match=words):
        build()


def test_it_is_a_classifier_of_two_classes():
    """Around a classifier of several it still tells two apart, and River's one-versus-rest knows."""
    assert not Platt(tree.HoeffdingTreeClassifier())._multiclass
