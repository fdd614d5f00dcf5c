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


_STREAM_MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0"}


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
    """Return gzip, bzip2, xz, lzma, zlib, ZF (old joblib), or "" when it is none of them."""
    head = file.head
    if head.startswith(b"ZF0x") and head[21:24].lstrip()[:1] == b"\x78":
        return "ZF"
    if head.startswith(b"\x5d\0\0") and _is_lzma(head):
        return "lzma"
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


def _is_lzma(head: bytes) -> bool:
    """Whether the old LZMA format has a sensible size and its first bytes can be unpacked."""
    if head[5:13] != b"\xff" * 8 and int.from_bytes(head[5:13], "little") > 1 << 40:
        return False
    try:
        machine = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY)
        return bool(machine.decompress(head, 64))
    except lzma.LZMAError:
        return False


def unpack(kind: str, file: File) -> Unpacked:
    """Unpack a whole compressed stream; of gzip, bzip2 and xz several may follow one another."""
    at = 0
    if kind == "ZF":
        at = 22 if file.head[21:22] == b" " else 21
    out = b""
    while True:
        piece, left = _pump(_machine(kind), file, at, file.size - at)
        out += piece.data
        if piece.problem or piece.bomb or len(out) > READ_CAP:
            return Unpacked(out, piece.problem, piece.bomb or len(out) > READ_CAP)
        at = file.size - left
        rest = file.read(at, 16)
        if kind == "xz":  # zeros may stand between streams
            while rest[:4] == bytes(4):
                at, rest = at + 4, file.read(at + 4, 16)
        if not rest:
            return Unpacked(out)
        if not rest.startswith(_STREAM_MAGIC.get(kind, b"\0never")):
            return Unpacked(out, f"{file.size - at} bytes follow the compressed data")


def _machine(kind: str) -> _Machine:
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    if kind == "xz":
        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    if kind == "lzma":
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY)
    return zlib.decompressobj(wbits=31 if kind == "gzip" else 15)


def _zip_lzma(file: File, start: int, packed: int) -> Unpacked:
    """Unpack a ZIP member of method 14: four bytes, five of properties, then raw LZMA."""
    head = file.read(start, 9)
    if len(head) < 9 or head[2:4] != b"\5\0" or head[4] >= 225:
        return Unpacked(problem="its LZMA header is damaged")
    rest, lc = divmod(head[4], 9)
    pb, lp = divmod(rest, 5)
    size = min(max(int.from_bytes(head[5:9], "little"), 4096), _XZ_MEMORY)
    chain = {"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": lc, "lp": lp, "pb": pb}
    try:
        machine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
    except (lzma.LZMAError, ValueError):
        return Unpacked(problem="its LZMA header is damaged")
    return _finished(*_pump(machine, file, start + 9, packed - 9, open_end=True))


def inflate(file: File, start: int, packed: int, size: int, method: int) -> Unpacked:
    """Unpack a member of a ZIP archive whose bytes begin at `start`."""
    if start + packed > file.size:
        return Unpacked(problem="it ends outside the file")
    if size > _BOMB_FLOOR and size > _BOMB_RATIO * max(packed, 1):
        return Unpacked(bomb=True)
    if method == zipfile.ZIP_STORED:
        return Unpacked(file.read(start, packed))
    if method == zipfile.ZIP_DEFLATED:
        return _finished(*_pump(zlib.decompressobj(-15), file, start, packed))
    if method == zipfile.ZIP_BZIP2:
        return _finished(*_pump(bz2.BZ2Decompressor(), file, start, packed))
    if method == zipfile.ZIP_LZMA:
        return _zip_lzma(file, start, packed)
    return Unpacked(problem=f"its compression (method {method}) is not read")


def _finished(unpacked: Unpacked, left: int) -> Unpacked:
    """Complain about bytes that are left over."""
    if left and not unpacked.problem and not unpacked.bomb:
        return unpacked._replace(problem=f"{left} bytes follow the compressed data")
    return unpacked


def _pump(
    machine: _Machine, file: File, start: int, packed: int, *, open_end: bool = False
) -> tuple[Unpacked, int]:
    """Feed a decompressor until it ends, runs dry or grows out of proportion.

    Returns:
        What came out, and how many of the packed bytes were not needed.
    """
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
                    if open_end:
                        break
                    return Unpacked(bytes(out), "the compressed data ends too early"), 0
            piece = machine.decompress(waiting, _CHUNK)
            waiting = getattr(machine, "unconsumed_tail", b"")
            file.budget.take(len(piece))
            out += piece
            if len(out) > allowed:
                return Unpacked(bomb=True), 0
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        return Unpacked(bytes(out), f"the compressed data is damaged ({error})"), 0
    return Unpacked(bytes(out)), packed - at + len(machine.unused_data)


def tar_members(file: File, most: int) -> Iterator[tuple[str, str, bytes, int]]:
    """Yield name, kind (file, link, folder), content and end of each member of a tar archive.

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
                    yield entry.name, "folder", b"", entry.offset_data
                elif entry.isreg() and not entry.issparse():
                    data = file.read(entry.offset_data, entry.size)
                    yield entry.name, "file", data, entry.offset_data + entry.size
                else:
                    yield entry.name, "link", b"", entry.offset_data
    except (tarfile.TarError, OverflowError, UnicodeError) as error:
        raise ValueError(f"the tar archive is damaged ({error})") from None
