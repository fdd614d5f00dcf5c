"""A policy file that changes is taken up while the service runs, or refused loudly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from keelmark.app.engines import Say, Settings
from keelmark.app.front import Front
from keelmark.app.home import Home, load_policy, make_guard, policy_notes, policy_text
from keelmark.core import events
from keelmark.core.errors import KeelmarkError, UsageError
from keelmark.guard import Guard
from keelmark.guard.ready import ancestors, shipped_policies
from keelmark.observe.metrics import Metrics
from keelmark.serve.gateway import Gateway

log = logging.getLogger("keelmark.app")

_POLL_SECONDS = 0.5
_POLLS_AT_REST = 2  # without a change, until a file is taken for complete
Stamp = tuple[int, ...] | None


def record_policy(home: Home, guard: Guard) -> None:
    """Write down what is in force from now on."""
    policy = guard.policy
    body: dict[str, Any] = {
        "policy_digest": policy.digest,
        **guard.describe(),
        "admission": msgspec.to_builtins(policy.admission),
        "retention": msgspec.to_builtins(policy.retention),
        "limits": msgspec.to_builtins(policy.limits),
        **({"quota": msgspec.to_builtins(policy.quota)} if policy.quota.counts else {}),
    }
    if policy.routes.models:
        body["routes"] = msgspec.to_builtins(policy.routes)
    if policy.cache.enabled:
        body["cache"] = msgspec.to_builtins(policy.cache)
    home.store.append(events.POLICY_LOADED, body)


def load_guard(settings: Settings) -> Guard:
    """Return the guard that a service was asked for.

    Raises:
        UsageError: A policy cannot be read, or is none.
    """
    for path in (settings.policy, settings.shadow_policy):
        if path is not None and path.is_fifo():
            raise UsageError(f"{path} is a pipe, which can be read only once; name a file.")
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
        check: Raises UsageError for a policy that does not fit the service.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        gateway: Gateway | Front,
        guard: Guard,
        *,
        metrics: Metrics,
        say: Say,
        check: Callable[[Guard], None] = lambda _: None,
    ) -> None:
        self._check = check
        self._home = home
        self._settings = settings
        self._gateway = gateway
        self._guard = guard
        self._metrics = metrics
        self._say = say
        self._files = self._named()
        self._seen: dict[Path, Stamp] = {}  # at the first look all are new: models took their time

    async def run(self, pause: Callable[[float], Any] = asyncio.sleep) -> None:
        """Look for changes until cancelled."""
        self._metrics.set_gauge("keelmark_policy_stale", 0)
        before, polls = self._seen, 0
        while self._files:
            await pause(_POLL_SECONDS)
            try:
                now = await asyncio.to_thread(self._stamps)
                polls = polls + 1 if now == before else 0
                before = now
                if now != self._seen and polls >= _POLLS_AT_REST:
                    await self.take()
            except Exception as error:  # boundary: whatever happens to the files, the watch goes on
                log.exception("The policy files could not be looked at.")
                self._stay(f"they cannot be looked at ({type(error).__name__}).")

    def again(self) -> None:
        """Take the files for changed, whether they are or not: the next looks take them up."""
        self._seen = {}

    async def take(self) -> None:
        """Take up the files as they are now; requests at work end under the policy they have."""
        try:
            named = await asyncio.to_thread(self._named)
        except Exception:  # boundary: said when the files are loaded
            named = self._files
        self._files = tuple(dict.fromkeys((*named, *self._files)))
        self._seen = await asyncio.to_thread(self._stamps)  # first: what comes later is new
        try:
            guard = await asyncio.to_thread(self._load)
            if guard is not None:
                self._check(guard)
                await asyncio.to_thread(self._record, guard)
        except KeelmarkError as error:
            await self._refuse(error.message)
        except Exception as error:  # boundary: a defect must not leave it open which policy holds
            log.exception("The changed policy could not be loaded.")
            await self._refuse(f"it cannot be loaded ({type(error).__name__}).")
        else:
            self._files = named
            self._seen = {path: self._seen[path] for path in named}
            self._gateway.note = ""
            self._metrics.set_gauge("keelmark_policy_stale", 0)
            if guard is not None:
                self._use(guard)

    def _use(self, guard: Guard) -> None:
        self._guard = guard
        self._gateway.use(guard, guard.policy)
        self._say(f"The policy has changed: {guard.policy.name}, {guard.policy_digest}.")
        with contextlib.suppress(KeelmarkError):
            for note in policy_notes(guard.policy, self._home.data):
                self._say(f"WARNING: policy {guard.policy.name}: {note}")

    def _load(self) -> Guard | None:
        """The warm guard of the files, or None when they demand what is in force already."""
        guard = load_guard(self._settings)
        for own in (self._settings.policy, self._settings.shadow_policy):
            if own in self._files and not policy_text(own).strip():
                raise UsageError(f"{own} is empty; write it anew, or `extends: default`.")
        if guard.policy.admission != self._guard.policy.admission:
            raise UsageError(
                "its admission part asks for other passports: restart, so that models are vetted "
                "under it."
            )
        if guard.digests == self._guard.digests:
            return None
        guard.warm()
        return guard

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
        self._stay(reason)
        body = {"policy_digest": self._guard.policy_digest, "reason": reason}
        await asyncio.to_thread(self._home.store.append, events.POLICY_REFUSED, body)

    def _stay(self, reason: str) -> None:
        said = f"The changed policy is not taken up, the one before stays in force: {reason}"
        self._say(f"WARNING: {said}")  # the log of the service
        self._gateway.note = said
        self._metrics.set_gauge("keelmark_policy_stale", 1)

    def _named(self) -> tuple[Path, ...]:
        """The files that make up the policies, also those that are not there now."""
        chosen = (self._settings.policy, self._settings.shadow_policy)
        own = [p for p in chosen if p is not None and str(p) not in shipped_policies()]
        return tuple(dict.fromkeys(file for path in own for file in ancestors(path)))

    def _stamps(self) -> dict[Path, Stamp]:
        return {path: _stamp(path) for path in self._files}


def _stamp(path: Path) -> Stamp:
    """What changes when a file is written, replaced, taken away or locked; a link is followed."""
    try:
        about = path.stat()
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return None
    return about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino, about.st_mode
