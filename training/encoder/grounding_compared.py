"""Comparisons of the numbers and dates that real sentences have; what is so is computed.

A passage has a value, its twin another; a claim such as 'more than 40 people' or 'before 1990' is
so of one of the two. Each claim is drawn for both, or both claims for one passage.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

import grounding_lexicon as w
from grounding_facts import round_to
from grounding_forms import core, rephrased
from grounding_passages import Document
from grounding_text import window
from rows import Row

WINDOWS = (0, 0, 20, 30, 45)
_MONTH = "|".join(w.MONTHS)
_YEAR = re.compile(
    rf"(?P<lead>\b(?:[Ii]n|[Oo]n) (?:the (?:spring|summer|autumn|fall|winter) of )?"
    rf"(?:(?:early|late|mid|mid-) ?)?(?:(?:{_MONTH})(?: \d{{1,2}},)? |\d{{1,2}} (?:{_MONTH}) )?)"
    r"(?P<n>1[1-9]\d\d|20[0-2]\d)(?![\d\w–-]|[.,]\d| and| or| to)"
)
_COUNT = re.compile(
    r"(?<![\w.,:/#–-])(?P<sign>[$£€]?)(?P<n>\d{1,3}(?:,\d{3})+|\d{1,4}(?:\.\d)?)"
    r"(?P<unit> million| billion| trillion|%| percent| per cent)?"
    rf"(?= (?!(?:{_MONTH}|{_MONTH.lower()}|st|am|pm|a\.m|p\.m|BC|AD|to|and|or|th|v|vs)\b)[a-z]"
    r"|(?<=[%nt])[ .,])"
)
_WORDED = re.compile(rf"\b(?P<n>{'|'.join(w.NUMBER_WORDS[2:])})(?= [a-z]+s\b)")
_SAID = re.compile(
    r"(than|about|least|most|over|nearly|almost|around|under|up to|no\.|number|between|from|only"
    r"|approximately|roughly|some|and|or|exactly|to|of|age|aged|chapter|section|version|top|by|the"
    r"|type|page|figure|step|level|part|size|another|last|next|first|past|other|estimated|additional|reported|\)|[\"”])$",
    re.IGNORECASE,
)
_NAMED = re.compile(r" [A-Z][\w'’.-]*$|\b(iphone|born|hot|code)$")
LOWER, UPPER = ("more than", "over", "more than", "in excess of"), ("at least", "no fewer than")
BELOW, MOST = ("less than", "fewer than", "under", "below"), ("at most", "no more than", "up to")
_PARTS = (("a tenth", 10), ("a fifth", 20), ("a quarter", 25), ("a third", 33.34), ("half", 50),
          ("two thirds", 66.67), ("three quarters", 75), ("nine tenths", 90))  # fmt: skip
_PART = re.compile(r"\b(half|thirds?|quarters?|tenths?|a fifth)$")


class Bound(NamedTuple):
    """Words, and the values they are so of."""

    words: str
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Say whether it is so of a value."""
        return self.low <= value <= self.high


def between(low: float, high: float, rng: random.Random) -> float:
    """Return a number with low < number < high, mostly a round one; `high` where none is."""
    if rng.random() < 0.7:
        for power in range(9, -1, -1):
            scale = 10**power
            for step in (5 * scale, scale):
                if (first := (low // step + 1) * step) < high:
                    return first
    inside = rng.uniform(low, high)
    return float(round(inside)) if low < round(inside) < high else high


def amounts(
    one: float, other: float, sign: str, unit: str, rng: random.Random
) -> tuple[Bound, Bound]:
    """Return what is so of the first value only, and of the second only."""
    low, high = sorted((one, other))
    least, most, tiny = 0.0, 1e15, 1e-6
    cut = between(low, high, rng)

    def shown(value: float) -> str:
        if value < 13 and value == int(value) and not sign and not unit and rng.random() < 0.6:
            return w.NUMBER_WORDS[int(value)]
        plain = f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
        if unit.strip() in {"%", "percent", "per cent"} and rng.random() < 0.5:
            return f"{plain} percent" if unit == "%" else f"{plain}%"
        return f"{sign}{plain}{unit}"

    over, under = (cut, cut) if cut < high else (low, high)
    above = rng.choice((
        Bound(f"{rng.choice(LOWER)} {shown(over)}", over + tiny, most),
        Bound(f"{rng.choice(UPPER)} {shown(under)}", under, most),
    ))  # fmt: skip
    below = rng.choice((
        Bound(f"{rng.choice(BELOW)} {shown(under)}", least, under - tiny),
        Bound(f"{rng.choice(MOST)} {shown(over)}", least, over),
    ))  # fmt: skip
    if unit.strip() in {"%", "percent", "per cent"}:
        parts = [p for p in _PARTS if low < p[1] < high]
        if parts and rng.random() < 0.6:
            word, part = rng.choice(parts)
            above = Bound(f"{rng.choice(('more than', 'over'))} {word}", part, most)
            below = Bound(f"less than {word}", least, part)
    pair = (above, below) if one > other else (below, above)
    if high > 1.3 * low + 2 and rng.random() < 0.2:
        about = rng.choice(("about", "around", "roughly", "approximately", "some", "close to"))
        pair = tuple(  # type: ignore[assignment]
            Bound(f"{about} {shown(round_to(v) if v >= 20 else v)}", v * 0.94, v * 1.06)
            for v in (one, other)
        )
    return pair


def years(one: int, other: int, rng: random.Random) -> tuple[Bound, Bound]:
    """Return a time that is so of the first year only, and one of the second only."""
    low, high = sorted((one, other))
    cut = int(between(low, high, rng))
    first, last = (cut, cut) if cut < high else (high, low)
    before = Bound(f"{rng.choice(('before', 'prior to', 'before'))} {first}", 0, first - 1)
    after = Bound(f"{rng.choice(('after', 'after', 'later than'))} {last}", last + 1, 3000)
    if rng.random() < 0.2:
        before = Bound(f"by {low}", 0, low)
        after = Bound(f"in {high} or later", high, 3000)
    pair = (after, before) if one > other else (before, after)
    roll = rng.random()
    if roll < 0.25 and one // 10 != other // 10:
        pair = tuple(  # type: ignore[assignment]
            Bound(f"in the {y // 10 * 10}s", y // 10 * 10, y // 10 * 10 + 9) for y in (one, other)
        )
    elif roll < 0.4 and (one - 1) // 100 != (other - 1) // 100:
        pair = tuple(_century(y) for y in (one, other))  # type: ignore[assignment]
    return pair


def _century(year: int) -> Bound:
    number = (year - 1) // 100 + 1
    ending = {21: "st"}.get(number, "th")
    return Bound(f"in the {number}{ending} century", number * 100 - 99, number * 100)


def other_year(year: int, rng: random.Random) -> int:
    """Return another year, near or far."""
    gap = rng.choice((1, 2, 3, 5, 8, 12, 20, 40, 100))
    return year - gap if year + gap > 2025 or rng.random() < 0.5 else year + gap


def other_amount(value: float, rng: random.Random, *, whole: bool, most: float = 1e12) -> float:
    """Return another amount, near or far, of as many digits after the point."""
    gap = rng.choice((0.04, 0.1, 0.2, 0.4, 0.8, 2.0))
    found = value * (1 + gap) if rng.random() < 0.5 else value / (1 + gap)
    if found > most:
        found = value / (1 + gap)
    if not whole:
        return round(found, 1) if round(found, 1) != value else value + 0.5
    found = round_to(found) if value % 10 == 0 and value >= 100 else round(found)
    if found == value or found < 2:
        found = value + rng.choice((1, 2, 3))
    return float(found)


class Place(NamedTuple):
    """Where a value stands, what the claim puts there, and the value of the twin."""

    start: int
    end: int
    number: tuple[int, int]
    twin: str
    bounds: tuple[Bound, Bound]


def _year_places(sentence: str, rng: random.Random) -> Iterator[Place]:
    for m in _YEAR.finditer(sentence):
        year = int(m["n"])
        other = other_year(year, rng)
        yield Place(m.start(), m.end(), m.span("n"), str(other), years(year, other, rng))


def _count_places(sentence: str, rng: random.Random) -> Iterator[Place]:
    for m in [*_COUNT.finditer(sentence), *_WORDED.finditer(sentence)]:
        old, parts = m["n"], m.groupdict()
        sign, unit = parts.get("sign") or "", parts.get("unit") or ""
        worded = old in w.NUMBER_WORDS
        value = float(w.NUMBER_WORDS.index(old) if worded else old.replace(",", ""))
        before = sentence[: m.start()].rstrip()
        if value < 2 or _SAID.search(before) or (not sign and _NAMED.search(before)):
            continue
        if 1000 <= value < 2030 and "," not in old and not sign:
            continue
        percent = unit.strip() in {"%", "percent", "per cent"}
        most = 99.0 if percent else 20.0 if worded else 1e12
        other = other_amount(value, rng, whole="." not in old, most=most)
        if other == value or other > most:
            continue
        shown = f"{other:,.0f}" if "," in old or other >= 1e4 else f"{other:g}"
        twin = w.NUMBER_WORDS[int(other)] if worded else shown
        yield Place(*m.span(), m.span("n"), twin, amounts(value, other, sign, unit, rng))


def _claim(sentence: str, place: Place, words: str, seed: int, how: tuple[bool, float]) -> str:
    """Say the sentence, or its main clause, with the comparison in the place of the value."""
    if _PART.search(words) and not sentence.startswith(" of", place.end):
        return ""
    marked = f"{sentence[: place.start]}\x02{sentence[place.end :]}"
    text = core(marked, "\x02") if how[0] else marked
    text = rephrased(text, seed, how[1])
    if text.count("\x02") != 1:
        return ""
    text = text.replace("\x02", words)
    return text[:1].upper() + text[1:]


def _rows(document: Document, line: int, place: Place, rng: random.Random) -> Iterator[Row]:
    sentence = document.parts[line]
    passage = window(document.parts, line, rng.choice(WINDOWS))
    old, (a, b) = sentence[slice(*place.number)], place.number
    edited = sentence[:a] + place.twin + sentence[b:]
    other = passage.replace(sentence, edited)
    if len(old) > 2 and old.isdigit():
        other = re.sub(rf"(?<![\w.,]){old}(?![\w,]|\.\d)", place.twin, other)
    seed, how = rng.getrandbits(32), (rng.random() < 0.8, rng.choice((0.0, 0.7, 1.0)))
    right, wrong = place.bounds
    every = [(right, passage, 0), (right, other, 1), (wrong, other, 0), (wrong, passage, 1)]
    at = rng.choice(((0, 1), (2, 3), (0, 3), (2, 1)))
    for bound, source, label in (every[i] for i in at):
        text = _claim(sentence, place, bound.words, seed, how)
        found = text.lower().find(bound.words.lower())
        if found < 0 or len(text.split()) < 4:
            return
        spans = ((found, found + len(bound.words)),) if label else ()
        name = f"numbers/{document.collection}"
        yield Row(text, {"grounding": label}, name, source, spans=spans)


def compared(found: list[Document], rng: random.Random, times: int = 15) -> Iterator[Row]:
    """Yield comparisons of every sentence with a number or a year, up to `times` places each."""
    for document in found:
        for line, sentence in enumerate(document.parts):
            places = [
                place
                for _ in range(5)
                for place in (*_year_places(sentence, rng), *_count_places(sentence, rng))
            ]
            rng.shuffle(places)
            for place in places[:times]:
                if place.bounds[0].words == place.bounds[1].words:
                    continue
                rows = list(_rows(document, line, place, rng))
                if len(rows) == 2:
                    yield from rows
