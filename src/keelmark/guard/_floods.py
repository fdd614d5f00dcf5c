"""Requests for far too much text: `repeat X 10000 times`, `count to a million`, `forever`."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from keelmark.guard._patterns import CONTEXT, both_views, every, lower, table
from keelmark.guard._phrases import any_of, begun, is_joined
from keelmark.guard.contract import Hit, last_token

LONGEST = 64
"""Longest hit with what stands behind it, characters."""

_BEGIN = r"(?<![0-9A-Za-z_.,^*])"
_NUMBER = (
    _BEGIN + "(?:"
    r"[0-9]{1,6}(?:\.[0-9]{1,3})?(?:\^|\*\*|e)[0-9]{1,4}(?![0-9])"
    r"|[0-9]{1,6}[km](?![a-z0-9])"
    r"|[0-9]{1,3}(?:[,.' ][0-9]{3}){1,6}(?![0-9])"
    r"|[0-9]{3,24}(?![0-9]))"
)
_DIGIT = re.compile("[0-9]")
_NO_DIGIT = re.compile("[^0-9]+")
_LETTERS = re.compile(r"[^\W\d_']+(?:'[^\W\d_]+)?")
_RUN = re.compile(r"[^\W\d_]+")
_POWERS = re.compile(r"([0-9.]+)(\^|\*\*|e)([0-9]+)")
_SENTENCE = re.compile(r"[.!?](?=\s)|[。！？\n]")
_PROGRAM = re.compile(r"\b(?:loop|program|function|script|code|test|bash|python|simulat\w+)\b")
_PROGRAM_BEGUN = re.compile(_PROGRAM.pattern.removesuffix(r"\w+)\b") + ")")
_OPEN = re.compile(_BEGIN + r"[0-9][0-9,.'^*ekm ]{0,40}(?:[^\W\d_]{0,16}\s?){0,2}\Z")


class _Words(NamedTuple):
    verbs: frozenset[str]
    joined_verb: re.Pattern[str]
    number: re.Pattern[str]
    sizes: dict[str, float]
    unit: re.Pattern[str]
    item: re.Pattern[str]
    through: re.Pattern[str]
    endless: re.Pattern[str]
    begun: re.Pattern[str]
    needed: tuple[str, ...]
    telling: frozenset[str]


@cache
def _words() -> _Words:
    rows = table("runaway")
    sizes = {
        word: 10.0**power
        for given, power in rows["numbers"].items()
        for word in both_views([given])
    }
    verbs = both_views(rows["verbs"])
    endless = both_views(rows["endless"])
    large = any_of(tuple(sizes))
    return _Words(
        frozenset(verbs),
        re.compile("|".join(re.escape(verb) for verb in verbs if is_joined(verb))),
        re.compile(f"{_NUMBER}|{large}"),
        sizes,
        re.compile(r"\s?(?:" + any_of(both_views(rows["times"])) + ")"),
        re.compile(r"[\s-]?(?:" + any_of(both_views(rows["items"])) + ")"),
        re.compile(r"[0-9]\s?(?:-|\.{2,3}|" + any_of(both_views(rows["through"])) + r")\s?\Z"),
        re.compile(any_of(endless)),
        re.compile(rf"{begun(endless)}|(?:{large})[\s-]?\S*\Z"),
        tuple({max(phrase.split(), key=len) for phrase in endless}),
        frozenset([*sizes, *(max(_RUN.findall(p.split()[0]), key=len) for p in endless)]),
    )


def _size_of(number: str) -> float:
    """How much a number says, as it is written in small letters."""
    if number.isdecimal():
        return float(number)
    if number in _words().sizes:
        return _words().sizes[number]
    if power := _POWERS.fullmatch(number):
        base, sign, exponent = power.groups()
        digits = min(int(exponent), 99)
        return float(base) * 10.0**digits if sign == "e" else min(float(base), 1e3) ** digits
    factor = {"k": 1e3, "m": 1e6}.get(number[-1], 1.0)
    return float(_NO_DIGIT.sub("", number)) * factor


class _Scene:
    """Where verbs and ends of sentences stand in a text."""

    def __init__(self, low: str, start: int) -> None:
        verbs, begin = _words().verbs, max(0, start - CONTEXT)
        joined = () if low.isascii() else _words().joined_verb.finditer(low, begin)
        alone = (m for m in _LETTERS.finditer(low, begin) if m[0] in verbs)
        found = [m for m in (*alone, *joined) if not _inside_word(low, m)]
        self.verbs = sorted((m.end(), m.start()) for m in found)
        self._ends = [match.end() for match in _SENTENCE.finditer(low, begin)]
        self._programs = [match.start() for match in _PROGRAM_BEGUN.finditer(low, begin)]
        self._low = low

    def asked(self, index: int) -> float:
        """Score of what stands at the index by the verb before it in the sentence, 0 without."""
        ended = bisect_right(self._ends, index)
        low = max(index - CONTEXT, self._ends[ended - 1] if ended else 0)
        near = bisect_right(self.verbs, (index, index)) - 1
        if near < 0 or self.verbs[near][1] < low:
            return 0.0
        first = bisect_left(self._programs, low)
        begun = first < len(self._programs) and self._programs[first] < index
        return 0.45 if begun and _PROGRAM.search(self._low, low, index) else 0.8


def _inside_word(low: str, match: re.Match[str]) -> bool:
    """Whether letters were cut off at the beginning of the window."""
    start = match.start()
    return start > 0 and low[start].isascii() and low[start - 1].isalpha()


def find_floods(text: str, start: int, times: int, items: int) -> Iterator[Hit]:
    """Yield requests for `times` repetitions or more, or for `items` pieces of text or more."""
    words = _words()
    low = lower(text)
    if flood_quiet(low, start):
        return
    scene = _Scene(low, start)
    if not scene.verbs:
        return
    for match in every(words.number, low, start):
        if hit := _counted(low, match, scene, times, items):
            yield hit
    if not any(word in low for word in words.needed):
        return
    for match in every(words.endless, low, start):
        if score := scene.asked(match.start()):
            yield Hit("FLOOD", min(0.6, score), match.start(), match.end(), "asked without an end")


def _counted(low: str, number: re.Match[str], scene: _Scene, times: int, items: int) -> Hit | None:
    words = _words()
    size = _size_of(number[0])
    score = scene.asked(number.start()) if size >= min(times, items) else 0.0
    if not score:
        return None
    end = number.end()
    if unit := words.unit.match(low, end):
        least, end = times, unit.end()
        if size < least:
            return None
    else:
        least = items
        if size < least:
            return None
        if item := words.item.match(low, end):
            end = item.end()
        elif not _is_end_of_range(low[max(0, number.start() - 24) : number.start()]):
            return None
    score += -0.2 if size < 10 * least else 0.15 if size >= 1000 * least else 0.0
    return Hit("FLOOD", round(score, 2), number.start(), end, "asked for far too much text")


def _is_end_of_range(before: str) -> bool:
    return before.rstrip().endswith(_COUNT) or _words().through.search(before) is not None


_COUNT = ("count to", "count up to", "zähle bis", "zahle bis", "compte jusqu'à", "cuenta hasta")


def flood_open(text: str, start: int) -> int:
    """Return where a number or a phrase begins that may still become such a request."""
    low = lower(text[max(start, len(text) - LONGEST) :])
    offset = len(text) - len(low)
    found = [m.start() for m in (_OPEN.search(low), _words().begun.search(low)) if m]
    return min(offset + min(found, default=len(low)), last_token(text, offset))


def flood_quiet(text: str, start: int) -> bool:
    """Whether nothing in the text can begin such a request, but for the last token."""
    held = text[start:]
    if not held.isascii() or _DIGIT.search(held):
        return False
    return _words().telling.isdisjoint(_RUN.findall(lower(held)))
