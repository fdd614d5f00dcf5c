"""The thread that holds and shared limits are kept by, for the event loop that asks."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from keelmark.core.errors import UnavailableError
from keelmark.core.metering import Amounts, Hold, Level, Rate, Short
from keelmark.store.holds import HoldDesk, Job, Shelf

_BATCH = 256
_NUDGE = Job("", None, None)
_OWED = ("end", "abandon", "leave")  # done later, when the database does not answer now
_LATER = 0.02  # seconds; in which what has ended waits to be done together with what begins
_POLL = 0.05  # seconds; how soon one hears of what other processes have let go of


class SharedMeter:
    """Holds and limits of one process among several: `Holds` and `Rates` of `core.ports`.

    Args:
        shelf: Makes the database, on the thread that uses it.
    """

    def __init__(self, shelf: Callable[[], Shelf]) -> None:
        self.owner = secrets.token_hex(8)
        self._make = shelf
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ended: deque[Job] = deque()
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._failed: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keelmark-meter", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    # --- Holds ---

    async def reserve(self, hold: Hold) -> Short | None:
        """See `keelmark.core.ports.Holds`."""
        try:
            short: Short | None = await self._ask("reserve", hold)
        except BaseException:  # boundary: who does not hear of it does not keep it
            self._put(Job("end", hold.id, None))  # behind it in the queue
            raise
        return short

    def end(self, hold: Hold, charged: Amounts | None) -> None:  # noqa: ARG002 (others need it)
        """See `keelmark.core.ports.Holds`."""
        self._put_later(Job("end", hold.id, None))

    def abandon(self, hold: Hold) -> None:
        """See `keelmark.core.ports.Holds`."""
        self._put(Job("abandon", hold.id, None))

    async def freed(self, seconds: float) -> None:
        """See `keelmark.core.ports.Holds`."""
        self._flush()
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting, min(seconds, _POLL))
        finally:
            self._waiting.discard(waiting)

    # --- Rates ---

    async def enter(self, call: str, rates: Sequence[Rate]) -> list[Level]:
        """See `keelmark.core.ports.Rates`."""
        try:
            levels: list[Level] = await self._ask("enter", (call, rates))
        except asyncio.CancelledError:
            self._put(Job("leave", (call, rates, 0), None))
            raise
        return levels

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:
        """See `keelmark.core.ports.Rates`."""
        self._put_later(Job("leave", (call, rates, tokens), None))

    # --- reconciliation ---

    async def lost(self) -> dict[str, list[Hold]]:
        """Return the holds of every owner that lives no more, and take its lock.

        Whoever has them charges them, and then calls `forget`.
        """
        found: dict[str, list[Hold]] = await self._ask("lost", None)
        return found

    async def forget(self, owner: str, holds: Sequence[str]) -> None:
        """Take away holds of a dead owner, and the rest of what it had; give its lock back."""
        await self._ask("forget", (owner, list(holds)))

    async def held(self) -> dict[str, Amounts]:
        """Return what is held of each account now."""
        amounts: dict[str, Amounts] = await self._ask("held", None)
        return amounts

    def close(self) -> None:
        """Finish what is queued, and close. What this process still holds is left behind."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    # --- between the threads ---

    def _put(self, job: Job) -> None:
        if self._closed:
            raise UnavailableError("The meter is closed; open it again.", retryable=False)
        self._queue.put(job)

    def _put_later(self, job: Job) -> None:
        """Have something done soon: a thread that is woken for each costs more than it does."""
        if self._closed:
            raise UnavailableError("The meter is closed; open it again.", retryable=False)
        first = not self._ended
        self._ended.append(job)
        if not first and not self._waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
            return
        loop.call_later(0 if self._waiting else _LATER, self._flush)

    def _flush(self) -> None:
        if self._ended and not self._closed:
            self._queue.put(_NUDGE)

    def _drained(self) -> list[Job]:
        return [self._ended.popleft() for _ in range(len(self._ended))]

    async def _ask(self, kind: str, what: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._put(Job(kind, what, future))
        return await future

    def _work(self) -> None:
        try:
            shelf = self._make()
            shelf.claim(self.owner)
        except BaseException as error:  # boundary: who opens it is told
            self._failed = error
            return
        finally:
            self._ready.set()
        desk, owed = HoldDesk(shelf, self.owner), list[Job]()
        try:
            while True:
                waiting, last = self._taken()
                owed += self._drained()  # after what was asked for: it may end that
                batch = [*owed, *waiting]
                results = _run(desk, batch) if batch else []
                done = zip(batch, results, strict=True)
                owed = [job for job, (_, error) in done if error and job.kind in _OWED]
                self._deliver(batch, results)
                if last:
                    return
        finally:
            shelf.close()

    def _taken(self) -> tuple[list[Job], bool]:
        """Everything that is asked for now, once there is something; and whether it is the last."""
        jobs: list[Job] = []
        job = self._queue.get()
        while True:
            if job is None:
                return jobs, True
            if job is not _NUDGE:
                jobs.append(job)
            if len(jobs) >= _BATCH or self._queue.empty():
                return jobs, False
            job = self._queue.get()

    def _deliver(self, batch: list[Job], results: list[tuple[Any, BaseException | None]]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Any, Any]]] = {}
        for job, result in zip(batch, results, strict=True):
            if job.future is not None:
                loops.setdefault(job.future.get_loop(), []).append((job.future, result))
        if self._waiting and any(job.kind == "end" for job in batch):
            for waiting in list(self._waiting):
                loops.setdefault(waiting.get_loop(), []).append((waiting, (None, None)))
        for loop, answers in loops.items():
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: list[tuple[asyncio.Future[Any], tuple[Any, BaseException | None]]]) -> None:
    for future, (value, error) in answers:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _run(desk: HoldDesk, batch: list[Job]) -> list[tuple[Any, BaseException | None]]:
    """Do all of a batch in one transaction, or each alone where that fails."""
    try:
        with desk.shelf.transaction():
            return [(value, None) for value in desk.run(batch)]
    except Exception as error:  # boundary: everybody who waits must hear of it
        if len(batch) > 1 and not isinstance(error, UnavailableError):
            return [result for job in batch for result in _run(desk, [job])]
        return [(None, error)] * len(batch)
