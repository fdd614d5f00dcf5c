"""The first process of several: starts the workers, starts them again, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from keelmark.app.composing import Gauge
from keelmark.app.engines import Say, Settings
from keelmark.app.front import Front
from keelmark.app.workers.channel import Channel
from keelmark.app.workers.messages import Begin, Standing, Use
from keelmark.app.workers.office import Office, Shared
from keelmark.app.workers.remote import describe
from keelmark.app.workers.tally import make_words
from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.policy import Policy
from keelmark.guard import Guard
from keelmark.serve.engine import Engine
from keelmark.serve.gateway import Gateway
from keelmark.serve.server import GRACE_SECONDS

log = logging.getLogger("keelmark.app")

_LOOK_SECONDS = 0.2
_TOGETHER: dict[str, Callable[[list[float]], float]] = {
    "keelmark_engine_left_alone": max,
    "keelmark_engine_error_ratio": fmean,
}
"""What is not added up of the workers' measures."""
_FIRST_SECONDS, _LONGEST_SECONDS, _STABLE_SECONDS = 0.5, 30.0, 60.0
_GRACE = GRACE_SECONDS + 5.0


class Job(NamedTuple):
    """What the workers are for.

    Attributes:
        data: Data folder.
        guard: By what they judge in the beginning.
        engines: The engines; the list may change.
        shared: What all workers use.
        say: Gets lines for a person.
        stopped: Told when a worker has ended by itself: its number, and of what.
    """

    data: str
    guard: Guard
    engines: Sequence[Engine]
    shared: Shared
    say: Say
    stopped: Callable[[int, str], Coroutine[Any, Any, None]]


class _Hand(NamedTuple):
    """One running worker."""

    slot: int
    process: asyncio.subprocess.Process
    channel: Channel
    office: Office


class Crew(Front):
    """The workers of a service, seen from the first process.

    Args:
        gateway: Made of what the first process has; it does not serve, but knows what would not.
        settings: What the service was asked for.
        job: What they are for.
    """

    def __init__(self, gateway: Gateway, settings: Settings, job: Job) -> None:
        super().__init__(gateway, settings)
        self._job, self._guard = job, job.guard
        self._size = settings.workers
        self._hands: dict[int, _Hand] = {}
        self._serving: set[int] = set()
        self._stop = asyncio.Event()
        self._standing = Standing((), "")
        self._tasks: set[asyncio.Task[None]] = set()
        self._words, self._memory = make_words(self._size)
        self._life, self._alive = os.pipe()  # nobody writes: it ends when this process does

    def use(self, guard: Guard, policy: Policy) -> None:  # type: ignore[override]
        """Have every worker judge by another policy; one that cannot is started again."""
        super().use(guard, policy)
        self._guard = guard
        for hand in self._hands.values():
            self._spawn(self._switch(hand, guard))

    def gauges(self) -> list[Gauge]:
        """Return what all workers measure, together."""
        found: dict[tuple[str, str], list[float]] = {}
        for hand in self._hands.values():
            for name, engine, value in hand.office.gauges:
                found.setdefault((name, engine), []).append(value)
        return [(*key, _TOGETHER.get(key[0], sum)(values)) for key, values in found.items()]

    async def serve(self, listener: socket.socket, started: Callable[[], None]) -> None:
        """Run the workers until the process is told to stop.

        Args:
            listener: The socket they share.
            started: Called when all of them serve.

        Raises:
            UnavailableError: One of them does not even start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop, number)
        await self._look()
        ready: list[asyncio.Future[None]] = [loop.create_future() for _ in range(self._size)]
        keeping = [
            asyncio.create_task(self._keep(slot, listener, ready[slot]))
            for slot in range(self._size)
        ]
        try:
            if await self._all(ready):
                started()
                await self._watch_over()
        finally:
            self._stop.set()
            await self._end(keeping)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _all(self, ready: list[asyncio.Future[None]]) -> bool:
        """Wait until all workers serve; say whether they do, or the service is to stop first."""
        whole = asyncio.gather(*ready)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((whole, stop), return_when=asyncio.FIRST_COMPLETED)
            if whole.done():
                await whole
            return whole.done()
        finally:
            stop.cancel()
            if not whole.done():
                whole.cancel()
            for one in ready:
                if one.done() and not one.cancelled():
                    one.exception()

    async def _watch_over(self) -> None:
        """Tell the workers how the service stands, until it is to stop."""
        while not self._stop.is_set():
            try:
                await self._look()
            except Exception:  # boundary: whatever it is, the service goes on
                log.exception("How the engines stand cannot be told to the workers.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stop.wait()

    async def _end(self, keeping: list[asyncio.Task[None]]) -> None:
        """End the workers: those that finish their requests in time by themselves."""
        for hand in self._hands.values():
            with contextlib.suppress(ProcessLookupError):
                hand.process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await asyncio.gather(*keeping, return_exceptions=True)
        except TimeoutError:
            self._kill()
            await asyncio.gather(*keeping, return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        os.close(self._alive)
        os.close(self._life)
        os.close(self._memory)
        self._words.close()

    # --- one worker ---

    async def _keep(self, slot: int, listener: socket.socket, ready: asyncio.Future[None]) -> None:
        """Keep one worker running: the first time it must start, later it is tried for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stop.is_set():
            began = loop.time()
            try:
                reason = await self._one_life(slot, listener, ready)
            except Exception as error:  # boundary: a defect of ours must not end the service
                log.exception("A worker could not be looked after.")
                reason = f"could not be looked after ({type(error).__name__})."
            if not ready.done():
                ready.set_exception(UnavailableError(f"Worker {slot + 1} {reason}"))
                return
            if self._stop.is_set():
                return
            failures = 1 if loop.time() - began >= _STABLE_SECONDS else failures + 1
            pause = 0.0 if failures == 1 else _pause(failures)
            when = f" in {pause:.1f} s" if pause else ""
            self._job.say(f"WARNING: Worker {slot + 1} {reason} Another one starts{when}.")
            self._spawn(self._job.stopped(slot + 1, reason))  # which nobody waits for
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()

    async def _one_life(
        self, slot: int, listener: socket.socket, ready: asyncio.Future[None]
    ) -> str:
        """Run one worker to its end; return of what it ended."""
        office, gone = Office(self._job.shared), asyncio.Event()
        channel = Channel(office.answer, office.hear, gone.set)
        try:
            hand = _Hand(slot, await self._launch(listener, channel), channel, office)
        except OSError as error:
            return f"cannot be started ({error.strerror})."
        self._hands[slot] = hand
        reason = ""
        try:
            await channel.ask(self._begin(slot))
            self._serving.add(slot)
            if not ready.done():
                ready.set_result(None)
            await hand.process.wait()
        except KeelmarkError as error:
            reason = f"does not serve: {error.message}" if not gone.is_set() else ""
        finally:
            self._serving.discard(slot)
            del self._hands[slot]
            if hand.process.returncode is None and reason:
                hand.process.kill()
            status = await hand.process.wait()
            await gone.wait()  # everything that it has sent is taken up
            office.close()
            self._words.clear(slot)
        return reason or _cause(status)

    async def _launch(
        self, listener: socket.socket, channel: Channel
    ) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)  # noqa: FBT003 (the signature of socket)
            theirs.setblocking(False)  # noqa: FBT003
            fds = (theirs.fileno(), listener.fileno(), self._memory, self._life)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "keelmark.app.workers.worker"),
                *map(str, (*fds, self._size)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=fds,
                start_new_session=True,  # an interrupt typed at the terminal is for this process
            )
        except BaseException:  # boundary: no descriptor stays open behind a failed start
            ours.close()
            raise
        finally:
            theirs.close()
        await channel.join(ours)
        return process

    def _begin(self, slot: int) -> Begin:
        settings = self._settings
        return Begin(
            data=self._job.data,
            host=settings.host,
            port=settings.port,
            transport=settings.transport,
            upstreams=settings.upstreams,
            slot=slot,
            policy=self._guard.policy,
            shadow=self._guard.second,
            standing=self._standing,
        )

    async def _switch(self, hand: _Hand, guard: Guard) -> None:
        try:
            digests = await hand.channel.ask(Use(guard.policy, guard.second), list[str])
        except KeelmarkError:
            digests = []
        if tuple(digests) != guard.digests and self._hands.get(hand.slot) is hand:
            hand.process.kill()  # the next one begins with the policy that is in force now

    # --- how the service stands ---

    async def _look(self) -> None:
        """Tell the workers what has changed."""
        engines = tuple([await describe(engine, self._size) for engine in self._job.engines])
        standing = Standing(engines, self._said())
        if standing != self._standing:
            self._standing = standing
            for hand in self._hands.values():
                hand.channel.tell(standing)

    def _said(self) -> str:
        missing = self._size - len(self._serving)
        crew = f"{missing} of {self._size} workers are not running now." if missing else ""
        return " ".join(filter(None, (self.note, crew)))

    def _told_to_stop(self, number: int) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            self._kill()
        self._stop.set()

    def _kill(self) -> None:
        for hand in self._hands.values():
            with contextlib.suppress(ProcessLookupError):
                hand.process.kill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Looking after the workers failed.", exc_info=error)


def _pause(failures: int) -> float:
    """Seconds before the next start of a worker that has failed so often in a row."""
    return min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 2, 30))


def _cause(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}."
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}."
    return f"was killed by signal {-status}."
