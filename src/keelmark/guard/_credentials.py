"""Keys and tokens of known formats: one pass over the text for what announces any of them.

Every format of the table names short texts that announce it: the beginning of the secret, a part
of it, or the issuer's name before it. One pattern, a trie of all of them, finds those places; only
there is a format's own pattern tried. The cost is one pass, however long the table is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._patterns import CONTEXT, entropy, table
from keelmark.guard._proofs import PROOFS
from keelmark.guard.contract import Hit

LONGEST = 6_200
"""Longest secret of a known format, characters."""

REACH = 64
"""How far from its issuer's name a value may begin."""

WIDEST = 230
"""Longest match, characters, of a format that only its issuer's name announces."""

_WORDY = 24  # longer secrets are no words that stand for one
_AHEAD = 1_024  # characters that are looked through at once for what an issuer's name announces
_JUDGED = 96  # characters of a secret that are looked at for being made up

_MADE_UP = (
    r"x{4,}|\*{3,}|\.{3,}|…|<[^>]*>|\$\{|\{\{|\byour|[_-]here\b|change[_-]?(?:me|it)|placeholder"
    r"|insert[_-]|replace[_-]|dummy|redacted|(?:fake|sample)[_-]"
)
_EXAMPLE = re.compile(_MADE_UP)
_PLACEHOLDER = re.compile(
    rf"{_MADE_UP}|\$[a-z_]|\$\(|%[a-z_]+%|^%|process\.env|os\.environ|getenv"
    r"|^(?:env|config|settings|self|this|secrets?|vars?|data|local|module)\.|^\{[\w.\[\]]*\}?$"
    r"|^(?:none|null|nil|true|false|undefined|required|optional|string|str|password|passwd|pass"
    r"|secret|token|test|example|todo|tbd|n/a|pwd)\W*$"
)

_KEYISH = re.compile(r"key|tok|secret|pass|pwd|auth|cred|pat\b|license|bearer")


def stands_for_one(value: str, *, wordy: bool = True) -> bool:
    """Whether this stands for a value in examples and templates, or fetches one.

    Args:
        value: As it is written.
        wordy: Whether it may be a word (`changeme`, `none`), too.
    """
    return (_PLACEHOLDER if wordy else _EXAMPLE).search(value.lower()) is not None


class Candidate(NamedTuple):
    """A place where a hit may start, and what decides it.

    Attributes:
        start: Where it starts.
        score: The best score it can get.
        order: Decides between candidates alike in start and score; the smaller one goes first.
        decide: Returns the hit; None if it is none.
    """

    start: int
    score: float
    order: int
    decide: Callable[[], Hit | None]


class Format(NamedTuple):
    """One row of the table, see its head."""

    order: int
    label: str
    name: str
    has: tuple[str, ...]
    back: tuple[int, ...]
    after: tuple[str, ...]
    pattern: str
    check: str
    entropy: float
    score: float


@cache
def formats() -> tuple[Format, ...]:
    """Every format of the table."""
    return tuple(_format(order, row) for order, row in enumerate(table("secrets")["secret"]))


def _format(order: int, row: dict[str, Any]) -> Format:
    back = row.get("back", 0)
    head = "" if row.get("joined") else "(?<![A-Za-z0-9])"
    tail = "" if row.get("open_end") else "(?![A-Za-z0-9])"
    body = f"(?:{row['pattern']})" if "(?P<secret>" in row["pattern"] else (
        f"(?P<secret>{row['pattern']})")  # fmt: skip
    return Format(
        order,
        row["label"],
        row["name"],
        tuple(row.get("has", ())),
        (back,) if isinstance(back, int) else tuple(back),
        tuple(row.get("after", ())),
        f"{head}{body}{tail}",
        row.get("check", ""),
        row.get("entropy", 2.5),
        row.get("score", 0.8 if "after" in row else 0.95),
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def trie(words: Iterable[str]) -> str:
    """Return a pattern for the longest of the words that fits, tried letter by letter."""
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}

    def written(node: dict[str, Any]) -> str:
        ways = [re.escape(char) + written(node[char]) for char in sorted(node) if char]
        both = "|".join(ways)
        if "" in node:
            return f"(?:{both})?" if ways else ""
        return both if len(ways) == 1 else f"(?:{both})"

    return written(root)


@cache
def _announced(labels: frozenset[str]) -> tuple[re.Pattern[str], dict[str, tuple[Format, ...]]]:
    """Return what finds the announcements of formats, and the formats by announcement."""
    rows: dict[str, list[Format]] = {}
    for row in formats():
        if row.label in labels:
            for word in (*row.has, *row.after):
                rows.setdefault(word.lower(), []).append(row)
    found = {
        word: tuple(row for size in range(1, len(word) + 1) for row in rows.get(word[:size], ()))
        for word in rows
    }
    return re.compile(f"(?=({trie(rows) if rows else '(?!)'}))"), found


def find_formats(text: str, low: str, start: int, labels: frozenset[str]) -> Iterator[Candidate]:
    """Yield candidates of known formats.

    Args:
        text: The text.
        low: The same in small letters.
        start: No candidate starts before.
        labels: The labels that are wanted.
    """
    pattern, rows = _announced(labels)
    values = _Values(text)
    varied: dict[str, int] = {}
    for place in pattern.finditer(low, max(0, start - CONTEXT)):
        at, some = place.start(), rows[place.group(1)]
        if len(some) > 1 and not _any_of(some).match(text, at):
            continue
        for row in some:
            if row.after:
                match = _named(row, values, low, at)
                if match:
                    yield from _candidate(row, match, start, varied)
                continue
            for back in row.back:
                if at >= back and (match := _compiled(row.pattern).match(text, at - back)):
                    yield from _candidate(row, match, start, varied)


@cache
def _any_of(rows: tuple[Format, ...]) -> re.Pattern[str]:
    """A pattern that fits where one of the rows may: most announcements announce nothing."""
    begun = [] if any(row.after or row.back != (0,) for row in rows) else [r.pattern for r in rows]
    return re.compile("|".join(re.sub(r"\(\?P<\w+>", "(?:", one) for one in begun))


class _Values:
    """The first value of each format from a place on; what has been looked through is known."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[int, tuple[int, int, re.Match[str] | None]] = {}

    def first(self, row: Format, begin: int) -> re.Match[str] | None:
        """Return the first value that begins at the place or up to REACH behind it, or later."""
        low, high, match = self._known.get(row.order, (0, -1, None))
        if not low <= begin <= high:
            match = _compiled(row.pattern).search(self._text, begin, begin + _AHEAD)
            last = begin + _AHEAD - WIDEST  # what begins later may be cut short
            if match and match.start() > last:
                match = None
            high = match.start() if match else last - REACH
            self._known[row.order] = begin, high, match
        return match


def _named(row: Format, values: _Values, low: str, at: int) -> re.Match[str] | None:
    """The issuer is named here; the first value of the format that is called a key is its key."""
    word = next((w for w in row.after if low.startswith(w, at)), "")
    if not word or (at and low[at - 1].isalpha()):
        return None
    begin = at + len(word)
    keyish = _KEYISH.search(low, at, begin + REACH)
    value = values.first(row, begin) if keyish else None
    if keyish and value and keyish.end() <= value.start("secret") <= begin + REACH:
        return value
    return None


def _candidate(
    row: Format, match: re.Match[str], start: int, varied: dict[str, int]
) -> Iterator[Candidate]:
    """Yield what a match may be; `varied` holds how many different characters texts have."""
    begin, end = match.span("secret")
    if start <= begin <= match.start() + CONTEXT:
        judged = match.string[begin : min(end, begin + _JUDGED)]
        if (different := varied.get(judged)) is None:
            different = varied[judged] = len(set(judged))
        if different < 2**row.entropy:
            return
        best = 1.0 if row.check in {"crc62", "bech32", "base58", "macaroon"} else row.score
        yield Candidate(begin, best, row.order, lambda: _decided(row, match.group("secret"), begin))


def _decided(row: Format, found: str, begin: int) -> Hit | None:
    judged = found[:_JUDGED]
    if entropy(judged) < row.entropy:
        return None
    if stands_for_one(judged, wordy=len(found) <= _WORDY):
        return None
    score = PROOFS[row.check](found, row.score)
    if not score:
        return None
    return Hit(row.label, score, begin, begin + len(found), f"{row.name}: its format")
