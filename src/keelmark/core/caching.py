"""Answers that are given again to the same request: a section of the policy, off by default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from keelmark.core.scope import EVERYWHERE, Scope
from keelmark.core.yamlfile import Strict

Sharing = Literal["subject", "key", "team", "all"]


class Caching(Strict, frozen=True):
    """Which answers are kept, for whom, and for how long.

    Attributes:
        enabled: Whether answers are kept and given again.
        shared_by: Who may get an answer that was given to somebody else: nobody but the same
            subject of the same key, the same key, the same team, or all. A key without a team
            shares with no other.
        scope: The requests it is for; all when left out.
        only_deterministic: Only requests whose answer is meant to be the same each time: with a
            temperature of 0 or a seed, and embeddings.
        seconds: How long an answer of a model whose digest is known is kept.
        unattested_seconds: How long one is kept of an engine whose weights cannot be seen, and so
            may change; 0 keeps none.
        bytes: How much is kept in all; what was not used for longest goes first.
        answer_bytes: Longest answer that is kept.
    """

    enabled: bool = False
    shared_by: Sharing = "key"
    scope: Scope = EVERYWHERE
    only_deterministic: bool = True
    seconds: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] = 86_400.0
    unattested_seconds: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] = 3600.0
    bytes: Annotated[int, msgspec.Meta(ge=65_536)] = 256 * 1024 * 1024
    answer_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 1024 * 1024


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An answer of an engine, before the guard: placeholders stand where values were masked.

    Attributes:
        name: Digest of everything that the answer depends on, and of who may get it.
        subject: Whom the content belongs to.
        created: When it was given, Unix time, seconds.
        expires: When it must not be given any more.
        streamed: Whether `body` is a stream of events.
        body: As the engine sent it.
    """

    name: str
    subject: str
    created: float
    expires: float
    streamed: bool
    body: bytes
