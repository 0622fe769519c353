"""Labels that came before their events wait here, bounded by stream time and by count. No rules about labels: join.py's."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from stream.pipeline.clock import NEVER


@dataclass(slots=True)
class IncomingLabel:
    """A label and the record that it stands in."""

    id: str
    """Of the event that it is about."""
    value: float | str
    since_ms: int
    """Stream time when it came; NEVER before the first event."""
    input: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    record: bytes | None


class Parking:
    """Labels in the order in which they came, and by the event's id.

    Parameters
    ----------
    wait_ms : int
        How long a label waits.
    size_max : int
        How many wait at most.
    """

    def __init__(self, wait_ms: int, size_max: int) -> None:
        self._wait_ms = wait_ms
        self._size_max = size_max
        self._labels: dict[int, IncomingLabel] = {}
        self._by_event: dict[str, list[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def wake_ms(self) -> int | None:
        """Stream time at which the first of them has waited long enough."""
        return next(iter(self._labels.values())).since_ms + self._wait_ms if self._labels else None

    def add(self, label: IncomingLabel) -> IncomingLabel | None:
        """Returns the label that has to go, when there are too many."""
        self._labels[self._next] = label
        self._by_event.setdefault(label.id, []).append(self._next)
        self._next += 1
        return self._remove_first() if len(self._labels) > self._size_max else None

    def take(self, event: str) -> list[IncomingLabel]:
        """Labels of an event that came, in the order in which they did."""
        return [self._labels.pop(number) for number in self._by_event.pop(event, ())]

    def overdue(self, now: int) -> Iterator[IncomingLabel]:
        """Remove labels that have waited long enough. The time of those before the first event begins now."""
        for label in self._labels.values():
            if label.since_ms != NEVER:
                break
            label.since_ms = now
        while (wake := self.wake_ms) is not None and wake <= now:
            yield self._remove_first()

    def _remove_first(self) -> IncomingLabel:
        number = next(iter(self._labels))
        label = self._labels.pop(number)
        numbers = self._by_event[label.id]
        numbers.remove(number)
        if not numbers:
            del self._by_event[label.id]
        return label

    def dump(self) -> object:
        return self._next, [(number, astuple(label)) for number, label in self._labels.items()]

    def load(self, told: object) -> None:
        """Take up what ``dump`` gave."""
        assert isinstance(told, tuple)
        self._next, labels = told
        self._labels = {number: IncomingLabel(*fields) for number, fields in labels}
        self._by_event = {}
        for number, label in self._labels.items():
            self._by_event.setdefault(label.id, []).append(number)
