"""The engines of a service: the embedded one with an admitted model, and upstreams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from keelmark.app.home import Home
from keelmark.app.local import Fleet, Person, Say, Wanted
from keelmark.core.ports import Transport
from keelmark.observe.metrics import Metrics
from keelmark.serve.berths import Turns
from keelmark.serve.engines.llama import LlamaOptions
from keelmark.serve.models import find_model
from keelmark.serve.upstream import UpstreamEngine, UpstreamSpec, upstream_spec

__all__ = ["Fleet", "Person", "Say", "Settings", "fetch_model", "open_engines"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `keelmark up` was asked for; the defaults are those of the command line."""

    data: Path | None = None
    policy: Path | None = None
    shadow_policy: Path | None = None
    models: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    valkey: str = ""
    context: int = 0
    slots: int = 4
    no_admit: bool = False
    transport: Literal["direct", "pyreqwest", "aiohttp"] = "direct"
    engine_log: Path | None = None
    memory: int = 0
    stay: float = Turns().stay
    load_wait: float = Turns().wait


def fetch_model(ref: str, data: Path, say: Say) -> Path:
    """Bring a model to this machine and return its path; `default` is the bundled one.

    Raises:
        KeelmarkError: As `keelmark.serve.models.find_model`.
    """
    return find_model("" if ref == "default" else ref, data, say).path


def named(references: Sequence[str]) -> list[UpstreamSpec]:
    """Return what upstreams are asked for, each with an id of its own.

    Raises:
        UsageError: A reference is wrong.
    """
    specs: list[UpstreamSpec] = []
    for reference in references:
        spec = upstream_spec(reference)
        taken = {one.id for one in specs}
        ids = (spec.id, *(f"{spec.id}-{number}" for number in range(2, len(specs) + 3)))
        own = next(one for one in ids if one not in taken)
        specs.append(msgspec.structs.replace(spec, id=own))
    return specs


@contextlib.asynccontextmanager
async def open_engines(
    home: Home, settings: Settings, metrics: Metrics, transport: Transport, person: Person
) -> AsyncIterator[Fleet]:
    """Start the engines that were asked for; stop them at the end.

    Raises:
        KeelmarkError: A model is refused, or an engine does not start.
    """
    wanted = Wanted(
        options=LlamaOptions(
            context=settings.context or LlamaOptions().context,
            slots=settings.slots,
            prompt_log_dir=str(settings.engine_log.absolute()) if settings.engine_log else "",
        ),
        first_sight=not settings.no_admit,
        memory=settings.memory,
        turns=Turns(stay=settings.stay, wait=settings.load_wait),
    )
    fleet = Fleet(home, wanted, metrics, transport, person)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(fleet.close)
        for spec in named(settings.upstreams):
            upstream = UpstreamEngine(spec, transport)
            await upstream.start()
            stack.push_async_callback(upstream.stop)
            fleet.engines.append(upstream)
            for name in upstream.models:
                metrics.know_model(name)
        if settings.models or not settings.upstreams:
            await fleet.open(settings.models or ("default",))
        yield fleet
