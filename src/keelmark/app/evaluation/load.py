"""A load curve of a served model, with the energy of each load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import uvloop

from keelmark.app.engines import Person
from keelmark.app.evaluation.spending import machine_facts, meter_of
from keelmark.app.evaluation.targets import Opened, Wanted, opened
from keelmark.app.home import Home
from keelmark.core.errors import UnavailableError
from keelmark.evaluate.client import Client
from keelmark.evaluate.load import Level, Shot, closed, level, open_, prompts, shoot
from keelmark.evaluate.manifest import Asked
from keelmark.evaluate.probing import probe

_SHARES = (0.5, 0.8, 1.2)
"""Of what the closed loop reached at best: relaxed, busy, and more than there is."""

Tell = Callable[[Level], None]


class LoadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What load is wanted.

    Attributes:
        wanted: Who is asked.
        widths: Requests at a time, one level each.
        rates: Requests a second, one level each; from what was reached when None.
        requests: Requests of each level.
        tokens: Longest answer.
        seed: Of prompts and moments.
    """

    wanted: Wanted
    widths: tuple[int, ...] = (1, 2, 4, 8)
    rates: tuple[float, ...] | None = None
    requests: int = 32
    tokens: int = 32
    seed: int = 1


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What came of all loads.

    Attributes:
        asked: Who was asked.
        requests: Requests of each level.
        tokens: Longest answer.
        levels: What came of each.
        machine: Where it was measured, and with which load of other work.
    """

    asked: Asked
    requests: int
    tokens: int
    levels: tuple[Level, ...]
    machine: dict[str, Any] = {}


def load_curve(order: LoadOrder, home: Home, person: Person, tell: Tell) -> Curve:
    """Measure a load curve.

    Args:
        order: What is wanted.
        home: The installation.
        person: Whom to tell what takes long.
        tell: Told of each level as it ends.

    Raises:
        KeelmarkError: The target cannot be opened.
        UnavailableError: It answers nothing at all.
    """
    return uvloop.run(_curve(order, home, person, tell))


async def _curve(order: LoadOrder, home: Home, person: Person, tell: Tell) -> Curve:
    machine, levels = machine_facts(), []
    async with opened(order.wanted, home, person, seed=order.seed) as target:
        await probe(target.client, weighs=False)
        await _warm(target.client, order)
        async for found in _levels(target, order):
            tell(found)
            levels.append(found)
    return Curve(
        asked=target.asked,
        requests=order.requests,
        tokens=order.tokens,
        levels=tuple(levels),
        machine=machine,
    )


async def _warm(client: Client, order: LoadOrder) -> None:
    """Ask once before: what is made at the first request does not count."""
    shot = await shoot(client, "Say hello.", order.tokens)
    if shot.state != "answered":
        raise UnavailableError(
            f"{client.target.url} gave no streamed answer ({shot.state}): look at its log."
        )


async def _levels(target: Opened, order: LoadOrder) -> AsyncIterator[Level]:
    texts = prompts(order.requests, order.seed)
    alone: list[Shot] = []

    async def ask(number: int, due: float | None) -> Shot:
        return await shoot(target.client, texts[number], order.tokens, due)

    best = 0.0
    for width in order.widths:
        made = partial(closed, ask, width, order.requests)
        found, shots = await _measured(target, "closed", width, made, alone)
        alone = alone or shots
        best = max(best, found.per_second)
        yield found
    rates = order.rates
    for rate in tuple(round(best * share, 3) for share in _SHARES) if rates is None else rates:
        if rate > 0:
            coming = partial(open_, ask, rate, order.requests, order.seed)
            yield (await _measured(target, "open", rate, coming, alone))[0]


async def _measured(
    target: Opened,
    loop: Any,
    load: float,
    made: Callable[[], Awaitable[tuple[list[Shot], float]]],
    alone: list[Shot],
) -> tuple[Level, list[Shot]]:
    with meter_of(target.asked) as meter:
        shots, seconds = await made()
    energy, found = meter.told(), level(loop, load, shots, seconds, alone)
    tokens = sum(shot.tokens for shot in shots)
    if energy.joules is not None and tokens:
        joules = round(energy.joules / tokens, 4)
        found = msgspec.structs.replace(found, joules_per_token=joules, energy=energy.source)
    return found, shots
