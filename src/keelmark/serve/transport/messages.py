"""Engines that speak Anthropic's Messages: a transport that puts chat into their words.

To everybody here such an engine speaks chat, under an address that begins with `anthropic+`. What
it answers becomes chat before the guard reads it, so nothing else knows of it.

Source: Anthropic's API reference, "Create a Message", "Streaming" and "Errors".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from keelmark.core.ports import Transport, UpstreamResponse
from keelmark.serve.sse import DONE, EventReader, EventTooLongError, event
from keelmark.serve.transport._messages_asked import messages_of

SCHEME = "anthropic+"
VERSION = "2023-06-01"
_CHAT = "/chat/completions"
_PATHS = {"": "/messages", "/input_tokens": "/messages/count_tokens"}
_COUNTED = {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"}
_LONGEST = 64 * 1024 * 1024
_UNKNOWN = msgspec.json.encode({"error": {"message": "This engine speaks Messages only."}})
_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
Fields = dict[str, Any]


class MessagesTransport:
    """A transport that also reaches engines whose address begins with `anthropic+`.

    Args:
        transport: The way that everything goes.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> UpstreamResponse:
        """See `Transport.send`.

        Raises:
            ApiError: 400, the request asks for what Messages has not.
        """
        send = self._transport.send
        if not url.startswith(SCHEME):
            return await send(method, url, headers=headers, body=body, timeout=timeout)
        url = url.removeprefix(SCHEME)
        own = {n: v for n, v in headers.items() if n != "authorization"}
        own["anthropic-version"] = VERSION
        if "authorization" in headers:
            own["x-api-key"] = headers["authorization"].removeprefix("Bearer ")
        if method == "GET":
            return await send(method, url, headers=own, body=body, timeout=timeout)
        base, found, rest = url.partition(_CHAT)
        if not found or rest not in _PATHS:
            return _Refused()
        asked = messages_of(_decode(body))
        if rest:
            asked = {name: asked[name] for name in asked.keys() & _COUNTED}
        response = await send(
            method, base + _PATHS[rest], headers=own, body=_encode(asked), timeout=timeout
        )
        if rest or response.status != 200:
            return response
        return _Answered(response, streams=asked.get("stream") is True)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()


class _Refused:
    """The answer to what such an engine cannot do."""

    status = 501
    headers: Mapping[str, str] = {"content-type": "application/json"}

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `UpstreamResponse`."""
        yield _UNKNOWN

    async def read(self) -> bytes:
        """See `UpstreamResponse`."""
        return _UNKNOWN

    async def close(self, *, over: bool = False) -> None:
        """See `UpstreamResponse`."""


class _Answered:
    """An answer in Messages, as chat."""

    status = 200

    def __init__(self, response: UpstreamResponse, *, streams: bool) -> None:
        self.headers = response.headers
        self._response = response
        self._streams = streams

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `UpstreamResponse`."""
        if not self._streams:
            yield await self.read()
            return
        reader, told = EventReader(), _Told()
        async for data in self._response.chunks():
            try:
                events = reader.feed(data)
            except EventTooLongError:
                events = [b""]  # no event: whoever reads it says so
            if chunks := b"".join(told.event(one) for one in events):
                yield chunks

    async def read(self) -> bytes:
        """See `UpstreamResponse`."""
        body = bytearray()
        async for piece in self._response.chunks():
            body += piece
            if len(body) > _LONGEST:
                return bytes(body)  # whoever reads it says that it is too long
        try:
            return _encode(_whole(_decode(body)))
        except (msgspec.MsgspecError, ValueError, RecursionError, KeyError, TypeError):
            return b"{}"  # no answer: whoever reads it says so

    async def close(self, *, over: bool = False) -> None:
        """See `UpstreamResponse`."""
        await self._response.close(over=over)


def _whole(message: Fields) -> Fields:
    """A whole answer as chat."""
    if message.get("type") == "error":
        return {"error": message["error"]}
    said: Fields = {"role": "assistant", "content": None}
    calls: list[Fields] = []
    for block in message["content"]:
        kind = block["type"]
        if kind == "text":
            said["content"] = (said["content"] or "") + block["text"]
        elif kind == "thinking":
            said["reasoning_content"] = said.get("reasoning_content", "") + block["thinking"]
        elif kind == "tool_use":
            calls.append(_call(len(calls), block, _encode(block["input"]).decode()))
    if calls:
        said["tool_calls"] = calls
    finish = _FINISHES.get(message.get("stop_reason") or "", "stop")
    return {
        "id": message.get("id"),
        "object": "chat.completion",
        "model": message.get("model"),
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": _usage(message.get("usage") or {}),
    }


class _Told:
    """A stream in Messages while it becomes one in chat."""

    def __init__(self) -> None:
        self._around: Fields = {"object": "chat.completion.chunk"}
        self._usage: Fields = {}
        self._calls: dict[Any, Fields] = {}
        self._verbs: Mapping[Any, Callable[[Fields], bytes]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "content_block_stop": self._stop,
            "message_delta": self._end,
            "message_stop": self._over,
            "error": lambda given: event(_encode({"error": given.get("error") or {}})),
        }

    def event(self, data: bytes) -> bytes:
        """Return the chunks for one event; what is no event leaves as it is, to be refused."""
        try:
            given = _decode(data)
            verb = self._verbs.get(given["type"])
            return verb(given) if verb is not None else b""
        except (msgspec.MsgspecError, ValueError, RecursionError, KeyError, TypeError):
            return event(b"{")

    def _chunk(self, delta: Fields, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event(_encode({**self._around, "choices": [choice]}))

    def _start(self, given: Fields) -> bytes:
        message = given["message"]
        self._around |= {"id": message.get("id"), "model": message.get("model")}
        self._usage |= message.get("usage") or {}
        return self._chunk({"role": "assistant", "content": ""})

    def _block(self, given: Fields) -> bytes:
        block = given["content_block"]
        if block["type"] == "tool_use":
            number = len(self._calls)
            self._calls[given["index"]] = {"number": number, "input": block.get("input")}
            return self._chunk({"tool_calls": [_call(number, block, "")]})
        field = {"text": "content", "thinking": "reasoning_content"}.get(block["type"])
        text = block.get(block["type"])
        return self._chunk({field: text}) if field and text else b""

    def _delta(self, given: Fields) -> bytes:
        delta = given["delta"]
        kind = delta["type"]
        if kind == "text_delta":
            return self._chunk({"content": delta["text"]})
        if kind == "thinking_delta":
            return self._chunk({"reasoning_content": delta["thinking"]})
        if kind == "input_json_delta" and given["index"] in self._calls:
            call = self._calls[given["index"]]
            call["input"] = None
            return self._arguments(call["number"], delta["partial_json"])
        return b""

    def _stop(self, given: Fields) -> bytes:
        """The end of a block; the input of a tool may have come whole, with its beginning."""
        call = self._calls.get(given["index"], {})
        if not call.get("input"):
            return b""
        return self._arguments(call["number"], _encode(call["input"]).decode())

    def _arguments(self, number: int, text: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]})

    def _end(self, given: Fields) -> bytes:
        self._usage |= {n: v for n, v in (given.get("usage") or {}).items() if v is not None}
        reason = given["delta"].get("stop_reason")
        return self._chunk({}, _FINISHES.get(reason, "stop")) if reason else b""

    def _over(self, given: Fields) -> bytes:  # noqa: ARG002, one of a table
        last = {**self._around, "choices": [], "usage": _usage(self._usage)}
        return event(_encode(last)) + DONE


def _call(number: int, block: Fields, arguments: str) -> Fields:
    function = {"name": block["name"], "arguments": arguments}
    return {"index": number, "id": block["id"], "type": "function", "function": function}


def _usage(given: Fields) -> Fields:
    """Token counts as chat has them: what came from a cache was read too."""

    def count(name: str) -> int:
        value = given.get(name)
        return value if isinstance(value, int) else 0

    cached = count("cache_read_input_tokens")
    made = count("cache_creation_input_tokens")
    read = count("input_tokens") + cached + made
    written = count("output_tokens")
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": made},
    }
