"""Where a call goes: its route is followed down the tree, to engines in an order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from keelmark.core.errors import UsageError, sentence
from keelmark.core.looking import Looking, Looks
from keelmark.core.policy import Policy
from keelmark.core.ports import GuardPort
from keelmark.core.routing import Node, Routes, as_node, finds_of, parts_of, unknown_engines
from keelmark.serve.calls import Call
from keelmark.serve.engine import Engine
from keelmark.serve.errors import ApiError
from keelmark.serve.facts import Facts, Now, holds, now, told
from keelmark.serve.health import Health
from keelmark.serve.prices import Prices
from keelmark.serve.targets import Plan, Target

_DEAR = float("inf")

_READ, _WRITTEN, _MS = 3000, 1000, 10_000
"""Tokens and milliseconds of the call that prices are compared by."""


class RouteError(UsageError):
    """A route asks for what is not there.

    Args:
        path: Names and numbers that lead to it in the policy.
        message: What is wrong with it, as a sentence.
    """

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Router:
    """Makes plans for calls.

    Args:
        policy: The policy.
        engines: The engines.
        guard: Looks for what branches ask for in the texts.
        health: How the engines do.
        clock: The time, with its zone.

    Raises:
        RouteError: A route names an engine, or something to be found, that does not exist.
    """

    def __init__(
        self,
        policy: Policy,
        engines: Sequence[Engine],
        guard: GuardPort,
        health: Health,
        *,
        clock: Now = now,
    ) -> None:
        self._routes, self._limits = policy.routes, policy.limits
        self._engines, self._health = engines, health
        self._prices, self._clock = Prices(policy.quota), clock
        for mistake in unknown_engines(policy.routes, tuple(one.id for one in engines)):
            raise RouteError(("routes", *mistake.path), sentence(mistake.message))
        self._looking = lookers(policy.routes, guard)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of models that are routes; patterns are left out."""
        return tuple(name for name in self._routes.models if not _pattern(name))

    async def plan(self, call: Call) -> Plan | None:
        """Return the plan for a call; None when no route is for its model.

        Raises:
            ApiError: 403, the route has no branch for this request; 503, none of its engines is
                there now.
        """
        name = self._named(call.trace.model)
        if name is None:
            return None
        facts = Facts(call, self._looking.get(name), self._limits, self._clock)
        try:
            found = await self._targets(facts, as_node(self._routes.models[name]), name)
        finally:
            facts.note(name)
        if not found:
            raise ApiError(
                503,
                "engine_unavailable",
                f"No engine of the route `{name}` is here now: try again in a moment.",
                retry_after=2,
            )
        once = {(one.engine.id, one.model): one for one in reversed(found)}
        targets = tuple(one for one in found if once.get((one.engine.id, one.model)) is one)
        return Plan(name, targets, self._routes, self._health)

    def _named(self, model: str) -> str | None:
        models = self._routes.models
        if model in models:
            return model
        return next(
            (one for one in models if fnmatchcase(model, one.replace("[", "[[]"))),
            None,
        )

    async def _targets(self, facts: Facts, node: Node, why: str) -> list[Target]:
        """Return who may answer below a part of a tree, in order."""
        if node.engine:
            return self._leaf(facts.call, node, why)
        if node.weights:
            weights = [one.weight for one in node.weights]
            number = share_of(self._hashed(facts.call, node.sticky, why), weights)
            to = as_node(node.weights[number].to)
            return await self._targets(facts, to, f"{why} > weights[{number}]")
        if node.when:
            return await self._branch(facts, node, why)
        way = node.way
        found = [
            await self._targets(facts, as_node(part), f"{why} > {way}[{number}]")
            for number, part in enumerate(getattr(node, way))
        ]
        if way != "fallback":
            found.sort(key=partial(self._measure, way, facts))
        return [target for targets in found for target in targets]

    async def _branch(self, facts: Facts, node: Node, why: str) -> list[Target]:
        for number, branch in enumerate(node.when):
            if await holds(branch, facts):
                at = f"{why} > when[{number}] ({told(branch)})"
                return await self._targets(facts, as_node(branch.to), at)
        if node.otherwise:
            return await self._targets(facts, as_node(node.otherwise), f"{why} > otherwise")
        raise ApiError(
            403,
            "no_route",
            f"The policy has no way for this request to `{facts.call.trace.model}`: ask who runs "
            "this service.",
            param="model",
        )

    def _leaf(self, call: Call, node: Node, why: str) -> list[Target]:
        engine = next((one for one in self._engines if one.id == node.engine), None)
        if engine is None:  # it was taken out of the service
            return []
        known = not engine.models or call.trace.model in engine.models
        model = node.model or engine.upstream_model or ("" if known else engine.models[0])
        seconds = None if node.first_byte_ms is None else node.first_byte_ms / 1000
        return [Target(engine, model, node.parameters, seconds, why)]

    def _measure(self, way: str, facts: Facts, found: list[Target]) -> float:
        """How far behind a part stands among those that it is compared with."""
        if not found:
            return _DEAR
        engine, model = found[0].engine, found[0].model
        if way == "cheapest":
            cost = self._prices.find(engine, model or facts.call.trace.model)
            if cost is None:
                facts.unpriced.add(engine.id)
                return _DEAR
            return cost.of(_READ, _WRITTEN, milliseconds=_MS)
        pulse = self._health.of(engine.id)
        busy = float(pulse.in_flight)
        return pulse.cost(stream=facts.call.trace.stream) if way == "fastest" else busy

    def _hashed(self, call: Call, sticky: str, why: str) -> int:
        """A number from 0 to 2**64 that stays with whom a share is to stay with."""
        trace = call.trace
        who = {"subject": (trace.key_id, trace.subject), "key": (trace.key_id,)}
        said = (self._routes.salt, why, *who.get(sticky, (trace.trace_id,)))
        whole = b"".join(len(one).to_bytes(4, "big") + one.encode() for one in said)
        return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "big")


def lookers(routes: Routes, guard: GuardPort) -> dict[str, Looking]:
    """Return who looks through the texts of calls, for the routes that ask for it.

    Raises:
        RouteError: A route asks for something to be found that does not exist.
    """
    found: dict[str, Looking] = {}
    for path, node in parts_of(routes):
        for number, branch in enumerate(node.when):
            route, where = str(path[1]), ("routes", *path, "when", number, "finds")
            if branch.finds:
                _looker(guard, branch.finds, where)  # says which branch is wrong
            if branch.finds or branch.languages:
                found[route] = _looker(guard, finds_of(routes.models[route]), where)
    return found


def share_of(number: int, weights: Sequence[int]) -> int:
    """Return the share that a number from 0 to 2**64 falls into.

    Shares lie side by side, so that who is in the first one stays there when it grows.
    """
    at = number * sum(weights) >> 64
    for share, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return share
    raise ValueError("There is no share above 0.")


def _looker(guard: GuardPort, names: Sequence[str], where: tuple[str | int, ...]) -> Looking:
    if not isinstance(guard, Looks):
        raise RouteError(where, "this guard cannot look for anything before it judges.")
    try:
        return guard.looking(names)
    except UsageError as error:
        raise RouteError(where, error.message) from None


def _pattern(name: str) -> bool:
    return not {"*", "?"}.isdisjoint(name)
