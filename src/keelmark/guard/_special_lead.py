"""The words before a fact: who it is said of, by which verb, and how surely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from keelmark.guard._bias import phrase_words
from keelmark.guard._patterns import CONTEXT, table

Phrases = frozenset[tuple[str, ...]]
_FILLS = 4  # words between verb and fact
_ASIDES = 4  # words between person and verb
_LONGEST = 6  # words of a verb
_TITLE_NAMES = 3  # words of a name after a title
_WORD = re.compile(r"[^\W_]+")
_DOTTED = re.compile(r"(?<![^\W_])(?:mrs?|ms|dra?|prof|sra?|srta|mme|[a-z])\.")
_STOP = re.compile(r"[.!?;:()\"]|\n[ \t]*\n")
_FIRST, _NAMED, _OWN, _THIRD, _LOOSE = 0.85, 0.8, 0.75, 0.65, 0.3


class Tongue(NamedTuple):
    """The words of a language, see the table's head."""

    first: Phrases
    third: Phrases
    own: Phrases
    roles: Phrases
    titles: Phrases
    definite: Phrases
    loose: Phrases
    aside: Phrases
    fill: Phrases
    doubt: Phrases
    ask: Phrases
    deny: Phrases
    verbs: dict[str, Phrases]
    alone: dict[str, Phrases]


@cache
def tongue(language: str) -> Tongue:
    """Read the words of a language."""
    row = table("special")["language"][language]
    lists = {key: _phrases(value) for key, value in row.items() if isinstance(value, list)}
    groups = {
        key: {name: _phrases(words) for name, words in row.get(key, {}).items()}
        for key in ("verbs", "alone")
    }
    return Tongue(**lists, verbs=groups["verbs"], alone=groups["alone"])


def _phrases(words: Iterable[str]) -> Phrases:
    return frozenset(tuple(phrase_words(one)) for one in words)


@cache
def _given() -> frozenset[str]:
    """Given names that are no everyday words and no places."""
    names = table("names")
    kinds = names["kinds"]
    other = {*names["rules"]["doubtful"].lower().split()}
    other |= {*kinds["city"].split(), *kinds["region"].split()}
    return frozenset(kinds["given"].split()) - other


def _owned(possessive: str) -> float:
    """How surely what stands behind a possessive is said of one person."""
    if possessive in {"their", "leur", "your"}:
        return _LOOSE
    return _NAMED if possessive.startswith(("m", "our", "uns", "no")) else _THIRD


class Lead:
    """The words of the sentence that stand before a fact.

    Args:
        text: As written.
        low: In small letters.
        end: Where the words end.
        fact: Where the fact begins; what lies further than CONTEXT before it is not read.
    """

    def __init__(self, text: str, low: str, end: int, fact: int) -> None:
        begin = max(0, fact - CONTEXT)
        before = _DOTTED.sub(lambda m: m[0][:-1] + " ", low[begin:end])
        stops = [stop.end() for stop in _STOP.finditer(before)]
        skip = stops[-1] if stops else 0
        found = list(_WORD.finditer(before, skip))
        if begin and not stops:
            found = found[1:]  # its beginning may not be in sight
        self._words = [match[0] for match in found]
        self._capital = [text[begin + match.start()].isupper() for match in found]
        self._whole = bool(begin == 0 or stops)

    def tied(self, known: Tongue, verbs: tuple[str, ...], before: tuple[str, ...]) -> float:
        """How surely a fact is tied to a person by one of the verbs; 0 when it is not.

        Args:
            known: The language.
            verbs: The verbs, by name.
            before: Words that must stand right before the fact.
        """
        best = 0.0
        for end in self._fills(known, before):
            if "own" in verbs:
                best = max(best, self._owner(known, end))
            for verb in verbs:
                best = max(best, self._alone(known, verb, end))
                phrases = known.verbs.get(verb, frozenset())
                for size in self._ending(phrases, end):
                    best = max(best, self._subject(known, end - size, roles=verb == "with"))
        return round(best, 3)

    def person_alone(self, known: Tongue, before: tuple[str, ...]) -> float:
        """How surely a person stands there without a verb, which may follow."""
        ends = self._fills(known, before)
        return round(max((self._subject(known, end) for end in ends), default=0.0), 3)

    def _fills(self, known: Tongue, before: tuple[str, ...]) -> Iterator[int]:
        """Yield the places before words of `fill`, once `before` has been taken off."""
        end = len(self._words) - len(before)
        if end >= 0 and tuple(self._words[end:]) == before:
            yield from self._before(end, known.fill, _FILLS)

    def subject(self, known: Tongue) -> float:
        """How surely the words end with a person and auxiliary verbs."""
        return round(self._subject(known, len(self._words)), 3)

    def _before(self, end: int, words: Phrases, most: int) -> Iterator[int]:
        """Yield the places before some words that may be skipped, beginning with none."""
        yield end
        for _ in range(most):
            number = int(end > 0 and self._words[end - 1].isdigit())
            size = max(self._ending(words, end, 2), default=number)
            if not size:
                return
            end -= size
            yield end

    def _ending(self, phrases: Phrases, end: int, most: int = _LONGEST) -> Iterator[int]:
        for size in range(1, min(most, end) + 1):
            if tuple(self._words[end - size : end]) in phrases:
                yield size

    def _alone(self, known: Tongue, verb: str, end: int) -> float:
        phrases = known.alone.get(verb, frozenset())
        for size in self._ending(phrases, end):
            if not self._is(known.deny, end - size - 1):
                return self._weigh(known, _NAMED, end - size)
        return 0.0

    def _owner(self, known: Tongue, end: int) -> float:
        if self._is(known.own, end - 1):
            return self._weigh(known, _owned(self._words[end - 1]), end - 1)
        if end and self._words[end - 1] == "s":
            score, begin = self._noun(known, end - 1)
            return self._weigh(known, score, begin)
        return 0.0

    def _subject(self, known: Tongue, end: int, *, roles: bool = False) -> float:
        best = 0.0
        for place in self._before(end, known.aside, 0 if roles else _ASIDES):
            score, begin = self._noun(known, place)
            if not score and not roles:
                score, begin = self._pronoun(known, place)
            best = max(best, self._weigh(known, score, begin))
        return best

    def _pronoun(self, known: Tongue, end: int) -> tuple[float, int]:
        if self._is(known.first, end - 1):
            return _FIRST, end - 1
        return (_THIRD if self._is(known.third, end - 1) else 0.0), end - 1

    def _noun(self, known: Tongue, end: int) -> tuple[float, int]:
        """A noun for a person, or a name, that ends there: how surely, and where it begins."""
        best, begin = 0.0, end
        for size in self._ending(known.roles, end, 2):
            best, begin = self._role(known, end - size), end - size
        if best < _NAMED and self._name(known, end):
            best, begin = _NAMED, end - 1
        return best, begin

    def _role(self, known: Tongue, at: int) -> float:
        if at == 0:
            return _THIRD if self._whole else 0.0
        for place in range(at - 1, max(-1, at - 4), -1):
            if self._is(known.own, place):
                return _OWN
            if self._is(known.definite, place) and not self._is(known.loose, place - 1):
                return _THIRD
            if self._is(known.loose, place):
                return _LOOSE
        return _THIRD if at == 1 and self._words[0].isdigit() else _LOOSE

    def _name(self, known: Tongue, end: int) -> bool:
        """Whether a name ends there: after a title, a given name, or a placeholder for one."""
        if end < 1:
            return False
        last = self._words[end - 1]
        if last.isdigit() and end > 1:
            return self._words[end - 2] == "person" and self._capital[end - 2]
        for place in range(end - 1, max(-1, end - 1 - _TITLE_NAMES), -1):
            if not self._capital[place]:
                return False
            if self._words[place] in _given():
                return True
            if self._is(known.titles, place - 1):
                return True
        return False

    def _is(self, words: Phrases, place: int) -> bool:
        return 0 <= place < len(self._words) and (self._words[place],) in words

    def _weigh(self, known: Tongue, score: float, begin: int) -> float:
        """Halve the score of what is asked, supposed or told as a story."""
        if self._is(known.own | known.definite, begin - 1):
            begin -= 1
        doubt = any(self._is(known.doubt, place) for place in range(begin))
        return score / 2 if doubt or self._is(known.ask, begin - 1) else score
