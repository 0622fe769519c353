"""What labels said lately, as features: for streams whose labels depend on those before, and that come in turn.

A wrapper around any classifier of two classes: the newest labels, means of the newest, and the label of a certain number of
events ago stand beside the event's own features. Not here: windows of labels per key and over time, which are stages
of the configuration (``features:``) and fit labels that come late, out of order or never. Read river.py next.
"""

from collections.abc import Sequence
from typing import Any

from learners.inside import BinaryWrapper, classifier_of, teach

UNKNOWN = 0.5
"""In place of a label that has not come yet."""


class LabelHistory(BinaryWrapper):
    """A classifier that also sees the labels before.

    ``delay`` is the number of events after which a label is known, and each event has a label: then an event is
    learned with the very features that it was scored with, though newer labels have come since. Where a label is
    missing, late or corrected, what is said of the past is off by that one event.

    Parameters
    ----------
    classifier : river.base.Classifier or list
        Of two classes; a list of steps is a chain.
    last : int
        So many of the newest labels: ``label_1`` is the newest.
    mean : sequence of int
        Means of so many of the newest: ``label_mean_12``; of fewer at the beginning.
    ago : sequence of int
        The label of the event so many before this one, at least ``delay``: ``label_ago_48`` is yesterday's at this time of
        the day, where events come every half hour.
    delay : int
        As in ``labels: {delay: 2 events}``; 1 is also right for labels that are known at once.

    Notes
    -----
    Bifet, Read, Žliobaitė, Pfahringer and Holmes, "Pitfalls in Benchmarking Data Stream Classification and How to
    Avoid Them" (ECML PKDD 2013), section 5: the temporally augmented classifier, which sees the last labels. Means and
    labels of a period ago are added here. Labels that are not known yet are 0.5.

    Examples
    --------
    >>> from river import tree
    >>> model = LabelHistory(tree.HoeffdingTreeClassifier(), last=1, mean=[2])
    >>> for label in (True, False, False):
    ...     model.learn_one({"price": 1.0}, label)
    >>> model.seen({"price": 1.0})
    {'price': 1.0, 'label_1': 0.0, 'label_mean_2': 0.0}
    """

    def __init__(
        self,
        classifier: Any,
        last: int = 4,
        mean: Sequence[int] = (),
        ago: Sequence[int] = (),
        delay: int = 1,
    ) -> None:
        if delay < 1 or last < 0:
            raise ValueError(f"delay is 1 event or more and last 0 labels or more, not {delay} and {last}")
        if min(mean, default=1) < 1:
            raise ValueError(f"a mean is of one label or more, not of {min(mean)}")
        if min(ago, default=delay) < delay:
            raise ValueError(f"the label of {min(ago)} events ago is not known yet: labels come {delay} events late")
        self.classifier = classifier_of(classifier, "LabelHistory")
        self.last = last
        self.mean = mean
        self.ago = ago
        self.delay = delay
        self._sums: list[float] = [0.0]
        """Of the labels so far: the difference of two is a sum between. Labels are 0 and 1, so sums are exact."""
        self._needed = 1 + max(last + delay, *(n + delay for n in mean), *ago, 0) + delay

    def seen(self, x: dict[Any, Any]) -> dict[Any, Any]:
        """The features that the classifier scores an event with, labels as known now."""
        return self._beside(x, len(self._sums) - 1)

    def _beside(self, x: dict[Any, Any], known: int) -> dict[Any, Any]:
        """``x`` and what the first ``known`` labels that are remembered say."""
        sums, features = self._sums, dict(x)
        for place in range(1, self.last + 1):
            at = known - place
            features[f"label_{place}"] = sums[at + 1] - sums[at] if at >= 0 else UNKNOWN
        for size in self.mean:
            taken = min(size, known)
            features[f"label_mean_{size}"] = (sums[known] - sums[known - taken]) / taken if taken > 0 else UNKNOWN
        for events in self.ago:
            at = known + self.delay - 1 - events
            features[f"label_ago_{events}"] = sums[at + 1] - sums[at] if at >= 0 else UNKNOWN
        return features

    def learn_one(self, x: dict[Any, Any], y: Any, w: float = 1.0) -> None:
        """Learn an event with the history that it was scored with; then its label is history."""
        teach(self.classifier, self._beside(x, max(len(self._sums) - self.delay, 0)), y, w)
        sums = self._sums
        sums.append(sums[-1] + float(bool(y)))
        if len(sums) > 2 * self._needed:
            first = sums[-self._needed]
            sums[:] = [value - first for value in sums[-self._needed :]]

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
        answer: dict[Any, float] = self.classifier.predict_proba_one(self.seen(x), **kwargs)
        return answer

    def predict_one(self, x: dict[Any, Any], **kwargs: Any) -> Any:
        return self.classifier.predict_one(self.seen(x), **kwargs)
