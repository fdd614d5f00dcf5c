"""A bounded walk over protocol buffers whose schema is a table; nothing is believed or built.

Source: the protocol buffer encoding. A message that appears twice where one is expected is visited
twice, as parsers merge the two. Numbers and short texts are read; long data is only measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from keelmark.vet.contract import File

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_STEPS = 4_000_000
"""Fields that are visited at most."""

MAX_DEPTH = 100
_SMALL, _LARGE = 4 * 1024, 256 * 1024

INT, TEXT, DATA, FIXED = "int", "text", "data", "fixed"
"""Kinds of fields that are no messages: numbers, short texts, long data, fixed-width numbers."""

Schema = Mapping[str, Mapping[int, str]]


class WireError(ValueError):
    """The bytes are no protocol buffer of this schema."""


class StepsError(ValueError):
    """It is one, perhaps, but larger than is walked."""


class Span(NamedTuple):
    """Where the bytes of a field stand."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Length, bytes."""
        return self.end - self.start


class Message(NamedTuple):
    """One message.

    Attributes:
        type: Its name in the schema.
        owner: Name of the message that it stands in, "" for the whole.
        field: Field number under which it stands there.
        number: How many messages came before it; `owner_number` is that of its owner.
        owner_number: See above; -1 for the whole.
        span: Where it stands.
        numbers: Numbers by field.
        spans: Texts, data and messages by field.
        unknown: Spans of fields that the schema does not have.
    """

    type: str
    owner: str
    field: int
    number: int
    owner_number: int
    span: Span
    numbers: dict[int, list[int]]
    spans: dict[int, list[Span]]
    unknown: list[tuple[int, Span]]


class Wire:
    """Reads fields of a file through a window."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._base = self._step = 0
        self._window = b""
        self._left = MAX_STEPS

    def text(self, span: Span, most: int = 64 * 1024) -> str:
        """Return the text of a span, at most `most` bytes of it."""
        return self._file.read(span.start, min(span.size, most)).decode(errors="replace")

    def texts(self, message: Message, field: int) -> list[str]:
        """Return all texts of a field."""
        return [self.text(span) for span in message.spans.get(field, ())]

    def fields(self, span: Span) -> Iterator[tuple[int, int, int, Span]]:
        """Yield number, wire type, value (of a varint) and place of each field.

        Raises:
            WireError: They do not fill the span exactly.
            StepsError: There are too many.
        """
        at = span.start
        while at < span.end:
            if not self._left:
                raise StepsError(f"it has more than {MAX_STEPS} fields")
            self._left -= 1
            key, at = self.varint(at, span.end)
            kind, value = key & 7, 0
            if not key >> 3:
                raise WireError(f"a field without a number at offset {at}")
            if kind == VARINT:
                start = at
                value, at = self.varint(at, span.end)
                yield key >> 3, kind, value, Span(start, at)
                continue
            if kind == BYTES:
                size, at = self.varint(at, span.end)
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
            else:
                raise WireError(f"wire type {kind} at offset {at}")
            if size > span.end - at:
                raise WireError(f"a field at offset {at} runs past its end")
            yield key >> 3, kind, 0, Span(at, at + size)
            at += size

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """Return the number at an offset, and the offset after it.

        Raises:
            WireError: It does not end before `end`.
        """
        value = shift = 0
        while at < end and shift < 70:
            index = at - self._base
            if not 0 <= index < len(self._window):
                self._move(at)
                index = 0
            byte = self._window[index]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
        raise WireError(f"a number at offset {at} does not end")

    def _move(self, at: int) -> None:
        """Put the window at an offset: small after a jump, growing while reading on."""
        follows = at == self._base + len(self._window)
        self._step = min(_LARGE, max(_SMALL, self._step * 2)) if follows else _SMALL
        self._base, self._window = at, self._file.read(at, self._step)
        if not self._window:
            raise WireError(f"the file ends at offset {at}")


def walk(wire: Wire, schema: Schema, root: str, span: Span) -> Iterator[Message]:
    """Yield a message and all that stand in it, outer ones first, in the order of the file.

    Raises:
        WireError: It is not of this schema's shape.
        StepsError: It is larger than is walked.
    """
    pending = [(root, "", 0, -1, span, 0)]
    count = 0
    while pending:
        kind, owner, field, owner_number, place, depth = pending.pop()
        message = Message(kind, owner, field, count, owner_number, place, {}, {}, [])
        children = []
        for number, wire_type, value, where in wire.fields(place):
            expected = schema[kind].get(number)
            if expected is None or not _fits(expected, wire_type):
                message.unknown.append((number, where))
            elif wire_type == VARINT:
                message.numbers.setdefault(number, []).append(value)
            else:
                message.spans.setdefault(number, []).append(where)
                if expected in schema:
                    children.append((expected, kind, number, count, where, depth + 1))
        if depth >= MAX_DEPTH and children:
            raise WireError(f"messages are nested deeper than {MAX_DEPTH}")
        yield message
        count += 1
        pending += reversed(children)


def _fits(expected: str, wire_type: int) -> bool:
    if expected == INT:  # repeated numbers may be packed into one field
        return wire_type in (VARINT, BYTES)
    if expected == FIXED:
        return wire_type in (FIXED32, FIXED64, BYTES)
    return wire_type == BYTES


def packed(wire: Wire, message: Message, field: int, most: int = 64) -> list[int]:
    """Return repeated numbers of a field, one by one or packed, at most `most` of each kind.

    Raises:
        WireError: They do not fill their span.
    """
    numbers = list(message.numbers.get(field, ()))
    for span in message.spans.get(field, ()):
        at = span.start
        while at < span.end and len(numbers) < most:
            value, at = wire.varint(at, span.end)
            numbers.append(value)
    return numbers


def signed(value: int) -> int:
    """Return a varint as int64."""
    return value - (1 << 64) if value >> 63 else value
