"""Unrolled chains do what River's pipelines do, to the bit, and leave alone what they do not know."""

import pickle
import random

import pytest
from river import compose, feature_extraction, linear_model, naive_bayes, optim, preprocessing, stats, tree

from learners import unroll


class Doubling(preprocessing.StandardScaler):
    """A scaler that somebody made their own."""

    def transform_one(self, x):
        return {name: 2.0 * value for name, value in super().transform_one(x).items()}


class Cautious(linear_model.LogisticRegression):
    """A regression that somebody made their own."""

    def predict_proba_one(self, x):
        return {True: 0.25, False: 0.75}


def rows(count=600):
    """Six numbers of several scales, one constant, a boolean; of some a tenth is missing."""
    generator = random.Random(3)
    for _ in range(count):
        x = {f"f{place}": generator.gauss(0, 10.0**place) for place in range(6)}
        x |= {"constant": 3.5, "a_flag": generator.random() < 0.5}
        yield (
            {name: value for name, value in x.items() if name < "f3" or generator.random() > 0.1},
            generator.random() < 0.3,
        )


def chain(*steps):
    model = steps[0]
    for step in steps[1:]:
        model |= step
    return model


CHAINS = {
    "scaled_logistic": lambda: chain(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    "penalties": lambda: chain(preprocessing.StandardScaler(), linear_model.LogisticRegression(l2=0.01)),
    "absolute_penalties": lambda: chain(preprocessing.StandardScaler(), linear_model.LogisticRegression(l1=0.01)),
    "large_steps_clipped": lambda: chain(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(optim.SGD(9.0), clip_gradient=0.3)
    ),
    "schedules": lambda: chain(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(
            optim.SGD(optim.schedulers.InverseScaling(0.1)), intercept_lr=optim.schedulers.InverseScaling(0.2)
        ),
    ),
    "weighted_loss": lambda: chain(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(loss=optim.losses.Log(weight_pos=5))
    ),
    "started_elsewhere": lambda: chain(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(initializer=optim.initializers.Constant(0.5), intercept_init=-1.0),
    ),
    "perceptron": lambda: chain(preprocessing.StandardScaler(), linear_model.Perceptron()),
    "without_deviation": lambda: chain(preprocessing.StandardScaler(with_std=False), linear_model.LogisticRegression()),
    "windowed": lambda: chain(preprocessing.StandardScaler(window_size=50), linear_model.LogisticRegression()),
    "three_steps": lambda: chain(
        compose.Select("f0", "f1", "a_flag"),
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(optim.Adam()),
    ),
    "max_abs": lambda: chain(preprocessing.MaxAbsScaler(), linear_model.LogisticRegression()),
    "bayes": lambda: chain(preprocessing.StandardScaler(), naive_bayes.GaussianNB()),
    "tree": lambda: chain(preprocessing.StandardScaler(), tree.HoeffdingTreeClassifier(grace_period=40)),
    "union": lambda: chain(
        compose.Select("f0", "f1") + (compose.Select("f2") | preprocessing.StandardScaler()),
        linear_model.LogisticRegression(),
    ),
    "supervised_transformer": lambda: chain(
        feature_extraction.TargetAgg(by=["a_flag"], how=stats.Mean()),
        linear_model.LogisticRegression(),
    ),
    "subclass_of_scaler": lambda: chain(Doubling(), linear_model.LogisticRegression()),
    "subclass_of_regression": lambda: chain(preprocessing.StandardScaler(), Cautious()),
    "no_chain": linear_model.LogisticRegression,
    "one_step": lambda: compose.Pipeline(linear_model.LogisticRegression()),
}


@pytest.mark.parametrize("name", CHAINS)
def test_probabilities_are_those_of_the_pipeline_to_the_bit(name):
    """Predict and learn by turns, once through River's methods and once unrolled."""
    whole, parts = CHAINS[name](), CHAINS[name]()
    probability, learn = unroll.probability(parts), unroll.learn(parts)
    for x, y in rows():
        assert probability(x) == whole.predict_proba_one(x).get(True, 0.0)
        learn(x, y)
        whole.learn_one(x, y)


def test_the_state_stays_in_rivers_objects():
    """A pickle taken after unrolled learning goes on as River's own pipeline does."""
    whole, parts = CHAINS["scaled_logistic"](), CHAINS["scaled_logistic"]()
    learn = unroll.learn(parts)
    for x, y in rows():
        learn(x, y)
        whole.learn_one(x, y)
    loaded = pickle.loads(pickle.dumps(parts))
    assert dict(loaded["StandardScaler"].vars) == dict(whole["StandardScaler"].vars)
    assert loaded["StandardScaler"].counts == whole["StandardScaler"].counts
    assert loaded["LogisticRegression"].weights == whole["LogisticRegression"].weights
    assert loaded["LogisticRegression"].optimizer.n_iterations == 600
    assert [loaded.predict_proba_one(x) for x, _ in rows(20)] == [whole.predict_proba_one(x) for x, _ in rows(20)]


def test_values_are_those_of_the_pipeline_to_the_bit():
    """A regression by turns, with steps so large that its gradient is clipped at last."""
    whole, parts = (
        chain(preprocessing.StandardScaler(), linear_model.LinearRegression(optim.SGD(0.3), clip_gradient=1e6))
        for _ in range(2)
    )
    predict, learn = unroll.predict(parts, "predict_one"), unroll.learn(parts)
    for x, y in rows():
        assert predict(x) == whole.predict_one(x)
        learn(x, float(y))
        whole.learn_one(x, float(y))


def test_unrolled_and_whole_calls_may_alternate():
    """Both work on one state: every other label is learned by River's own pipeline."""
    whole, parts = CHAINS["scaled_logistic"](), CHAINS["scaled_logistic"]()
    probability, learn = unroll.probability(parts), unroll.learn(parts)
    for at, (x, y) in enumerate(rows()):
        assert probability(x) == whole.predict_proba_one(x)[True]
        whole.learn_one(x, y, w=1.5 if at % 2 else 1.0)
        if at % 2:
            parts.learn_one(x, y, w=1.5)
        else:
            learn(x, y)


@pytest.mark.parametrize("name", ["union", "supervised_transformer", "one_step", "no_chain"])
def test_what_is_not_a_plain_chain_keeps_rivers_own_method(name):
    """Unions, supervised transformers and single estimators are called as River calls them."""
    model = CHAINS[name]()
    assert unroll.learn(model) == model.learn_one


def test_a_method_replaced_on_one_object_is_called():
    """Somebody's patch of a scaler's ``transform_one`` is not passed by."""
    model = CHAINS["scaled_logistic"]()
    model["StandardScaler"].transform_one = lambda _: {"f0": 1.0}
    unroll.learn(model)({"f0": 5.0, "f1": 7.0}, True)
    assert model["LogisticRegression"].weights == {"f0": pytest.approx(0.005)}


def test_the_last_step_is_found_in_a_chain_in_a_chain():
    """The estimator that predicts is the innermost last one."""
    inner = CHAINS["scaled_logistic"]()
    assert unroll.last_step(compose.Pipeline(preprocessing.MinMaxScaler(), inner)) is inner["LogisticRegression"]
