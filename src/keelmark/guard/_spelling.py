"""Words that attacks are made of, spelled so that a model still reads them: broken, mistyped.

`ig-nore`, `IGN_ORE`, `instruc-` and `tions` on the next line; a letter that is missing, doubled or
swapped with the next, but not the first one, which people hardly ever mistype.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keelmark.guard.normalise import Piece

_WRITTEN = """
above all any anything assistant bypass command commands constraint constraints developer
directions directive directives disregard disregarding earlier everything filters following forget
forgetting guideline guidelines hidden ignore ignoring initial instead instruction instructions
jailbreak limitations mode original override overriding password passwords policies preceding
pretend previous previously print prior prompt prompts repeat restriction restrictions
reveal rules safeguards safety secret secrets show system the uncensored unfiltered unrestricted
without your
"""
TELLING = frozenset(_WRITTEN.split())
"""Words that say what an attack is about; to be read in other spellings, not to be found."""

_BREAKABLE = frozenset(word for word in TELLING if len(word) >= 5)
_COMPANY = TELLING - {"the"}
_NEAR = 60  # characters between words
_BEGUN = frozenset(word[:end] for word in _BREAKABLE for end in range(1, len(word)))
_SENTENCE = 3  # words of it that stand together
_LONGEST = max(map(len, TELLING))
_MARK = "[-._~*|·•‧‐‑–]"
# Begun at a mark: that is what makes the search fast.
_BROKEN = re.compile(
    rf"{_MARK}(?<=[A-Za-z].){_MARK}?(?:\r?\n[ \t]{{0,8}})?[A-Za-z]+(?:{_MARK}{{1,2}}[A-Za-z]+)*+"
)
_END = re.compile(r"[A-Za-z]+\Z")
_LETTERS = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,}(?![A-Za-z])")
_REAL = frozenset(["revel"])  # other words


def _typing_errors(word: str) -> Iterator[str]:
    """Yield a word with two letters swapped; of longer words also with one missing or doubled."""
    for at in range(1, len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if len(word) > 5:
            yield word[:at] + word[at + 1 :]
            yield word[:at] + word[at] + word[at:]


_MEANT = {
    typed: word
    for word in sorted(_BREAKABLE)
    for typed in _typing_errors(word)
    if typed not in TELLING | _REAL
}
MISTYPED = frozenset(_MEANT)
"""Words that are read as one of `TELLING`, in small letters."""


def mistyped(text: str) -> Iterator[Piece]:
    """Yield the words of a text that are in `MISTYPED`, where another of `TELLING` is near."""
    before: Piece | None = None  # a mistyped word that waits for company
    end = -_NEAR - 1  # of the last word
    for match in _WORD.finditer(text):
        word = match[0].lower()
        meant = _MEANT.get(word)
        if meant is None and word not in _COMPANY:
            continue
        near = match.start() - end <= _NEAR
        if before and near:
            yield before
        piece = meant and Piece(match.start(), match.end(), meant)
        before = None
        if piece and near:
            yield piece
        elif piece:
            before = piece
        end = match.end()


def is_broken(token: str) -> bool:
    """Whether a run of small letters and hyphens, which stand for any mark, has a broken word."""
    parts = [part for part in token.split("-") if part]
    return not _BEGUN.isdisjoint(parts) and any(many > 1 for many, _ in _read(parts))


def broken(text: str) -> Iterator[Piece]:
    """Yield the words of a text that are one of `TELLING` but for marks between letters.

    Where such words and others of `TELLING` stand with marks between them, all is one piece.
    """
    for match in _BROKEN.finditer(text):
        before = _END.search(text, max(0, match.start() - _LONGEST), match.start())
        begin = before.start() if before else match.start()
        parts = list(_LETTERS.finditer(text, begin, match.end()))
        words = list(_read([part[0].lower() for part in parts]))
        if all(many == 1 for many, _ in words):
            continue
        if sum(word in TELLING for _, word in words) >= _SENTENCE:
            yield Piece(begin, match.end(), " ".join(word for _, word in words))
            continue
        number = 0
        for many, word in words:
            if many > 1:
                yield Piece(parts[number].start(), parts[number + many - 1].end(), word)
            number += many


def _read(parts: list[str]) -> Iterator[tuple[int, str]]:
    """Yield words that parts make: of how many parts, and the word that is meant."""
    number = 0
    while number < len(parts):
        many, word = 1, parts[number]
        whole, follows = word, number + 1
        while whole in _BEGUN and follows < len(parts):
            whole += parts[follows]
            follows += 1
            if whole in _BREAKABLE:
                many, word = follows - number, whole
        yield many, word
        number += many
