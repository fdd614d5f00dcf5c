"""Who is asked: a service like that of `keelmark up`, its bare engine, or whoever is at a URL."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from keelmark.app.composing import Parts, StoredKeys, compose
from keelmark.app.engines import Fleet, Person, Settings, open_engines
from keelmark.app.home import Home
from keelmark.app.listening import Server, listen
from keelmark.app.quota import StoreMeter, meter_for
from keelmark.app.reload import load_guard, record_policy
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.policy import Limits
from keelmark.core.ports import Transport
from keelmark.evaluate.client import Client, Target, base_url
from keelmark.evaluate.manifest import Asked, How
from keelmark.evaluate.probing import with_model
from keelmark.observe.metrics import Metrics
from keelmark.serve.engine import Engine, Scoring
from keelmark.serve.gateway import Gateway, build_app
from keelmark.serve.keys import new_key
from keelmark.serve.server import server_config
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import way_to

_WEEK = 7 * 24 * 3600.0
"""A run that was killed cannot take its key back; nobody else knows it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whom somebody wants to be asked.

    Attributes:
        how: See `Asked.how`.
        url: For `url`: an OpenAI-compatible service, with or without `/v1`.
        key: Its key.
        model: For `url` its name there, the first that is listed when empty; else a GGUF file or
            a reference as for `keelmark up`, the bundled one when empty.
        policy: Policy of the service, for `served`.
        context: Context length, tokens; 0 for that of `keelmark up`.
        parallel: Requests at a time; also the engine's slots.
        timeout: Seconds for one answer.
    """

    how: How = "served"
    url: str = ""
    key: str = ""
    model: str = ""
    policy: Path | None = None
    context: int = 0
    parallel: int = 4
    timeout: float = 300.0


class Opened(NamedTuple):
    """A target that answers.

    Attributes:
        client: Who asks it.
        asked: What the manifest says of it.
    """

    client: Client
    asked: Asked


@contextlib.asynccontextmanager
async def opened(
    wanted: Wanted, home: Home, person: Person, *, seed: int = 1
) -> AsyncIterator[Opened]:
    """Open a target for the time of a run.

    Args:
        wanted: Whom to ask.
        home: The installation.
        person: Whom to tell what takes long.
        seed: First seed of what is drawn.

    Raises:
        KeelmarkError: A model is refused, an engine does not start, or nothing answers there.
    """
    transport = new_transport()
    try:
        if wanted.how == "url":
            yield await _elsewhere(wanted, transport, seed)
            return
        settings = Settings(
            policy=wanted.policy,
            models=(wanted.model,) if wanted.model else (),
            context=wanted.context,
            slots=wanted.parallel,
        )
        way = way_to((), transport)
        async with open_engines(home, settings, Metrics(), way, person) as fleet:
            if wanted.how == "raw":
                yield await _bare(wanted, fleet, seed)
                return
            async with _served(wanted, home, settings, fleet, seed) as target:
                yield target
    finally:
        await transport.close()


async def _elsewhere(wanted: Wanted, transport: Transport, seed: int) -> Opened:
    target = Target(
        url=base_url(wanted.url),
        model=wanted.model,
        key=wanted.key,
        parallel=wanted.parallel,
        timeout=wanted.timeout,
    )
    client = Client(target, transport, seed)
    if not wanted.model:
        client = await with_model(client)
    return Opened(client, Asked(how="url", model=client.target.model, url=target.url))


def _local(fleet: Fleet) -> Engine:
    return fleet.engines[0]


def _asked(wanted: Wanted, engine: Engine, policy_digest: str = "") -> Asked:
    return Asked(
        how=wanted.how,
        model=engine.models[0],
        model_digest=engine.digest,
        policy_digest=policy_digest,
        engine=f"llama.cpp of xllamacpp {version('xllamacpp')}",
    )


async def _bare(wanted: Wanted, fleet: Fleet, seed: int) -> Opened:
    engine = _local(fleet)
    if not isinstance(engine, Scoring):
        raise UsageError(f"{engine.id} is no engine of this machine; name its address with --url.")
    target = Target(
        url=engine.endpoint().base_url,
        model=engine.models[0],
        score_url=(await engine.scorer()).base_url,
        template="apply-template",
        parallel=wanted.parallel,
        timeout=wanted.timeout,
    )
    return Opened(Client(target, fleet.way, seed), _asked(wanted, engine))


@contextlib.asynccontextmanager
async def _served(
    wanted: Wanted, home: Home, settings: Settings, fleet: Fleet, seed: int
) -> AsyncIterator[Opened]:
    """A gateway on a free port of loopback, with a key of its own, in this process."""
    guard = load_guard(settings)
    record_policy(home, guard)
    transport, kept = new_transport(), StoreMeter(home.store, None)
    secret, key = new_key("evaluation", ("models",), time.time() + _WEEK)
    home.store.add_key(key)
    parts = Parts(
        engines=fleet.engines,
        guard=guard,
        recorder=home.store,
        keys=StoredKeys(home.store),
        way=fleet.way,
        metrics=Metrics().render,
        on_trace=(),
        meter=meter_for(home.store, guard.policy, kept),
    )
    engine = _local(fleet)
    try:
        await asyncio.to_thread(guard.warm)
        async with _listening(build_app(compose(parts)), guard.policy.limits) as url:
            target = Target(
                url=url,
                model=engine.models[0],
                key=secret,
                parallel=wanted.parallel,
                timeout=wanted.timeout,
            )
            client = Client(target, transport, seed)
            yield Opened(client, _asked(wanted, engine, guard.policy.digest))
    finally:
        await transport.close()
        kept.close()
        await asyncio.to_thread(home.store.revoke_key, key.id)


@contextlib.asynccontextmanager
async def _listening(gateway: Gateway, limits: Limits) -> AsyncIterator[str]:
    """Serve at a free port of loopback; yield the address."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    started = asyncio.Event()
    server = _Quiet(server_config(gateway, port=port, limits=limits), started.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    begun = asyncio.create_task(started.wait())
    try:
        await asyncio.wait((serving, begun), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise UnavailableError("The service for this run ended at once: look into the log.")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        begun.cancel()
        server.should_exit = True
        await serving


class _Quiet(Server):
    """A server within a run: signals end the run, which ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the run."""
        yield
