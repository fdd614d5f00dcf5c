"""Who may answer a call, in the order in which they are tried, and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from keelmark.core.routing import Routes
from keelmark.serve.engine import Engine
from keelmark.serve.health import Health

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Target(NamedTuple):
    """An engine that a call may go to.

    Attributes:
        engine: The engine.
        model: The model's name there, or "" for the one that the client gave.
        parameters: Fields that the request gets on its way there; None takes one out.
        seconds: Longest wait for the first byte there; None: as long as the engine is given.
        why: The way that led to it in the tree.
    """

    engine: Engine
    model: str = ""
    parameters: Mapping[str, Any] = _NOTHING
    seconds: float | None = None
    why: str = ""


class Plan(NamedTuple):
    """What the routes make of a call.

    Attributes:
        name: The route: the name or the pattern in the policy.
        targets: Who may answer, in the order in which they are tried.
        routes: The routes in force when the call came.
        health: How the engines do.
    """

    name: str
    targets: tuple[Target, ...]
    routes: Routes
    health: Health
