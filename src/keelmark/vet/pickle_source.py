"""Bytes of a pickle stream, read through a window: long literals are passed over, not read."""

from __future__ import annotations

import re

from keelmark.vet.contract import File
from keelmark.vet.pickle_values import Blob

_WINDOW = 256 * 1024
KEPT = 64 * 1024
"""Longest literal whose content is kept, bytes."""


class BrokenError(Exception):
    """No unpickler gets past this point; the message says why."""


class Source:
    """A position in a file, and how to move it."""

    def __init__(self, file: File, at: int = 0) -> None:
        self._file, self._base, self._i = file, at, 0
        self._buffer = b""
        self.size = file.size

    @property
    def at(self) -> int:
        """Offset of the next byte."""
        return self._base + self._i

    @at.setter
    def at(self, offset: int) -> None:
        if self._base <= offset <= self._base + len(self._buffer):
            self._i = offset - self._base
        else:
            self._base, self._i, self._buffer = offset, 0, b""

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises:
            BrokenError: The file ends before.
            ReadLimitError: The budget for reading is spent.
        """
        end = self._i + count
        if end > len(self._buffer):
            self._base, self._i, end = self._base + self._i, 0, count
            self._buffer = self._file.read(self._base, max(count, _WINDOW))
            if end > len(self._buffer):
                raise BrokenError("it ends in the middle of an opcode")
        data = self._buffer[self._i : end]
        self._i = end
        return data

    def literal(self, kind: str, count: int) -> bytes | Blob:
        """Return a literal, or where it is if it is long."""
        if count < 0 or self.at + count > self.size:
            raise BrokenError("a literal is longer than what is left of it")
        if count <= KEPT:
            return self.take(count)
        blob = Blob(kind, self.at, count)
        self.at += count
        return blob

    def line(self) -> bytes | Blob:
        """Return a line without its last byte, or where it is if it is long.

        Loaders take the last byte for the end of the line without looking, at the end of the file
        too, where a line may also be empty.
        """
        start, piece = self.at, b""
        while True:
            data = self._buffer[self._i :] or self._file.read(self.at, _WINDOW)
            if not data:
                size = max(0, self.at - 1 - start)
                return piece[:-1] if size <= KEPT else Blob("str", start, size)
            if self._i >= len(self._buffer):
                self._base, self._i, self._buffer = self.at, 0, data
            found = data.find(b"\n")
            length = found if found >= 0 else len(data)
            piece += data[: max(0, KEPT + 1 - len(piece))][:length]
            self._i += length + (found >= 0)
            if found >= 0:
                size = self.at - 1 - start
                return piece if size <= KEPT else Blob("str", start, size)


def text(data: bytes | Blob, coding: str = "utf-8") -> str | Blob:
    """Decode a literal as unpicklers do.

    Raises:
        BrokenError: It is not of the coding.
    """
    if isinstance(data, Blob):
        return data
    try:
        if coding == "raw-unicode-escape":
            return data.decode(coding)
        return data.decode(coding, "surrogatepass")
    except UnicodeDecodeError:
        raise BrokenError("a string in it is not text") from None


def escaped(data: bytes | Blob) -> str | Blob:
    """Decode a quoted string of protocol 0."""
    if isinstance(data, Blob):
        return data
    data = data.strip()
    if len(data) < 2 or data[:1] not in b"'\"" or data[-1:] != data[:1]:
        raise BrokenError("a string in it has no quotes")
    inner = data[1:-1]
    if b"\\" in inner:
        try:
            inner = (
                inner.decode("latin-1")
                .encode("latin-1")
                .decode("unicode_escape")
                .encode("latin-1", "replace")
            )
        except UnicodeDecodeError:
            raise BrokenError("a string in it has bad escapes") from None
    return inner.decode("utf-8", "replace")


def number(data: bytes | Blob) -> int | bool | Blob:
    """Read an integer of protocol 0, as lenient as the C unpickler."""
    if isinstance(data, Blob):
        return data
    if data in (b"00", b"01"):
        return data == b"01"
    digits = data.strip().removesuffix(b"L")
    match = re.match(rb"[+-]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|\d+)", digits)
    if not match:
        raise BrokenError("a number in it is none")
    if len(digits) > 4000:
        return 0  # its value plays no part, and reading it takes long
    try:
        return int(digits, 10)
    except ValueError:
        return 0
