"""API keys: made, recognised in constant time, cached for a second.

A key is `sk-km-` and 43 characters of URL-safe randomness (256 bits). Only its SHA-256 is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from keelmark.core.errors import UsageError
from keelmark.core.keys import ApiKey, Scope
from keelmark.serve.errors import ApiError

PREFIX = "sk-km-"
LONGEST = 512
LONGEST_TEAM = 64
_NO_HASH = bytes(32)
_KNOWN_SCOPES: frozenset[Scope] = frozenset({"models", "admin"})


class KeySource(Protocol):
    """Where keys are kept."""

    async def find(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with this SHA-256, whatever its state, or None."""


def hash_key(secret: str) -> bytes:
    """Return the SHA-256 of a key, the only form in which it is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def new_key(
    name: str,
    scopes: Iterable[Scope] = ("models",),
    expires: float | None = None,
    *,
    secret: str | None = None,
    team: str = "",
    now: Callable[[], float] = time.time,
) -> tuple[str, ApiKey]:
    """Make a key.

    Args:
        name: What its owner calls it.
        scopes: What it may do; at least one.
        expires: Unix time after which it is refused, or None.
        secret: The key itself when it is given from outside (at least 16 characters).
        team: Who uses it, or "".
        now: Clock, Unix time in seconds.

    Returns:
        The key, to be shown once, and what is to be stored.

    Raises:
        UsageError: A scope that does not exist, no scope, a past expiry, a weak given key, or a
            name, of the key or of its team, that cannot be shown.
    """
    wanted = tuple(dict.fromkeys(scopes))
    if not wanted or not _KNOWN_SCOPES.issuperset(wanted):
        raise UsageError(
            f"A key needs at least one scope out of {', '.join(sorted(_KNOWN_SCOPES))}."
        )
    created = now()
    if expires is not None and expires <= created:
        raise UsageError("This key would already be expired: give a time in the future.")
    if secret is not None and not 16 <= len(secret) <= LONGEST:
        raise UsageError(f"A given key must have between 16 and {LONGEST} characters.")
    if not name.isprintable():
        raise UsageError("A key's name holds only characters that can be shown: no line breaks.")
    if team != team.strip() or not team.isprintable() or len(team) > LONGEST_TEAM:
        raise UsageError(
            f"A team's name has at most {LONGEST_TEAM} characters that can be shown, and no space "
            "at its ends."
        )
    value = secret or PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        id="key_" + secrets.token_hex(6),
        name=name,
        hash=hash_key(value),
        scopes=wanted,
        created=created,
        expires=expires,
        team=team,
    )
    return value, key


class KeyRing:
    """Recognises keys; asks the source at most once per key and second.

    A revocation by another process is therefore in force after `ttl` seconds, and one by this
    process at once when it calls `forget`. Unknown keys are not cached, so a new key works at
    once and a flood of invented ones takes no memory.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        ttl: float = 1.0,
        capacity: int = 4096,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._ttl = ttl
        self._capacity = capacity
        self._clock = clock
        self._now = now
        self._cache: dict[bytes, tuple[float, ApiKey]] = {}

    def forget(self) -> None:
        """Drop everything that is cached."""
        self._cache.clear()

    async def recognise(self, authorization: bytes | None) -> ApiKey:
        """Return the key behind an `Authorization` header.

        Raises:
            ApiError: 401, when there is no key, or it is unknown, expired or revoked.
        """
        if authorization is None:
            raise _refused("No API key: send the header `Authorization: Bearer sk-km-...`.")
        scheme, _, secret = authorization.decode("utf-8", "surrogateescape").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret or len(secret) > LONGEST:
            raise _refused("The API key must come as `Authorization: Bearer sk-km-...`.")
        digest = hash_key(secret)
        key = await self._find(digest)
        known = hmac.compare_digest(digest, key.hash if key else _NO_HASH)
        if key is None or not known or key.revoked is not None:
            raise _refused("This API key is not valid: check it, or ask for a new one.")
        if key.expires is not None and key.expires <= self._now():
            raise _refused("This API key has expired: ask for a new one.")
        return key

    async def _find(self, digest: bytes) -> ApiKey | None:
        cached = self._cache.get(digest)
        at = self._clock()
        if cached is not None and at - cached[0] < self._ttl:
            return cached[1]
        key = await self._source.find(digest)
        if key is None:
            self._cache.pop(digest, None)
            return None
        if len(self._cache) >= self._capacity:
            self._cache.clear()
        self._cache[digest] = (at, key)
        return key


def shown(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return what `authorization` says, or would say for a key in Anthropic's `x-api-key`."""
    key = headers.get(b"x-api-key")
    return headers.get(b"authorization", None if key is None else b"Bearer " + key)


def require(key: ApiKey, scope: Scope) -> None:
    """Refuse a key that lacks a scope.

    Raises:
        ApiError: 403.
    """
    if scope not in key.scopes:
        raise ApiError(
            403, "missing_scope", f"This API key lacks the scope `{scope}`: use another key."
        )


def _refused(message: str) -> ApiError:
    return ApiError(401, "invalid_api_key", message)
