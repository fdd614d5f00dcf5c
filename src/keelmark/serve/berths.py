"""One model among several that share memory: what is known of it, and what may be asked of it."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from typing import NamedTuple, Protocol

from keelmark.core.errors import UnavailableError


class Standing(StrEnum):
    """Where a model stands."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"
    FAILED = "failed"


class Loadable(Protocol):
    """A model that can be brought into memory.

    Attributes:
        name: What clients call it.
        need: Memory that it takes while it is loaded, bytes.
    """

    name: str
    need: int

    async def load(self) -> None:
        """Check it and bring it into memory. Raises KeelmarkError when that cannot be."""

    async def unload(self, reason: str) -> None:
        """Free all that it takes."""


class Turns(NamedTuple):
    """How long things may take, and how many may wait.

    Attributes:
        stay: How long a model stays once it is loaded, seconds, whoever waits.
        wait: How long a request waits for its model, seconds.
        line: Requests that wait for one model at most.
        rest: How long a model that does not load is left alone, seconds.
    """

    stay: float = 15.0
    wait: float = 120.0
    line: int = 64
    rest: float = 30.0


class WaitedError(UnavailableError):
    """A model is not in memory, and this request waits no longer for it.

    Args:
        message: One sentence for the client.
        seconds: After which it may be tried again.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = max(1, round(seconds))


class Waiter(NamedTuple):
    """A request that waits: since when, and what is settled when it may go on."""

    since: float
    granted: asyncio.Future[None]


class Berth:
    """What the loader knows of one model; for others to read.

    Attributes:
        model: The model.
        standing: Where it stands.
        users: Requests at work.
        waiters: Requests that wait for it.
        since: When it came to stand there (the loader's clock).
        used: When its last request ended.
        took: How long its last load took, seconds.
        reason: Why it could not be loaded, or "".
        leaving: Why it is to be unloaded although nobody needs its room, or "".
        gone: Settled when it has been unloaded.
        removed: Whether it takes no requests any more.
    """

    def __init__(self, model: Loadable, now: float) -> None:
        self.model = model
        self.standing = Standing.UNLOADED
        self.users = 0
        self.waiters: deque[Waiter] = deque()
        self.since = self.used = now
        self.took = 0.0
        self.reason = self.leaving = ""
        self.gone: asyncio.Future[None] | None = None
        self.removed = False

    @property
    def takes(self) -> int:
        """Memory it takes now, bytes."""
        away = self.standing in (Standing.UNLOADED, Standing.FAILED)
        return 0 if away else self.model.need
