"""A fake engine: OpenAI's protocol with scripted answers and faults, no model behind it.

It ships with Keelmark so that policies can be tried without a model, and so that tests need no
mocks: run it with `uvicorn`, or hand it to any ASGI server, and point an upstream engine at it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from keelmark.serve.http import EVENTS, JSON, Message, Receive, Scope, Send

Fault = Literal[
    "",
    "slow",
    "cut",
    "drop",
    "malformed",
    "split",
    "duplicate",
    "no_done",
    "no_usage",
    "error",
    "error_in_stream",
    "error_as_200",
    "hang",
]

_WORD = re.compile(r"\s*\S+\s*?|\s+")
_BREAKS = ("cut", "drop", "malformed", "error_in_stream", "hang")


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer.

    Attributes:
        pieces: The answer, one stream chunk each.
        echo: Answer with the text of the last message instead.
        deltas: Whole deltas to stream instead of pieces (tool calls, reasoning), or the message.
        logprobs: Whether to send the log-probability of each piece as one token.
        weigh: Whether prompts are weighed (`echo` and `logprobs` of a completion): made-up
            numbers, the same each time for the same beginning of a text.
        fault: What goes wrong. Before the answer: `slow` waits `delay` seconds; `error` answers
            `status`; `error_as_200` answers 200 with an error. After `after` chunks of a stream,
            or half of an answer that is not one: `cut` ends it in the middle of an event; `drop`
            closes the connection; `malformed` sends a broken line; `hang` sends no more;
            `duplicate` sends every chunk twice from there on; `error_in_stream` sends an error.
            In all of it: `split` sends single bytes; `no_done` leaves out the last event;
            `no_usage` the token counts.
        after: Chunks before the fault.
        delay: Seconds to wait for `slow`, or between chunks.
        status: Status of `error`.
        headers: More headers of an answer that is an error.
        message: What the errors say.
        finish: Finish reason.
        model: Name to answer with; "" is the one that was asked for.
        raw: Bytes to answer 200 with instead of all this: a JSON document, or events.
    """

    pieces: tuple[str, ...] = ("Hello", " from", " the", " fake", " engine.")
    echo: bool = False
    deltas: tuple[dict[str, Any], ...] = ()
    logprobs: bool = False
    weigh: bool = False
    fault: Fault = ""
    after: int = 2
    delay: float = 0.0
    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()
    message: str = "scripted failure"
    finish: str = "stop"
    model: str = ""
    raw: bytes = b""


class FakeEngine:
    """An ASGI application that answers by script.

    Args:
        script: The script, or a function from the request body to one.
        models: Names of the models that it lists.

    Attributes:
        received: The bodies of all requests so far, as they came.
        running: Answers under way now.
        cancelled: Answers whose client left before the end.
        sent: Bytes of answers that have left so far.
    """

    def __init__(
        self,
        script: Script | Callable[[dict[str, Any]], Script] | None = None,
        models: tuple[str, ...] = ("fake",),
    ) -> None:
        self.script = script or Script()
        self._models = [{"id": name, "object": "model"} for name in models]
        self.received: list[dict[str, Any]] = []
        self.running = 0
        self.cancelled = 0
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["method"] == "GET":
            models = {"object": "list", "data": self._models}
            await _whole(send, 200, msgspec.json.encode(models))
            return
        body = msgspec.json.decode(await _read(receive))
        self.received.append(body)

        async def counted(message: Message) -> None:
            await send(message)
            self.sent += len(message.get("body", b""))

        script = self.script if isinstance(self.script, Script) else self.script(body)
        self.running += 1
        answering = asyncio.create_task(self._answer(scope["path"], body, script, counted))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.cancelled += 1
        finally:
            self.running -= 1
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer(self, path: str, body: dict[str, Any], script: Script, send: Send) -> None:
        if script.fault == "slow":
            await asyncio.sleep(script.delay)
        if script.fault in ("error", "error_as_200"):
            error = {"error": {"message": script.message, "type": "server_error"}}
            status = script.status if script.fault == "error" else 200
            await _whole(send, status, msgspec.json.encode(error), *script.headers)
        elif script.raw:
            await _whole(send, 200, script.raw, kind=EVENTS if body.get("stream") else JSON)
        elif path.endswith("/input_tokens"):
            await _whole(send, 200, msgspec.json.encode({"input_tokens": 7}))
        elif path.endswith("/embeddings"):
            await _whole(send, 200, msgspec.json.encode(_vectors(body)))
        elif script.weigh and body.get("echo"):
            await _once(send, script, msgspec.json.encode(_weighed(body, script)))
        elif body.get("stream"):
            await _stream(send, script, _chunks(path, body, script))
        else:
            await _once(send, script, msgspec.json.encode(_message(path, body, script)))


def _pieces(body: dict[str, Any], script: Script) -> list[str]:
    if not script.echo:
        return list(script.pieces)
    last = body.get("prompt") or (body.get("messages") or [{}])[-1].get("content") or ""
    text = last if isinstance(last, str) else msgspec.json.encode(last).decode()
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def _usage(pieces: int) -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": pieces, "total_tokens": 7 + pieces}


def _envelope(kind: str, body: dict[str, Any], script: Script) -> dict[str, Any]:
    model = script.model or body.get("model")
    return {"id": "fake-1", "object": kind, "created": 1, "model": model}


def _token(text: str) -> dict[str, Any]:
    other = {"token": "secret", "logprob": -3.0, "bytes": None}
    raw = list(text.encode())
    return {"token": text, "logprob": -0.5, "bytes": raw, "top_logprobs": [other]}


def _chunks(path: str, body: dict[str, Any], script: Script) -> list[dict[str, Any]]:
    chat = path.endswith("/chat/completions")
    pieces = _pieces(body, script)
    deltas: list[dict[str, Any]] = list(script.deltas) or [{"content": piece} for piece in pieces]
    envelope = _envelope("chat.completion.chunk" if chat else "text_completion", body, script)
    chunks = []
    for index in range(body.get("n") or 1):
        for at, delta in enumerate(
            [{"role": "assistant", "content": ""}, *deltas] if chat else deltas
        ):
            part = {"delta": delta} if chat else {"text": delta["content"]}
            choice = {"index": index, **part, "finish_reason": None}
            if script.logprobs and at:
                choice["logprobs"] = {"content": [_token(delta.get("content") or "")]}
            chunks.append({**envelope, "choices": [choice]})
        part = {"delta": {}} if chat else {"text": ""}
        last = {"index": index, **part, "finish_reason": script.finish}
        chunks.append({**envelope, "choices": [last]})
    wanted = (body.get("stream_options") or {}).get("include_usage")
    if wanted and script.fault != "no_usage":
        chunks.append({**envelope, "choices": [], "usage": _usage(len(pieces))})
    return chunks


def _message(path: str, body: dict[str, Any], script: Script) -> dict[str, Any]:
    chat = path.endswith("/chat/completions")
    pieces = _pieces(body, script)
    message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces)}
    if script.deltas:
        message = {"role": "assistant", **script.deltas[0]}
    part = {"message": message} if chat else {"text": "".join(pieces)}
    choices: list[dict[str, Any]] = [
        {"index": index, **part, "finish_reason": script.finish}
        for index in range(body.get("n") or 1)
    ]
    if script.logprobs:
        choices[0]["logprobs"] = {"content": [_token(piece) for piece in pieces]}
    kind = "chat.completion" if chat else "text_completion"
    answer = {**_envelope(kind, body, script), "choices": choices}
    return answer if script.fault == "no_usage" else {**answer, "usage": _usage(len(pieces))}


def _weighed(body: dict[str, Any], script: Script) -> dict[str, Any]:
    """Log-probabilities of every word of the prompts, each a token."""
    prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
    choices, count = [], 0
    for number, text in enumerate(prompts):
        words = list(_WORD.finditer(text))
        values = [-(zlib.crc32(text[: word.end()].encode()) % 997 + 1) / 100 for word in words]
        told = {
            "tokens": [word[0] for word in words],
            "token_logprobs": [None, *values[1:]],
            "top_logprobs": [None, *({"other": -0.005} for _ in values[1:])],
            "text_offset": [word.start() for word in words],
        }
        choice = {"index": number, "text": text, "logprobs": told, "finish_reason": "length"}
        choices.append(choice)
        count += len(words)
    usage = {"prompt_tokens": count, "completion_tokens": 0, "total_tokens": count}
    return {**_envelope("text_completion", body, script), "choices": choices, "usage": usage}


def _vectors(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": at, "embedding": [0.25, -0.5, float(len(text))]}
        for at, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}


async def _stream(send: Send, script: Script, chunks: list[dict[str, Any]]) -> None:
    await send(_head(200, EVENTS))
    for at, chunk in enumerate(chunks):
        if at == script.after and script.fault in _BREAKS:
            await _fault(send, script)
            return
        data = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        if script.fault == "duplicate" and at >= script.after:
            data *= 2
        size = 1 if script.fault == "split" else len(data)
        for start in range(0, len(data), size):
            await _part(send, data[start : start + size])
        if script.fault != "slow":
            await asyncio.sleep(script.delay)
    if script.fault != "no_done":
        await _part(send, b"data: [DONE]\n\n")
    await send({"type": "http.response.body", "body": b""})


async def _fault(send: Send, script: Script) -> None:
    fault = script.fault
    if fault == "hang":
        await asyncio.Event().wait()
    if fault == "drop":
        return  # an answer that is not ended closes the connection
    if fault == "malformed":
        await _part(send, b'data: {"choices": [{"delta"\n\n')
    if fault == "error_in_stream":
        error = msgspec.json.encode({"error": {"message": script.message}})
        await _part(send, b"data: " + error + b"\n\n")
    if fault == "cut":
        await _part(send, b'data: {"choi')
    await send({"type": "http.response.body", "body": b""})


async def _once(send: Send, script: Script, body: bytes) -> None:
    """Send an answer that is not streamed, or the half of it that its fault leaves."""
    fault, half = script.fault, body[: len(body) // 2]
    if fault in ("cut", "malformed"):
        await _whole(send, 200, half)
    elif fault in ("drop", "hang"):
        await send(_head(200, JSON, (b"content-length", b"%d" % len(body))))
        await _part(send, half)
        await _fault(send, script)
    elif fault == "split":
        await send(_head(200, JSON))
        for at in range(len(body)):
            await _part(send, body[at : at + 1])
        await send({"type": "http.response.body", "body": b""})
    else:
        await _whole(send, 200, body)


async def _part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _whole(
    send: Send,
    status: int,
    body: bytes,
    *more: tuple[bytes, bytes],
    kind: tuple[bytes, bytes] = JSON,
) -> None:
    await send(_head(status, kind, (b"content-length", b"%d" % len(body)), *more))
    await send({"type": "http.response.body", "body": body})


def _head(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message: Message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
