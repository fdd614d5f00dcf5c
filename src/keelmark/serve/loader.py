"""Which of several models are in memory: loaded when they are asked for, within a budget.

One model is loaded or unloaded at a time. Who waits longest comes first; what makes room is the
model that was used least recently and has no request at work. A model that was loaded stays for a
while, whoever else waits, so that two models that do not fit together take turns instead of
chasing each other out. When nothing idle makes room, the model at work takes no new request: those
wait in its line, those at work end in peace, then it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable

from keelmark.core.errors import KeelmarkError, LimitError, UnavailableError, UsageError
from keelmark.serve.berths import Berth, Loadable, Standing, Turns, WaitedError, Waiter

log = logging.getLogger("keelmark.serve")
STOPPING = "The service is stopping."
"""Why a model is unloaded at the end."""


class Loader:
    """Keeps models in memory within a budget.

    Args:
        budget: Memory for all models together, bytes.
        turns: Time limits.
        clock: Seconds; only differences count.

    Attributes:
        berths: Name to what is known of the model.
        changed: Called when a model comes to stand elsewhere.
    """

    def __init__(
        self,
        budget: int,
        turns: Turns = Turns(),  # noqa: B008 (it is a value)
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget, self.turns = budget, turns
        self.berths: dict[str, Berth] = {}
        self.changed: Callable[[Berth], None] = lambda _berth: None
        self._clock = clock
        self._draining: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def taken(self) -> int:
        """Memory that models take now, bytes."""
        return sum(berth.takes for berth in self.berths.values())

    def add(self, model: Loadable) -> None:
        """Take up a model; it is loaded when it is asked for.

        Raises:
            UsageError: There is one of this name.
            LimitError: It does not fit into the budget even alone.
        """
        if model.name in self.berths:
            raise UsageError(f"Two models are called {model.name!r}: give one NAME=REF.")
        if model.need > self.budget:
            raise LimitError(
                f"{model.name} needs about {_mib(model.need)} of memory and the budget is "
                f"{_mib(self.budget)}: raise it (--memory), or give a smaller --context."
            )
        self.berths[model.name] = Berth(model, self._clock())

    async def remove(self, name: str) -> None:
        """Unload a model when its requests have ended, and forget it."""
        berth = self.berths[name]
        berth.removed = True
        self._answer(berth, _taken_out(name))
        await self.unload(name, "It was taken out of the service.")
        del self.berths[name]

    async def lease(self, name: str, *, patient: bool = False) -> None:
        """Wait until a model is in memory, and keep it there until `release`.

        Args:
            name: The model.
            patient: Wait for as long as it takes.

        Raises:
            WaitedError: It took too long, or too many wait already, or it does not load.
            KeelmarkError: Loading it failed just now.
        """
        berth = self.berths.get(name)
        if berth is None or berth.removed or self._closed:
            raise _taken_out(name)
        if berth.standing is Standing.LOADED and not berth.waiters and self._stays(berth):
            berth.users += 1
            return
        self._refuse_late(berth)
        waiter = Waiter(self._clock(), asyncio.get_running_loop().create_future())
        berth.waiters.append(waiter)
        self._look()
        try:
            async with asyncio.timeout(None if patient else self.turns.wait):
                await waiter.granted
        except BaseException as error:  # boundary: what was granted must not be kept by nobody
            if waiter in berth.waiters:
                berth.waiters.remove(waiter)
                self._look()
            elif _came(waiter.granted):
                self.release(name)
            if isinstance(error, TimeoutError):
                raise self._late(berth, f"did not come within {self.turns.wait:g} s") from None
            raise

    def release(self, name: str) -> None:
        """A request has ended that had a lease."""
        berth = self.berths[name]
        berth.users -= 1
        berth.used = self._clock()
        if not berth.users:
            self._look()

    async def load(self, name: str) -> None:
        """Bring a model into memory, however long that takes. Raises as `lease`."""
        await self.lease(name, patient=True)
        self.release(name)

    async def unload(self, name: str, reason: str) -> None:
        """Take a model out of memory as soon as its requests have ended; new ones wait."""
        berth = self.berths[name]
        if berth.standing in (Standing.UNLOADED, Standing.FAILED):
            return
        if berth.standing is not Standing.UNLOADING:
            berth.leaving = reason
        if berth.gone is None:
            berth.gone = asyncio.get_running_loop().create_future()
        self._look()
        await asyncio.shield(berth.gone)

    async def close(self) -> None:
        """Refuse whoever waits, and unload everything, whatever is at work."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for berth in self.berths.values():
            self._answer(berth, UnavailableError(STOPPING))
            if berth.takes:
                await self._unload(berth, STOPPING)

    def fits(self, *names: str) -> bool:
        """Whether models can be in memory at once."""
        return sum(self.berths[name].model.need for name in names) <= self.budget

    def rests(self, berth: Berth) -> float:
        """How long a model that did not load is still left alone, seconds; 0 when it is not."""
        if berth.standing is not Standing.FAILED:
            return 0.0
        return max(0.0, berth.since + self.turns.rest - self._clock())

    # --- what to do next ---

    def _stays(self, berth: Berth) -> bool:
        return not berth.leaving and berth.model.name not in self._draining

    def _refuse_late(self, berth: Berth) -> None:
        if (left := self.rests(berth)) > 0:
            name = berth.model.name
            raise WaitedError(f"The model {name} cannot be loaded now: try again later.", left)
        if len(berth.waiters) >= self.turns.line:
            raise self._late(berth, f"has {self.turns.line} requests waiting for it already")

    def _late(self, berth: Berth, why: str) -> WaitedError:
        return WaitedError(
            f"The model {berth.model.name} is not in memory and {why}: try again later.",
            max(berth.took, self.turns.stay / 2),
        )

    def _look(self) -> None:
        """Something changed: see what is to be done."""
        self._wake.set()
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            berth, pause = self._next()
            if berth is None:
                if pause is None and not any(b.waiters for b in self.berths.values()):
                    return  # `_look` begins again
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
            elif berth.standing is Standing.LOADED:
                await self._unload(berth, berth.leaving or self._for_whom())
            else:
                await self._load(berth)

    def _next(self) -> tuple[Berth | None, float | None]:
        """The berth to load or unload now; else seconds after which to look again, if any."""
        self._draining.clear()
        found, pause = self._decide()
        for berth in self.berths.values():
            if berth.standing is Standing.LOADED and berth is not found and self._stays(berth):
                self._answer(berth, None)
        return found, pause

    def _decide(self) -> tuple[Berth | None, float | None]:
        loaded = [b for b in self.berths.values() if b.standing is Standing.LOADED]
        for berth in loaded:
            if berth.leaving and not berth.users:
                return berth, None
        wanted = self._wanted()
        if wanted is None:
            return None, None
        missing = self.taken + wanted.model.need - self.budget
        if missing <= 0:
            return wanted, None
        now = self._clock()
        settled = [b for b in loaded if now >= b.since + self.turns.stay or b.leaving]
        settled.sort(key=lambda b: (b.users > 0, b.used))
        chosen: list[Berth] = []
        for berth in settled:
            if missing > 0:
                chosen.append(berth)
                missing -= berth.model.need
        if missing > 0:  # somebody has to stay a little longer
            waits = [b.since + self.turns.stay - now for b in loaded if b not in settled]
            return None, max(min(waits, default=self.turns.stay), 0.001)
        self._draining = {berth.model.name for berth in chosen}
        return next((berth for berth in chosen if not berth.users), None), None

    def _wanted(self) -> Berth | None:
        """The model that is not in memory and was asked for first."""
        away = (Standing.UNLOADED, Standing.FAILED)
        asked = [b for b in self.berths.values() if b.waiters and b.standing in away]
        return min(asked, key=lambda b: b.waiters[0].since, default=None)

    def _for_whom(self) -> str:
        wanted = self._wanted()
        return f"To make room for {wanted.model.name}." if wanted else ""

    # --- doing it ---

    async def _load(self, berth: Berth) -> None:
        began = self._clock()
        self._enter(berth, Standing.LOADING)
        try:
            await berth.model.load()
        except Exception as error:  # boundary: whoever waits for it must hear of it
            if not isinstance(error, KeelmarkError):
                log.exception("The model %s could not be loaded.", berth.model.name)
            said = error.message if isinstance(error, KeelmarkError) else type(error).__name__
            self._enter(berth, Standing.FAILED, said)
            self._answer(berth, error)
            self._left(berth)
            return
        berth.took = self._clock() - began
        berth.used = self._clock()
        self._enter(berth, Standing.LOADED)
        if not berth.leaving:
            self._answer(berth, None)

    async def _unload(self, berth: Berth, reason: str) -> None:
        self._enter(berth, Standing.UNLOADING)
        try:
            await berth.model.unload(reason)
        except Exception:  # boundary: its process is gone or will be; the loader goes on
            log.exception("The model %s was not unloaded cleanly.", berth.model.name)
        self._enter(berth, Standing.UNLOADED)
        self._left(berth)

    def _left(self, berth: Berth) -> None:
        berth.leaving = ""
        if berth.gone is not None and not berth.gone.done():
            berth.gone.set_result(None)
        berth.gone = None

    def _enter(self, berth: Berth, standing: Standing, reason: str = "") -> None:
        berth.standing, berth.reason, berth.since = standing, reason, self._clock()
        self.changed(berth)

    def _answer(self, berth: Berth, error: Exception | None) -> None:
        """Let in whoever waits, or tell them what is wrong."""
        waiters, berth.waiters = berth.waiters, deque()
        for waiter in waiters:
            if waiter.granted.done():  # it has just given up
                continue
            if error is None:
                berth.users += 1
                waiter.granted.set_result(None)
            else:
                waiter.granted.set_exception(error)


def _came(granted: asyncio.Future[None]) -> bool:
    return granted.done() and not granted.cancelled() and granted.exception() is None


def _taken_out(name: str) -> UnavailableError:
    return UnavailableError(f"The model {name} was taken out of the service.")


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
