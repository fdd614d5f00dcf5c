"""Text to the token numbers of BERT's uncased WordPiece, with the places they come from.

The same numbers as the reference implementation gives (Devlin et al. 2019, arXiv 1810.04805, and
the library `tokenizers`): control characters go, ideographs stand alone, accents go, small letters,
words and punctuation apart, then the longest known piece, again and again. In linear time: a word
of over 100 characters is one unknown token, and no piece is longer than the longest of the
vocabulary. Only some 500 characters that Unicode got since 2015 are read by newer tables than the
reference's; no vocabulary of that time has them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

_LONGEST_WORD = 100
_WORDS_KEPT = 16_384
_PLAIN = re.compile(r"[\t\n\r -~]*")
_PLAIN_WORD = re.compile(r"[0-9a-z]+|[^\s0-9a-z]")
_WORD = re.compile(r"[^ ]+")
_IDEOGRAPHS = (  # as the reference has them, with what it leaves out
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Token(NamedTuple):
    """A token and the span of the text, in code points, that it comes from."""

    number: int
    start: int
    end: int


class _Table(dict[str, str]):
    """What a character reads as: nothing, a space, itself or its parts, apart from its neighbours.

    Keeps what the world writes with; planes of characters without a meaning are not kept.
    """

    def __missing__(self, char: str) -> str:
        read = _read(char)
        if len(self) < _WORDS_KEPT:
            self[char] = read
        return read


def _read(char: str) -> str:
    code, kind = ord(char), unicodedata.category(char)
    if char in "\t\n\r":
        return " "
    if code == 0xFFFD or (kind[0] == "C" and kind != "Cn"):
        return ""
    if char.isspace():
        return " "
    bare = "".join(c for c in unicodedata.normalize("NFD", char) if unicodedata.category(c) != "Mn")
    bare = "".join(f" {c} " if _is_mark(c) else c for c in bare.lower())
    return f" {bare} " if any(first <= code <= last for first, last in _IDEOGRAPHS) else bare


def _is_mark(char: str) -> bool:
    """Whether a character is punctuation, with what else of ASCII is neither letter nor digit."""
    return unicodedata.category(char)[0] == "P" or ("!" <= char <= "~" and not char.isalnum())


_TABLE = _Table()


class WordPiece:
    """A vocabulary.

    Args:
        words: The tokens in the order of their numbers; those that go on within a word begin
            with `##`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._numbers = {word: number for number, word in enumerate(words)}
        self._longest = max(len(word) for word in words)
        self.cls, self.sep, self.unknown = (
            self._numbers[name] for name in ("[CLS]", "[SEP]", "[UNK]")
        )
        self._known = lru_cache(_WORDS_KEPT)(self._cut)
        self._read = lru_cache(_WORDS_KEPT)(self._said)

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of the tokens of a text, which takes a third of the time."""
        if _PLAIN.fullmatch(text):
            words = _PLAIN_WORD.findall(text.lower())
        else:
            words = "".join([_TABLE[char] for char in text]).split()
        unknown = (self.unknown,)
        read = (self._read(word) if len(word) <= _LONGEST_WORD else unknown for word in words)
        return list(chain.from_iterable(read))

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of a text, without those that mark its ends."""
        if _PLAIN.fullmatch(text):
            found, origin = _PLAIN_WORD.finditer(text.lower()), None
        else:
            read = [_TABLE[char] for char in text]
            origin = [index for index, said in enumerate(read) for _ in said]
            found = _WORD.finditer("".join(read))
        out: list[Token] = []
        for word in found:
            at = word.start()
            for number, size in self._pieces(word[0]):
                first, last = at, at + size - 1
                at += size
                if origin is not None:
                    first, last = origin[first], origin[last]
                out.append(Token(number, first, last + 1))
        return out

    def _said(self, word: str) -> tuple[int, ...]:
        return tuple(number for number, _ in self._known(word))

    def _pieces(self, word: str) -> tuple[tuple[int, int], ...]:
        return ((self.unknown, len(word)),) if len(word) > _LONGEST_WORD else self._known(word)

    def _cut(self, word: str) -> tuple[tuple[int, int], ...]:
        """The pieces of a word, numbers and lengths: one that is unknown if one of them is."""
        out: list[tuple[int, int]] = []
        at, size = 0, len(word)
        while at < size:
            for end in range(min(size, at + self._longest), at, -1):
                piece = word[at:end]
                number = self._numbers.get(f"##{piece}" if at else piece)
                if number is not None:
                    break
            else:
                return ((self.unknown, size),)
            out.append((number, end - at))
            at = end
        return tuple(out)
