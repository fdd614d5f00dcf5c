"""Words that attacks are made of, spelled so that a model still reads them.

Broken: `ig-nore`, `IGN_ORE`, `instruc-` and `tions` on the next line. Mistyped: a letter that is
missing, doubled, swapped with the next or its neighbour on the keyboard, but not the first one,
which people hardly ever mistype. Glued: `ignoreAllPreviousInstructions`.
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
_REAL = frozenset(["revel", "forger", "forgers"])  # other words
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SMALL = (
    "a an and are as at be by do for from give given i in is it me must my no not now of on or out "
    "please say should tell that these this those to told us what will with you"
)
_GLUED_WORD = re.compile("|".join(sorted({*TELLING, *_SMALL.split()}, key=len, reverse=True)))
_GLUED = re.compile(f"(?:{_GLUED_WORD.pattern}){{4,}}+")
_GLUED_LENGTH = 14
_LONG = re.compile(rf"(?<![A-Za-z])[A-Za-z]{{{_GLUED_LENGTH},}}(?![A-Za-z])")
_LONG_WORDS = 2  # words of five letters or more that something glued has at least


def _neighbours() -> dict[str, str]:
    """The keys beside each one in its row, and below it."""
    out: dict[str, str] = dict.fromkeys("".join(_KEYS), "")
    for row, below in zip(_KEYS, (*_KEYS[1:], ""), strict=True):
        for at, key in enumerate(row):
            beside = row[max(0, at - 1) : at] + row[at + 1 : at + 2]
            under = below[max(0, at - 1) : at + 1]
            out[key] += beside + under
            for one in under:
                out[one] += key
    return out


_NEXT = _neighbours()


def _typing_errors(word: str) -> Iterator[str]:
    """Yield a word with two letters swapped; of longer ones also with one missing or another."""
    for at in range(1, len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if len(word) > 5:
            yield word[:at] + word[at + 1 :]
            yield word[:at] + word[at] + word[at:]
            yield from (word[:at] + key + word[at + 1 :] for key in _NEXT[word[at]])
    if len(word) > 5:
        yield from (word[:-1] + key for key in _NEXT[word[-1]])


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


def is_glued(token: str) -> bool:
    """Whether a run of small letters holds words that stand together without spaces."""
    return len(token) >= _GLUED_LENGTH and _unglued(token) is not None


def glued(text: str) -> Iterator[Piece]:
    """Yield the runs of letters of a text in which such words are glued, with their spaces."""
    for match in _LONG.finditer(text):
        if spaced := _unglued(match[0].lower()):
            yield Piece(match.start(), match.end(), spaced)


def _unglued(token: str) -> str | None:
    some = any(word in token for word in _BREAKABLE)
    found = _GLUED.search(token) if some else None
    words = _GLUED_WORD.findall(found[0]) if found else []
    if found is None or len(set(words) & _BREAKABLE) < _LONG_WORDS:
        return None
    return " ".join((token[: found.start()], *words, token[found.end() :])).strip()


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
