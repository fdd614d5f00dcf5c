"""Numbers with their units, by value: `1,200`, `1.2 thousand` and `twelve hundred` are one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache

from keelmark.core.figures import Decimals, figures
from keelmark.guard._compounds import and_a_half, joined
from keelmark.guard._measures import (
    DECADE,
    MULTIPLES,
    ORDINALS,
    UNITS,
    WORDS,
    Quantity,
    Unit,
)

_NEAR = Fraction(3, 20)
_CONVERTED = Fraction(1, 50)
_ABOUT = re.compile(
    r"(?:\b(?:about|around|nearly|almost|approximately|approx\.?|roughly|some|circa|close to|"
    r"etwa|ungefähr|rund|fast|knapp|environ|presque|unos|unas|cerca de|"
    r"casi|quasi|около|почти)\s+|[~≈]\s?|[约約]\s?)"
    r"(?:an?\s+|the\s+)?[$€£¥₹]?\Z",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"(US\$|[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF|INR))\s?-?\Z")
_MILLIONS = re.compile(
    r"([mb])(?![A-Za-z0-9])(\s?(?:[$€£¥₹]|(?:euros?|dollars?|pounds?|USD|EUR|GBP|CHF)\b))?",
    re.IGNORECASE,
)
_LETTER = {"m": 10**6, "b": 10**9}
_AFTER = re.compile(
    r"[\s\u00a0]?-?(°\s?[CF]\b|(?i:degrees?\s(?:celsius|fahrenheit|[cf]\b))|[%％$€£¥₹]|[^\W\d_]+(?:/[^\W\d_]+|²|³)?)"
)
_SKIPPED = re.compile(
    r"\[\d{1,3}(?:[,;\s–-]+\d{1,3})*\]|(?<!\w)\(?\d{1,2}\)(?=\s)"
    r"|\b(?:steps?|options?|passages?|documents?|sources?|sections?|parts?|chapters?|figures?|"
    r"tables?|tips?|points?|notes?|reasons?|examples?|items?|questions?)\s+#?\d{1,3}"
    r"(?:(?:,\s*|\s+and\s+|\s*[-–]\s*)\d{1,3})*\b",
    re.IGNORECASE,
)
_SCALE = re.compile(  # what a rating is out of
    r"\b(?:rat(?:ed|ings?|es)|scor(?:ed?|es|ing)|stars?)\b[^!?\n]{0,40}?\d\s?"
    r"(/\s?(?:5|10|100)\b|out of (?:5|10|100|five|ten)\b)"
    r"|\d\s?(/\s?(?:5|10)\b|out of (?:5|10|five|ten)\b)(?=[\s-]{0,3}(?:stars?|points?)\b)",
    re.IGNORECASE,
)
_DEGREES = re.compile(r"degrees?(?=[cf])")
_GROUPED = {
    decimals: re.compile(rf"(?<=\d)(?<![.,]\d)(?<![.,]\d\d)(?<!\d{{4}})[{blanks}](?=\d{{3}}(?!\d))")
    for decimals, blanks in ((".", "\u00a0\u202f'’"), (",", " \u00a0\u202f'’"))
}
"""What groups thousands beside a comma or a point: `1 200` where decimals stand behind a comma."""
_DECADE = re.compile(r"\s?['’]?s\b")
_RANGE = re.compile(r"\s?(?:-|–|—|to|and|bis|à|a)\s?\Z")
_SEASON = re.compile(r"\b\d{4}\s?[-–/]\Z")
_ORDINAL = re.compile(r"\b(" + "|".join(ORDINALS) + r")\b", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_LEAD = re.compile(r"\b(?:half )?an? \Z", re.IGNORECASE)
_NOUN = re.compile(r"[\s-]*([^\W\d_]{3,})")
_COMMAS = re.compile(r"\d,\d{1,2}(?![\d,])")
_POINTS = re.compile(r"\d\.\d{1,2}(?![\d.])")


def decimals_of(text: str) -> Decimals:
    """What stands before decimals in a text."""
    return "," if len(_COMMAS.findall(text)) > len(_POINTS.findall(text)) else "."


def quantities(
    text: str,
    decimals: Decimals = ".",
    taken: Sequence[tuple[int, int]] = (),
    *,
    parts: bool = False,
) -> list[Quantity]:
    """Return the numbers of a text.

    Args:
        text: Any text.
        decimals: What stands before decimals.
        taken: Spans that hold no number: dates, times. Their order does not matter.
        parts: Whether what is said in two units counts in the larger one too: who has `9 pounds
            10 ounces` may be told of as of nine pounds.
    """
    text = _SCALE.sub(_unscaled, text)
    text = _GROUPED[decimals].sub("," if decimals == "." else ".", text)
    skipped = [*taken, *(found.span() for found in _SKIPPED.finditer(text))]
    closed = bytearray(len(text))
    for start, end in skipped:
        closed[start:end] = b"\1" * (end - start)
    found = []
    for value in (*_digits(text, decimals), *_letters(text)):
        one = _quantity(text, *value)
        if not closed[one.start]:
            closed[one.start : one.end] = b"\1" * (one.end - one.start)
            found.append(one)
    found.sort(key=lambda one: one.start)
    for at in range(len(found) - 1, 0, -1):  # in `5-10 km` both have the unit
        one, after = found[at - 1 : at + 1]
        if one.unit is None and after.unit and _RANGE.fullmatch(text[one.end : after.start]):
            found[at - 1] = one._replace(unit=after.unit)
    whole = joined(text, found)
    known, begun = set(whole), {one.start for one in whole}
    larger = (one for one in found if parts and one not in known and one.start in begun)
    return [*whole, *larger]


def _unscaled(found: re.Match[str]) -> str:
    """A rating without what it is out of: `4.5/5` is no fraction."""
    scale = found[found.lastindex or 0]
    return found[0].replace(scale, " " * len(scale))


def ordinals(text: str) -> set[int]:
    """Return the places that a text names in letters: `third` is 3."""
    return {ORDINALS[found[1].lower()] for found in _ORDINAL.finditer(text)}


def _digits(text: str, decimals: Decimals) -> Iterator[tuple[Fraction, int, int, bool]]:
    for one in figures(text, decimals):
        value, end = one.value, one.end
        while found := _multiple().match(text, end):
            value, end = value * MULTIPLES[found[1].lower()], found.end()
        start = one.start
        if end == one.end and (found := _millions(text, start, end)):
            value, end = value * _LETTER[found[1].lower()], found.end(1)
        if (half := and_a_half(text, end)) > end:
            value, end = value + Fraction(1, 2), half
        if one.value < 100 and _SEASON.search(text, max(0, start - 8), start):
            continue  # `2018-19`
        while start < one.end and not text[start].isalnum():
            start += 1
        yield abs(value), start, end, False


def _millions(text: str, start: int, end: int) -> re.Match[str] | None:
    """The letter of `€12m` and `3B`; a small one alone is a metre."""
    found = _MILLIONS.match(text, end)
    if found and (
        found[1].isupper() or found[2] or _BEFORE.search(text[max(0, start - 8) : start])
    ):
        return found
    return None


def _letters(text: str) -> Iterator[tuple[Fraction, int, int, bool]]:
    done = 0
    for word in _LETTERS.finditer(text):
        if word.start() < done or word[0].lower() not in WORDS:
            continue
        lead = _LEAD.search(text, max(done, word.start() - 8), word.start())
        found = _words().match(text, lead.start() if lead else word.start())
        if found is None:
            continue
        done = found.end()
        value = _spelled(re.split(r"[\s-]+", found[0].lower()))
        if value is not None and not (found[0].lower() in MULTIPLES and value >= 100):
            if (half := and_a_half(text, done)) > done:
                value, done = value + Fraction(1, 2), half
            yield value, found.start(), done, value <= 10


def _quantity(text: str, value: Fraction, start: int, end: int, small: bool) -> Quantity:  # noqa: FBT001 (unpacked)
    ahead = text[max(0, start - 24) : start]
    about = bool(_ABOUT.search(ahead))
    unit: Unit | None = None
    if 1000 <= value < 2200 and value % 10 == 0 and _DECADE.match(text, end):
        return Quantity(value, DECADE, "", start, end, about, small=False)
    if found := _BEFORE.search(ahead):
        unit = UNITS[found[1].lower()]
    if found := _AFTER.match(text, end):
        name = _DEGREES.sub("°", found[1].replace(" ", "").lower())
        after = UNITS.get(name) or UNITS.get(name.removesuffix("s"))
        if after and not (unit and after.kind == "mass"):  # £5 pounds
            unit, end = unit or after, found.end()
    noun = "" if (following := _NOUN.match(text, end)) is None else following[1][:5].lower()
    return Quantity(value, unit, noun, start, end, about, small and unit is None)


@cache
def _multiple() -> re.Pattern[str]:
    spaced = "|".join(sorted((m for m in MULTIPLES if m.isascii()), key=len, reverse=True))
    joined = "|".join(m for m in MULTIPLES if not m.isascii())
    return re.compile(rf"[\s\u00a0-]?({spaced}|{joined})(?![A-Za-z])", re.IGNORECASE)


@cache
def _words() -> re.Pattern[str]:
    one = "|".join(sorted(WORDS, key=len, reverse=True))
    return re.compile(
        rf"\b(?:(?:a|an|half a)\s+(?=hundred|thousand|million|billion|dozen))?(?:{one})"
        rf"(?:[\s-]+(?:and\s+)?(?:{one}))*\b",
        re.IGNORECASE,
    )


def _spelled(words: Sequence[str]) -> Fraction | None:
    """The value of a number in letters; None for `one`, which is seldom one."""
    if list(words) == ["one"]:
        return None
    total, part = Fraction(0), Fraction(0)
    half = words[0] == "half"
    for word in words:
        if word in {"a", "an", "and", "half"}:
            continue
        value = WORDS[word]
        if value == 100 or word == "dozen":
            part = (part or 1) * value
        elif value >= 1000:
            total, part = total + (part or 1) * value, Fraction(0)
        else:
            part += value
    return (total + part) / (2 if half else 1)


class Known:
    """The numbers of the sources.

    Args:
        found: The numbers.
        more: Values without a unit that are as good: years and days of dates.
    """

    def __init__(self, found: Iterable[Quantity], more: Iterable[int] = ()) -> None:
        self._values: defaultdict[Fraction, set[Unit | None]] = defaultdict(set)
        self._kinds: defaultdict[str, dict[tuple[Fraction, Unit], None]] = defaultdict(dict)
        self._nouns: defaultdict[str, set[Fraction]] = defaultdict(set)
        for one in found:
            self._values[one.value].add(one.unit)
            if one.noun:
                self._nouns[one.noun].add(one.value)
            if one.unit:
                self._kinds[one.unit.kind][one.value, one.unit] = None
        for value in more:
            self._values[Fraction(value)].add(None)

    def has(self, one: Quantity) -> bool:
        """Whether a number of an answer is one of these."""
        if one.unit is DECADE:
            return any(one.value + year in self._values for year in range(10))
        units = self._values.get(one.value, ())
        if any(unit is None or one.unit is None or unit == one.unit for unit in units):
            return True
        if one.unit and any(
            _near(one.unit.base(one.value), unit.base(value), _NEAR if one.about else _CONVERTED)
            for value, unit in self._kinds.get(one.unit.kind, ())
            if unit.factor != one.unit.factor or one.about
        ):
            return True
        return one.about and any(
            _near(one.value, value, _NEAR) and _kindred(one, units)
            for value, units in self._values.items()
        )

    def differs(self, one: Quantity) -> bool:
        """Whether the word after a number always has another one before it in the sources."""
        said = self._nouns.get(one.noun) if one.noun else None
        return bool(said) and one.value not in (said or ())


def _kindred(one: Quantity, units: set[Unit | None]) -> bool:
    return one.unit is None or any(unit is None or unit.kind == one.unit.kind for unit in units)


def _near(one: Fraction, other: Fraction, share: Fraction) -> bool:
    return abs(one - other) <= share * max(abs(one), abs(other))
