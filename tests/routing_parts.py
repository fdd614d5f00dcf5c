"""A gateway with routes before several fake engines."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

import aiohttp
import msgspec

from gateway_parts import MemoryKeys, MemoryRecorder, PlainEngine, Stack, listening
from keelmark.core.errors import UnavailableError
from keelmark.core.policy import parse_policy
from keelmark.guard import Guard
from keelmark.serve.config import GatewayConfig
from keelmark.serve.fake import FakeEngine
from keelmark.serve.gateway import build_app
from keelmark.serve.transport import new_transport

RULES = """
guard:
  rules:
    - {id: mail, detector: personal_data, action: flag, labels: [EMAIL], stage: input}
"""


@asynccontextmanager
async def routed(
    routes, scripts, *, rules=RULES, guard=None, recorder=None, meter=None, **settings
):
    """Engines by the names of their scripts, the gateway before them, and a client before that.

    A script that is None stands for an engine at which nobody listens. `meter` makes a meter of
    the policy.
    """
    policy = parse_policy(rules + routes)
    recorder, keys, traces = recorder or MemoryRecorder(), MemoryKeys(), []
    secret, key = keys.add("test", ("models",))
    fakes, engines = {}, {}
    async with AsyncExitStack() as rooms:
        for name, script in scripts.items():
            url = "http://127.0.0.1:9"  # the discard port
            if script is not None:
                fakes[name] = FakeEngine(script)
                url = await rooms.enter_async_context(listening(fakes[name]))
            engines[name] = engine = PlainEngine(
                url,
                models=(f"{name}-model",),
                digest="sha256:weights" if name == "local" else "",
                **settings.get(name, {}),
            )
            engine.id = name
        client = new_transport("direct")
        rooms.push_async_callback(client.close)
        guard = guard or Guard(policy)
        app = build_app(
            GatewayConfig(
                engines=list(engines.values()),
                guard=guard,
                recorder=recorder,
                keys=keys,
                transport=client,
                policy=policy,
                meter=meter and meter(policy),
                on_trace=[traces.append],
            )
        )
        url = await rooms.enter_async_context(listening(app, policy.limits))
        http = await rooms.enter_async_context(aiohttp.ClientSession())
        yield Stack(
            url,
            http,
            secret,
            key=key,
            fakes=fakes,
            engines=engines,
            recorder=recorder,
            keys=keys,
            app=app,
            traces=traces,
            guard=guard,
        )


def said(body):
    """What a whole chat answer says."""
    return body["choices"][0]["message"]["content"]


class Answering:
    """A transport without a network: engines answer, or fail, as they are told.

    Args:
        faults: Engine to what happens there, request for request; then it answers. `connect`, or
            a status, with `Retry-After` as in `429 after 2`.

    Attributes:
        sent: Every body that left, with the name of its engine.
    """

    def __init__(self, faults=None):
        self.faults = {name: list(each) for name, each in (faults or {}).items()}
        self.sent = []

    async def send(self, method, url, *, headers, body, timeout):
        name = url.removeprefix("http://").partition("/")[0]
        self.sent.append((name, body))
        waiting = self.faults.get(name)
        fault = waiting.pop(0) if waiting else ""
        if fault == "connect":
            raise UnavailableError("The engine cannot be reached.")
        asked = msgspec.json.decode(body)
        if fault:
            status, _, wait = fault.partition(" after ")
            reply = _Reply(int(status), b'{"error": {"message": "no"}}')
            reply.headers |= {"retry-after": wait} if wait else {}
            return reply
        path = url.rpartition("/v1")[2]
        if asked.get("stream"):
            return _Reply(200, stream_of(path), "text/event-stream")
        return _Reply(200, msgspec.json.encode(_answer(path, asked)))

    async def close(self): ...


class _Reply:
    def __init__(self, status, body, kind="application/json"):
        self.status, self.headers, self._body = status, {"content-type": kind}, body

    async def chunks(self):
        yield self._body

    async def read(self):
        return self._body

    async def close(self, *, over=False): ...


def stream_of(path):
    """A whole stream."""
    chat = path == "/chat/completions"
    parts = [{"delta": {"content": "ok"}} if chat else {"text": "ok"}, {"delta": {}, "text": ""}]
    chunks = [
        {"id": "x", "choices": [{"index": 0, **part, "finish_reason": end}]}
        for part, end in zip(parts, (None, "stop"), strict=True)
    ]
    return (
        b"".join(b"data: " + msgspec.json.encode(c) + b"\n\n" for c in chunks) + b"data: [DONE]\n\n"
    )


def _answer(path, asked):
    if path == "/embeddings":
        given = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        return {"data": [{"index": i, "embedding": [0.5]} for i in range(len(given))]}
    if path == "/rerank":
        scores = [{"index": i, "relevance_score": 0.5} for i in range(len(asked["documents"]))]
        return {"results": scores}
    if path.endswith("/input_tokens"):
        return {"input_tokens": 3}
    part = {"text": "ok"}
    if path == "/chat/completions":
        part = {"message": {"role": "assistant", "content": "ok"}}
    return {"id": "x", "choices": [{"index": 0, **part, "finish_reason": "stop"}]}


@cache
def _guard(rules):
    """Routes are nothing to a guard, and making one takes its time."""
    return Guard(parse_policy(rules))


class Door:
    """A gateway with routes that is asked without a network.

    Args:
        routes: The YAML of the section.
        engines: Their names.
        transport: How they answer.
        rules: The YAML of the guard.
    """

    def __init__(self, routes, engines, transport, *, rules=RULES, guard=None):
        policy = parse_policy(rules + routes)
        self.recorder, keys = MemoryRecorder(), MemoryKeys()
        self.secret, self.key = keys.add("test", ("models",))
        self.engines = []
        for name in engines:
            quirks = {"counts_tokens": True}
            engine = PlainEngine(f"http://{name}", models=(f"{name}-model",), **quirks)
            engine.id = name
            engine.digest = "sha256:weights" if name.startswith("local") else ""
            self.engines.append(engine)
        self.app = build_app(
            GatewayConfig(
                engines=self.engines,
                guard=guard or _guard(rules),
                recorder=self.recorder,
                keys=keys,
                transport=transport,
                policy=policy,
            )
        )

    async def post(self, path, body, **headers):
        """Return the status and the bytes of an answer."""
        sent, asked = [], msgspec.json.encode(body)
        messages = [{"type": "http.request", "body": asked, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            return await asyncio.Future()

        async def send(message):
            sent.append(message)

        given = {
            "content-type": "application/json",
            "content-length": str(len(asked)),
            "authorization": f"Bearer {self.secret}",
            **headers,
        }
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
        }
        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)
