"""How much each expert counts: weights that follow the losses of scores that were given. Plain numbers, no rows, no programs.

An *expert* gives a score for a row, or none (NaN). When the row's label comes the expert has a loss, and weights move at
once, without anybody learning anything else. Labels may come late: each loss is of the score that was given at the event, and
counts when its label comes (Joulani, György, Szepesvári, "Online Learning under Delayed Feedback", 2013).

Arithmetic is Python's, one number after the other: no sum depends on how many rows stand beside each other. Read blend.py next.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from typing import Any, Final, Protocol

LOSS_MAX: Final = 50.0
"""Losses in nats are cut here: ``exp(-50)`` is nothing, and infinity has no difference to infinity."""


class Mixture(Protocol):
    """Weights of ``n`` experts. Its attributes that ``state`` tells are all that it remembers."""

    @property
    def weights(self) -> list[float]:
        """As they stand; of averages they add up to one."""
        ...

    def mix(self, given: Sequence[float]) -> float:
        """One score of the experts' scores, NaN where an expert gave none; NaN when nobody gave one."""
        ...

    def learn(self, given: Sequence[float], target: float, weight: float) -> None:
        """The truth of a row for which the experts gave these scores."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that it remembers, as plain values."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` told."""
        ...


def average(weights: Sequence[float], given: Sequence[float]) -> float:
    """The weighted mean of those that are there, NaN when none is.

    Examples
    --------
    >>> average([0.5, 0.25, 0.25], [1.0, float("nan"), 0.0])
    0.6666666666666666
    """
    total = there = 0.0
    for weight, score in zip(weights, given, strict=True):
        if score == score:  # noqa: PLR0124 - not NaN
            total += weight * score
            there += weight
    return total / there if there else float("nan")


# --- losses ---------------------------------------------------------------------------------------------------------------


def log_loss(clip: float) -> Callable[[float, float], float]:
    """``-log`` of the probability that was given to the truth (0 or 1), in nats, for probabilities cut at ``clip``."""

    def of(score: float, target: float) -> float:
        given = score if target == 1.0 else 1.0 - score
        return -log(given if given > clip else clip)

    return of


def squared(score: float, target: float) -> float:
    """The squared error."""
    return (score - target) * (score - target)


def absolute(score: float, target: float) -> float:
    """The absolute error."""
    return abs(score - target)


class Scale:
    """Makes errors of values into losses without a unit: divided by their mean over recent labels and all experts.

    With squared errors and a rate of 1/2 that is Bayes' rule for experts whose errors are normal with that variance; with
    absolute ones and a rate of 1, for Laplace's distribution. The newest ``MEMORY`` labels count most.
    """

    MEMORY = 1000

    def __init__(self) -> None:
        self.mean = 0.0
        self.labels = 0

    def of(self, losses: Sequence[float]) -> list[float]:
        """Losses, NaN where there is none, in units of their mean, this label included."""
        there = [min(loss, 1e300) for loss in losses if loss == loss]  # noqa: PLR0124 - not NaN
        if there:
            self.labels = min(self.labels + 1, self.MEMORY)
            own = 0.0
            for loss in there:
                own += loss / len(there)
            self.mean += (own - self.mean) / self.labels
        return [loss / self.mean if self.mean > 0.0 else loss for loss in losses]


# --- weighted means -------------------------------------------------------------------------------------------------------


class _Average(ABC):
    """What the weighted means share: how losses are made of scores."""

    def __init__(self, count: int, loss: Callable[[float, float], float], *, scaled: bool) -> None:
        self.weights = [1.0 / count] * count
        self._loss = loss
        self._scale = Scale() if scaled else None

    def mix(self, given: Sequence[float]) -> float:
        return average(self.weights, given)

    def learn(self, given: Sequence[float], target: float, weight: float) -> None:
        losses = [self._loss(score, target) if score == score else score for score in given]  # noqa: PLR0124 - not NaN
        self.suffer(losses if self._scale is None else self._scale.of(losses), weight)

    @abstractmethod
    def suffer(self, losses: Sequence[float], weight: float) -> None:
        """Losses in nats, NaN where an expert gave no score."""

    def _scale_state(self) -> tuple[float, int]:
        return (0.0, 0) if self._scale is None else (self._scale.mean, self._scale.labels)

    def _load_scale(self, told: tuple[float, int]) -> None:
        if self._scale is not None:
            self._scale.mean, self._scale.labels = told


def _after(weights: Sequence[float], losses: Sequence[float], rate: float) -> tuple[list[float], float]:
    """Weights after losses (Bayes' rule at ``rate`` 1), and the mixture's own loss.

    An expert that gave no score sleeps: it has the loss of the others' mixture, so what it weighs stays as it was (Freund,
    Schapire, Singer, Warmuth, "Using and Combining Predictors That Specialize", 1997).
    """
    cut = [min(loss, LOSS_MAX / rate) for loss in losses]  # of NaN and a number min is NaN, which came first
    awake = [place for place, loss in enumerate(cut) if loss == loss]  # noqa: PLR0124 - not NaN
    if not awake:
        return list(weights), 0.0
    least = min(cut[place] for place in awake)
    before = after = 0.0
    grown = list(weights)
    for place in awake:
        grown[place] = weights[place] * exp(-rate * (cut[place] - least))
        before += weights[place]
        after += grown[place]
    if after <= 0.0:
        return list(weights), least
    for place in awake:
        grown[place] *= before / after
    return grown, least - log(after / before) / rate


class FixedShare(_Average):
    """Who was best lately leads, and at each label anybody may become best: every expert keeps a share to start from.

    Herbster and Warmuth, "Tracking the Best Expert" (1998), the Fixed Share algorithm: after the update by the losses each
    expert gives the part ``share`` of its weight to the others, in equal parts. Departs from it: the mixture is the weighted
    mean whatever the loss.

    Parameters
    ----------
    count : int
        Experts, two or more.
    loss
        Of a score and the truth.
    share : float
        In (0, 1): about the chance that another expert becomes the best at a label.
    rate : float
        How much a loss moves; 1 is Bayes' rule for the log loss.
    scaled : bool
        Whether losses are divided by their mean (``Scale``).
    """

    def __init__(
        self, count: int, loss: Callable[[float, float], float], *, share: float, rate: float, scaled: bool
    ) -> None:
        super().__init__(count, loss, scaled=scaled)
        self._share, self._rate = share, rate

    def suffer(self, losses: Sequence[float], weight: float) -> None:
        if weight <= 0.0:
            return
        grown, _ = _after(self.weights, losses, self._rate * weight)
        others = len(grown) - 1
        shared = [(1.0 - self._share) * own + self._share * (1.0 - own) / others for own in grown]
        total = 0.0
        for own in shared:
            total += own
        self.weights = [own / total for own in shared]

    def state(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "scale": self._scale_state()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.weights = list(state["weights"])
        self._load_scale(state["scale"])


class Exponential(_Average):
    """Weights fall with the losses of the last ``memory`` labels or so: ``exp(-rate * sum)``, where older losses fade.

    Cesa-Bianchi and Lugosi, "Prediction, Learning, and Games" (2006), 2.11 (discounted regret), with the discount
    ``1 - 1/memory`` a label.

    Parameters
    ----------
    memory : float
        Labels, 1 or more. The rest as for ``FixedShare``.
    """

    def __init__(
        self, count: int, loss: Callable[[float, float], float], *, memory: float, rate: float, scaled: bool
    ) -> None:
        super().__init__(count, loss, scaled=scaled)
        self._keep, self._rate = 1.0 - 1.0 / memory, rate
        self._sums = [0.0] * count

    def suffer(self, losses: Sequence[float], weight: float) -> None:
        _, mixed = _after(self.weights, losses, self._rate)
        sums = [
            self._keep * own + weight * (min(loss, LOSS_MAX) if loss == loss else mixed)  # noqa: PLR0124 - not NaN
            for own, loss in zip(self._sums, losses, strict=True)
        ]
        least = min(sums)
        self._sums = [own - least for own in sums]  # only differences count
        self._weigh()

    def _weigh(self) -> None:
        grown = [exp(-self._rate * own) for own in self._sums]
        total = 0.0
        for own in grown:
            total += own
        self.weights = [own / total for own in grown]

    def state(self) -> dict[str, Any]:
        return {"sums": list(self._sums), "scale": self._scale_state()}

    def load(self, state: Mapping[str, Any]) -> None:
        self._sums = list(state["sums"])
        self._load_scale(state["scale"])
        self._weigh()


# --- logistic regression on log odds ----------------------------------------------------------------------------------------


class Stack:
    """Logistic regression on the experts' log odds: it weighs, and calibrates, and may weigh one against another.

    Wolpert, "Stacked Generalization" (1992), online: the regression's parameters are fitted label by label
    (``learners.fit.Fit``, second order, for experts say much the same), and older labels count less.

    It begins as the mean of the log odds, and is drawn there. An expert that gave no score counts as the mean of those that
    did.

    Parameters
    ----------
    count : int
        Experts, two or more.
    memory : float
        Labels, 1 or more: a label counts ``1 - 1/memory`` times as much at the next.
    prior : float
        How firmly weights stay at the mean where little is known of them, positive.
    clip : float
        Scores are cut to ``[clip, 1 - clip]``: certainty has no log odds.
    """

    def __init__(self, count: int, *, memory: float, prior: float, clip: float) -> None:
        from learners.fit import Fit  # noqa: PLC0415 - River takes a second to import

        self._clip = clip
        size = count + 1
        self._fit = Fit(
            start=(*[1.0 / count] * count, 0.0), prior=[prior] * size, lowest=[None] * size, keep=1.0 - 1.0 / memory
        )

    @property
    def weights(self) -> list[float]:
        """Of the log odds, in the order of the experts."""
        return self._fit.parameters[:-1]

    @property
    def intercept(self) -> float:
        return self._fit.parameters[-1]

    def log_odds(self, given: Sequence[float]) -> list[float] | None:
        """Of each expert, None when nobody gave a score."""
        low, high = self._clip, 1.0 - self._clip
        odds = [_log_odds(min(max(score, low), high)) if score == score else score for score in given]  # noqa: PLR0124 - NaN
        there = [own for own in odds if own == own]  # noqa: PLR0124 - not NaN
        if len(there) == len(odds):
            return odds
        if not there:
            return None
        mean = average([1.0] * len(odds), odds)
        return [own if own == own else mean for own in odds]  # noqa: PLR0124 - not NaN

    def mix(self, given: Sequence[float]) -> float:
        odds = self.log_odds(given)
        return float("nan") if odds is None else _logistic(self._fit.value([*odds, 1.0]))

    def learn(self, given: Sequence[float], target: float, weight: float) -> None:
        odds = self.log_odds(given)
        if odds is not None and weight > 0.0:
            self._fit.learn([*odds, 1.0], target == 1.0, weight)

    def state(self) -> dict[str, Any]:
        return {"fit": self._fit.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        self._fit.load(state["fit"])


def _log_odds(probability: float) -> float:
    return log(probability / (1.0 - probability))


def _logistic(value: float) -> float:
    if value >= 0.0:
        return 1.0 / (1.0 + exp(-value))
    odds = exp(value)
    return odds / (1.0 + odds)
