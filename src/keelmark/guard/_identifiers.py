"""National and other numbers of persons: shapes, context words and check digits from a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._checksums import bare, check, dated
from keelmark.guard._patterns import CONTEXT, OTHER, both_views, every, lower, table
from keelmark.guard.contract import Hit

LONGEST = 40
"""No pattern of the table matches more characters."""

_BEFORE = r"(?a)(?<![0-9A-Za-z])(?<![0-9][.,])"
_AFTER = r"(?![0-9A-Za-z])(?![.-][0-9])"
_SEPARATED = str.maketrans("", "", " _-")
_LETTER = re.compile(r"[^\W\d_]\Z")


class Kind(NamedTuple):
    """One row of the table, ready for use."""

    label: str
    name: str
    pattern: re.Pattern[str]
    plain: re.Pattern[str] | None
    own: frozenset[str]
    shared: frozenset[str]
    near: int
    holds: Callable[[str], bool]
    checked: bool


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """Every row of the table as it is written."""
    return tuple(row for group in table("national_ids")["id"] for row in group["rows"])


@cache
def kinds() -> tuple[Kind, ...]:
    """Every number of the table."""
    return tuple(map(_kind, rows()))


@cache
def labels() -> tuple[str, ...]:
    """Labels of all numbers, each once."""
    return tuple(dict.fromkeys(row["label"] for row in rows()))


def _kind(row: dict[str, Any]) -> Kind:
    lists = table("national_ids")["words"]
    shared = [w for name in row["context"] if name[0] == "@" for w in lists[name[1:]]]
    own = [w for w in row["context"] if w[0] != "@"]
    return Kind(
        row["label"],
        row["name"],
        _whole(row["pattern"]),
        _whole(row["plain"]) if "plain" in row else None,
        frozenset(map(_key, both_views(own))),
        frozenset(map(_key, both_views(shared))),
        min(row.get("near", 64), CONTEXT),
        _test(row),
        bool(row.get("check") or row.get("date")),
    )


def _whole(shape: str) -> re.Pattern[str]:
    return re.compile(f"{_BEFORE}(?:{_either_case(shape)}){_AFTER}")


def _either_case(shape: str) -> str:
    """The shape in capitals, or in small letters without blanks: no run of words is a number."""
    tight = re.sub(r"(\[[^]\[]*) ([^]\[]*\])", r"\1\2", shape.replace(" ?", ""))
    return shape if " " in tight else f"(?:{shape})|(?i:{tight})"


def _test(row: dict[str, Any]) -> Callable[[str], bool]:
    digits = check(row.get("check", ""))
    form, months, days = row.get("date"), tuple(row.get("m", ())), tuple(row.get("d", ()))

    def holds(found: str) -> bool:
        if "(" in found and found != found.upper():
            return False
        number = bare(found)
        return digits(number) and (not form or dated(number, form, months, days))

    return holds


def _key(word: str) -> str:
    return word.translate(_SEPARATED)


class Words:
    """All context words in one pattern.

    Longer words are tried first; a word that begins another one is found with it. Words of up to
    four characters must end where the letters end, longer ones may go on (plurals, compounds).
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._pattern = re.compile(f"(?<![a-zà-ɏ])(?:{_branches(_trie(words))})")
        keys = {word: _key(word) for word in words}
        self._within: dict[str, tuple[str, ...]] = {
            key: tuple({k for w, k in keys.items() if _begins(w, word)})
            for word, key in keys.items()
        }

    def find(self, low: str, start: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """Yield begin, end and the words, without separators, that stand there."""
        for match in every(self._pattern, low, start):
            yield match.start(), match.end(), self._within[_key(match.group())]


def _begins(short: str, word: str) -> bool:
    if not word.startswith(short):
        return False
    rest = word[len(short) :]
    return not rest or len(short) > 4 or not rest[0].isalpha()


def _trie(words: Iterable[str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault("[ _-]?" if char in " -" else re.escape(char), {})
        node[""] = "" if len(word) > 4 or not _LETTER.search(word) else r"(?![^\W\d_])"
    return root


def _branches(node: dict[str, Any]) -> str:
    parts = [token + _branches(rest) for token, rest in node.items() if token]
    if "" in node:
        parts.append(node[""])
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


@cache
def _words() -> tuple[Words, dict[str, tuple[int, ...]]]:
    """All context words, and which kinds each one speaks of."""
    lists = table("national_ids")["words"].values()
    own = [w for row in rows() for w in row["context"] if w[0] != "@"]
    meant: dict[str, list[int]] = defaultdict(list)
    for index, kind in enumerate(kinds()):
        for word in kind.own | kind.shared:
            meant[word].append(index)
    words = both_views([*own, *(word for words in lists for word in words)])
    return Words(words), {word: tuple(indexes) for word, indexes in meant.items()}


@cache
def _plain() -> tuple[re.Pattern[str], tuple[Kind, ...]]:
    telling = "|".join(_either_case(row["plain"]) for row in rows() if "plain" in row)
    pattern = re.compile(f"{_BEFORE}(?=[A-Za-z9]{{0,8}}[- ]?[0-9])(?:{telling}){_AFTER}")
    return pattern, tuple(kind for kind in kinds() if kind.plain)


def find_identifiers(text: str, start: int, wanted: Callable[[str], bool]) -> Iterator[Hit]:
    """Yield numbers of persons: after a context word, or in a shape that tells enough.

    Args:
        text: The text.
        start: Hits start here or later.
        wanted: Whether a label is asked for.
    """
    for index, spans in _spoken_of(text, start).items():
        kind = kinds()[index]
        if wanted(kind.label):
            yield from _after_words(kind, text, start, spans)
    pattern, telling = _plain()
    for shape in every(pattern, text, start):
        for kind in telling:
            if kind.plain is None or not wanted(kind.label):
                continue
            plain = kind.plain.match(text, shape.start())
            if plain and kind.holds(plain.group()):
                score = 0.8 if kind.checked else 0.7
                yield _hit(kind, plain, score, "in its written form")


class _Span(NamedTuple):
    """Where a number may begin, because a word stands before it."""

    first: int
    last: int
    own: bool


def _spoken_of(text: str, start: int) -> dict[int, list[_Span]]:
    words, meant = _words()
    spans: dict[int, list[_Span]] = defaultdict(list)
    for begin, end, found in words.find(lower(text), max(0, start - CONTEXT)):
        for word in found:
            for index in meant.get(word, ()):
                kind = kinds()[index]
                spans[index].append(_Span(end, begin + kind.near, word in kind.own))
    return spans


def _after_words(kind: Kind, text: str, start: int, spans: list[_Span]) -> Iterator[Hit]:
    """Yield the numbers of one kind, each place tried once."""
    done = start
    for i, span in enumerate(spans):
        following = spans[i + 1].first if i + 1 < len(spans) else len(text) + 1
        # A number behind the next word is that word's, unless the next one is of the shared kind.
        last = min(span.last, following - 1)
        position = max(done, span.first)
        while position <= last:
            match = kind.pattern.search(text, position, last + LONGEST + 8)
            if match is None or match.start() > last:
                break
            if kind.holds(match.group()) and not OTHER.search(text, span.first, match.start()):
                own = span.own or _still_own(spans, i, match.start())
                yield _hit(kind, match, _score(kind, own=own), "after its name")
            position = match.start() + 1
        done = max(done, last + 1)


def _still_own(spans: list[_Span], index: int, at: int) -> bool:
    """Whether a word of its own, further back, also reaches the number."""
    return any(s.own and s.last >= at for s in spans[max(0, index - 8) : index])


def _score(kind: Kind, *, own: bool) -> float:
    if own:
        return 0.95 if kind.checked else 0.8
    return 0.75 if kind.checked else 0.6


def _hit(kind: Kind, match: re.Match[str], score: float, how: str) -> Hit:
    proof = ", check digits hold" if kind.checked else ""
    return Hit(kind.label, score, match.start(), match.end(), f"{kind.name} {how}{proof}")
