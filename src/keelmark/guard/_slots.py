"""Phrases of several slots, each filled by one of many words: `<drop>~<prior>~<rules>`.

The words of a slot are looked up as they stand, so a text that has none of them costs next to
nothing, and slots are joined by their places: the cost is linear whatever the text repeats.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.guard._patterns import both_views

BLANK = r"[\s*_]{1,3}"
_GAPS = {"%": 16, "~": 40, "^": 100}
_FULL_STOP = re.compile(r"[.!?](?!\S)|[。！？]")
_ANY_WORDS = r"(?:[^\s.!?。]{1,14} ){0,3}"
_ENDING = r"[^\s.,;:!?。，！？]{0,12}"
_TRIES = 4  # words of a slot that are tried after the one before it
_WIDEST = 96  # characters of a word with its ending


class Word(NamedTuple):
    """A word of a slot: how it begins, what a text must hold, and what must stand there."""

    found_by: str
    needs: str
    whole: re.Pattern[str]


class Phrase(NamedTuple):
    """Slots, each with the longest gap before it in characters."""

    slots: tuple[str, ...]
    gaps: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Characters of the longest match."""
        return sum(self.gaps) + _WIDEST * len(self.slots)


Slots = dict[str, tuple[Word, ...]]


def phrase(source: str) -> Phrase:
    """Read a phrase: `<slot>` in turn with `%`, `~` or `^`, the gaps between."""
    return Phrase(
        tuple(re.findall(r"<(\w+)>", source)),
        (0, *(_GAPS[gap] for gap in re.findall("[%~^]", source))),
    )


def words(written: list[str], *, joins: bool) -> tuple[Word, ...]:
    """Return the words of a slot in both views.

    Args:
        written: In small letters; `*` behind a word: it may go on, ` * ` up to three other words.
        joins: Whether words stand together with others, without blanks between.
    """
    return tuple(
        Word(re.split("[ *]", word)[0], piece(word), re.compile(_whole(word, joins=joins)))
        for word in both_views(written)
    )


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


def piece(word: str) -> str:
    """What a text must contain to hold a word: its longest piece without a blank."""
    return max(re.split("[ *]+", word), key=len)


class Places:
    """Where the words of a language stand in a text; looked up when asked for, once.

    Args:
        text: In small letters.
        start: Where to begin.
        slots: The words of the language.
    """

    def __init__(self, text: str, start: int, slots: Slots) -> None:
        self._text = text
        self._start = start
        self._slots = slots
        self._found: dict[str, tuple[list[int], list[int]]] = {}
        self._seen: dict[str, bool] = {}
        self._stops: list[int] | None = None

    def matches(self, wanted: Phrase) -> Iterator[tuple[int, int]]:
        """Yield the spans of a phrase, one at most for every place of its first word."""
        if all(map(self._begun, wanted.slots)) and all(self._of(slot)[0] for slot in wanted.slots):
            for start, end in zip(*self._of(wanted.slots[0]), strict=True):
                last = self._rest(wanted, 1, end)
                if last:
                    yield start, last

    def _rest(self, wanted: Phrase, number: int, end: int) -> int:
        """Return where the rest of a phrase ends that begins near `end`; 0 when it does not."""
        if number == len(wanted.slots):
            return end
        starts, ends = self._of(wanted.slots[number])
        first = bisect_left(starts, end)
        for at in range(first, min(first + _TRIES, len(starts))):
            if starts[at] - end > wanted.gaps[number] or self._stopped(end, starts[at]):
                return 0
            if last := self._rest(wanted, number + 1, ends[at]):
                return last
        return 0

    def _begun(self, slot: str) -> bool:
        """Say cheaply whether a word of the slot may be there at all."""
        seen = self._seen.get(slot)
        if seen is None:
            text, seen = self._text, False
            for word in self._slots[slot]:
                if word.needs in text:
                    seen = True
                    break
            self._seen[slot] = seen
        return seen

    def _of(self, slot: str) -> tuple[list[int], list[int]]:
        if slot not in self._found:
            longest: dict[int, int] = {}
            for word in self._slots[slot]:
                at = self._text.find(word.found_by, self._start)
                while at >= 0:
                    if match := word.whole.match(self._text, at):
                        longest[at] = max(match.end(), longest.get(at, 0))
                    at = self._text.find(word.found_by, at + 1)
            starts = sorted(longest)
            self._found[slot] = starts, [longest[start] for start in starts]
        return self._found[slot]

    def _stopped(self, start: int, end: int) -> bool:
        """Whether a sentence ends between."""
        if self._stops is None:
            stops = _FULL_STOP.finditer(self._text, self._start)
            self._stops = [match.start() for match in stops]
        at = bisect_left(self._stops, start)
        return at < len(self._stops) and self._stops[at] < end
