"""OpenAI's Responses: `POST /v1/responses`, without a memory on the server.

Source: OpenAI's API reference, "Responses" and "Streaming events", and the types of its Python
client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from keelmark.serve.dialect import Dialect, Event, Voice
from keelmark.serve.dialects._responses_asked import REFUSED, chat_of
from keelmark.serve.errors import ApiError
from keelmark.serve.parts import Part, Step

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": None,
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "user": None,
}
"""Fields of the request that the answer repeats, with what stands there when they are not given."""

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_NAMES = {"call": "fc", "reasoning": "rs"}
_FIELDS = {"text": "text", "refusal": "refusal", "reasoning": "text"}
_EVENTS = {
    "text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning": "response.reasoning_text",
    "call": "response.function_call_arguments",
}


class ResponsesVoice(Voice):
    """One call."""

    own_names: ClassVar[Mapping[str, str]] = {
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
        "messages": "input",
        "prompt": "input",
        "reasoning_effort": "reasoning.effort",
        "response_format": "text.format",
        ".function.parameters": ".parameters",
    }
    _asked: Mapping[str, Any] = {}
    _number = 0

    def asks(self, body: Any) -> dict[str, Any]:
        """See Voice."""
        chat = chat_of(body, self.places)
        self._asked = body
        return chat

    def answer(self) -> dict[str, Any]:
        """See Voice."""
        reason = _INCOMPLETE.get(self.parts.finish)
        made = self._response("incomplete" if reason else "completed")
        made["output"] = [self._item(part) for part in self.parts.all]
        made["incomplete_details"] = {"reason": reason} if reason else None
        made["usage"] = self._usage()
        return made

    def opening(self) -> list[Event]:
        """See Voice."""
        response = self._response("in_progress")
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def step(self, step: Step) -> list[Event]:
        """See Voice."""
        part, name = step.part, _EVENTS[step.part.kind]
        where: dict[str, Any] = {"item_id": self._id(part), "output_index": part.at}
        if part.kind != "call":
            where["content_index"] = 0
        if step.verb == "begins":
            return self._begins(part, where)
        if step.verb == "ends":
            return self._ends(part, name, where)
        if part.kind == "text":
            where["logprobs"] = [_logprob(token) for token in step.logprobs]
        return [self._event(f"{name}.delta", **where, delta=step.text)]

    def closing(self) -> list[Event]:
        """See Voice."""
        response = self.answer()
        return [self._event(f"response.{response['status']}", response=response)]

    def failing(self, error: ApiError) -> list[Event]:
        """See Voice."""
        response = self._response("failed")
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        response["error"] = {"code": code, "message": error.message}
        response["output"] = [self._item(part) for part in self.parts.all]
        said = {"code": error.code, "message": error.message, "param": error.param}
        return [
            self._event("error", **said),
            self._event("response.failed", response=response),
        ]

    def error(self, error: ApiError) -> dict[str, Any]:
        """See Voice; the form is that of chat."""
        made: dict[str, Any] = msgspec.json.decode(error.body())
        return made

    def _event(self, kind: str, **fields: Any) -> Event:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **fields}

    def _begins(self, part: Part, where: dict[str, Any]) -> list[Event]:
        empty = msgspec.structs.replace(part, pieces=[], logprobs=[])
        item = {**self._item(empty), "status": "in_progress"}
        if part.kind == "call":
            return [self._event("response.output_item.added", output_index=part.at, item=item)]
        content = item["content"][0]
        return [
            self._event(
                "response.output_item.added", output_index=part.at, item={**item, "content": []}
            ),
            self._event("response.content_part.added", **where, part=content),
        ]

    def _ends(self, part: Part, name: str, where: dict[str, Any]) -> list[Event]:
        item = self._item(part)
        over = self._event("response.output_item.done", output_index=part.at, item=item)
        if part.kind == "call":
            done = self._event(f"{name}.done", **where, name=part.name, arguments=part.text)
            return _in_turn(done, over)
        content, field = item["content"][0], _FIELDS[part.kind]
        said = {field: part.text} | (
            {"logprobs": content["logprobs"]} if part.kind == "text" else {}
        )
        done = self._event(f"{name}.done", **where, **said)
        return _in_turn(
            done, self._event("response.content_part.done", **where, part=content), over
        )

    def _id(self, part: Part) -> str:
        return f"{_NAMES.get(part.kind, 'msg')}_{self.trace.trace_id}_{part.at}"

    def _item(self, part: Part) -> dict[str, Any]:
        """One item of the output."""
        cut = self.parts.finish in _INCOMPLETE and part is self.parts.all[-1]
        status = "incomplete" if cut or not part.whole else "completed"
        item: dict[str, Any] = {"id": self._id(part), "status": status}
        if part.kind == "call":
            return item | {
                "type": "function_call",
                "call_id": part.id or self._id(part),
                "name": part.name,
                "arguments": part.text,
            }
        if part.kind == "reasoning":
            content = [{"type": "reasoning_text", "text": part.text}]
            return item | {"type": "reasoning", "summary": [], "content": content}
        said: dict[str, Any] = {"type": "refusal", "refusal": part.text}
        if part.kind == "text":
            tokens = [_logprob(token) for token in part.logprobs]
            said = {"type": "output_text", "text": part.text, "annotations": [], "logprobs": tokens}
        return item | {"type": "message", "role": "assistant", "content": [said]}

    def _response(self, status: str) -> dict[str, Any]:
        """The response without what the model says."""
        asked = self._asked
        return {
            "id": f"resp_{self.trace.trace_id}",
            "object": "response",
            "created_at": int(self.trace.started),
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.parts.model or self.trace.model,
            "output": [],
            "previous_response_id": None,
            "service_tier": "default",
            "store": False,
            "truncation": "disabled",
            "usage": None,
            **{n: v if asked.get(n) is None else asked[n] for n, v in _ECHOED.items()},
        }

    def _usage(self) -> dict[str, Any] | None:
        """Token counts; None when the engine gives none."""
        count = self.parts.count
        read, written = count("prompt_tokens"), count("completion_tokens")
        cached = count("prompt_tokens_details", "cached_tokens")
        made = count("prompt_tokens_details", "cache_write_tokens")
        thought = count("completion_tokens_details", "reasoning_tokens")
        if not self.parts.usage:
            return None
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": made},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": read + written,
        }


class ResponsesCount(ResponsesVoice):
    """A request to count."""

    def asks(self, body: Any) -> dict[str, Any]:
        """See Voice."""
        chat = super().asks(body)
        chat.pop("stream", None)
        return chat

    def whole(self, answer: dict[str, Any]) -> bytes:
        """See Voice."""
        counted = {"object": "response.input_tokens", "input_tokens": answer["input_tokens"]}
        return msgspec.json.encode(counted)


def _in_turn(*events: Event) -> list[Event]:
    """Events that were made in another order, with their numbers in this one."""
    numbers = sorted(event["sequence_number"] for event in events)
    return [
        {**event, "sequence_number": number} for event, number in zip(events, numbers, strict=True)
    ]


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "token": token.get("token"),
        "logprob": token.get("logprob"),
        "bytes": token.get("bytes") or [],
        "top_logprobs": token.get("top_logprobs") or [],
    }


DIALECT = Dialect(
    id="responses",
    title="OpenAI Responses",
    path="/v1/responses",
    speak=ResponsesVoice,
    refused=REFUSED,
    count=Dialect(
        id="responses",
        title="OpenAI token counting",
        path="/v1/responses/input_tokens",
        speak=ResponsesCount,
    ),
)
