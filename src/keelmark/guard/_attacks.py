"""Signs of prompt injection from a table, and how they add up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from keelmark.guard._patterns import CONTEXT, both_views, compiled, every, lower, table
from keelmark.guard.contract import Hit
from keelmark.guard.normalise import fold

LONGEST = 480
"""Longest match with its look-ahead, characters."""

_IN_SENTENCE = r"(?:[^.!?。！？]|[.!?](?=\S))"
_BLANK = r"[\s*_]{1,3}"
END = re.compile(r"[.!?](?=\s)|。")
"""End of a sentence: no sign matches across it."""

_LATIN = re.compile("[a-z]+")
_BLANKED = {code: " " for code in range(128) if not _LATIN.match(chr(code))}
_TALK = re.compile(
    r"(?:what (?:is|does|are)|explain|meaning of|phrase|such as|words|examples? of|called|attack"
    r"|known as|defin|sentence|term|e\.g\.|z\. ?b\.)[^\n]{0,24}[\"'“‘«(`]{1,2}\Z"
)


class Sign(NamedTuple):
    """One row of the table."""

    label: str
    weight: float
    why: str
    keyed: dict[str, list[str]]
    others: tuple[str, ...]
    patterns: tuple[str, ...]


class Seen(NamedTuple):
    """A sign that was found."""

    start: int
    end: int
    sign: int


@cache
def signs() -> tuple[Sign, ...]:
    """Every sign of the table."""
    return tuple(
        Sign(
            row["label"],
            row["weight"],
            row["why"],
            _keyed(row["any"]),
            both_views(x for x in row["any"] if not _LATIN.match(x)),
            _views(row["like"]),
        )
        for row in table("injection")["sign"]
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
                    " ": _BLANK,
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
    for item in seen:
        while seen[first].start < item.start - CONTEXT:
            first += 1
        if item.start < start:
            continue
        sign = signs()[item.sign]
        others = {s.sign for s in seen[first:] if s.end <= item.start and s.sign != item.sign}
        doubt = 1 - sign.weight
        for other in others:
            doubt *= 1 - signs()[other].weight
        if _TALK.search(low[max(0, item.start - 64) : item.start]):
            doubt = 1 - (1 - doubt) / 2
        score = round(min(1 - doubt, 0.99), 3)
        if score >= least:
            reason = sign.why + (f" and {len(others)} more signs" if others else "")
            yield Hit(sign.label, score, item.start, item.end, reason)


def _seen(low: str, start: int) -> Iterator[Seen]:
    for index in sorted(_promising(low)):
        sign = signs()[index]
        for pattern in sign.patterns:
            for match in every(compiled(pattern), low, start):
                if _holds(low, match, sign):
                    yield Seen(match.start(), match.end(), index)


@cache
def _index() -> tuple[dict[str, list[tuple[int, str]]], dict[str, list[tuple[int, str]]]]:
    """Literals of all signs with the sign they belong to: under their key, or first character."""
    keyed: dict[str, list[tuple[int, str]]] = {}
    first: dict[str, list[tuple[int, str]]] = {}
    for number, sign in enumerate(signs()):
        for key, literals in sign.keyed.items():
            keyed.setdefault(key, []).extend((number, literal) for literal in literals)
        for other in sign.others:
            first.setdefault(other[0], []).append((number, other))
    return keyed, first


def _promising(low: str) -> set[int]:
    """Signs that are worth a look: those with a literal that the text contains."""
    keyed, first = _index()
    near = [keyed[key] for key in keyed.keys() & _keys(low)]
    near += [first[char] for char in first if char in low]
    return {sign for some in near for sign, literal in some if literal in low}


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
