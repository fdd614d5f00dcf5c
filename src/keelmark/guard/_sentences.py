"""Sentences of a text while it comes: a prefix decides the same ones as the whole.

A sentence ends with its last mark, which white space has to follow (nothing in scripts that write
none), or with its line. Initials, abbreviations and the numbers of a list end none. One without an
end is cut at white space after LONGEST characters at most. Lines between fences are code, unless
the first one says that they are prose.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 600
"""Code points after which a sentence that has no end is taken as it is."""

_APART = 2  # ends of lines between two paragraphs
_FEW = 4  # words of the head of a column
_CLOSERS = "\"'”’»›」』）)\\]】》*_"
_END = re.compile(
    rf"[.!?…؟।॥۔]+(?:[{_CLOSERS}]+|\[\d{{1,3}}\])*(?=\s)"
    rf"|[。！？｡]+[{_CLOSERS}]*(?=[^。！？｡{_CLOSERS}])|\n"
)
_RULE = re.compile(r"\n[ \t]*[|:\- \t]*")
_MARK = re.compile(r"(?:(?:[-*•·–#>]{1,6}|\(?\d{1,3}[.)]|\(?[a-z]\))[ \t]+)+")
_FENCE = ("```", "~~~")
_PROSE = frozenset({"text", "txt", "plaintext", "plain", "markdown", "md", "quote"})
_NUMBERED = re.compile(r"\(?\d{1,3}\.\Z")
_SHORT = re.compile(r"(?:(?<![^\W\d_])[A-Z]|(?:\b[^\W\d_]\.)+[^\W\d_])\Z")
_WORD = re.compile(r"[^\W\d_]+\Z")
_ABBREVIATIONS = (
    "mr mrs ms dr prof sr jr st vs etc al inc ltd co corp approx est fig figs vol ed eds "
    "gen col lt sgt capt gov sen rep rev hon dept cf ca nr bzw usw ggf bspw sog evtl zzgl "
    "sra srta mme mlle jan feb mar apr jun jul aug sep sept oct nov dec"
)
_SHORTENED = frozenset(_ABBREVIATIONS.split())


class Fence(NamedTuple):
    """The fence behind which a place of a text is.

    Source: CommonMark 0.31, 4.5. One of backticks has none behind it; what ends one is as long at
    least, and nothing else.

    Attributes:
        mark: How it is written; "" for none.
        code: Whether what is behind it is code.
        within: Whether the place is within a line, where no fence can be.
        table: Whether the line before, or this one, is a row of a table.
    """

    mark: str = ""
    code: bool = False
    within: bool = False
    table: bool = False


OPEN = Fence()
"""No fence."""


class Piece(NamedTuple):
    """A sentence, or a line of code; without the mark of a list before it.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        code: Whether it is code.
        head: Whether it is the head of a table, or the rule below that: names of columns.
        label: The field whose value it is, or part of one; None outside of records.
        bare: Whether it is a value without quotes: a number, yes or no, or nothing.
    """

    start: int
    end: int
    code: bool
    head: bool = False
    label: str | None = None
    bare: bool = False


class Cut(NamedTuple):
    """A text in sentences.

    Attributes:
        pieces: Those that are complete.
        rest: Where the first that is not begins; the length of the text when there is none.
        fence: The fence behind which that is.
    """

    pieces: list[Piece]
    rest: int
    fence: Fence


def cut(text: str, *, fence: Fence = OPEN, final: bool = False) -> Cut:
    """Cut a text into sentences.

    Args:
        text: It begins where a sentence does.
        fence: The fence behind which it begins.
        final: Whether it ends here, so that the last sentence is complete.
    """
    pieces: list[Piece] = []
    at, length = 0, len(text)
    while True:
        first = begin(text, at)
        lines = text.count("\n", at, first)
        fence = fence._replace(
            within=fence.within and not lines, table=fence.table and lines < _APART
        )
        if first == length:
            return Cut(pieces, length, fence)
        code, behind = fence.code, fence
        if code or (not fence.within and text.startswith(_FENCE, first)):
            end = _line_end(text, first)
            if end < 0 and not final:
                return Cut(pieces, first, fence)
            if not fence.within:
                behind = _behind(text[first : end if end >= 0 else length], fence)
            code = code or behind != fence
        if not code:
            end = _end(text, first)
        if end < 0:
            if not final:
                return Cut(pieces, first, fence)
            end = length
        mark = None if code else _MARK.match(text, first, end)
        start = mark.end() if mark and mark.end() < end else first
        stop = start + len(text[start:end].rstrip())
        row = not code and (text[first] == "|" or (fence.within and fence.table))
        head = _head(text, start, end, first=not fence.table, final=final) if row else False
        if head is None:
            return Cut(pieces, first, fence)
        pieces.append(Piece(start, stop, code, head))
        at, fence = end, behind._replace(within=True, table=row)


def _head(text: str, start: int, end: int, *, first: bool, final: bool) -> bool | None:
    """Whether a row says nothing: a rule, or a few words for each column above one.

    None where that is not known yet.
    """
    line = text[start:end].strip("| ")
    if not line.strip("|:- \n"):
        return True
    cells = line.split("|")
    few = all(len(cell.split()) <= _FEW for cell in cells)
    if not first or len(cells) == 1 or not few or any(map(str.isdigit, line)):
        return False
    return _rule_below(text, end, final=final)


def _rule_below(text: str, end: int, *, final: bool) -> bool | None:
    """Whether the line below one that ends here is the rule of a table; None: not known yet."""
    found = _RULE.match(text, end, end + LONGEST)
    stop = found.end() if found else end
    if stop == len(text) and not final:
        return None
    return bool(found and "-" in found[0] and (stop == len(text) or text[stop] == "\n"))


def _behind(line: str, fence: Fence) -> Fence:
    """The fence behind which what follows a line is."""
    line = line.rstrip()
    mark = line[: len(line) - len(line.lstrip(line[0]))]
    if fence.mark:
        ends = line == mark and mark[0] == fence.mark[0] and len(mark) >= len(fence.mark)
        return OPEN if ends else fence
    named = line[len(mark) :].strip()
    if not line.startswith(_FENCE) or (mark[0] == "`" and "`" in named):
        return OPEN
    return Fence(mark, named.casefold() not in _PROSE)


def begin(text: str, at: int) -> int:
    """Return where the next character that is no white space stands."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _line_end(text: str, begin: int) -> int:
    """Where the line ends, or the piece of it; -1 when that is not known."""
    end = text.find("\n", begin, begin + LONGEST)
    return end if end >= 0 else begin + LONGEST if len(text) - begin > LONGEST else -1


def _end(text: str, begin: int) -> int:
    """Where the sentence that begins here ends; -1 when that is not known."""
    limit = begin + LONGEST
    for found in _END.finditer(text, begin, min(limit + 1, len(text))):
        if found[0] == "\n":
            return found.start()
        if found.end() <= limit and not _goes_on(text, begin, found):
            return found.end()
    if len(text) <= limit:
        return -1
    for at in range(limit, begin + LONGEST // 2, -1):
        if text[at].isspace():
            return at
    return limit


def _goes_on(text: str, begin: int, found: re.Match[str]) -> bool:
    """Whether a full stop is that of an abbreviation, an initial or the number of a list."""
    if found[0] != ".":
        return False
    if _NUMBERED.match(text, begin, found.end()):
        return True
    before = text[max(begin, found.start() - 16) : found.start()]
    word = _WORD.search(before)
    return bool(_SHORT.search(before)) or (word is not None and word[0].lower() in _SHORTENED)
