"""API keys: what is stored of them."""

from __future__ import annotations

from typing import Literal

import msgspec

Scope = Literal["models", "admin"]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is stored: the key itself is shown once, when it is made, and never kept.

    Attributes:
        id: Public id, shown in lists and traces (`key_` and 12 characters).
        name: What the owner calls it.
        hash: SHA-256 of the whole key (keys carry 256 bits of randomness, so no slow hash).
        scopes: What it may do: `models` calls models, `admin` manages the service.
        created: Unix time, seconds.
        expires: Unix time, seconds, or None.
        revoked: Unix time, seconds, or None.
        team: Who uses it, for rules of the policy that are for some teams only; "" for nobody in
            particular.
    """

    id: str
    name: str
    hash: bytes
    scopes: tuple[Scope, ...]
    created: float
    expires: float | None = None
    revoked: float | None = None
    team: str = ""
