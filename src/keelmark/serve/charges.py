"""One engine that a call is sent to: what is held for it, and what it is billed in the end.

What the engine says it used is billed; where it does not say, what was passed on of its answer is
counted. Nothing is billed of an engine that failed before anything of its answer was passed on.
Where the client left, or time was up, before an engine began to answer, nobody can know what it
did: then all that was held is billed, as for a process that ended.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from keelmark.core import semconv
from keelmark.core.accounts import Account, Drawn
from keelmark.core.metering import NOTHING, Amounts, Hold, How, Short, Usage
from keelmark.core.ports import Transport
from keelmark.core.trace import Trace
from keelmark.core.windows import NEVER
from keelmark.serve.bounds import (
    Answered,
    asked_output,
    counted_input,
    counted_tokens,
    most_input,
    said_bytes,
)
from keelmark.serve.errors import ApiError
from keelmark.serve.prices import Cost

if TYPE_CHECKING:
    from keelmark.serve.calls import Call
    from keelmark.serve.metering import Meter

LEAST_OUTPUT = 16
"""Tokens; where a budget has room for fewer, a request that names no number is refused."""


class Charge:
    """One engine that a call is sent to. As a context it lasts while the engine is asked.

    It knows the meter and not its tab, which knows it: a request that holds itself is freed by the
    collector only, in rounds that every request at work waits for.

    Attributes:
        sent: Whether it has left for the engine.
        answered: Whether the engine has begun to answer: from then on there is something to pay.
        answer: The answer, where it is one that passes the guard.
        amounts: What it comes to; None while that is open, or when there is nothing to pay.
        output: Most tokens to be written, where we had to say so.
    """

    def __init__(
        self,
        meter: Meter,
        call: Call,
        cost: Cost | None,
        drawn: Sequence[Drawn],
        *,
        number: int,
        admitted: float,
    ) -> None:
        self.sent = self.answered = False
        self.answer: Answered | None = None
        self.amounts: Amounts | None = None
        self.output: int | None = None
        self._meter = meter
        self._admitted = admitted
        self._cost = cost
        self._drawn = drawn
        self._id = f"{call.trace.trace_id}/{number}"
        self._trace = call.trace
        self._prompt = len(call.prompt)
        self._hold: Hold | None = None
        self._cached = 0
        self._broke = False
        self._how: How = "engine"
        self._about: dict[str, str | bool] = {
            "trace_id": call.trace.trace_id,
            "key_id": call.trace.key_id,
            "subject": meter.pseudonym(call.trace.subject or call.trace.key_id),
            "team": call.trace.team,
            "model": call.trace.model,
            "engine": call.trace.engine,
            "currency": meter.quota.currency,
            "priced": cost is not None,
        }

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._broke = isinstance(error, ApiError)
        if self.answered:
            self._count()
        elif self.sent and isinstance(error, CancelledError):
            self._how, self.amounts = "lost", self._most
        elif not self.sent and error is None:
            self._ends_free("cache")
        else:
            self.let_go(recorded=True)

    async def reserve(self, call: Call, transport: Transport) -> None:
        """Hold the most that the call can use.

        Where that does not fit: less output, if the client names no number; and as many tokens of
        the prompt as the engine counts, if it does.

        Raises:
            ApiError: 429.
        """
        meter = self._meter
        holds = meter.holds
        if holds is None:
            raise ApiError(500, "internal_error", "Budgets are kept nowhere: please report it.")
        read, choices = most_input(call), call.asked.choices if call.asked else 1
        writes = call.kind.streams
        asked = asked_output(call.body) if writes else 0
        each = meter.quota.output_tokens if asked is None else asked
        deadline, known = monotonic() + meter.quota.wait_seconds, False
        while True:
            hold = self._holding(read, each * choices)
            short = await holds.reserve(hold)
            if short is None:
                self._hold = hold
                self.output = each if asked is None else None
                return
            fits = self._fits(short, read, choices) if asked is None else 0
            if LEAST_OUTPUT <= fits < each and not short.waits:
                each = fits
                continue
            if not short.waits and not known:
                known, counted = True, await counted_input(transport, call)
                if counted is not None and counted < read:
                    read = counted
                    continue
            left = deadline - monotonic()
            if not short.waits or left <= 0:
                raise self._refusal(short)
            await holds.freed(left)

    def _holding(self, read: int, written: int) -> Hold:
        cost = self._cost
        hour = self._meter.longest_ms if cost and cost.hour else 0
        money = cost.of(read, written, milliseconds=hour) if cost else 0
        return Hold(
            id=self._id,
            admitted=self._admitted,
            amounts=Amounts(money, read, written),
            accounts=tuple((one.account, one.ceiling) for one in self._drawn),
            about=self._about,
        )

    def _fits(self, short: Short, read: int, choices: int) -> int:
        """How many tokens of output there is room for, in each choice."""
        left = short.ceiling.left(short.used)
        room = [
            value
            for value in (left.output, left.tokens and left.tokens - read)
            if value is not None
        ]
        if left.money is not None and self._cost is not None and self._cost.output:
            money = left.money - self._holding(read, 0).amounts.money
            room.append(money * 10**6 // self._cost.output)
        return min(room, default=0) // choices

    def _refusal(self, short: Short) -> ApiError:
        account = Account.read(short.account)
        self._trace.attributes[semconv.QUOTA] = account.budget
        if short.waits:
            return ApiError(
                429,
                "rate_limit_exceeded",
                f"What is left of the budget `{account.budget}` is held for requests at work: try "
                "again in a moment.",
                retry_after=1,
            )
        end = next(one.end for one in self._drawn if one.account == short.account)
        if end == NEVER:
            again, wait = "it does not begin anew: ask whoever keeps the budgets.", None
        else:
            moment = datetime.fromtimestamp(end, UTC).isoformat().replace("+00:00", "Z")
            again = f"it begins anew at {moment}."
            wait = max(ceil(end - self._meter.now()), 1)
        used_up = short.ceiling.left(short.used)
        nothing = getattr(used_up, short.what) <= 0
        what = "is used up" if nothing else "has less left than this request may use"
        ask = "" if nothing else "ask for fewer tokens, or wait: "
        error = ApiError(
            429,
            "insufficient_quota",
            f"The budget `{account.budget}` {what}: {ask}{again}",
            retry_after=wait,
        )
        error.headers = [(b"x-should-retry", b"false")]
        return error

    def _count(self) -> None:
        """The engine has ended its answer, or was left: count what it used."""
        said = self.answer.usage if self.answer is not None else _noted(self._trace)
        read, written = said.get("prompt_tokens"), said.get("completion_tokens", 0)
        if isinstance(read, int) and isinstance(written, int):
            details = said.get("prompt_tokens_details")
            cached = details.get("cached_tokens") if isinstance(details, dict) else 0
            self._cached = min(cached, read) if isinstance(cached, int) else 0
        else:
            passed_on = said_bytes(self.answer) if self.answer is not None else 0
            if self._broke and not passed_on:
                self.let_go(recorded=True)
                return
            self._how = "counted"
            read, written = counted_tokens(self._prompt), counted_tokens(passed_on)
        spent = int(self._trace.timings.get("engine", 0))
        money = self._cost.of(read, written, self._cached, spent) if self._cost else 0
        self.amounts = Amounts(money, read, written)

    @property
    def _most(self) -> Amounts:
        """What is charged where nobody can know: all that was held, else what the prompt costs."""
        if self._hold is not None:
            return self._hold.amounts
        read = counted_tokens(self._prompt)
        return Amounts(self._cost.of(read, 0) if self._cost else 0, read, 0)

    def lose(self) -> None:
        """Another attempt answers: this one is billed only if its engine broke off on its own."""
        if self.amounts is None:
            self.let_go(recorded=True)
        elif not self._broke:
            self._ends_free("hedge")

    def _ends_free(self, how: How) -> None:
        self._how, self._cached, self.amounts = how, 0, NOTHING

    def usage(self) -> Usage:
        """Return what is to be recorded."""
        about = self._about
        return Usage(
            id=self._id,
            trace_id=str(about["trace_id"]),
            admitted=self._admitted,
            key_id=str(about["key_id"]),
            subject=str(about["subject"]),
            team=str(about["team"]),
            model=str(about["model"]),
            engine=str(about["engine"]),
            amounts=self.amounts or NOTHING,
            cached=self._cached,
            priced=self._cost is not None,
            currency=str(about["currency"]),
            how=self._how,
            accounts=tuple(one.account for one in self._drawn),
        )

    def let_go(self, *, recorded: bool) -> None:
        """End the hold."""
        hold, self._hold = self._hold, None
        holds = self._meter.holds
        if hold is None or holds is None:
            return
        if self.amounts is None or recorded:
            holds.end(hold, self.amounts)
        else:
            holds.abandon(hold)


def _noted(trace: Trace) -> dict[str, Any]:
    """Token counts of an answer that does not pass the guard, as the trace has them."""
    noted = trace.attributes
    names = {"prompt_tokens": semconv.USAGE_INPUT, "completion_tokens": semconv.USAGE_OUTPUT}
    return {name: noted[there] for name, there in names.items() if there in noted}
