"""Hour, weekday and night of a time in the row. Of the event's own time a stage of ``features:`` does the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, Literal, get_args

from river import base

from learners.features.calendar import NIGHT, check_calendar, local_minute, of_minute, zone_of
from learners.transformers.columns import Features, is_missing, listed, without

Unit = Literal["ms", "s"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME_MS_MAX: Final = 1e15
"""Some 31,000 years: no time, but another number."""


class Calendar(base.Transformer):
    """What a clock on the wall of a zone says at a time that is a feature. Learns nothing.

    Parameters
    ----------
    of : str
        A number of milliseconds (or seconds) since 1970 in UTC, a ``datetime``, or a text in ISO 8601. A ``datetime`` or text
        without an offset is local time of ``zone``. The columns are named ``<of>_<what>``; they are missing where the feature
        is missing, or no time.
    zone : str
        Such as ``Europe/Amsterdam``.
    compute : sequence of str
        Of ``hour`` (0 to 23), ``weekday`` (0 is Monday), ``weekend`` (Saturday and Sunday), ``night``, ``hour_sin``,
        ``hour_cos`` (the time of day on a circle), ``weekday_sin``, ``weekday_cos`` (the time of the week); see
        ``learners.features.calendar.CALENDAR``.
    night : sequence of int
        The hour with which the night begins and the hour with which it is over, 0 to 24; it may span midnight.
    unit : {"ms", "s"}
        Of a number.
    keep : bool
        Whether the time itself stays: a number that only grows is of no use to most learners.

    Raises
    ------
    ValueError
        An unknown zone, feature or unit, or hours that are no night.

    Examples
    --------
    >>> opened = Calendar(of="opened", zone="Europe/Amsterdam", compute=["hour", "night"])
    >>> opened.transform_one({"opened": 1_750_000_000_000.0, "amount": 9.5})
    {'amount': 9.5, 'opened_hour': 17.0, 'opened_night': 0.0}
    >>> opened.transform_one({"opened": "2026-03-01T23:15:00", "amount": 9.5})
    {'amount': 9.5, 'opened_hour': 23.0, 'opened_night': 1.0}
    """

    def __init__(
        self,
        of: str,
        zone: str = "UTC",
        compute: Sequence[str] = ("hour", "weekday", "night"),
        night: Sequence[int] = NIGHT,
        unit: Unit = "ms",
        keep: bool = False,
    ) -> None:
        names = listed(compute, "compute")
        check_calendar(zone, names, tuple(night))  # type: ignore[arg-type] # its length is checked there
        if unit not in get_args(Unit):
            raise ValueError(f"`unit` is one of {', '.join(get_args(Unit))}, got {unit!r}")
        listed(of if isinstance(of, str) else "", "of")
        self.of = of
        self.zone = zone
        self.compute = compute
        self.night = night
        self.unit = unit
        self.keep = keep
        self._compute = names
        self._night = (night[0], night[1])
        self._columns = tuple(f"{of}_{name}" for name in names)

    def transform_one(self, x: Features) -> Features:
        row = dict(x) if self.keep else without(x, (self.of,))
        value = x.get(self.of)
        if not is_missing(value) and (time_ms := self._time_ms(value)) is not None:
            minute = local_minute(time_ms, self.zone)
            row.update(zip(self._columns, of_minute(minute, self._compute, self._night), strict=True))
        return row

    def _time_ms(self, value: Any) -> int | None:
        """Milliseconds since 1970 in UTC; None when the value is no time."""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=zone_of(self.zone))
            return (aware - _EPOCH) // _MILLISECOND
        number = float(value) * (1000.0 if self.unit == "s" else 1.0)
        return int(number // 1.0) if isfinite(number) and abs(number) <= _TIME_MS_MAX else None
