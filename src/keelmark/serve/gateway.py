"""The gateway: a pure ASGI application. A table of routes, and a list of stages behind them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.policy import Policy
from keelmark.core.ports import GuardPort
from keelmark.core.trace import Trace
from keelmark.serve import admin, openapi
from keelmark.serve.calls import CHAT, COMPLETION, COUNT, EMBEDDINGS, Desk, Kind
from keelmark.serve.config import GatewayConfig
from keelmark.serve.counting import Counting
from keelmark.serve.dialect import Dialect, Spoken, dialects
from keelmark.serve.errors import ApiError, as_api_error
from keelmark.serve.health import Health
from keelmark.serve.http import (
    JSON,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    check_headers,
    request_of,
    send_whole,
)
from keelmark.serve.keys import KeyRing, require, shown
from keelmark.serve.listing import Listing
from keelmark.serve.moderation import MODERATION, Moderating
from keelmark.serve.queueing import Lanes
from keelmark.serve.repair import FormedServing
from keelmark.serve.rerank import RERANK, Reranking
from keelmark.serve.routing import Router
from keelmark.serve.serving import Serving
from keelmark.serve.tokens import DETOKENIZE, TOKENIZE, Tokenising, tokenizer_info
from keelmark.serve.traces import new_trace
from keelmark.serve.wire import Wire, keelmark_headers

log = logging.getLogger("keelmark.serve")

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[["Gateway", Request], Awaitable[None]]

_METRICS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
_LOOPBACK = ("127.", "::1")
_ROUTE = {"object": "model", "created": 0, "owned_by": "keelmark", "keelmark": {"route": True}}


class Gateway:
    """An ASGI application.

    Attributes:
        lanes: Slots and queues of the engines.
        health: How the engines of routes do.
        keys: The key ring; `keys.forget()` makes a revocation by this process hold at once.
        note: What is wrong although it serves, for `/readyz`; "" when nothing is.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.keys = KeyRing(config.keys)
        self.lanes = Lanes(config.policy.overload)
        self.health = Health(config.policy.routes.breaker)
        self.note = ""
        router = self.router(config.guard, config.policy)
        self._desk = Desk(config, self.keys, self.lanes, router)
        self._serving = _serving(config.guard)
        self._listing = Listing(config.transport)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request, or the lifespan protocol."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"Keelmark speaks HTTP, not {scope['type']}.")
        request = request_of(scope, receive, send)
        try:
            check_headers(request, self.config.policy.limits)
            await _route(request)(self, request)
        except KeelmarkError as error:
            await self.refuse(request, as_api_error(error))

    def use(self, guard: GuardPort, policy: Policy) -> None:
        """Judge requests from now on by another policy; those at work keep the one they have.

        What the listening socket was opened with (the longest header block) stays.

        Raises:
            RouteError: A route names what is not here; the policy before stays in force.
        """
        router = self.router(guard, policy)
        meter = self.config.meter and self.config.meter.using(policy)
        self.config = msgspec.structs.replace(self.config, guard=guard, policy=policy, meter=meter)
        self.lanes.use(policy.overload)
        self.health.use(policy.routes.breaker)
        self._desk = Desk(self.config, self.keys, self.lanes, router)
        self._serving = _serving(guard)

    def router(self, guard: GuardPort, policy: Policy) -> Router | None:
        """Return who makes plans by a policy; None when it has no routes.

        Raises:
            RouteError: A route names what is not here.
        """
        if not policy.routes.models:
            return None
        return Router(policy, self.config.engines, guard, self.health)

    def trace(self) -> Trace:
        """Return a trace for an answer that is no model call; it is not recorded."""
        return new_trace("", self.config.guard.policy_digest)

    async def refuse(self, request: Request, error: ApiError) -> None:
        """Answer with an error, in the words of the path's dialect."""
        dialect, trace = _dialect_of(request.path), self.trace()
        wire = Spoken(request, dialect.voice(trace)) if dialect else Wire(request, trace)
        await wire.fail(error)

    async def answer(self, request: Request, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        headers = [JSON, *keelmark_headers(self.trace())]
        await send_whole(request, status, headers, msgspec.json.encode(value))

    async def serve(
        self,
        request: Request,
        kind: Kind,
        serving: type[Serving],
        dialect: Dialect | None = None,
    ) -> None:
        """Serve a model call unless too many are at work."""
        limit, tally = self.config.policy.limits.concurrent, self.config.tally
        if not tally.enter(limit):
            trace = new_trace(kind.operation, self.config.guard.policy_digest)
            trace.status, trace.error = 503, "overloaded"
            for hook in self.config.on_trace:
                hook(trace)
            message = f"{limit} requests are at work already: try again in a moment."
            raise ApiError(503, "overloaded", message, retry_after=1)
        try:
            if serving is Serving and kind.streams:
                serving = self._serving
            await serving(self._desk, request, kind, dialect).run()
        finally:
            tally.leave()

    async def models(self) -> list[dict[str, Any]]:
        """Return the models that can be called: routes, then those of engines."""
        routes = self._desk.router.names if self._desk.router else ()
        models = await self._listing.models(self.config.engines, self.config.steering.stopped)
        return [
            *({**_ROUTE, "id": name} for name in routes),
            *(model for model in models if model["id"] not in routes),
        ]


def build_app(config: GatewayConfig) -> Gateway:
    """Return the gateway as an ASGI application."""
    return Gateway(config)


def _serving(guard: GuardPort) -> type[Serving]:
    """How calls are served whose answers may have a form: as all others when nobody asks for it."""
    return FormedServing if guard.judges_form else Serving


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: Message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _calls(kind: Kind, serving: type[Serving] = Serving, dialect: Dialect | None = None) -> Handler:
    async def handler(gateway: Gateway, request: Request) -> None:
        await gateway.serve(request, kind, serving, dialect)

    return handler


async def _models(gateway: Gateway, request: Request) -> None:
    require(await gateway.keys.recognise(shown(request.headers)), "models")
    await gateway.answer(request, {"object": "list", "data": await gateway.models()})


async def _model(gateway: Gateway, request: Request) -> None:
    require(await gateway.keys.recognise(shown(request.headers)), "models")
    name = request.path.removeprefix("/v1/models/")
    for model in await gateway.models():
        if model["id"] == name:
            await gateway.answer(request, model)
            return
    raise ApiError(
        404,
        "model_not_found",
        f"There is no model `{name[:256]}` here: GET /v1/models lists what there is.",
        param="model",
    )


async def _tokenizer_info(gateway: Gateway, request: Request) -> None:
    require(await gateway.keys.recognise(request.headers.get(b"authorization")), "models")
    config = gateway.config
    engines = [one for one in config.engines if not config.steering.refuses(one.models)]
    await gateway.answer(request, await tokenizer_info(config.transport, engines))


async def _healthz(gateway: Gateway, request: Request) -> None:
    await gateway.answer(request, {"status": "alive", "version": gateway.config.version})


async def _readyz(gateway: Gateway, request: Request) -> None:
    engines = {engine.id: engine.ready for engine in gateway.config.engines}
    ready = any(engines.values())
    answer: dict[str, Any] = {"status": "ready" if ready else "not ready", "engines": engines}
    if reports := gateway.health.reports():
        answer["health"] = reports
    if stopped := gateway.config.steering.stopped:
        answer["stopped"] = sorted(stopped)
    if gateway.note:
        answer["note"] = gateway.note
    await gateway.answer(request, answer, 200 if ready else 503)


async def _metrics(gateway: Gateway, request: Request) -> None:
    """Open to this machine itself, so that a local Prometheus needs no key; else to `admin`.

    A reverse proxy on this machine also connects from loopback, but says so in its headers:
    what it forwards needs a key.
    """
    headers = request.headers
    local = request.peer.startswith(_LOOPBACK) and not any(h in headers for h in _FORWARDED)
    if not local:
        require(await gateway.keys.recognise(headers.get(b"authorization")), "admin")
    out = [_METRICS, *keelmark_headers(gateway.trace())]
    text = gateway.config.metrics()
    whole = text if isinstance(text, str) else await text
    await send_whole(request, 200, out, whole.encode())


async def _openapi(gateway: Gateway, request: Request) -> None:
    require(await gateway.keys.recognise(shown(request.headers)), "models")
    below = {start + rest: ("POST",) for start, (rest, _) in admin.BELOW.items()}
    routes = {**ROUTES, "/v1/models/{id}": ("GET",), **below}
    version = gateway.config.version
    await gateway.answer(request, openapi.document(routes, admin.BODIES, version))


ROUTES: dict[str, dict[str, Handler]] = {
    "/v1/chat/completions": {"POST": _calls(CHAT)},
    "/v1/completions": {"POST": _calls(COMPLETION)},
    "/v1/embeddings": {"POST": _calls(EMBEDDINGS)},
    "/v1/moderations": {"POST": _calls(MODERATION, Moderating)},
    "/v1/rerank": {"POST": _calls(RERANK, Reranking)},
    "/v1/tokenize": {"POST": _calls(TOKENIZE, Tokenising)},
    "/v1/detokenize": {"POST": _calls(DETOKENIZE, Tokenising)},
    "/v1/tokenizer_info": {"GET": _tokenizer_info},
    "/tokenize": {"POST": _calls(TOKENIZE, Tokenising)},
    "/detokenize": {"POST": _calls(DETOKENIZE, Tokenising)},
    "/tokenizer_info": {"GET": _tokenizer_info},
    "/v1/models": {"GET": _models},
    "/healthz": {"GET": _healthz},
    "/readyz": {"GET": _readyz},
    "/metrics": {"GET": _metrics},
    openapi.PATH: {"GET": _openapi},
}
"""Path to method to handler; `/v1/models/{id}` beside it because names may hold slashes."""


ROUTES.update(admin.TABLE)
for _one in dialects():
    ROUTES[_one.path] = {"POST": _calls(CHAT, dialect=_one)}
    if _one.count is not None:
        ROUTES[_one.count.path] = {"POST": _calls(COUNT, Counting, _one.count)}


def _dialect_of(path: str) -> Dialect | None:
    """The dialect in which to answer at a path, also where there is nothing."""
    return next((one for one in dialects() if path.startswith(one.path)), None)


def _route(request: Request) -> Handler:
    methods = ROUTES.get(request.path) or admin.below(request.path)
    if methods is None and request.path.startswith("/v1/models/"):
        methods = {"GET": _model}
    if methods is None:
        raise ApiError(
            404, "not_found", "There is nothing at this address: see /v1/models for a start."
        )
    method = "GET" if request.method == "HEAD" else request.method
    handler = methods.get(method)
    if handler is None:
        allowed = ", ".join(methods)
        error = ApiError(405, "method_not_allowed", f"This address answers to {allowed} only.")
        error.headers = ((b"allow", allowed.encode()),)
        raise error
    return handler
