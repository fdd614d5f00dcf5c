"""Protocol buffers, written by hand: `message({1: 3, 2: "text", 3: [a, b]})`."""

from __future__ import annotations

import struct


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(fields: dict[int, object]) -> bytes:
    """Integers become varints, floats 32 bits, texts and bytes (other messages) data."""
    out = b""
    for number, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int):
                out += varint(number << 3) + varint(item)
            elif isinstance(item, float):
                out += varint(number << 3 | 5) + struct.pack("<f", item)
            else:
                data = item.encode() if isinstance(item, str) else item
                assert isinstance(data, bytes)
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out
