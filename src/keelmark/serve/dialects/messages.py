"""Anthropic's Messages: `POST /v1/messages`.

Source: Anthropic's API reference, "Messages", "Streaming" and "Errors", and the types of its
Python client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from keelmark.core.trace import Trace
from keelmark.serve.dialect import Dialect, Event, Voice
from keelmark.serve.dialects._messages_asked import REFUSED, chat_of
from keelmark.serve.errors import ApiError
from keelmark.serve.keys import shown
from keelmark.serve.parts import Part, Step

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_STOPPED = "A rule of the guard stopped this answer."
_DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}


class MessagesVoice(Voice):
    """One call."""

    own_names: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
        "prompt": "messages",
        "reasoning_effort": "output_config.effort",
        "response_format": "output_config.format",
        "stop": "stop_sequences",
        "thinking_budget_tokens": "thinking.budget_tokens",
        "user": "metadata.user_id",
        ".function.parameters": ".input_schema",
    }

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._stops: list[str] = []
        self._thinks = False
        self._at: dict[int, int] = {}

    def key(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """See Voice."""
        return shown(headers)

    def asks(self, body: Any) -> dict[str, Any]:
        """See Voice."""
        chat = chat_of(body, self.places)
        thinking = body.get("thinking") or {}
        shown = thinking.get("display") != "omitted"
        self._thinks = shown and thinking.get("type", "disabled") != "disabled"
        self._stops = chat.get("stop", [])
        return chat

    def answer(self) -> dict[str, Any]:
        """See Voice."""
        blocks = [_block(part) for part in self.parts.all if self._shown(part)]
        return self._message(blocks) | self._end() | {"usage": self._usage()}

    def opening(self) -> list[Event]:
        """See Voice."""
        message = self._message([]) | {"usage": self._usage()}
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def step(self, step: Step) -> list[Event]:
        """See Voice."""
        part = step.part
        if not self._shown(part):
            return []
        index = self._at.setdefault(part.at, len(self._at))
        if step.verb == "begins":
            empty = _block(msgspec.structs.replace(part, pieces=[]))
            return [{"type": "content_block_start", "index": index, "content_block": empty}]
        if step.verb == "ends":
            return [{"type": "content_block_stop", "index": index}]
        kind, field = _DELTAS[part.kind]
        delta = {"type": kind, field: step.text}
        return [{"type": "content_block_delta", "index": index, "delta": delta}]

    def closing(self) -> list[Event]:
        """See Voice."""
        usage = self._usage()
        return [
            {"type": "message_delta", "delta": self._end(), "usage": usage},
            {"type": "message_stop"},
        ]

    def failing(self, error: ApiError) -> list[Event]:
        """See Voice."""
        return [self.error(error)]

    def error(self, error: ApiError) -> dict[str, Any]:
        """See Voice; `code` and `param` are ours."""
        fallback = "invalid_request_error" if error.status < 500 else "api_error"
        kind = _TYPES.get(error.status, fallback)
        said = {"type": kind, "message": error.message, "code": error.code, "param": error.param}
        return {"type": "error", "error": said, "request_id": self.trace.trace_id}

    def _shown(self, part: Part) -> bool:
        """Whether a part is told: thinking only when it was asked for."""
        return part.kind != "reasoning" or self._thinks

    def _message(self, blocks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_{self.trace.trace_id}",
            "type": "message",
            "role": "assistant",
            "model": self.parts.model or self.trace.model,
            "content": blocks,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _end(self) -> dict[str, Any]:
        """Why the answer ends."""
        parts = self.parts
        reason, details = _REASONS.get(parts.finish, "end_turn"), None
        if parts.finish == "content_filter":
            details = {"type": "refusal", "category": None, "explanation": _STOPPED}
        elif any(part.kind == "refusal" for part in parts.all):
            reason = "refusal"
        sequence = parts.stopped_by if parts.stopped_by in self._stops else None
        if reason == "end_turn" and sequence is not None:
            reason = "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}

    def _usage(self) -> dict[str, int]:
        """Token counts; what came from the engine's cache is counted on its own."""
        count = self.parts.count
        cached = count("prompt_tokens_details", "cached_tokens")
        made = count("prompt_tokens_details", "cache_write_tokens")
        return {
            "input_tokens": max(0, count("prompt_tokens") - cached - made),
            "cache_creation_input_tokens": made,
            "cache_read_input_tokens": cached,
            "output_tokens": count("completion_tokens"),
        }


class MessagesCount(MessagesVoice):
    """A request to count: a message that need not say how long its answer may be."""

    def asks(self, body: Any) -> dict[str, Any]:
        """See Voice."""
        chat = super().asks({**body, "max_tokens": 1} if isinstance(body, dict) else body)
        chat.pop("stream", None)
        return chat

    def whole(self, answer: dict[str, Any]) -> bytes:
        """See Voice."""
        return msgspec.json.encode({"input_tokens": answer["input_tokens"]})


def _block(part: Part) -> dict[str, Any]:
    """One block of the content."""
    if part.kind == "reasoning":
        return {"type": "thinking", "thinking": part.text, "signature": ""}
    if part.kind != "call":
        return {"type": "text", "text": part.text, "citations": None}
    key = part.id or f"toolu_{part.at}"
    return {"type": "tool_use", "id": key, "name": part.name, "input": _input(part.text)}


def _input(arguments: str) -> dict[str, Any]:
    """The input of a tool; arguments that are no object are told as they were written."""
    if not arguments.strip():
        return {}
    try:
        made = msgspec.json.decode(arguments.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        made = None
    return made if isinstance(made, dict) else {"raw_arguments": arguments}


DIALECT = Dialect(
    id="messages",
    title="Anthropic Messages",
    path="/v1/messages",
    speak=MessagesVoice,
    refused=REFUSED,
    count=Dialect(
        id="messages",
        title="Anthropic token counting",
        path="/v1/messages/count_tokens",
        speak=MessagesCount,
    ),
)
