"""Real parts for the gateway's tests: a recorder, keys and two small guards kept in memory."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
from uvicorn.server import ServerState

from keelmark.core.errors import UnavailableError
from keelmark.core.outcome import Outcome
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import InputResult
from keelmark.core.verdict import Verdict
from keelmark.serve.config import GatewayConfig
from keelmark.serve.engine import Endpoint, Quirks
from keelmark.serve.fake import FakeEngine
from keelmark.serve.gateway import build_app
from keelmark.serve.keys import new_key
from keelmark.serve.server import server_config
from keelmark.serve.transport import new_transport

ENGINE_KEY = "sk-of-the-engine-0123456789abcdef"
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
GUARDED = Policy(guard=GuardRules(rules=(Rule(id="pii", detector="pii", action="mask"),)))


class OpenChannel:
    """Lets everything through."""

    blocked = False

    def __init__(self):
        self.pieces = []

    @property
    def kept(self):
        return "".join(self.pieces)

    def feed(self, text):
        self.pieces.append(text)
        return text

    def finish(self):
        return ""


class WordChannel:
    """Holds back the last unbroken word; masks e-mails; stops at the word FORBIDDEN."""

    def __init__(self, guard):
        self.blocked = False
        self.kept = ""
        self.held = ""
        self.guard = guard

    def feed(self, text):
        return self._release(self.held + text, whole=False)

    def finish(self):
        return self._release(self.held, whole=True)

    def _release(self, text, *, whole):
        if self.blocked:
            return ""
        cut = len(text) if whole else len(text) - len(re.search(r"\S*\Z", text).group())
        clear, self.held = text[:cut], text[cut:]
        if (at := clear.find("FORBIDDEN")) >= 0:
            self.blocked, clear = True, clear[:at]
        clear = EMAIL.sub("[EMAIL]", clear)
        self.kept += clear
        for placeholder, original in self.guard.vault.items():
            clear = clear.replace(placeholder, original)
        return clear


class MemoryGuard:
    """Masks e-mails on the way in and out; stops prompts that say INJECT."""

    judges_form = False

    def __init__(self, *, open_door=False):
        self.open_door = open_door
        self.policy_digest = "sha256:policy"
        self.seen = []
        self.origin = None

    def open(self, origin=None):
        self.origin = origin
        return MemoryRequestGuard(self)


class MemoryRequestGuard:
    def __init__(self, guard):
        self.guard = guard
        self.vault = {}
        self.channels = {}

    async def check_input(self, segments):
        self.guard.seen.append(list(segments))
        if self.guard.open_door:
            return InputResult(
                texts=tuple(s.text for s in segments),
                verdict=Verdict(stage="input", outcome=Outcome.ALLOW),
            )
        texts = tuple(EMAIL.sub(self._mask, s.text) for s in segments)
        stops = any("INJECT" in s.text for s in segments)
        outcome = Outcome.BLOCK if stops else Outcome.REDACT if self.vault else Outcome.ALLOW
        reason = "The rule `injection` stopped this prompt." if stops else ""
        verdict = Verdict(stage="input", outcome=outcome, stops=stops, reason=reason)
        return InputResult(texts=texts, verdict=verdict)

    async def rated(self, text):
        return {}

    def _mask(self, match):
        for placeholder, original in self.vault.items():
            if original == match.group():
                return placeholder
        placeholder = f"<EMAIL_{len(self.vault) + 1}>"
        self.vault[placeholder] = match.group()
        return placeholder

    def channel(self, name, *, is_json=False):
        if name not in self.channels:
            self.channels[name] = OpenChannel() if self.guard.open_door else WordChannel(self)
        return self.channels[name]

    def output_verdict(self):
        stopped = any(c.blocked for c in self.channels.values())
        outcome = Outcome.BLOCK if stopped else Outcome.ALLOW
        return Verdict(stage="output", outcome=outcome, stops=stopped)


class MemoryRecorder:
    def __init__(self):
        self.records = []
        self.broken = False

    async def record(self, trace, content, usage=()):
        if self.broken:
            raise OSError("no space left on device")
        self.records.append((msgspec.structs.replace(trace), content))


class MemoryKeys:
    def __init__(self):
        self.keys = {}
        self.asked = 0

    def add(self, *args, **kwargs):
        secret, key = new_key(*args, **kwargs)
        self.keys[key.hash] = key
        return secret, key

    async def find(self, key_hash):
        self.asked += 1
        return self.keys.get(key_hash)


class PlainEngine:
    """An engine at an address."""

    provider = "fake"
    load_mode = "sealed"
    first_byte_seconds = 5.0

    def __init__(
        self, url, *, models=("fake",), digest="sha256:weights", upstream_model="", **quirks
    ):
        self.id = "fake"
        self.url = url
        self.models = models
        self.digest = digest
        self.upstream_model = upstream_model
        self.quirks = Quirks(**quirks)
        self.ready = True

    async def start(self): ...

    async def stop(self): ...

    def endpoint(self):
        if not self.ready:
            raise UnavailableError("not ready")
        return Endpoint(self.url + "/v1", {"authorization": f"Bearer {ENGINE_KEY}"})


@asynccontextmanager
async def listening(app, limits=None):
    """Serve an ASGI application on a free loopback port; yields its address.

    The protocol is uvicorn's as the product sets it up; the loop around it, which takes 0.4 s to
    stop, is in `test_gateway_server.py`.
    """
    config, state = server_config(app, limits=limits), ServerState()
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await server.wait_closed()


class Stack:
    """A fake engine, the gateway before it, and a client before that."""

    def __init__(self, url, http, secret, **parts):
        self.url = url
        self.http = http
        self.secret = secret
        self.__dict__.update(parts)

    @property
    def auth(self):
        return {"authorization": f"Bearer {self.secret}"}

    async def post(self, path, body, **headers):
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"content-type": "application/json", **self.auth, **headers}
        async with self.http.post(self.url + path, data=data, headers=headers) as response:
            raw = await response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, msgspec.json.decode(raw) if is_json else raw, response.headers

    async def get(self, path, headers=None):
        async with self.http.get(self.url + path, headers=headers or self.auth) as response:
            raw = await response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, msgspec.json.decode(raw) if is_json else raw, response.headers

    async def chat(self, text="Hi", **more):
        body = {"model": "fake", "messages": [{"role": "user", "content": text}], **more}
        return await self.post("/v1/chat/completions", body)


@asynccontextmanager
async def stack(
    script=None,
    *,
    guard=None,
    policy=None,
    transport="direct",
    recorder=None,
    meter=None,
    **engine,
):
    """Everything, running on loopback."""
    fake = FakeEngine(script)
    recorder, keys, traces = recorder or MemoryRecorder(), MemoryKeys(), []
    guard = guard or MemoryGuard()
    policy = policy or GUARDED
    secret, key = keys.add("test", ("models",))
    async with AsyncExitStack() as rooms:
        upstream = await rooms.enter_async_context(listening(fake))
        client = new_transport(transport)
        rooms.push_async_callback(client.close)
        served = PlainEngine(upstream, **engine)
        app = build_app(
            GatewayConfig(
                engines=[served],
                guard=guard,
                recorder=recorder,
                keys=keys,
                transport=client,
                policy=policy,
                metrics=lambda: "keelmark_up 1\n",
                on_trace=[traces.append],
                version="test",
                meter=meter,
            )
        )
        url = await rooms.enter_async_context(listening(app, policy.limits))
        http = await rooms.enter_async_context(aiohttp.ClientSession())
        yield Stack(
            url,
            http,
            secret,
            key=key,
            fake=fake,
            recorder=recorder,
            keys=keys,
            guard=guard,
            app=app,
            engine=served,
            traces=traces,
        )


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Run one scene on a fresh loop."""
    asyncio.run(scene())


def events(raw: bytes) -> list[dict]:
    """The decoded events of a stream without the last, which must be [DONE]."""
    parts = [p.removeprefix(b"data: ") for p in raw.split(b"\n\n") if p]
    assert parts[-1] == b"[DONE]", parts[-1]
    return [msgspec.json.decode(p) for p in parts[:-1]]


def text_of(chunks: list[dict]) -> str:
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
