"""Numbers as people and models write them: `1,234.50`, `$-3`, `.5`, `3/4`, `1.2e3`, `٣`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

Decimals = Literal[".", ","]

_LONGEST = 200
_MINUS = "-\u2212\u2013\ufe63\uff0d"


class Figure(NamedTuple):
    """A number in a text.

    Attributes:
        value: Exactly.
        start: Where it begins.
        end: Where it ends.
    """

    value: Fraction
    start: int
    end: int


def _form(point: str, group: str) -> re.Pattern[str]:
    point, group, minus = re.escape(point), re.escape(group), re.escape(_MINUS)
    free = r"(?<![\dA-Za-z_])"
    return re.compile(
        rf"(?:(?<![\w)\].,%{minus}])(?P<sign>[{minus}](?:\s?[$€£¥])?|[$€£¥]\s?[{minus}]))?"
        rf"(?:{free}(?P<whole>\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|\d+)(?P<part>{point}\d+)?"
        rf"|(?<![\w.])(?P<alone>{point}\d+))"
        r"(?:[eE](?P<power>[-+]?\d{1,2})(?!\w))?"
    )


_SLASH = re.compile(r"/\d")
_FORMS = {".": _form(".", ","), ",": _form(",", ".")}


def figures(text: str, decimals: Decimals = ".") -> Iterator[Figure]:
    """Yield the numbers of a text, in order.

    A hyphen is a sign where no letter, digit or bracket stands before it, so that `3-5` holds 3
    and 5. Digits behind a Latin letter (`H2O`) are no number, letters behind digits (`12kg`) do
    not matter. `3/4` is one number, `3/4/2020` is three. Numbers of more than 200 digits are left
    out.

    Args:
        text: Any text.
        decimals: What stands before decimals; the other of `.` and `,` groups thousands.
    """
    before: re.Match[str] | None = None
    for found in _FORMS[decimals].finditer(text):
        if before is not None and _fraction(text, before, found):
            value, under = _value(before, decimals), _value(found, decimals)
            if value is not None and under:
                yield Figure(value / under, before.start(), found.end())
            before = None
            continue
        if before is not None:
            yield from _figure(before, decimals)
        before = found
    if before is not None:
        yield from _figure(before, decimals)


def _fraction(text: str, above: re.Match[str], below: re.Match[str]) -> bool:
    """Whether two numbers are one fraction: whole, a slash between, and no slash around them."""
    if text[above.end() : below.start()] != "/" or not below["whole"] or below["part"]:
        return False
    return text[max(above.start() - 1, 0) : above.start()] != "/" and not _SLASH.match(
        text, below.end()
    )


def _figure(found: re.Match[str], decimals: str) -> Iterator[Figure]:
    value = _value(found, decimals)
    if value is not None:
        yield Figure(value, *found.span())


def _value(found: re.Match[str], decimals: str) -> Fraction | None:
    if len(found[0]) > _LONGEST:
        return None
    whole = (found["whole"] or "").replace("," if decimals == "." else ".", "")
    part = (found["part"] or found["alone"] or "").replace(decimals, ".")
    value = Fraction(Decimal(whole + part)) * Fraction(10) ** int(found["power"] or 0)
    return -value if any(one in _MINUS for one in found["sign"] or "") else value


def figure(text: str, decimals: Decimals = ".") -> Fraction | None:
    """Return the number that a text is, whatever stands around it; None when it is none or many."""
    found = [one.value for one in figures(text, decimals)]
    return found[0] if len(found) == 1 else None
