"""Canonical JSON: the bytes that digests and signatures are made of.

Keys sorted by code point, no insignificant white space, UTF-8, no NaN: RFC 8785 for the values
used here (strings, integers, booleans, null, arrays, objects and floats in shortest form).
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value made of JSON types or msgspec structs.

    Raises:
        ValueError: For NaN and infinity.
        TypeError: For what JSON does not have.
    """
    data = _encode(value)
    if b"null" in data and not _finite(msgspec.to_builtins(value)):  # NaN is written as null
        raise ValueError("NaN and infinity have no place in JSON")
    return data


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_finite, value))


def digest(value: Any) -> str:
    """Return `sha256:<hex>` of the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()
