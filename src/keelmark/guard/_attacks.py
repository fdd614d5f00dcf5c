"""Signs of prompt injection in a text, and how they add up.

Every place at which a sign may begin is known before any sign is read: the words of a text are
looked up by their first letters, once for all patterns and languages. The places are then gone
through from left to right, and a sign is read only where it may still change something.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from msgspec.structs import replace

from keelmark.guard._patterns import CONTEXT, lower
from keelmark.guard._signs import Sign, Wanted, gate, holds, language, signs, turning
from keelmark.guard._slots import KEY, LATIN, Places, Reading
from keelmark.guard.contract import Hit
from keelmark.guard.normalise import fold

LONGEST = 480
"""Longest match with its look-ahead, and longest hit, characters."""

END = re.compile(r"[.!?](?=\s)|。")
"""End of a sentence: no sign matches across it."""

_PIECE = 96  # characters that are looked at together, at least

CERTAIN = 0.99
"""The highest score."""

_SATED = 1.000001 * (1 - CERTAIN)  # with so little doubt the score is the highest

_NAMES = re.compile(
    r"what (?:is|does|are)|explain|meaning of|phrase|such as|words|examples? of|called|attack"
    r"|known as|defin|sentence|term|e\.g\.|z\. ?b\."
)
_OPENING = frozenset("\"'“‘«(`")
_MARKS = _OPENING | frozenset("„「『")
_IN_QUOTES = re.compile(
    r"[\"'“‘«„`「『](?:(?<=\A.)|(?<=[\s(].))[\"'“‘«„`「『]?\s?[^\"'”’»“`」』\n.!?。]{0,48}\Z|[「『]"
)
_ABOUT = re.compile(
    r"attack|injection|jailbreak|(?:such|known) as|for example|e\.g\.|phrases?\b|detector"
    r"|angriff|beispiel|sätze|attaque|exemple|ataque|ejemplo|exemplo|attacc|esempio|frasi|frases"
    r"|aanval|voorbeeld|przykład|атак|пример|фраз|saldırı|örneğin|هجوم|مثل|हमल|उदाहरण"
    r"|攻击|注入|例如|攻撃|例えば|공격|예를"
)
_ABOUT = re.compile(f"{_ABOUT.pattern}|{fold(_ABOUT.pattern)}")
_REPORTED = re.compile(  # what a user might try, in the instructions of an operator
    r"\b(?:if|when|whenever|should|unless|in case) (?:(?:the|an?|any|some) )?"
    r"(?:users?|customers?|clients?|callers?|visitors?|someone|somebody|anyone|anybody|they)"
    r" (?:asks?|tells?|orders?|instructs?|wants?|requests?|begs?|urges?"
    r"|tr(?:ies|y) to (?:get|make))"
    r" (?:you|the assistant|the model|it)(?: to)? \Z"
)
_AFTER = re.compile(r"[^.!?。\n]{0,48}")


class Seen(NamedTuple):
    """A sign that begins at a place: where it ends, and its number."""

    end: int
    sign: int


def find_signs(text: str, start: int, least: float) -> Iterator[Hit]:
    """Return the hits whose score, with the signs shortly before them, is `least` or more.

    In order and without overlaps: the earlier one stays, and a later one with a higher score cuts
    it short. Where signs add up to the highest score, the hit goes on to the end of the sentence,
    LONGEST characters at most, unless there are signs of another label.
    """
    found = _Search(lower(text), max(0, start - CONTEXT))
    hit: Hit | None = None
    firm = 0  # where its sign ends
    for at in found.places(start):
        over = hit is not None and at < hit.end
        if hit and over and (hit.score >= CERTAIN if at < firm else not found.may(at, hit.label)):
            continue
        best = found.best(at, least)
        if not best:
            continue
        if hit and over:
            if best[0].score <= hit.score if at < firm else best[0].label == hit.label:
                continue
            hit = replace(hit, end=at)
        if hit:
            yield hit
        hit, firm = best
    if hit:
        yield hit


class Begin(NamedTuple):
    """What may begin at a place: a sign of one pattern, or phrases that share their first word.

    Attributes:
        labels: Labels that it may give.
        pattern: The pattern, if it is one.
        phrases: The phrases.
        places: Where the words of their language stand.
    """

    labels: frozenset[str]
    pattern: Wanted | None
    phrases: tuple[Wanted, ...] = ()
    places: Places | None = None


_Begins = dict[int, list[tuple[Begin, int]]]


class _Search:
    """The places of one text at which signs may begin, and what begins there."""

    def __init__(self, low: str, start: int) -> None:
        self._low = low
        self._start = start
        self._signs = signs()
        self._gate = gate()
        self._quoted: tuple[int, bool | None] = (-1, False)
        self._order: list[int] = []
        self._begins: _Begins = {}
        self._read: dict[int, list[Seen]] = {}
        self._alike: dict[int, int] = {}  # by place, in order: the first of a row of the same signs

    def places(self, start: int) -> Iterator[int]:
        """Yield the places from one on, in order; the text is gone through piece by piece."""
        literals = self._gate.literals(self._low)
        for begin, end in _pieces(self._low, self._start):
            reading, wanted = self._wanted(begin, end, literals)
            if wanted:
                begins: _Begins = {}
                self._gather(begins, reading, wanted)
                self._begins.update(begins)
                fresh = sorted(begins)
                self._order += fresh
                yield from fresh[bisect_left(fresh, start) :]

    def _wanted(
        self, start: int, end: int, literals: list[tuple[str, int]]
    ) -> tuple[Reading, list[Wanted]]:
        """Take a piece of the text apart; return what may be in it."""
        reading, held = Reading(self._low, start, end), self._low[start:end]
        passed = self._gate.passed(held, reading.keys, literals)
        signs = self._signs
        return reading, [
            one for one in passed if one.phrase or holds(signs[one.sign], held, reading.keys)
        ]

    def _gather(self, begins: _Begins, reading: Reading, all_wanted: list[Wanted]) -> None:
        """Find all places; with each, its number among those of the phrase, or a match's end."""
        spoken: dict[str, list[Wanted]] = {}
        for wanted in all_wanted:
            if not wanted.pattern:
                spoken.setdefault(wanted.language, []).append(wanted)
                continue
            begin = Begin(_only(self._signs[wanted.sign].label), wanted)
            if not wanted.pattern.heads:
                for at, end in _matches(wanted.pattern.regex, reading):
                    begins.setdefault(at, []).append((begin, end))
            for key in sorted(reading.keys & wanted.pattern.heads):
                for at in reading.places.get(key, ()):
                    begins.setdefault(at, []).append((begin, 0))
        for code, phrases in spoken.items():
            self._gather_phrases(begins, Places(reading, language(code)), phrases)

    def _gather_phrases(self, begins: _Begins, places: Places, phrases: list[Wanted]) -> None:
        """Find the places of the first words of phrases that may be there."""
        firsts: dict[str, list[Wanted]] = {}
        for one in phrases:
            if one.phrase and all(map(places.has, one.phrase.slots)):
                firsts.setdefault(one.phrase.slots[0], []).append(one)
        for slot, some in firsts.items():
            labels = frozenset(self._signs[one.sign].label for one in some)
            begin = Begin(labels, None, tuple(some), places)
            for number, at in enumerate(places.of(slot).starts):
                begins.setdefault(at, []).append((begin, number))

    def may(self, at: int, but: str) -> bool:
        """Whether a sign of another label than one may begin at a place."""
        return any(len(b.labels) > 1 or but not in b.labels for b, _ in self._begins[at])

    def _signs_at(self, at: int) -> Iterator[Seen]:
        """Yield the signs that begin at a place."""
        if at in self._read:
            yield from self._read[at]
            return
        seen: list[Seen] = []
        for begin, number in self._begins[at]:
            for one in self._ends(begin, number, at):
                if not (self._signs[one.sign].turns and self._turned(at, one.end)):
                    seen.append(one)
                    yield one
        self._read[at] = seen

    def _ends(self, begin: Begin, number: int, at: int) -> Iterator[Seen]:
        if begin.places:
            for one in begin.phrases:
                if one.phrase and (end := begin.places.end(one.phrase, number)):
                    yield Seen(end, one.sign)
        elif begin.pattern and begin.pattern.pattern:
            match = None if number else begin.pattern.pattern.regex.match(self._low, at)
            end = match.end() if match else number
            if end and _holds(self._low, at, end, self._signs[begin.pattern.sign]):
                yield Seen(end, begin.pattern.sign)

    def _turned(self, start: int, end: int) -> bool:
        """Whether words in a match, or right before it, turn its meaning around."""
        return turning().search(self._low, max(0, start - 8), end) is not None

    def best(self, at: int, least: float) -> tuple[Hit, int] | None:
        """Return the hit that begins at a place, if there is one, and where its sign ends."""
        found: list[Hit] = []
        before: dict[int, float] | None = None
        for end, number in self._signs_at(at):
            if before is None:
                before = self._before(at)
            score, others = self._score(number, before)
            if score >= least and self._talked_about(at, end):
                score = round(score / 2, 3)
            if score >= least:
                sign = self._signs[number]
                reason = sign.why + (f" and {others} more signs" if others else "")
                found.append(Hit(sign.label, score, at, end, reason))
                if score >= CERTAIN:
                    break
        if not found:
            return None
        hit = min(found, key=lambda h: (-h.score, -h.end, h.label))
        if hit.score < CERTAIN:
            return hit, hit.end
        stop = END.search(self._low, hit.end, at + LONGEST + 1)
        end = min(stop.end() if stop else len(self._low), at + LONGEST)
        return replace(hit, end=max(hit.end, end)), hit.end

    def _score(self, number: int, before: dict[int, float]) -> tuple[float, int]:
        """Return the score of a sign with those before it, and how many these are."""
        doubt = 1 - self._signs[number].weight
        for other, its in before.items():
            if other != number:
                doubt *= its
        return round(min(1 - doubt, CERTAIN), 3), len(before) - (number in before)

    def _before(self, at: int) -> dict[int, float]:
        """Return the signs that end shortly before a place, each with the doubt that it leaves.

        The nearest ones, if they are enough for the highest score.
        """
        found: dict[int, float] = {}
        doubt, order = 1.0, self._order
        number = bisect_left(order, at)
        last = number  # the row of places alike that is gone through, and its end
        signs: list[int] | None = None
        while number and doubt > _SATED and order[number - 1] >= at - CONTEXT:
            number -= 1
            seen = self._read.get(order[number]) or list(self._signs_at(order[number]))
            before, signs = signs, [sign for _, sign in seen]
            if signs == before:  # nothing new: on to where the row begins
                number = self._alike[last] = self._alike.get(number, number)
                continue
            for end, sign in seen:
                if end > at:
                    signs = None  # it counts only where it ended before
                elif sign not in found:
                    found[sign] = 1 - self._signs[sign].weight
                    doubt *= found[sign]
            last = number
        return dict(sorted(found.items()))

    def _talked_about(self, start: int, end: int) -> bool:
        """Whether a sign is quoted in a text about attacks, or in a question about words."""
        if self._quoted[0] != start:
            before = self._low[max(0, start - 64) : start]
            self._quoted = start, _REPORTED.search(before) is not None or _quoted(before)
        quoted = self._quoted[1]
        if quoted is not None:
            return quoted
        after = _AFTER.match(self._low, end)
        return after is not None and _ABOUT.search(after[0]) is not None


def _quoted(before: str) -> bool | None:
    """Whether what follows is quoted in a text about attacks; None when the rest must say it."""
    if _MARKS.isdisjoint(before):
        return False
    if _named(before):
        return True
    if not _IN_QUOTES.search(before):
        return False
    return True if _ABOUT.search(before) else None


def _named(before: str) -> bool:
    """Whether a text ends with a word for words, and a mark that opens a quotation behind it."""
    if before[-1] not in _OPENING:
        return False
    line = before[before.rfind("\n") + 1 :]
    far = 25 + (line[-2:-1] in _OPENING)
    return any(len(line) - far <= match.end() < len(line) for match in _NAMES.finditer(line))


def _pieces(low: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of a text, short ones together."""
    end = END.search(low, start + _PIECE)
    while end:
        yield start, end.end()
        start = end.end()
        end = END.search(low, start + _PIECE)
    yield start, len(low)


def _matches(regex: re.Pattern[str], reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield the spans of the matches that begin in a piece of a text, also inside others."""
    stop = reading.end + LONGEST
    match = regex.search(reading.text, reading.start, stop)
    while match and match.start() < reading.end:
        yield match.span()
        match = regex.search(reading.text, match.start() + 1, stop)


@cache
def _only(label: str) -> frozenset[str]:
    return frozenset([label])


def _holds(low: str, start: int, end: int, sign: Sign) -> bool:
    """Whether a match begins a word and contains what its sign was looked at for.

    The latter keeps the first look from deciding by what stands elsewhere in the text.
    """
    before = low[start - 1 : start]
    if before.isdigit() or LATIN.match(before):
        return False
    while end < len(low) and "a" <= low[end] <= "z":
        end += 1
    found = low[start:end]
    return holds(sign, found, {word[:KEY] for word in LATIN.findall(found)})
