"""The world of the card feed and a day's payments in it, as columns: by the cards' owners, and by fraudsters.

NumPy all the way; the records and labels that come out of it are fraud.py's, the numbers of the fraudsters' ways.py's.
"""

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.feeds.ways import Way

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTES_SINCE_LAST_MAX = 7 * 24 * 60.0
"""A card that was not used for a week, or never, says this."""

PHYSICAL = ("groceries", "restaurants", "fuel", "clothing", "electronics", "pharmacy")
ONLINE = ("clothing", "electronics", "travel", "digital_goods", "gift_cards")
PRICE = {
    "groceries": 0.9, "restaurants": 0.8, "fuel": 1.1, "clothing": 1.3, "electronics": 2.6, "pharmacy": 0.5,
    "travel": 3.2, "digital_goods": 0.3, "gift_cards": 0.7,
}  # fmt: skip
"""What a genuine payment is worth by category, in units of the customer's usual amount."""

TOWN_TERMINALS = 20
WORLD_KM = 300.0
WEEK = (0.97, 0.97, 1.0, 1.0, 1.05, 1.08, 0.93)
"""Payments by weekday, Monday first, in units of the customer's rate."""


@dataclass(slots=True)
class World:
    """What stays: where customers and terminals are, and their habits. Terminals of a town stand side by side."""

    usual_amount: Floats
    payments_a_day: Floats
    rhythm_shift_h: Floats
    online_share: Floats
    customer_age_days: Floats
    home_km: Floats  # (customers, 2)
    town: Ints  # of each customer
    terminal_km: Floats  # (terminals, 2)
    terminal_age_days: Floats
    category: Ints  # of each terminal, index into the names of PRICE
    first_online: int
    town_first: Ints  # of each town, its first terminal; one more at the end
    newest: Ints  # a quarter of the physical terminals


@dataclass(slots=True)
class Payments:
    """Payments before their features: aligned columns."""

    time_ms: Ints  # since the day's beginning
    customer: Ints
    terminal: Ints
    amount: Floats
    distance_km: Floats
    kind: Ints  # -1 is genuine, else an index into KINDS
    report_ms: Ints  # how long after the payment its fraud is known; of genuine ones, after the days of confirming


@dataclass(slots=True, frozen=True)
class Incidents:
    """What is in the fraudsters' hands: aligned columns."""

    subject: Ints  # a terminal or a customer, as the way says
    until: Ints  # the first day on which it is over


@dataclass(slots=True, frozen=True)
class Recency:
    """Of each payment, what the card did before it: aligned columns."""

    minutes_since_last: Floats
    count_1h: Ints
    count_24h: Ints


_NONE = np.empty(0, np.int64)
NO_PAYMENTS = Payments(_NONE, _NONE, _NONE, np.empty(0), np.empty(0), _NONE, _NONE)
NO_INCIDENTS = Incidents(_NONE, _NONE)
NO_RECENCY = Recency(np.empty(0), _NONE, _NONE)


class Cards:
    """Remembers of each card when it was last used, and the payments of the day before."""

    def __init__(self, customers: int) -> None:
        self._last_ms = np.full(customers, -(10**15), np.int64)
        self._yesterday = (_NONE, _NONE)  # customers and times

    def recency(self, time_of_day_ms: Ints, customer: Ints, begin_ms: int) -> Recency:
        """For a day's payments, given once and in order."""
        # Customers follow one another on a line, four days each; two of them come before today, so no window reaches back
        # into another customer's days.
        span, origin = 4 * DAY_MS, begin_ms - 2 * DAY_MS
        time_ms = begin_ms + time_of_day_ms
        place = customer * span + time_ms - origin
        line = np.sort(np.concatenate([place, self._yesterday[0] * span + self._yesterday[1] - origin]))
        before = np.searchsorted(line, place)
        previous = line[np.maximum(before - 1, 0)]
        recent = (before > 0) & (previous // span == customer)
        last_ms = np.where(recent, previous - customer * span + origin, self._last_ms[customer])
        np.maximum.at(self._last_ms, customer, time_ms)
        self._yesterday = (customer, time_ms)
        return Recency(
            np.minimum((time_ms - last_ms) / 60_000, MINUTES_SINCE_LAST_MAX),
            before - np.searchsorted(line, place - HOUR_MS),
            before - np.searchsorted(line, place - DAY_MS),
        )


def build_world(rng: np.random.Generator, customers: int, terminals: int) -> World:
    """Lay out towns, people and shops."""
    first_online = terminals - max(terminals // 8, 2 * len(ONLINE))
    towns = max(first_online // TOWN_TERMINALS, 1)
    centre = rng.uniform(0, WORLD_KM, (towns, 2))
    town_of_terminal = np.sort(rng.integers(0, towns, first_online))
    # A town without a terminal would have nowhere to pay: the first terminals of all are one a town.
    town_of_terminal[:towns] = np.arange(towns)
    town_of_terminal.sort()
    town = rng.integers(0, towns, customers)
    names = tuple(PRICE)
    category = np.array(
        [names.index(PHYSICAL[i % len(PHYSICAL)]) for i in range(first_online)]
        + [names.index(ONLINE[i % len(ONLINE)]) for i in range(terminals - first_online)],
        np.int64,
    )
    terminal_km = rng.uniform(0, WORLD_KM, (terminals, 2))
    terminal_km[:first_online] = centre[town_of_terminal] + rng.normal(0, 3, (first_online, 2))
    age = np.minimum(rng.exponential(900, terminals), 5000)
    by_night = rng.random(customers) < 0.06
    return World(
        usual_amount=_cents(np.clip(rng.lognormal(3.5, 0.55, customers), 5, 400)),
        payments_a_day=np.clip(rng.gamma(4, 0.5, customers), 0.1, 8),
        rhythm_shift_h=rng.normal(0, 1, customers) + np.where(by_night, 9.0, 0.0),
        online_share=rng.beta(2, 6, customers),
        customer_age_days=rng.uniform(20, 4000, customers),
        home_km=centre[town] + rng.normal(0, 4, (customers, 2)),
        town=town,
        terminal_km=terminal_km,
        terminal_age_days=age,
        category=category,
        first_online=first_online,
        town_first=np.searchsorted(town_of_terminal, np.arange(towns + 1)).astype(np.int64),
        newest=np.argsort(age[:first_online], kind="stable")[: first_online // 4].astype(np.int64),
    )


def genuine(world: World, rng: np.random.Generator, weekday: int) -> Payments:
    """A day's payments by the cards' owners."""
    counts = rng.poisson(world.payments_a_day * WEEK[weekday])
    customer = np.repeat(np.arange(len(counts)), counts)
    size = len(customer)
    hour = np.where(rng.random(size) < 0.5, 12.5, 18.0) + rng.normal(0, 2.3, size) + world.rhythm_shift_h[customer]
    online = rng.random(size) < world.online_share[customer]
    journey = rng.random(size) < 0.05
    first, beyond = world.town_first[world.town[customer]], world.town_first[world.town[customer] + 1]
    terminal = np.where(
        online, rng.integers(world.first_online, len(world.category), size), rng.integers(first, beyond)
    )
    away = rng.integers(0, world.first_online, size)
    terminal = np.where(journey & ~online, away, terminal)
    price = np.array(list(PRICE.values()))[world.category[terminal]]
    amount = world.usual_amount[customer] * price * rng.lognormal(-0.15, 0.55, size)
    device_km = np.where(journey, rng.exponential(80, size), rng.exponential(2, size))
    return Payments(
        _time_of_day(hour),
        customer,
        terminal,
        _cents(amount),
        np.where(online, device_km, _distance(world, customer, terminal)),
        np.full(size, -1, np.int64),
        # Spread over a day, as reports of fraud are: else labels by night would be nearly all fraud, and the error of
        # any model would swing with the hour.
        rng.integers(0, DAY_MS, size),
    )


def incidents(world: World, rng: np.random.Generator, way: Way, active: Incidents, day: int) -> Incidents:
    """Those that are not over, and today's new ones."""
    new = rng.poisson(way.incidents * len(world.usual_amount) / 1000)
    if way.at_terminal:
        online = np.arange(world.first_online, len(world.category))
        chosen = rng.choice(online if way.online else world.newest, new)
    else:
        chosen = rng.integers(0, len(world.usual_amount), new)
    until = day + rng.integers(way.days[0], way.days[1] + 1, new)
    still = active.until > day
    return Incidents(
        np.concatenate([active.subject[still], chosen]),
        np.concatenate([active.until[still], until]),
    )


def frauds(world: World, rng: np.random.Generator, way: Way, kind: int, subjects: Ints) -> Payments:
    """A day's fraud of one kind, at the terminals or with the cards that are in the fraudsters' hands."""
    counts = rng.poisson(way.payments_a_day, len(subjects))
    hour = np.repeat(rng.normal(way.hour, way.hour_spread, len(subjects)), counts)
    size = len(hour)
    hour = hour + (rng.uniform(0, way.within_hours, size) if way.within_hours else rng.normal(0, way.hour_spread, size))
    wanted = np.isin(world.category, [index for index, name in enumerate(PRICE) if name in way.categories])
    shops = np.flatnonzero(wanted & ((np.arange(len(wanted)) >= world.first_online) == way.online))
    subject = np.repeat(subjects, counts)
    anyone = rng.integers(0, len(world.usual_amount), size)
    terminal = subject if way.at_terminal else rng.choice(shops, size)
    customer = anyone if way.at_terminal else subject
    amount = world.usual_amount[customer] * way.ratio * rng.lognormal(0, way.ratio_spread, size)
    device_km = rng.exponential(way.device_km, size)
    report = rng.uniform(0.5 * DAY_MS, 7 * DAY_MS, size).astype(np.int64)
    return Payments(
        _time_of_day(hour),
        customer,
        terminal,
        _cents(amount),
        device_km if way.online else _distance(world, customer, terminal),
        np.full(size, kind, np.int64),
        report,
    )


def in_order(parts: list[Payments]) -> Payments:
    """One set of payments, in order of time."""
    order = np.argsort(np.concatenate([part.time_ms for part in parts]), kind="stable")
    return Payments(
        *(np.concatenate([getattr(part, field.name) for part in parts])[order] for field in fields(Payments))
    )


def _distance(world: World, customer: Ints, terminal: Ints) -> Floats:
    offset = world.home_km[customer] - world.terminal_km[terminal]
    distance: Floats = np.sqrt((offset * offset).sum(axis=1))
    return distance


def _time_of_day(hour: Floats) -> Ints:
    return np.floor(hour * HOUR_MS).astype(np.int64) % DAY_MS


def _cents(amount: Floats) -> Floats:
    return np.maximum(np.round(amount, 2), 0.01)
