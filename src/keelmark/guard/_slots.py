"""Phrases of several slots, each filled by one of many words: `<drop>~<prior>~<rules>`.

A text is taken apart once, into its Latin words by their first letters; the words of a slot are
looked up there, words of other scripts as they stand. Slots are joined by their places: the cost
is linear whatever the text repeats.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from keelmark.guard._patterns import both_views, compiled

BLANK = r"[\s*_]{1,3}"
KEY = 4
"""Letters of a Latin word that tell it from others at the first look."""

LATIN = re.compile("[a-z]+")
_APART = bytes(code if LATIN.match(chr(code)) else 32 for code in range(256))
_GAPS = {"%": 16, "~": 40, "^": 100}
_FULL_STOP = re.compile(r"[.!?](?!\S)|[。！？]")
_ANY_WORDS = r"(?:[^\s.!?。]{1,14} ){0,3}"
_ENDING = r"[^\s.,;:!?。，！？]{0,12}"
_TRIES = 4  # words of a slot that are tried after the one before it
_WIDEST = 96  # characters of a word with its ending


class Word(NamedTuple):
    """A word of a slot.

    Attributes:
        key: Of the Latin word that it begins with; "" when it has to be searched for.
        found_by: How it begins.
        holds: Its longest piece without a blank.
        whole: Pattern of what must stand there; compiled when it is first looked for, because few
            of the thousands of words ever are.
    """

    key: str
    found_by: str
    holds: str
    whole: str


class Slot(NamedTuple):
    """The words that may fill a slot, and those that are looked up, by their keys."""

    words: tuple[Word, ...]
    keyed: dict[str, tuple[Word, ...]]
    searched: tuple[Word, ...]


class Phrase(NamedTuple):
    """Slots, each with the longest gap before it in characters."""

    slots: tuple[str, ...]
    gaps: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Characters of the longest match."""
        return sum(self.gaps) + _WIDEST * len(self.slots)


def phrase(source: str) -> Phrase:
    """Read a phrase: `<slot>` in turn with `%`, `~` or `^`, the gaps between."""
    return Phrase(
        tuple(re.findall(r"<(\w+)>", source)),
        (0, *(_GAPS[gap] for gap in re.findall("[%~^]", source))),
    )


def slots(language: dict[str, Any]) -> dict[str, Slot]:
    """Read the slots of a language.

    Args:
        language: Words in small letters by slot. `*` behind a word: it may go on; ` * `: up to
            three other words. `joins`: words stand together with others, without blanks.
    """
    joins = "joins" in language
    return {name: _slot(of, joins=joins) for name, of in language.items() if name != "joins"}


def _slot(written: list[str], *, joins: bool) -> Slot:
    words = tuple(_word(word, joins=joins) for word in both_views(written))
    keyed: dict[str, tuple[Word, ...]] = {}
    for word in words:
        if word.key:
            keyed[word.key] = (*keyed.get(word.key, ()), word)
    return Slot(words, keyed, tuple(word for word in words if not word.key))


def _word(written: str, *, joins: bool) -> Word:
    begins = LATIN.match(written)
    key = begins[0] if begins else ""
    if len(key) < KEY and written[len(key) : len(key) + 1] == "*":
        key = ""  # the word in the text may be longer than what is known of it
    found_by = re.split("[ *]", written)[0]
    holds = max(re.split("[ *]+", written), key=len)
    return Word(key[:KEY], found_by, holds, _whole(written, joins=joins))


def _whole(word: str, *, joins: bool) -> str:
    """A pattern for a word as the tables write it."""
    before, after = ("", "") if joins else (r"(?<![^\W\d_])", r"(?![^\W\d_])")
    parts = [
        _ANY_WORDS
        if part == "*"
        else re.escape(part.rstrip("*")) + (_ENDING if part.endswith("*") else "")
        for part in word.split(" ")
    ]
    return (
        before
        + BLANK.join(parts).replace(_ANY_WORDS + BLANK, _ANY_WORDS)
        + ("" if word[-1] == "*" else after)
    )


class Reading:
    """A piece of a text in small letters, taken apart once.

    Attributes:
        text: The whole text.
        start: Where the piece begins.
        end: Where it ends.
        keys: Keys of all its Latin words.
    """

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.start = start
        self.end = end
        plain = text[start:end].encode("ascii", "replace").translate(_APART).decode("ascii")
        self._words = plain.split(" ")
        self.keys = {word[:KEY] for word in set(self._words)}

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Where the Latin words stand in the text, by their keys."""
        places: dict[str, list[int]] = {}
        at = self.start
        for word in self._words:
            if word:
                key = word[:KEY]
                if key in places:
                    places[key].append(at)
                else:
                    places[key] = [at]
            at += len(word) + 1
        return places

    @cached_property
    def stops(self) -> list[int]:
        """Where sentences end."""
        found = _FULL_STOP.finditer(self.text, self.start, min(self.end + 1, len(self.text)))
        return [match.start() for match in found]


class Spots(NamedTuple):
    """Where the words of a slot stand: beginnings, ends, and the sentences of both."""

    starts: list[int]
    ends: list[int]
    begun_in: list[int]
    ended_in: list[int]


_NOWHERE = Spots([], [], [], [])


class Places:
    """Where the words of a language stand in a text; looked up when asked for, once."""

    def __init__(self, reading: Reading, language: dict[str, Slot]) -> None:
        self._reading = reading
        self._language = language
        self._found: dict[str, Spots] = {}

    def has(self, slot: str) -> bool:
        """Whether a word of a slot is there."""
        return bool(self.of(slot).starts)

    def of(self, slot: str) -> Spots:
        """Return where the words of a slot stand."""
        if slot not in self._found:
            longest: dict[int, int] = {}
            for at, end in self._matches(self._language[slot]):
                if end > longest.get(at, 0):
                    longest[at] = end
            if not longest:
                self._found[slot] = _NOWHERE
                return _NOWHERE
            starts = sorted(longest)
            ends = [longest[start] for start in starts]
            stops = self._reading.stops
            self._found[slot] = Spots(
                starts,
                ends,
                [bisect_left(stops, start) for start in starts],
                [bisect_left(stops, end) for end in ends],
            )
        return self._found[slot]

    def _matches(self, slot: Slot) -> Iterator[tuple[int, int]]:
        text, start, end = self._reading.text, self._reading.start, self._reading.end
        for key in slot.keyed.keys() & self._reading.keys:
            for word in slot.keyed[key]:
                if (
                    text.find(word.holds, start, end) < 0
                    or text.find(word.found_by, start, end) < 0
                ):
                    continue  # another word with the same key; most are
                whole = compiled(word.whole)
                for at in self._reading.places.get(key, ()):
                    if match := whole.match(text, at):
                        yield match.span()
        for word in slot.searched:
            at = text.find(word.found_by, start, end)
            while at >= 0:
                if match := compiled(word.whole).match(text, at):
                    yield match.span()
                at = text.find(word.found_by, at + 1, end)

    def end(self, wanted: Phrase, at: int) -> int:
        """Return where a phrase ends that begins with the word of this number; 0 if none does."""
        first = self.of(wanted.slots[0])
        return self._rest(wanted, 1, first.ends[at], first.ended_in[at])

    def _rest(self, wanted: Phrase, number: int, end: int, sentence: int) -> int:
        if number == len(wanted.slots):
            return end
        starts, ends, begun_in, ended_in = self.of(wanted.slots[number])
        first, farthest = bisect_left(starts, end), end + wanted.gaps[number]
        for at in range(first, min(first + _TRIES, len(starts))):
            if starts[at] > farthest or begun_in[at] != sentence:
                return 0
            if last := self._rest(wanted, number + 1, ends[at], ended_in[at]):
                return last
        return 0
