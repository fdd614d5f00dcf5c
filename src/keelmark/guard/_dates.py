"""Dates and times of day in texts, also those of which only a part is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import NamedTuple

_MONTH_NAMES = (
    "january janvier januar enero gennaio janeiro januari jan",
    "february février februar febrero febbraio fevereiro februari feb",
    "march mars märz marzo março maart mar",
    "april avril abril aprile apr",
    "may mai mayo maggio maio mei",
    "june juin juni junio giugno junho jun",
    "july juillet juli julio luglio julho jul",
    "august août agosto augustus aug",
    "september septembre septiembre settembre setembro sep sept",
    "october octobre oktober octubre ottobre outubro oct okt",
    "november novembre noviembre novembro nov",
    "december décembre dezember diciembre dicembre dezembro dec dez",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon montag lundi lunes lunedì",
            "tuesday tue tues dienstag mardi martes martedì",
            "wednesday wed mittwoch mercredi miércoles mercoledì",
            "thursday thu thurs donnerstag jeudi jueves giovedì",
            "friday fri freitag vendredi viernes venerdì",
            "saturday samstag sonnabend samedi sábado sabato",
            "sunday sonntag dimanche domingo domenica",
        )
    )
    for name in names.split()
}
"""Names of days of the week, in small letters, to 0 for Monday and on."""
NAMES = frozenset(name for name in (*_MONTHS, *WEEKDAYS) if len(name) > 3)
"""Names of months and days, in small letters."""
_NAMED = _MONTHS.keys() | WEEKDAYS.keys()
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_SHORT = "|".join(name for name in _MONTHS if len(name) == 3)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?"
_DAY_ALONE = r"(?P<day>\d{1,2})"
_YEAR = r"(?P<year>\d{4})"
_ANY_YEAR = r"(?P<year>\d{4}|\d\d)"
_NO_COUNT = r"(?![\d:%]|[.,]\d|[ -]?(?-i:[a-z]))"  # `15 May 19 people` has no year
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)",
        rf"\b{_YEAR}\s?[年년]\s?(?:(?P<month>\d{{1,2}})\s?[月월]\s?(?:(?P<day>\d{{1,2}})\s?[日일号])?)?",
        r"\b(?P<month>\d{1,2})\s?[月월]\s?(?P<day>\d{1,2})\s?[日일号]",
        r"(?<![\d.,/])(?P<one>\d{1,2})(?P<mark>[/.-])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4}|\d\d)(?![\d/]|[.-]\d)",
    )
)
_NAMED_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b{_DAY_ALONE}(?P<mark>[ -])(?P<name>{_SHORT})(?P=mark)['’]?{_ANY_YEAR}{_NO_COUNT}",
        rf"\b{_DAY}\s+(?:of\s+|de\s+)?(?P<name>{_MONTH})\b\.?(?:,?\s+(?:de\s+|del\s+)?{_YEAR}\b)?",
        rf"\b(?P<name>{_MONTH})\b\.?\s+(?:the\s+)?{_DAY}(?![\d.,]\d|\d)(?:,?\s+(?:of\s+)?{_YEAR}\b)?",
        rf"\b(?P<name>{_MONTH})\b\.?,?\s+(?:of\s+|de\s+)?{_YEAR}\b",
    )
)
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_BEFORE, _AFTER = 16, 24  # characters around the name of a month in which the rest of a date is
_NEWEST = 30  # decades of two digits up to which are also of this century
_BARE = 4  # letters up to which a name that stands alone says nothing: `may`, `sun`
_TIMES = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?:[:h](?P<minute>[0-5]\d)(?::[0-5]\d)?)?\s?(?P<half>[ap]\.?\s?m\b\.?)"
    r"|(?<![\d:.])(?P<hours>[01]?\d|2[0-4])(?::|(?<=\d)h(?=\d))(?P<minutes>[0-5]\d)(?::[0-5]\d)?"
    r"(?![\d:])"
    r"|(?<![\d:.])(?P<clock>[01]?\d|2[0-4])(?:[:.](?P<past>[0-5]\d))?\s?Uhr\b",
    re.IGNORECASE,
)


_NOON = re.compile(r"\b(?:noon|midday|midnight|mittags|mitternacht|minuit)\b", re.IGNORECASE)
_NOON_AT = {"noon": (720,), "midd": (720,), "mitt": (720,)} | dict.fromkeys(
    ("midn", "mitn", "minu"), (0, 1440)
)
_YEARS = re.compile(
    r"(?<![\d.,])(?:(?P<decade>[12]\d\d0)['’]?s\b|['’](?P<short>\d0)s\b"
    r"|(?P<century>\d{1,2})(?:st|nd|rd|th)[ -]century\b"
    r"|(?P<siecle>\d{1,2})[eè](?:me)? siècle\b|(?P<jahrhundert>\d{1,2})\. Jahrhunderts?\b)"
    r"(?!\s(?:bce?|b\.c)\b)",
    re.IGNORECASE,
)


class When(NamedTuple):
    """A date of which some is said; None for what is not.

    Attributes:
        year: The year.
        month: The month, 1 to 12.
        day: The day of the month.
        weekday: The day of the week, 0 for Monday.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None


class Years(NamedTuple):
    """A decade or a century: its first and its last year."""

    first: int
    last: int


class Dated(NamedTuple):
    """A date, a decade, a century or a time of day in a text.

    Attributes:
        readings: What it can be; `3/4/2020` is two dates, `3:30` two times in minutes, `1900s` a
            decade or a century.
        start: Where it begins.
        end: Where it ends.
    """

    readings: tuple[When | Years | int, ...]
    start: int
    end: int


def dated(text: str) -> list[Dated]:
    """Return the dates and times of a text, without years that stand alone."""
    found: list[Dated] = []
    closed = bytearray(len(text))
    for one in _all(text):
        if one.readings and not any(closed[one.start : one.end]):
            closed[one.start : one.end] = b"\1" * (one.end - one.start)
            found.append(one)
    return found


def _all(text: str) -> Iterator[Dated]:
    for form in _FORMS:
        for found in form.finditer(text):
            yield Dated(tuple(_readings(found.groupdict())), *found.span())
    named = [one for one in _LETTERS.finditer(text) if _known_name(one[0]) in _NAMED]
    for form in _NAMED_FORMS:
        for one in named:
            for found in form.finditer(text, max(0, one.start() - _BEFORE), one.end() + _AFTER):
                yield Dated(tuple(_readings(found.groupdict())), *found.span())
    for pattern, reading in _PLAIN:
        for found in pattern.finditer(text):
            yield Dated(tuple(reading(found)), *found.span())
    for one in named:
        name = _known_name(one[0])
        if len(name) > _BARE and not (name in _MONTHS and one[0][0].islower()):  # `march`: a verb
            yield Dated((When(month=_MONTHS.get(name), weekday=WEEKDAYS.get(name)),), *one.span())


def _known_name(word: str) -> str:
    """A word as the name of a month or a day is written: `Mondays`, `lunes`."""
    name = word.lower()
    return name if name in _NAMED else name.removesuffix("s")


def _readings(said: dict[str, str | None]) -> Iterator[When]:
    year, month, day = (_number(said.get(name)) for name in ("year", "month", "day"))
    if year is not None and year < 100:
        year += 2000 if year < 50 else 1900
    one, two = _number(said.get("one")), _number(said.get("two"))
    if one is not None and two is not None:
        for first, second in {(one, two), (two, one)}:
            if _exists(year, second, first):
                yield When(year, second, first)
        return
    if name := said.get("name"):
        month = _MONTHS[name.lower()]
    if _exists(year, month, day):
        yield When(year, month, day)


def _years(found: re.Match[str]) -> Iterator[Years]:
    if found["short"]:
        short = int(found["short"])
        firsts = (1900 + short, 2000 + short) if short <= _NEWEST else (1900 + short,)
        yield from (Years(first, first + 9) for first in firsts)
    elif found["decade"]:
        first = int(found["decade"])
        yield Years(first, first + 9)
        if not first % 100:
            yield Years(first, first + 99)
    else:
        last = 100 * int(found["century"] or found["siecle"] or found["jahrhundert"])
        yield Years(last - 99, last)


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None


def _exists(year: int | None, month: int | None, day: int | None) -> bool:
    try:
        date(year or 2000, month or 1, day or 1)
    except ValueError:
        return False
    return True


def _minutes(found: re.Match[str]) -> tuple[int, ...]:
    hour = int(found["hour"] or found["hours"] or found["clock"])
    minute = int(found["minute"] or found["minutes"] or found["past"] or 0)
    if found["half"]:
        late = found["half"][0] in "pP"
        return (60 * (hour % 12 + 12 * late) + minute,) if 1 <= hour <= 12 else ()
    return (60 * hour + minute, *((60 * (hour + 12) + minute,) if hour < 12 else ()))


def _noon(found: re.Match[str]) -> tuple[int, ...]:
    return _NOON_AT[found[0].lower()[:4]]


_PLAIN: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterable[When | Years | int]]], ...]
_PLAIN = ((_YEARS, _years), (_TIMES, _minutes), (_NOON, _noon))


class Calendar:
    """The dates and times of the sources.

    Args:
        found: They.
        years: Years that stand alone.
    """

    def __init__(self, found: Iterable[Dated], years: Iterable[int]) -> None:
        readings = [one for each in found for one in each.readings]
        self._whens = {one for one in readings if isinstance(one, When)}
        self._times = {one for one in readings if isinstance(one, int)}
        self._spans = {one for one in readings if isinstance(one, Years)}
        self.years = {one.year for one in self._whens if one.year} | set(years)
        self.days = {one.day for one in self._whens if one.day}

    def has(self, one: Dated) -> bool:
        """Whether a date or time of an answer is one of these, as far as both say it."""
        return any(
            each in self._times if isinstance(each, int) else self._knows(each)
            for each in one.readings
        )

    def _knows(self, said: When | Years) -> bool:
        if isinstance(said, Years):
            spans = (*self._spans, *(Years(year, year) for year in self.years))
            return any(said.first <= one.first and one.last <= said.last for one in spans)
        if said in self._whens:
            return True
        if said.year and said.year not in self.years:
            return False
        return any(_fits(said, known) for known in self._whens)


def _fits(said: When, known: When) -> bool:
    if said.weekday is not None:
        return _weekday(known) == said.weekday
    return (
        said.month in {None, known.month}
        and said.day in {None, known.day}
        and (known.year is None or said.year in {None, known.year})
    )


def _weekday(known: When) -> int | None:
    if known.weekday is not None or not (known.year and known.month and known.day):
        return known.weekday
    return date(known.year, known.month, known.day).weekday()
