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

_TALK = re.compile(
    r"(?:what (?:is|does|are)|explain|meaning of|phrase|such as|words|examples? of|called|attack"
    r"|known as|defin|sentence|term|e\.g\.|z\. ?b\.)[^\n]{0,24}[\"'“‘«(`]{1,2}\Z"
)


class Sign(NamedTuple):
    """One row of the table."""

    label: str
    weight: float
    why: str
    literals: tuple[str, ...]
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
        Sign(row["label"], row["weight"], row["why"], both_views(row["any"]), _views(row["like"]))
        for row in table("injection")["sign"]
    )


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
    for index, sign in enumerate(signs()):
        if not any(literal in low for literal in sign.literals):
            continue
        for pattern in sign.patterns:
            for match in every(compiled(pattern), low, start):
                found = match.group()
                if _begins_word(low, match.start()) and any(x in found for x in sign.literals):
                    yield Seen(match.start(), match.end(), index)


def _begins_word(low: str, index: int) -> bool:
    """Whether no Latin letter or digit stands before; asked here, as it would slow the search."""
    return index == 0 or not ("a" <= low[index - 1] <= "z" or "0" <= low[index - 1] <= "9")
