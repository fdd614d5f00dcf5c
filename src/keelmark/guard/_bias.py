"""Biased wording: tables of words for people, what is said of them, and words biased by themselves.

Everything is read word by word from a word that begins something, so what is found depends on a
bounded number of characters. `Reader.cut` says whether the text ended before that was certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._patterns import table
from keelmark.guard.normalise import fold

WORD = re.compile(r"(?<![^\W_])[^\W_]+")
_GAP = r"[\s'*_,-]"
_NEXT = re.compile(rf"{_GAP}{{1,8}}([^\W_]+)")
_ENDED = re.compile(rf"{_GAP}{{0,8}}\Z")
_NUMBER = re.compile(r"\d{1,4}\Z")
_FILLS = 3  # phrases of `fill` in a row
_FREE = 2  # words between what is said and the verb, where the verb comes last
_LONGEST_FREE = 24
LEAD = 48
"""Characters before the wording that say whom it means."""

_THE = re.compile(rf"(?<![^\W_])the{_GAP}{{1,8}}(?:very )?\Z")
_ANYBODY = re.compile(
    rf"(?<![^\W_])(?:every|any|each|a typical|the typical|the average|(?:trust|hate|despise) an?)"
    rf"{_GAP}{{1,8}}\Z"
)
_LEADS = frozenset(
    [
        *("a", "an", "the", "you", "he", "she", "must", "be", "will", "have", "no", "not", "in"),
        *("from", "only", "for", "without", "is", "are", "as", "le", "la", "les", "l", "un", "une"),
        *("des", "de", "du", "el", "los", "las", "una", "eres", "die", "der", "den", "das", "ein"),
        *("eine", "im", "bist"),
    ]
)
"""Everyday words that no search begins with; they are looked for before what follows them."""

Trie = dict[str, Any]
"""Word to what follows it; under "" what ends there; `#` stands for a number, `%` for any word."""


class Group(NamedTuple):
    """Words for people; `lead` must stand right before them."""

    language: str
    ground: str
    article: bool
    cased: bool
    lead: re.Pattern[str] | None


class Claim(NamedTuple):
    """Something that is said of a group."""

    language: str
    kind: str
    score: float
    why: str
    grounds: frozenset[str]
    before: re.Pattern[str] | None
    needs: str
    linked: bool
    closed: bool
    turned: bool


class Term(NamedTuple):
    """A word or a phrase that is biased by itself; `lead` must stand right before it."""

    language: str
    kind: str
    ground: str
    score: float
    why: str
    instead: str
    needs: str
    unless: re.Pattern[str] | None
    lead: re.Pattern[str] | None = None


class Tongue(NamedTuple):
    """A language: its claims, how they are said, and the words that may follow a group."""

    claims: tuple[Claim, ...]
    bare: tuple[int, ...]
    nexts: frozenset[str]
    links: Trie
    traits: Trie
    fill: Trie


class Found(NamedTuple):
    """Something that may be biased, from `start` on; `group` is None for a term."""

    end: int
    group: Group | None
    what: Claim | Term


class Reader:
    """The words of a text from one place on, read as far as they are asked for.

    Args:
        text: In small letters.
        first: The first word.

    Attributes:
        cut: Whether a word was asked for that the text does not hold, or not to its end.
    """

    __slots__ = ("_ends", "_start", "_text", "_words", "cut")

    def __init__(self, text: str, first: re.Match[str]) -> None:
        self._text = text
        self._start = first.start()
        self._words = [first[0]]
        self._ends = [first.end()]
        self.cut = first.end() == len(text)

    def led_by(self, lead: re.Pattern[str] | None) -> bool:
        """Whether what must stand right before does."""
        before = self._text[max(0, self._start - LEAD) : self._start] if lead else ""
        return lead is None or lead.search(before) is not None

    def word(self, index: int) -> str | None:
        """Return a word by its place, or None where words end."""
        while len(self._words) <= index:
            match = _NEXT.match(self._text, self._ends[-1])
            if match is None:
                self.cut = self.cut or _ENDED.match(self._text, self._ends[-1]) is not None
                return None
            self._words.append(match[1])
            self._ends.append(match.end())
            self.cut = self.cut or match.end() == len(self._text)
        return self._words[index]

    def end(self, count: int) -> int:
        """Return where the first `count` words end."""
        return self._ends[count - 1]

    def ends(self, trie: Trie, index: int) -> Iterator[tuple[Any, int]]:
        """Yield what ends somewhere after the word at `index`, and the index after it."""
        node = trie
        while (word := self.word(index)) is not None:
            after = node.get(word)
            if after is None and "#" in node and _NUMBER.match(word):
                after = node["#"]
            if after is None and "%" in node and len(word) <= _LONGEST_FREE:
                after = node["%"]
            if after is None:
                return
            node, index = after, index + 1
            if "" in node:
                yield node[""], index


def found(reader: Reader) -> Iterator[Found]:
    """Yield everything that the words of a reader may be."""
    for things, after in reader.ends(_beginnings(), 0):
        for thing in things:
            if not reader.led_by(thing.lead):
                continue
            if isinstance(thing, Term):
                yield Found(reader.end(after), None, thing)
                continue
            tongue = _tongue(thing.language)
            for number, last in _said(reader, tongue, after):
                claim = tongue.claims[number]
                if thing.ground in claim.grounds and reader.led_by(claim.before):
                    yield Found(reader.end(last), thing, claim)


def _said(reader: Reader, tongue: Tongue, index: int) -> Iterator[tuple[int, int]]:
    """Yield the claims that stand after a group, and where they end."""
    yield from ((one, index) for one in tongue.bare)
    if reader.word(index) not in tongue.nexts:
        return
    for place in _filled(reader, tongue.fill, index):
        for linked, after in reader.ends(tongue.links, place):
            yield from ((one, after) for one in linked if tongue.claims[one].closed)
            for second in _filled(reader, tongue.fill, after):
                for said, last in reader.ends(tongue.traits, second):
                    yield from ((one, last) for one in linked & said)
        for said, after in reader.ends(tongue.traits, place):
            yield from ((one, after) for one in said if not tongue.claims[one].linked)
            yield from _turned(reader, tongue, said, after)


def _turned(
    reader: Reader, tongue: Tongue, said: frozenset[int], after: int
) -> Iterator[tuple[int, int]]:
    """Yield the claims whose verb comes last."""
    turned = frozenset(one for one in said if tongue.claims[one].turned)
    for place in range(after, after + _FREE + 1) if turned else ():
        for linked, last in reader.ends(tongue.links, place):
            yield from ((one, last) for one in linked & turned)
        word = reader.word(place)
        if word is None or len(word) > _LONGEST_FREE:
            return


def _filled(reader: Reader, fill: Trie, index: int) -> list[int]:
    """Return the places that words of `fill` lead to, the first one included."""
    places = [index]
    front = [index]
    for _ in range(_FILLS):
        front = [
            after for place in front for _, after in reader.ends(fill, place) if after not in places
        ]
        if not front:
            break
        places += front
    return sorted(set(places))


def phrase_words(phrase: str) -> list[str]:
    """Return the words of a phrase of the tables, as texts are read."""
    return re.findall(r"[#%]|[^\W_]+", fold(phrase.lower()))


def put(trie: Trie, words: str, value: object) -> None:
    """Put a phrase of the tables into a trie; several values may stand under one phrase."""
    for word in phrase_words(words):
        trie = trie.setdefault(word, {})
    trie[""] = (*trie.get("", ()), value)


@cache
def firsts() -> frozenset[str]:
    """Every word that something begins with."""
    return frozenset(_beginnings()) - {"#"}


@cache
def seconds() -> dict[str, frozenset[str] | None]:
    """What may follow each of the first words for it to be worth a look; None when anything may."""
    out: dict[str, frozenset[str] | None] = {}
    for first in firsts():
        node = _beginnings()[first]
        ends = node.get("", ())
        wild = "#" in node or "%" in node or any(isinstance(one, Term) for one in ends)
        nexts = (_tongue(one.language).nexts for one in ends if isinstance(one, Group))
        out[first] = None if wild else frozenset(node).union(*nexts) - {""}
    return out


@cache
def insults() -> frozenset[str]:
    """Words before a group that say it all."""
    rows = table("bias_claims")["claim"]
    bare = (row["before"] for row in rows if "link" not in row and "trait" not in row)
    return frozenset(word for row in bare for word in re.findall(r"[^\W_]+", fold(row)))


def prepare() -> None:
    """Read the tables, unless they have been read."""
    insults()
    seconds()


def begun(text: str, start: int) -> Iterator[tuple[int, Reader]]:
    """Yield the places where something may begin, with the words from there on.

    Args:
        text: In small letters.
        start: Where to begin.
    """
    after, before = seconds(), insults()
    if firsts().isdisjoint(WORD.findall(text, start)):
        return
    last: str | None = None  # the word before, when it is known
    for match in WORD.finditer(text, start):
        word = match[0]
        if word in after:
            wanted, end = after[word], match.end()
            follows = None if wanted is None else _NEXT.match(text, end)
            if (
                wanted is None
                or last is None
                or last in before
                or (follows[1] in wanted or follows.end() == len(text) if follows else True)
            ):
                yield match.start(), Reader(text, match)
        last = word


@cache
def labels() -> tuple[str, ...]:
    """Every label that can be given: a kind and a ground."""
    grounds = {row["ground"] for row in table("bias")["group"]}
    pairs = {(row["kind"], ground) for row in table("bias_claims")["claim"] for ground in grounds}
    pairs |= {(row["kind"], row["ground"]) for row in table("bias_terms")["term"]}
    return tuple(f"{kind}_{ground}".upper() for kind, ground in sorted(pairs))


@cache
def _beginnings() -> Trie:
    """Groups and terms."""
    trie: Trie = {}
    for row in table("bias")["group"]:
        article, cased = row.get("article", False), row.get("cased", False)
        lead = _THE if article else _ANYBODY if row.get("single") else None
        group = Group(row["language"], row["ground"], article, cased, lead)
        for word in row["words"]:
            put(trie, word, group)
    for row in table("bias_terms")["term"]:
        term = Term(
            row["language"],
            row["kind"],
            row["ground"],
            row["score"],
            row["why"],
            row.get("instead", ""),
            row.get("needs", ""),
            pattern(row["unless"]) if "unless" in row else None,
        )
        for phrase in row["words"]:
            first, words = _split(phrase)
            put(trie, words, term._replace(lead=_lead(first)) if first else term)
    return trie


def _split(phrase: str) -> tuple[str, str]:
    """Part a phrase after the everyday words that it begins with."""
    words = phrase_words(phrase)
    count = 0
    while words[count] in _LEADS and words[count + 1 :] and words[count + 1] != "#":
        count += 1
    return " ".join(words[:count]), " ".join(words[count:])


@cache
def _lead(words: str) -> re.Pattern[str]:
    return re.compile(
        r"(?<![^\W_])" + "".join(f"{word}{_GAP}{{1,8}}" for word in words.split()) + r"\Z"
    )


@cache
def _tongue(language: str) -> Tongue:
    rows = [row for row in table("bias_claims")["claim"] if row["language"] == language]
    fill: Trie = {}
    for word in table("bias_claims")["fill"][language]:
        put(fill, word, 0)
    claims = tuple(map(_claim, rows))
    links = _numbered([row.get("link", ()) for row in rows])
    traits = _numbered([row.get("trait", ()) for row in rows])
    bare = tuple(number for number, one in enumerate(claims) if one.closed and not one.linked)
    first = _numbered(
        [
            row.get("trait", ()) if one.turned or not one.linked else ()
            for row, one in zip(rows, claims, strict=True)
        ]
    )
    return Tongue(claims, bare, frozenset([*links, *first, *fill]), links, traits, fill)


def _claim(row: dict[str, Any]) -> Claim:
    every = {group["ground"] for group in table("bias")["group"]}
    before = row.get("before", "")
    return Claim(
        row["language"],
        row["kind"],
        row["score"],
        row["why"],
        frozenset(row.get("grounds", every)) - frozenset(row.get("not", ())),
        pattern(rf"(?:\A|\W){before}\Z") if before else None,
        row.get("needs", ""),
        linked="link" in row,
        closed="trait" not in row,
        turned=row.get("turned", False),
    )


def _numbered(phrases: list[Iterable[str]]) -> Trie:
    """A trie of phrases under whose ends stand the numbers of the lists that they are in."""
    trie: Trie = {}
    for number, some in enumerate(phrases):
        for one in some:
            for spelt in {one, re.sub(r"n t\b", "nt", one)}:  # don't, dont
                put(trie, spelt, number)
    return _frozen(trie)


def _frozen(trie: Trie) -> Trie:
    return {k: frozenset(v) if k == "" else _frozen(v) for k, v in trie.items()}


@cache
def pattern(source: str) -> re.Pattern[str]:
    """Compile a regular expression of the tables, for texts as they are read."""
    return re.compile(fold(source))
