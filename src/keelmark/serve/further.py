"""Further calls of the engine of a call: for other sentences, and for samples of its answer.

Each is a call like any other. It waits for a slot in its turn, obeys the deadline of the request,
holds its most on the budgets, and is billed. The call that it is made for gives its own slot back
as soon as its engine has ended, so that none waits for what itself has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.semconv import REPAIR_ANSWERS, REPAIR_ATTEMPTS, SAMPLE_ANSWERS
from keelmark.core.trace import Trace
from keelmark.serve.admitting import Admitted
from keelmark.serve.answers import summed
from keelmark.serve.calls import CHAT, Call, Desk
from keelmark.serve.choice import numbers_only
from keelmark.serve.errors import as_api_error
from keelmark.serve.metering import reserve
from keelmark.serve.refusals import refused_by_engine
from keelmark.serve.traces import stamp
from keelmark.serve.wholly import read_answer

ANSWERED = "answered"
REPAIR, SAMPLES = "repair", "samples"
_LEFT_OUT = frozenset(
    {
        "stream", "stream_options", "n", "best_of", "echo", "logprobs", "top_logprobs",
        "max_tokens", "max_completion_tokens",
    }
)  # fmt: skip
_replace = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode

Send = Callable[[Call], Awaitable[Admitted]]
"""Sends a call to its engine in its turn."""


class Further:
    """Asks the engine of a call again.

    Args:
        desk: What the stages may use.
        call: The call, judged.
        send: The way to its engine.

    Attributes:
        call: See above.
        usage: Token counts of all that.
        answers: What became of each: `answered`, or the code of an error.
        stopped: Whether no more is to be asked.
    """

    def __init__(self, desk: Desk, call: Call, send: Send) -> None:
        self.call = call
        self.usage: dict[str, Any] = {}
        self.answers: dict[str, list[str]] = {}
        self.stopped = False
        self._desk = desk
        self._send = send
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """End what is asked, from the loop."""
        self.stopped = True
        for task in self._tasks:
            task.cancel()

    async def settle(self) -> None:
        """End what is asked, and wait until it has."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def body(self, tokens: int) -> dict[str, Any]:
        """Return what was asked, for one whole answer of at most so many tokens."""
        call = self.call
        body = {name: value for name, value in call.body.items() if name not in _LEFT_OUT}
        wanted = call.engine is not None and call.engine.quirks.completion_tokens
        body["max_completion_tokens" if wanted else "max_tokens"] = tokens
        return body

    async def ask(self, why: str, body: Mapping[str, Any], seconds: float | None) -> Said:
        """Ask once.

        Args:
            why: What for, as the trace names it.
            body: What.
            seconds: Longest time, with the wait for a slot; None for as long as there is.
        """
        said = Said("stopped")
        if (task := asyncio.current_task()) is None or self.stopped:
            return said
        self._tasks.add(task)
        try:
            async with asyncio.timeout(seconds):
                said = await self._asked(body)
        except TimeoutError:
            said = Said("engine_slow")
        except KeelmarkError as error:
            said = Said(as_api_error(error).code)
        finally:
            self._tasks.discard(task)
            self.answers.setdefault(why, []).append(said.told)
        return said

    async def _asked(self, body: Mapping[str, Any]) -> Said:
        own = self.call
        trace = _replace(own.trace, attributes={}, timings={}, stream=False)
        asked = own.asked and own.asked._replace(choices=1)
        parts = {"body": dict(body), "prompt": _encode(body), "trace": trace, "asked": asked}
        call = await reserve(self._desk, _replace(own, echo=None, charge=None, **parts))
        if call.charge is None:
            return await self._answer(call)
        with call.charge:
            call.charge.answer = said = await self._answer(call)
        return said

    async def _answer(self, call: Call) -> Said:
        response = await self._send(call)
        try:
            said = await read_answer(response)
            if response.status != 200:
                raise refused_by_engine(response.status, response.headers, said, call.body)
            if call.charge is not None:
                call.charge.answered = True
            answer = said_in(said, chat=call.kind is CHAT)
            self.usage.update(summed(self.usage, answer.usage))
            response.complete(call.trace, answer.usage)
        finally:
            stamp(call.trace, "engine", response.since)
            await response.close()
        return answer


class Said:
    """What came of one of these.

    Attributes:
        told: `answered`, or the code of an error.
        text: The text; "" where there is none.
        whole: Whether it ended by itself.
        usage: Its token counts.
    """

    def __init__(self, told: str, text: str = "", *, whole: bool = True) -> None:
        self.told = told
        self.text = text
        self.whole = whole
        self.usage: dict[str, Any] = {}

    def kept(self) -> bytes:
        """Return what was said, JSON; what is counted where there is no usage."""
        return _encode([self.text])


def said_in(body: bytes, *, chat: bool) -> Said:
    """Return what an engine has answered; `chat` is whether it is a chat's answer."""
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
        choice = answer["choices"][0]
        text = choice["message"]["content"] if chat else choice["text"]
        whole = choice.get("finish_reason") != "length"
    except (
        msgspec.MsgspecError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ):
        return Said("engine_protocol")
    said = Said(ANSWERED, text.strip() if isinstance(text, str) else "", whole=whole)
    if isinstance(usage := answer.get("usage"), dict):
        said.usage = numbers_only(usage)
    return said


def note_further(trace: Trace, further: Further) -> None:
    """Note what was asked further."""
    if asked := further.answers.get(REPAIR):
        trace.attributes[REPAIR_ATTEMPTS] = len(asked)
        trace.attributes[REPAIR_ANSWERS] = asked
    if asked := further.answers.get(SAMPLES):
        trace.attributes[SAMPLE_ANSWERS] = asked
