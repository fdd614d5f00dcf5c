"""Limits and budgets of an installation: joined to its store, looked after, and shown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from keelmark.core.accounts import Account, ceiling_of
from keelmark.core.errors import KeelmarkError
from keelmark.core.gcra import MemoryRates
from keelmark.core.metering import NOTHING, UNIT, Amounts, Hold, Level, Rate, Short
from keelmark.core.policy import Policy
from keelmark.core.ports import Rates
from keelmark.core.quota import Budget, Quota
from keelmark.core.windows import NEVER, window_at
from keelmark.observe.metrics import Metrics
from keelmark.serve.metering import Meter
from keelmark.store import Store
from keelmark.store.meter import SharedMeter
from keelmark.store.reconcile import has_meter, open_meter, reconcile
from keelmark.store.usage import Spent, list_spent

log = logging.getLogger("keelmark.app")

_MOST_NAMES = 4096  # of users, whose pseudonyms are remembered


class StoreMeter:
    """Holds of a store, opened when the first one is asked for; `Holds` and `Rates` of the ports.

    Limits are kept in memory, which is exact for one process (and for its workers, which ask it),
    or where several machines share a database, there.

    Args:
        store: The store.
        rates: Limits that are kept elsewhere.
    """

    def __init__(self, store: Store, rates: Rates | None = None) -> None:
        self._store = store
        self._shared: SharedMeter | None = None
        self._rates = rates or (None if store.backend.remote else MemoryRates())

    def open(self) -> SharedMeter:
        """Return the holds, opened.

        Raises:
            KeelmarkError: They cannot be opened.
        """
        if self._shared is None:
            self._shared = open_meter(self._store)
        return self._shared

    def close(self) -> None:
        """Close the holds; those that still stand are found by the next process."""
        if self._shared is not None:
            self._shared.close()

    async def enter(self, call: str, rates: Sequence[Rate]) -> Sequence[Level]:
        """See `keelmark.core.ports.Rates`."""
        return await (self._rates or self.open()).enter(call, rates)

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:
        """See `keelmark.core.ports.Rates`."""
        (self._rates or self.open()).leave(call, rates, tokens)

    async def reserve(self, hold: Hold) -> Short | None:
        """See `keelmark.core.ports.Holds`."""
        return await self.open().reserve(hold)

    def end(self, hold: Hold, charged: Amounts | None) -> None:
        """See `keelmark.core.ports.Holds`."""
        self.open().end(hold, charged)

    def abandon(self, hold: Hold) -> None:
        """See `keelmark.core.ports.Holds`."""
        self.open().abandon(hold)

    async def freed(self, seconds: float) -> None:
        """See `keelmark.core.ports.Holds`."""
        await self.open().freed(seconds)

    async def tidy(self) -> int:
        """Charge what dead processes held, if there is anything; return how many holds."""
        if self._shared is None and not has_meter(self._store):
            return 0
        return await reconcile(self._store, self.open())

    async def held(self) -> Mapping[str, Amounts]:
        """Return what is held of each account now."""
        if self._shared is None and not has_meter(self._store):
            return {}
        return await self.open().held()


def meter_for(store: Store, policy: Policy, kept: StoreMeter) -> Meter:
    """Return what a gateway of this process counts with."""
    return Meter(policy, kept, kept, lru_cache(_MOST_NAMES)(store.pseudonym))


async def look_after(store: Store, kept: StoreMeter, metrics: Metrics, quota: Quota) -> None:
    """Charge what dead processes held, and measure the budgets; what goes wrong is logged."""
    try:
        await _look_after(store, kept, metrics, quota)
    except KeelmarkError as error:
        log.warning("The budgets cannot be looked after now: %s", error.message)


async def _look_after(store: Store, kept: StoreMeter, metrics: Metrics, quota: Quota) -> None:
    lost = await kept.tidy()
    if lost:
        metrics.count("keelmark_holds_lost_total", lost)
    if not quota.budgets:
        return
    held = await kept.held()
    spent = await asyncio.to_thread(store.read, list_spent)
    totals: dict[tuple[str, str], list[Amounts]] = {}
    for one in balances(quota, spent, held, time.time()):
        for unit in one.ceilings:
            pair = totals.setdefault((one.budget.id, unit), [NOTHING, NOTHING])
            pair[0], pair[1] = pair[0].plus(one.used), pair[1].plus(one.held)
    for (budget, unit), (used, waiting) in totals.items():
        for name, amounts in (("used", used), ("held", waiting)):
            value = float(of_unit(amounts, unit))
            metrics.set_gauge(f"keelmark_budget_{name}", value, budget=budget, unit=unit)


class Balance(NamedTuple):
    """How an account stands in the window of now.

    Attributes:
        budget: Its budget.
        account: Whose it is, and the begin of its window.
        end: End of the window, Unix time; `NEVER` where it has none.
        used: What is used.
        held: What is held for requests at work.
        calls: How often something was counted on it.
        lost: What was charged of holds whose process has ended.
        ceilings: Unit (money, input, output, tokens) to what may be used; money in units.
    """

    budget: Budget
    account: Account
    end: int
    used: Amounts
    held: Amounts
    calls: int
    lost: int
    ceilings: dict[str, Decimal]


def balances(
    quota: Quota, spent: Mapping[str, Spent], held: Mapping[str, Amounts], now: float
) -> Iterator[Balance]:
    """Yield how every account stands of which something is used or held in the window of now."""
    budgets = {one.id: (one, window_at(one.window, one.zone, now)) for one in quota.budgets}
    for text in sorted({*spent, *held}):
        account = Account.read(text)
        budget, (begin, end) = budgets.get(account.budget, (None, (0, 0)))
        if budget is None or account.begin != begin or set(account.names) != set(budget.per):
            continue
        known = spent.get(text, Spent(NOTHING, 0, 0))
        ceilings = {
            unit: Decimal(value) / UNIT if unit == "money" else Decimal(value)
            for unit, value in ceiling_of(budget)._asdict().items()
            if value is not None
        }
        yield Balance(
            budget,
            account,
            end,
            known.amounts,
            held.get(text, NOTHING),
            known.calls,
            known.lost,
            ceilings,
        )


def of_unit(amounts: Amounts, unit: str) -> Decimal:
    """Return how much of a unit there is; money in units of the currency."""
    if unit == "money":
        return Decimal(amounts.money) / UNIT
    return Decimal(amounts.input + amounts.output if unit == "tokens" else getattr(amounts, unit))


def balances_of(store: Store, quota: Quota) -> list[Balance]:
    """Return how all accounts stand, from the store alone; a service may run beside it.

    Raises:
        KeelmarkError: They cannot be read.
    """
    spent = store.read(list_spent)
    kept = StoreMeter(store)
    with contextlib.closing(kept):
        held = asyncio.run(_held(kept))
    return list(balances(quota, spent, held, time.time()))


async def _held(kept: StoreMeter) -> Mapping[str, Amounts]:
    return await kept.held()


def shown(balance: Balance) -> dict[str, Any]:
    """Return a balance as JSON; money as text, so that no digit of it is lost."""
    amounts: dict[str, Any] = {}
    for unit, ceiling in balance.ceilings.items():
        used, held = of_unit(balance.used, unit), of_unit(balance.held, unit)
        numbers = {"limit": ceiling, "used": used, "held": held, "left": ceiling - used - held}
        plain = money if unit == "money" else int
        amounts[unit] = {name: plain(value) for name, value in numbers.items()}
    return {
        "budget": balance.budget.id,
        **balance.account.names,
        "window": balance.budget.window,
        "begins": balance.account.begin,
        "ends": None if balance.end == NEVER else balance.end,
        "calls": balance.calls,
        "amounts": amounts,
        "lost": money(Decimal(balance.lost) / UNIT),
    }


def money(amount: Decimal) -> str:
    """Return an amount of money without zeros that say nothing, but with two places."""
    text = f"{amount:.9f}".rstrip("0")
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.ljust(2, '0')}"
