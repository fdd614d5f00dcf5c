"""What clients may use and what it costs: the policy's `quota` section."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.scope import EVERYWHERE, Scope
from keelmark.core.windows import Window
from keelmark.core.yamlfile import Strict

Per = Literal["key", "user", "team", "model"]

_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
_Rate = Annotated[str, msgspec.Meta(pattern=r"^([1-9]\d{0,11}/(second|minute|hour|day))?$")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
_Positive = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_MOST_MONEY = Decimal(10**9)
_FINEST = Decimal("0.000000001")


class RateLimit(Strict, frozen=True):
    """How much may be asked for in a time, or at once.

    Attributes:
        id: Name of the limit; unique.
        per: Who has a limit of their own: each key, user, team, model, or each combination of
            those named; nothing means that all share one.
        scope: The requests it is for; all when left out. Engines and languages are not known yet
            when limits are looked at.
        requests: Requests in a time: `60/minute`.
        tokens: Tokens, read and written, in a time: `100000/hour`.
        concurrent: Requests at work at once.
        burst: Requests that may come at once; by default as many as in the whole time.
        token_burst: Tokens that may be asked for at once; by default as many as in the whole time.
    """

    id: _Id
    per: tuple[Per, ...] = ()
    scope: Scope = EVERYWHERE
    requests: _Rate = ""
    tokens: _Rate = ""
    concurrent: _Positive | None = None
    burst: _Positive | None = None
    token_burst: _Positive | None = None


class Budget(Strict, frozen=True):
    """How much may be used in a window of time.

    Attributes:
        id: Name of the budget; unique. What was used is kept under it, so another name begins anew.
        per: Who has a budget of their own, as for limits.
        scope: The requests it is for; all when left out.
        window: hour, day, week (from Monday), month, or total, which never ends.
        zone: Time zone in which days begin (`Europe/Berlin`); hours begin with UTC's.
        money: Most money, in the currency of the section.
        input_tokens: Most tokens read.
        output_tokens: Most tokens written.
        tokens: Most tokens, read and written.
    """

    id: _Id
    window: Window
    per: tuple[Per, ...] = ()
    scope: Scope = EVERYWHERE
    zone: str = "UTC"
    money: Decimal | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    tokens: _Count | None = None


class Price(Strict, frozen=True):
    """What tokens of a model cost, or its time; the first that fits is taken.

    Attributes:
        model: Its name at the engine; `*` and `?` stand for any characters and any one.
        engine: Engine, by id or by kind (openai, anthropic, llama_cpp, vllm), likewise.
        input: Money for a million tokens read.
        output: Money for a million tokens written.
        cached: Money for a million tokens read that the engine had kept; by default as `input`.
        hour: Money for an hour of the engine's time on a request.
    """

    model: str = "*"
    engine: str = "*"
    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached: Decimal | None = None
    hour: Decimal = Decimal(0)


class Quota(Strict, frozen=True):
    """What clients may use and what it costs; one that says nothing of these counts nothing.

    Attributes:
        currency: In which money is counted (ISO 4217); a shipped price in another one is none.
        limits: How much may be asked for in a time, or at once.
        budgets: How much may be used in a window of time.
        prices: Prices, before those that come with Keelmark.
        shipped_prices: Whether the shipped prices of hosted models count.
        unpriced: What becomes of a request that a budget in money is for, and whose price nobody
            knows: `refuse` it, or `allow` it and say `unknown`.
        output_tokens: Most tokens of one answer of which the client says no number, where a budget
            is for it: the engine is told so.
        on_failure: What becomes of requests while nobody can tell how full the limits are, because
            Valkey or the database does not answer: `closed` refuses them, `open` lets them pass
            without limits and says so in their traces. Budgets are always closed.
        wait_seconds: Longest wait for requests at work, where only what is held for them is in
            the way.
    """

    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")] = "USD"
    limits: tuple[RateLimit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    prices: tuple[Price, ...] = ()
    shipped_prices: bool = True
    unpriced: Literal["refuse", "allow"] = "refuse"
    output_tokens: _Positive = 4096
    on_failure: Literal["closed", "open"] = "closed"
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0

    @property
    def counts(self) -> bool:
        """Whether anything is counted."""
        return bool(self.limits or self.budgets or self.prices)


def per_second(rate: str) -> tuple[int, float]:
    """Return number and time, seconds, of `60/minute`."""
    number, _, period = rate.partition("/")
    return int(number), _SECONDS[period]


def faults(quota: Quota) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a section of the right shape: place in it, and a sentence."""
    sections: dict[str, tuple[RateLimit | Budget, ...]]
    sections = {"limits": quota.limits, "budgets": quota.budgets}
    for kind, entries in sections.items():
        seen: set[str] = set()
        for number, one in enumerate(entries):
            place = f"{kind}[{number}]"
            if one.id in seen:
                yield place, f"there are two {kind} {one.id!r}; give one of them another id."
            seen.add(one.id)
            if len(set(one.per)) < len(one.per):
                yield f"{place}.per", f"`per` of {one.id!r} names something twice; name it once."
            if one.scope.languages:
                why = "the language of a request is not known when it is counted; leave it out."
                yield f"{place}.scope.languages", why
            yield from ((place + at, why) for at, why in _own_faults(one))
    for number, price in enumerate(quota.prices):
        amounts = (price.input, price.output, price.cached or Decimal(0), price.hour)
        if not all(map(_is_money, amounts)):
            yield f"prices[{number}]", f"a price must be {_MONEY}."


_MONEY = "between 0 and 1000000000, with at most 9 decimal places"


def _own_faults(one: RateLimit | Budget) -> Iterator[tuple[str, str]]:
    if isinstance(one, RateLimit):
        if not (one.requests or one.tokens or one.concurrent):
            yield "", f"limit {one.id!r} limits nothing; give it requests, tokens or concurrent."
        if one.scope.engines:
            why = "which engine answers is not known when limits are looked at; name models."
            yield ".scope.engines", why
        if (one.burst and not one.requests) or (one.token_burst and not one.tokens):
            yield "", f"limit {one.id!r} has a burst of what it does not limit; leave it out."
        return
    ceilings = (one.money, one.input_tokens, one.output_tokens, one.tokens)
    if all(ceiling is None for ceiling in ceilings):
        yield "", f"budget {one.id!r} limits nothing; give it money or a number of tokens."
    if one.money is not None and not _is_money(one.money):
        yield ".money", f"money must be {_MONEY}."
    try:
        ZoneInfo(one.zone)
    except (ValueError, OSError, LookupError):
        why = f"there is no time zone {one.zone!r}; give one such as Europe/Berlin, or UTC."
        yield ".zone", why


def _is_money(amount: Decimal) -> bool:
    return amount.is_finite() and 0 <= amount <= _MOST_MONEY and amount % _FINEST == 0


def check_quota(quota: Quota, at: Callable[[str], str]) -> None:
    """Refuse a section that cannot be meant.

    Args:
        quota: The section.
        at: Returns source and line of a path (`$.quota.limits[0]`).

    Raises:
        UsageError: With what is wrong first.
    """
    for place, why in faults(quota):
        raise UsageError(f"{at(f'$.quota.{place}')}: {why}")
