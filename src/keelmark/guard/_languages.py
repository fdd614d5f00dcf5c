"""Which language a text is in: small words that every sentence has, and scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from keelmark.guard._patterns import table
from keelmark.guard._pieces import LONGEST, Pieces
from keelmark.guard.normalise import fold

ENOUGH = 5.0
"""By how much a language must lead: about so many small words, or twice as many characters."""

MOST = 1.0
"""The most that one token adds to a language's lead."""

_SHOWN = 1.5  # the same for a text as a whole
UNTOLD = "und"
"""The code for a language that cannot be told (ISO 639-2)."""
_STRANGE = 0.2  # of the letters
_SEVERAL = 7  # words
FADE = 0.97
"""What is left of everything so far after one more token that tells something."""

_KANA = "\u3041-\u30ff"
_HAN = "\u3400-\u9fff\uf900-\ufaff"
_CJK = f"{_KANA}{_HAN}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # no spaces between words
_ALONE = re.compile(f"[{_CJK}]|```")
_HAN_COUNTS = (("zh", 0.5), ("ja", 0.3))
_KANA_COUNTS = (("ja", 0.6), ("zh", -0.3))


class _Known(NamedTuple):
    words: dict[str, tuple[tuple[str, float], ...]]
    scripts: tuple[tuple[re.Pattern[str], tuple[tuple[str, float], ...]], ...]
    languages: frozenset[str]


@cache
def _known() -> _Known:
    rows = table("languages")
    words: dict[str, list[tuple[str, float]]] = {}
    for language, line in rows["words"].items():
        for word in dict.fromkeys(line.split()):
            if len(word) > 1 or not word.isascii():  # tables and formulas are full of letters
                words.setdefault(word, []).append((language, 1.0))
    scripts = tuple(
        (re.compile(f"[{span}]"), ((language, 0.6),)) for language, span in rows["scripts"].items()
    )
    spoken = frozenset([*rows["words"], *rows["scripts"], "zh", "ja"])
    return _Known({word: tuple(all_) for word, all_ in words.items()}, scripts, spoken)


def known() -> frozenset[str]:
    """The codes of the languages that can be told (ISO 639-1)."""
    return _known().languages


@cache
def _token() -> re.Pattern[str]:
    """One character of a script without spaces, a word, or a fence of code."""
    letter = rf"[^\W\d_{_CJK}]"
    return re.compile(
        rf"[{_CJK}]|(?<!{letter})(?<!{letter}['’\u200c]){letter}[^\W\d_{_CJK}\u0300-\u036f]*"
        rf"(?:[\u0300-\u036f\u0590-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0980-\u0dff"
        rf"'’\u200c]+{letter}*)*|```"
    )


class Lead(NamedTuple):
    """A language, its score, and the best score of those it is compared with."""

    language: str
    most: float
    rest: float


class Reading:
    """What a text has shown so far: a function of its characters, whatever the pieces."""

    __slots__ = ("_code", "_pieces", "_scores", "said")

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}
        self._code = False
        self._pieces = Pieces(_token(), _ALONE)
        self.said: frozenset[str] = frozenset()

    def copy(self) -> Reading:
        """A reading that goes on from here by itself."""
        other = Reading()
        other._scores, other._code = dict(self._scores), self._code
        other._pieces, other.said = self._pieces.copy(), self.said
        return other

    def read(self, text: str) -> Iterator[int]:
        """Read on; yield where in the text, after each token that told something.

        A word tells something when the character behind it has come, and that is the place.
        """
        for word, at in self._pieces.read(text):
            if self._tells(word):
                yield at

    def _tells(self, word: str) -> bool:
        if word == "```":
            self._code = not self._code
            return False
        counts = () if self._code or len(word) > LONGEST else evidence(word)
        if counts:
            scores = self._scores
            for language in scores:
                scores[language] *= FADE
            for language, weight in counts:
                scores[language] = scores.get(language, 0.0) + weight
        return bool(counts)

    def lead(self, over: frozenset[str]) -> Lead:
        """The language that leads and is not one of some, and how far those have come."""
        best, most, rest = "", 0.0, 0.0
        for name, score in self._scores.items():
            if name in over:
                rest = max(rest, score)
            elif score > most:
                best, most = name, score
        return Lead(best, most, rest)


@lru_cache(1 << 14)
def evidence(word: str) -> tuple[tuple[str, float], ...]:
    """The languages that a word speaks for, and how much."""
    counts = _known().words.get(word.lower().replace("’", "'").rstrip("'"))
    if counts is not None or word.isascii():
        return counts or ()
    first = word[0]
    if re.match(f"[{_KANA}]", first):
        return _KANA_COUNTS
    if re.match(f"[{_HAN}]", first):
        return _HAN_COUNTS
    return next((counts for span, counts in _known().scripts if span.match(first)), ())


@cache
def _folded() -> dict[str, tuple[tuple[str, float], ...]]:
    """The small words as they read when folded, in lower case."""
    out: dict[str, dict[str, float]] = {}
    for word, counts in _known().words.items():
        for written in (word, word.capitalize()):
            out.setdefault(fold(written).lower(), {}).update(counts)
    return {word: tuple(counts.items()) for word, counts in out.items()}


@lru_cache(1 << 14)
def _folded_evidence(word: str) -> tuple[tuple[str, float], ...]:
    counts = _folded().get(fold(word).lower().rstrip("'"))
    if counts is not None or word.isascii():
        return counts or ()
    others = (evidence(char) for char in word if not char.isascii())
    return next((counts for counts in others if counts), ())


class Shown(NamedTuple):
    """A word, and the languages that it speaks for."""

    start: int
    end: int
    counts: tuple[tuple[str, float], ...]


def shown(text: str, start: int, end: int) -> Iterator[Shown]:
    """Yield words that tell something: begun at or after `start`, ended before `end` or the text.

    The text may be folded. A word that began before `start` is left out as a whole.
    """
    limit = end if end < len(text) else end + 1
    for match in _token().finditer(text, start, end):
        first, last = match.span()
        if last >= limit:
            return
        word = match[0]
        cut = first > 0 and _goes_on(text[first - 1]) and not _ALONE.match(word)
        if not cut and len(word) <= LONGEST and (counts := _folded_evidence(word)):
            yield Shown(first, last, counts)


def _goes_on(char: str) -> bool:
    """Whether a word may go on after a character."""
    return char in "'’\u200c" or ("a" + char).isidentifier()


def language(text: str) -> str:
    """The language of a text; "" when it does not show, as in short ones."""
    reading = Reading()
    for _ in reading.read(text + "\n"):
        pass
    best = reading.lead(frozenset()).language
    _, most, rest = reading.lead(frozenset([best]))
    return best if rest - most >= _SHOWN else ""


def language_of_folded(text: str) -> str:
    """The language of a folded text, whose letters may have been drawn into another script.

    "" where it does not show, UNTOLD where no language shows but another alphabet, or several
    words none of which is a small one of English.
    """
    scores: dict[str, float] = {}
    for word in shown(text, 0, len(text)):
        for code, weight in word.counts:
            scores[code] = scores.get(code, 0.0) + weight
    best = max(scores, key=scores.__getitem__, default="")
    rest = max((score for code, score in scores.items() if code != best), default=0.0)
    if scores.get(best, 0.0) - rest >= _SHOWN:
        return best
    letters = [char for char in text if char.isalpha()]
    strange = sum(not char.isascii() for char in letters) > _STRANGE * len(letters)
    return UNTOLD if strange or ("en" not in scores and len(text.split()) >= _SEVERAL) else ""


def wants_another(text: str) -> bool:
    """Whether a question may want an answer in another language than its own."""
    low = text.lower()
    return any(part in low for part in table("languages")["asks"]["parts"])
