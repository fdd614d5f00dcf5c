"""A slot at the engine before a call is sent, given back when its answer is over."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Mapping
from time import perf_counter
from typing import Any

from keelmark.core import semconv
from keelmark.core.errors import UnavailableError
from keelmark.core.overload import Priority, Share
from keelmark.core.ports import UpstreamResponse
from keelmark.core.trace import Trace
from keelmark.serve.calls import EMBEDDINGS, Call, Desk
from keelmark.serve.engine import Engine
from keelmark.serve.errors import ApiError, bad_request
from keelmark.serve.pacing import Took
from keelmark.serve.queueing import Full, Slot, Ticket, slot_in_turn
from keelmark.serve.traces import stamp

_PRIORITY = b"x-keelmark-priority"
_DEADLINE = b"x-keelmark-deadline-ms"
_OVERLOADED = frozenset({429, 503, 529})
_PATIENCE = 0.9  # part of the patience after which no answer is one that did not come in time
_ASKED = 256  # tokens of an answer for which no number was given
_BYTES = 4  # of a prompt, per token
_ALONG = 20  # tokens that the beginning of an answer counts for
_TRIFLE, _TRIFLE_OF_TOKEN = 0.025, 0.002
_DIGITS = 9
_LONGEST_RETRY = 3600
_RANK: dict[Priority, int] = {"low": 0, "normal": 1, "high": 2}


class Admitted:
    """An answer of an engine that holds a slot. Implements `UpstreamResponse`.

    Args:
        response: The answer.
        slot: Its slot.
        since: When the engine was turned to (`perf_counter`).
    """

    def __init__(self, response: UpstreamResponse, slot: Slot, since: float) -> None:
        self.since = since
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._slot = slot
        self._answered: tuple[Took, float] | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """See UpstreamResponse."""
        return self._response.chunks()

    async def read(self) -> bytes:
        """See UpstreamResponse."""
        return await self._response.read()

    def over(self, first: float = 0.0) -> None:
        """The engine has said all, and what is to be done with it takes long: the slot is free.

        Args:
            first: Seconds until the first bytes of a stream; 0 for an answer that is none.
        """
        if self.status == 200:
            kind, seconds = ("stream ahead", first) if first else ("whole", self._slot.seconds)
            self._slot.free("answered", Took(kind, seconds, _TRIFLE))

    def complete(self, trace: Trace, usage: Mapping[str, Any]) -> None:
        """Note that the answer is complete.

        Args:
            trace: Its record.
            usage: Token counts as the engine gave them.
        """
        written, read = usage.get("completion_tokens", -1), usage.get("prompt_tokens", 0)
        total = written + read if written >= 0 else -1.0
        self._answered = _took(trace, self._slot.seconds, written), total

    async def close(self, *, over: bool = False) -> None:
        """See UpstreamResponse. The slot is free from here on."""
        try:
            await self._response.close(over=over)
        finally:
            if self.status in _OVERLOADED:
                self._slot.free("refused")
            elif self._answered is None:
                self._slot.free()
            else:
                took, tokens = self._answered
                self._slot.free("answered", took, tokens)


async def slot_for(desk: Desk, call: Call, engine: Engine, began: float) -> Slot:
    """Return a slot at the engine, when it is the call's turn.

    Args:
        desk: Lanes and policy.
        call: The call, judged.
        engine: Where it goes.
        began: When the request came (`perf_counter`).

    Raises:
        ApiError: 429 or 503, there is no place, or not in time; 400 or 403, for a header that
            asks for what cannot be.
    """
    headers = call.request.headers
    wished, deadline = headers.get(_PRIORITY), headers.get(_DEADLINE)
    seconds = math.inf if deadline is None else _left(deadline, began)
    priority = None if wished is None else _wished(wished, _share(desk, call))
    lane = desk.lanes.of(engine)
    slot = lane.take()
    if slot is not None and seconds > 0:
        return slot
    if slot is not None:
        slot.free()
    since, trace = perf_counter(), call.trace
    share = _share(desk, call)
    ticket = Ticket(
        trace.key_id,
        share,
        priority or share.priority,
        _tokens(call),
        min(seconds, desk.config.policy.overload.wait_seconds, _patience(call)),
    )
    trace.attributes[semconv.QUEUE_PRIORITY] = ticket.priority
    try:
        slot, trace.attributes[semconv.QUEUE_AHEAD] = await slot_in_turn(lane, ticket)
    except Full as full:
        trace.attributes[semconv.QUEUE_REFUSED] = full.why
        raise _refused(full, engine) from None
    finally:
        stamp(trace, "queue", since)
    return slot


async def sent(slot: Slot, patience: float, sending: Awaitable[UpstreamResponse]) -> Admitted:
    """Return the answer to what is sent with a slot; it holds the slot until it is closed.

    Raises:
        UnavailableError: There is none; the slot is free again.
    """
    since = perf_counter()
    try:
        return Admitted(await sending, slot, since)
    except UnavailableError:
        slot.free("refused" if slot.seconds >= _PATIENCE * patience else "unknown")
        raise
    except BaseException:  # boundary: whatever happened, the slot is free again
        slot.free()
        raise


def _share(desk: Desk, call: Call) -> Share:
    return desk.config.policy.overload.share(call.origin)


def _patience(call: Call) -> float:
    """How long a route lets the call wait for a slot here: as long as for the first byte."""
    seconds = call.target.seconds if call.target is not None else None
    return math.inf if seconds is None else seconds


def _left(given: bytes, began: float) -> float:
    if not given.isdigit() or len(given) > _DIGITS:
        raise bad_request(
            "The header `x-keelmark-deadline-ms` is a whole number of milliseconds.",
            code="invalid_deadline",
        )
    return int(given) / 1000 - (perf_counter() - began)


def _wished(given: bytes, share: Share) -> Priority:
    wish = next((one for one in _RANK if one.encode() == given.lower()), None)
    if wish is None:
        raise bad_request(
            "The header `x-keelmark-priority` says high, normal or low.", code="invalid_priority"
        )
    if _RANK[wish] > max(_RANK[share.priority], _RANK[share.highest]):
        raise ApiError(
            403,
            "priority_not_allowed",
            f"This API key may not ask for the priority {wish}: the policy says which may, under "
            "overload.shares.",
        )
    return wish


def _tokens(call: Call) -> float:
    """How many tokens a call asks for at the most, as far as can be told without reading it."""
    body = call.body
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    each = asked if isinstance(asked, int) else 0 if call.kind is EMBEDDINGS else _ASKED
    choices = body.get("n") or 1
    return len(call.prompt) / _BYTES + each * (choices if isinstance(choices, int) else 1)


def _took(trace: Trace, seconds: float, tokens: float) -> Took:
    """How long an answer took, in a measure that does not grow with it."""
    if trace.stream:
        return Took("stream", trace.timings.get("first_token", 0.0) / 1000, _TRIFLE)
    if tokens < 0:
        return Took(trace.operation, seconds, _TRIFLE)
    return Took(f"{trace.operation} whole", seconds / (tokens + _ALONG), _TRIFLE_OF_TOKEN)


def _refused(full: Full, engine: Engine) -> ApiError:
    again = min(max(1, math.ceil(full.seconds)), _LONGEST_RETRY)
    after = f"try again in {again} s"
    if full.why == "key":
        message = f"Too many requests of this API key wait for `{engine.id}` already: {after}."
        return ApiError(429, "too_many_waiting", message, retry_after=again)
    if full.why == "full":
        message = f"Too many requests wait for `{engine.id}` already: {after}."
        return ApiError(503, "overloaded", message, retry_after=again)
    message = f"The engine `{engine.id}` is too busy to begin with this request in time: {after}."
    return ApiError(503, "cannot_start_in_time", message, retry_after=again)
