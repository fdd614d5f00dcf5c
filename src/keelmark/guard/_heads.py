"""Without which words a regular expression does not match: read from the expression itself."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from keelmark.guard._slots import KEY

_FEW = 32  # characters of a range that are named one by one
_ANY = string.ascii_lowercase + " "
_REPEATS = frozenset([op.MAX_REPEAT, op.MIN_REPEAT])
_PLACES = frozenset([op.AT, op.ASSERT, op.ASSERT_NOT])
_Items = Sequence[tuple[Any, Any]]


def needed(pattern: str) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    """Return what a pattern begins with, and of which sets a text must have one each.

    The sets hold the keys of Latin words (KEY letters, or whole words that are shorter) and other
    characters. They say what must be there; a text that has it all may still not match.

    Args:
        pattern: In small letters; a match begins a word, if with a Latin letter.
    """
    items = list(_parser.parse(pattern))
    heads = _heads(items)
    behind = [_heads(items[at:]) for at in range(1, len(items)) if _ends_blank(items[:at])]
    return heads, tuple(sorted(filter(None, (heads, *behind)), key=len))


def _ends_blank(items: _Items) -> bool:
    """Whether something ends in white space that has to be there, so that a word begins."""
    if not items:
        return False
    kind, what = items[-1]
    if kind is op.SUBPATTERN:
        return _ends_blank(list(what[3]))
    if kind is op.BRANCH:
        return all(_ends_blank(list(branch)) for branch in what[1])
    if kind not in _REPEATS:
        return False
    inner = _is_blank(kind, what) or _ends_blank(list(what[2]))
    return inner and (what[0] > 0 or _ends_blank(items[:-1]))


def _is_blank(kind: Any, what: Any) -> bool:
    """Whether an item stands for white space that has to be there, so that a word begins."""
    if kind is not op.MAX_REPEAT or what[0] == 0 or len(what[2]) != 1:
        return False
    inner, chars = what[2][0]
    return inner is op.IN and not any(char.isalpha() for char in _chars(inner, chars) or "x")


def _heads(items: _Items) -> frozenset[str]:
    """Return the keys and other characters that something begins with; none when unknown."""
    found = set(_begun(items, "", ()))
    return frozenset() if "" in found else frozenset(found)


def _begun(items: _Items, so_far: str, rest: tuple[_Items, ...]) -> Iterator[str]:
    """Yield the keys of first words; "" for a beginning that cannot be named."""
    if len(so_far) == KEY:
        yield so_far
        return
    if not items:
        yield from _begun(rest[0], so_far, rest[1:]) if rest else [""]
        return
    (kind, what), tail = items[0], items[1:]
    if kind is op.SUBPATTERN:
        yield from _begun(list(what[3]), so_far, (tail, *rest))
    elif kind is op.BRANCH:
        for branch in what[1]:
            yield from _begun(list(branch), so_far, (tail, *rest))
    elif kind in _REPEATS:
        if what[0] == 0:
            yield from _begun(tail, so_far, rest)
        behind = (tail, *rest) if what[1] == 1 else ([(op.ANY, None)],)
        yield from _begun(list(what[2]), so_far, behind)
    elif kind in _PLACES:
        yield from _begun(tail, so_far, rest)
    else:
        yield from _spelled(_chars(kind, what), tail, so_far, rest)


def _spelled(chars: str, tail: _Items, so_far: str, rest: tuple[_Items, ...]) -> Iterator[str]:
    """Yield the keys of words that go on with one of some characters; with any if there are none.

    A word that ends before it has the length of a key is a key itself.
    """
    if not chars and not so_far:
        yield ""
        return
    for char in chars or _ANY:
        if "a" <= char <= "z":
            yield from _begun(tail, so_far + char, rest)
        else:
            yield so_far or char


def _chars(kind: Any, what: Any) -> str:
    """The characters that an item may stand for; none when they are too many to name."""
    if kind is op.LITERAL:
        return chr(what)
    chars = ""
    for inner, value in what if kind is op.IN else [(kind, what)]:
        if inner is op.LITERAL:
            chars += chr(value)
        elif inner is op.RANGE and value[1] - value[0] < _FEW:
            chars += "".join(map(chr, range(value[0], value[1] + 1)))
        elif inner is op.CATEGORY and value is op.CATEGORY_SPACE:
            chars += string.whitespace
        else:
            return ""
    return chars
