"""Markup and code that act, and links that carry data away, in answers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from keelmark.guard._patterns import CONTEXT, every, table
from keelmark.guard.contract import Hit

LONGEST = 208
"""Longest hit of the table, characters."""

LONGEST_URL = 600
_GAP = r"(?:[\t\r\n\x00]|&(?:tab|newline);|&\#(?:0{0,5}(?:9|10|13)|x0{0,5}[9ad]);?){0,3}"
_INSIDE = r"(?:[^\s<>\"'`()\[\]{}]|<[a-z_]{2,32}(?:_[0-9]{1,4})?>|[\[{]{1,2}[\w.]{1,40}[\]}]{1,2})"
_URL = re.compile(r"(?<![a-z0-9])(?:https?:)?//", re.IGNORECASE)
_TELLS = re.compile(rf"{_INSIDE}{{0,80}}[?&=/;]", re.IGNORECASE)
_REST = re.compile(rf"{_INSIDE}{{0,{LONGEST_URL}}}", re.IGNORECASE)
OPEN_URL = re.compile(
    rf"(?:(?<![a-z0-9])(?:https?:)?//(?:{_INSIDE}|[<\[{{]){{0,{LONGEST_URL}}})\Z", re.IGNORECASE
)
_NEAR = 24  # characters in which the name of an attribute stands
_LINKS = re.compile(r"\]\([\s\"'<]{0,3}\Z")
_SHOWS = re.compile(r"(?:\]:|\b(?:src|srcset|poster|background)\s?=|url\()[\s\"'<]{0,3}\Z")
_LEADS = re.compile(r"\b(?:href|action)\s?=[\s\"'<]{0,3}\Z")
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{1,30}_[0-9]{1,4}>|\[[A-Z][A-Z_]{2,30}\]")
_BLANK = re.compile(r"[{\[]{1,2}[\w.]{1,40}[\]}]{1,2}|<[a-z_]{2,32}>")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[a-z]{2,}")
_PARTS = re.compile(r"[/?&=;.#]")
_LEAST_RUN = 16
_RUN = re.compile(rf"[A-Za-z0-9+/_-]{{{_LEAST_RUN},}}={{0,2}}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){12,}")


class Row(NamedTuple):
    """A row of the table, compiled."""

    label: str
    score: float
    why: str
    within: tuple[str, ...]
    after: re.Pattern[str] | None
    like: tuple[re.Pattern[str], ...]


@cache
def _rows() -> tuple[Row, ...]:
    return tuple(
        Row(
            row["label"],
            row["score"],
            row["why"],
            tuple(row["within"]),
            re.compile(row["after"]) if "after" in row else None,
            tuple(re.compile(_spelled(pattern)) for pattern in row["like"]),
        )
        for row in table("markup")["row"]
    )


def _spelled(pattern: str) -> str:
    for scheme in ("javascript", "vbscript"):
        letters = [rf"(?:{c}|&\#0{{0,5}}{ord(c)};?|&\#x0{{0,5}}{ord(c):x};?)" for c in scheme]
        colon = r"(?::|&colon;|&\#0{0,5}58;?|&\#x0{0,5}3a;?)"
        pattern = pattern.replace(f"{{{scheme}}}", _GAP.join([*letters, colon]))
    return pattern


@cache
def opens() -> re.Pattern[str]:
    """A pattern for the end of a text in which something may have begun."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in table("markup")["open"]))


@cache
def stirs() -> re.Pattern[str]:
    """A pattern for whatever something may begin with, but for the last token."""
    return re.compile(table("markup")["stir"])


def find_markup(low: str, start: int) -> Iterator[Hit]:
    """Yield what acts, as live as it would be outside of code; `low` is in small letters."""
    for row in _rows():
        if not any(low.find(one, start) >= 0 for one in row.within):
            continue
        for pattern in row.like:
            for match in every(pattern, low, start):
                first, last = match.span()
                if row.after is None or row.after.search(low[max(0, first - CONTEXT) : first]):
                    yield Hit(row.label, row.score, first, last, row.why)


def find_carriers(text: str, start: int) -> Iterator[Hit]:
    """Yield addresses of images and links that carry data away."""
    for match in _URL.finditer(text, start):
        shows = _shown(text, match.start())
        if shows is None or not _TELLS.match(text, match.end()):
            continue
        rest = _REST.match(text, match.end())
        if rest and (score := _carries(rest[0])):
            score = round(score if shows else score - 0.25, 2)
            what = "an image that is fetched at once" if shows else "a link"
            reason = f"{what}, with data in its address"
            yield Hit("EXFILTRATION", score, match.start(), rest.end(), reason)


def _shown(text: str, at: int) -> bool | None:
    """Whether what an address at the index leads to is fetched at once; None for no address."""
    near = text[max(0, at - _NEAR) : at]
    if not near.rstrip(" \t\r\n\"'<").endswith(("(", "=", "]:")):
        return None
    if link := _LINKS.search(near):
        before = text[max(0, at - CONTEXT) : at - len(near) + link.start()]
        opened = before.rfind("[")
        return opened < 0 or (before[opened - 1 : opened] == "!" and "]" not in before[opened:])
    if _SHOWS.search(near):
        return True
    return False if _LEADS.search(near) else None


def _carries(address: str) -> float:
    """How sure it is that an address, without its scheme, carries data."""
    read = unquote_plus(address)
    if _PLACEHOLDER.search(read):
        return 0.95
    if _BLANK.search(address):
        return 0.7
    if "@" in read and _MAIL.search(unquote_plus(address.partition("/")[2]).lower()):
        return 0.85
    for piece in _PARTS.split(address)[1:]:
        if len(piece) < _LEAST_RUN:
            continue
        plain = unquote_plus(piece)
        if any(_reads(run) for run in _RUN.findall(plain)):
            return 0.9
        if len(plain) >= 40 and plain.count(" ") >= 4:
            return 0.7
    return 0.0


def _reads(run: str) -> bool:
    """Whether a run of base64 or hexadecimal digits is text."""
    try:
        if _HEX.fullmatch(run):
            raw = bytes.fromhex(run)
        else:
            plain = run.rstrip("=").replace("-", "+").replace("_", "/")
            plain = plain[: len(plain) // 4 * 4]
            raw = base64.b64decode(plain, validate=True)
        text = raw.decode()
    except (binascii.Error, ValueError):
        return False
    return len(text) >= 12 and text.isprintable() and sum(map(str.isalnum, text)) > len(text) / 2


class Fences:
    """Whether a place in a text stands in a fenced block of code (CommonMark 0.31, 4.5).

    A fence is judged by the first 64 characters of its line.
    """

    __slots__ = ("_fence", "_line")

    def __init__(self, line: str = "", fence: str = "") -> None:
        self._line = line
        self._fence = fence

    def copy(self) -> Fences:
        """Return one that goes on from here by itself."""
        return Fences(self._line, self._fence)

    def idle(self, text: str) -> bool:
        """Whether none is open, and none can open before the text ends."""
        return not (self._fence or any(mark in self._line or mark in text for mark in "`~"))

    @property
    def inside(self) -> bool:
        """Whether the line that has begun belongs to a block."""
        return bool(self._fence)

    def read(self, text: str) -> None:
        """Read on."""
        *lines, last = text.split("\n")
        for line in lines:
            self._end((self._line + line[:64])[:64])
            self._line = ""
        self._line = (self._line + last[:64])[:64]

    def _end(self, line: str) -> None:
        bare = line.lstrip(" ")
        mark = bare[:1]
        if len(line) - len(bare) > 3 or mark not in {"`", "~"}:
            return
        rest = bare.lstrip(mark)
        size = len(bare) - len(rest)
        if self._fence:
            if mark == self._fence[0] and size >= len(self._fence) and not rest.strip():
                self._fence = ""
        elif size >= 3 and not (mark == "`" and "`" in rest):
            self._fence = mark * size
