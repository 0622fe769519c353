"""Which metrics a problem has. Read base.py for what they do."""

from learners.base import Problem
from learners.metrics.base import Metrics
from learners.metrics.binary import BinaryMetrics
from learners.metrics.multiclass import MulticlassMetrics
from learners.metrics.regression import RegressionMetrics


def make(problem: Problem, *, threshold: float, window: int, width: int) -> Metrics:
    """The metrics of a problem.

    Parameters
    ----------
    problem : {"binary", "multiclass", "regression", "anomaly"}
        Anomaly has binary's but log loss, on scores of any size.
    threshold : float
        Binary and anomaly: a score at or above it decides positive.
    window : int
        Labels in the recent figures.
    width : int
        Multiclass: classes known at the start.
    """
    if problem == "multiclass":
        return MulticlassMetrics(window=window, width=width)
    if problem == "regression":
        return RegressionMetrics(window=window)
    return BinaryMetrics(threshold=threshold, window=window, probabilities=problem == "binary")
