"""Calls of tools that an engine wrote as text under a schema (`keelmark.serve.tool_choice`).

A pure step before the guard, over decoded answers: takes `{"name": ..., "arguments": {...}}` out
of the content and puts a tool call in its place, so that the guard, the client and the record see
what an engine with calls of its own would have sent. Whatever else the content holds is dropped.
"""

from __future__ import annotations

import re
from secrets import token_hex
from typing import Any

import msgspec

from keelmark.serve.errors import ApiError

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:', re.DOTALL)
_LONGEST_HEAD = 4096


class ForcedCalls:
    """The calls of one answer, one for each choice."""

    def __init__(self) -> None:
        self._readings: dict[int, _Reading] = {}

    def whole(self, answer: dict[str, Any]) -> None:
        """Turn the texts of a whole answer into calls.

        Raises:
            ApiError: 502, the engine did not follow the schema.
        """
        for choice in _objects(answer.get("choices")):
            self._turn(choice, "message")

    def chunk(self, chunk: dict[str, Any]) -> bool:
        """Turn the texts of one chunk into parts of calls; say whether anything of it is left.

        Raises:
            ApiError: 502, the engine did not follow the schema.
        """
        choices = _objects(chunk.get("choices"))
        left = [choice for choice in choices if self._turn(choice, "delta")]
        if len(left) < len(choices):
            chunk["choices"] = left
        return bool(left or not choices or chunk.get("usage"))

    def _turn(self, choice: dict[str, Any], field: str) -> bool:
        """Turn one choice; say whether anything of it is left."""
        index, said = choice.get("index", 0), choice.get(field)
        if not isinstance(index, int) or not isinstance(said, dict | None):
            return True  # the reader of answers says what is wrong with it
        reading = self._readings.setdefault(index, _Reading())
        reason = choice.get("finish_reason")
        if said:
            text = said.pop("content", None)
            call = reading.read(text) if isinstance(text, str) else None
            if "role" in said:
                said["content"] = None
            if call:
                if field == "message":
                    del call["index"]
                said["tool_calls"] = [call]
        if reason == "stop":
            if not reading.complete:
                raise _disobeyed()
            choice["finish_reason"] = "tool_calls"
        if "logprobs" in choice:
            choice["logprobs"] = None  # of the text, which nobody gets to see
        return bool(said) or reason is not None


class _Reading:
    """One text while it is read."""

    def __init__(self) -> None:
        self._head = ""
        self._named = False
        self._depth = 0
        self._quoted = self._escaped = False
        self.complete = False

    def read(self, text: str) -> dict[str, Any] | None:
        """Return what a piece of the text adds to the call."""
        if self._named:
            arguments = self._arguments(text)
            return {"index": 0, "function": {"arguments": arguments}} if arguments else None
        self._head += text
        head = _HEAD.match(self._head)
        if head is None:
            if self._head.lstrip()[:1] not in ("", "{") or len(self._head) > _LONGEST_HEAD:
                raise _disobeyed()
            return None
        self._named = True
        function = {"name": _name(head[1]), "arguments": self._arguments(self._head[head.end() :])}
        return {
            "index": 0,
            "id": f"call_{token_hex(12)}",
            "type": "function",
            "function": function,
        }

    def _arguments(self, text: str) -> str:
        """The part of a piece that belongs to the object of the arguments."""
        if self.complete:
            return ""
        if not self._depth:
            text = text.lstrip()
            if text[:1] not in ("", "{"):
                raise _disobeyed()
        return text[: self._end(text)]

    def _end(self, text: str) -> int:
        """Where the object ends in a piece, or the end of the piece."""
        for at, char in enumerate(text, 1):
            if self._escaped:
                self._escaped = False
            elif char == '"':
                self._quoted = not self._quoted
            elif self._quoted:
                self._escaped = char == "\\"
            elif char in "{}":
                self._depth += 1 if char == "{" else -1
                if not self._depth:
                    self.complete = True
                    return at
        return len(text)


def _name(quoted: str) -> str:
    try:
        return msgspec.json.decode(quoted.encode(), type=str)
    except (msgspec.MsgspecError, UnicodeError):
        raise _disobeyed() from None


def _objects(choices: Any) -> list[dict[str, Any]]:
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def _disobeyed() -> ApiError:
    return ApiError(
        502,
        "engine_protocol",
        "The engine did not call a tool although one was demanded: try again, or leave out "
        "`tool_choice`.",
    )
