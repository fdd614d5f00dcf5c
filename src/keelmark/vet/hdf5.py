"""A bounded reader of HDF5's skeleton: groups, links, attributes, where data are stored.

Source: the HDF5 file format specification, superblocks 0 to 3, object headers 1 and 2, groups as
symbol tables and as link messages. Arrays are never read. What the reader cannot follow (links and
attributes in fractal heaps, shared messages) it names, so that nobody takes it for nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.vet.contract import File

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 100_000
MAX_MESSAGES = 500_000
MAX_VALUE = 64 * 1024 * 1024
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 1, 2, 3, 6, 7, 8
_ATTRIBUTE, _CONTINUATION, _SYMBOLS, _ATTRIBUTE_INFO = 12, 16, 17, 21
_SHARED = 2
_FIXED_TEXT, _OPAQUE, _VARIABLE = 3, 5, 9
_VIRTUAL = 3
_EXTERNAL_LINK = 64


class HDF5Error(ValueError):
    """The file is not what the format prescribes."""


class Event(NamedTuple):
    """Something in the file.

    Attributes:
        kind: `attribute`, `external link`, `external data`, `virtual data`, or `unread`.
        path: Path of the object in the file.
        name: Name of the attribute; else what it points to, or why it is not read.
        value: Bytes of a text or opaque attribute.
    """

    kind: str
    path: str
    name: str
    value: bytes = b""


class Place(NamedTuple):
    """Where the HDF5 part stands in the file: first byte, one past the last, root's header."""

    base: int
    end: int
    root: int


def find_signature(head: bytes) -> int:
    """Return where the signature stands, 0 or a power of two from 512; -1 if nowhere."""
    at = 0
    while at < len(head):
        if head.startswith(SIGNATURE, at):
            return at
        at = at * 2 or 512
    return -1


class Reader:
    """One file. `place` is known after construction; `events` walks the rest.

    Raises:
        HDF5Error: There is no superblock that can be read.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._left = MAX_MESSAGES
        at = find_signature(file.head)
        if at < 0:
            raise HDF5Error("there is no HDF5 signature")
        head = file.head[at : at + 128]
        self._offset = self._length = 8
        self._base = 0
        version = head[8:9]
        if version in (b"\0", b"\1"):
            self._sizes(head[13:15])
            start = 24 if version == b"\0" else 28
            base, _, end, _ = self._unpack(head, start, "OOOO")
            root = self._unpack(head, start + 5 * self._offset, "O")[0]
        elif version in (b"\2", b"\3"):
            self._sizes(head[9:11])
            base, _, end, root = self._unpack(head, 12, "OOOO")
        else:
            raise HDF5Error("its superblock has an unknown version")
        # Readers take the place of the signature for the base, whatever the field says.
        self._base = at
        self.place = Place(at, at + end - (base if base == at else 0), root)

    def _sizes(self, two: bytes) -> None:
        if len(two) < 2 or any(size not in (2, 4, 8) for size in two):
            raise HDF5Error("its superblock has impossible sizes")
        self._offset, self._length = two

    def _unpack(self, data: bytes, at: int, codes: str) -> list[int]:
        """Return little-endian numbers: O an address, L a length, digits so many bytes."""
        numbers = []
        for code in codes:
            size = {"O": self._offset, "L": self._length}.get(code) or int(code)
            if at + size > len(data):
                raise HDF5Error("a structure is cut off")
            numbers.append(int.from_bytes(data[at : at + size], "little"))
            at += size
        return numbers

    def _read(self, address: int, size: int, what: str) -> bytes:
        at = self._base + address
        if address < 0 or at + size > self._file.size:
            raise HDF5Error(f"{what} at {address} lies outside the file")
        return self._file.read(at, size)

    def _none(self, address: int) -> bool:
        return address == (1 << 8 * self._offset) - 1

    def events(self) -> Iterator[Event]:
        """Walk every object that can be reached; yield what counts.

        Raises:
            HDF5Error: Something is damaged.
        """
        end, size = self.place.end, self._file.size
        if end > size:
            raise HDF5Error(f"it should end at {end}, but the file ends at {size}")
        pending = [("/", self.place.root)]
        seen: set[int] = set()
        while pending:
            path, address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise HDF5Error(f"it has more than {MAX_OBJECTS} objects")
            for kind, flags, data in self._messages(address):
                yield from self._message(path, kind, flags, data, pending)

    def _message(
        self, path: str, kind: int, flags: int, data: bytes, pending: list[tuple[str, int]]
    ) -> Iterator[Event]:
        if flags & _SHARED and kind in (_LINK, _ATTRIBUTE, _LAYOUT, _EXTERNAL, _SYMBOLS):
            yield Event("unread", path, "a shared message")
        elif kind == _SYMBOLS:
            tree, heap = self._unpack(data, 0, "OO")
            pending += [(f"{path}{name}/", at) for name, at in self._symbols(tree, heap)]
        elif kind == _LINK:
            yield from self._link(path, data, pending)
        elif kind in (_LINK_INFO, _ATTRIBUTE_INFO):
            counted = (8 if kind == _LINK_INFO else 2) if data[1:2] and data[1] & 1 else 0
            if not self._none(self._unpack(data, 2 + counted, "O")[0]):
                what = "links" if kind == _LINK_INFO else "attributes"
                yield Event("unread", path, f"{what} in a fractal heap")
        elif kind == _EXTERNAL:
            yield Event("external data", path, self._external_names(data))
        elif kind == _LAYOUT and len(data) > 1 and data[0] >= 3 and data[1] == _VIRTUAL:
            yield Event("virtual data", path, "other datasets")
        elif kind == _ATTRIBUTE:
            yield self._attribute(path, data)

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, flags and data of every message of an object header."""
        start = self._read(address, 16, "an object header")
        if start.startswith(b"OHDR"):
            flags = start[5]
            at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            prefix = self._read(address, at + width, "an object header")
            size = int.from_bytes(prefix[at:], "little")
            step = 6 if flags & 4 else 4
            blocks = [(address + at + width, size)]
        elif start[0] == 1:
            step = 0
            blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
        else:
            raise HDF5Error(f"at {address} there is no object header")
        done: set[int] = set()
        while blocks:
            at, size = blocks.pop()
            if at in done:
                raise HDF5Error("an object header continues in itself")
            done.add(at)
            for kind, flags, data in self._block(self._read(at, size, "messages"), step):
                if kind == _CONTINUATION:
                    at, size = self._unpack(data, 0, "OL")
                    # A continuation of the newer kind has a mark before and a checksum after.
                    blocks.append((at + 4, size - 8) if step else (at, size))
                else:
                    yield kind, flags, data

    def _block(self, block: bytes, step: int) -> Iterator[tuple[int, int, bytes]]:
        at = 0
        head = step or 8
        while at + head <= len(block):
            if not self._left:
                raise HDF5Error(f"it has more than {MAX_MESSAGES} messages")
            self._left -= 1
            if step:
                kind, size, flags = struct.unpack_from("<BHB", block, at)
            else:
                kind, size, flags = struct.unpack_from("<HHB", block, at)
            at += head
            if at + size > len(block):
                raise HDF5Error("a message is longer than its object header")
            yield kind, flags, block[at : at + size]
            at += size

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Yield name and object header of every entry of a group of the older kind."""
        head = self._read(heap, 8 + 2 * self._length + self._offset, "a local heap")
        if not head.startswith(b"HEAP"):
            raise HDF5Error("a group has no heap")
        size, _, segment = self._unpack(head, 8, "LLO")
        names = self._read(segment, min(size, MAX_VALUE), "a heap")
        pending = [tree]
        seen: set[int] = set()
        entry = 2 * self._offset + 24
        while pending:
            address = pending.pop()
            if address in seen or len(seen) > MAX_OBJECTS:
                raise HDF5Error("the tree of a group is no tree")
            seen.add(address)
            start = self._read(address, 8, "a tree")
            count = int.from_bytes(start[6:8], "little")
            if start.startswith(b"TREE") and not start[4]:
                width = self._length + self._offset
                first = 8 + 2 * self._offset + self._length
                body = self._read(address + first, count * width, "a tree")
                pending += [self._unpack(body, n * width, "O")[0] for n in range(count)]
            elif start.startswith(b"SNOD"):
                body = self._read(address + 8, count * entry, "a symbol table")
                for number in range(count):
                    name, header = self._unpack(body, number * entry, "OO")
                    cached = body[number * entry + 2 * self._offset]
                    if cached != 2:  # 2 is a link to a path of the same file
                        yield names[name : names.find(b"\0", name)].decode(errors="replace"), header
            else:
                raise HDF5Error("the tree of a group is no tree")

    def _link(self, path: str, data: bytes, pending: list[tuple[str, int]]) -> Iterator[Event]:
        flags, at = self._unpack(data, 1, "1")[0], 2
        kind = self._unpack(data, at, "1")[0] if flags & 8 else 0
        at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        size = self._unpack(data, at, str(width))[0]
        name = data[at + width : at + width + size].decode(errors="replace")
        at += width + size
        if kind == 0:
            pending.append((f"{path}{name}/", self._unpack(data, at, "O")[0]))
        elif kind == _EXTERNAL_LINK:
            target = data[at + 3 :].replace(b"\0", b" ").decode(errors="replace")
            yield Event("external link", path + name, target.strip())
        elif kind != 1:
            yield Event("external link", path + name, f"a link of the user's own kind {kind}")

    def _external_names(self, data: bytes) -> str:
        try:
            heap = self._unpack(data, 8, "O")[0]
            head = self._read(heap, 8 + 2 * self._length + self._offset, "a local heap")
            size, _, segment = self._unpack(head, 8, "LLO")
            names = self._read(segment, min(size, 4096), "a heap")
        except HDF5Error:
            return "another file"
        return ", ".join(part.decode(errors="replace") for part in names.split(b"\0") if part)[:200]

    def _attribute(self, path: str, data: bytes) -> Event:
        version, flags, *sizes = self._unpack(data, 0, "11222")
        at = 9 if version == 3 else 8
        if version not in (1, 2, 3):
            raise HDF5Error(f"an attribute has the unknown version {version}")
        parts = []
        for size in sizes:
            parts.append(data[at : at + size])
            at += -(-size // 8) * 8 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode(errors="replace")
        if version > 1 and flags & 1:  # the type is stored elsewhere
            return Event("unread", path, f"the attribute {name}, whose type is shared")
        return Event("attribute", path, name, self._value(parts[1], parts[2], data[at:]))

    def _value(self, datatype: bytes, space: bytes, data: bytes) -> bytes:
        """Return a text or opaque value, arrays joined by line feeds; b"" for numbers."""
        kind = datatype[0] & 15 if len(datatype) >= 8 else -1
        if kind in (_FIXED_TEXT, _OPAQUE):
            return data.rstrip(b"\0")
        if kind != _VARIABLE:
            return b""
        width = 4 + self._offset + 4
        values = []
        for at in range(0, min(len(data), width * 4096) - width + 1, width):
            size, heap, index = self._unpack(data, at, "4O4")
            if size:
                values.append(self._global(heap, index, size))
            if len(space) > 1 and not space[1]:  # no dimensions: one value
                break
        return b"\n".join(values)

    def _global(self, heap: int, index: int, size: int) -> bytes:
        head = self._read(heap, 8 + self._length, "a global heap")
        if not head.startswith(b"GCOL"):
            raise HDF5Error("a text has no heap")
        total = min(self._unpack(head, 8, "L")[0], MAX_VALUE)
        body = self._read(heap, total, "a global heap")
        at = 8 + self._length
        while at + 8 + self._length <= total:
            number, _, _, length = self._unpack(body, at, "224L")
            at += 8 + self._length
            if number == index:
                return body[at : at + min(size, length)]
            if not number:
                break
            at += -(-length // 8) * 8
        raise HDF5Error("a text is not in its heap")
