"""A bounded reader for GGUF headers that believes nothing it has not counted.

Source: the GGUF specification (ggml docs/gguf.md), versions 2 and 3, little-endian, and the
acceptance rules of llama.cpp's loader. Tensor data is never read.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple
from weakref import WeakKeyDictionary

from keelmark.vet.contract import File

MAX_HEADER = 192 * 1024 * 1024
"""Longest header that is read, bytes; a vocabulary of 256,000 tokens needs about 15 MB."""

DEFAULT_ALIGNMENT = 32
INT63 = (1 << 63) - 1

STRING, ARRAY = 8, 9
_WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_FORMAT = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_FORMAT[12] = "d"
_WINDOW = 1024 * 1024
_KEPT = 64
_KEPT_NUMBERS = 512
"""Arrays of up to so many elements are kept (a number for each layer); of longer ones only length
and type."""

TYPES = (
    ("F32", 0), ("F16", 1), ("Q4_0", 2), ("Q4_1", 3), ("Q5_0", 6), ("Q5_1", 7), ("Q8_0", 8),
    ("Q8_1", 9), ("Q2_K", 10), ("Q3_K", 11), ("Q4_K", 12), ("Q5_K", 13), ("Q6_K", 14),
    ("Q8_K", 15), ("IQ2_XXS", 16), ("IQ2_XS", 17), ("IQ3_XXS", 18), ("IQ1_S", 19), ("IQ4_NL", 20),
    ("IQ3_S", 21), ("IQ2_S", 22), ("IQ4_XS", 23), ("I8", 24), ("I16", 25), ("I32", 26),
    ("I64", 27), ("F64", 28), ("IQ1_M", 29), ("BF16", 30), ("TQ1_0", 34), ("TQ2_0", 35),
    ("MXFP4", 39), ("NVFP4", 40), ("Q1_0", 41), ("Q2_0", 42),
)  # fmt: skip
TYPE_NAMES = {number: name for name, number in TYPES}
_VALUE_NAMES = (
    *("UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32", "BOOL"),
    *("STRING", "ARRAY", "UINT64", "INT64", "FLOAT64"),
)

# ggml type id to (elements per block, bytes per block), from ggml's block structures.
BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
    42: (64, 18),  # Q2_0
}


class GGUFError(ValueError):
    """The header cannot be what it says it is."""


class UnknownVersionError(ValueError):
    """A version, or a byte order, that this reader does not know."""


class Tensor(NamedTuple):
    """One entry of the tensor table: `offset` is relative to the start of the data."""

    name: bytes
    shape: tuple[int, ...]
    type: int
    offset: int


class Array(NamedTuple):
    """An array of metadata.

    Attributes:
        type: Element type.
        length: Number of elements.
        items: The elements, if they are few.
        start: Offset of the first element.
        end: Offset of the first byte after the last one.
    """

    type: int
    length: int
    items: list[bytes | int | float] | None
    start: int
    end: int


class Header(NamedTuple):
    """What a GGUF header says.

    Attributes:
        version: 2 or 3.
        values: Metadata: scalars and strings (bytes).
        arrays: Metadata: arrays, or length and type of those that are long.
        types: Metadata key to value type.
        repeated: Keys that appear more than once.
        tensors: The tensor table.
        end: Offset of the first byte after the table.
        declared: How many tensors the header announced.
    """

    version: int
    values: dict[bytes, bytes | int | float]
    arrays: dict[bytes, Array]
    types: dict[bytes, int]
    repeated: tuple[bytes, ...]
    tensors: tuple[Tensor, ...]
    end: int
    declared: int


class _Cursor:
    """Reads forward through a window; every length is compared with what is left first."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._limit = min(file.size, MAX_HEADER)
        self.at = 0
        self._base = 0
        self._window = b""

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes."""
        if size > self._limit - self.at:
            raise GGUFError(f"{what} at offset {self.at} runs past the end of the file")
        start = self.at - self._base
        if start + size > len(self._window):
            self._base, start = self.at, 0
            self._window = self._file.read(self.at, max(size, _WINDOW))
        self.at += size
        return self._window[start : start + size]

    def skip(self, size: int, what: str) -> None:
        """Move over bytes without reading them."""
        if size > self._limit - self.at:
            raise GGUFError(f"{what} at offset {self.at} runs past the end of the file")
        self.at += size
        if self.at - self._base > len(self._window):
            self._base, self._window = self.at, b""

    def number(self, code: str, what: str) -> int:
        """Return an integer of a struct code."""
        value: int = struct.unpack("<" + code, self.take(struct.calcsize(code), what))[0]
        return value

    def string(self, what: str) -> bytes:
        """Return a string with its length before it."""
        return self.take(self.number("Q", what), what)

    def fits(self, count: int, least: int, what: str) -> None:
        """Refuse a count of things that cannot fit into the rest of the file."""
        if count * least > self._limit - self.at:
            raise GGUFError(f"the header announces {count} {what}, more than the file can hold")


_READ: WeakKeyDictionary[File, Header] = WeakKeyDictionary()
"""Headers of the file at hand, so that the second check that asks need not read it again."""


def read_header(file: File) -> Header:
    """Read a GGUF header, once for each file.

    Raises:
        GGUFError: It is damaged or lies about a length.
        UnknownVersionError: It is a version (or byte order) that is not known.
        ReadLimitError: It is larger than may be read.
    """
    if file not in _READ:
        _READ[file] = _read_header(file)
    return _READ[file]


def _read_header(file: File) -> Header:
    cursor = _Cursor(file)
    if cursor.take(4, "the magic") != b"GGUF":
        raise GGUFError("the file does not begin with GGUF")
    version = cursor.number("I", "the version")
    if version not in (2, 3):
        raise UnknownVersionError(f"GGUF version {version} (or byte order) is not known here")
    declared = cursor.number("Q", "the tensor count")
    pairs = cursor.number("Q", "the metadata count")
    cursor.fits(pairs, 13, "metadata entries")
    cursor.fits(declared, 24, "tensors")
    values: dict[bytes, bytes | int | float] = {}
    arrays: dict[bytes, Array] = {}
    types: dict[bytes, int] = {}
    repeated = []
    for _ in range(pairs):
        key = cursor.string("a metadata key")
        kind = cursor.number("I", "a value type")
        if key in types:
            repeated.append(key)
        types[key] = kind
        what = f"the value of {key[:64]!r}"
        if kind == ARRAY:
            arrays[key] = _array(cursor, what)
        else:
            values[key] = _value(cursor, kind, what)
    tensors = tuple(_tensor(cursor) for _ in range(declared))
    return Header(version, values, arrays, types, tuple(repeated), tensors, cursor.at, declared)


def _value(cursor: _Cursor, kind: int, what: str) -> bytes | int | float:
    if kind == STRING:
        return cursor.string(what)
    if kind not in _WIDTH:
        raise GGUFError(f"{what} has the unknown type {kind}")
    value: int | float = struct.unpack("<" + _FORMAT[kind], cursor.take(_WIDTH[kind], what))[0]
    return value


def _array(cursor: _Cursor, what: str) -> Array:
    kind = cursor.number("I", what)
    count = cursor.number("Q", what)
    if kind != STRING and kind not in _WIDTH:
        raise GGUFError(f"{what} is an array of the unknown type {kind}")
    cursor.fits(count, _WIDTH.get(kind, 8), "array elements")
    start = cursor.at
    if count <= (_KEPT if kind == STRING else _KEPT_NUMBERS):
        items = [_value(cursor, kind, what) for _ in range(count)]
        return Array(kind, count, items, start, cursor.at)
    if kind == STRING:
        for _ in range(count):
            cursor.skip(cursor.number("Q", what), what)
    else:
        cursor.skip(count * _WIDTH[kind], what)
    return Array(kind, count, None, start, cursor.at)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.string("a tensor name")
    dimensions = cursor.number("I", "a tensor's dimension count")
    if dimensions > 4:
        raise GGUFError(f"tensor {name[:64]!r} has {dimensions} dimensions; loaders allow 4")
    shape = tuple(cursor.number("Q", "a dimension") for _ in range(dimensions))
    return Tensor(name, shape, cursor.number("I", "a tensor type"), cursor.number("Q", "an offset"))


def tensor_bytes(tensor: Tensor) -> int | None:
    """Return the size of a tensor's data in bytes, without wrapping; None for unknown types."""
    if tensor.type not in BLOCKS:
        return None
    elements, size = BLOCKS[tensor.type]
    count = 1
    for dimension in tensor.shape:
        count *= dimension
    return -(-count // elements) * size


def header_facts(header: Header) -> dict[str, object]:
    """Return what a header says as plain JSON values; bytes that are no text are replaced."""
    metadata: dict[str, object] = {_text(key): _plain(item) for key, item in header.values.items()}
    for key, array in header.arrays.items():
        metadata[_text(key)] = (
            {"length": array.length, "type": _VALUE_NAMES[array.type]}
            if array.items is None
            else [_plain(item) for item in array.items]
        )
    return {
        "version": header.version,
        "metadata": dict(sorted(metadata.items())),
        "tensors": [
            [_text(t.name), TYPE_NAMES.get(t.type, str(t.type)), list(t.shape)]
            for t in header.tensors
        ],
    }


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _plain(item: bytes | float) -> str | int | float:
    if isinstance(item, bytes):
        return _text(item)
    return item if math.isfinite(item) else str(item)
