"""How many tokens a call can have at most, before anybody has counted; and after, how many it had.

No tokeniser is asked at first. A token stands for at least one byte, so a prompt has no more of
them than bytes. What a template puts around messages and tools is shorter than the JSON around them
and the allowance here. Images and sounds have an allowance each. Only where that is more than a
budget has left, an engine that counts is asked.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.ports import Transport
from keelmark.core.semconv import OP_CHAT

if TYPE_CHECKING:
    from keelmark.serve.calls import Call


class Answered(Protocol):
    """What is counted of an answer.

    Attributes:
        usage: Token counts as the engine gave them.
    """

    usage: dict[str, Any]

    def kept(self) -> bytes:
        """Return what was passed on of it, JSON."""


TEMPLATE = 512
"""Tokens that a template may add: a system prompt of its own, instructions for tools."""
MEDIUM = 16384
"""Tokens of an image, a sound or a file."""
BYTES_PER_TOKEN = 3
"""For counts after the fact: between English prose (4) and code or Chinese (2 to 3)."""


def most_input(call: Call) -> int:
    """Return how many tokens an engine can read for a call, at most."""
    return len(call.prompt) + TEMPLATE + MEDIUM * _media(call.body)


async def counted_input(transport: Transport, call: Call) -> int | None:
    """Return how many tokens the engine says that it would read; None where it does not say."""
    engine = call.engine
    if engine is None or call.kind.operation != OP_CHAT or not engine.quirks.counts_tokens:
        return None
    try:
        endpoint = engine.endpoint()
        response = await transport.send(
            "POST",
            endpoint.base_url + "/chat/completions/input_tokens",
            headers={"content-type": "application/json", **endpoint.headers},
            body=msgspec.json.encode({n: v for n, v in call.body.items() if n not in _OF_STREAMS}),
            timeout=_SECONDS,
        )
        try:
            said = await response.read()
        finally:
            await response.close(over=True)
        return msgspec.json.decode(said, type=_Counted).input_tokens
    except (KeelmarkError, msgspec.MsgspecError, ValueError):
        return None  # then the bytes count


class _Counted(msgspec.Struct):
    input_tokens: int


_OF_STREAMS = ("stream", "stream_options")
_SECONDS = 10.0


def _media(body: dict[str, Any]) -> int:
    messages = body.get("messages")
    count = 0
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            count += sum(isinstance(p, dict) and p.get("type") not in _TEXT for p in content)
    return count


_TEXT = ("text", "refusal")


def asked_output(body: dict[str, Any]) -> int | None:
    """Return how many tokens the client asks for at most, in each choice; None where it does not.

    Args:
        body: The body of the request, in chat's or completions' words.
    """
    for name in ("max_completion_tokens", "max_tokens"):
        if isinstance(given := body.get(name), int) and not isinstance(given, bool) and given > 0:
            return given
    return None


def counted_tokens(size: int) -> int:
    """Return how many tokens so many bytes are likely to be."""
    return ceil(size / BYTES_PER_TOKEN)


def said_bytes(answer: Answered) -> int:
    """Return how many bytes of an answer were passed on."""
    return _strings(msgspec.json.decode(answer.kept()))


def _strings(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(_strings(one) for name, one in value.items() if name != "index")
    return sum(map(_strings, value)) if isinstance(value, list) else 0
