"""Numbers that are said to be bounds: `more than 40`, `at least 40`, `before 1990`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from keelmark.guard._dates import Dated, When, dated
from keelmark.guard._measures import Quantity
from keelmark.guard._quantities import quantities

_THAN = r"(?:an?\s+|the\s+)?(?:US)?[$€£¥₹]?\s?"
_MORE = (
    r"(?:more|greater|higher|larger|longer|bigger) than|over|above|in excess of|upwards of"
    r"|exceed(?:s|ed|ing)?|mehr als|über|plus de|más de|più di|oltre|mais de|более|больше"
)
_LESS = (
    r"(?:less|fewer|lower|smaller|shorter) than|under|below|weniger als|unter|moins de"
    r"|menos de|meno di|менее|меньше"
)
_LATER = r"(?:later|more recently) than|after|past|nach|après|después de|dopo"
_EARLIER = r"(?:earlier|sooner) than|before|prior to|vor|avant|antes de|prima del?"
_AHEAD = tuple(
    (re.compile(rf"\b(?:{words})\s+{_THAN}\Z", re.IGNORECASE), above, strict, year)
    for words, above, strict, year in (
        (r"(?:no|not) (?:more|greater|higher|larger|longer) than", False, False, False),
        (r"(?:no|not) (?:less|fewer|lower|smaller|shorter) than", True, False, False),
        (r"(?:no|not) later than", False, False, True),
        (r"(?:no|not) earlier than", True, False, True),
        (r"at least|a minimum of|minimum of|between", True, False, False),
        (r"at most|a maximum of|maximum of|up to", False, False, False),
        (_MORE, True, True, False),
        (_LESS, False, True, False),
        (_LATER, True, True, True),
        (_EARLIER, False, True, True),
    )
)
"""What stands before a bound: whether it is one from below, strict, and of years only."""
_BETWEEN = re.compile(rf"\bbetween\s+{_THAN}[\d.,]+[\w%\s]{{0,16}}\sand\s+{_THAN}\Z", re.IGNORECASE)
_BEHIND = (
    (re.compile(r"\+|\s(?:or|and) (?:more|above|over|later)\b", re.IGNORECASE), True),
    (re.compile(r"\s(?:or|and) (?:less|fewer|below|under|earlier)\b", re.IGNORECASE), False),
)
_NO_NOUN = frozenset(["and", "or", "to", "of", "were", "was", "are", "is", "have", "had", "has"])
"""What may stand behind a number instead of what it counts."""
_AROUND = 48  # characters
_FIRST_YEAR, _LAST_YEAR = 1000, 2200


class Bound(NamedTuple):
    """What a number bounds.

    Attributes:
        above: Whether what is meant is greater, else less.
        strict: Whether it is not the number itself.
        year: Whether it is a year.
    """

    above: bool
    strict: bool
    year: bool

    def keeps(self, limit: Fraction, value: Fraction) -> bool:
        """Whether a value is within the bound."""
        if value == limit:
            return not self.strict
        return (value > limit) == self.above


def bound(text: str, one: Quantity) -> Bound | None:
    """Return what a number of a text is said to bound; None where it stands for itself."""
    ahead = text[max(0, one.start - _AROUND) : one.start]
    can_be_year = one.unit is None and _is_year(one.value)
    if _BETWEEN.search(ahead):
        return Bound(above=False, strict=False, year=can_be_year)
    for words, above, strict, year in _AHEAD:
        if (said := words.search(ahead)) and (can_be_year or not year):
            between = said[0].lower().startswith("between")
            return Bound(above, strict, year or (between and can_be_year))
    for words, above in _BEHIND:
        if words.match(text, one.end):
            return Bound(above, strict=False, year=can_be_year)
    return None


def _is_year(value: Fraction) -> bool:
    return value.denominator == 1 and _FIRST_YEAR <= value < _LAST_YEAR


class Numbers(NamedTuple):
    """The numbers of a sentence of the sources.

    Attributes:
        years: Years, in dates and alone.
        others: All but those in dates.
    """

    years: list[Fraction]
    others: list[Quantity]


def numbers(text: str) -> Numbers:
    """Return the numbers of a sentence."""
    dates = dated(text)
    return gathered(dates, quantities(text, taken=[(date.start, date.end) for date in dates]))


def gathered(dates: Sequence[Dated], others: list[Quantity]) -> Numbers:
    """Return the numbers of what these are the dates and the other numbers of."""
    read = [each.year for date in dates for each in date.readings if isinstance(each, When)]
    alone = [other.value for other in others if other.unit is None and _is_year(other.value)]
    return Numbers([Fraction(year) for year in read if year] + alone, others)


class Kept(NamedTuple):
    """What becomes of a bound.

    Attributes:
        within: Whether a number of the sources keeps it.
        same: Whether that was told by a number of the same thing (of its unit, a year, or before
            the same word) in a sentence that is alike.
    """

    within: bool
    same: bool


def kept(one: Quantity, limit: Bound, places: Sequence[Numbers], every: Numbers) -> Kept | None:
    """Return whether the sources keep a bound; None where nothing can be compared with it.

    Numbers of the same thing count before others, and a place before the next.

    Args:
        one: The number that is a bound.
        limit: The bound.
        places: Numbers of sentences of the sources, the most alike first.
        every: All numbers of the sources, for where those sentences have none.
    """
    for values_of, where in ((_same, places), (_other, places), (_same, (every,))):
        for place in where:
            if values := values_of(one, limit, place):
                within = any(limit.keeps(_base(one), value) for value in values)
                return Kept(within, values_of is _same and where is places)
    return None


def _same(one: Quantity, limit: Bound, place: Numbers) -> list[Fraction]:
    if limit.year:
        return place.years
    if one.unit:
        kind = one.unit.kind
        return [_base(other) for other in place.others if other.unit and other.unit.kind == kind]
    noun = _noun(one)
    return [other.value for other in _counts(place) if noun in {"", _noun(other)}]


def _other(one: Quantity, limit: Bound, place: Numbers) -> list[Fraction]:
    return [] if limit.year or one.unit else [other.value for other in _counts(place)]


def _counts(place: Numbers) -> list[Quantity]:
    """The numbers without a unit that are no years."""
    bare = (other for other in place.others if other.unit is None)
    return [other for other in bare if _noun(other) or not _is_year(other.value)]


def _noun(one: Quantity) -> str:
    return "" if one.noun in _NO_NOUN else one.noun


def _base(one: Quantity) -> Fraction:
    return one.unit.base(one.value) if one.unit else one.value
