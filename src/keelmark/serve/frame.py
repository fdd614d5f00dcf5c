"""The frame of a stream: what all chunks of an answer have around the text that differs.

Most chunks are the same bytes but for one string, `delta.content`. Once such a chunk was read in
full, the next one that has the same bytes around its string needs no reading: a JSON document with
another string in the place of a string is the same document but for that string.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

_decode = msgspec.json.Decoder().decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_STAND_IN = "the text"
_FIELDS = {"index", "delta", "finish_reason"}


class Frame(NamedTuple):
    """The bytes around the text.

    Attributes:
        before: What a chunk of the engine begins with.
        after: What it ends with.
        opening: What a chunk begins with as it leaves.
        closing: What it ends with.
    """

    before: bytes
    after: bytes
    opening: bytes
    closing: bytes

    def text(self, data: bytes) -> str | None:
        """Return the text of a chunk that fits, None of any other."""
        if not (data.startswith(self.before) and data.endswith(self.after)):
            return None
        try:
            return _decode_text(data[len(self.before) : -len(self.after)])
        except (msgspec.MsgspecError, ValueError):
            return None

    def chunk(self, text: str) -> bytes:
        """Return the chunk that leaves."""
        return self.opening + _encode(text) + self.closing


def frame_of(data: bytes, read: dict[str, Any], leaves: dict[str, Any]) -> Frame | None:
    """Return the frame of a chunk; None when it carries more than text, or cannot be told.

    Args:
        data: The chunk as the engine sent it.
        read: The same, read.
        leaves: The chunk as it leaves.
    """
    text = _only_text(read)
    if not text or _only_text(leaves) is None:
        return None
    before, found, after = data.rpartition(_encode(text))
    stand_in = _encode(_STAND_IN)
    if not found or _decode_or_none(before + stand_in + after) != _with_text(read, _STAND_IN):
        return None
    opening, _, closing = _encode(_with_text(leaves, _STAND_IN)).rpartition(stand_in)
    return Frame(before, after, opening, closing)


def _only_text(chunk: dict[str, Any]) -> str | None:
    """Return the text of a chunk that carries the text of one choice and nothing else."""
    choices = chunk.get("choices")
    if chunk.get("usage") or not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or not choice.keys() <= _FIELDS or choice.get("finish_reason"):
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict) or delta.keys() != {"content"}:
        return None
    content = delta["content"]
    return content if isinstance(content, str) else None


def _with_text(chunk: dict[str, Any], text: str) -> dict[str, Any]:
    return {**chunk, "choices": [{**chunk["choices"][0], "delta": {"content": text}}]}


def _decode_or_none(data: bytes) -> Any:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
