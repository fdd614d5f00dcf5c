"""A bounded reader of flatbuffers: every offset is compared with the file before it is followed.

Source: the FlatBuffers internals. Tables are read field by field, by the caller's schema; pages of
the file are kept, so that a large file with few tables costs little.
"""

from __future__ import annotations

from keelmark.vet.contract import File

MAX_STEPS = 2_000_000
_PAGE = 16 * 1024
_PAGES = 512


class FlatBufferError(ValueError):
    """An offset, a length or a table cannot be what it says."""


class FlatBuffer:
    """A file of tables."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._pages: dict[int, bytes] = {}
        self._left = MAX_STEPS

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def read(self, at: int, size: int) -> bytes:
        """Return bytes.

        Raises:
            FlatBufferError: They lie outside the file, or too much has been read.
        """
        self._left -= 1
        if at < 0 or at + size > self._file.size or self._left < 0:
            raise FlatBufferError(f"offset {at} lies outside the file, or there are too many")
        if size > _PAGE:
            return self._file.read(at, size)
        first = at // _PAGE
        data = self._page(first)
        if at + size > (first + 1) * _PAGE:
            data += self._page(first + 1)
        return data[at - first * _PAGE : at - first * _PAGE + size]

    def _page(self, number: int) -> bytes:
        if number not in self._pages:
            if len(self._pages) >= _PAGES:
                self._pages.clear()
            self._pages[number] = self._file.read(number * _PAGE, _PAGE)
        return self._pages[number]

    def number(self, at: int, size: int = 4, *, signed: bool = False) -> int:
        """Return an integer at an offset."""
        return int.from_bytes(self.read(at, size), "little", signed=signed)

    def root(self) -> int:
        """Return where the root table stands."""
        return self.number(0)

    def field(self, table: int, index: int) -> int:
        """Return where a field of a table stands, or 0 when the table has not got it."""
        vtable = table - self.number(table, signed=True)
        length = self.number(vtable, 2)
        if length < 4 or length % 2:
            raise FlatBufferError(f"the table at {table} has no table of fields")
        if 4 + 2 * index + 2 > length:
            return 0
        offset = self.number(vtable + 4 + 2 * index, 2)
        return table + offset if offset else 0

    def scalar(self, table: int, index: int, size: int, *, signed: bool = False) -> int:
        """Return an integer field, 0 by default."""
        at = self.field(table, index)
        return self.number(at, size, signed=signed) if at else 0

    def _target(self, at: int) -> int:
        return at + self.number(at)

    def vector(self, table: int, index: int, width: int) -> tuple[int, int]:
        """Return where the elements of a vector stand, and how many; (0, 0) without one.

        Raises:
            FlatBufferError: They do not fit into the file.
        """
        at = self.field(table, index)
        if not at:
            return 0, 0
        start = self._target(at)
        count = self.number(start)
        if start + 4 + count * width > self._file.size:
            raise FlatBufferError(f"a vector of {count} at {start} runs past the end of the file")
        return start + 4, count

    def tables(self, table: int, index: int) -> list[int]:
        """Return where the tables of a vector of tables stand."""
        start, count = self.vector(table, index, 4)
        return [self._target(start + 4 * number) for number in range(count)]

    def text(self, table: int, index: int, most: int = 4096) -> str:
        """Return a text field, "" by default, at most `most` bytes of it."""
        start, count = self.vector(table, index, 1)
        return self.read(start, min(count, most)).decode(errors="replace") if count else ""
