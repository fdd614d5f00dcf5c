"""Numbers that nobody wrote but that follow from the sources: sums, differences, changes, ages.

"Sales rose by 2.3 million" rests on "from 10.1 million to 12.4 million". Only a sentence that says
so (`in total`, `rose by`, `aged`) is read that way, and only numbers of one unit, or of one
sentence, are reckoned with: of enough numbers anything follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations

from keelmark.guard._bounds import Numbers
from keelmark.guard._claims import words
from keelmark.guard._measures import Quantity
from keelmark.guard._patterns import table

_MOST = 8  # numbers of one kind that are reckoned with
_TIMES = frozenset({"months"})
_MONTHS = 12


def derived(one: Quantity, text: str, places: Sequence[Numbers]) -> bool:
    """Whether a number of a sentence follows from those of sentences of the sources.

    Args:
        one: The number.
        text: The sentence.
        places: The numbers of the sentences that say about the same.
    """
    said = {word.text.casefold() for word in words(text)}
    ways = frozenset(way for way, known in _ways().items() if not said.isdisjoint(known))
    if not ways:
        return False
    wanted = one.unit.base(one.value) if one.unit else one.value
    nearly = _step(one)
    return any(abs(wanted - value) <= nearly for value in _reckoned(one, ways, places))


def _step(one: Quantity) -> Fraction:
    """Half of the last place that a number is written with; half of a whole for percentages."""
    if one.unit is not None and one.unit.kind != "%":
        return Fraction(0) if one.value.denominator == 1 else one.unit.base(Fraction(1, 20))
    return Fraction(1, 2) if one.unit or one.about else Fraction(0)


def _reckoned(one: Quantity, ways: frozenset[str], places: Sequence[Numbers]) -> Iterator[Fraction]:
    kind = one.unit.kind if one.unit else None
    for values in _groups(kind, places):
        if "sum" in ways and len(values) > 1:
            yield sum(values, Fraction(0))
            yield from (a + b for a, b in combinations(values, 2))
        if "apart" in ways:
            yield from (abs(a - b) for a, b in combinations(values, 2))
    if "apart" in ways and kind == "%":
        for values in _changing(places):
            yield from (abs(b - a) * 100 / a for a, b in combinations(values, 2) if a)
    if "apart" in ways and (kind in _TIMES or kind is None):
        years = sorted({year for place in places for year in place.years})[:_MOST]
        scale = _MONTHS if kind else 1
        for a, b in combinations(years, 2):
            yield (b - a) * scale
            yield (b - a - 1) * scale  # an age before the birthday


def _groups(kind: str | None, places: Sequence[Numbers]) -> Iterator[list[Fraction]]:
    """Numbers that may be reckoned with each other: of one unit, or without one in a sentence."""
    if kind is None:
        for place in places:
            yield [each.value for each in place.others if each.unit is None][:_MOST]
        return
    yield [
        each.unit.base(each.value)
        for place in places
        for each in place.others
        if each.unit and each.unit.kind == kind
    ][:_MOST]


def _changing(places: Sequence[Numbers]) -> Iterator[list[Fraction]]:
    """Numbers of a sentence of which one may have become the other, in their order."""
    for place in places:
        units = {each.unit.kind if each.unit else None for each in place.others}
        for kind in units - {"%"}:
            found = [
                each for each in place.others if (each.unit.kind if each.unit else None) == kind
            ]
            values = [each.unit.base(each.value) if each.unit else each.value for each in found]
            yield [value for value in values if value not in place.years][:_MOST]


@cache
def _ways() -> dict[str, frozenset[str]]:
    return {name: frozenset(given.split()) for name, given in table("grounding")["reckons"].items()}
