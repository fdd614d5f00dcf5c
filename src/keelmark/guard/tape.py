"""A text as it arrives: what is held, how it reads, and how it was written.

A plain tape reads as it is written. A JSON tape (tool-call arguments) reads through the escapes of
RFC 8259 and spells what it puts in so that the document stays JSON. Reading is stable under
prefixes: an escape that is not complete yet is not read yet.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable

Replace = Callable[[str], str]
"""From a piece of text as read to what stands in its place."""


class Tape:
    """Text that reads as it is written.

    Attributes:
        text: What is held, as read.
        position: Code points of the original before what is held.
    """

    __slots__ = ("position", "text")

    def __init__(self) -> None:
        self.text = ""
        self.position = 0

    def push(self, chunk: str, *, final: bool) -> None:
        """Add the next piece as written; `final` says that no more comes."""
        del final
        self.text += chunk

    def written(self, start: int, end: int) -> str:
        """Return a span of what is held, as written."""
        return self.text[start:end]

    def offset(self, index: int) -> int:
        """Return where in the original the held character at `index` begins (or the text ends)."""
        return self.position + index

    def place(self, index: int) -> int:
        """Return where in the original the character at `index` of all that was read stands."""
        return index

    def replaced(self, start: int, end: int, replace: Replace) -> str:
        """Return what to write instead of a span of what is held."""
        return replace(self.text[start:end])

    def drop(self, count: int) -> None:
        """Let go of the first `count` characters of what is held."""
        self.position += count
        self.text = self.text[count:]


_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    r"|\\u[0-9a-fA-F]{4}"
    r'|\\["\\/bfnrt]'
)
_UNFINISHED = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,3}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?\Z"
)
_VALUE = re.compile(r"[^\s,:{}\[\]]+")


class JsonTape(Tape):
    """Text that is a JSON document, read through its escapes; what it puts in is escaped."""

    __slots__ = ("_escapes", "_inside", "_longer", "_quotes", "_rest", "_starts", "_wire")

    def __init__(self) -> None:
        super().__init__()
        self._wire = ""  # what is held, as written
        self._starts: list[int] | None = None  # where in it each character begins; None: same
        self._rest = ""  # an escape that is not complete yet
        self._escapes: list[int] = []  # behind which characters of all that was read escapes end
        self._longer: list[int] = []  # by how much the original is longer up to there
        self._inside = False  # whether what is held begins inside a string
        self._quotes: list[int] | None = None  # where strings open and close; None: not known

    def push(self, chunk: str, *, final: bool) -> None:
        """Add the next piece as written; an escape that may go on is not read before `final`."""
        chunk = self._rest + chunk
        at = len(self._wire)
        starts = self._starts
        if starts is None and "\\" in chunk:
            starts = list(range(at))
        out: list[str] = []
        done, slash = 0, chunk.find("\\")
        while slash >= 0:
            if not final and _UNFINISHED.match(chunk, slash):
                break
            match = _ESCAPE.match(chunk, slash)
            if match and starts is not None:
                out += (chunk[done:slash], json.loads(f'"{match[0]}"'))
                starts += range(at + done, at + slash + 1)
                done = match.end()
                longer = self._longer[-1] if self._longer else 0
                self._escapes.append(self.position + at + slash - longer + 1)
                self._longer.append(longer + len(match[0]) - 1)
            slash = chunk.find("\\", match.end() if match else slash + 1)
        stop = len(chunk) if slash < 0 else slash
        out.append(chunk[done:stop])
        if starts is not None:
            starts += range(at + done, at + stop)
        self.text += "".join(out)
        self._wire += chunk[:stop]
        self._rest = chunk[stop:]
        self._starts = starts
        self._quotes = None

    def _at(self, index: int) -> int:
        if self._starts is None:
            return index
        return self._starts[index] if index < len(self._starts) else len(self._wire)

    def written(self, start: int, end: int) -> str:
        """Return a span of what is held, as written."""
        return self._wire[self._at(start) : self._at(end)]

    def offset(self, index: int) -> int:
        """Return where in the original the held character at `index` begins (or the text ends)."""
        return self.position + self._at(index)

    def place(self, index: int) -> int:
        """Return where in the original the character at `index` of all that was read stands."""
        before = bisect_right(self._escapes, index)
        return index + (self._longer[before - 1] if before else 0)

    def _marks(self) -> list[int]:
        if self._quotes is None:
            found = (m.start() for m in re.finditer('"', self.text))
            self._quotes = [i for i in found if self._wire[self._at(i)] == '"']
        return self._quotes

    def replaced(self, start: int, end: int, replace: Replace) -> str:
        """Return what to write instead of a span; the document's own punctuation stays.

        A span over several strings is replaced piece by piece; a bare number becomes a string.
        """
        marks = self._marks()
        first = bisect_left(marks, start)
        inside = self._inside ^ bool(first % 2)
        out: list[str] = []
        for stop in (*marks[first : bisect_left(marks, end)], end):
            piece = self.text[start:stop]
            if not inside:
                out.append(_VALUE.sub(lambda m: json.dumps(replace(m[0])), piece))
            elif piece:
                out.append(json.dumps(replace(piece))[1:-1])
            if stop < end:
                out.append('"')
            inside = not inside
            start = stop + 1
        return "".join(out)

    def drop(self, count: int) -> None:
        """Let go of the first `count` characters of what is held."""
        self._inside ^= bool(bisect_left(self._marks(), count) % 2)
        cut = self._at(count)
        self.position += cut
        self.text = self.text[count:]
        self._wire = self._wire[cut:]
        self._quotes = None
        if self._starts is not None:
            plain = len(self.text) == len(self._wire)
            self._starts = None if plain else [start - cut for start in self._starts[count:]]


def as_read(document: str) -> str:
    """Return how a whole JSON document reads."""
    tape = JsonTape()
    tape.push(document, final=True)
    return tape.text
