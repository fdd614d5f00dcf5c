"""Word lists, compiled: words, phrases, their forms, and their disguises.

A text is read token by token, from left to right; where something on a list begins, the longest
of it is found and the reading goes on behind it. So what is found from one place on is found from
every place before it, which is what the law of the contract asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from keelmark.guard._patterns import table
from keelmark.guard._pieces import LONGEST, small
from keelmark.guard.contract import Hit
from keelmark.guard.normalise import fold

_JOINED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # no spaces between words
_LETTER = rf"[^\W_{_JOINED}]"
TOKEN = re.compile(
    rf"[{_JOINED}]|(?<!{_LETTER})(?<![@$]){_LETTER}+|[@$]{_LETTER}+"  # $hame begins with its $
)
WHOLE = re.compile(rf"[{_JOINED}]|(?<!{_LETTER}){_LETTER}+")
ALONE = re.compile(f"[{_JOINED}]")
Language = Literal["en", "de", "nl", "fr", "es", "it", "pt", "pl", "ru"]
Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{0,47}$")]

_APART = "-._~*+|!@$#"
_CHUNK = re.compile(rf"[@$]?{_LETTER}+(?:[{_APART}]{{1,3}}{_LETTER}*)*")
_BARE = str.maketrans("", "", "-._~*#")


class _Letters(dict[int, str | None]):
    """Lazily filled table for `str.translate` that leaves letters and digits."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        self[code] = left = char if char.isalnum() else None
        return left


_BONE = dict(zip("123456789@$|!+l0", "izeasgtbgasiitio", strict=True))
_LEET = str.maketrans(_BONE)
_PAIR = _Letters({ord(sign): bone for sign, bone in _BONE.items()})
_SIGNS = _Letters({ord(sign): bone for sign, bone in _BONE.items() if sign.isalnum()})
_THRICE = re.compile(rf"({_LETTER})\1\1")
_TWICE = re.compile(r"(.)\1+")
_ODD = re.compile(
    rf"(?<!{_LETTER}){_LETTER}(?!{_LETTER})|{_LETTER}[{_APART}]{{1,3}}{_LETTER}|[@$]"
    rf"|\d[^\W\d_]|[^\W\d_]\d|({_LETTER})\1\1"
)

_CALM = re.compile(  # prose: words of two letters and more
    r"""\s*+["'(]*+(?:[a-z]{2,}+[.,;:!?"')]*+(?:\s++["'(]*+|\Z))*+"""
)
_ASCII_WORD = re.compile("[a-z]+")

_CHUNK_LONGEST = 80
_GAP = 3
_FAR = "\u0e00"  # letters from here on have no disguise
_SHORTEST = 4  # letters of a word that is looked for in disguise
_SHORTEST_JOINED = 6  # the same, where a sign between its letters is the only disguise

_Tree = dict[str, "_Tree"]


class Entry(NamedTuple):
    """What is said where something on a list is found.

    Attributes:
        label: The list's.
        score: How sure it is.
        reason: Why.
        cased: Whether it counts only with a capital letter at its beginning.
    """

    label: str
    score: float
    reason: str
    cased: bool = False


class _Best(NamedTuple):
    """The longest that begins at a token, and whether that can no longer change."""

    end: int
    entry: Entry | None
    sure: bool


def tokens(text: str) -> list[str]:
    """The tokens of a text on a list, as the texts that are searched show them."""
    return TOKEN.findall(small(fold(text)))


def forms(word: str, languages: Iterable[str]) -> set[str]:
    """A word and its forms in some languages (`guard/tables/inflection.toml`)."""
    found = {word}
    for language in languages:
        for ending, others in table("inflection")[language].items():
            ending = fold(ending)  # noqa: PLW2901
            if word.endswith(ending) and len(word) - len(ending) >= 2:
                stem = word[: len(word) - len(ending)]
                found.update(stem + fold(other) for other in others)
    return found


class Words:
    """Everything that is looked for."""

    def __init__(self) -> None:
        self._tree: _Tree = {}
        self._entries: dict[int, Entry] = {}
        self._begins: dict[str, Entry] = {}
        self._inside: dict[str, Entry] = {}
        self._sizes: tuple[int, ...] = ()
        self._bones: dict[str, Entry] = {}
        self._masked: dict[str, Entry] = {}
        self._spaced: set[str] = set()
        self._pairs: set[str] = set()

    def add(self, words: Sequence[str], last: Iterable[str], entry: Entry) -> None:
        """Add a phrase: its tokens, and all forms of its last one. What is there already stays."""
        node = self._tree
        for word in words[:-1]:
            node = node.setdefault(word, {})
        for form in last:
            self._entries.setdefault(id(node.setdefault(form, {})), entry)

    def add_part(self, word: str, entry: Entry, *, inside: bool) -> None:
        """Add a word that others begin with, or have in them."""
        (self._inside if inside else self._begins).setdefault(word, entry)
        self._sizes = tuple(sorted({*self._sizes, len(word)}, reverse=True))

    def add_disguised(self, word: str, entry: Entry) -> None:
        """Add the disguises of a word: other signs for letters, signs between them, stars."""
        if (
            not _SHORTEST <= len(word) <= LONGEST // 2
            or not word.isalpha()
            or max(word) >= "\u0e00"
        ):
            return
        bones = word.translate(_LEET)
        self._pairs.update((bones[0], bones[:2]))
        for way in (bones, _TWICE.sub(r"\1", bones)):
            self._bones.setdefault(way, entry)
        self._spaced.update(bones[:end] for end in range(1, len(bones) + 1))
        for first in range(1, len(word) - 1):
            for end in range(first + 1, min(len(word), first + 1 + len(word) // 2)):
                mask = word[:first] + "*" * (end - first) + word[end:]
                self._masked.setdefault(mask, entry)

    def quiet(self, held: str) -> bool:
        """Whether nothing on a list can begin in a text, but in its last token."""
        low = small(held)
        if _CALM.fullmatch(low):
            found = _ASCII_WORD.findall(low)
            odd = self._bones and _THRICE.search(low)
        else:
            found = TOKEN.findall(low)
            odd = self._bones and _ODD.search(low)
        if odd:
            return False
        if not self._tree.keys().isdisjoint(found):
            return False
        return not self._sizes or not any(self._part(token) for token in found)

    def read(self, text: str, start: int) -> tuple[list[Hit], int]:
        """Return what is found from an index on, and from where on that may still change."""
        low = small(text)
        spans = [match.span() for match in TOKEN.finditer(low, start)]
        thrice = bool(self._bones) and _THRICE.search(low, start) is not None
        hits: list[Hit] = []
        opened, behind = len(low), start
        for at, (first, end) in enumerate(spans):
            if first < behind or (end < len(low) and self._plain(low, first, end, thrice=thrice)):
                continue
            best = self._best(text, low, spans, at)
            if not best.sure:
                opened = min(opened, first)
            if best.entry:
                entry, behind = best.entry, best.end
                hits.append(Hit(entry.label, entry.score, first, behind, entry.reason))
        if low[start:].endswith(("@", "$")):
            opened = min(opened, len(low) - 1)
        return hits, opened

    def _plain(self, low: str, first: int, end: int, *, thrice: bool) -> bool:
        """Whether a token begins nothing that is looked for."""
        token = low[first:end]
        if token in self._tree or self._sizes:
            return False
        if not self._bones:
            return token[0] not in "@$"
        if not (thrice or end - first == 1 or low[end] in _APART or not token.isalpha()):
            return True
        if low[first] >= _FAR:
            return True
        if thrice and low[first + 1 : first + 3] == 2 * low[first]:
            return False
        near = low[first : first + 3 + _GAP]
        pairs = {near.translate(_PAIR)[:2], near.translate(_SIGNS)[:2]}
        if "*" in near or "#" in near:
            pairs = {pair[:1] for pair in pairs}
        return pairs.isdisjoint(self._pairs)

    def _best(self, text: str, low: str, spans: Sequence[tuple[int, int]], at: int) -> _Best:
        first, end = spans[at]
        if end - first > LONGEST:
            return _Best(end, None, sure=True)
        found = [self._phrase(low, spans, at)]
        if self._sizes:
            found.append(_Best(end, self._part(low[first:end]), sure=end < len(low)))
        if self._bones:
            found += (self._chunk(low, first, end), self._letters(low, spans, at))
        sure = all(one.sure for one in found)
        capital = text[first : first + 2].lstrip("@$")[:1].isupper()
        good = [one for one in found if one.entry and (capital or not one.entry.cased)]
        if not good:
            return _Best(end, None, sure)
        longest = max(good, key=lambda one: (one.end, one.entry.score if one.entry else 0))
        return longest._replace(sure=sure)

    def _phrase(self, low: str, spans: Sequence[tuple[int, int]], at: int) -> _Best:
        """The longest phrase whose words stand there as they are."""
        node, best, size = self._tree, _Best(spans[at][1], None, sure=True), len(low)
        behind = spans[at][0]
        for number in range(at, len(spans)):
            first, end = spans[number]
            if first - behind > _GAP:
                return best
            grows = end == size and not _is_joined(low[first])
            below = node.get(low[first:end].lstrip("@$"))
            if below is None:
                return best._replace(sure=best.sure and not grows)
            node, behind = below, end
            if entry := self._entries.get(id(node)):
                best = _Best(end, entry, sure=True)
            if grows:
                return best._replace(sure=False)
            if not node:
                return best
        return best._replace(sure=size - behind > _GAP)

    def _part(self, token: str) -> Entry | None:
        """The entry of a word that a token begins with or has in it."""
        token = token.lstrip("@$")
        if len(token) > LONGEST:
            return None
        for size in self._sizes:
            if entry := self._begins.get(token[:size]):
                return entry
            for at in range(len(token) - size + 1) if self._inside else ():
                if entry := self._inside.get(token[at : at + size]):
                    return entry
        return None

    def _chunk(self, low: str, first: int, end: int) -> _Best:
        """A word with other signs for letters, with signs between them, or with stars."""
        chunk = _CHUNK.match(low, first, first + _CHUNK_LONGEST + 2)
        stop = chunk.end() if chunk else end
        sure = stop < len(low) or stop - first > _CHUNK_LONGEST
        ends = [end]
        if stop - first <= _CHUNK_LONGEST:
            ends.insert(0, first + len(low[first:stop].rstrip(_APART.replace("$", ""))))
        for last in ends:
            if entry := self._unmasked(low[first:last]):
                return _Best(last, entry, sure)
        return _Best(end, None, sure)

    def _unmasked(self, word: str) -> Entry | None:
        if entry := self._masked.get(word.replace("#", "*")):
            return entry
        bare = word.translate(_BARE)
        thrice = _THRICE.search(bare)
        if bare.isalpha() and not thrice and (bare == word or len(bare) < _SHORTEST_JOINED):
            return None
        if not any(char.isalpha() for char in bare):
            return None
        bones = bare.translate(_LEET)
        if thrice:
            bones = _TWICE.sub(r"\1", bones)
        return self._bones.get(bones)

    def _letters(self, low: str, spans: Sequence[tuple[int, int]], at: int) -> _Best:
        """A word whose letters stand apart."""
        bones, behind = "", spans[at][0]
        best = _Best(spans[at][1], None, sure=True)
        for number in range(at, len(spans)):
            first, end = spans[number]
            if end - first > 1 or first - behind > _GAP:
                return best
            bones, behind = bones + low[first].translate(_LEET), end
            if bones not in self._spaced:
                return best
            entry = self._bones.get(bones)
            if entry and any(map(str.isalpha, low[spans[at][0] : end])):
                best = _Best(end, entry, sure=True)
            if end == len(low):
                return best._replace(sure=False)
        return best._replace(sure=len(low) - behind > _GAP)


def _is_joined(char: str) -> bool:
    return re.match(f"[{_JOINED}]", char) is not None
