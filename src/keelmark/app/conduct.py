"""The engines of a running service, conducted: decisions taken up, wishes granted, steps made."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import msgspec

from keelmark.app import decisions
from keelmark.app.decisions import (
    ANSWER,
    SERVICE,
    WISH,
    Granted,
    ModelReport,
    ServiceReport,
    Wish,
)
from keelmark.app.local import Fleet, Say
from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.core.policy import Policy
from keelmark.core.rollouts import Evidence, Plan, Rollout, State
from keelmark.serve.berths import Standing
from keelmark.serve.hosted import HostedEngine
from keelmark.serve.steering import Steering
from keelmark.store import Store
from keelmark.store.board import decode, notes, pin, unpin
from keelmark.store.ledger import Transaction
from keelmark.store.traces import traces_after

log = logging.getLogger("keelmark.app")

LOOK_SECONDS = 0.5
_BEAT_SECONDS = 10.0
_OLD_SECONDS = 3600.0
_AT_ONCE = 2000


async def follow(store: Store, steering: Steering) -> None:
    """Take up what is decided, again and again, until cancelled; for processes without engines."""
    trouble = _Trouble()
    while True:
        try:
            await asyncio.to_thread(decisions.take_up, store, steering)
            trouble.ends()
        except KeelmarkError as error:  # the database may be away; what held goes on to hold
            trouble.tell(f"What was decided cannot be read: {error.message}")
        await asyncio.sleep(LOOK_SECONDS)


class _Trouble:
    """Says something once, however often it happens, until it has ended."""

    def __init__(self) -> None:
        self._said = ""

    def tell(self, text: str) -> None:
        if text != self._said:
            log.warning("%s", text)
        self._said = text

    def ends(self) -> None:
        self._said = ""


def is_routed(policy: Policy, name: str) -> bool:
    """Whether a route of a policy is for a name."""
    patterns = (one.replace("[", "[[]") for one in policy.routes.models)
    return any(fnmatchcase(name, one) for one in patterns)


class Conductor:
    """Looks after the engines of a service while it runs.

    Args:
        store: Storage, with the board.
        fleet: The engines.
        steering: What the gateway of this process asks.
        say: Gets lines for a person.
        clock: Unix time, seconds.

    Attributes:
        fleet: The engines.
        steering: What is decided now.
        routed: Whether the policy has a route for a name, which then says who answers.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        steering: Steering,
        say: Say,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = secrets.token_hex(6)
        self._store, self.fleet, self.steering = store, fleet, steering
        self.routed: Callable[[str], bool] = lambda _name: False
        self._say, self._clock = say, clock
        self._said: tuple[object, ...] = ()
        self._beat = 0.0
        self._evidence: dict[str, Evidence] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        decisions.take_up(store, steering)  # what is stopped stays so, from the first request on

    async def run(self) -> None:
        """Look after them until cancelled."""
        trouble = _Trouble()
        try:
            while True:
                try:
                    await self.look()
                    trouble.ends()
                except KeelmarkError as error:
                    trouble.tell(f"The board cannot be used: {error.message}")
                except Exception as error:  # boundary: whatever it is, the service goes on
                    log.debug("Looking after the engines failed.", exc_info=True)
                    trouble.tell(f"Looking after the engines failed: {type(error).__name__}.")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._store.submit(lambda transaction: unpin(transaction, SERVICE, self.id))

    async def look(self) -> None:
        """Do once what there is to do."""
        before = set(self.steering.stopped)
        await asyncio.to_thread(decisions.take_up, self._store, self.steering)
        self.obey(before)
        for one in await asyncio.to_thread(self._store.read, partial(notes, topic=WISH)):
            wish = decode(one, Wish)
            await self._store.run(partial(unpin, topic=WISH, name=one.name))
            self._begin(self._grant(one.name, wish))
        self._bring_arms()
        running = [one for one in self.steering.rollouts.values() if one.state == "running"]
        moved = [await asyncio.to_thread(self._tick, rollout) for rollout in running]
        if any(moved):
            await asyncio.to_thread(decisions.take_up, self._store, self.steering)
        await self._report()

    def _bring_arms(self) -> None:
        """Load the new models of rollouts before somebody has to wait for them."""
        for rollout in self.steering.rollouts.values():
            berth = self.fleet.loader.berths.get(rollout.to)
            away = berth is not None and berth.standing is Standing.UNLOADED
            if away and berth and not berth.waiters and not self._impossible(rollout):
                self._begin(self.fleet.loader.load(rollout.to))

    def obey(self, before: set[str]) -> None:
        """Unload models that were stopped just now; their requests have been ended."""
        for name in self.steering.stopped.keys() - before:
            self._say(f"{name} is stopped: {self.steering.stopped[name].reason or 'no reason'}.")
            if name in self.fleet.loader.berths:
                self._begin(self.fleet.loader.unload(name, "It was stopped."))
        for name in before - self.steering.stopped.keys():
            self._say(f"{name} may answer again.")

    async def grant(self, wish: Wish) -> str:
        """Do what somebody wishes; return what was done, a sentence.

        Raises:
            KeelmarkError: It cannot be done.
        """
        fleet, name = self.fleet, wish.name
        why = f"Asked for by {wish.who}{f': {wish.reason}' if wish.reason else ''}."
        if wish.verb == "add":
            engine = await fleet.add(name)
            return f"{engine.name} is in the service; it is loaded when it is asked for."
        fleet.local(name)  # or it is none that can be loaded
        if wish.verb == "load":
            if name in self.steering.stopped:
                raise UsageError(f"{name} is stopped; start it: `keelmark models start {name}`.")
            await fleet.loader.load(name)
            return f"{name} is loaded."
        if wish.verb == "unload":
            await fleet.loader.unload(name, why)
            return f"{name} is unloaded; it comes back when it is asked for."
        arms = self.steering.rollouts.values()
        if any(name in (one.name, one.to) for one in arms):
            raise UsageError(f"{name} is part of a rollout; end that first.")
        await fleet.remove(name)
        return f"{name} is no longer in the service."

    async def models(self) -> dict[str, Any]:
        """See `keelmark.serve.admin.Controls`."""
        switches = self.steering.stopped.values()
        stopped = {one.name: msgspec.to_builtins(one) for one in switches}
        return {**msgspec.to_builtins(self.report()), "stopped": stopped}

    async def act(self, verb: str, name: str, reason: str, who: str) -> str:
        """See `keelmark.serve.admin.Controls`."""
        if verb in ("stop", "start"):
            change = decisions.stop_model if verb == "stop" else decisions.start_model
            await asyncio.to_thread(change, self._store, name, reason, who)
            await self.look()  # at once, not at the next look
            return f"{name} is stopped." if verb == "stop" else f"{name} may answer again."
        wish = Wish(verb=decisions.VERBS[verb], name=name, reason=reason, who=who)
        said = await self.grant(wish)
        await self._report()
        return said

    async def rollouts(self) -> list[dict[str, Any]]:
        """See `keelmark.serve.admin.Controls`."""
        found = await asyncio.to_thread(decisions.rollouts, self._store)
        return [self._told(one) for one in found]

    async def roll_out(self, name: str, to: str, plan: Plan, reason: str, who: str) -> None:
        """See `keelmark.serve.admin.Controls`."""
        await asyncio.to_thread(decisions.roll_out, self._store, name, to, plan, reason, who)
        await self.look()

    async def abort(self, name: str, reason: str, who: str) -> None:
        """See `keelmark.serve.admin.Controls`."""
        await asyncio.to_thread(decisions.abort, self._store, name, reason, who)
        await self.look()

    def _told(self, rollout: Rollout) -> dict[str, Any]:
        seen = self._evidence.get(rollout.name)
        mine = seen is not None and seen.is_of(rollout)
        shown = {"share": rollout.share, "evidence": seen.summary() if seen and mine else {}}
        return {**msgspec.to_builtins(rollout), **shown}

    async def _grant(self, key: str, wish: Wish) -> None:
        try:
            answer = Granted(done=True, message=await self.grant(wish))
            await self._report()  # whoever waits for the answer may look at once
        except KeelmarkError as error:
            answer = Granted(done=False, message=error.message)
        await self._store.run(partial(pin, topic=ANSWER, name=key, body=answer))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Looking after an engine failed: %s", error)

    # --- rollouts ---

    def _tick(self, rollout: Rollout) -> bool:
        """Read what is new of a rollout, and go back or further; say whether it went anywhere."""
        if why := self._impossible(rollout):
            self._over(rollout, "aborted", why, {})
            return True
        evidence = self._evidence.get(rollout.name)
        if evidence is None or not evidence.is_of(rollout):
            evidence = self._evidence[rollout.name] = Evidence(rollout)
        while True:
            query = partial(traces_after, seq=evidence.read, model=rollout.name, limit=_AT_ONCE)
            rows = self._store.read(query)
            for seq, trace in rows:
                evidence.see(trace)
                evidence.read = seq
            if alarm := evidence.alarm:
                self._over(rollout, "rolled_back", alarm, evidence.summary())
                return True
            if len(rows) < _AT_ONCE:
                break
        plan, counted = rollout.plan, evidence.counted
        late = self._clock() >= rollout.since + plan.seconds
        if not late or counted["new"] < plan.least or not counted["old"]:
            return False
        share = plan.steps[rollout.step + 1]
        reason = f"{counted['new']} observations of {rollout.to}, and no alarm."
        if decisions.next_step(self._store, rollout, evidence.summary(), reason):
            self._say(f"Rollout of {rollout.name} to {rollout.to}: {share} % from now on.")
        return True

    def _over(self, rollout: Rollout, state: State, why: str, seen: dict[str, Any]) -> None:
        if decisions.end(self._store, rollout, state, why, "keelmark", seen):
            said = "rolled back" if state == "rolled_back" else state
            self._say(f"WARNING: The rollout of {rollout.name} to {rollout.to} was {said}: {why}")

    def _impossible(self, rollout: Rollout) -> str:
        """Why a rollout cannot go on; "" when it can."""
        if self.routed(rollout.name):
            return f"{rollout.name} is a route of the policy; use its weights instead."
        served = {name for engine in self.fleet.engines for name in engine.models}
        anything = any(not engine.models for engine in self.fleet.engines)
        for name in (rollout.name, rollout.to):
            if name in self.steering.stopped:
                return f"{name} was stopped."
            if name not in served and not anything:
                return f"{name} is not in the service."
        both = [one for one in (rollout.name, rollout.to) if one in self.fleet.loader.berths]
        if not self.fleet.loader.fits(*both):
            return "both models do not fit into memory together; raise --memory."
        return ""

    # --- what others may know ---

    def report(self) -> ServiceReport:
        """Return how the service stands now."""
        loader, engines = self.fleet.loader, list(self.fleet.engines)
        models: list[ModelReport] = []
        for engine in engines:
            if isinstance(engine, HostedEngine):
                models.append(self._local(engine))
                continue
            state = "ready" if engine.ready else "not ready"
            models += [ModelReport(name=n, state=state, engine=engine.id) for n in engine.models]
        return ServiceReport(
            id=self.id,
            place=f"{socket.gethostname()}, process {os.getpid()}",
            budget=loader.budget,
            taken=loader.taken,
            models=tuple(models),
            stopped=tuple(sorted(self.steering.stopped)),
            any_model=any(not engine.models for engine in engines),
        )

    def _local(self, engine: HostedEngine) -> ModelReport:
        berth = self.fleet.loader.berths.get(engine.name)
        return ModelReport(
            name=engine.name,
            state=engine.state,
            engine=engine.id,
            local=True,
            memory=engine.need,
            reckoned=engine.nature.known,
            requests=berth.users if berth else 0,
            waiting=len(berth.waiters) if berth else 0,
            reason=berth.reason if berth else "",
        )

    async def _report(self) -> None:
        """Tell on the board how the service stands, when that changed, and now and then."""
        report, now = self.report(), self._clock()
        said = (report.taken, report.stopped, *((m.name, m.state) for m in report.models))
        if said == self._said and now - self._beat < _BEAT_SECONDS:
            return

        def job(transaction: Transaction) -> None:
            pin(transaction, SERVICE, self.id, report)
            for topic in (SERVICE, ANSWER):
                for one in notes(transaction.db, topic):
                    if one.changed < transaction.now - _OLD_SECONDS:
                        unpin(transaction, topic, one.name)

        try:
            await self._store.run(job)
        except UnavailableError:
            return  # told at the next beat
        self._said, self._beat = said, now
