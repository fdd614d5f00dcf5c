"""A bounded walk over MessagePack: every length is compared with what is left, nothing is built.

Source: the MessagePack specification; Flax' use of extension types 1 to 3 for arrays and numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.vet.contract import File

MAX_ITEMS = 5_000_000
MAX_DEPTH = 64
_WINDOW = 64 * 1024
_SCALARS = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
_SCALARS |= {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_LONG = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_MANY = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


class MessagePackError(ValueError):
    """It is not MessagePack from start to end."""


class Item(NamedTuple):
    """A text, bytes or extension: its kind, its type number, where it stands."""

    kind: str
    type: int
    start: int
    size: int


class Walk:
    """Walks one value of a file; `at` is then the first byte after it."""

    def __init__(self, file: File, start: int = 0, end: int | None = None) -> None:
        self._file = file
        self.at = start
        self._end = file.size if end is None else end
        self._base, self._window = 0, b""

    def _take(self, size: int) -> bytes:
        if size > self._end - self.at:
            raise MessagePackError(f"something at offset {self.at} runs past the end")
        index = self.at - self._base
        if index < 0 or index + size > len(self._window):
            self._base, index = self.at, 0
            self._window = self._file.read(self.at, max(size, _WINDOW))
        self.at += size
        return self._window[index : index + size]

    def _skip(self, size: int) -> int:
        if size > self._end - self.at:
            raise MessagePackError(f"something at offset {self.at} runs past the end")
        start = self.at
        self.at += size
        return start

    def items(self) -> Iterator[Item]:
        """Yield every text, bytes and extension of the value.

        Raises:
            MessagePackError: It is damaged, or too large to be walked.
        """
        left = [1]
        count = 0
        while left:
            if not left[-1]:
                left.pop()
                continue
            left[-1] -= 1
            count += 1
            if count > MAX_ITEMS:
                raise MessagePackError(f"it has more than {MAX_ITEMS} items")
            found = self._one()
            if isinstance(found, Item):
                yield found
            elif found:
                if found > self._end - self.at:
                    raise MessagePackError("it announces more items than it can hold")
                left.append(found)
                if len(left) > MAX_DEPTH:
                    raise MessagePackError(f"it is nested deeper than {MAX_DEPTH}")

    def _one(self) -> Item | int:
        """Read one head; return the item, or how many items stand in it."""
        code = self._take(1)[0]
        if code <= 0x7F or code >= 0xE0:
            return 0
        if code <= 0x9F:
            return (code & 0x0F) * (2 if code <= 0x8F else 1)
        if code <= 0xBF:
            size = code & 0x1F
            return Item("text", 0, self._skip(size), size)
        if code in _SCALARS:
            self._skip(_SCALARS[code])
            return 0
        if code in _MANY:
            return self._number(_MANY[code]) * (2 if code >= 0xDE else 1)
        if code in _FIXED_EXTENSIONS:
            return self._extension(_FIXED_EXTENSIONS[code])
        if code not in _LONG:
            raise MessagePackError(f"there is no type {code:#x}")
        size = self._number(_LONG[code])
        if 0xC7 <= code <= 0xC9:
            return self._extension(size)
        return Item("text" if code >= 0xD9 else "bytes", 0, self._skip(size), size)

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _extension(self, size: int) -> Item:
        kind: int = struct.unpack("b", self._take(1))[0]
        return Item("extension", kind, self._skip(size), size)
