"""A sentence that does not rest on its sources is asked for again.

Only for policies with a rule that says so (`repair`), and for chat. The guard works in a thread
then and waits there. The engine gets what it was given, the sentence, and what is wrong with it;
what it answers is judged like the first, and counted with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError
from typing import Any

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.ports import Transport
from keelmark.serve.calls import Call
from keelmark.serve.wholly import read_answer

SECONDS = 30.0
"""Longest wait for a sentence."""
_TOKENS = 96
_LEFT_OUT = frozenset(
    {
        "stream", "stream_options", "n", "tools", "tool_choice", "functions", "function_call",
        "response_format", "logprobs", "top_logprobs", "stop", "max_completion_tokens",
    }
)  # fmt: skip
_AGAIN = (
    "That sentence does not hold: {reason}. Write one sentence in its place that says only what "
    "the sources above say, or that they do not tell. Write nothing else."
)
_encode = msgspec.json.Encoder().encode


class Rewriting:
    """Asks the engine of a call for other sentences.

    Args:
        call: The call, judged.
        transport: The way to its engine.
        loop: The loop that the way is on.

    Attributes:
        asked: How often it was asked.
        usage: Token counts of all that.
    """

    def __init__(self, call: Call, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = 0
        self.usage: dict[str, Any] = {}
        self._call = call
        self._transport = transport
        self._loop = loop

    def __call__(self, sentence: str, reason: str) -> str | None:
        """See keelmark.core.ports.Again."""
        self.asked += 1
        waiting = asyncio.run_coroutine_threadsafe(self._ask(sentence, reason), self._loop)
        try:
            return waiting.result(SECONDS)
        except (TimeoutError, CancelledError, KeelmarkError):
            waiting.cancel()
            return None

    async def _ask(self, sentence: str, reason: str) -> str | None:
        engine, call = self._call.engine, self._call
        if engine is None:
            return None
        body = {name: value for name, value in call.body.items() if name not in _LEFT_OUT}
        body["messages"] = [
            *body["messages"],
            {"role": "assistant", "content": sentence},
            {"role": "user", "content": _AGAIN.format(reason=reason)},
        ]
        body["max_tokens"] = _TOKENS
        endpoint = engine.endpoint()
        response = await self._transport.send(
            "POST",
            endpoint.base_url + call.kind.path,
            headers={"content-type": "application/json", **endpoint.headers},
            body=_encode(body),
            timeout=SECONDS,
        )
        try:
            said = await read_answer(response)
        finally:
            await response.close()
        return self._taken(said) if response.status == 200 else None

    def _taken(self, said: bytes) -> str | None:
        try:
            answer = msgspec.json.decode(said)
            text = answer["choices"][0]["message"]["content"]
        except (msgspec.MsgspecError, LookupError, TypeError):
            return None
        if isinstance(usage := answer.get("usage"), dict):
            self.usage = summed(self.usage, usage)
        return text.strip() or None if isinstance(text, str) else None


def summed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Token counts of two answers together."""
    out = dict(one)
    for name, value in other.items():
        before = out.get(name)
        if isinstance(value, dict):
            out[name] = summed(before if isinstance(before, dict) else {}, value)
        elif isinstance(value, int) and isinstance(before, int):
            out[name] = before + value
        elif value is not None:
            out[name] = value
    return out
