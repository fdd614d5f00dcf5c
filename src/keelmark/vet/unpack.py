"""Unpacking in memory, with the output counted before it is kept."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from keelmark.vet.contract import READ_CAP, File

_BOMB_RATIO = 1000
_BOMB_FLOOR = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_XZ_MEMORY = 512 * 1024 * 1024


class Unpacked(NamedTuple):
    """What came out: the data, or why it did not, and whether it grew out of proportion."""

    data: bytes = b""
    problem: str = ""
    bomb: bool = False


class _Machine(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class Stream(io.RawIOBase):
    """A `File` as the standard library's readers want it; every read is counted."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise ValueError("negative position")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes."""
        size = self._file.size if size is None or size < 0 else size
        data = self._file.read(self._at, size)
        self._at += len(data)
        return data


def compressed_kind(file: File) -> str:
    """Return gzip, bzip2, xz, zlib, or "" when the content is none of them."""
    head = file.head
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    if len(head) > 2 and head[0] == 0x78 and (head[0] << 8 | head[1]) % 31 == 0:
        try:
            return "zlib" if zlib.decompressobj().decompress(head, 64) else ""
        except zlib.error:
            return ""
    return ""


def unpack(kind: str, file: File) -> Unpacked:
    """Unpack a whole compressed stream."""
    machine: _Machine
    if kind == "bzip2":
        machine = bz2.BZ2Decompressor()
    elif kind == "xz":
        machine = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    else:
        machine = zlib.decompressobj(wbits=31 if kind == "gzip" else 15)
    return _pump(machine, file, 0, file.size)


def inflate(file: File, start: int, packed: int, size: int, method: int) -> Unpacked:
    """Unpack a member of a ZIP archive whose bytes begin at `start`."""
    if start + packed > file.size:
        return Unpacked(problem="it ends outside the file")
    if size > _BOMB_FLOOR and size > _BOMB_RATIO * max(packed, 1):
        return Unpacked(bomb=True)
    if method == zipfile.ZIP_STORED:
        return Unpacked(file.read(start, packed))
    if method == zipfile.ZIP_DEFLATED:
        return _pump(zlib.decompressobj(-15), file, start, packed)
    if method == zipfile.ZIP_BZIP2:
        return _pump(bz2.BZ2Decompressor(), file, start, packed)
    return Unpacked(problem=f"its compression (method {method}) is not read")


def _pump(machine: _Machine, file: File, start: int, packed: int) -> Unpacked:
    """Feed a decompressor until it ends, runs dry or grows out of proportion."""
    out = bytearray()
    allowed = min(READ_CAP, max(_BOMB_FLOOR, packed * _BOMB_RATIO))
    at = 0
    waiting = piece = b""
    try:
        while not machine.eof:
            wants_more = getattr(machine, "needs_input", not waiting)
            if wants_more:
                waiting = file.read(start + at, min(_CHUNK, packed - at))
                at += len(waiting)
                if not waiting and len(piece) < _CHUNK:
                    return Unpacked(bytes(out), "the compressed data ends too early")
            piece = machine.decompress(waiting, _CHUNK)
            waiting = getattr(machine, "unconsumed_tail", b"")
            file.budget.take(len(piece))
            out += piece
            if len(out) > allowed:
                return Unpacked(bomb=True)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        return Unpacked(bytes(out), f"the compressed data is damaged ({error})")
    rest = packed - at + len(machine.unused_data)
    return Unpacked(bytes(out), f"{rest} bytes follow the compressed data" if rest else "")


def tar_members(file: File, most: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, kind (file, link, folder) and content of each member of a tar archive.

    Raises:
        ValueError: The archive is damaged or has more than `most` members.
        ReadLimitError: It is larger than may be read.
    """
    try:
        with tarfile.open(fileobj=Stream(file), mode="r:") as archive:
            for count, entry in enumerate(archive):
                if count >= most:
                    raise ValueError(f"the archive has more than {most} members")
                if entry.isdir():
                    yield entry.name, "folder", b""
                elif entry.isreg() and not entry.issparse():
                    yield entry.name, "file", file.read(entry.offset_data, entry.size)
                else:
                    yield entry.name, "link", b""
    except (tarfile.TarError, OverflowError, UnicodeError) as error:
        raise ValueError(f"the tar archive is damaged ({error})") from None
