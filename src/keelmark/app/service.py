"""`keelmark up`: everything joined into one running service."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import uvicorn
import uvloop

from keelmark import __version__
from keelmark.app.admission import Progress
from keelmark.app.engines import Person, Say, Settings, open_engines
from keelmark.app.greeting import greeting
from keelmark.app.home import Home
from keelmark.app.listening import Server, listen
from keelmark.app.reload import Watch, load_guard, record_policy
from keelmark.core import events
from keelmark.core.keys import ApiKey, Scope
from keelmark.guard import Guard
from keelmark.observe.metrics import Metrics
from keelmark.serve.config import GatewayConfig
from keelmark.serve.engine import Engine
from keelmark.serve.gateway import Gateway, build_app
from keelmark.serve.keys import hash_key, new_key
from keelmark.serve.server import server_config
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import way_to
from keelmark.store import Store

_GAUGE_SECONDS = 5.0
_EXPIRY_SECONDS = 3600.0


class StoredKeys:
    """Where the gateway looks keys up.

    Args:
        store: Storage.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with this SHA-256, or None."""
        return self._store.key_by_hash(key_hash)


def create_key(
    home: Home,
    name: str,
    scopes: tuple[Scope, ...],
    expires: float | None = None,
    team: str = "",
) -> tuple[str, ApiKey]:
    """Make a key, store its hash, and return the secret once.

    Raises:
        UsageError: A past expiry, an unknown scope, or a team whose name cannot be shown.
    """
    secret, key = new_key(name, scopes, expires, team=team)
    home.store.add_key(key)
    return secret, key


def serve(settings: Settings, *, say: Say, progress: Callable[[str], Progress]) -> None:
    """Vet, admit and serve until the process is told to stop.

    Args:
        settings: What was asked for.
        say: Gets lines for a person.
        progress: Makes a progress callback with a label.

    Raises:
        KeelmarkError: With the sentence that says what is in the way.
    """
    listener = listen(settings.host, settings.port)
    try:
        guard = load_guard(settings)
        with Home.open(settings.data, settings.policy) as home:
            record_policy(home, guard)
            uvloop.run(_run(home, guard, settings, listener, Person(say, progress)))
    finally:
        listener.close()


async def _run(
    home: Home, guard: Guard, settings: Settings, listener: socket.socket, person: Person
) -> None:
    secret = _admin_key(home)
    metrics = Metrics()
    warming = asyncio.create_task(_warm(guard, person.say))  # beside the start of the engines
    transport = new_transport(settings.transport)
    try:
        way = way_to(settings.upstreams, transport)
        async with open_engines(home, settings, metrics, way, person) as fleet:
            gateway = build_app(
                GatewayConfig(
                    engines=fleet.engines,
                    guard=guard,
                    recorder=home.store,
                    keys=StoredKeys(home.store),
                    transport=fleet.way,
                    policy=guard.policy,
                    metrics=metrics.render,
                    on_trace=(metrics.observe,),
                    version=__version__,
                )
            )
            await warming
            _settle_memory()
            watch = Watch(home, settings, gateway, guard, metrics=metrics, say=person.say)
            await _answer(
                gateway,
                home,
                settings,
                listener,
                _Running(fleet.engines, metrics, person, secret, watch),
            )
    finally:
        await transport.close()


async def _warm(guard: Guard, say: Say) -> None:
    """Spare the first requests what detectors load and compile on first use."""
    began = perf_counter()
    await asyncio.to_thread(guard.warm)
    say(f"The guard is warm ({perf_counter() - began:.1f} s).")


class _Running(NamedTuple):
    engines: list[Engine]
    metrics: Metrics
    person: Person
    secret: str | None
    watch: Watch


async def _answer(
    gateway: Gateway, home: Home, settings: Settings, listener: socket.socket, running: _Running
) -> None:
    limits = home.policy.limits
    server = Server(server_config(gateway, host=settings.host, port=settings.port, limits=limits))
    beside = [
        asyncio.create_task(_chores(home, gateway, running)),
        asyncio.create_task(running.watch.run()),
        asyncio.create_task(_banner(server, home, settings, running)),
    ]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def _settle_memory() -> None:
    """Take what lives as long as the process out of the collector's rounds.

    Patterns and tables are most of the heap; walking them again and again costs CPU and pauses.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _admin_key(home: Home) -> str | None:
    """Make sure that there is an admin key; return it when it was made just now."""
    if given := os.environ.get("KEELMARK_ADMIN_KEY"):
        if home.store.key_by_hash(hash_key(given)) is None:
            home.store.add_key(new_key("KEELMARK_ADMIN_KEY", ("admin", "models"), secret=given)[1])
        return None
    if any("admin" in key.scopes and not key.revoked for key in home.store.keys()):
        return None
    return create_key(home, "first admin", ("admin", "models"))[0]


async def _chores(home: Home, gateway: Gateway, running: _Running) -> None:
    metrics = running.metrics
    metrics.set_gauge("keelmark_build_info", 1, version=__version__)
    next_expiry = 0.0
    loop = asyncio.get_running_loop()
    while True:
        for engine in running.engines:
            metrics.set_gauge("keelmark_engine_up", float(engine.ready), engine=engine.id)
        metrics.set_gauge("keelmark_ledger_records", home.store.size())
        if loop.time() >= next_expiry:
            await asyncio.to_thread(home.store.expire, gateway.config.policy.retention.days)
            next_expiry = loop.time() + _EXPIRY_SECONDS
        await asyncio.sleep(_GAUGE_SECONDS)


async def _banner(
    server: uvicorn.Server,
    home: Home,
    settings: Settings,
    running: _Running,
) -> None:
    while not server.started:  # noqa: ASYNC110 (uvicorn has a flag and no event)
        await asyncio.sleep(0.02)
    bind = f"{settings.host}:{settings.port}"
    home.store.append(
        events.SERVICE_STARTED,
        {"version": __version__, "bind": bind, "policy_digest": home.policy.digest},
    )
    for line in greeting(bind, home.policy, running.engines, running.secret):
        running.person.say(line)
