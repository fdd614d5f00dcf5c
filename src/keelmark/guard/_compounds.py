"""Quantities of two numbers, and shares: `1 hour and 30 minutes`, `one in five`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from keelmark.guard._measures import MULTIPLES, UNITS, WORDS, Quantity, Unit

_PERCENT = UNITS["%"]
_TOGETHER = frozenset({"seconds", "months"})
_IMPERIAL = frozenset(UNITS[name] for name in ("ft", "yd", "lb"))
"""Of these the smaller unit may stand behind an `and`; `5 km and 400 m` are two lengths."""
_AND = re.compile(r",?\s*(?:and|und|et|y|e)?\s*", re.IGNORECASE)
_BLANK = re.compile(r"\s*")
_A_UNIT = re.compile(
    r"\b(?:one|an?|eine?|une?)\s+([^\W\d_]+),?\s+(?:(?:and|und|et)\s+)?\Z", re.IGNORECASE
)
_AND_A_HALF = re.compile(r"(?:\s+and\s+a\s+half\b|½)", re.IGNORECASE)
_IN = re.compile(
    r"(?<![\w.,])(\d{1,3}|[a-z]{3,9})\s?(?:(/)\s?|\s(?:in|out\sof|of)\s(?:every\s|the\s)?)"
    r"(\d{1,4}|[a-z]{3,9})(?![\w/]|[.,]\d)",
    re.IGNORECASE,
)
_PARTS = {"third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_PART = "|".join(_PARTS)
_OF = re.compile(  # no quarters of a year, and not the first half
    rf"\b(a|one)[\s-]({_PART})\s+of\b|\b(two|three|four|five|seven|nine)[\s-]({_PART})s\b"
    r"|(?<!first )(?<!second )(?<!other )(?<!last )\bhalf (?:of|the|all|its|his|her|their|our)\b",
    re.IGNORECASE,
)
_PLACES = (Fraction(1), Fraction(1, 10))


def and_a_half(text: str, end: int) -> int:
    """Where `and a half` ends that stands behind a number; the same place where none does."""
    found = _AND_A_HALF.match(text, end)
    return found.end() if found else end


def joined(text: str, found: Sequence[Quantity]) -> list[Quantity]:
    """Return quantities of which those that are said in two units are one, in the smaller unit."""
    out: list[Quantity] = []
    for one in found:
        before = out[-1] if out else None
        if before and before.unit and (unit := _smaller(text, before, one)):
            value = (before.unit.base(before.value) + unit.base(one.value)) / unit.factor
            out[-1] = one._replace(value=value, unit=unit, start=before.start, small=False)
        elif one.unit and (lead := _A_UNIT.search(text, max(0, one.start - 24), one.start)):
            out.append(_with_one(one, one.unit, lead))
        else:
            out.append(one)
    return out


def _smaller(text: str, before: Quantity, one: Quantity) -> Unit | None:
    """The unit of the second of two numbers that are one quantity; None where they are not."""
    if before.unit is None:
        return None
    apart = before.unit.kind not in _TOGETHER and before.unit not in _IMPERIAL
    if not (_BLANK if apart else _AND).fullmatch(text, before.end, one.start):
        return None
    unit = one.unit
    if unit is None and before.end == one.start and before.unit == UNITS["h"]:
        unit = UNITS["min"]  # `1h30`
    if unit is None or unit.kind != before.unit.kind or unit.factor >= before.unit.factor:
        return None
    return unit if one.value * unit.factor < before.unit.factor else None


def _with_one(one: Quantity, unit: Unit, lead: re.Match[str]) -> Quantity:
    """`an hour and` before `30 minutes`."""
    name = lead[1].lower()
    larger = UNITS.get(name) or UNITS.get(name.removesuffix("s"))
    if larger is None or larger.kind != unit.kind or one.value * unit.factor >= larger.factor:
        return one
    return one._replace(
        value=one.value + larger.factor / unit.factor, start=lead.start(), small=False
    )


def shares(text: str) -> Iterator[Quantity]:
    """Yield the shares of a text in percent: `3/4`, `one in five`, `two thirds`, `half`."""
    for found in _IN.finditer(text):
        part, whole = _value(found[1]), _value(found[3])
        if part and whole and part < whole:
            yield from _percent(part / whole, found)
    for found in _OF.finditer(text):
        many = _value(found[3] or "") or Fraction(1)
        name = found[2] or found[4] or ""
        yield from _percent(many / _PARTS.get(name.lower(), 2), found)


def _value(word: str) -> Fraction | None:
    if word.isdigit():
        return Fraction(int(word))
    return WORDS.get(word.lower()) or MULTIPLES.get(word.lower())


def _percent(share: Fraction, found: re.Match[str]) -> Iterator[Quantity]:
    for value in {100 * share, *(round(100 * share / place) * place for place in _PLACES)}:
        yield Quantity(Fraction(value), _PERCENT, "", *found.span(), about=False, small=False)
