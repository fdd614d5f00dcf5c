"""Normalise once: the folded view that detectors read, with the way back to the text as written.

Folding maps code point by code point, so `fold(a + b) == fold(a) + fold(b)` for all texts: that
makes it exact for streams too. It is for detection only and is never shown:

- compatibility forms (full width, mathematical letters, ligatures) become plain (Unicode NFKD);
- what cannot be seen goes: format characters, tags, variation selectors, fillers, control
  characters other than white space;
- accents and other marks of the general blocks go, so NFC and NFD read the same (é, e + U+0301
  and a stacked "zalgo" e all read as e); marks of Indic, Arabic and other scripts stay;
- letters that look like ASCII letters become them whatever their script (Cyrillic а reads as a),
  digits of every script become 0 to 9, dashes, quotation marks and spaces become ASCII ones.

Case stays. A detector that looks for words in other scripts folds its own patterns with `fold`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_PLAIN = re.compile(r"[\t-\r\x1c-\x7e]*")
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_UNSEEN = frozenset(
    map(chr, (0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)))
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000))))

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOOKS_LIKE = {  # written as, reads as: position by position
    "аеорсухіјѕһԁԛԝьвкмнтԍѵӏ": "aeopcyxijshdqwbbkmhtgvl",  # Cyrillic
    "АВЕЅІЈКМНОРСТУХԌԚԜѴӀҮ": "ABESIJKMHOPCTYXGQWVIY",
    "αενορτυχικγηωμβς": "aevoptuxikynwubs",  # Greek
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳϲ": "ABEZHIKMNOPTYXCjc",
    "օոսհզցքԼՕՍԱ": "onuhqgpLOUU",  # Armenian
    "ᎪᏴᏟᎠᎬᏀᎻᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃ": "ABCDEGHJKLMPRSTVWZ",  # Cherokee
    "ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ": "ABCDEFGHIJKLMNOPRSTUVWXYZ",  # Lisu
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ": "abcdefghijklmnopqrstuvwyz",  # small capitals
    "đĐøØłŁħĦŧŦıȷɑɡɩɪƅɓƈɗƒɠɦɨƙɱɲɵƥʂƭʉʋƴƶ": "dDoOlLhHtTijagiibbcdfghikmnopstuvyz",
    "‐‑‒–—―−﹘⁃‘’‚‛′´ʹʼʻ“”„‟″⁄∕∶꞉": "---------''''''" + "'''" + '"""""' + "//::",
}
for _first in (0x1F150, 0x1F170, 0x1F1E6):  # negative circled and squared, regional indicators
    _LOOKS_LIKE["".join(chr(_first + i) for i in range(26))] = _ALPHABET
_TWIN = {a: b for odd, plain in _LOOKS_LIKE.items() for a, b in zip(odd, plain, strict=True)}


def _fold_one(char: str) -> str:
    """What one code point reads as; "" when it cannot be seen."""
    if char in _TWIN:
        return _TWIN[char]
    kind = unicodedata.category(char)
    if kind == "Cf" or char in _UNSEEN or (kind == "Cc" and not char.isspace()):
        return ""
    if char.isspace():
        return "\n" if kind in {"Zl", "Zp"} or char == "\x85" else char if char < "\x80" else " "
    if kind == "Cs":
        return "\ufffd"
    if kind[0] == "N" and (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    parts = unicodedata.normalize("NFKD", char)
    if parts[0] == " ":  # a mark drawn on a space: stays what it is
        return char
    bare = unicodedata.normalize("NFC", _MARKS.sub("", parts))
    return "".join(_TWIN.get(part, part) for part in bare if part not in _UNSEEN)


_MOST_MEANINGLESS = 8192  # unassigned and private code points that the table keeps


class _Table(dict[int, str | None]):
    """Lazily filled table for `str.translate`; it keeps few code points without a meaning."""

    _meaningless = 0

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        nothing = unicodedata.category(char) in {"Cn", "Co"}
        if nothing and char not in _UNSEEN and not _MARKS.match(char):
            if self._meaningless < _MOST_MEANINGLESS:
                self._meaningless += 1
                self[code] = char
            return char
        folded = self[code] = _fold_one(char) or None
        if folded is None or len(folded) != 1:
            _UNEVEN.add(code)
        return folded


_UNEVEN: set[int] = set()  # code points seen so far that fold to none or to several
_TABLE = _Table()


def is_plain(text: str) -> bool:
    """Whether folding leaves the text as it is because it is printable ASCII and white space."""
    return _PLAIN.fullmatch(text) is not None


def fold(text: str) -> str:
    """Return the text as detectors read it (see the module's head)."""
    return text if is_plain(text) else text.translate(_TABLE)


class Piece(NamedTuple):
    """A stretch of a text that reads as something else."""

    start: int
    end: int
    text: str


class View:
    """A text as something reads it, and where each character of it comes from.

    Attributes:
        text: What is read.
        length: Code points of the text as written.
    """

    __slots__ = ("_ends", "_starts", "length", "text")

    def __init__(
        self,
        text: str,
        length: int,
        starts: list[int] | None = None,
        ends: list[int] | None = None,
    ) -> None:
        self.text = text
        self.length = length
        self._starts = starts
        self._ends = ends

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span as written behind the span [start, end) of `text`, start < end."""
        if self._starts is None:
            return start, end
        if self._ends is None:
            return self._starts[start], self._starts[end - 1] + 1
        return min(self._starts[start:end]), max(self._ends[start:end])

    def position(self, index: int) -> int:
        """Return where, as written, the character at `index` begins (or the text ends)."""
        if index >= len(self.text):
            return self.length
        return index if self._starts is None else self._starts[index]

    def over(self, below: View) -> View:
        """Return this view, made of `below.text`, as a view of what `below` is a view of.

        `below` keeps the order of its original.
        """
        starts = range(len(self.text)) if self._starts is None else self._starts
        ends = [start + 1 for start in starts] if self._ends is None else self._ends
        if below._starts is not None:
            first, last = below._starts, below._ends
            starts = [first[i] for i in starts]
            ends = [first[i - 1] + 1 if last is None else last[i - 1] for i in ends]
        return View(self.text, below.length, list(starts), ends)

    def changed(self, start: int, end: int) -> bool:
        """Whether something in the span [start, end) of `text` stands for several code points."""
        if self._starts is None or self._ends is None:
            return False
        spans = zip(self._starts[start:end], self._ends[start:end], strict=True)
        return any(last - first != 1 for first, last in spans)


def backwards(text: str) -> View:
    """Return the view of a text read from its end."""
    size = len(text)
    return View(text[::-1], size, list(range(size - 1, -1, -1)), list(range(size, 0, -1)))


def folded(text: str) -> View:
    """Return the folded view of a text."""
    if is_plain(text):
        return View(text, len(text))
    read = text.translate(_TABLE)
    uneven = {char for char in set(text) if ord(char) in _UNEVEN}
    if not uneven:
        return View(read, len(text))
    if not any(_TABLE[ord(char)] for char in uneven):
        return View(read, len(text), [i for i, char in enumerate(text) if char not in uneven])
    starts: list[int] = []
    for index, char in enumerate(text):
        starts.extend([index] * len(_TABLE[ord(char)] or ""))
    return View(read, len(text), starts)


def substituted(text: str, pieces: Iterable[Piece]) -> View:
    """Return the view in which each piece reads as its own text.

    Args:
        text: As written.
        pieces: Left to right; one that overlaps an earlier one is left out. Every character of a
            piece's text comes from the whole of the piece.
    """
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for start, end, reads in pieces:
        if start < done:
            continue
        out += (text[done:start], reads)
        starts += (*range(done, start), *([start] * len(reads)))
        ends += (*range(done + 1, start + 1), *([end] * len(reads)))
        done = end
    out.append(text[done:])
    starts += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return View("".join(out), len(text), starts, ends)
