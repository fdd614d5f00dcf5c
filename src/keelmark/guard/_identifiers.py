"""National numbers: shapes and context words from a table, checksums from python-stdnum."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from keelmark.guard._patterns import any_word, both_views, every, follows, lower, table
from keelmark.guard.contract import Hit

_BEFORE = r"(?i)(?<![0-9A-Za-z])(?<![0-9][.,])"
_AFTER = r"(?![0-9A-Za-z])(?![.-][0-9])"


class Kind(NamedTuple):
    """One row of the table, ready for use."""

    label: str
    name: str
    module: str
    pattern: re.Pattern[str]
    plain: re.Pattern[str] | None
    words: tuple[str, ...]
    context: re.Pattern[str]
    near: int


@cache
def kinds() -> tuple[Kind, ...]:
    """Every national number of the table."""
    return tuple(
        Kind(
            row["label"],
            row["name"],
            row["module"],
            re.compile(f"{_BEFORE}(?:{row['pattern']}){_AFTER}"),
            re.compile(f"{_BEFORE}(?:{row['plain']}){_AFTER}") if "plain" in row else None,
            both_views(row["context"]),
            any_word(tuple(row["context"])),
            row.get("near", 64),
        )
        for row in table("national_ids")["id"]
    )


@cache
def labels() -> tuple[str, ...]:
    """Labels of all national numbers, each once."""
    return tuple(dict.fromkeys(row["label"] for row in table("national_ids")["id"]))


@cache
def _plain_shapes() -> re.Pattern[str]:
    rows = table("national_ids")["id"]
    shapes = "|".join(row["plain"] for row in rows if "plain" in row)
    return re.compile(f"{_BEFORE}(?:{shapes}){_AFTER}")


def find_identifiers(text: str, start: int, wanted: Callable[[str], bool]) -> Iterator[Hit]:
    """Yield national numbers: after a context word, or in a shape that tells enough.

    Args:
        text: The text.
        start: Hits start here or later.
        wanted: Whether a label is asked for.
    """
    low = lower(text)
    for kind in kinds():
        if wanted(kind.label) and any(word in low for word in kind.words):
            for match in every(kind.pattern, text, start):
                if follows(kind.context, text, match.start(), kind.near) and _holds(kind, match):
                    score = 0.95 if kind.module else 0.8
                    yield _hit(kind, match, score, "after its name")
    for shape in every(_plain_shapes(), text, start):
        for kind in kinds():
            if kind.plain is None or not wanted(kind.label):
                continue
            plain = kind.plain.match(text, shape.start())
            if plain and _holds(kind, plain):
                yield _hit(kind, plain, 0.8 if kind.module else 0.7, "in its written form")


def _hit(kind: Kind, match: re.Match[str], score: float, how: str) -> Hit:
    proof = ", check digits hold" if kind.module else ""
    return Hit(kind.label, score, match.start(), match.end(), f"{kind.name} {how}{proof}")


def _holds(kind: Kind, match: re.Match[str]) -> bool:
    """Check digits; blanks go with capitals only, so that no run of words is ever a number."""
    found = match.group()
    if " " in found and found != found.upper():
        return False
    return _check(kind.module)(found.upper())


@cache
def _check(module: str) -> Callable[[str], bool]:
    if not module:
        return _no_check
    if module in _OWN:
        return _OWN[module]
    is_valid: Callable[[str], bool] = importlib.import_module(f"stdnum.{module}").is_valid
    return is_valid


def _no_check(_: str) -> bool:
    return True


def _digits(number: str) -> list[int]:
    return [int(c) for c in number if c.isdigit()]


def _au_medicare(number: str) -> bool:
    """Ninth digit: weights 1 3 7 9 1 3 7 9, modulo 10 (Services Australia)."""
    digits = _digits(number)
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return sum(map(int.__mul__, digits, weights)) % 10 == digits[8]


def _snils(number: str) -> bool:
    """Last two digits: weights 9 to 1, modulo 101, 100 counts as 0."""
    digits = _digits(number)
    total = sum(w * d for w, d in zip(range(9, 0, -1), digits[:9], strict=True)) % 101 % 100
    return total == digits[9] * 10 + digits[10]


def _taiwan(number: str) -> bool:
    """Letter as 10 to 35 in its own order, weights 1 9 8 … 1 1, modulo 10."""
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    digits = [letter // 10, letter % 10, *_digits(number)]
    return sum(map(int.__mul__, digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def _hong_kong(number: str) -> bool:
    """Weights 9 to 2 over letters (A is 10, a missing one 36) and digits, modulo 11."""
    plain = re.sub(r"[ ()]", "", number)
    values = [int(c, 36) for c in plain[:-1]]
    if len(values) == 7:
        values.insert(0, 36)
    check = 10 if plain[-1] == "A" else int(plain[-1])
    return (sum(w * v for w, v in zip(range(9, 1, -1), values, strict=True)) + check) % 11 == 0


def _singapore(number: str) -> bool:
    """Weights 2 7 6 5 4 3 2, modulo 11, then a letter by series."""
    total = sum(map(int.__mul__, _digits(number), (2, 7, 6, 5, 4, 3, 2)))
    total += {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}
    return letters.get(number[0], "XWUTRQPNMLK")[total % 11] == number[-1]


_OWN: dict[str, Callable[[str], bool]] = {
    "guard:au_medicare": _au_medicare,
    "guard:snils": _snils,
    "guard:taiwan": _taiwan,
    "guard:hong_kong": _hong_kong,
    "guard:singapore": _singapore,
}
