"""Text in HTML as it reads: without tags, a line for each block, rows of tables as records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

from keelmark.guard._nodes import Bit, told
from keelmark.guard._patterns import lower

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)\b[^<>]*>|<!--")
_ENTITY = re.compile(r"(&#?\w{1,32};)")
_SPACE = re.compile(r"\s")
_BLOCK = frozenset(
    {"address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "div", "dl", "dt"}
    | {"figcaption", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr"}
    | {"html", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary", "table"}
    | {"tbody", "td", "tfoot", "th", "thead", "title", "tr", "ul"}
)
_CELLS, _ROWS = frozenset({"td", "th"}), frozenset({"tr", "table"})
_UNREAD = frozenset({"script", "style", "svg", "template"})
_LEAST = 3  # tags of blocks from which on a text is in HTML, and not on it
_LAYOUT = 200  # code points of a cell from which on it is a part of the page


class Tag(NamedTuple):
    """A tag: its name in small letters, whether it closes, and where it stands."""

    name: str
    closes: bool
    start: int
    end: int


class Cell(NamedTuple):
    """A cell of a table: what it says, whether it is a head, and where it stands."""

    text: str
    head: bool
    start: int
    end: int


def is_html(text: str) -> bool:
    """Whether a text is written in HTML: it has tags of blocks, and some are closed."""
    if "</" not in text:
        return False
    found = [one[1] for one in _TAG.finditer(text) if (one[2] or "").lower() in _BLOCK]
    return len(found) >= _LEAST and "/" in found


def read(text: str) -> Iterator[Bit]:
    """Yield what a text in HTML says, piece by piece."""
    table = _Table()
    for piece in _pieces(text):
        if not isinstance(piece, Tag):
            if not table.takes(piece):
                yield piece
        elif piece.name in _CELLS or piece.name in _ROWS:
            yield from table.at(piece)
        elif piece.name in _BLOCK:
            line = "\n", piece.start, piece.end, False
            if not table.takes(line):
                yield line
    yield from table.at(Tag("table", closes=True, start=len(text), end=len(text)))


def _pieces(text: str) -> Iterator[Tag | Bit]:
    """The tags of a text and what is between them; scripts, styles and comments left out."""
    done, low, never = 0, lower(text), set[str]()
    while found := _TAG.search(text, done):
        yield from _said(text, done, found.start())
        name, done = (found[2] or "").lower(), found.end()
        ends = "-->" if not name else f"</{name}" if name in _UNREAD and not found[1] else ""
        if ends and ends not in never:
            end = low.find(ends, done)
            if end < 0:
                never.add(ends)  # so that a text full of openings is read once
            else:
                done = max(low.find(">", end), end) + 1
        elif name:
            yield Tag(name, bool(found[1]), found.start(), done)
    yield from _said(text, done, len(text))


def _said(text: str, start: int, end: int) -> Iterator[Bit]:
    for part in _ENTITY.split(text[start:end]):
        stop = start + len(part)
        if part:
            said = unescape(part) if part[0] == "&" else _SPACE.sub(" ", part)
            yield said, start, stop, len(said) == len(part)
        start = stop


class _Table:
    """Where in a table the text is: the cells of the row so far, and the names of its columns."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._row: list[Cell] = []
        self._bits: list[Bit] = []
        self._cell: Tag | None = None

    def takes(self, bit: Bit) -> bool:
        """Take a piece of a cell; False where none is open."""
        if self._cell:
            self._bits.append(bit)
        return self._cell is not None

    def at(self, tag: Tag) -> Iterator[Bit]:
        """Yield what is complete at a tag."""
        if self._cell:
            yield from self._close(self._cell, tag.start)
        if tag.name in _ROWS:
            yield from self._line()
            yield "\n", tag.start, tag.end, False
            if tag.name == "table":
                self._names = []
        elif not tag.closes:
            self._cell = tag

    def _close(self, cell: Tag, end: int) -> Iterator[Bit]:
        said = " ".join("".join(bit[0] for bit in self._bits).split())
        if len(said) > _LAYOUT:
            yield from self._bits
            yield "\n", end, end, False
        else:
            self._row.append(Cell(said, cell.name == "th", cell.end, end))
        self._bits, self._cell = [], None

    def _line(self) -> Iterator[Bit]:
        row, self._row = self._row, []
        if row and all(one.head for one in row):
            self._names = [one.text for one in row]
            return
        for number, one in enumerate(row):
            name = self._names[number] if number < len(self._names) else ""
            before = "" if not number else " - " if row[0].head and number == 1 else "; "
            said = told(one.text)
            yield before + (f"{name}: {said}" if name else said), one.start, one.end, False
