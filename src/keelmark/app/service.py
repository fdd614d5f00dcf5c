"""`keelmark up`: everything joined into one running service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

import uvloop

from keelmark import __version__
from keelmark.app.admission import Progress
from keelmark.app.composing import Parts, StoredKeys, compose, settle_memory
from keelmark.app.conduct import Conductor, is_routed
from keelmark.app.engines import Person, Say, Settings, open_engines
from keelmark.app.front import Front
from keelmark.app.greeting import greeting
from keelmark.app.home import Home
from keelmark.app.listening import listen
from keelmark.app.quota import StoreMeter, look_after, meter_for
from keelmark.app.reload import Watch, load_guard, record_policy
from keelmark.app.routes import check_routes
from keelmark.app.workers.crew import Crew, Job
from keelmark.app.workers.office import Shared
from keelmark.core import events
from keelmark.core.errors import UnavailableError
from keelmark.core.keys import ApiKey, Scope
from keelmark.guard import Guard
from keelmark.observe.metrics import Metrics
from keelmark.serve.engine import Engine
from keelmark.serve.gateway import build_app
from keelmark.serve.hosted import LocalLeases
from keelmark.serve.keys import hash_key, new_key
from keelmark.serve.steering import Steering
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import way_to
from keelmark.store.kept import StoredAnswers
from keelmark.store.valkey import ValkeyRates

_GAUGE_SECONDS = 5.0
_EXPIRY_SECONDS = 3600.0


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
    alone = settings.workers == 1
    # beside the start of the engines
    warming = asyncio.create_task(_warm(guard, person.say)) if alone else None
    rates = await _valkey(home, settings.valkey)
    transport, kept = new_transport(settings.transport), StoreMeter(home.store, rates)
    try:
        way = way_to(settings.upstreams, transport)
        async with open_engines(home, settings, metrics, way, person) as fleet:
            check = partial(check_routes, engines=fleet.engines, path=settings.policy)
            check(guard)
            conductor = Conductor(home.store, fleet, Steering(), person.say)
            front = _front(home, guard, settings, conductor, metrics, person.say, kept)
            conductor.routed = lambda name: is_routed(front.policy, name)
            if warming is not None:
                await warming
            settle_memory()
            watch = Watch(
                home, settings, front, guard, metrics=metrics, say=person.say, check=check
            )
            running = _Running(fleet.engines, metrics, person, secret, watch, conductor, kept)
            await _answer(front, home, settings, listener, running)
    finally:
        await transport.close()
        kept.close()
        if rates is not None:
            await rates.close()


async def _valkey(home: Home, address: str) -> ValkeyRates | None:
    """Return limits that several machines share, when they are asked for."""
    if not address:
        return None
    rates = ValkeyRates(address, home.store.pseudonym("limits"))
    await rates.open()
    return rates


def _front(
    home: Home,
    guard: Guard,
    settings: Settings,
    conductor: Conductor,
    metrics: Metrics,
    say: Say,
    kept: StoreMeter,
) -> Front:
    """Join the parts: into a gateway, or into what workers share and are told."""
    fleet = conductor.fleet
    answers = StoredAnswers(home.store)
    parts = Parts(
        engines=fleet.engines,
        guard=guard,
        recorder=home.store,
        keys=StoredKeys(home.store),
        way=fleet.way,
        metrics=metrics.render,
        on_trace=(metrics.observe,),
        steering=conductor.steering,
        controls=conductor,
        meter=meter_for(home.store, guard.policy, kept),
        answers=answers,
    )
    gateway = build_app(compose(parts))
    if settings.workers == 1:
        return Front(gateway, settings)

    async def stopped(worker: int, reason: str) -> None:
        body = {"worker": worker, "reason": reason}
        with contextlib.suppress(UnavailableError):  # then the ledger lacks it, and the log has it
            await home.store.run(
                lambda transaction: transaction.append(events.WORKER_STOPPED, body)
            )
            if lost := await kept.tidy():
                metrics.count("keelmark_holds_lost_total", lost)

    leases = LocalLeases(fleet.loader)
    shared = Shared(home.store, metrics, leases, kept, kept, controls=conductor, answers=answers)
    job = Job(str(home.data), guard, fleet.engines, shared, say, stopped)
    return Crew(gateway, settings, job)


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
    conductor: Conductor
    kept: StoreMeter


async def _answer(
    front: Front, home: Home, settings: Settings, listener: socket.socket, running: _Running
) -> None:
    beside = [
        asyncio.create_task(_chores(home, front, running)),
        asyncio.create_task(running.watch.run()),
        asyncio.create_task(running.conductor.run()),
    ]
    loop = asyncio.get_running_loop()
    if not os.isatty(0):  # where it is, the signal means that the terminal is closed
        loop.add_signal_handler(signal.SIGHUP, running.watch.again)
    try:
        await front.serve(listener, lambda: _greet(home, settings, running))
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def _admin_key(home: Home) -> str | None:
    """Make sure that there is an admin key; return it when it was made just now."""
    if given := os.environ.get("KEELMARK_ADMIN_KEY"):
        if home.store.key_by_hash(hash_key(given)) is None:
            _, key = new_key("KEELMARK_ADMIN_KEY", ("admin", "models"), secret=given)
            home.store.add_key(key, known_too=True)  # another machine may be faster
        return None
    if any("admin" in key.scopes and not key.revoked for key in home.store.keys()):
        return None
    return create_key(home, "first admin", ("admin", "models"))[0]


async def _chores(home: Home, front: Front, running: _Running) -> None:
    metrics = running.metrics
    metrics.set_gauge("keelmark_build_info", 1, version=__version__)
    next_expiry = 0.0
    loop = asyncio.get_running_loop()
    while True:
        for engine in running.engines:
            metrics.set_gauge("keelmark_engine_up", float(engine.ready), engine=engine.id)
        for name, engine_id, value in front.gauges():
            metrics.set_gauge(name, value, engine=engine_id)
        with contextlib.suppress(UnavailableError):  # a database may be away for a while
            size = await asyncio.to_thread(home.store.size)
            metrics.set_gauge("keelmark_ledger_records", size)
            await look_after(home.store, running.kept, metrics, front.policy.quota)
            if loop.time() >= next_expiry:
                await asyncio.to_thread(home.store.expire, front.policy.retention.days)
                next_expiry = loop.time() + _EXPIRY_SECONDS
        await asyncio.sleep(_GAUGE_SECONDS)


def _greet(home: Home, settings: Settings, running: _Running) -> None:
    bind = f"{settings.host}:{settings.port}"
    home.store.append(
        events.SERVICE_STARTED,
        {"version": __version__, "bind": bind, "policy_digest": home.policy.digest},
    )
    kept = home.store.backend.place if home.store.backend.remote else ""
    for line in greeting(bind, home.policy, running.engines, running.secret, kept):
        running.person.say(line)
