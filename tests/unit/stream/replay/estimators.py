"""Learners that fail, for tests: named by configurations as users name their own."""

from river import base, linear_model


class Fussy(linear_model.LogisticRegression):
    """Raises where it is to learn from ``b`` above a bound."""

    def __init__(self, bound: float = 2.0) -> None:
        super().__init__()
        self.bound = bound

    def learn_one(self, x, y, w=1.0):
        if x["b"] > self.bound:
            raise ValueError(f"b is {x['b']:.1f}")
        super().learn_one(x, y, w)


class Stubborn(base.Classifier):
    """Answers with a number that is none after a while."""

    def __init__(self, good: int = 100) -> None:
        self.good = good
        self._seen = 0

    def learn_one(self, x, y):
        self._seen += 1

    def predict_proba_one(self, x):
        return {True: 0.5 if self._seen < self.good else float("nan")}
