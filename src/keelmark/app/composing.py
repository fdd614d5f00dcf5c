"""A gateway from its parts: those of one process, or what stands for them in a worker."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from keelmark import __version__
from keelmark.core.keys import ApiKey
from keelmark.core.ports import Answers, Recorder, Transport
from keelmark.core.trace import Trace
from keelmark.guard import Guard
from keelmark.serve.config import GatewayConfig
from keelmark.serve.engine import Engine
from keelmark.serve.gateway import Gateway
from keelmark.serve.keys import KeySource
from keelmark.serve.metering import Meter
from keelmark.serve.steering import Controls, Steering
from keelmark.serve.tally import LocalTally, Tally
from keelmark.store import Store


class StoredKeys:
    """Where the gateway looks keys up.

    Args:
        store: Storage.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with this SHA-256, or None."""
        if self._store.backend.remote:
            return await asyncio.to_thread(self._store.key_by_hash, key_hash)
        return self._store.key_by_hash(key_hash)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is different in one process and in a worker.

    Attributes:
        engines: Who answers; the list may change.
        guard: By what is judged in the beginning.
        recorder: Where finished requests go.
        keys: Where API keys are kept.
        way: The one way to an engine.
        metrics: Returns the text of `/metrics`.
        on_trace: Called with every finished request.
        tally: Counts calls at work.
        steering: Models that are stopped, and rollouts.
        meter: Counts what clients use.
        answers: Keeps answers for the same request again.
        controls: What `/api/v1` can tell the service to do; None where it cannot.
    """

    engines: Sequence[Engine]
    guard: Guard
    recorder: Recorder
    keys: KeySource
    way: Transport
    metrics: Callable[[], str | Awaitable[str]]
    on_trace: Sequence[Callable[[Trace], None]]
    tally: Tally = msgspec.field(default_factory=LocalTally)
    steering: Steering = msgspec.field(default_factory=Steering)
    controls: Controls | None = None
    meter: Meter | None = None
    answers: Answers | None = None


def compose(parts: Parts) -> GatewayConfig:
    """Return what a gateway is made of."""
    return GatewayConfig(
        engines=parts.engines,
        guard=parts.guard,
        recorder=parts.recorder,
        keys=parts.keys,
        transport=parts.way,
        policy=parts.guard.policy,
        metrics=parts.metrics,
        on_trace=parts.on_trace,
        version=__version__,
        tally=parts.tally,
        steering=parts.steering,
        controls=parts.controls,
        meter=parts.meter,
        answers=parts.answers,
    )


Gauge = tuple[str, str, float]
"""Name of a metric, id of the engine, value."""


def gauges(gateway: Gateway) -> list[Gauge]:
    """Return what a gateway measures now of slots, queues and the health of engines."""
    found: list[Gauge] = []
    for name, lane in gateway.lanes.all.items():
        found.append(("keelmark_engine_limit", name, lane.pace.limit))
        found.append(("keelmark_engine_active", name, lane.active))
        found.append(("keelmark_queue_depth", name, lane.waiting))
    for name, report in gateway.health.reports().items():
        found.append(("keelmark_engine_left_alone", name, report.state != "closed"))
        found.append(("keelmark_engine_error_ratio", name, report.error_ratio))
    return found


def settle_memory() -> None:
    """Take what lives as long as the process out of the collector's rounds.

    Patterns and tables are most of the heap; walking them again and again costs CPU and pauses.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
