"""Estimators that misbehave at chosen events, for the tests beside this. Given to a configuration by ``factory:``."""

from river import base, linear_model


class Raises(base.Classifier):
    """Logistic regression that raises while it learns features with ``a`` above ``limit``, its state half changed."""

    def __init__(self, limit=100.0, score_limit=1e9, score="nan"):
        self.limit = limit
        self.score_limit = score_limit
        self.score = score
        self.model = linear_model.LogisticRegression()
        self.learned = 0

    def learn_one(self, x, y):
        self.learned += 1
        if x["a"] > self.limit:
            self.model.learn_one({"a": 1e6, "b": -1e6}, y)
            raise ArithmeticError(f"cannot learn {x['a']}")
        self.model.learn_one(x, y)

    def predict_proba_one(self, x):
        if x["a"] > self.score_limit:
            if self.score == "raise":
                raise ArithmeticError("cannot score")
            return {True: float(self.score), False: 0.0}
        return self.model.predict_proba_one(x)


def raises(**parameters):
    return Raises(**parameters)


class Gauss(base.AnomalyDetector):
    """Distance from the mean; raises at ``a`` above 100."""

    def __init__(self):
        self.learned = 0
        self.mean = 0.0

    def learn_one(self, x):
        self.learned += 1
        self.mean += (x["a"] - self.mean) / self.learned
        if x["a"] > 100:
            raise ArithmeticError("too far")

    def score_one(self, x):
        return abs(x["a"] - self.mean)


def gauss():
    return Gauss()
