"""What stands in a worker for what only the first process has: the store, engines, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from keelmark.app.workers.channel import Channel
from keelmark.app.workers.messages import (
    Abandon,
    Ask,
    Control,
    EndHold,
    EngineState,
    Enter,
    Exposition,
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
from keelmark.core.caching import KeptAnswer
from keelmark.core.errors import UnavailableError
from keelmark.core.metering import Amounts, Hold, Level, Rate, Short, Usage
from keelmark.core.rollouts import Plan
from keelmark.core.trace import Content, Trace
from keelmark.serve.engine import Endpoint, Engine, Scoring
from keelmark.store import Store
from keelmark.store.kept import StoredAnswers

T = TypeVar("T")


class RemoteRecorder:
    """Sends requests to the process that writes. Implements `keelmark.core.ports.Recorder`.

    Args:
        channel: The way to it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._written: set[int] = set()

    async def record(
        self, trace: Trace, content: Content | None, usage: Sequence[Usage] = ()
    ) -> None:
        """Return when the request is durable.

        Raises:
            KeelmarkError: It is not, or nobody can tell.
        """
        await self._channel.ask(Write(trace, content, tuple(usage)))
        self._written.add(id(trace))

    def seen(self, trace: Trace) -> None:
        """Have a request counted; one that was written down is counted already."""
        if id(trace) in self._written:
            self._written.discard(id(trace))
        else:
            self._channel.tell(Seen(trace))


class RemoteRates:
    """Limits that all workers share. Implements `keelmark.core.ports.Rates`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def enter(self, call: str, rates: Sequence[Rate]) -> Sequence[Level]:
        """See the port."""
        asked, given = tuple(rates), Leave(call, tuple(rates), None)
        return await _or_undo(self._channel, Enter(call, asked), list[Level], given)

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:
        """See the port."""
        self._channel.tell(Leave(call, tuple(rates), tokens))


class RemoteHolds:
    """Holds that all workers share. Implements `keelmark.core.ports.Holds`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def reserve(self, hold: Hold) -> Short | None:
        """See the port."""
        kind: Any = Short | None
        short: Short | None = await _or_undo(
            self._channel, Reserve(hold), kind, EndHold(hold, None)
        )
        return short

    def end(self, hold: Hold, charged: Amounts | None) -> None:
        """See the port."""
        self._channel.tell(EndHold(hold, charged))

    def abandon(self, hold: Hold) -> None:
        """See the port."""
        self._channel.tell(Abandon(hold))

    async def freed(self, seconds: float) -> None:
        """See the port."""
        await self._channel.ask(Wait(seconds))


class RemoteControls:
    """What only the first process can do. Implements `keelmark.serve.admin.Controls`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def models(self) -> dict[str, Any]:
        """See the protocol."""
        return await self._channel.ask(Control("models"), dict[str, Any])

    async def act(self, verb: str, name: str, reason: str, who: str) -> str:
        """See the protocol."""
        return await self._channel.ask(Control("act", (verb, name, reason, who)), str)

    async def rollouts(self) -> list[dict[str, Any]]:
        """See the protocol."""
        return await self._channel.ask(Control("rollouts"), list[dict[str, Any]])

    async def roll_out(self, name: str, to: str, plan: Plan, reason: str, who: str) -> None:
        """See the protocol."""
        await self._channel.ask(Control("roll_out", (name, to, reason, who), plan))

    async def abort(self, name: str, reason: str, who: str) -> None:
        """See the protocol."""
        await self._channel.ask(Control("abort", (name, reason, who)))


class RemoteLeases:
    """Places at models of the first process. Implements `keelmark.serve.hosted.Leases`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def take(self, base: str, *, scores: bool) -> Endpoint:
        """See the protocol."""
        return await _or_undo(self._channel, Take(base, scores), Endpoint, GiveBack(base))

    def give_back(self, base: str) -> None:
        """See the protocol."""
        self._channel.tell(GiveBack(base))


async def _or_undo(channel: Channel, body: Ask, kind: type[T], undo: Tell) -> T:
    """Ask for something; who stops waiting for it does not keep it."""
    asking = asyncio.ensure_future(channel.ask(body, kind))

    def late(done: asyncio.Future[T]) -> None:
        if not done.cancelled() and done.exception() is None:
            channel.tell(undo)

    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.add_done_callback(late)
        raise


class RemoteAnswers:
    """Finds kept answers here, keeps them there. Implements `keelmark.core.ports.Answers`.

    Args:
        channel: The way to the process that writes.
        store: Where they are found.
    """

    def __init__(self, channel: Channel, store: Store) -> None:
        self._channel = channel
        self._stored = StoredAnswers(store, lambda name: channel.tell(Used(name)))

    async def find(self, name: str) -> KeptAnswer | None:
        """See `keelmark.core.ports.Answers`."""
        return await self._stored.find(name)

    async def keep(self, answer: KeptAnswer, room: int) -> None:
        """See `keelmark.core.ports.Answers`. Raises KeelmarkError when it was not written."""
        await self._channel.ask(Keep(answer, room))


async def exposition(channel: Channel) -> str:
    """Return the text of `/metrics`, of the whole service."""
    return await channel.ask(Exposition(), str)


class RemoteEngine:
    """An engine that another process looks after. Implements `keelmark.serve.engine.Engine`.

    Args:
        state: How it stands.
    """

    def __init__(self, state: EngineState) -> None:
        self.id = state.id
        self.update(state)

    def update(self, state: EngineState) -> None:
        """Take up how it stands now."""
        self._state = state
        self.provider, self.models = state.provider, state.models
        self.digest, self.load_mode = state.digest, state.load_mode
        self.upstream_model, self.slots = state.upstream_model, state.slots
        self.state = state.state
        self.first_byte_seconds, self.quirks = state.first_byte_seconds, state.quirks

    async def start(self) -> None:
        """Nothing: the process that looks after it has started it."""

    async def stop(self) -> None:
        """Nothing: it is not ours to stop."""

    @property
    def ready(self) -> bool:
        """Whether it can take a request now."""
        return self._state.ready

    def endpoint(self) -> Endpoint:
        """Return where to send a request now. Raises UnavailableError when not ready."""
        if self._state.endpoint is None:
            raise UnavailableError(self._state.reason)
        return self._state.endpoint


class RemoteScoring(RemoteEngine):
    """One that scores prompts. Implements `keelmark.serve.engine.Scoring`."""

    def update(self, state: EngineState) -> None:
        """Take up how it stands now."""
        super().update(state)
        self.context, self.chat_template = state.context, state.chat_template
        self.reranks = state.reranks

    async def scorer(self) -> Endpoint:
        """Return where prompts are scored. Raises UnavailableError when nobody scores now."""
        if self._state.scores is None:
            raise UnavailableError(self._state.reason)
        return self._state.scores


async def describe(engine: Engine, workers: int) -> EngineState:
    """Return an engine as a worker is to know it.

    Args:
        engine: The engine.
        workers: How many share its slots. Each gets its part: together never more than there are,
            as long as there are as many slots as workers.
    """
    endpoint, scores, reason = None, None, ""
    scoring = engine if isinstance(engine, Scoring) else None
    try:
        endpoint = engine.endpoint()
        scores = await scoring.scorer() if scoring else None
    except UnavailableError as error:
        reason = error.message
    slots = getattr(engine, "slots", 0)
    return EngineState(
        id=engine.id,
        provider=engine.provider,
        models=engine.models,
        digest=engine.digest,
        load_mode=engine.load_mode,
        upstream_model=engine.upstream_model,
        first_byte_seconds=engine.first_byte_seconds,
        quirks=engine.quirks,
        ready=engine.ready,
        endpoint=endpoint,
        reason=reason,
        scores=scores,
        slots=max(1, slots // workers) if slots else 0,
        state=getattr(engine, "state", ""),
        context=scoring.context if scoring else 0,
        chat_template=scoring.chat_template if scoring else "",
        reranks=bool(scoring and scoring.reranks),
    )


def stand_ins(known: list[Engine], states: Sequence[EngineState]) -> None:
    """Bring the engines of a worker up to date, in place: the gateway reads this very list."""
    before = {engine.id: engine for engine in known}
    after: list[Engine] = []
    for state in states:
        kind = RemoteEngine if state.scores is None else RemoteScoring
        engine = before.get(state.id)
        if isinstance(engine, RemoteEngine) and type(engine) is kind:
            engine.update(state)
        else:
            engine = kind(state)
        after.append(engine)
    known[:] = after
