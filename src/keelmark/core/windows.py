"""Windows of time: hours, days, weeks and months as a calendar has them, in a time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Window = Literal["hour", "day", "week", "month", "total"]

NEVER = 253402300800  # the year 10000: the end of a window that has none


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def window_at(window: Window, zone: str, moment: float) -> tuple[int, int]:
    """Return begin and end of the window that a moment lies in, Unix times in whole seconds.

    Days begin at midnight of the zone, or where the clocks are put forward over it, then; so a
    day has 23 or 25 hours where they are changed. Hours begin with UTC's.

    Args:
        window: Kind of window.
        zone: Time zone.
        moment: Unix time, seconds.
    """
    return _window(window, zone, int(moment // 1))


@lru_cache(maxsize=256)  # every request of a second asks for the same
def _window(window: Window, zone: str, second: int) -> tuple[int, int]:
    if window == "total":
        return 0, NEVER
    if window == "hour":
        begin = second // 3600 * 3600
        return begin, begin + 3600
    there = _zone(zone)
    local = datetime.fromtimestamp(second, there)
    day = datetime(local.year, local.month, local.day)  # noqa: DTZ001 (a day of the calendar)
    if window == "day":
        after = day + timedelta(days=1)
    elif window == "week":
        day -= timedelta(days=day.weekday())
        after = day + timedelta(days=7)
    else:
        day = day.replace(day=1)
        after = (day + timedelta(days=31)).replace(day=1)
    return _midnight(day, there), _midnight(after, there)


def _midnight(day: datetime, zone: ZoneInfo) -> int:
    """Where midnight comes twice, the first one; where it is left out, when the clocks change."""
    return int(day.replace(tzinfo=zone).timestamp())
