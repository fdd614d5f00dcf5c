"""The routes of a policy against the engines of a service."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from keelmark.app.home import policy_text
from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import read_document
from keelmark.guard import Guard, shipped_policies
from keelmark.serve.engine import Engine
from keelmark.serve.health import Health
from keelmark.serve.routing import RouteError, Router


def check_routes(guard: Guard, engines: Sequence[Engine], path: Path | None = None) -> None:
    """Refuse routes that name what is not here.

    Args:
        guard: The guard of the policy.
        engines: The engines of the service.
        path: The file that the policy was loaded from, as for `load_policy`.

    Raises:
        UsageError: With the line of the policy, and what was meant.
    """
    if not guard.policy.routes.models:
        return
    try:
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
