"""The routes of a policy: against the engines of a service, and as a person reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec

from keelmark.app.home import policy_text
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.routing import Node, Routes, as_node
from keelmark.core.yamlfile import read_document
from keelmark.guard import Guard, shipped_policies
from keelmark.serve.engine import Engine
from keelmark.serve.facts import told
from keelmark.serve.health import Health, Report
from keelmark.serve.routing import RouteError, Router, lookers

_SECONDS = 5.0
_LONGEST = 1024 * 1024
_ORDERED = {
    "fallback": "in this order",
    "cheapest": "the cheapest first",
    "fastest": "the fastest first",
    "least_busy": "the least busy first",
}


class _Ready(msgspec.Struct):
    engines: dict[str, bool]
    health: dict[str, Report] = {}


def check_routes(
    guard: Guard, engines: Sequence[Engine] | None = None, path: Path | None = None
) -> None:
    """Refuse routes that name what is not here.

    Args:
        guard: The guard of the policy.
        engines: The engines of the service; None: they are not known here.
        path: The file that the policy was loaded from, as for `load_policy`.

    Raises:
        UsageError: With the line of the policy, and what was meant.
    """
    if not guard.policy.routes.models:
        return
    try:
        if engines is None:
            lookers(guard.policy.routes, guard)
        else:
            Router(guard.policy, engines, guard, Health())
    except RouteError as error:
        raise UsageError(_place(error, path) + error.message) from None


def _place(error: RouteError, path: Path | None) -> str:
    """Where the mistake stands; "" for a policy that comes with Keelmark."""
    chosen = path or os.environ.get("KEELMARK_CONFIG")
    if not chosen or str(chosen) in shipped_policies():
        return ""
    document = read_document(policy_text(path), source=str(chosen))
    own = isinstance(document.plain, dict) and error.path[0] in document.plain
    return f"{document.at_part(*error.path) if own else document.at('$.extends')}: "


def drawn(routes: Routes) -> Iterator[str]:
    """Yield the lines that show the trees of a policy."""
    for name, part in routes.models.items():
        yield name
        yield from _drawn(as_node(part), "  ")


def _drawn(node: Node, indent: str) -> Iterator[str]:
    if node.engine:
        model = f" as {node.model}" if node.model else ""
        within = f", first byte within {node.first_byte_ms} ms" if node.first_byte_ms else ""
        yield f"{indent}{node.engine}{model}{within}"
        return
    for share in node.weights:
        yield f"{indent}share {share.weight}, stays with the {node.sticky}:"
        yield from _drawn(as_node(share.to), indent + "  ")
    for branch in node.when:
        yield f"{indent}when {told(branch)}:"
        yield from _drawn(as_node(branch.to), indent + "  ")
    if node.when:
        yield f"{indent}otherwise:" + ("" if node.otherwise else " refused")
    if node.otherwise:
        yield from _drawn(as_node(node.otherwise), indent + "  ")
    if node.way in _ORDERED:
        yield f"{indent}{_ORDERED[node.way]}:"
        for part in getattr(node, node.way):
            yield from _drawn(as_node(part), indent + "  ")


def health_at(url: str) -> dict[str, Report]:
    """Return how the engines of a running service do, by its `/readyz`.

    Raises:
        UsageError: The address is none.
        UnavailableError: Nothing that is Keelmark answers there.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address; write it like http://127.0.0.1:8080.")
    try:
        try:
            answer = urlopen(f"{url.rstrip('/')}/readyz", timeout=_SECONDS)  # noqa: S310 (http)
        except HTTPError as not_ready:
            answer = not_ready
        with answer:
            return msgspec.json.decode(answer.read(_LONGEST), type=_Ready).health
    except (OSError, ValueError, HTTPException):
        raise UnavailableError(
            f"Nothing that is Keelmark answers at {url}: start it, or give another address."
        ) from None
