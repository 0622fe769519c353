"""Hour, weekday and night of a moment in a time zone: what a clock on the wall there says, as numbers.

Pure functions of a time and a zone's rules: a stage calls ``calendar_features`` for a batch, the transformer
``learners/transformers/calendar.py`` calls ``of_minute`` for a row, and both read one table of the 10,080 minutes of a
week, so they agree to the bit. The rules of zones come from the system's time zone database, else from ``tzdata``; they are
part of what answers depend on. No stage is here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from math import cos, pi, sin
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

CALENDAR: Final = (
    "hour", "weekday", "weekend", "night", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos",
)  # fmt: skip
"""What can be computed.

hour: 0 to 23. weekday: 0 (Monday) to 6. weekend: 1 on Saturday and Sunday, else 0. night: 1 in the hours of the night,
else 0. hour_sin, hour_cos: the time of day on a circle, midnight at (0, 1), to the minute. weekday_sin, weekday_cos: the
same of the time of the week, which begins on Monday at midnight.
"""

NIGHT: Final = (22, 6)
"""Hours: from the first, and before the second."""

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MINUTES: Final = 1440
_WEEK_MINUTES: Final = 7 * _DAY_MINUTES
_EPOCH_MINUTES: Final = 3 * _DAY_MINUTES  # 1970 began on a Thursday
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Beyond these years' rules nobody's clock is known: a day inside what datetime can hold.
_HOUR_FIRST: Final = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // timedelta(hours=1)
_HOUR_LAST: Final = (datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH) // timedelta(hours=1)


def check_calendar(zone: str, compute: Sequence[str], night: tuple[int, int] = NIGHT) -> None:
    """Whether these can be computed.

    Raises
    ------
    ValueError
        An unknown zone or feature, one named twice, or a night that is none.
    """
    zone_of(zone)
    for name in compute:
        if name not in CALENDAR:
            raise ValueError(f"no calendar feature {name!r}; there are {', '.join(CALENDAR)}")
    if not compute or len(set(compute)) != len(compute):
        raise ValueError(f"calendar features are named once each, got {', '.join(compute) or 'none'}")
    if len(night) != 2 or not all(type(hour) is int and 0 <= hour <= 24 for hour in night) or night[0] == night[1]:
        raise ValueError(
            f"a night is two different hours from 0 to 24, its first and the one after its last: {night!r}"
        )


def calendar_features(
    times_ms: NDArray[np.int64], zone: str, compute: Sequence[str], night: tuple[int, int] = NIGHT
) -> NDArray[np.float64]:
    """What the calendar of a zone says at these times.

    Parameters
    ----------
    times_ms : NDArray[np.int64]
        ``(n,)``, milliseconds since 1970 in UTC.
    zone : str
        Such as ``Europe/Amsterdam``.
    compute : sequence of str
        Names out of ``CALENDAR``.
    night : tuple of int
        The hour with which the night begins and the hour with which it is over, each 0 to 24, local; it may span midnight.

    Returns
    -------
    NDArray[np.float64]
        ``(n, len(compute))``, in the order of ``compute``.

    Raises
    ------
    ValueError
        See ``check_calendar``.

    Examples
    --------
    >>> calendar_features(np.array([1_750_000_000_000]), "Europe/Amsterdam", ["hour", "weekday", "night"])
    array([[17.,  6.,  0.]])
    """
    check_calendar(zone, compute, night)
    return _table(tuple(compute), (night[0], night[1]))[local_minutes(times_ms, zone)]


def local_minutes(times_ms: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """The minute of the local week, 0 to 10,079 from Monday's midnight on, ``(n,)``. The zone is asked once an hour."""
    hours, places = np.unique(times_ms // _HOUR_MS, return_inverse=True)
    offsets = [_offset_of_hour(zone, hour) for hour in hours.tolist()]
    local_ms = times_ms + np.array([0 if offset is None else offset for offset in offsets], np.int64)[places]
    if None in offsets:  # the clock is changed within the hour
        moved = np.array([offset is None for offset in offsets])[places]
        local_ms[moved] += [_offset_ms(zone, time_ms) for time_ms in times_ms[moved].tolist()]
    minutes: NDArray[np.int64] = (local_ms // _MINUTE_MS + _EPOCH_MINUTES) % _WEEK_MINUTES
    return minutes


def local_minute(time_ms: int, zone: str) -> int:
    """The same of one time."""
    offset = _offset_of_hour(zone, time_ms // _HOUR_MS)
    if offset is None:
        offset = _offset_ms(zone, time_ms)
    return ((time_ms + offset) // _MINUTE_MS + _EPOCH_MINUTES) % _WEEK_MINUTES


def of_minute(minute: int, compute: tuple[str, ...], night: tuple[int, int]) -> list[float]:
    """The features of a minute of the local week, in the order of ``compute``. Names and night have been checked."""
    values: list[float] = _table(compute, night)[minute].tolist()
    return values


def zone_of(name: str) -> tzinfo:
    """The rules of a zone. Raises ValueError when there is none of that name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone; write a name such as UTC or Europe/Paris") from error


@lru_cache(maxsize=32_768)
def _offset_of_hour(zone: str, hour: int) -> int | None:
    """Milliseconds by which local time is ahead throughout an hour of UTC; None when that changes within it."""
    if zone == "UTC":
        return 0
    first = _offset_ms(zone, hour * _HOUR_MS)
    return first if first == _offset_ms(zone, (hour + 1) * _HOUR_MS - 1) else None


def _offset_ms(zone: str, time_ms: int) -> int:
    inside = min(max(time_ms, _HOUR_FIRST * _HOUR_MS), _HOUR_LAST * _HOUR_MS)
    offset = (_EPOCH + inside * _MILLISECOND).astimezone(zone_of(zone)).utcoffset()
    return 0 if offset is None else offset // _MILLISECOND


@lru_cache(maxsize=32)
def _table(compute: tuple[str, ...], night: tuple[int, int]) -> NDArray[np.float64]:
    """``(10,080, len(compute))``: the features of each minute of a week. With math's sine: NumPy's has several by processor."""
    table = np.array([[_feature(name, minute, night) for name in compute] for minute in range(_WEEK_MINUTES)])
    table.setflags(write=False)
    return table


def _feature(name: str, minute: int, night: tuple[int, int]) -> float:
    weekday, of_day = divmod(minute, _DAY_MINUTES)
    hour = of_day // 60
    first, end = night
    match name:
        case "hour":
            return float(hour)
        case "weekday":
            return float(weekday)
        case "weekend":
            return 1.0 if weekday >= 5 else 0.0
        case "night":
            return 1.0 if (first <= hour < end if first < end else hour >= first or hour < end) else 0.0
        case "hour_sin":
            return sin(2.0 * pi * of_day / _DAY_MINUTES)
        case "hour_cos":
            return cos(2.0 * pi * of_day / _DAY_MINUTES)
        case "weekday_sin":
            return sin(2.0 * pi * minute / _WEEK_MINUTES)
        case _:
            return cos(2.0 * pi * minute / _WEEK_MINUTES)
