"""What a call may use: limits before anything is done, a hold before it is sent, the bill after.

Every call that is metered has a tab. Each engine that it is sent to is a charge on the tab: first
a hold of the most that it can use, in the end what it has used. `docs/how-to/limits-and-budgets.md`
says how each ending is billed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

import msgspec

from keelmark.core import semconv
from keelmark.core.accounts import Covers, Drawn
from keelmark.core.errors import UnavailableError
from keelmark.core.metering import NOTHING, Level, Rate, Usage
from keelmark.core.policy import Policy
from keelmark.core.ports import Holds, Rates, Transport
from keelmark.core.trace import Trace
from keelmark.serve.bounds import asked_output
from keelmark.serve.charges import Charge
from keelmark.serve.errors import ApiError
from keelmark.serve.http import Headers
from keelmark.serve.prices import Prices
from keelmark.serve.rated import let_pass, rate_headers

if TYPE_CHECKING:
    from keelmark.serve.calls import Call, Desk

BILLED = frozenset(
    {semconv.OP_CHAT, semconv.OP_COMPLETION, semconv.OP_EMBEDDINGS, semconv.OP_RERANK}
)
"""Operations in which a model reads tokens."""
_encode = msgspec.json.Encoder().encode
_with = msgspec.structs.replace


class Meter:
    """Everything that a gateway counts with.

    Args:
        policy: The policy; its `quota` section says what is counted.
        rates: Where limits are kept.
        holds: Where holds are kept; may be None while no budget is in the section.
        pseudonym: Returns the name under which a subject is stored.
        now: Clock, Unix time in seconds; it decides which window a call counts in.
    """

    def __init__(
        self,
        policy: Policy,
        rates: Rates,
        holds: Holds | None,
        pseudonym: Callable[[str], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.quota = policy.quota
        self.longest_ms = int(policy.limits.request_seconds * 1000)
        self.rates = rates
        self.holds = holds
        self.prices = Prices(self.quota)
        self.covers = Covers(self.quota, pseudonym)
        self.pseudonym = pseudonym
        self.now = now

    def using(self, policy: Policy) -> Meter:
        """Return a meter of another policy, which counts on where this one does."""
        return Meter(policy, self.rates, self.holds, self.pseudonym, self.now)

    async def open(self, call: Call) -> Tab:
        """Let a call pass its limits.

        Raises:
            ApiError: 429, one of them is used up; 503, nobody can tell.
        """
        trace = call.trace
        body = call.body
        length = call.request.headers.get(b"content-length", b"0")
        size = int(length) if length.isdigit() and len(length) < 12 else 0
        tokens = max(ceil(size / 4) + (asked_output(body) or 0), 1)
        rates = self.covers.rates(call.origin, trace.subject, tokens)
        levels = await self._enter(trace, rates) if rates else None
        if levels is None:
            return Tab(self, trace.trace_id, (), self.now())
        tab = Tab(self, trace.trace_id, rates, self.now())
        tab.headers = rate_headers(rates, levels)
        let_pass(trace, rates, levels, tab.headers)
        return tab

    async def _enter(self, trace: Trace, rates: Sequence[Rate]) -> Sequence[Level] | None:
        """Return how full the limits are; None when nobody can tell and the policy lets pass."""
        try:
            return await self.rates.enter(trace.trace_id, rates)
        except UnavailableError:
            if self.quota.on_failure == "closed":
                raise ApiError(
                    503,
                    "limits_unavailable",
                    "Nobody can tell now how full the limits are: try again in a moment.",
                    retry_after=1,
                ) from None
            trace.attributes[semconv.UNLIMITED] = True
            return None


class Tab:
    """What one request has asked for and used.

    Attributes:
        call: Id of the request.
        headers: What the answer says of the limits.
        admitted: Unix time, seconds.
    """

    def __init__(self, meter: Meter, call: str, rates: Sequence[Rate], admitted: float) -> None:
        self.meter = meter
        self.admitted = admitted
        self.headers: Headers = []
        self.call = call
        self._rates = rates
        self._charges: list[Charge] = []

    async def charge(self, call: Call, transport: Transport) -> Charge:
        """Hold what a call can use at most of its engine, on all of its budgets.

        Args:
            call: The call.
            transport: The way to an engine that counts tokens.

        Raises:
            ApiError: 429, a budget has not enough left; 403, nobody knows what it would cost.
        """
        if call.engine is None:
            raise ApiError(500, "internal_error", "No engine was chosen: please report it.")
        meter, trace = self.meter, call.trace
        drawn = meter.covers.drawn(call.origin, trace.subject, self.admitted)
        cost = meter.prices.find(call.engine, str(call.body.get("model", "")))
        if cost is None and meter.quota.unpriced == "refuse":
            _refuse_unpriced(trace, drawn)
        number = len(self._charges) + 1
        charge = Charge(meter, call, cost, drawn, number=number, admitted=self.admitted)
        self._charges.append(charge)
        if drawn:
            await charge.reserve(call, transport)
        return charge

    def bill(self, trace: Trace) -> tuple[Usage, ...]:
        """Return what is to be recorded of all charges, and note it in the trace."""
        bills = tuple(one.usage() for one in self._charges if one.amounts is not None)
        if bills and all(one.priced for one in bills):
            money = sum(one.amounts.money for one in bills)
            trace.attributes[semconv.COST] = money
            trace.attributes[semconv.CURRENCY] = self.meter.quota.currency
        if bills:
            trace.attributes[semconv.BILLED_BY] = [one.how for one in bills]
        return bills

    def close(self, *, recorded: bool) -> None:
        """Let go of everything; holds whose usage is not recorded stay, to be found as lost."""
        used = 0
        for one in self._charges:
            amounts = one.amounts or NOTHING
            used += amounts.input + amounts.output
            one.let_go(recorded=recorded)
        if self._rates:
            self.meter.rates.leave(self.call, self._rates, used)


def _refuse_unpriced(trace: Trace, drawn: Sequence[Drawn]) -> None:
    """Refuse a call that a budget in money is for, and whose price nobody knows.

    Raises:
        ApiError: 403.
    """
    budget = next((one.budget for one in drawn if one.ceiling.money is not None), None)
    if budget is None:
        return
    trace.attributes[semconv.QUOTA] = budget.id
    raise ApiError(
        403,
        "price_unknown",
        f"The budget `{budget.id}` is in money, and nobody knows what `{trace.model}` costs at the "
        f"engine `{trace.engine}`: give its price in quota.prices, or ask for another model.",
        param="model",
    )


async def limit(desk: Desk, call: Call) -> Call:
    """Let the call pass its limits; from here on what it uses is on its tab."""
    meter = desk.config.meter
    if meter is None or not meter.quota.counts:
        return call
    return _with(call, tab=await meter.open(call))


async def reserve(desk: Desk, call: Call) -> Call:
    """Hold what the call can use of its budgets at this engine."""
    if call.tab is None or call.kind.operation not in BILLED:
        return call
    charge = await call.tab.charge(call, desk.config.transport)
    if charge.output is None:
        return _with(call, charge=charge)
    wanted = call.engine is not None and call.engine.quirks.completion_tokens
    call.body["max_completion_tokens" if wanted else "max_tokens"] = charge.output
    return _with(call, charge=charge, prompt=_encode(call.body))
