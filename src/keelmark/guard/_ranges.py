"""Days between others: `Monday to Friday` holds Wednesday, `3-5 June 2024` the fourth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from keelmark.guard._dates import WEEKDAYS, Dated, When

_TO = r"(?:\s?[-–—]\s?|\s(?:to|through|thru|until|till|bis|t/m)\s)"
_ROMANCE = r"\s(?:à|au|al|a)\s"  # before `5 de junio`; in English `a` is no range
_NAME = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
_WEEKDAYS = re.compile(rf"\b({_NAME})s?\.?(?:{_TO}|{_ROMANCE})({_NAME})s?\b", re.IGNORECASE)
_LONGEST = 62  # days that a range is followed over
_GAP = re.compile(rf"{_TO}|{_ROMANCE}", re.IGNORECASE)
_FIRST = re.compile(
    r"(?P<between>\b(?:between|zwischen|entre)\s(?:the\s)?)?"
    r"(?<![\d.,/])(\d{1,2})(?:st|nd|rd|th|\.)?"
    rf"(?:{_TO}|{_ROMANCE}|\s(and|und|et|y|e)\s)\Z",
    re.IGNORECASE,
)
_LAST = re.compile(
    rf"{_TO}(\d{{1,2}})(?:st|nd|rd|th)?(?![\d.,:]\d|\d)(?:,?\s+(\d{{4}})\b)?", re.IGNORECASE
)
_SETS = (
    (re.compile(r"\b(?:week ?days?|working days?|werktags|wochentags)\b", re.IGNORECASE), range(5)),
    (re.compile(r"\b(?:weekends?|wochenenden?)\b", re.IGNORECASE), range(5, 7)),
    (
        re.compile(  # what is open so; `daily` alone is said of much
            r"\b(?:open|opens|opened|runs?|served|available|departs?|hours:?|geöffnet)\s"
            r"(?:\w+\s){0,2}(?:daily|every day|täglich|all week)\b",
            re.IGNORECASE,
        ),
        range(7),
    ),
)
_BEFORE = 24  # characters


def between(text: str, found: Sequence[Dated]) -> Iterator[Dated]:
    """Yield the days that a text means without naming them.

    Args:
        text: It.
        found: The dates that it names.
    """
    for days, which in _SETS:
        for said in days.finditer(text):
            yield Dated(tuple(When(weekday=day) for day in which), *said.span())
    for said in _WEEKDAYS.finditer(text):
        first, last = (WEEKDAYS[name.lower()] for name in said.groups())
        which = range(first, first + 1 + (last - first) % 7)
        yield Dated(tuple(When(weekday=day % 7) for day in which), *said.span())
    ordered = sorted(found, key=lambda one: one.start)
    for one, other in pairwise(ordered):
        if _GAP.fullmatch(text, one.end, other.start):
            yield from _all(one, other)
    for one in ordered:
        yield from _days_before(text, one)
        yield from _days_after(text, one)


def _all(first: Dated, last: Dated) -> Iterator[Dated]:
    one, other = first.readings[0], last.readings[0]
    if not isinstance(one, When) or not isinstance(other, When):
        return
    if one.day and one.month and other.day and other.month:
        since = one._replace(year=one.year or other.year)
        yield from _dates(since, other, (first.start, last.end))


def _days_before(text: str, one: Dated) -> Iterator[Dated]:
    """`3-` before `5 June`."""
    said = one.readings[0]
    named = isinstance(said, When) and said.day and said.month and text[one.start].isdigit()
    found = _FIRST.search(text, max(0, one.start - _BEFORE), one.start) if named else None
    if found and isinstance(said, When):
        first = said._replace(day=int(found[2]))
        alone = found[3] and not found["between"]
        yield from _dates(first, first if alone else said, (found.start(), one.end))


def _days_after(text: str, one: Dated) -> Iterator[Dated]:
    """`-5, 2024` behind `June 3`."""
    said = one.readings[0]
    named = isinstance(said, When) and said.day and said.month and not text[one.start].isdigit()
    found = _LAST.match(text, one.end) if named else None
    if found and isinstance(said, When):
        said = said._replace(year=int(found[2]) if found[2] else said.year)
        yield from _dates(said, said._replace(day=int(found[1])), (one.start, found.end()))


def _dates(first: When, last: When, span: tuple[int, int]) -> Iterator[Dated]:
    """All days from one to another, both among them; in a leap year where no year is said."""
    year = last.year or first.year
    try:
        day = date(first.year or year or 2000, first.month or 1, first.day or 1)
        end = date(year or 2000, last.month or 1, last.day or 1)
    except ValueError:
        return
    if not timedelta(0) <= end - day <= timedelta(_LONGEST):
        return
    while day <= end:
        yield Dated((When(day.year if year else None, day.month, day.day),), *span)
        day += timedelta(1)
