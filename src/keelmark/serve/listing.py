"""`/v1/models`: what can be called here, and whose bytes stand behind it."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from typing import Any

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.ports import Transport
from keelmark.serve.engine import Engine

_FRESH_SECONDS = 5.0
_PATIENCE_SECONDS = 3.0


class Listing:
    """The models of all engines; engines that answer to any name are asked for theirs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._asked: dict[str, tuple[float, list[str]]] = {}

    async def models(
        self, engines: Iterable[Engine], stopped: Container[str] = ()
    ) -> list[dict[str, Any]]:
        """Return OpenAI's model objects, the first engine of a name first.

        Args:
            engines: The engines.
            stopped: Models that somebody has stopped.
        """
        found: dict[str, dict[str, Any]] = {}
        for engine in engines:
            for name in engine.models or await self._names(engine):
                found.setdefault(name, _model(name, engine, stopped=name in stopped))
        return list(found.values())

    async def _names(self, engine: Engine) -> list[str]:
        at, names = self._asked.get(engine.id, (0.0, []))
        if at and time.monotonic() - at < _FRESH_SECONDS:
            return names
        try:
            names = await self._fetch(engine)
        except KeelmarkError:
            names = []  # an engine that does not answer now has nothing to call now
        self._asked[engine.id] = (time.monotonic(), names)
        return names

    async def _fetch(self, engine: Engine) -> list[str]:
        endpoint = engine.endpoint()
        response = await self._transport.send(
            "GET",
            endpoint.base_url + "/models",
            headers=endpoint.headers,
            body=b"",
            timeout=_PATIENCE_SECONDS,
        )
        try:
            answer = msgspec.json.decode(await response.read())
            return [m["id"] for m in answer["data"] if isinstance(m["id"], str)]
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
            return []
        finally:
            await response.close()


def _model(name: str, engine: Engine, *, stopped: bool) -> dict[str, Any]:
    state = "stopped" if stopped else getattr(engine, "state", "")  # of local models
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": engine.provider,
        "keelmark": {
            "engine": engine.id,
            "digest": engine.digest,
            "attested": bool(engine.digest),
            "ready": engine.ready and not stopped,
            **({"state": state} if state else {}),
        },
    }
