"""Windows of time: every moment lies in one, in any zone, also where clocks are changed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.windows import NEVER, window_at

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana")
MOMENTS = st.integers(946684800, 4102444800)  # 2000 to 2100


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "zone", "moment", "begin", "end"),
    [
        ("hour", "Asia/Kolkata", "2026-11-22T12:34:56", "2026-11-22T12:00", "2026-11-22T13:00"),
        ("day", "UTC", "2026-11-22T23:59:59", "2026-11-22", "2026-11-23"),
        ("day", "Europe/Berlin", "2026-11-22T23:30", "2026-11-22T23:00", "2026-11-23T23:00"),
        ("week", "UTC", "2026-11-22T12:00", "2026-11-16", "2026-11-23"),
        ("month", "UTC", "2026-02-28T12:00", "2026-02-01", "2026-03-01"),
        ("month", "America/New_York", "2026-12-31T12:00", "2026-12-01T05:00", "2027-01-01T05:00"),
        # 23 hours, when clocks are put forward; 25, when back
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        # no midnight: the day begins when the clocks are put forward over it
        ("day", "Africa/Cairo", "2026-04-24T12:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        # midnight twice: the day begins with the first one
        ("day", "America/Havana", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
    ],
)
def test_windows_begin_and_end_as_the_calendar_says(window, zone, moment, begin, end):
    assert window_at(window, zone, at(moment)) == (at(begin), at(end))


def test_total_never_ends():
    assert window_at("total", "UTC", 1e9) == (0, NEVER)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(("hour", "day", "week", "month")), st.sampled_from(ZONES), MOMENTS)
def test_windows_tile_time(window, zone, moment):
    begin, end = window_at(window, zone, moment)
    assert begin <= moment < end
    assert window_at(window, zone, begin) == window_at(window, zone, end - 1) == (begin, end)
    assert window_at(window, zone, end)[0] == end
    assert window_at(window, zone, begin - 1)[1] == begin
