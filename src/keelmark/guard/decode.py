"""Decoded views of whole texts: what a model can read although it is not written out.

Each encoded run is read as what it decodes to, where it stands, and every character of that comes
from the whole run. Decoding makes a text no longer, but for letters that are missing in words; it
goes two layers deep, and what is beyond the limits is counted, so that coverage says it.

Runs: base64 and base64url, hexadecimal, percent, HTML and backslash escapes, tag characters and
variation selectors that carry bytes, code points (decimal, octal, U+0069), bits, Morse code, and
letters spaced apart. Words that attacks are made of: with letters as digits (`1gn0r3`), broken
(`ig-nore`), mistyped (`ingore`), glued (`ignoreAllRules`). Whole texts: Caesar's shifts, Atbash,
reversed as a whole or word by word, where common words of such a text show it.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from msgspec.structs import replace

from keelmark.guard import _ciphers, _code_points, _spelling
from keelmark.guard._spelling import TELLING
from keelmark.guard.normalise import Piece, View, backwards, folded, substituted
from keelmark.guard.run import Run, Seen

LONGEST = 1 << 20
"""Code points of a text that are searched for encoded runs."""

DEPTH = 2
_SHORTEST = 4  # characters of a payload


def _read(raw: bytes) -> str | None:
    """The bytes as text, when they are text."""
    try:
        text = raw.replace(b"\0", b"").decode()
    except UnicodeDecodeError:
        return None
    words = "".join(text.split())
    return text if len(words) >= _SHORTEST and words.isprintable() else None


def _base64(run: str) -> str | None:
    plain = "".join(run.split()).rstrip("=").replace("-", "+").replace("_", "/")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    try:
        return _read(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _hex(run: str) -> str | None:
    digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", run)
    return _read(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _escape(run: str) -> str | None:
    if run[0] == "%":
        try:
            return unquote(run, errors="strict")
        except UnicodeDecodeError:
            return None
    if run[0] == "&":
        text = html.unescape(run)
        return text if text != run else None
    char = chr(int(run.strip("\\uUxX{}"), 16) % 0x110000)
    return char if char.isprintable() or char.isspace() else None


def _tags(run: str) -> str | None:
    return "".join(chr(ord(c) - 0xE0000) for c in run if 0xE0020 <= ord(c) < 0xE007F) or None


def _selectors(run: str) -> str | None:
    codes = [ord(c) for c in run]
    return _read(bytes(c - 0xFE00 if c < 0xFE10 else c - 0xE0100 + 16 for c in codes))


_LETTERS = re.compile("[A-Za-z]+")
_LEET = tuple(str.maketrans("013457@$!|", f"o{one}eastas{one}l") for one in "il")


def _leet(run: str) -> str | None:
    """Letters written as digits and signs, where they spell a word that attacks are made of."""
    if run.isalpha() or run.isdigit():
        return None
    low = run.lower()
    return next((word for table in _LEET if (word := low.translate(table)) in TELLING), None)


class Codec(NamedTuple):
    """A way to encode: which texts may hold it, what a run looks like, and what it reads as."""

    may: Callable[[str], bool]
    run: re.Pattern[str]
    decode: Callable[[str], str | None]


_SHORT_RUN = 24
_SEPARATED = r"(?<!\w)\w([ \t.,_*|/~-])\w"
# _SEPARATED twice over, but begun at a separator: that is what makes the search fast.
_APART = re.compile(r"([ \t.,_*|/~-])\w\1\w\1\w(?!\w)(?<=(?<!\w)\w.\w.\w.\w)")
_CODECS = (
    Codec(  # base64, in lines or in one piece, with either alphabet
        lambda text: max(map(len, text.split()), default=0) >= 14,
        re.compile(
            r"(?:[A-Za-z0-9+/]{60,76}\r?\n)+[A-Za-z0-9+/]+={0,2}|[A-Za-z0-9+/_-]{14,}={0,2}"
        ),
        _base64,
    ),
    Codec(
        lambda text: any(digit in text for digit in "4567"),  # of letters in ASCII
        re.compile(
            r"(?<![0-9a-zA-Z])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ :,-]{0,2}){5,}"
            r"(?:0x|\\x)?[0-9a-fA-F]{2}"
        ),
        _hex,
    ),
    Codec(
        lambda text: "%" in text or "&" in text or "\\" in text,
        re.compile(
            r"(?:%[0-9a-fA-F]{2})+|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31});"
            r"|\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|u\{[0-9a-fA-F]{1,6}\})"
        ),
        _escape,
    ),
    Codec(lambda text: not text.isascii(), re.compile("[\U000e0000-\U000e007f]{4,}"), _tags),
    Codec(
        lambda text: not text.isascii(),
        re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"),
        _selectors,
    ),
    Codec(  # i g n o r e, i-g-n-o-r-e: once four letters in a row are apart, two are enough
        lambda text: _APART.search(text) is not None,
        re.compile(_SEPARATED + r"(?:\1\w)*(?!\w)(?:\1(?=\s))?"),
        lambda run: run[::2],
    ),
    Codec(  # 1gn0r3
        lambda text: any(char in text for char in "013@$"),
        re.compile(r"(?<![\w@$])[A-Za-z0-9@$!|]{3,20}(?![\w@$])"),
        _leet,
    ),
    Codec(
        lambda text: any(digit in text for digit in "13456"),  # of letters, octal and decimal
        _code_points.NUMBERS,
        _code_points.numbers,
    ),
    Codec(lambda text: "0" in text, _code_points.BITS, _code_points.bits),
    Codec(lambda text: "+" in text, _code_points.POINTS, _code_points.points),
    Codec(_code_points.may_be_morse, _code_points.MORSE, _code_points.morse),
)

_REVERSED = frozenset(
    word[::-1]
    for word in (
        *("the", "and", "you", "your", "all"),
        *("ignore", "previous", "instructions", "system", "prompt"),
    )
)
_TELLTALE = _REVERSED | _ciphers.ENCODED | _spelling.MISTYPED
_MARKED = bytes(
    code if chr(code).isalnum() else 45 if chr(code) in "-._~*|?" else 32 for code in range(128)
).ljust(256)


def _telltale(text: str) -> tuple[frozenset[str], bool]:
    """The words of a text that say how it is written, in small letters; if some are odd."""
    plain = text.encode("ascii", "replace").lower().replace(b"-\n", b"-").replace(b"-\r\n", b"-")
    words = set(plain.translate(_MARKED).decode().split())
    marked = [word for word in words if "-" in word]
    words.update(part for word in marked for part in word.split("-"))
    odd = any(map(_spelling.is_broken, marked)) or any(map(_spelling.is_glued, words))
    return _TELLTALE & words, odd


class _Reads(dict[str, str | None]):
    """What runs of one text read as; the same short run is decoded once."""

    def __init__(self, decode: Callable[[str], str | None]) -> None:
        self._decode = decode

    def __missing__(self, run: str) -> str | None:
        reads = self._decode(run)
        if len(run) <= _SHORT_RUN:
            self[run] = reads
        return reads


def _pieces(text: str, telltale: frozenset[str], *, odd: bool) -> list[Piece]:
    """Every encoded run of a text, left to right."""
    found = [
        Piece(match.start(), match.end(), reads)
        for codec in _CODECS
        if codec.may(text)
        for known in (_Reads(codec.decode),)
        for match in codec.run.finditer(text)
        if (reads := known[match[0]]) is not None
    ]
    if odd:
        found += _spelling.broken(text)
        found += _spelling.glued(text)
    if not telltale.isdisjoint(_spelling.MISTYPED):
        found += _spelling.mistyped(text)
    return sorted(found, key=lambda piece: (piece.start, -piece.end))


def _turned(view: View, telltale: frozenset[str]) -> tuple[list[View], int]:
    """Read a whole text in the ciphers that it shows, and from its end.

    Returns:
        The views, and the number of letters that show further ciphers.
    """
    shown = _ciphers.shown(telltale & _ciphers.ENCODED)
    texts = [_ciphers.turned(view.text, cipher) for cipher, _ in shown[: _ciphers.MOST]]
    views = [View(text, len(text)).over(view) for text in texts]
    if not telltale.isdisjoint(_REVERSED):
        views.append(backwards(view.text).over(view))
        by_word = _LETTERS.sub(lambda found: found[0][::-1], view.text)
        views.append(View(by_word, len(by_word)).over(view))
    return views, sum(many for _, many in shown[_ciphers.MOST :])


def decoded(text: str) -> tuple[list[tuple[View, bool]], int]:
    """Return the decoded views of a text.

    Returns:
        Views, each with whether all of it is decoded (else only what `View.changed` says); and
        the number of code points that were not decoded for the limits.
    """
    unread = max(0, len(text) - LONGEST)
    below = View(text[:LONGEST], min(len(text), LONGEST))
    views: list[tuple[View, bool]] = []
    for depth in range(DEPTH + 1):
        telltale, odd = _telltale(below.text)
        turned, more = _turned(below, telltale)
        views += ((view, True) for view in turned)
        unread += more
        pieces = _pieces(below.text, telltale, odd=odd)
        if not pieces or depth == DEPTH:
            break
        below = substituted(below.text, pieces).over(below)
        views.append((below, False))
    spans = (below.origin(piece.start, piece.end) for piece in pieces)
    unread += sum(end - start for start, end in spans) if depth == DEPTH else 0
    return views, min(unread, len(text))


def hits(run: Run, text: str) -> list[Seen]:
    """Let the probes that read decoded views read those of a whole text.

    Returns:
        What they saw, at the places of the encoded runs.
    """
    probes = [probe for probe in run.live if probe.detector.decoded]
    if not probes:
        return []
    views, run.unread = decoded(text)
    seen: dict[tuple[object, ...], Seen] = {}
    for view, all_of_it in views:
        for probe in probes:
            if all_of_it and probe.detector.costly:  # a guess at a cipher is for rules
                continue
            read = View(view.text, len(view.text)) if probe.detector.raw else folded(view.text)
            for hit in run.look(probe, read.text, 0, final=True)[0]:
                span = read.origin(hit.start, hit.end)
                if all_of_it or view.changed(*span):
                    start, end = view.origin(*span)
                    told = replace(hit, reason=f"{hit.reason}, in encoded text")
                    key = (start, end, hit.label, hit.score, probe.number)
                    seen.setdefault(key, Seen(start, end, told, probe))
    return list(seen.values())
