"""One worker: `python -P -m keelmark.app.workers.worker`, started by `crew` with four descriptors.

It serves on the listening socket that all workers share. It only reads the database; what it
writes, counts, holds and lends goes over its socket to the first process, and it ends when that
one does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from keelmark.app.composing import Parts, StoredKeys, compose, gauges, settle_memory
from keelmark.app.conduct import follow
from keelmark.app.decisions import take_up
from keelmark.app.home import value_key
from keelmark.app.listening import SharingServer
from keelmark.app.workers.channel import Channel
from keelmark.app.workers.messages import Ask, Begin, Gauges, Standing, Tell, Use
from keelmark.app.workers.remote import (
    RemoteAnswers,
    RemoteControls,
    RemoteHolds,
    RemoteLeases,
    RemoteRates,
    RemoteRecorder,
    exposition,
    stand_ins,
)
from keelmark.app.workers.tally import Connections, SharedTally, Words
from keelmark.core.errors import UnavailableError
from keelmark.core.policy import Policy
from keelmark.guard import Guard
from keelmark.serve.engine import Engine
from keelmark.serve.gateway import Gateway, build_app
from keelmark.serve.hosted import HostedTransport
from keelmark.serve.metering import Meter
from keelmark.serve.server import server_config
from keelmark.serve.steering import Steering
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import way_to
from keelmark.store import Store

_MEASURE_SECONDS = 2.0
_LAST_SECONDS = 1.0  # in which requests still hear that they are lost


class Worker:
    """One process that serves.

    Args:
        channel: Descriptor of its socket to the first process.
        listener: Descriptor of the socket that all workers listen on.
        memory: Descriptor of the memory that all workers share.
        size: Number of workers.
    """

    def __init__(self, channel: int, listener: int, memory: int, size: int) -> None:
        self._end = socket.socket(fileno=channel)
        self._listener = socket.socket(fileno=listener)
        self._memory, self._size = memory, size
        self._channel = Channel(self._answer, self._hear, self._lost)
        self._recorder = RemoteRecorder(self._channel)
        self._engines: list[Engine] = []
        self._guard_key = b""
        self._gateway: Gateway | None = None
        self._server: SharingServer | None = None
        self._turn = asyncio.Lock()  # a policy may come while this one still begins
        self._over = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until told to stop, or until the first process is gone."""
        await self._channel.join(self._end)
        await self._over.wait()
        if self._serving is not None:
            await self._serving
        self._channel.close()

    # --- what the first process says ---

    async def _answer(self, body: Ask) -> object:
        async with self._turn:
            if isinstance(body, Begin):
                await self._begin(body)
                return None
            if isinstance(body, Use) and self._gateway is not None:
                guard = await self._guard(body.policy, body.shadow)
                self._gateway.use(guard, guard.policy)
                return list(guard.digests)
        raise UnavailableError("This worker does not serve yet.")

    def _hear(self, body: Tell) -> None:
        if isinstance(body, Standing):
            self._stand(body)

    def _lost(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._over.set()

    # --- serving ---

    async def _begin(self, body: Begin) -> None:
        self._guard_key = value_key(Path(body.data))
        guard = await self._guard(body.policy, body.shadow)
        started = asyncio.Event()
        self._serving = asyncio.create_task(self._serve(body, guard, started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait((self._serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._serving.done():
            await self._serving

    async def _serve(self, body: Begin, guard: Guard, started: asyncio.Event) -> None:
        transport, words = new_transport(body.transport), Words(self._memory, self._size)
        try:
            way = HostedTransport(way_to(body.upstreams, transport), RemoteLeases(self._channel))
            with _open_store(Path(body.data)) as store:
                steering = Steering()
                await asyncio.to_thread(take_up, store, steering)  # what is stopped stays so
                stand_ins(self._engines, body.standing.engines)  # routes name them
                parts = Parts(
                    engines=self._engines,
                    guard=guard,
                    recorder=self._recorder,
                    keys=StoredKeys(store),
                    way=way,
                    metrics=lambda: exposition(self._channel),
                    on_trace=(self._recorder.seen,),
                    tally=SharedTally(words, body.slot),
                    steering=steering,
                    controls=RemoteControls(self._channel),
                    meter=self._meter(guard.policy, store),
                    answers=RemoteAnswers(self._channel, store),
                )
                gateway = self._gateway = build_app(compose(parts))
                self._stand(body.standing)
                settle_memory()
                limits = guard.policy.limits
                config = server_config(gateway, host=body.host, port=body.port, limits=limits)
                connections = Connections(words, body.slot)
                self._server = SharingServer(config, started.set, connections)
                await self._run(self._server, self._measure(gateway), follow(store, steering))
        finally:
            await transport.close()
            self._over.set()

    async def _run(self, server: SharingServer, *beside: Coroutine[Any, Any, None]) -> None:
        """Serve until told to stop, with something else beside it for as long."""
        tasks = [asyncio.create_task(one) for one in beside]
        try:
            await server.serve(sockets=[self._listener])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _meter(self, policy: Policy, store: Store) -> Meter:
        rates, holds = RemoteRates(self._channel), RemoteHolds(self._channel)
        return Meter(policy, rates, holds, store.pseudonym)

    async def _measure(self, gateway: Gateway) -> None:
        while True:
            found = ((name, engine, float(value)) for name, engine, value in gauges(gateway))
            self._channel.tell(Gauges(tuple(found)))
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _guard(self, policy: Policy, shadow: Policy | None) -> Guard:
        return await asyncio.to_thread(_warm_guard, policy, shadow, self._guard_key)

    def _stand(self, standing: Standing) -> None:
        stand_ins(self._engines, standing.engines)
        if self._gateway is not None:
            self._gateway.note = standing.note


def _open_store(folder: Path) -> Store:
    database = os.environ.get("KEELMARK_DATABASE", "")
    return Store.open(folder, database=database, read_only=True)


def _warm_guard(policy: Policy, shadow: Policy | None, key: bytes) -> Guard:
    guard = Guard(policy, shadow=shadow, key=key)
    guard.warm()
    return guard


def _follow(life: int) -> None:
    """End with the first process, however that ends and whatever this one is busy with."""
    os.read(life, 1)
    time.sleep(_LAST_SECONDS)
    os._exit(1)


async def _main(channel: int, listener: int, memory: int, size: int) -> None:
    await Worker(channel, listener, memory, size).run()


def main(words: list[str]) -> None:
    """Run a worker with the descriptors in its arguments."""
    channel, listener, memory, life, size = map(int, words)
    threading.Thread(target=_follow, args=(life,), daemon=True).start()
    uvloop.run(_main(channel, listener, memory, size))


if __name__ == "__main__":
    main(sys.argv[1:])
