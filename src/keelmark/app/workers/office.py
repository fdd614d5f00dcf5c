"""What the first process does for one worker: write, count, hold, lend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from keelmark.app.workers.messages import (
    Abandon,
    Ask,
    Control,
    EndHold,
    Enter,
    Exposition,
    Gauges,
    GiveBack,
    Keep,
    Leave,
    Reserve,
    Seen,
    Take,
    Tell,
    Used,
    Wait,
    Write,
)
from keelmark.core.errors import UsageError
from keelmark.core.metering import Hold, Rate
from keelmark.core.ports import Holds, Rates, Recorder
from keelmark.core.rollouts import Plan
from keelmark.observe.metrics import Metrics
from keelmark.serve.hosted import Leases
from keelmark.serve.steering import Controls
from keelmark.store.kept import StoredAnswers


class Shared(NamedTuple):
    """What all workers use and one process has.

    Attributes:
        recorder: Writes requests down.
        metrics: Counts for the whole service.
        leases: Lends places at local models.
        rates: Limits, or None where nobody meters.
        holds: What is held of budgets, likewise.
        controls: What `/api/v1` can tell the service to do.
        answers: Keeps answers for the same request again.
    """

    recorder: Recorder
    metrics: Metrics
    leases: Leases
    rates: Rates | None = None
    holds: Holds | None = None
    controls: Controls | None = None
    answers: StoredAnswers | None = None


class Office:
    """The counterpart of one worker; knows what the worker has, to take it back when it dies.

    Args:
        shared: What all workers use.

    Attributes:
        gauges: What the worker measures: name of a metric, engine, value.
    """

    def __init__(self, shared: Shared) -> None:
        self.gauges: tuple[tuple[str, str, float], ...] = ()
        self._closed = False
        self._shared = shared
        self._inside: dict[str, tuple[Rate, ...]] = {}
        self._held: dict[str, Hold] = {}
        self._lent: Counter[str] = Counter()
        self._answers: dict[type[Ask], Callable[[Any], Awaitable[object]]] = {
            Write: self._write,
            Exposition: self._exposition,
            Take: self._take,
            Enter: self._enter,
            Reserve: self._reserve,
            Wait: self._wait,
            Control: self._control,
            Keep: self._keep,
        }
        self._deeds: dict[type[Tell], Callable[[Any], None]] = {
            Seen: self._seen,
            Gauges: self._measured,
            GiveBack: self._give_back,
            Leave: self._leave,
            EndHold: self._end,
            Abandon: self._abandon,
            Used: self._used,
        }

    async def answer(self, body: Ask) -> object:
        """Answer a question of the worker."""
        return await self._answers[type(body)](body)

    def hear(self, body: Tell) -> None:
        """Take what the worker says."""
        self._deeds[type(body)](body)

    def close(self) -> None:
        """The worker is gone: whatever it had is free again, and what it held is lost."""
        shared, self._closed = self._shared, True
        if shared.rates is not None:
            for call, rates in self._inside.items():
                shared.rates.leave(call, rates, None)
        if shared.holds is not None:
            for hold in self._held.values():
                shared.holds.abandon(hold)
        for base in self._lent.elements():
            shared.leases.give_back(base)
        self._inside, self._held, self._lent = {}, {}, Counter()

    # --- questions ---

    async def _write(self, body: Write) -> None:
        await self._shared.recorder.record(body.trace, body.content, body.usage)
        self._shared.metrics.observe(body.trace)

    async def _exposition(self, _: Exposition) -> str:
        return self._shared.metrics.render()

    async def _take(self, body: Take) -> object:
        place = await self._shared.leases.take(body.base, scores=body.scores)
        self._lent[body.base] += 1
        if self._closed:
            self._give_back(GiveBack(body.base))
        return place

    async def _enter(self, body: Enter) -> object:
        if self._shared.rates is None:
            raise UsageError("Nobody meters here: this is a defect, please report it.")
        levels = await self._shared.rates.enter(body.call, body.rates)
        if not any(level.wait for level in levels):
            self._inside[body.call] = body.rates
            if self._closed:
                self._leave(Leave(body.call, body.rates, None))
        return levels

    async def _reserve(self, body: Reserve) -> object:
        if self._shared.holds is None:
            raise UsageError("Nobody meters here: this is a defect, please report it.")
        short = await self._shared.holds.reserve(body.hold)
        if short is None:
            self._held[body.hold.id] = body.hold
            if self._closed:
                self._end(EndHold(body.hold, None))
        return short

    async def _wait(self, body: Wait) -> None:
        if self._shared.holds is not None:
            await self._shared.holds.freed(body.seconds)

    async def _control(self, body: Control) -> object:
        controls = self._shared.controls
        if controls is None:
            raise UsageError("This service cannot be told anything.")
        match body.deed, body.words, body.plan:
            case "models", (), None:
                return await controls.models()
            case "act", (verb, name, reason, who), None:
                return await controls.act(verb, name, reason, who)
            case "rollouts", (), None:
                return await controls.rollouts()
            case "roll_out", (name, to, reason, who), Plan() as plan:
                await controls.roll_out(name, to, plan, reason, who)
            case "abort", (name, reason, who), None:
                await controls.abort(name, reason, who)
            case _:
                raise UsageError("This cannot be asked of the service: please report it.")
        return None

    async def _keep(self, body: Keep) -> None:
        if self._shared.answers is not None:
            await self._shared.answers.keep(body.answer, body.room)

    # --- what wants no answer ---

    def _used(self, body: Used) -> None:
        if self._shared.answers is not None:
            self._shared.answers.used(body.name)

    def _seen(self, body: Seen) -> None:
        self._shared.metrics.observe(body.trace)

    def _measured(self, body: Gauges) -> None:
        self.gauges = body.values

    def _give_back(self, body: GiveBack) -> None:
        self._lent[body.base] -= 1
        self._shared.leases.give_back(body.base)

    def _leave(self, body: Leave) -> None:
        if self._shared.rates is not None and self._inside.pop(body.call, None) is not None:
            self._shared.rates.leave(body.call, body.rates, body.tokens)

    def _end(self, body: EndHold) -> None:
        if self._shared.holds is not None and self._held.pop(body.hold.id, None) is not None:
            self._shared.holds.end(body.hold, body.charged)

    def _abandon(self, body: Abandon) -> None:
        if self._shared.holds is not None and self._held.pop(body.hold.id, None) is not None:
            self._shared.holds.abandon(body.hold)
