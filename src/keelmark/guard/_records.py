"""Structured data as it would be told: records and tables, in lines of `name: value`.

What a tool returns is seldom prose. Against `"hours": {"Monday": "9:0-21:0"}`, a sentence about
nine in the evening rests on nothing; against `hours - Monday: 9 AM to 9 PM` it does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keelmark.core.segments import TEXTS
from keelmark.guard import _html as html
from keelmark.guard._grids import comma_separated, markdown
from keelmark.guard._literals import BEGIN, NotARecordError, value
from keelmark.guard._nodes import Bit, Node, told, words

_LEAST = 2  # values from which on something is a record, and not a word in braces
_WIDE = 300  # code points of a line after which the next field begins another
_LONG = 100  # code points of a value that has a line of its own
_LABEL = 80
_IN_VAIN = 1  # times the length of a text that may be read in vain
_TITLES = frozenset({"name", "title", "label", "id"})
SAYS_NOTHING = frozenset(
    {"attributes", "data", "details", "fields", "info", "items", "properties", "record", "records"}
    | {"response", "result", "results", "values"}
)
"""Names that what they hold needs not."""


class Piece(NamedTuple):
    """A piece of a reading: where it begins there, and where what it says is written.

    A piece that reads as it is written is `plain`.
    """

    at: int
    start: int
    end: int
    plain: bool


class Reading(NamedTuple):
    """A text as it would be told.

    Attributes:
        text: It.
        pieces: Where each piece comes from, in order.
    """

    text: str
    pieces: tuple[Piece, ...]

    @property
    def has_records(self) -> bool:
        """Whether there are records in it."""
        return not all(one.plain for one in self.pieces)

    def told(self, at: int) -> bool:
        """Whether what stands here is told of a record, and not written so."""
        return not self.pieces[self._piece(at)].plain

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return where a span of the reading is written."""
        first = self.pieces[self._piece(start)]
        last = self.pieces[self._piece(max(start, end - 1))]
        low = first.start + start - first.at if first.plain else first.start
        high = last.start + end - last.at if last.plain else last.end
        return low, max(low, high)

    def _piece(self, at: int) -> int:
        return bisect_right(self.pieces, at, key=lambda one: one.at) - 1


def read(text: str) -> Reading:
    """Return a text with the records and tables in it as they would be told; HTML without tags.

    What only begins like a record is left as it is. Time goes with the length of the text.
    """
    return _reading(html.read(text) if html.is_html(text) and not _whole(text) else _told(text))


def _reading(told_: Iterable[Bit]) -> Reading:
    bits = list(told_)
    pieces, length = [], 0
    for said, start, end, plain in bits:
        if said:
            pieces.append(Piece(length, start, end, plain))
            length += len(said)
    return Reading("".join(bit[0] for bit in bits), tuple(pieces))


def is_field(name: str, said: str) -> bool:
    """Whether a text is the value of a field, and no text to be read by itself."""
    return len(said) <= _LONG and "\n" not in said and name.rpartition(".")[2] not in TEXTS


def record(fields: Sequence[tuple[str, str]]) -> Reading:
    """Return the values of a record, written a line each, as they would be told."""
    nodes, at = [], 0
    for name, said in fields:
        text = told(said)
        names = [words(one) for one in name.split(".") if one not in SAYS_NOTHING]
        nodes.append(Node(" - ".join(names), text, (), at, at + len(said), text == said))
        at += len(said) + 1
    return _reading(_lines(Node("", None, tuple(nodes), 0, at), ()))


def _whole(text: str) -> Node | None:
    """A text that is one record and nothing else."""
    start = len(text) - len(text.lstrip())
    try:
        node = value(text, start) if BEGIN.match(text, start) else None
    except NotARecordError:
        return None
    return node if node and node.end >= len(text.rstrip()) else None


def _told(text: str) -> Iterator[Bit]:
    done = 0
    for node in _found(text):
        yield text[done : node.start], done, node.start, True
        yield "\n", node.start, node.start, False
        yield from _lines(node, ())
        done = node.end
    yield text[done:], done, len(text), True


def _found(text: str) -> Iterator[Node]:
    """The records and tables of a text, in order; what is within another is part of it."""
    if whole := _whole(text) or comma_separated(text):
        yield whole
        return
    done = 0
    for table in (*markdown(text), None):
        end = table.start if table else len(text)
        for node in _literals(text, done, end):
            yield node
            done = node.end
        if table and table.start >= done:
            yield table
            done = table.end


def _literals(text: str, start: int, end: int) -> Iterator[Node]:
    """The records that begin between two places; after much in vain no more are looked for."""
    begin, vain = BEGIN.search(text, start), 0
    while begin and begin.start() < end and vain <= _IN_VAIN * len(text):
        after = begin.end()
        try:
            node = value(text, begin.start())
        except NotARecordError as error:
            vain += error.at - begin.start()
        else:
            after = node.end
            if sum(1 for _ in _leaves(node)) >= _LEAST:
                yield node
        begin = BEGIN.search(text, after)


def _leaves(node: Node) -> Iterator[Node]:
    if node.text is not None:
        yield node
    for one in node.inner:
        yield from _leaves(one)


def _lines(node: Node, label: Sequence[str], title: str = "") -> Iterator[Bit]:
    """Yield the lines of a value.

    Args:
        node: The value.
        label: What it belongs to.
        title: What it is called, for the lines that do not say so themselves.
    """
    if node.text is not None:
        yield from _line([node], label)
        return
    later = (*label, title) if title else label
    run: list[Node] = []
    nested: list[Node] = []
    width = 0
    for one in node.inner:
        if one.text is None or len(one.text) > _LONG or "\n" in one.text:
            nested.append(one)
            continue
        if width > _WIDE:
            yield from _line(run, label)
            run, width, label = [], 0, later
        run.append(one)
        width += len(one.name) + len(one.text)
    if run:
        yield from _line(run, label)
    for one in nested:
        says = one.text is None and one.name and one.name.lower() not in SAYS_NOTHING
        own = "" if one.name or one.text is not None else _title(one)
        yield from _lines(one, (*later, one.name) if says else later, own)


def _line(nodes: Sequence[Node], label: Sequence[str]) -> Iterator[Bit]:
    head = ", ".join(label)[:_LABEL]
    for number, one in enumerate(nodes):
        before = "; " if number else "" if not head else f"{head} - " if one.name else f"{head}: "
        name, said = f"{one.name}: " if one.name else "", one.text or ""
        quote = (one.end - one.start - len(said)) // 2 if one.same else 0
        yield before + name, one.start, one.start, False
        yield said, one.start + quote, one.end - quote, one.same
    yield "\n", nodes[-1].end, nodes[-1].end, False


def _title(node: Node) -> str:
    """What an item of a list is called, for what it holds."""
    found = (one.text for one in node.inner if one.text and one.name.lower() in _TITLES)
    return next(found, "")[:_LABEL]
