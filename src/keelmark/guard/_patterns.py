"""What the pattern detectors share: exhaustive matching, settling of overlaps, open suffixes.

Everything here is local: whether a hit starts at an index depends on a bounded number of
characters on either side of it, never on where the search began. That is what makes the law of
the contract hold.
"""

from __future__ import annotations

import math
import re
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from importlib import resources
from itertools import islice
from operator import attrgetter, le
from typing import Any

import msgspec
from msgspec.structs import replace

from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import meant
from keelmark.guard.contract import LOOK_BEHIND, Hit
from keelmark.guard.normalise import fold

CONTEXT = LOOK_BEHIND - 8
"""How far a context may lie before a hit; the rest is for the look-behinds of patterns."""


class AllowConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is never reported.

    Attributes:
        allow: Texts that are known to be harmless; a hit that equals one, apart from case, is
            dropped.
        allow_patterns: Regular expressions; a hit that one of them matches as a whole is dropped.
    """

    allow: tuple[str, ...] = ()
    allow_patterns: tuple[str, ...] = ()


class Allowed:
    """The compiled form of an AllowConfig."""

    def __init__(self, config: AllowConfig) -> None:
        self._texts = frozenset(text.casefold() for text in config.allow)
        self._patterns = tuple(compile_setting(p, "allow_patterns") for p in config.allow_patterns)

    def drop(self, hits: list[Hit], text: str) -> list[Hit]:
        """Return the hits that are not allowed."""
        if not (self._texts or self._patterns):
            return hits
        return [hit for hit in hits if not self._covers(text[hit.start : hit.end])]

    def _covers(self, found: str) -> bool:
        return found.casefold() in self._texts or any(p.fullmatch(found) for p in self._patterns)


def chosen(labels: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return the labels that a setting asks for: those it names, or all when it names none.

    Raises:
        UsageError: One of them does not exist.
    """
    asked, there = frozenset(labels), frozenset(known)
    for label in sorted(asked - there):
        raise UsageError(f"there is no label {label!r}; {meant(label, there)}")
    return asked or there


def compile_setting(pattern: str, setting: str) -> re.Pattern[str]:
    """Compile a regular expression that a user wrote.

    Raises:
        UsageError: It is not a regular expression; the message names the setting.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"The setting {setting} holds {pattern!r}, which is no regular expression: {error}."
        ) from None


@cache
def table(name: str) -> dict[str, Any]:
    """Read `guard/tables/<name>.toml`."""
    source = resources.files("keelmark.guard").joinpath("tables", f"{name}.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a table on first use."""
    return re.compile(pattern)


@cache
def any_word(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for one of the words at a word's beginning, whatever the case.

    Words of up to four characters must end there too; longer ones may go on (plurals, compounds).
    """
    both = dict.fromkeys([*words, *map(fold, words)])
    parts = (re.escape(w) + ("(?![^\\W\\d_])" if len(w) <= 4 else "") for w in both)
    return re.compile("(?i)(?<![a-zà-ɏ])(?:" + "|".join(parts) + ")")


@cache
def any_small_word(words: tuple[str, ...]) -> re.Pattern[str]:
    """The same for a text in small letters: several times as fast."""
    root: dict[str, Any] = {}
    for word in dict.fromkeys([*words, *map(fold, words)]):
        node = root
        for char in word.lower():
            node = node.setdefault(re.escape(char), {})
        node[""] = "" if len(word) > 4 else "(?![^\\W\\d_])"
    firsts = "".join(root)  # so few places are tried
    return re.compile(f"(?<![a-zà-ɏ])(?=[{firsts}])(?:{_branches(root)})")


def _branches(node: dict[str, Any]) -> str:
    parts = [token + _branches(rest) for token, rest in node.items() if token]
    if "" in node:
        parts.append(node[""])
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def both_views(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words in small letters, as written and as the folded view shows them."""
    small = [word.lower() for word in words]
    return tuple(dict.fromkeys([*small, *(fold(word).lower() for word in small)]))


OTHER = both_views(table("personal")["other"]["words"])
"""Words before numbers that are nobody's: orders, products, versions."""


class Speech:
    """Whether words stand shortly before places of a text; asked for many places of one text.

    Args:
        words: In small letters, as `both_views` returns them.
        text: The text.
    """

    def __init__(self, words: tuple[str, ...], text: str) -> None:
        self._given = words
        self._text = text

    @cached_property
    def spoken(self) -> bool:
        """Whether the text contains one of the words anywhere, be it within another."""
        low = lower(self._text)
        return any(word in low for word in self._given)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Where the words stand: begin and end of each."""
        if not self.spoken:
            return []
        found = every(any_small_word(self._given), lower(self._text))
        return [match.span() for match in found]

    def before(self, index: int, near: int = 64) -> bool:
        """Whether one of the words stands in the `near` characters before the index."""
        return self.between(max(0, index - near), index)

    def between(self, start: int, end: int) -> bool:
        """Whether one of the words stands between two places."""
        if not self.places:
            return False
        first, last = bisect_left(self.places, (start,)), bisect_left(self.places, (end,))
        return any(stop <= end for _, stop in self.places[first:last])


def follows(words: re.Pattern[str], text: str, index: int, near: int = 64) -> bool:
    """Whether one of the words stands in the `near` characters before the index."""
    return words.search(text[max(0, index - near) : index]) is not None


def every(pattern: re.Pattern[str], text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Yield a match for every index at which the pattern matches, also inside earlier matches."""
    search = pattern.search
    match = search(text, start)
    while match:
        yield match
        match = search(text, match.start() + 1)


def every_named(
    pattern: re.Pattern[str], text: str, start: int, group: str
) -> Iterator[re.Match[str]]:
    """Yield the matches whose `group` starts at or after `start`, not far into the match."""
    for match in every(pattern, text, max(0, start - CONTEXT)):
        begin = match.start(group)
        if begin >= start and begin - match.start() <= CONTEXT:
            yield match


_START, _END = attrgetter("start"), attrgetter("end")


def _apart(spans: Sequence[Hit]) -> bool:
    """Whether hits stand in order, and none overlaps the next."""
    return all(map(le, map(_END, spans), map(_START, islice(spans, 1, None))))


def settle(candidates: Iterable[Hit], start: int = 0) -> list[Hit]:
    """Order candidates and take the overlaps away.

    The earlier one stays; a later one with a higher score cuts it short; of two that start
    together the higher score, then the longer one stays.
    """
    candidates = list(candidates)
    if candidates and candidates[0].start >= start and _apart(candidates):
        return candidates
    settled: list[Hit] = []
    for hit in sorted(candidates, key=lambda h: (h.start, -h.score, -h.end, h.label)):
        if hit.start < start:
            continue
        if settled and hit.start < settled[-1].end:
            last = settled[-1]
            if hit.score <= last.score or hit.start == last.start:
                continue
            settled[-1] = replace(last, end=hit.start)
        settled.append(hit)
    return settled


def open_run(run: re.Pattern[str], text: str, start: int, limit: int) -> int:
    """Return where the run at the very end of the text begins, no further back than `limit`.

    Args:
        run: Must end in `\\Z` and be guarded so that a run is tried once.
        text: The text so far.
        start: Never answer less than this.
        limit: Longest look back, characters; at least twice the longest hit.
    """
    low = max(start, len(text) - limit)
    match = run.search(text[low:])
    return low + match.start() if match else len(text)


def entropy(text: str) -> float:
    """Shannon entropy of the characters, bits per character."""
    size = len(text)
    counts = [n for n in Counter(text).values() if n > 1]
    return math.log2(size) - math.fsum([n * math.log2(n) for n in counts]) / size if size else 0.0


def lower(text: str) -> str:
    """Lower case with every offset kept."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
