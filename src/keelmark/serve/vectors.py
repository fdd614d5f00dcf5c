"""Answers with embeddings: numbers and nothing else, passed on as the engine wrote them."""

from __future__ import annotations

import re
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
    data = [
        {"object": "embedding", "index": vector.index, "embedding": vector.embedding}
        for vector in answer.data
    ]
    for vector in answer.data:
        raw = bytes(vector.embedding)
        if not (_NUMBERS.fullmatch(raw) or (packed and _BASE64.fullmatch(raw))):
            raise _no_vectors()
    whole = {"object": "list", "data": data, "model": model, "usage": usage}
    return msgspec.json.encode(whole), usage


def _no_vectors() -> ApiError:
    return ApiError(502, "engine_protocol", "The engine answered without embeddings: try another.")
