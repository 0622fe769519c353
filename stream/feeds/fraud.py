"""A made-up card feed: customers, terminals, fraud of three kinds, late labels, and a change of the fraudsters' ways.

Customers live in towns, pay near home with a rhythm over day and week, sometimes online, sometimes on a journey.
Fraud comes from compromised terminals, stolen cards and bursts of card-not-present payments. Until the change
fraudsters take large amounts at night, far from home; after it, many small ones by day and online: what a
model learned of the first half is wrong in the second. ``ways.py`` holds both tables.

Beside ids and amounts an event has what a producer knows without windows. One field is a trap, as in life: ``weekend``. Labels
that come at the weekend are genuine ones of the weekend before and frauds of all days, so a model that learns as labels
come takes weekends for safe, and unlearns it every Monday.

Not a model of a real bank, and not a copy of a public data set. Everything follows from the seed, a day at a time:
a feed of any length needs the memory of a day and of the labels that are still to come. Read payments.py next; the
command line around this is cli/simulate.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.feeds.payments import (
    DAY_MS,
    NO_INCIDENTS,
    NO_PAYMENTS,
    NO_RECENCY,
    PRICE,
    Cards,
    Ints,
    Payments,
    Recency,
    build_world,
    frauds,
    genuine,
    in_order,
    incidents,
)
from stream.feeds.ways import AFTER, BEFORE, KINDS

Value: TypeAlias = str | float | bool
Record: TypeAlias = dict[str, Value]


@dataclass(slots=True, frozen=True)
class Truth:
    """What a model is not told."""

    seed: int
    days: int
    customers: int
    terminals: int
    events: int
    start: str
    """Time of the first day's beginning."""
    change: dict[str, str | int] | None
    """``time`` of the change, and ``event``: how many events come before it. None when there is no change in the feed."""
    frauds: dict[str, dict[str, int]]
    """Counts by ``before`` and ``after`` the change, and by kind."""


@dataclass(slots=True)
class _Labels:
    """Labels still to come: aligned columns."""

    due_ms: Ints
    event: Ints
    customer: Ints
    fraud: NDArray[np.bool_]

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "_Labels":
        return _Labels(self.due_ms[chosen], self.event[chosen], self.customer[chosen], self.fraud[chosen])

    def and_(self, other: "_Labels") -> "_Labels":
        return _Labels(
            np.concatenate([self.due_ms, other.due_ms]),
            np.concatenate([self.event, other.event]),
            np.concatenate([self.customer, other.customer]),
            np.concatenate([self.fraud, other.fraud]),
        )

    def ordered(self) -> "_Labels":
        return self.take(np.lexsort((self.event, self.due_ms)))


@dataclass(slots=True)
class _Day:
    """One day, in order of time: the columns of its events, and the labels that become due on it."""

    number: int
    first: int  # number of the first event
    begin_ms: int  # since 1970; the payments' times count from here
    payments: Payments
    recency: Recency
    labels: _Labels


class FraudFeed:
    """A feed of card payments and their labels, the same bytes for the same arguments.

    Parameters
    ----------
    days, seed
        How long, and which one.
    customers, terminals
        How many. Customers pay about twice a day each; there is a terminal for five customers when not given (at least 100).
    change_at
        Which part of the days passes before the fraudsters change their ways, in 0..1; moved to the nearest midnight.
    positives_only
        Whether genuine payments are never confirmed: then silence is the label.
    confirm_days
        When a genuine payment is confirmed: so many days after it, at some time of the day that follows.
    start
        The first day.

    Examples
    --------
    >>> feed = FraudFeed(days=2, seed=1, customers=100)
    >>> event = next(feed.events())
    >>> event["id"], event["time"][:10]
    ('t00000000', '2025-01-06')
    >>> feed.truth.change["time"]
    '2025-01-07T00:00:00.000Z'
    """

    def __init__(
        self,
        days: int,
        seed: int,
        *,
        customers: int = 3000,
        terminals: int | None = None,
        change_at: float = 0.5,
        positives_only: bool = False,
        confirm_days: float = 7.0,
        start: str = "2025-01-06",
    ) -> None:
        terminals = max(customers // 5, 100) if terminals is None else terminals
        for name, value, least in (("days", days, 1), ("customers", customers, 10), ("terminals", terminals, 100)):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        if seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {seed}")
        if not 0 <= change_at <= 1:
            raise ValueError(f"change_at: expected a fraction between 0 and 1, got {change_at}")
        if confirm_days <= 0:
            raise ValueError(f"confirm_days: expected more than 0, got {confirm_days}")
        self.days, self.seed, self.customers, self.terminals = days, seed, customers, terminals
        self.change_day = round(days * change_at)
        self._confirm_ms = None if positives_only else int(confirm_days * DAY_MS)
        self._start_ms = int(np.datetime64(start, "ms").astype(np.int64))
        self._world = build_world(np.random.default_rng([seed, 0]), customers, terminals)
        self._customer_names = [f"c{number:05d}" for number in range(customers)]
        self._terminal_names = [f"m{number:05d}" for number in range(terminals)]
        self._truth: Truth | None = None

    def events(self) -> Iterator[Record]:
        """The events, in order of time."""
        for day in self._days():
            yield from self._event_records(day)

    def labels(self) -> Iterator[Record]:
        """The labels in the order in which they become known; the last ones after the last event."""
        for day in self._days():
            yield from self._label_records(day.labels)

    def records(self) -> Iterator[tuple[Literal["event", "label"], Record]]:
        """Both, as they happen: a label that becomes known at the very time of an event comes first."""
        for day in self._days():
            events, labels = self._event_records(day), self._label_records(day.labels)
            due = np.searchsorted(
                day.labels.due_ms, day.begin_ms + day.payments.time_ms, side="right"
            )  # labels before each event
            done = 0
            for event, count in zip(events, due.tolist(), strict=True):
                while done < count:
                    yield "label", next(labels)
                    done += 1
                yield "event", event
            for label in labels:
                yield "label", label

    @property
    def truth(self) -> Truth:
        """Where the change is, and what is fraud. Known after a whole pass; makes one when there was none."""
        if self._truth is None:
            for _ in self._days():
                pass
        assert self._truth is not None
        return self._truth

    def _days(self) -> Iterator[_Day]:
        """Every day, then one without events that holds the labels left over."""
        world, count, changed_at = self._world, 0, 0
        tally = np.zeros((2, len(KINDS)), np.int64)
        active = [NO_INCIDENTS] * len(KINDS)
        cards = Cards(self.customers)
        waiting = _labels_of(self._start_ms, 0, NO_PAYMENTS, None)
        for number in range(self.days):
            if number == self.change_day:
                changed_at, active = count, [NO_INCIDENTS] * len(KINDS)
            changed = number >= self.change_day
            rng = np.random.default_rng([self.seed, 1, number])
            begin_ms = self._start_ms + number * DAY_MS
            parts = [genuine(world, rng, _weekday(begin_ms))]
            for kind, way in enumerate(AFTER if changed else BEFORE):
                active[kind] = incidents(world, rng, way, active[kind], number)
                parts.append(frauds(world, rng, way, kind, active[kind].subject))
            payments = in_order(parts)
            waiting = waiting.and_(_labels_of(begin_ms, count, payments, self._confirm_ms))
            due = waiting.due_ms < begin_ms + DAY_MS
            recency = cards.recency(payments.time_ms, payments.customer, begin_ms)
            yield _Day(number, count, begin_ms, payments, recency, waiting.take(due).ordered())
            waiting = waiting.take(~due)
            count += len(payments.kind)
            tally[int(changed)] += np.bincount(payments.kind + 1, minlength=len(KINDS) + 1)[1:]
        self._truth = self._tell(count, changed_at, tally)
        begin_ms = self._start_ms + self.days * DAY_MS
        yield _Day(self.days, count, begin_ms, NO_PAYMENTS, NO_RECENCY, waiting.ordered())

    def _tell(self, count: int, changed_at: int, tally: Ints) -> Truth:
        change: dict[str, str | int] | None = None
        if self.change_day < self.days:
            change = {"time": _iso(np.array([self._start_ms + self.change_day * DAY_MS]))[0], "event": changed_at}
        counts = {
            half: dict(zip(KINDS, row, strict=True))
            for half, row in zip(("before", "after"), tally.tolist(), strict=True)
        }
        start = _iso(np.array([self._start_ms]))[0]
        return Truth(self.seed, self.days, self.customers, self.terminals, count, start, change, counts)

    def _event_records(self, day: _Day) -> Iterator[Record]:
        """Columns to dicts; rounded as a producer would, which also hides the last bit of a CPU's sine."""
        world, payments = self._world, day.payments
        customer, terminal = payments.customer, payments.terminal
        angle = payments.time_ms * (2 * np.pi / DAY_MS)
        categories = tuple(PRICE)
        columns: dict[str, Sequence[Value]] = {
            "id": [f"t{number:08d}" for number in range(day.first, day.first + len(customer))],
            "customer": [self._customer_names[i] for i in customer.tolist()],
            "terminal": [self._terminal_names[i] for i in terminal.tolist()],
            "time": _iso(day.begin_ms + payments.time_ms),
            "amount": payments.amount.tolist(),
            "amount_ratio": np.round(payments.amount / world.usual_amount[customer], 3).tolist(),
            "hour_sin": np.round(np.sin(angle), 4).tolist(),
            "hour_cos": np.round(np.cos(angle), 4).tolist(),
            "weekend": [_weekday(day.begin_ms) >= 5] * len(customer),
            "distance_km": np.round(payments.distance_km, 2).tolist(),
            "online": (terminal >= world.first_online).tolist(),
            "merchant_category": [categories[i] for i in world.category[terminal].tolist()],
            "terminal_age_days": np.floor(world.terminal_age_days[terminal] + day.number).tolist(),
            "customer_age_days": np.floor(world.customer_age_days[customer] + day.number).tolist(),
            "minutes_since_last": np.round(day.recency.minutes_since_last, 2).tolist(),
            "count_1h": day.recency.count_1h.tolist(),
            "count_24h": day.recency.count_24h.tolist(),
        }
        names = tuple(columns)
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(names, row, strict=True))

    def _label_records(self, labels: _Labels) -> Iterator[Record]:
        columns = zip(
            labels.event.tolist(), labels.customer.tolist(), _iso(labels.due_ms), labels.fraud.tolist(), strict=True
        )
        for number, customer, time, fraud in columns:
            yield {"id": f"t{number:08d}", "customer": self._customer_names[customer], "time": time, "fraud": fraud}


def _labels_of(begin_ms: int, first: int, payments: Payments, confirm_ms: int | None) -> _Labels:
    """When each payment's label is known; without ``confirm_ms`` only that of fraud ever is."""
    fraud = payments.kind >= 0
    after = payments.report_ms if confirm_ms is None else payments.report_ms + np.where(fraud, 0, confirm_ms)
    labels = _Labels(
        begin_ms + payments.time_ms + after, first + np.arange(len(fraud), dtype=np.int64), payments.customer, fraud
    )
    return labels.take(fraud) if confirm_ms is None else labels


def _weekday(time_ms: int) -> int:
    """Monday is 0; 1970 began on a Thursday."""
    return (time_ms // DAY_MS + 3) % 7


def _iso(time_ms: Ints) -> list[str]:
    text: list[str] = np.datetime_as_string(time_ms.astype("datetime64[ms]"), unit="ms", timezone="UTC").tolist()
    return text
