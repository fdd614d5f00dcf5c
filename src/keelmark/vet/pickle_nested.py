"""Pickles inside the literals of a pickle, plain or encoded.

Random numbers hold bytes that begin like a pickle. Only what goes on to import something, and does
so by a proper name, is taken for one.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress

from keelmark.vet.contract import File, ReadLimitError
from keelmark.vet.pickle_judge import Concern, judge_call, judge_import
from keelmark.vet.pickle_machine import Machine, OpcodeLimitError
from keelmark.vet.pickle_names import Level
from keelmark.vet.pickle_source import BrokenError, Source
from keelmark.vet.pickle_values import Blob, Call, Name

_START = re.compile(
    rb"\x80[\x02-\x05]|[(c][\w.]{1,80}\n[\w.]{1,80}\n|[(i]i?[\w.]{1,80}\n[\w.]{1,80}\n"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]{24,}={0,2}\s*\Z")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}|\\x[0-9a-fA-F]{2}){16,}\Z")
_PACKED = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
_OPCODES = 100_000
_CANDIDATES = 2_000
_PIECE = 4 * 1024 * 1024
_UNPACKED = 1024 * 1024


class Nested:
    """Looks into literals; keeps what it finds.

    Attributes:
        found: Offset of the literal and what the pickle in it would do.
    """

    def __init__(self, file: File, most: int = 128 * 1024 * 1024) -> None:
        self._file, self._left = file, most
        self._candidates = _CANDIDATES
        self.found: list[tuple[int, Concern]] = []

    def look(self, literal: object, end: int) -> None:
        """Look into a literal that ends at an offset."""
        if isinstance(literal, Blob):
            for piece in self._pieces(literal):
                self._search(piece, literal.at)
        elif isinstance(literal, bytes):
            self._search(literal, end - len(literal))
        elif isinstance(literal, str):
            self._search(literal.encode("utf-8", "surrogatepass"), end)
            self._search(literal.encode("latin-1", "ignore"), end)
        if isinstance(literal, str | bytes):
            for inner in _decoded(literal):
                self._search(inner, end)

    def _pieces(self, blob: Blob) -> Iterator[bytes]:
        for at in range(0, blob.size, _PIECE):
            size = min(_PIECE + 4096, blob.size - at)
            self._left -= size
            if self._left < 0:
                return
            yield self._file.read(blob.at + at, size)

    def _search(self, data: bytes, at: int) -> None:
        for match in _START.finditer(data):
            self._candidates -= 1
            if self._candidates < 0 or len(self.found) > 100:
                return
            self.found += [(at, concern) for concern in self._follow(data, match.start())]

    def _follow(self, data: bytes, start: int) -> list[Concern]:
        names: list[Name] = []
        calls: list[Call] = []
        file = self._file.member("literal", data[start : start + _PIECE])
        machine = Machine(
            Source(file),
            on_import=names.append,
            on_call=calls.append,
            on_literal=lambda *_: None,
            most=_OPCODES,
        )
        with suppress(BrokenError, OpcodeLimitError, ReadLimitError, RecursionError):
            machine.run()
        concerns = [c for c in map(judge_import, names) if c]
        concerns += [c for call in calls if isinstance(call.callee, Name) for c in judge_call(call)]
        grave = [c for c in concerns if c.level is Level.DANGEROUS]
        called = [c for c in concerns if c.level is Level.UNKNOWN and c.kind == "call"]
        return (grave or [c for c in called if "." in c.name])[:5]


def _decoded(literal: str | bytes) -> Iterator[bytes]:
    """Yield what a literal says when it is base64, hexadecimal or compressed."""
    if isinstance(literal, bytes):
        if literal.startswith(_PACKED):
            yield _inflated(literal)
        try:
            literal = literal.decode("ascii")
        except UnicodeDecodeError:
            return
    if _HEX.match(literal):
        yield bytes.fromhex(literal.replace("\\x", ""))
    elif _BASE64.match(literal):
        text = re.sub(r"\s", "", literal).translate(str.maketrans("-_", "+/")).rstrip("=")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return
        yield data
        if data.startswith(_PACKED):
            yield _inflated(data)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=47).decompress(data, _UNPACKED)
    except zlib.error:
        return b""
