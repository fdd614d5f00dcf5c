"""Whole words of a text that comes in pieces: the same ones, wherever it is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keelmark.guard._patterns import lower

LONGEST = 64
"""Characters of the longest word; a longer one may be cut short, and is to be left out."""


def small(text: str) -> str:
    """Small letters, every offset kept, and the same ones wherever the text is cut."""
    return lower(text).replace("ς", "σ")


class Pieces:
    """Keeps the word that is not whole yet.

    Args:
        word: Pattern of a word; what goes on with the next piece must not match otherwise alone.
        alone: Pattern of a word that is whole as soon as it is there.
        tail: What is kept of a text so far.
    """

    __slots__ = ("_alone", "_tail", "_word")

    def __init__(self, word: re.Pattern[str], alone: re.Pattern[str], tail: str = "") -> None:
        self._word = word
        self._alone = alone
        self._tail = tail

    def copy(self) -> Pieces:
        """One that goes on from here by itself."""
        return Pieces(self._word, self._alone, self._tail)

    def ahead(self, text: str) -> list[str]:
        """The words that reading on would give, the last of them whole or not."""
        return self._word.findall(self._tail + text)

    def words(self, text: str) -> list[str]:
        """Read on as `read` does; return the words that are whole, without their places."""
        text = self._tail + text
        found = self._word.findall(text)
        self._tail = ""
        if found and text.endswith(found[-1]) and self._alone.match(found[-1]) is None:
            self._tail = found.pop()[-LONGEST - 2 :]
        return found

    def read(self, text: str) -> Iterator[tuple[str, int]]:
        """Read on: yield each word that is whole, and where in the text that shows.

        That is the character behind it, or the word itself where it stands alone. The iterator
        must be read to its end.
        """
        before = len(self._tail)
        text = self._tail + text
        done = 0
        for match in self._word.finditer(text):
            end, word = match.end(), match[0]
            alone = self._alone.match(word) is not None
            if end == len(text) and not alone:
                break
            done = end
            yield word, end - before - alone
        self._tail = text[max(done, len(text) - LONGEST - 2) :]
