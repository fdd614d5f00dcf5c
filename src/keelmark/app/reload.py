"""A policy file that changes is taken up while the service runs, or refused loudly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from keelmark.app.engines import Say, Settings
from keelmark.app.home import Home, load_policy, make_guard, policy_notes
from keelmark.core import events
from keelmark.core.errors import KeelmarkError, UsageError
from keelmark.guard import Guard
from keelmark.guard.ready import ancestors, shipped_policies
from keelmark.observe.metrics import Metrics
from keelmark.serve.gateway import Gateway

log = logging.getLogger("keelmark.app")

_POLL_SECONDS = 0.5
Stamp = tuple[tuple[int, int, int] | None, ...]


def record_policy(home: Home, guard: Guard) -> None:
    """Write down what is in force from now on."""
    policy = guard.policy
    body: dict[str, Any] = {
        "policy_digest": policy.digest,
        **guard.describe(),
        "admission": msgspec.to_builtins(policy.admission),
        "retention": msgspec.to_builtins(policy.retention),
        "limits": msgspec.to_builtins(policy.limits),
    }
    home.store.append(events.POLICY_LOADED, body)


def load_guard(settings: Settings) -> Guard:
    """Return the guard that a service was asked for.

    Raises:
        UsageError: A policy cannot be read, or is none.
    """
    policy = load_policy(settings.policy)
    return make_guard(policy, settings.policy, data=settings.data, shadow=settings.shadow_policy)


class Watch:
    """Looks after the policy files of a running service.

    Args:
        home: The installation.
        settings: What the service was asked for.
        gateway: Who takes the new policy up.
        guard: The guard that it began with.
        metrics: Where it is said that an older policy is in force.
        say: Gets lines for a person.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        gateway: Gateway,
        guard: Guard,
        *,
        metrics: Metrics,
        say: Say,
    ) -> None:
        self._home = home
        self._settings = settings
        self._gateway = gateway
        self._guard = guard
        self._metrics = metrics
        self._say = say
        self._files = self._named()
        self._seen = self._stamp()

    async def run(self, pause: Callable[[float], Any] = asyncio.sleep) -> None:
        """Look for changes until cancelled."""
        self._metrics.set_gauge("keelmark_policy_stale", 0)
        before = self._seen
        while self._files:
            await pause(_POLL_SECONDS)
            now = await asyncio.to_thread(self._stamp)
            if now != self._seen and now == before:  # it has come to rest
                self._seen = now
                await self.take()
            before = now

    async def take(self) -> None:
        """Take up the files as they are now; requests at work end under the policy they have."""
        try:
            guard = await asyncio.to_thread(self._load)
            if guard is not None:
                await asyncio.to_thread(self._record, guard)
        except KeelmarkError as error:
            await self._refuse(error.message)
        except Exception as error:  # boundary: a defect must not leave it open which policy holds
            await self._refuse(f"it cannot be loaded ({type(error).__name__}).")
        else:
            if guard is not None:
                self._guard = guard
                self._gateway.use(guard, guard.policy)
                self._say(f"The policy has changed: {guard.policy.name}, {guard.policy_digest}.")
                for note in policy_notes(guard.policy, self._home.data):
                    self._say(f"WARNING: policy {guard.policy.name}: {note}")
            self._gateway.note = ""
            self._metrics.set_gauge("keelmark_policy_stale", 0)
        self._files = await asyncio.to_thread(self._named) or self._files

    def _load(self) -> Guard | None:
        """The guard of the files, or None when they demand what is in force already."""
        guard = load_guard(self._settings)
        if guard.policy.admission != self._guard.policy.admission:
            raise UsageError(
                "its admission part asks for other passports: restart, so that models are vetted "
                "under it."
            )
        return None if guard.digests == self._guard.digests else guard

    def _record(self, guard: Guard) -> None:
        record_policy(self._home, guard)
        body = {
            "policy_digest": guard.policy_digest,
            "before": self._guard.policy_digest,
            "name": guard.policy.name,
        }
        self._home.store.append(events.POLICY_CHANGED, body)

    async def _refuse(self, reason: str) -> None:
        """Say everywhere that the older policy stays in force."""
        said = f"The changed policy is not taken up, the one before stays in force: {reason}"
        log.error("%s", said)
        self._say(f"WARNING: {said}")
        self._gateway.note = said
        self._metrics.set_gauge("keelmark_policy_stale", 1)
        body = {"policy_digest": self._guard.policy_digest, "reason": reason}
        await asyncio.to_thread(self._home.store.append, events.POLICY_REFUSED, body)

    def _named(self) -> tuple[Path, ...]:
        """The files that make up the policies."""
        chosen = (self._settings.policy, self._settings.shadow_policy)
        own = [p for p in chosen if p is not None and str(p) not in shipped_policies()]
        return tuple(dict.fromkeys(file for path in own for file in ancestors(path)))

    def _stamp(self) -> Stamp:
        return tuple(map(_stamp, self._files))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
