"""TensorFlow checkpoints: the table of tensors in `*.index`; the numbers in `*.data-*` are raw.

Source: the table format of LevelDB (as TensorFlow's `lib/io/format`) and tensor_bundle.proto.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from keelmark.core.findings import Severity
from keelmark.vet.contract import Check, File, Result, Rule

MAX_INDEX = 64 * 1024 * 1024
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}\Z")
_LIMIT = 1 << 62

MALFORMED = Rule(
    "tf_checkpoint.malformed",
    "Damaged table of tensors",
    Severity.HIGH,
    "Sizes and places in it decide what a loader reads and where to.",
    "Fetch the file again from its publisher and compare the digest.",
    ("owasp:llm03", "cwe:CWE-20"),
)


def _claims(file: File) -> bool:
    if _DATA.search(file.name):
        return True
    return file.suffix == ".index" and file.size >= 48 and _tail(file) == _MAGIC


def _tail(file: File) -> bytes:
    return file.read(file.size - 8, 8)


def _run(file: File) -> Result:
    if _DATA.search(file.name):
        return Result()
    if file.size > MAX_INDEX:
        return Result((), f"the table is larger than {MAX_INDEX} bytes")
    data = file.all()
    try:
        for key, value in _entries(data):
            if key:
                _entry(value)
    except NotImplementedError:
        return Result((), "the table is compressed")
    except (ValueError, IndexError, struct.error) as error:
        finding = MALFORMED.at(file, "file", f"The table cannot be right: {error}.")
        return Result((finding,), "the table of tensors is damaged")
    return Result()


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of every entry, by way of the index block at the end."""
    footer = data[-48:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    for _, handle in _block(data, offset, size):
        start, at = _varint(handle, 0)
        length, _ = _varint(handle, at)
        yield from _block(data, start, length)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + 5 > len(data) or size < 4:
        raise ValueError("a block lies outside the file")
    if data[offset + size]:
        raise NotImplementedError
    block = data[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block is shorter than its table of restarts")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise ValueError("an entry runs past its block")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _entry(value: bytes) -> None:
    """A BundleEntryProto: shard 3, offset 4 and size 5 are numbers."""
    at = 0
    while at < len(value):
        key, at = _varint(value, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            amount, at = _varint(value, at)
            if number in (3, 4, 5) and amount >= _LIMIT:
                raise ValueError(f"a tensor has the size or offset {amount}")
        elif kind == 5:
            at += 4
        elif kind == 2:
            size, at = _varint(value, at)
            at += size
        else:
            raise ValueError("an entry is no protocol buffer")
    if at != len(value):
        raise ValueError("an entry is cut off")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")


CHECK = Check(
    title="TensorFlow checkpoints",
    version="1",
    tags=("owasp:llm03",),
    rules=(MALFORMED,),
    examples=("tf-checkpoint-outside", "tf-checkpoint-size"),
    claims=_claims,
    run=_run,
)
