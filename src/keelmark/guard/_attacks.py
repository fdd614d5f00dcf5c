"""Signs of prompt injection from a table, and how they add up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._patterns import CONTEXT, both_views, compiled, every, lower, table
from keelmark.guard._slots import BLANK, Phrase, Places, Slots, phrase, piece, words
from keelmark.guard.contract import Hit
from keelmark.guard.normalise import fold

LONGEST = 480
"""Longest match with its look-ahead, characters."""

_IN_SENTENCE = r"(?:[^.!?。！？]|[.!?](?=\S))"
END = re.compile(r"[.!?](?=\s)|。")
"""End of a sentence: no sign matches across it."""

_LATIN = re.compile("[a-z]+")
_BLANKED = {code: " " for code in range(128) if not _LATIN.match(chr(code))}
_TALK = re.compile(
    r"(?:what (?:is|does|are)|explain|meaning of|phrase|such as|words|examples? of|called|attack"
    r"|known as|defin|sentence|term|e\.g\.|z\. ?b\.)[^\n]{0,24}[\"'“‘«(`]{1,2}\Z"
)

_IN_QUOTES = re.compile(r"(?:\A|[\s(])[\"'“‘«„`「『]{1,2}\s?[^\"'”’»“`」』\n.!?。]{0,48}\Z|[「『]")
_ABOUT = re.compile(
    r"attack|injection|jailbreak|(?:such|known) as|for example|e\.g\.|phrases?\b|detector"
    r"|angriff|beispiel|sätze|attaque|exemple|ataque|ejemplo|exemplo|attacc|esempio|frasi|frases"
    r"|aanval|voorbeeld|przykład|атак|пример|фраз|saldırı|örneğin|هجوم|مثل|हमल|उदाहरण"
    r"|攻击|注入|例如|攻撃|例えば|공격|예를"
)
_ABOUT = re.compile(f"{_ABOUT.pattern}|{fold(_ABOUT.pattern)}")
_AFTER = re.compile(r"[^.!?。\n]{0,48}")


class Sign(NamedTuple):
    """One row of the table."""

    label: str
    weight: float
    why: str
    keyed: dict[str, list[str]]
    others: tuple[str, ...]
    patterns: tuple[str, ...]
    phrases: tuple[Phrase, ...] = ()
    language: str = ""
    unless: tuple[str, ...] = ()


class Seen(NamedTuple):
    """A sign that was found."""

    start: int
    end: int
    sign: int


@cache
def signs() -> tuple[Sign, ...]:
    """Every sign of the tables: those written out, and every phrase in every language."""
    plain, languages = table("injection"), dict(table("injection_words"))
    told = [_sign(row, row["any"], _views(row["like"])) for row in plain["sign"]]
    common = languages.pop("common")
    keep = both_views(word for slots in (common, *languages.values()) for word in slots["keep"])
    for code, slots in languages.items():
        spoken = _language(code)
        for row in plain["phrase"]:
            phrases = [phrase(like) for like in row["like"]]
            kept = tuple(one for one in phrases if all(slot in spoken for slot in one.slots))
            gate = [piece(word) for word in (slots | common).get(row["first"], ())]
            sign = _sign(row, gate, ())
            told.append(
                sign._replace(
                    why=f"{sign.why} ({code})",
                    phrases=kept,
                    language=code,
                )
            )
    return tuple(
        sign._replace(unless=keep) if sign.label == "INSTRUCTION_OVERRIDE" else sign
        for sign in told
        if sign.patterns or sign.phrases
    )


@cache
def _language(code: str) -> Slots:
    """The words of a language, by slot."""
    languages = table("injection_words")
    return {
        slot: words(of, joins="joins" in whose)
        for whose in (languages["common"], languages[code])
        for slot, of in whose.items()
        if slot != "joins"
    }


def _sign(row: dict[str, Any], gate: list[str], patterns: tuple[str, ...]) -> Sign:
    return Sign(
        row["label"],
        row["weight"],
        row["why"],
        _keyed(gate),
        tuple(word for word in both_views(gate) if not _LATIN.match(word)),
        patterns,
    )


def _keys(low: str) -> set[str]:
    """First four letters of every Latin word: one pass that tells which signs are worth a look."""
    words = low.translate(_BLANKED).split() if low.isascii() else _LATIN.findall(low)
    return {word[:4] for word in set(words)}


def _keyed(literals: list[str]) -> dict[str, list[str]]:
    """Literals that begin with a Latin letter, under the key of their longest word."""
    keyed: dict[str, list[str]] = {}
    for literal in both_views(literals):
        if _LATIN.match(literal):
            longest = max(_LATIN.findall(literal), key=len)
            keyed.setdefault(longest[:4], []).append(literal)
    return keyed


def _views(sources: list[str]) -> tuple[str, ...]:
    """Regular expressions for the text as written and, in other scripts, for the folded view."""
    written = [_expand(source) for source in sources]
    foreign = [fold(w) for w in written if any(c > "\x7f" and c.isalpha() for c in w)]
    return tuple(dict.fromkeys([*written, *foreign]))


def _expand(source: str) -> str:
    """Turn the table's shorthand into a regular expression."""
    out, in_class, index = [], False, 0
    while index < len(source):
        char = source[index]
        if char == "\\":
            out.append(source[index : index + 2])
            index += 2
            continue
        if char in "[]":
            in_class = char == "["
        if in_class or char not in " ~^.":
            out.append(char)
        elif source.startswith(" ?", index):
            out.append(r"[\s*_]{0,3}")
            index += 1
        else:
            out.append(
                {
                    ".": r"[^\s。]",
                    " ": BLANK,
                    "~": _IN_SENTENCE + "{0,40}?",
                    "^": _IN_SENTENCE + "{0,100}?",
                }[char]
            )
        index += 1
    return "".join(out)


def find_signs(text: str, start: int, least: float) -> Iterator[Hit]:
    """Yield signs whose score, with those shortly before them, is `least` or more."""
    low = lower(text)
    seen = sorted(_seen(low, max(0, start - CONTEXT)))
    first = 0
    for number, item in enumerate(seen):
        while seen[first].start < item.start - CONTEXT:
            first += 1
        if item.start < start:
            continue
        sign = signs()[item.sign]
        others = {s.sign for s in seen[first:number] if s.end <= item.start and s.sign != item.sign}
        doubt = 1 - sign.weight
        for other in others:
            doubt *= 1 - signs()[other].weight
        score = min(1 - doubt, 0.99)
        score = round(score / 2 if _talked_about(low, item) else score, 3)
        if score >= least:
            reason = sign.why + (f" and {len(others)} more signs" if others else "")
            yield Hit(sign.label, score, item.start, item.end, reason)


def _talked_about(low: str, item: Seen) -> bool:
    """Whether a sign is quoted in a text about attacks, or in a question about words."""
    before = low[max(0, item.start - 64) : item.start]
    if _TALK.search(before):
        return True
    if not _IN_QUOTES.search(before):
        return False
    after = _AFTER.match(low, item.end)
    return bool(_ABOUT.search(before) or (after and _ABOUT.search(after[0])))


def _seen(low: str, start: int) -> Iterator[Seen]:
    places: dict[str, Places] = {}
    for index in sorted(_promising(low)):
        sign = signs()[index]
        for first, last in _places(low, start, sign, places):
            if not _turned(low, first, last, sign):
                yield Seen(first, last, index)


def _places(
    low: str, start: int, sign: Sign, places: dict[str, Places]
) -> Iterator[tuple[int, int]]:
    for pattern in sign.patterns:
        for match in every(compiled(pattern), low, start):
            if _holds(low, match, sign):
                yield match.span()
    if sign.phrases:
        if sign.language not in places:
            places[sign.language] = Places(low, start, _language(sign.language))
        for wanted in sign.phrases:
            yield from places[sign.language].matches(wanted)


def _turned(low: str, start: int, end: int, sign: Sign) -> bool:
    """Whether words in a match, or right before it, turn its meaning around."""
    near = low[max(0, start - 8) : end]
    return any(word in near for word in sign.unless)


Gates = dict[str, dict[str, tuple[int, ...]]]
"""Key, or first character, to the literals under it and the signs that each belongs to."""


@cache
def _index() -> tuple[Gates, Gates]:
    """Literals of all signs: under their key, and others under their first character."""
    keyed: dict[str, dict[str, tuple[int, ...]]] = {}
    first: dict[str, dict[str, tuple[int, ...]]] = {}
    for number, sign in enumerate(signs()):
        for key, literals in sign.keyed.items():
            for literal in literals:
                under = keyed.setdefault(key, {})
                under[literal] = (*under.get(literal, ()), number)
        for other in sign.others:
            under = first.setdefault(other[0], {})
            under[other] = (*under.get(other, ()), number)
    return keyed, first


@cache
def _plain_first() -> tuple[str, ...]:
    """First characters that an ASCII text may have."""
    return tuple(char for char in _index()[1] if char.isascii())


def _promising(low: str) -> set[int]:
    """Signs that are worth a look: those with a literal that the text contains."""
    keyed, first = _index()
    near = [keyed[key] for key in keyed.keys() & _keys(low)]
    near += [first[char] for char in (_plain_first() if low.isascii() else first) if char in low]
    return {
        sign
        for literals in near
        for literal, some in literals.items()
        if literal in low
        for sign in some
    }


def _holds(low: str, match: re.Match[str], sign: Sign) -> bool:
    """Whether a match begins a word and contains what its sign was looked at for.

    The latter keeps the first look from deciding by what stands elsewhere in the text.
    """
    start, end = match.span()
    if (start and _LATIN.match(low[start - 1])) or low[start - 1 : start].isdigit():
        return False
    while end < len(low) and "a" <= low[end] <= "z":
        end += 1
    found = low[start:end]
    return _worth_a_look(sign, found, _keys(found))


def _worth_a_look(sign: Sign, low: str, keys: set[str]) -> bool:
    near = sign.keyed.keys() & keys
    if near and any(literal in low for key in near for literal in sign.keyed[key]):
        return True
    return any(other in low for other in sign.others)
