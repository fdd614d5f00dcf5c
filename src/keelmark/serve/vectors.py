"""Answers with embeddings: numbers and nothing else, passed on as the engine wrote them.

Except that an engine may answer with lists although base64 was asked for, and that some clients
then read nothing: such lists are packed here.
"""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from typing import Any

import msgspec

from keelmark.serve.choice import numbers_only
from keelmark.serve.errors import ApiError

_NUMBERS = re.compile(rb"\[[-+0-9.eE,\s\[\]]*\]")
_BASE64 = re.compile(rb'"[A-Za-z0-9+/]*={0,2}"')


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: dict[str, Any] | None = None


def read_vectors(body: bytes, model: str, *, packed: bool) -> tuple[bytes, dict[str, Any]]:
    """Read an answer with embeddings.

    Args:
        body: What the engine sent.
        model: The name to answer with.
        packed: Whether the client asked for base64 instead of lists.

    Returns:
        The answer for the client, and the token counts.

    Raises:
        ApiError: 502, it is something else.
    """
    try:
        answer = msgspec.json.decode(body, type=_Vectors)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _no_vectors() from None
    usage = numbers_only(answer.usage or {})
    for vector in answer.data:
        raw = bytes(vector.embedding)
        if not (_NUMBERS.fullmatch(raw) or (packed and _BASE64.fullmatch(raw))):
            raise _no_vectors()
    data = [
        {
            "object": "embedding",
            "index": vector.index,
            "embedding": _packed(vector.embedding) if packed else vector.embedding,
        }
        for vector in answer.data
    ]
    whole = {"object": "list", "data": data, "model": model, "usage": usage}
    return msgspec.json.encode(whole), usage


def _packed(given: msgspec.Raw) -> msgspec.Raw | str:
    """Return a list of numbers as OpenAI packs it; what is packed, or a list of lists, as it is."""
    try:
        numbers = msgspec.json.decode(given, type=list[float])
        return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    except (msgspec.MsgspecError, OverflowError):
        return given


def _no_vectors() -> ApiError:
    return ApiError(502, "engine_protocol", "The engine answered without embeddings: try another.")
