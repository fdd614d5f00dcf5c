"""An engine's whole answer as a stream, and a stream as a whole answer.

Only where nothing is lost or guessed: an answer with fields that are not known here is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from keelmark.serve.forms import gathered
from keelmark.serve.sse import DONE, EventReader, event

_TEXTS = ("reasoning", "reasoning_content", "content", "refusal")
_CALLS = ("tool_calls", "function_call")
_MESSAGE = frozenset({"role", *_TEXTS, *_CALLS})
_CHOICE = frozenset({"index", "message", "delta", "text", "logprobs", "finish_reason"})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def as_stream(body: bytes, *, chat: bool) -> bytes | None:
    """Return the events of a stream that says what a whole answer says; None if it cannot be."""
    answer = _decode(body)
    around = {n: v for n, v in answer.items() if n not in ("choices", "usage")}
    if chat:
        around["object"] = "chat.completion.chunk"
    pieces: list[dict[str, Any]] = []
    for choice in answer.get("choices") or ():
        message = choice.get("message") or {}
        if choice.keys() - _CHOICE or message.keys() - _MESSAGE:
            return None
        pieces += _pieces(choice, message, chat=chat)
    chunks = [{**around, "choices": [piece]} for piece in pieces]
    if answer.get("usage"):
        chunks.append({**around, "choices": [], "usage": answer["usage"]})
    return b"".join(event(_encode(chunk)) for chunk in chunks) + DONE


def _pieces(
    choice: Mapping[str, Any], message: Mapping[str, Any], *, chat: bool
) -> Iterable[dict[str, Any]]:
    """The pieces of one choice, one field after the other."""
    index, marks = choice.get("index", 0), {}
    if choice.get("logprobs") is not None:
        marks = {"logprobs": choice["logprobs"]}
    if not chat:
        yield {"index": index, "text": choice.get("text") or "", **marks, "finish_reason": None}
        yield {"index": index, "text": "", "finish_reason": choice.get("finish_reason")}
        return
    role = {"role": message.get("role") or "assistant", "content": ""}
    yield {"index": index, "delta": role, "finish_reason": None}
    for name in _TEXTS:
        if message.get(name):
            own = marks if name in ("content", "refusal") else {}
            marks = {} if own else marks
            delta = {name: message[name]}
            yield {"index": index, "delta": delta, **own, "finish_reason": None}
    calls = {n: message[n] for n in _CALLS if message.get(n)}
    if "tool_calls" in calls:
        numbered = enumerate(calls["tool_calls"])
        calls["tool_calls"] = [{"index": at, **call} for at, call in numbered]
    if calls:
        yield {"index": index, "delta": calls, **marks, "finish_reason": None}
    yield {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}


def as_whole(body: bytes, *, chat: bool) -> bytes | None:
    """Return the whole answer that a stream makes up; None if it cannot be told."""
    reader = EventReader()
    events = [*reader.feed(body), *reader.finish()]
    chunks = [_decode(data) for data in events if data != b"[DONE]"]
    pieces = [piece for chunk in chunks for piece in chunk.get("choices") or ()]
    for piece in pieces:
        if piece.keys() - _CHOICE or (piece.get("delta") or {}).keys() - _MESSAGE:
            return None
    if not pieces:
        return None
    answer = {n: v for n, v in chunks[0].items() if n not in ("choices", "usage")}
    if chat:
        answer["object"] = "chat.completion"
    answer |= gathered(chunks, chat=chat)
    for choice in answer["choices"]:
        if chat:
            choice["message"].setdefault("role", "assistant")
            choice["message"].setdefault("content", None)
        if marks := _marks(pieces, choice["index"]):
            choice["logprobs"] = marks
    usage = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return _encode({**answer, "usage": usage[-1]} if usage else answer)


def _marks(pieces: Iterable[Mapping[str, Any]], index: int) -> dict[str, Any]:
    """The log-probabilities of one choice, put together."""
    marks: dict[str, Any] = {}
    for piece in pieces:
        if piece.get("index", 0) == index:
            for name, value in (piece.get("logprobs") or {}).items():
                known = marks.get(name)
                if isinstance(known, list) and isinstance(value, list):
                    known.extend(value)
                elif value is not None:
                    marks[name] = value
    return marks
