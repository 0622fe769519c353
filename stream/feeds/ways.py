"""How fraudsters go about it, before the change and after: two tables that fraud.py plays. Numbers only."""

from dataclasses import dataclass

KINDS = ("compromised_terminal", "stolen_card", "card_not_present")


@dataclass(slots=True, frozen=True)
class Way:
    """One kind of fraud, as it is done for a while."""

    incidents: float
    """New terminals or cards in the fraudsters' hands, a day and thousand customers."""
    days: tuple[int, int]
    """For how long, from the shortest to the longest."""
    payments_a_day: float
    """With each of them."""
    hour: float
    hour_spread: float
    """When: hours around an hour of the day."""
    within_hours: float
    """A card's payments of the day come within so many hours of one another; 0 where they are independent."""
    ratio: float
    ratio_spread: float
    """How much: the median in units of the card owner's usual amount, and the spread of its logarithm."""
    online: bool
    device_km: float
    """Online, how far from the owner's home the device seems to be (mean)."""
    categories: frozenset[str]
    """Where, unless the terminal is given."""
    at_terminal: bool = False


_GOODS = frozenset({"electronics", "clothing"})
_CODES = frozenset({"digital_goods", "gift_cards"})

BEFORE = (
    Way(0.4, (3, 9), 3.0, 2.5, 1.6, 0.0, 2.6, 0.45, online=False, device_km=0.0, categories=_GOODS, at_terminal=True),
    Way(1.0, (2, 6), 2.0, 2.0, 1.8, 0.0, 3.6, 0.45, online=False, device_km=0.0, categories=_GOODS),
    Way(1.1, (1, 1), 6.0, 1.0, 1.5, 3.0, 3.0, 0.50, online=True, device_km=140.0, categories=_GOODS | {"travel"}),
)
"""Large amounts, by night, far from home, mostly in shops."""

AFTER = (
    Way(0.4, (3, 9), 5.0, 13.5, 2.0, 0.0, 0.14, 0.45, online=True, device_km=2.0, categories=_CODES, at_terminal=True),
    Way(1.0, (2, 6), 4.0, 13.0, 2.5, 0.0, 0.16, 0.45, online=True, device_km=2.0, categories=_CODES),
    Way(1.0, (1, 1), 10.0, 12.0, 2.0, 8.0, 0.10, 0.40, online=True, device_km=2.0, categories=_CODES),
)
"""Many small amounts, by day, online, through devices that seem to stand at home."""
