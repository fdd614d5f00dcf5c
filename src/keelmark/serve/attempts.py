"""A call with a plan: tried at one target after the other, or at two at once, until one answers.

Every attempt is a copy of the serving with a body, a guard and a trace of its own, so nothing of
one is seen by another. The first byte for the client belongs to one attempt: from there on no other
one is heard. What is recorded in the end is that attempt, with what became of the others.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from keelmark.core import semconv
from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.routing import Failure
from keelmark.serve.errors import ApiError
from keelmark.serve.targets import Plan, Target
from keelmark.serve.wire import Wire

if TYPE_CHECKING:
    from keelmark.serve.serving import Serving

AFTER_FIRST_BYTE = b"x-keelmark-after-first-byte"
MARKER = b'event: keelmark.restart\ndata: {"object":"keelmark.restart","discard":"all"}\n\n'
"""Says that everything so far is void, and that the answer begins again."""

_decode = msgspec.json.Decoder().decode
_CODES: dict[str, Failure] = {
    "engine_unavailable": "connect",
    "engine_slow": "slow",
    "engine_error": "server_error",
    "engine_gone": "broken",
    "engine_protocol": "broken",
    "unattested": "refused",
    "model_loading": "busy",
    "model_stopped": "busy",
    "overloaded": "busy",
    "too_many_waiting": "busy",
    "cannot_start_in_time": "busy",
    "insufficient_quota": "over_budget",
    "engine_takes_text": "unable",
}
_CLIENTS = (400, 413, 422)
"""What an engine answers when the client is wrong."""


def failure_of(error: KeelmarkError, *, asked: bool) -> Failure | None:
    """Return what went wrong with the engine; None when it was not the engine.

    Args:
        error: What was raised.
        asked: Whether the engine had been asked.
    """
    if not isinstance(error, ApiError):
        return "connect" if asked and isinstance(error, UnavailableError) else None
    status = error.engine_status
    if status == 429:
        return "rate_limited"
    if error.status == 501:
        return "unable"
    if 400 <= status < 500 and status not in _CLIENTS:
        return "refused"
    return _CODES.get(error.code)


class _FailedError(Exception):
    """An attempt came to nothing.

    Attributes:
        error: Why, for the client.
        kind: What went wrong with the engine, if it was that.
        rests: Whether the engine was not asked, because it is left alone.
    """

    def __init__(self, error: KeelmarkError, kind: Failure | None, *, rests: bool = False) -> None:
        super().__init__(error.message)
        self.error, self.kind, self.rests = error, kind, rests


class _LateError(KeelmarkError):
    """Another attempt has answered first."""

    def __init__(self) -> None:
        super().__init__("Another engine has answered first.")


class _Attempt(Wire):
    """One attempt, and its way to the client: open for the first one that has something to say.

    Args:
        attempts: All of them.
        target: Where it goes.
    """

    def __init__(self, attempts: Attempts, target: Target) -> None:
        self.started = False
        self.target = target
        self.began = perf_counter()
        self.asked = False
        self.serving = attempts.fork(self, target)
        self._attempts = attempts
        self._clock = asyncio.timeout(None)

    async def events(self, data: bytes) -> None:
        """See Wire."""
        if not self.started:
            data = self._attempts.commit(self) + data
            self.started = True
            self._clock.reschedule(None)
        await self._attempts.serving.wire.events(data)

    async def answer(self) -> bytes:
        """Prepare the call for the target, ask there, and return the last bytes of the answer."""
        serving, seconds = self.serving, self.target.seconds
        try:
            async with self._clock:
                for stage in serving.each:
                    serving.call = await stage(serving.desk, serving.call)
                self.asked = True
                serving.at_engine, serving.at_answer = self._begin, self._answered
                return await serving.ask()
        except TimeoutError:
            if not self._clock.expired():
                raise
            said = f"The engine did not begin to answer within {seconds:g} seconds: try again."
            raise ApiError(504, "engine_slow", said) from None

    def _begin(self) -> None:
        """The call has its slot: from here on the engine is waited for, not a place in a queue."""
        if self.target.seconds is not None and not self.started:
            self._clock.reschedule(asyncio.get_running_loop().time() + self.target.seconds)

    def _answered(self) -> None:
        """The engine has begun to answer, and the guard waits for something else."""
        self._clock.reschedule(None)

    @property
    def first_byte(self) -> float:
        """Seconds until the first byte, or until the whole answer, as the trace has them."""
        timings = self.serving.trace.timings
        return float(timings.get("first_token", timings.get("engine", 0.0))) / 1000


class Attempts:
    """The attempts of one call.

    Args:
        serving: The call.
        plan: Who may answer.
    """

    def __init__(self, serving: Serving, plan: Plan) -> None:
        self.serving = serving
        self._plan, self._routes = plan, plan.routes
        self._call = serving.call
        self._origin = serving.trace
        self._attributes = dict(serving.trace.attributes)
        self._timings = dict(serving.trace.timings)
        self._waiting = deque(plan.targets)
        self._untouched = True  # whether the body is as it was sent
        self._winner: _Attempt | None = None
        self._latest: _Attempt | None = None
        self._running: dict[asyncio.Task[bytes], Target] = {}
        self._tried: list[str] = []
        self._began = perf_counter()

    async def run(self) -> bytes:
        """Return the last bytes of the first answer there is.

        Raises:
            KeelmarkError: Nobody answers: what the last one said that was asked.
        """
        error: KeelmarkError | None = None
        self._plan.health.budget.earn(self._routes.retry.budget)
        try:
            while target := self._next():
                try:
                    return await self._at(target)
                except _FailedError as failed:
                    error = failed.error
                    if not self._goes_on(failed):
                        break
                    self._winner = None
            raise error or self._all_rest()
        finally:
            self._take(final=True)

    def fork(self, attempt: _Attempt, target: Target) -> Serving:
        """Return a copy of the serving for one attempt."""
        trace = msgspec.structs.replace(
            self._origin,
            attributes=dict(self._attributes),
            timings=dict(self._timings),
            input=None,
            output=None,
        )
        body = self._call.body if self._untouched else _decode(self._call.own)
        self._untouched = False
        call = msgspec.structs.replace(self._call, body=body, target=target, trace=trace)
        return self.serving.fork(call, attempt)

    def commit(self, attempt: _Attempt) -> bytes:
        """Take an attempt for the one that answers; return what has to be said before it.

        Raises:
            _LateError: Another one answers already.
        """
        if self._winner not in (None, attempt):
            raise _LateError
        self._winner = attempt
        for task, target in self._running.items():
            if target is not attempt.target:
                task.cancel()
        self._take()
        return MARKER if self.serving.wire.started else b""

    def _next(self) -> Target | None:
        """The next target that is not left alone."""
        while self._waiting:
            target = self._waiting.popleft()
            if self._plan.health.of(target.engine.id).open:
                return target
            self._tried.append(f"{target.engine.id}: left alone")
        return None

    def _goes_on(self, failed: _FailedError) -> bool:
        """Whether the next target may be tried after a failure."""
        if failed.rests:
            return True
        if self.serving.wire.started:
            wished = self._call.request.headers.get(AFTER_FIRST_BYTE) == b"restart"
            return (
                wished
                and self._routes.after_first_byte == "restart"
                and self._call.voice is None
                and failed.kind == "broken"
            )
        return failed.kind in self._routes.next_on

    async def _at(self, target: Target) -> bytes:
        """Try a target, again where that may help."""
        retry, again = self._routes.retry, 0
        while True:
            try:
                return await self._one_of(target)
            except _FailedError as failed:
                if self._winner or again >= retry.attempts or failed.kind not in retry.after:
                    raise
                pause = self._pause(failed.error, again)
                if pause is None or not self._plan.health.budget.spend():
                    raise
            await asyncio.sleep(pause)
            again += 1

    def _pause(self, error: KeelmarkError, again: int) -> float | None:
        """Seconds to wait before the same engine is asked again; None: too long."""
        retry = self._routes.retry
        longest = retry.backoff_ms * 2**again / 1000
        pause = longest * (1 + random.random()) / 2  # noqa: S311 (so that not all come at once)
        if isinstance(error, ApiError) and error.retry_after is not None:
            pause += error.retry_after
        return pause if 1000 * pause <= retry.most_wait_ms + longest else None

    async def _one_of(self, target: Target) -> bytes:
        """Ask a target, and others beside it when it is late; return what comes first."""
        hedge, late = self._routes.hedge, self._late(target)
        if hedge is None or late is None:
            return await self._ask(target)
        running = self._running = {asyncio.create_task(self._ask(target)): target}
        left, failed = hedge.most, None
        try:
            while running:
                wait = late if left and self._winner is None else None
                done, _ = await asyncio.wait(
                    running, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    left -= 1
                    self._ask_beside(running, target)
                for task in done:
                    asked, winner = running.pop(task), self._winner
                    other = winner is not None and winner.target is not asked
                    if task.cancelled() or (other and task.exception()):
                        continue  # another one answers: whatever became of this one is no matter
                    try:
                        return task.result()
                    except _FailedError as one:
                        failed = one
                        if self._winner or not (one.kind or one.rests):
                            raise
            raise failed or _FailedError(_LateError(), None)
        finally:
            await _ended(running)

    def _ask_beside(self, running: dict[asyncio.Task[bytes], Target], late: Target) -> None:
        if self._plan.health.budget.spend():
            target = self._next() or late._replace()
            self._tried.append(f"{late.engine.id}: late, so {target.engine.id} was asked too")
            running[asyncio.create_task(self._ask(target))] = target

    def _late(self, target: Target) -> float | None:
        """Seconds after which a target is late; None: it never is."""
        hedge = self._routes.hedge
        if hedge is None:
            return None
        if hedge.percentile is None:
            return (hedge.after_ms or 0) / 1000
        pulse = self._plan.health.of(target.engine.id)
        return pulse.percentile(hedge.percentile, stream=self._origin.stream)

    async def _ask(self, target: Target) -> bytes:
        """Make one attempt."""
        pulse = self._plan.health.of(target.engine.id)
        entry = pulse.enter()
        if entry is None:
            raise _FailedError(self._all_rest(), None, rests=True)
        self._latest = attempt = _Attempt(self, target)
        failure: Failure | None = None
        answered = False
        try:
            last = await attempt.answer()
            if attempt.serving.trace.attributes.get(semconv.CACHE) != "hit":  # nor was it asked
                answered = True
                pulse.first_byte(attempt.first_byte, stream=self._origin.stream)
            if self._winner not in (None, attempt):
                raise _LateError
        except KeelmarkError as error:
            failure = failure_of(error, asked=attempt.asked)
            if not isinstance(error, _LateError):
                said = failure or (error.code if isinstance(error, ApiError) else "failed")
                spent = round(1000 * (perf_counter() - attempt.began))
                self._tried.append(f"{target.engine.id}: {said} after {spent} ms")
            raise _FailedError(error, failure) from None
        else:
            self._winner = attempt
            return last
        finally:
            entry.leave(failure if attempt.asked else None, answered=answered)
            if self._winner is not attempt:
                attempt.serving.forsake()

    def _all_rest(self) -> ApiError:
        seconds = [self._plan.health.of(one.engine.id).rest for one in self._plan.targets]
        return ApiError(
            503,
            "engine_unavailable",
            f"The engines of the route `{self._plan.name}` have failed and are left alone for a "
            "moment: try again later.",
            retry_after=max(1, round(min(seconds))),
        )

    def _take(self, *, final: bool = False) -> None:
        """Make what the attempt has come to that of the serving."""
        trace, attempt = self.serving.trace, self._winner or self._latest
        if attempt is not None:
            own = attempt.serving.trace
            trace.engine, trace.model_digest, trace.input = own.engine, own.model_digest, own.input
            trace.attributes, trace.timings = own.attributes, own.timings
            trace.attributes[semconv.ROUTE_WHY] = attempt.target.why
            self.serving.take(attempt.serving)
            if final and "first_token" in own.timings:
                before = 1000 * (attempt.began - self._began)
                own.timings["first_token"] = round(own.timings["first_token"] + before, 3)
        if self._tried:
            trace.attributes[semconv.ROUTE_TRIED] = self._tried


async def _ended(tasks: dict[asyncio.Task[bytes], Target]) -> None:
    """Cancel what still runs, and wait for its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
