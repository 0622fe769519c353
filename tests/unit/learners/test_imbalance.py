"""Class weights and samplers: what reaches the classifier, and what is refused."""

import pickle

import numpy as np
import pytest
from river import base, ensemble, forest, imblearn, linear_model, multiclass, naive_bayes, preprocessing, tree

from learners.imbalance import ClassWeight, OverSampler, Sampler, UnderSampler
from learners.inside import takes_weight
from learners.river import RiverLearner


class Noting(base.Classifier):
    """Keeps every label with its weight."""

    def __init__(self):
        self.seen = []

    def learn_one(self, x, y, w=1.0):
        self.seen.append((y, w))

    def predict_proba_one(self, x):
        return {True: 0.25, False: 0.75}


def labels(count=20_000, share=0.02, seed=0):
    return (np.random.default_rng(seed).random(count) < share).tolist()


def shown(model, stream):
    """The share of positives that the classifier inside was shown, and how many labels."""
    for y in stream:
        model.learn_one({"a": 1.0}, y)
    seen = [y for y, _ in model.classifier.seen]
    return sum(seen) / len(seen), len(seen)


@pytest.mark.parametrize("name", [True, "true", "True", 1, "1"])
def test_a_class_may_be_named_as_yaml_json_or_python_has_it(name):
    """A lineage is JSON, where the key true is text; no name is passed over in silence."""
    weighted = ClassWeight(Noting(), {name: 50})
    for y in (True, False):
        weighted.learn_one({}, y)
    assert weighted.classifier.seen == [(True, 50.0), (False, 1.0)]


def test_a_name_that_is_no_label_is_an_error():
    """A weight that never applies would be passed over in silence."""
    with pytest.raises(ValueError, match="labels are true and false, and weights name fraud"):
        ClassWeight(Noting(), {"fraud": 50}).learn_one({}, True)


def test_classes_of_several_go_by_their_names():
    """Labels reach a classifier of several classes as text."""
    weighted = ClassWeight(Noting(), {"high": 4, "low": 0.5})
    for y in ("low", "middle", "high"):
        weighted.learn_one({}, y)
    assert [w for _, w in weighted.classifier.seen] == [0.5, 1.0, 4.0]


def test_a_labels_own_weight_is_multiplied():
    """A correction that counts three times counts three times as much as its class does."""
    weighted = ClassWeight(Noting(), {True: 50})
    weighted.learn_one({}, True, w=3.0)
    assert weighted.classifier.seen == [(True, 150.0)]


def test_balanced_weights_give_both_classes_the_same_part():
    """In sum, over a stream with one positive in fifty; and 1 on average."""
    weighted = ClassWeight(Noting(), "balanced")
    for y in labels():
        weighted.learn_one({}, y)
    positive = sum(w for y, w in weighted.classifier.seen if y)
    negative = sum(w for y, w in weighted.classifier.seen if not y)
    assert positive == pytest.approx(negative, rel=0.1)
    assert weighted.odds_factor == pytest.approx(49.0, rel=0.1)


def test_a_first_positive_after_long_is_bounded():
    """Ten thousand labels of one class do not make the other's first one ten thousand times as heavy."""
    weighted = ClassWeight(Noting(), "balanced", weight_max=20)
    for y in [False] * 10_000 + [True]:
        weighted.learn_one({}, y)
    assert weighted.classifier.seen[-1] == (True, 20.0)


def test_weights_are_those_of_river():
    """The same bits as ``learn_one(x, y, w=…)``, through a chain."""
    chain = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    weighted = preprocessing.StandardScaler() | ClassWeight(linear_model.LogisticRegression(), {"true": 7})
    generator = np.random.default_rng(0)
    for a in generator.normal(0.0, 1.0, 200).tolist():
        chain.learn_one({"a": a}, a > 1.5, w=7.0 if a > 1.5 else 1.0)
        weighted.learn_one({"a": a}, a > 1.5)
    assert weighted.predict_proba_one({"a": 0.3}) == chain.predict_proba_one({"a": 0.3})


def effect_of_a_weight(model):
    """Whether a label of weight 40 leaves another answer than one of weight 1; None when a weight raises."""
    generator = np.random.default_rng(0)
    rows = [({"a": a, "b": b}, a + b > 0.5) for a, b in generator.normal(0.0, 1.0, (300, 2)).tolist()]
    answers = []
    for weight in (1.0, 40.0):
        one = pickle.loads(pickle.dumps(model))
        for x, y in rows:
            try:
                one.learn_one(x, y, w=weight if y else 1.0)
            except TypeError:
                return None
        answers.append([one.predict_proba_one(x).get(True) for x, _ in rows[:20]])
    return answers[0] != answers[1]


FAMILIES = {
    "logistic": linear_model.LogisticRegression,
    "chain": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "bayes": naive_bayes.GaussianNB,
    "chain of bayes": lambda: preprocessing.StandardScaler() | naive_bayes.GaussianNB(),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=20),
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=1),
    "adaptive forest": lambda: forest.ARFClassifier(n_models=2, grace_period=20, seed=1),
    "mondrian forest": lambda: forest.AMFClassifier(n_estimators=2, seed=1),
    "bagging": lambda: ensemble.BaggingClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
    "bagging of bayes": lambda: ensemble.BaggingClassifier(naive_bayes.GaussianNB(), n_models=2, seed=1),
    "leveraging": lambda: ensemble.LeveragingBaggingClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
    "adwin bagging": lambda: ensemble.ADWINBaggingClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
    "boosting": lambda: ensemble.AdaBoostClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
    "one versus rest": lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    "under sampler": lambda: UnderSampler(linear_model.LogisticRegression(), positive_share=0.5, seed=1),
    "under sampler of bayes": lambda: UnderSampler(naive_bayes.GaussianNB(), positive_share=0.5, seed=1),
    "class weights": lambda: ClassWeight(linear_model.LogisticRegression(), {"true": 2}),
    "perceptron": linear_model.Perceptron,
    "passive aggressive": linear_model.PAClassifier,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_takes_weight_is_what_a_weight_does(name):
    """Said to take weights: a weight changes the answers. Said not to: it raises, or changes nothing at all."""
    model = FAMILIES[name]()
    assert (effect_of_a_weight(model) is True) == takes_weight(model)


@pytest.mark.parametrize(
    ("sampler", "share"),
    [(UnderSampler, 0.2), (UnderSampler, 0.5), (OverSampler, 0.2), (OverSampler, 0.5), (Sampler, 0.3)],
)
def test_the_classifier_is_shown_the_share_that_was_asked_for(sampler, share):
    """Of a stream with one positive in fifty."""
    assert shown(sampler(Noting(), positive_share=share, seed=1), labels())[0] == pytest.approx(share, abs=0.05)


def test_undersampling_learns_little_and_oversampling_much():
    """What the two cost: labels shown by labels that came."""
    under = shown(UnderSampler(Noting(), positive_share=0.2, seed=1), labels())[1]
    over = shown(OverSampler(Noting(), positive_share=0.2, seed=1), labels())[1]
    rate = shown(Sampler(Noting(), positive_share=0.2, seed=1, rate=0.3), labels())[1]
    assert under < 0.15 * 20_000 < rate < 0.4 * 20_000 < 20_000 < over < 1.5 * 20_000


@pytest.mark.parametrize(
    ("ours", "rivers"),
    [
        (UnderSampler, imblearn.RandomUnderSampler),
        (OverSampler, imblearn.RandomOverSampler),
        (Sampler, imblearn.RandomSampler),
    ],
)
def test_a_sampler_is_rivers(ours, rivers):
    """The same labels are shown as River's own shows under the same seed."""
    one = ours(Noting(), positive_share=0.25, seed=7)
    other = rivers(Noting(), desired_dist={True: 0.25, False: 0.75}, seed=7)
    for y in labels(3000):
        one.learn_one({}, y)
        other.learn_one({}, y)
    assert one.classifier.seen == other.classifier.seen


@pytest.mark.parametrize("sampler", [UnderSampler, OverSampler, Sampler])
def test_the_odds_factor_is_what_sampling_did_to_the_odds(sampler):
    """From one in fifty to one in four: odds of 1/3 in the place of 1/49."""
    model = sampler(Noting(), positive_share=0.25, seed=1)
    assert model.odds_factor == 1.0
    shown(model, labels())
    assert model.odds_factor == pytest.approx(49.0 / 3.0, rel=0.15)


def test_a_sampler_without_a_seed_cannot_be_built():
    """Not even with null; River's own is refused by the conformance check."""
    with pytest.raises(TypeError, match="seed"):
        UnderSampler(Noting(), positive_share=0.2)
    with pytest.raises(TypeError, match="without it no two processes would answer alike"):
        UnderSampler(Noting(), positive_share=0.2, seed=None)
    river = imblearn.RandomUnderSampler(linear_model.LogisticRegression(), {True: 0.5, False: 0.5})
    assert RiverLearner(river, "binary").unseeded() == ["RandomUnderSampler.seed"]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ClassWeight(naive_bayes.GaussianNB(), {"true": 2}), "GaussianNB learns without weights; learners.imb"),
        (lambda: ClassWeight(forest.ARFClassifier(seed=1), {"true": 2}), "ARFClassifier learns without weights"),
        (lambda: ClassWeight(Noting(), "even"), "weights are balanced, or a mapping such as {true: 50}, not 'even'"),
        (lambda: ClassWeight(Noting(), {"true": 0}), "the weight of true is a number above 0, not 0"),
        (lambda: ClassWeight(Noting(), {"true": "much"}), "the weight of true is a number above 0, not 'much'"),
        (lambda: ClassWeight(Noting(), "balanced", weight_max=0.5), "weight_max is 1 or more"),
        (lambda: ClassWeight(linear_model.LinearRegression(), "balanced"), "put around a classifier, and LinearReg"),
        (lambda: UnderSampler(Noting(), positive_share=1.0, seed=1), "positive_share lies between 0 and 1"),
        (lambda: Sampler(Noting(), positive_share=0.5, seed=1, rate=0), "rate is above 0"),
    ],
)
def test_what_cannot_work_is_refused_in_words(build, words):
    """When it is built, not at the first label."""
    with pytest.raises((TypeError, ValueError), match=words):
        build()
