"""National and other numbers of persons: shapes, context words and check digits from a table."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from itertools import compress, count
from typing import Any, NamedTuple

from keelmark.guard._checksums import bare, check, dated
from keelmark.guard._patterns import CONTEXT, OTHER, Speech, both_views, every, lower, table
from keelmark.guard.contract import Hit

_BEFORE = r"(?a)(?<![0-9A-Za-z])(?<![0-9][.,])"
_AFTER = r"(?![0-9A-Za-z])(?!\.[0-9]|-[0-9A-Za-z])"
# Where a number may begin: a digit follows soon.
_BEGIN = re.compile(
    r"(?a)(?<![0-9A-Za-z])(?<![0-9][.,])"
    r"(?=[A-Za-z]{0,10}-?[0-9]|[A-Z]{1,5}[ -]?(?:[A-Z]{1,5}[ -]?)?[0-9]"
    r"|[A-Za-z]{1,5}-[A-Za-z]{1,5}-?[0-9])[0-9A-Za-z]"
)
# How telling shapes begin: an early no saves trying them all.
_TELLING_START = (
    r"(?:(?=[A-Za-z][A-Za-z9]{0,8}[- ]?[0-9])"
    r"(?=[A-Za-z](?:[0-9A-Za-z]{6}|[A-Za-z]{0,2}-[0-9]|[A-Za-z][ ][0-9]{2}[ ]))"
    r"|(?=[0-9](?:[0-9A-Za-z]{1,7}[-+./][0-9A-Za-z]|[0-9A-Za-z]{10}"
    r"|[-.][0-9]{3}|[ ][0-9]{2}[ ])))"
)
# Either without blanks or without small letters, as far as a number may be told to be too short.
_REACH = re.compile(r"(?=(\S{0,9}))[^a-z]{0,9}")
LEAST = 3
"""Fewest characters of a number in the table."""

_SEPARATED = str.maketrans("", "", " _-")
_LETTER = re.compile(r"[^\W\d_]\Z")
_LETTERED = re.compile(r"(?<!\\)[A-Za-z]")


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
    general: bool


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """Every row of the table as it is written."""
    groups = table("national_ids")["id"]
    return tuple({"country": group["country"], **row} for group in groups for row in group["rows"])


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
        bool(row.get("check")),
        not row["country"],
    )


def _whole(shape: str) -> re.Pattern[str]:
    return re.compile(f"{_BEFORE}(?:{_either_case(shape)}){_AFTER}")


def _either_case(shape: str) -> str:
    """The shape in capitals, or in small letters without blanks: no run of words is a number."""
    tight = re.sub(r"(\[[^]\[]*) ([^]\[]*\])", r"\1\2", shape.replace(" ?", ""))
    if tight == shape and not _LETTERED.search(shape):
        return shape
    return shape if " " in tight else f"(?:{shape})|(?i:{tight})"


def _test(row: dict[str, Any]) -> Callable[[str], bool]:
    digits = check(row.get("check", ""))
    form, months, days = row.get("date"), tuple(row.get("m", ())), tuple(row.get("d", ()))

    @lru_cache(maxsize=64)
    def holds(found: str) -> bool:
        if "(" in found and found != found.upper():
            return False
        number = bare(found)
        return digits(number) and (not form or dated(number, form, months, days))

    return holds


def _key(word: str) -> str:
    return word.translate(_SEPARATED)


Word = tuple[int, int, tuple[str, ...]]
"""Begin and end of context words, and which ones, without separators."""


class Words:
    """All context words in one pattern.

    Longer words are tried first; a word that begins another one is found with it. Words of up to
    four characters must end where the letters end, longer ones may go on (plurals, compounds).
    """

    def __init__(self, words: Iterable[str]) -> None:
        firsts = re.escape("".join({word[0] for word in words}))  # so few places are tried
        self._pattern = re.compile(f"(?<![a-zà-ɏ])(?=[{firsts}])(?:{_branches(_trie(words))})")
        keys = {word: _key(word) for word in words}
        self._within: dict[str, tuple[str, ...]] = {
            key: tuple({k for w, k in keys.items() if _begins(w, word)})
            for word, key in keys.items()
        }

    def find(self, low: str, start: int) -> Iterator[Word]:
        """Yield begin, end and the words, without separators, that stand there."""
        for match in every(self._pattern, low, start):
            said = match.group()
            begin, end = match.span()
            yield begin, end, self._within.get(said) or self._within[_key(said)]


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
def _words() -> tuple[Words, dict[str, tuple[tuple[int, bool], ...]]]:
    """All context words, and which kinds each one speaks of: their place, and whose own it is."""
    lists = table("national_ids")["words"].values()
    own = [w for row in rows() for w in row["context"] if w[0] != "@"]
    meant: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for index, kind in enumerate(kinds()):
        for word in kind.own | kind.shared:
            meant[word].append((index, word in kind.own))
    words = both_views([*own, *(word for words in lists for word in words)])
    return Words(words), {word: tuple(indexes) for word, indexes in meant.items()}


@cache
def _plain() -> tuple[re.Pattern[str], re.Pattern[str], tuple[Kind, ...]]:
    """What finds a telling shape, what says which ones it is (a group for each), and the kinds."""
    shapes = [_either_case(row["plain"]) for row in rows() if "plain" in row]
    pattern = re.compile(f"{_BEFORE}{_TELLING_START}(?:{'|'.join(shapes)}){_AFTER}")
    each = re.compile("(?a)" + "".join(f"(?:(?=((?:{shape}){_AFTER}))|)" for shape in shapes))
    return pattern, each, tuple(kind for kind in kinds() if kind.plain)


def find_identifiers(text: str, start: int, wanted: Callable[[str], bool]) -> Iterator[Hit]:
    """Yield numbers of persons: after a context word, or in a shape that tells enough.

    Args:
        text: The text.
        start: Hits start here or later.
        wanted: Whether a label is asked for.
    """
    words = list(_words()[0].find(lower(text), max(0, start - CONTEXT)))
    if words:
        other = Speech(OTHER, text)
        for match in _BEGIN.finditer(text, max(start, words[0][1])):
            yield from _named(text, match.start(), words, other, wanted)
    pattern, each, telling = _plain()
    for shape in every(pattern, text, start):
        if not (found := each.match(text, shape.start())):
            continue
        for number in compress(count(1), found.groups()):
            kind = telling[number - 1]
            if wanted(kind.label) and kind.holds(found[number]):
                score = 0.8 if kind.checked else 0.7
                yield _hit(kind, found.span(number), score, "in its written form")


def _too_short(text: str, at: int) -> bool:
    """Whether no number can begin here, as there are too few characters for any."""
    match = _REACH.match(text, at)
    return match is not None and max(match.end(), match.end(1)) - at < LEAST


def _named(
    text: str, at: int, words: list[Word], other: Speech, wanted: Callable[[str], bool]
) -> Iterator[Hit]:
    """Yield what the number that begins at `at` is, by the words before it."""
    if _too_short(text, at):
        return
    low, high = bisect_left(words, (at - CONTEXT,)), bisect_left(words, (at,))
    near = [word for word in words[low:high] if word[1] <= at]
    for kind, place, own in _meant(tuple(word[2] for word in near)):
        begin, end, _ = near[place]
        if at - begin > kind.near or not wanted(kind.label):
            continue
        match = kind.pattern.match(text, at)
        if match and kind.holds(match.group()) and not other.between(end, at):
            other_word = near[-1][0] >= end
            score = _score(kind, own=own, other_word=other_word)
            yield _hit(kind, match.span(), score, "after its name")


@lru_cache(maxsize=4096)
def _meant(words: tuple[tuple[str, ...], ...]) -> tuple[tuple[Kind, int, bool], ...]:
    """Each kind that is spoken of: which word is the nearest, and whether it is the kind's own."""
    meant = _words()[1]
    found: dict[int, tuple[int, bool]] = {}
    for place, keys in enumerate(words):
        for key in keys:
            for index, own in meant.get(key, ()):
                if own or not found.get(index, (0, False))[1]:
                    found[index] = place, own
    return tuple((kinds()[index], place, own) for index, (place, own) in found.items())


def _score(kind: Kind, *, own: bool, other_word: bool) -> float:
    """Less without check digits, for shared words, and when another word stands nearer."""
    if kind.checked:
        return 0.95 if own else 0.75
    return (0.8 if own else 0.65) - 0.05 * kind.general - 0.1 * other_word


def _hit(kind: Kind, span: tuple[int, int], score: float, how: str) -> Hit:
    proof = ", check digits hold" if kind.checked else ""
    return Hit(kind.label, score, *span, f"{kind.name} {how}{proof}")
