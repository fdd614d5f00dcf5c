"""Special categories of personal data: what ties a fact to a person, and where one may begin.

Reads tables/special.toml. Whether a fact begins at a place depends on what stands in the CONTEXT
characters before it, on its own words and on the word behind it. `Reader.cut` says whether the text
ended before that was certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from keelmark.guard._bias import WORD, Reader, Trie, phrase_words, put
from keelmark.guard._patterns import CONTEXT, table
from keelmark.guard._special_lead import Lead, Tongue, tongue
from keelmark.guard.contract import Hit

_LISTED = 3  # further facts after `and`
_LONGEST_OPEN = 5  # words of a fact that no table holds
_LONGEST_WORD = 24
_AND = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "o", "e"})
_FIELD_REACH = 72  # characters from the name of a field to its value
_BEFORE_FIELD = 24
_BEGINS = re.compile(r"(?:\A|[\n{,;|(\"'`*-])[ \t]{0,4}[\"'`*_-]{0,3}(?:[^\W_]{1,12}[ _]){0,1}\Z")
_MARK = re.compile(r"[\"'`*_]{0,3}[ \t]{0,3}(?::|\||=(?=[ \t]{0,3}[\"']))[ \t*]{0,4}[\"'`*]{0,3}")
_VALUE = re.compile(r"[^\W_](?:[^\n,;|\"'`<>{}()\[\]:=_./\\*]|[./](?=[^\W_])){0,47}+")
_CLOSED = re.compile(r"[ \t]{0,3}(?:[\n,;|\"'`}\])<*]|\.(?:\s|\Z)|\Z)")
_EVERYDAY = frozenset(
    {"a", "an", "in", "on", "to", "our", "into", "im", "auf", "en", "un", "de", "d"}
)
"""Words that no search begins with; they are looked for before what follows them."""

_REASON = "a special category of personal data, said of a person"
_TOKEN = re.compile(r"[^\W_]+")


class Fact(NamedTuple):
    """Words for facts, and the verbs that tie them to a person; `before` must stand before them."""

    label: str
    language: str
    verbs: tuple[str, ...]
    but: frozenset[str]
    before: tuple[str, ...] = ()


class Open(NamedTuple):
    """A phrase after which any words are a fact."""

    label: str
    language: str


class Field(NamedTuple):
    """The name of a field whose value is a fact."""

    label: str


class Begun(NamedTuple):
    """What may begin at a place: a hit, unless the text ended too early; then `cut` is set."""

    start: int
    hit: Hit | None
    cut: bool


@cache
def labels() -> tuple[str, ...]:
    """Every label."""
    return tuple(table("special")["field"])


@cache
def _words() -> Trie:
    """Facts, phrases and names of fields, by the words that they begin with."""
    trie: Trie = {}
    given = table("special")
    for row in given["fact"]:
        but = frozenset(row.get("but", ()))
        fact = Fact(row["label"], row["language"], tuple(row["verbs"]), but)
        for parts in product(row.get("heads", [""]), row["words"], row.get("tails", [""])):
            words = phrase_words(" ".join(parts))
            cut = next(n for n, word in enumerate(words) if word not in _EVERYDAY)
            put(trie, " ".join(words[cut:]), fact._replace(before=tuple(words[:cut])))
    for row in given["open"]:
        for phrase in row["words"]:
            put(trie, phrase, Open(row["label"], row["language"]))
    for label, names in given["field"].items():
        for name in dict.fromkeys(" ".join(phrase_words(one)) for one in names):
            put(trie, name, Field(label))
    return trie


@cache
def _facts() -> dict[str, frozenset[Fact]]:
    """What may come of each of the first words."""
    return {first: frozenset(_below(node)) for first, node in _words().items()}


def _below(node: Trie) -> Iterator[Fact]:
    return (one for one in _all_below(node) if isinstance(one, Fact))


def _all_below(node: Trie) -> Iterator[Any]:
    for word, rest in node.items():
        yield from _all_below(rest) if word else rest


@cache
def _firsts() -> frozenset[str]:
    return frozenset(_words())


@cache
def _leading() -> frozenset[str]:
    """First words of what is followed by a hit; facts are hits from their first word on."""
    return frozenset(
        first
        for first, node in _words().items()
        if any(not isinstance(one, Fact) for one in _all_below(node))
    )


@cache
def _halting(kind: str) -> frozenset[str]:
    return frozenset(word for one in table("special")["value"][kind] for word in phrase_words(one))


def prepare() -> None:
    """Read the tables, unless they have been read."""
    _facts()
    _leading()
    for language in table("special")["language"]:
        tongue(language)
    for kind in ("stop", "no", "empty"):
        _halting(kind)


def begun(text: str, low: str, start: int) -> Iterator[Begun]:
    """Yield what begins at or after `start`, in no order.

    Args:
        text: As written.
        low: In small letters.
        start: Where to begin.
    """
    first = max(0, start - CONTEXT)
    words = WORD.findall(low, first)
    if _firsts().isdisjoint(words):
        return
    trie, leading = _words(), _leading()
    if leading.isdisjoint(words):
        first = max(first, start)
    for match in WORD.finditer(low, first):
        if match[0] in (trie if match.start() >= start else leading):
            reader = Reader(low, match)
            ends = list(reader.ends(trie, 0))
            for one in _all(text, low, match.start(), ends, reader):
                if one.start >= start:
                    yield one


def _all(
    text: str, low: str, at: int, ends: list[tuple[Any, int]], reader: Reader
) -> Iterator[Begun]:
    cut = reader.cut  # a longer phrase may come
    lead: Lead | None = None
    if cut:
        lead = Lead(text, low, at, at)
        if any(_may(lead, fact) for fact in _facts()[reader.word(0) or ""]):
            yield Begun(at, None, cut=True)
    for things, after in reversed(ends):
        for thing in things:
            if isinstance(thing, Field):
                yield from _field(low, at, reader.end(after), thing)
                continue
            if isinstance(thing, Open):
                yield from _open(text, low, at, after, thing, reader)
                continue
            lead = lead or Lead(text, low, at, at)
            yield from _fact(lead, at, after, thing, reader)


def _may(lead: Lead, fact: Fact) -> bool:
    known = tongue(fact.language)
    return bool(lead.tied(known, fact.verbs, fact.before) or _bare(lead, known, fact.before))


def _bare(lead: Lead, known: Tongue, before: tuple[str, ...]) -> float:
    """How surely a person stands there whose verb may follow; only some languages allow that."""
    return lead.person_alone(known, before) if "last" in known.verbs else 0.0


def _fact(lead: Lead, at: int, after: int, fact: Fact, reader: Reader) -> Iterator[Begun]:
    known = tongue(fact.language)
    score = lead.tied(known, fact.verbs, fact.before)
    bare = 0.0 if score else _bare(lead, known, fact.before)
    if not score and not bare:
        return
    behind = reader.word(after)
    end = reader.end(after)
    if bare and behind is not None and (behind,) in known.verbs["last"]:
        score = bare
    if behind in fact.but:
        score = 0.0
    if score and behind in _AND:
        end = _list(reader, after, fact, known)
    hit = Hit(fact.label, score, at, end, _REASON) if score else None
    if hit or reader.cut:
        yield Begun(at, hit, reader.cut)


def _list(reader: Reader, after: int, fact: Fact, known: Tongue) -> int:
    """Where a list of facts of one kind ends: `diabetes and severe asthma`."""
    end = reader.end(after)
    for _ in range(_LISTED):
        if reader.word(after) not in _AND:
            break
        after += 1
        for _ in range(2):
            if (word := reader.word(after)) is not None and (word,) in known.fill:
                after += 1
        found = [
            last
            for things, last in reader.ends(_words(), after)
            if any(isinstance(one, Fact) and one.label == fact.label for one in things)
        ]
        if not found:
            break
        after = found[-1]
        end = reader.end(after)
    return end


def _open(
    text: str, low: str, at: int, after: int, phrase: Open, reader: Reader
) -> Iterator[Begun]:
    if (word := reader.word(after)) in {"a", "an", "un", "une", "una", "einer", "einem"}:
        after += 1
        word = reader.word(after)
    if word is None or len(word) > _LONGEST_WORD or word in _halting("no") | _halting("stop"):
        return
    start = reader.end(after + 1) - len(word)
    if start - at > CONTEXT:
        return
    score = Lead(text, low, at, start).subject(tongue(phrase.language))
    if not score:
        return
    count = 1
    while count < _LONGEST_OPEN:
        word = reader.word(after + count)
        if word is None or word in _halting("stop") or len(word) > _LONGEST_WORD:
            break
        count += 1
    hit = Hit(phrase.label, score, start, reader.end(after + count), _REASON)
    yield Begun(start, hit, reader.cut)


def _field(low: str, at: int, end: int, field: Field) -> Iterator[Begun]:
    mark = _MARK.match(low, end)
    if mark is None or mark.end() - at > _FIELD_REACH:
        return
    if not _BEGINS.search(low[max(0, at - _BEFORE_FIELD) : at]):
        return
    value = _VALUE.match(low, mark.end())
    if value is None:
        return
    last = value.start() + len(value[0].rstrip())
    closed = _CLOSED.match(low, last)
    cut = value.end() + 4 >= len(low)
    words = _TOKEN.findall(value[0])
    found = closed and len(words) <= _LONGEST_OPEN and words[0] not in _halting("empty")
    hit = Hit(field.label, 0.9, value.start(), last, _REASON) if found else None
    if hit or cut:
        yield Begun(value.start(), hit, cut)
