"""Canonical JSON: the bytes that digests and signatures are made of.

Keys sorted by code point, no insignificant white space, UTF-8, no NaN: RFC 8785 for the values
used here (strings, integers, booleans, null, arrays, objects and floats in shortest form).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value made of JSON types or msgspec structs.

    Raises:
        ValueError: For NaN or infinity.
    """
    plain = msgspec.to_builtins(value)
    text = json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(value: Any) -> str:
    """Return `sha256:<hex>` of the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()
