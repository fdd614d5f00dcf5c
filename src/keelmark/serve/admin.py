"""`/api/v1`: the service is steered over HTTP by keys with the scope `admin`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from keelmark.core.rollouts import Plan
from keelmark.serve.errors import ApiError, bad_request
from keelmark.serve.http import Request, check_json, decode_body, read_body
from keelmark.serve.keys import require, shown
from keelmark.serve.steering import Controls

if TYPE_CHECKING:
    from keelmark.serve.gateway import Gateway

Handler = Callable[["Gateway", Request], Awaitable[None]]

MODELS, ROLLOUTS = "/api/v1/models", "/api/v1/rollouts"
VERBS = ("load", "unload", "start", "stop", "remove")
_LONGEST = 1000


class _Why(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


class _Add(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    reason: str = ""


class _Begin(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    to: str
    reason: str = ""
    plan: Plan = Plan()


async def models(gateway: Gateway, request: Request) -> None:
    """`GET /api/v1/models`: how they stand."""
    require(await gateway.keys.recognise(shown(request.headers)), "admin")
    await gateway.answer(request, await _controls(gateway).models())


async def add(gateway: Gateway, request: Request) -> None:
    """`POST /api/v1/models`: one more local model."""
    key = await gateway.keys.recognise(shown(request.headers))
    require(key, "admin")
    asked = await _read(gateway, request, _Add)
    said = await _controls(gateway).act("add", asked.model, asked.reason, key.id)
    await gateway.answer(request, {"message": said})


async def act(gateway: Gateway, request: Request) -> None:
    """`POST /api/v1/models/{id}/{verb}`."""
    key = await gateway.keys.recognise(shown(request.headers))
    require(key, "admin")
    name, _, verb = request.path.removeprefix(f"{MODELS}/").rpartition("/")
    if verb not in VERBS or not name:
        raise _nothing()
    asked = await _read(gateway, request, _Why)
    said = await _controls(gateway).act(verb, unquote(name), asked.reason, key.id)
    await gateway.answer(request, {"message": said})


async def rollouts(gateway: Gateway, request: Request) -> None:
    """`GET /api/v1/rollouts`: how they stand."""
    require(await gateway.keys.recognise(shown(request.headers)), "admin")
    await gateway.answer(request, {"data": await _controls(gateway).rollouts()})


async def roll_out(gateway: Gateway, request: Request) -> None:
    """`POST /api/v1/rollouts`: begin one."""
    key = await gateway.keys.recognise(shown(request.headers))
    require(key, "admin")
    asked = await _read(gateway, request, _Begin)
    controls = _controls(gateway)
    await controls.roll_out(asked.model, asked.to, asked.plan, asked.reason, key.id)
    await gateway.answer(request, {"data": await controls.rollouts()})


async def abort(gateway: Gateway, request: Request) -> None:
    """`POST /api/v1/rollouts/{id}/abort`."""
    key = await gateway.keys.recognise(shown(request.headers))
    require(key, "admin")
    name, _, verb = request.path.removeprefix(f"{ROLLOUTS}/").rpartition("/")
    if verb != "abort" or not name:
        raise _nothing()
    asked = await _read(gateway, request, _Why)
    await _controls(gateway).abort(unquote(name), asked.reason, key.id)
    await gateway.answer(request, {"data": await _controls(gateway).rollouts()})


TABLE: dict[str, dict[str, Handler]] = {
    MODELS: {"GET": models, "POST": add},
    ROLLOUTS: {"GET": rollouts, "POST": roll_out},
}
"""Path to method to handler."""
BELOW: dict[str, tuple[str, Handler]] = {
    f"{MODELS}/": ("{id}/{verb}", act),
    f"{ROLLOUTS}/": ("{id}/abort", abort),
}
"""Beginning of a path to what follows, and who answers a POST: names may hold slashes."""


BODIES: dict[str, type[msgspec.Struct]] = {
    MODELS: _Add,
    f"{MODELS}/{{id}}/{{verb}}": _Why,
    ROLLOUTS: _Begin,
    f"{ROLLOUTS}/{{id}}/abort": _Why,
}
"""Path to what a body there is."""


def below(path: str) -> dict[str, Handler] | None:
    """Return who answers at a path below one of the table."""
    return next(
        ({"POST": handler} for start, (_, handler) in BELOW.items() if path.startswith(start)), None
    )


async def _read(gateway: Gateway, request: Request, kind: type[Any]) -> Any:
    chunked = b"transfer-encoding" in request.headers
    if not chunked and request.headers.get(b"content-length", b"0") == b"0" and kind is _Why:
        return _Why()
    check_json(request)
    body = decode_body(await read_body(request, gateway.config.policy.limits))
    try:
        asked = msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"The body is not as it should be: {error}.") from None
    if len(asked.reason) > _LONGEST or not asked.reason.isprintable():
        raise bad_request(f"A reason is one line of at most {_LONGEST} characters.", "reason")
    return asked


def _controls(gateway: Gateway) -> Controls:
    if gateway.config.controls is None:
        raise ApiError(
            501,
            "not_here",
            "Nothing can be steered over HTTP here: use the command line on its machine.",
        )
    return gateway.config.controls


def _nothing() -> ApiError:
    return ApiError(
        404, "not_found", "There is nothing at this address: see docs/reference/http.md."
    )
