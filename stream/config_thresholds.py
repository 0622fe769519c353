"""``predictions: {threshold: …}``: a number, what mistakes cost, or how many alerts there may be. Models only.

What is done with an alert budget is pipeline/budget.py's. Read config_sections.py next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stream.config_values import UNITS_MS, Duration, Section, wrong

_RATE = re.compile(r"(\d+(?:_\d+)*)\s+per\s+(\S+)")
_UNITS: Final = {"minute": "m", "hour": "h", "day": "d", "week": "w"}
_COUNT_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class AlertRate:
    """How many in which time: ``100 per day``, ``20 per hour``, ``5 per 30m``.

    Examples
    --------
    >>> AlertRate.parse("1_000 per week")
    AlertRate(count=1000, period_ms=604800000)
    >>> str(AlertRate.parse("100 per 1d"))
    '100 per day'
    """

    count: int
    period_ms: int

    @classmethod
    def parse(cls, value: object) -> "AlertRate":
        """From what people write. Raises PydanticCustomError (a ValueError)."""
        if isinstance(value, AlertRate):
            return value
        found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        try:
            period_ms = Duration.parse(f"1{_UNITS[found[2]]}" if found[2] in _UNITS else found[2]).ms if found else 0
        except PydanticCustomError:
            period_ms = 0
        if not found or not period_ms:
            raise wrong(f"expected a number of alerts such as `100 per day` or `20 per hour`, got {value!r}")
        if not 1 <= int(found[1]) <= _COUNT_MAX:
            raise wrong(f"a number of alerts is from 1 to {_COUNT_MAX:_}, got {found[1]}")
        return cls(int(found[1]), period_ms)

    def __str__(self) -> str:
        units = (unit for unit, short in _UNITS.items() if UNITS_MS[short] == self.period_ms)
        return f"{self.count:_} per {next(units, Duration(self.period_ms))}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


Price: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Score: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class Cost(Section):
    """What a wrong prediction costs; only the ratio counts."""

    false_positive: Price = Field(description="Of an alert for nothing.")
    false_negative: Price = Field(description="Of a positive that was missed.")


class CostThreshold(Section):
    """Positive where an alert costs less than silence. The scores must be calibrated probabilities: see concepts.md."""

    cost: Cost = Field(description="The threshold is false_positive / (false_positive + false_negative).")

    @property
    def value(self) -> float:
        """The probability p at which an alert is expected to cost as much, (1 - p) fp, as silence, p fn.

        Elkan, The foundations of cost-sensitive learning (IJCAI 2001), equation 2, where right answers cost nothing.
        """
        return self.cost.false_positive / (self.cost.false_positive + self.cost.false_negative)


class AlertThreshold(Section):
    """The threshold follows the scores, and each prediction tells it. Each task has this budget: see concepts.md."""

    alerts: AlertRate = Field(description="About how many, and in which stream time: `100 per day`, `20 per hour`.")
    per: Literal["event", "key"] = Field(
        default="event", description="`key`: several alerts of one key (a card) in a period count once."
    )
    at_first: Score = Field(default=0.5, description="The threshold until the first full period is over.")
    median_of: Annotated[int, Field(ge=1, le=31)] = Field(
        default=3, description="How many of the last full periods say what the threshold is: their median."
    )
    most: Annotated[int, Field(ge=1, le=_COUNT_MAX)] | None = Field(
        default=None,
        description="After so many in a period none is positive, whatever comes. None: there is no such end.",
    )

    @model_validator(mode="after")
    def _check(self) -> "AlertThreshold":
        if self.most is not None and self.most < self.alerts.count:
            raise wrong(f"`most` ({self.most}) must not be less than `alerts` ({self.alerts})")
        return self


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "cost" if "cost" in value else "alerts"
    return "cost" if isinstance(value, CostThreshold) else "alerts" if isinstance(value, AlertThreshold) else "number"


Threshold: TypeAlias = Annotated[
    Annotated[Score, Tag("number")] | Annotated[CostThreshold, Tag("cost")] | Annotated[AlertThreshold, Tag("alerts")],
    Discriminator(_kind),
]
