"""Answers in JSON while they come: a prefix decides the same values as the whole.

An answer that begins with a record, fenced or not, is read field by field up to where the record
ends, sentence by sentence within long values; behind it come sentences again, and where words stand
that have no place in one, so that a bracket hides nothing. Marks are passed over wherever they
stand. Texts may be read through their escapes
(`tape.JsonTape`) or as written, so a quote ends a value where the grammar goes on behind it.

Source: RFC 8259.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from keelmark.guard._nodes import words
from keelmark.guard._sentences import LONGEST, OPEN, Fence, Piece, begin, cut

_LEAD = re.compile(r"\s*(?:(?P<fence>`{3,})[ \t]*\w*[ \t]*\n\s*)?")
_MAY_LEAD = re.compile(r"\s*(?:`{1,2}|`{3,}[ \t]*\w*[ \t]*)?\Z")
_BARE = re.compile(r'[^\s,:{}\[\]"]+')
_LITERAL = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null|True|False|None|NaN|-?Infinity")
_ITEM = frozenset("{[-0123456789tfn")
_DEEPEST = 32
_QUOTES = 8  # in the name of a field, at most
_LABEL = 80


class Record(NamedTuple):
    """Where in a record a place is.

    Attributes:
        open: The brackets around it, outermost first.
        names: What each of these belongs to.
        name: The field whose value comes, or has come.
        value: Whether a value comes, where fields are.
        said: The fence behind which the place is, within a text; None outside of texts.
    """

    open: str = ""
    names: tuple[str, ...] = ()
    name: str = ""
    value: bool = False
    said: Fence | None = None

    @property
    def names_a_field(self) -> bool:
        """Whether the next text is the name of a field."""
        return self.open[-1:] == "{" and not self.value

    @property
    def label(self) -> str:
        """What the value at hand belongs to."""
        return " - ".join([one for one in (*self.names, self.name) if one][-2:])[-_LABEL:]


class State(NamedTuple):
    """Where in an answer a place is.

    Attributes:
        fence: The fence behind which it is.
        record: Where in a record; None outside of records.
        fresh: Whether a record may begin here: nothing else was said so far.
    """

    fence: Fence = OPEN
    record: Record | None = None
    fresh: bool = True


BEGIN = State()
"""Where an answer begins."""


class Read(NamedTuple):
    """An answer in pieces.

    Attributes:
        pieces: Those that are complete.
        rest: Where the first that is not begins; the length of the text when there is none.
        state: Where in the answer that is.
    """

    pieces: list[Piece]
    rest: int
    state: State


def read(text: str, state: State = BEGIN, *, final: bool = False) -> Read:
    """Cut an answer into sentences, and into the values of its records.

    Args:
        text: It begins where a piece does.
        state: Where in the answer it begins.
        final: Whether it ends here, so that the last piece is complete.
    """
    pieces: list[Piece] = []
    at = 0
    while state.record or state.fresh:
        if state.record is None:
            opened = _opened(text, at, state, final=final)
            if opened is None:
                return Read(pieces, at, state)
            at, state = opened
        else:
            at, state = _values(text, at, state, pieces, final=final)
            if state.record:
                return Read(pieces, at, state)
    done = cut(text[at:], fence=state.fence, final=final)
    pieces += (one._replace(start=one.start + at, end=one.end + at) for one in done.pieces)
    return Read(pieces, at + done.rest, state._replace(fence=done.fence))


def _opened(text: str, at: int, state: State, *, final: bool) -> tuple[int, State] | None:
    """Whether a record begins here, or sentences do; None while that is not known."""
    if not final and _MAY_LEAD.match(text, at):
        return None
    lead = _LEAD.match(text, at)
    start = lead.end() if lead else at
    if start == len(text) and not final:
        return None
    if text[start : start + 1] not in {"{", "["}:
        return at, state._replace(fresh=False)
    inside = begin(text, start + 1)
    if inside == len(text) and not final:
        return None
    if text[inside : inside + 1] not in {'"', "{", "["}:
        return at, state._replace(fresh=False)
    fence = Fence(lead["fence"], code=True) if lead and lead["fence"] else OPEN
    return start, State(fence, Record())


def _values(
    text: str, at: int, state: State, pieces: list[Piece], *, final: bool
) -> tuple[int, State]:
    """Read on in a record, up to its end or to what is not complete."""
    record = state.record or Record()
    while True:
        if record.said is not None:
            at, record = _told(text, at, record, pieces, final=final)
        step = None if record.said is not None else _step(text, at, record, pieces, final=final)
        if step is None:
            return at, state._replace(record=record)
        at, record = step
        if not record.open or len(record.open) > _DEEPEST:
            return at, State(state.fence, None, fresh=state.fence is OPEN and not record.open)


def _step(
    text: str, at: int, record: Record, pieces: list[Piece], *, final: bool
) -> tuple[int, Record] | None:
    """Read a mark, a name, a value without quotes, or the quote before a text; None: not whole."""
    at = begin(text, at)
    sign = text[at : at + 1]
    if not sign:
        return None
    if sign in "{}[]:,":
        return at + 1, _marked(record, sign)
    if sign == '"' and not record.names_a_field:
        return at + 1, record._replace(said=OPEN)
    if sign == '"':
        named = _name(text, at, final=final)
        if named and named[0] == at:
            return at, Record()  # no record any more
        return named and (named[0], record._replace(name=named[1]))
    end = _bare(text, at)
    if end == len(text) and not final:
        return None
    if record.names_a_field or not _LITERAL.fullmatch(text, at, end):
        return at, Record()  # no record any more
    pieces.append(Piece(at, end, code=False, label=record.label, bare=True))
    return end, record


def _name(text: str, at: int, *, final: bool) -> tuple[int, str] | None:
    """The place behind the name of a field, and the name.

    None where it is not whole; the same place where there is no name.
    """
    limit = min(len(text), at + LONGEST)
    quote = at
    for _ in range(_QUOTES):
        quote = text.find('"', quote + 1, limit)
        if quote < 0:
            return (at, "") if final or len(text) > at + LONGEST else None
        mark = begin(text, quote + 1)
        if mark == len(text) and not final:
            return None
        if text[mark : mark + 1] == ":" and not _escaped(text, quote):
            return quote + 1, words(text[at + 1 : quote])[:_LABEL]
    return at, ""


def _bare(text: str, at: int) -> int:
    """Where a number, or a word without quotes, ends."""
    found = _BARE.match(text, at, at + LONGEST)
    return found.end() if found else at + 1


def _marked(record: Record, sign: str) -> Record:
    """Where in a record the place behind a mark is."""
    if sign in "{[":
        names = (*record.names, record.name)
        return Record(record.open + sign, names)
    if sign in "}]":
        return Record(record.open[:-1], record.names[:-1], "", value=True)
    if sign == ":":
        return record._replace(value=True)
    fields = record.open[-1:] == "{"
    return record._replace(value=False, name="") if fields else record


def _told(
    text: str, at: int, record: Record, pieces: list[Piece], *, final: bool
) -> tuple[int, Record]:
    """Read on within a text, sentence by sentence."""
    end, known = _closing(text, at, record.open, final=final)
    done = cut(text[at:end], fence=record.said or OPEN, final=known)
    pieces += (
        one._replace(start=one.start + at, end=one.end + at, label=record.label)
        for one in done.pieces
    )
    if known:
        return min(end + 1, len(text)), record._replace(said=None)
    return at + done.rest, record._replace(said=done.fence)


def _closing(text: str, at: int, around: str, *, final: bool) -> tuple[int, bool]:
    """Where the quote stands that ends a value, and whether it is known that it does."""
    quote = text.find('"', at)
    while quote >= 0:
        ends = not _escaped(text, quote) and _ends(text, quote + 1, around, final=final)
        if ends is not False:
            return quote, bool(ends)
        quote = text.find('"', quote + 1)
    return len(text), final


def _ends(text: str, at: int, around: str, *, final: bool) -> bool | None:
    """Whether a record goes on here as it may behind a value; None while that is not known.

    Texts that are read through their escapes have quotes of their own.
    """
    mark = begin(text, at)
    if mark == len(text):
        return True if final else None
    if text[mark] not in ",}]":
        return False
    if text[mark] != "," and len(around) == 1:
        return True
    behind = begin(text, mark + 1)
    if behind == len(text):
        return True if final else None
    if text[mark] != ",":
        return text[behind] in ",}]"
    return text[behind] == '"' or (around[-1:] == "[" and text[behind] in _ITEM)


def _escaped(text: str, quote: int) -> bool:
    """Whether an odd number of backslashes stands before a quote."""
    before = quote
    while before and text[before - 1] == "\\":
        before -= 1
    return (quote - before) % 2 == 1
